"""A period rated: usage read from metering, in the account's price windows, now or as of an earlier snapshot."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from uuid import UUID

from billing.adjustments import EarlierInvoices, Original, adjustment_lines
from billing.errors import InvoiceTooLarge
from billing.invoicing import compose_statement
from billing.model import (
    DISK_SPACE,
    INSTANCE_TIME,
    OUTGOING_BYTES,
    AdjustedInvoice,
    BillingAccount,
    CounterUsage,
    PriceWindow,
    Rated,
    Statement,
    StateUsage,
    UsageRecord,
)
from billing.prices import CounterPrice
from billing.rating import rate_usage
from billing.service.accounts import windows_of, zone_of
from foundation.database import Transaction
from foundation.interval import TimeInterval
from metering.model import Snapshot, StateSegment
from metering.service import counter_usage, state_segments

INVOICE_LINES_MAX = 100_000
QUANTITY_SCALE = 12
KEPT = Context(prec=300, rounding=ROUND_HALF_EVEN)
"""Wide enough for the sum of any values that a series can hold, and twelve decimal places."""
STATE_METERS = frozenset({INSTANCE_TIME, DISK_SPACE})


def rate_period(
    tx: Transaction,
    account: BillingAccount,
    *,
    period: TimeInterval,
    now: datetime,
    as_of: Snapshot | None = None,
    earlier: EarlierInvoices = EarlierInvoices(),
) -> Statement:
    """Return what a period costs, up to now where it is not over: the one way to every figure that anybody is shown."""
    rated_until = min(period.end, max(now, period.start))
    windows: tuple[PriceWindow, ...] = ()
    if rated_until > period.start:
        windows = windows_of(tx, account, interval=TimeInterval(period.start, rated_until))
    return rate_windows(tx, account, windows, period=period, rated_until=rated_until, as_of=as_of, earlier=earlier)


def rate_windows(
    tx: Transaction,
    account: BillingAccount,
    windows: Sequence[PriceWindow],
    *,
    period: TimeInterval,
    rated_until: datetime,
    as_of: Snapshot | None,
    earlier: EarlierInvoices = EarlierInvoices(),
) -> Statement:
    """Return what a period costs at given prices, with what earlier invoices lack: a rerun passes what the invoice has stored."""
    rated = rate_charges(tx, account, windows, as_of=as_of)
    originals = earlier.originals
    lines = {original.invoice.id: adjustment_lines(original) for original in originals}
    statement = compose_statement(
        rated,
        account=account,
        windows=windows,
        period=period,
        rated_until=rated_until,
        adjustments=[line for original in originals for line in lines[original.invoice.id]],
        adjusted=[to_adjusted(original) for original in originals if lines[original.invoice.id]],
        earlier_invoices_left=earlier.left,
    )
    if len(statement.lines) > INVOICE_LINES_MAX:
        raise InvoiceTooLarge(INVOICE_LINES_MAX)
    return statement


def to_adjusted(original: Original) -> AdjustedInvoice:
    """Return what an invoice keeps of an original that it adjusts."""
    invoice = original.invoice
    return AdjustedInvoice(invoice.id, invoice.label, original.carried_by, original.versions)


def rate_charges(
    tx: Transaction, account: BillingAccount, windows: Sequence[PriceWindow], *, as_of: Snapshot | None
) -> Rated:
    """Return the charges of all usage in the windows."""
    records = read_usage(tx, account.project_id, windows, as_of=as_of)
    return rate_usage(records, windows=windows, zone=zone_of(account))


def rate_meter(
    tx: Transaction, account: BillingAccount, windows: Sequence[PriceWindow], *, meter: str, as_of: Snapshot | None
) -> Rated:
    """Return the charges of one meter alone, for the explanation of a line."""
    records = read_usage(tx, account.project_id, windows, as_of=as_of, meters={meter})
    return rate_usage(records, windows=windows, zone=zone_of(account))


def read_usage(
    tx: Transaction,
    project_id: str,
    windows: Sequence[PriceWindow],
    *,
    as_of: Snapshot | None,
    meters: Collection[str] | None = None,
) -> list[UsageRecord]:
    """Read a project's usage in the windows: segments over the whole, counters window by window."""
    if not windows:
        return []
    whole = TimeInterval(windows[0].interval.start, windows[-1].interval.end)
    segments = state_segments(tx, project_id=project_id, interval=whole, as_of=as_of)
    names = {segment.resource_id: segment.name for segment in sorted(segments, key=lambda s: s.started_at)}
    counted = counter_meters(windows) if meters is None else set(meters) - STATE_METERS
    records: list[UsageRecord] = []
    if meters is None or STATE_METERS & set(meters):
        records.extend(usage_of_segment(segment, within=whole) for segment in segments)
    for window in windows:
        for meter in sorted(counted):
            records.extend(read_counter(tx, project_id, meter, window=window, names=names, as_of=as_of))
    return records


def counter_meters(windows: Sequence[PriceWindow]) -> set[str]:
    """Return the counters that any of the prices names, and outgoing traffic even where none does, to show it as unbilled."""
    prices = [price for window in windows if window.version is not None for price in window.version.prices]
    return {OUTGOING_BYTES} | {price.meter for price in prices if isinstance(price, CounterPrice)}


def usage_of_segment(segment: StateSegment, *, within: TimeInterval) -> StateUsage:
    """Return a segment as it is priced: an open one runs to the end of what is rated."""
    ended_at = min(segment.ended_at or within.end, within.end)
    is_closed_inside = segment.ended_at is not None and segment.ended_at <= within.end
    return StateUsage(
        resource_id=segment.resource_id,
        name=segment.name,
        interval=TimeInterval(max(segment.started_at, within.start), ended_at),
        state=segment.state,
        flavor_name=segment.flavor_name,
        vcpus=segment.vcpus,
        ram_mib=segment.ram_mib,
        disk_gib=segment.disk_gib,
        opened_by=str(segment.opened_by),
        closed_by=str(segment.closed_by) if segment.closed_by is not None and is_closed_inside else None,
    )


def read_counter(
    tx: Transaction,
    project_id: str,
    meter: str,
    *,
    window: PriceWindow,
    names: dict[UUID, str],
    as_of: Snapshot | None,
) -> Iterator[CounterUsage]:
    """Read what each resource counted in a window; what counted nothing used nothing."""
    for usage in counter_usage(tx, project_id=project_id, meter=meter, interval=window.interval, as_of=as_of):
        quantity = kept_quantity(usage.quantity)
        if quantity:
            yield CounterUsage(
                resource_id=usage.resource_id,
                name=names.get(usage.instance_id or usage.resource_id, usage.name or usage.original_resource_id),
                meter=meter,
                unit=usage.unit,
                interval=window.interval,
                quantity=quantity,
                sample_count=usage.sample_count,
                first_observed_at=usage.first_observed_at,
                last_observed_at=usage.last_observed_at,
            )


def kept_quantity(quantity: Decimal) -> Decimal:
    """Return a counted quantity as it is kept and priced: 12 decimal places, which changes no whole number."""
    return quantity.quantize(Decimal(1).scaleb(-QUANTITY_SCALE), context=KEPT)
