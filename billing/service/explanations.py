"""Explaining a line: its price, its formula, and its segments or samples, read again as of what the invoice saw."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from billing.adjustments import Balance, balances_of, proof_of, terms_of
from billing.errors import InvoiceLineNotFound
from billing.invoicing import compose_line, line_key
from billing.model import Charge, Invoice, InvoiceId, InvoiceLine, PriceVersion
from billing.rating import EXACT_SUMS
from billing.service.adjustments import read_each
from billing.service.invoices import get_invoice
from billing.service.rated import STATE_METERS, kept_quantity, rate_meter
from billing.service.reruns import account_at, stored_earlier, stored_windows
from billing.store import invoices as store
from foundation.database import Transaction
from foundation.interval import TimeInterval
from metering.model import SampleIncrease, Snapshot
from metering.service import counter_samples

HOUR = timedelta(hours=1)
SAMPLES_PAGE = 5_000
SAMPLE_PAGES_MAX = 10_000
SAMPLES_SHOWN = 100
SAMPLES_SHOWN_MAX = 1_000


@dataclass(frozen=True, slots=True)
class SegmentEvidence:
    """A stretch between two lifecycle events that a line charges for; closed_by is None where it had not ended."""

    interval: TimeInterval
    quantity: Decimal
    base_unit: str
    opened_by: str
    closed_by: str | None


@dataclass(frozen=True, slots=True)
class HourEvidence:
    """What a counter rose by in one hour, and from how many samples."""

    started_at: datetime
    increase: Decimal
    sample_count: int


@dataclass(frozen=True, slots=True)
class CounterEvidence:
    """The hours of a counter line and, from an instant on, the raw samples; `next_from` is where to go on.

    `quantity` is what they come to as it is priced: of each price window by itself no more digits are kept than a line holds.
    """

    quantity: Decimal
    hours: tuple[HourEvidence, ...]
    samples: tuple[SampleIncrease, ...]
    next_from: datetime | None


@dataclass(frozen=True, slots=True)
class AdjustmentEvidence:
    """Why an earlier invoice is adjusted: what is known now, what it had charged, and what other invoices had carried since."""

    invoice_id: UUID
    invoice: str
    known: Decimal
    billed: Decimal
    carried: Decimal


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a line is what it is; `holds` tells that what was read again is what was charged, to the last digit."""

    invoice: Invoice
    line: InvoiceLine
    version: PriceVersion
    segments: tuple[SegmentEvidence, ...]
    counter: CounterEvidence | None
    adjustment: AdjustmentEvidence | None
    holds: bool


def explain_line(
    tx: Transaction,
    invoice_id: UUID,
    line_number: int,
    *,
    project_id: str | None = None,
    samples_from: datetime | None = None,
    samples_limit: int = SAMPLES_SHOWN,
) -> Explanation:
    """Explain a line from the usage that the invoice's snapshot saw, down to lifecycle events or samples.

    Raises InvoiceNotFound and InvoiceLineNotFound.
    """
    invoice = get_invoice(tx, invoice_id, project_id=project_id)
    line = find_line(tx, invoice, line_number)
    if line.adjusts_invoice_id is not None:
        balance, versions = read_balance(tx, invoice, line, original_id=line.adjusts_invoice_id)
        charges = list(balance.charges)
    else:
        balance, windows = None, stored_windows(tx, invoice)
        versions = [window.version for window in windows if window.version is not None]
        rated = rate_meter(tx, account_at(invoice), windows, meter=line.meter, as_of=invoice.snapshot)
        charges = [charge for charge in rated.charges if is_charge_of(charge, line)]
    counter = None
    if line.meter not in STATE_METERS:
        parts = [charge.interval for charge in charges]
        reading = CounterReading(tx, invoice, line, invoice.snapshot)
        counter = explain_counter(reading, parts, samples_from=samples_from, limit=samples_limit)
    return Explanation(
        invoice=invoice,
        line=line,
        version=version_of(versions, line),
        segments=tuple(segment_of(charge) for charge in charges) if counter is None else (),
        counter=counter,
        adjustment=adjustment_evidence(line, balance) if balance is not None else None,
        holds=is_proven(line, charges, counter) if balance is None else is_balance_proven(line, balance, counter),
    )


def read_balance(
    tx: Transaction, invoice: Invoice, line: InvoiceLine, *, original_id: InvoiceId
) -> tuple[Balance, Sequence[PriceVersion]]:
    """Read what a line adjusts again: the original's prices and lines, and its usage as of what the adjusting invoice saw."""
    carried_by = {original_id: stored_earlier(tx, invoice).carried_by[original_id]}
    (original,) = read_each(tx, [get_invoice(tx, original_id)], as_of=invoice.snapshot, carried_by=carried_by)
    for balance in balances_of(original):
        if balance.terms == terms_of(line):
            return balance, original.versions
    return Balance(terms_of(line), (), (), ()), original.versions


def adjustment_evidence(line: InvoiceLine, balance: Balance) -> AdjustmentEvidence:
    """Write down the three quantities of which an adjustment is the difference."""
    assert line.adjusts_invoice_id is not None
    assert line.adjusts_invoice is not None
    return AdjustmentEvidence(
        invoice_id=line.adjusts_invoice_id,
        invoice=line.adjusts_invoice,
        known=balance.known,
        billed=balance.billed_before,
        carried=balance.carried_before,
    )


def is_balance_proven(line: InvoiceLine, balance: Balance, counter: CounterEvidence | None) -> bool:
    """Tell whether what was read again leaves what the line charges, by the same proof."""
    foots = counter is None or counter.quantity == balance.known
    return balance.missing == line.base_quantity and proof_of(balance) == line.usage_digest and foots


def find_line(tx: Transaction, invoice: Invoice, number: int) -> InvoiceLine:
    """Return the line of that number."""
    if 0 < number < 2**31:
        for line in store.read_lines(tx, invoice.id, number=number):
            return line
    raise InvoiceLineNotFound(number)


def is_charge_of(charge: Charge, line: InvoiceLine) -> bool:
    """Tell whether a charge is part of the line: the same resource at the same price."""
    of_charge = (charge.meter, charge.resource_id, charge.resource_name, charge.state, charge.flavor_name)
    of_line = (line.meter, line.resource_id, line.resource_name, line.state, line.flavor_name)
    price_of_charge = (charge.version_id, charge.unit_price, charge.per)
    return of_charge == of_line and price_of_charge == (line.price_version_id, line.unit_price, line.per_base)


def version_of(versions: Sequence[PriceVersion], line: InvoiceLine) -> PriceVersion:
    """Return the price version that a line was charged at."""
    for version in versions:
        if version.id == line.price_version_id:
            return version
    raise AssertionError("an invoice stores the version of every line")


def segment_of(charge: Charge) -> SegmentEvidence:
    """Read the two lifecycle events back from the charge's evidence."""
    _, opened_by, closed_by = charge.evidence.split(":")
    return SegmentEvidence(
        interval=charge.interval,
        quantity=charge.quantity,
        base_unit=charge.base_unit,
        opened_by=opened_by,
        closed_by=None if closed_by == "open" else closed_by,
    )


def is_proven(line: InvoiceLine, charges: Sequence[Charge], counter: CounterEvidence | None) -> bool:
    """Tell whether the charges read again are the line, and the hours of a counter add up to its quantity."""
    if not charges:
        return False
    again = compose_line(sorted(charges, key=line_key), number=line.number, tax_rate=line.tax_rate)
    foots = counter is None or counter.quantity == line.base_quantity
    return again.base_quantity == line.base_quantity and again.usage_digest == line.usage_digest and foots


@dataclass(frozen=True, slots=True)
class CounterReading:
    """Which samples to read: those behind a counter line, as of what the invoice saw."""

    tx: Transaction
    invoice: Invoice
    line: InvoiceLine
    as_of: Snapshot

    def samples(self, interval: TimeInterval, *, limit: int, skipped: int = 0) -> Sequence[SampleIncrease]:
        """Read the samples of an interval in order of time, after so many of them."""
        return counter_samples(
            self.tx,
            project_id=self.invoice.project_id,
            resource_id=self.line.resource_id,
            meter=self.line.meter,
            interval=interval,
            as_of=self.as_of,
            limit=limit,
            skipped=skipped,
            unit=self.line.base_unit,
        )

    def each(self, part: TimeInterval) -> Iterator[SampleIncrease]:
        """Read all samples of a part page by page, so that a month is never in memory at once.

        A page begins at an instant, or within one that has more samples than a page: as many events may have come at once.
        """
        start, skipped = part.start, 0
        for _ in range(SAMPLE_PAGES_MAX):
            page = self.samples(TimeInterval(start, part.end), limit=SAMPLES_PAGE, skipped=skipped)
            if len(page) < SAMPLES_PAGE:
                yield from page
                return
            last = page[-1].observed_at
            whole = [sample for sample in page if sample.observed_at < last]
            if whole:
                yield from whole
                start, skipped = last, 0
            else:
                yield from page
                start, skipped = last, skipped + len(page) if start == last else len(page)
        raise AssertionError(f"a line rests on more than {SAMPLES_PAGE * SAMPLE_PAGES_MAX} samples")


def explain_counter(
    reading: CounterReading, parts: Sequence[TimeInterval], *, samples_from: datetime | None, limit: int
) -> CounterEvidence:
    """Add the samples up by hour, and show those from an instant on."""
    increases: defaultdict[datetime, Decimal] = defaultdict(Decimal)
    counts: defaultdict[datetime, int] = defaultdict(int)
    shown: list[SampleIncrease] = []
    next_from: datetime | None = None
    quantity = Decimal(0)
    for part in parts:
        of_part = Decimal(0)
        for sample in reading.each(part):
            hour = sample.observed_at.replace(minute=0, second=0, microsecond=0)
            increases[hour] = EXACT_SUMS.add(increases[hour], sample.increase)
            of_part = EXACT_SUMS.add(of_part, sample.increase)
            counts[hour] += 1
            if samples_from is None or sample.observed_at >= samples_from:
                if len(shown) < limit:
                    shown.append(sample)
                elif next_from is None:
                    next_from = sample.observed_at
        quantity = EXACT_SUMS.add(quantity, kept_quantity(of_part))
    hours = tuple(HourEvidence(hour, increases[hour], counts[hour]) for hour in sorted(increases))
    return CounterEvidence(quantity, hours, tuple(shown), next_from)
