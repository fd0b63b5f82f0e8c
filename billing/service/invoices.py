"""Invoices: drafted as often as wanted, finalized once, proven by a rerun."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from billing.adjustments import EarlierInvoices
from billing.canonical import GENESIS, chain_digest, digest_of, instant_text
from billing.errors import (
    InvoiceIsDiscarded,
    InvoiceIsFinal,
    InvoiceNotFound,
    InvoiceOverlaps,
    PeriodInvalid,
    PeriodNotOver,
    TooManyDiscarded,
    TooManyDrafts,
    UsageOnItsWay,
)
from billing.model import (
    Authorship,
    BillingAccount,
    Invoice,
    InvoiceEvent,
    InvoiceId,
    InvoiceLine,
    InvoiceStatus,
    InvoiceTax,
)
from billing.service.accounts import account_of
from billing.service.adjustments import read_each, read_originals
from billing.service.plans import SYSTEM
from billing.service.rated import rate_period, rate_windows
from billing.service.reruns import account_at, stored_earlier, stored_windows
from billing.service.retention import require_samples
from billing.statement import statement_document
from billing.store import accounts as accounts_store
from billing.store import invoices as store
from foundation import outbox
from foundation.database import Transaction
from foundation.ids import new_id
from foundation.interval import TimeInterval
from metering.service import take_snapshot

PERIOD_DAYS_MAX = 366
DRAFTS_MAX = 100
"""How many drafts a project may make for itself; the operator, who closes the month, is not held up by them."""
DISCARDED_A_DRAFT = 10
"""How many discarded drafts are kept for each that a project may make."""
LIFECYCLE_TOPIC = "instance.lifecycle"
"""What becomes billed time once metering has heard it."""
SERIES_PAGE = 500
SERIES_PAGES_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Verification:
    """Whether an invoice, computed again from what it saw, is the same; `found` is what the rerun gave."""

    invoice_id: InvoiceId
    digest: str
    digest_found: str
    chain_holds: bool

    @property
    def holds(self) -> bool:
        """Tell whether the rerun gave the same bytes and the chain's link is unbroken."""
        return self.digest == self.digest_found and self.chain_holds


def draft_invoice(
    tx: Transaction,
    *,
    project_id: str,
    interval: TimeInterval,
    now: datetime,
    by: Authorship = SYSTEM,
    drafts_max: int | None = None,
) -> Invoice:
    """Draft the invoice of a period, or bring its draft up to date; the same usage gives the same draft.

    A period that is not over is billed up to now. Raises PeriodInvalid, InvoiceIsFinal, InvoiceOverlaps, and
    TooManyDrafts where a new one would be more than `drafts_max`.
    """
    require_period(interval, now)
    accounts_store.lock_project(tx, project_id)
    existing = store.find_latest_invoice(tx, project_id=project_id, period=interval)
    if existing is not None and existing.is_final and existing.status is not InvoiceStatus.VOID:
        raise InvoiceIsFinal(existing.label)
    require_unbilled(tx, project_id, interval)
    if drafts_max is not None and (existing is None or not existing.is_draft):
        require_room_for_draft(tx, project_id, drafts_max=drafts_max, is_new=existing is None or existing.is_final)
    account = account_of(tx, project_id)
    require_samples(tx, account, rated=TimeInterval(interval.start, min(interval.end, now)))
    content = compute_content(tx, account, period=interval, now=now)
    if existing is None or existing.is_final:
        version = 1 if existing is None else existing.version + 1
        invoice_id = InvoiceId(new_id())
        store.insert_draft(tx, invoice_id, content=content, version=version, now=now)
        record_step(tx, invoice_id, "drafted", content=content, by=by, now=now)
        return get_invoice(tx, invoice_id)
    refresh_draft(tx, existing, content=content, by=by, now=now)
    return get_invoice(tx, existing.id)


def require_room_for_draft(tx: Transaction, project_id: str, *, drafts_max: int, is_new: bool) -> None:
    """Refuse one draft more than a project may make; one that is taken up again needs no place on record."""
    count = store.count_drafts(tx, project_id)
    if count.drafts >= drafts_max:
        raise TooManyDrafts(drafts_max)
    if is_new and count.discarded >= drafts_max * DISCARDED_A_DRAFT:
        raise TooManyDiscarded(drafts_max * DISCARDED_A_DRAFT)


def refresh_draft(
    tx: Transaction, draft: Invoice, *, content: store.DraftContent, by: Authorship, now: datetime
) -> None:
    """Put new content into a draft; content that is the same changes nothing, and so leaves no trace.

    A discarded one becomes a draft again.
    """
    if draft.is_draft and draft.digest == content.digest:
        return
    store.replace_draft(tx, draft.id, content=content)
    record_step(tx, draft.id, "redrafted" if draft.is_draft else "drafted", content=content, by=by, now=now)


def discard_draft(
    tx: Transaction, invoice_id: UUID, now: datetime, *, project_id: str | None = None, by: Authorship = SYSTEM
) -> None:
    """Discard a draft: it leaves the lists but stays on record, and its period can be drafted again; asked again, nothing happens.

    Raises InvoiceNotFound and InvoiceIsFinal.
    """
    found = get_invoice(tx, invoice_id, project_id=project_id)
    accounts_store.lock_project(tx, found.project_id)
    draft = get_invoice(tx, invoice_id)
    if draft.is_final:
        raise InvoiceIsFinal(draft.label)
    if not draft.is_draft:
        return
    store.append_event(tx, draft.id, "void", by=by, at=now)
    detail = {"digest": draft.digest, "total": draft.total, "currency": draft.currency}
    accounts_store.write_audit(
        tx, "invoice.void", by=by, at=now, subject=draft.id, project_id=draft.project_id, detail=detail
    )


def finalize_invoice(
    tx: Transaction, invoice_id: UUID, now: datetime, *, project_id: str | None = None, by: Authorship = SYSTEM
) -> Invoice:
    """Make a draft final: computed a last time, numbered without a gap, chained, and never to be changed again.

    Asked again, it returns the final invoice as it is. Two at once wait for each other on the project's lock and then on
    the series' row, whose number a rollback gives back. Raises InvoiceNotFound, InvoiceIsDiscarded, PeriodNotOver,
    InvoiceOverlaps, and UsageOnItsWay while metering has not heard every fact of the project's instances.
    """
    found = get_invoice(tx, invoice_id, project_id=project_id)
    accounts_store.lock_project(tx, found.project_id)
    draft = get_invoice(tx, invoice_id)
    if draft.is_final:
        return draft
    if not draft.is_draft:
        raise InvoiceIsDiscarded
    if draft.period_end > now:
        raise PeriodNotOver(instant_text(draft.period_end))
    require_unbilled(tx, draft.project_id, draft.period)
    if outbox.has_pending(tx, LIFECYCLE_TOPIC, part={"project_id": draft.project_id}):
        raise UsageOnItsWay
    content = compute_content(tx, account_of(tx, draft.project_id), period=draft.period, now=now)
    store.replace_draft(tx, draft.id, content=content)
    sealed = get_invoice(tx, draft.id)
    last_number, last_chain = store.lock_series(tx, sealed.series)
    number = last_number + 1
    chain = chain_digest(
        last_chain,
        series=sealed.series,
        number=number,
        digest=sealed.digest,
        finalized_at=now,
        snapshot=sealed.snapshot,
    )
    store.seal_invoice(tx, sealed, store.Seal(number, now, last_chain, chain))
    record_step(tx, draft.id, "finalized", content=content, by=by, now=now)
    return get_invoice(tx, draft.id)


def compute_content(
    tx: Transaction, account: BillingAccount, *, period: TimeInterval, now: datetime
) -> store.DraftContent:
    """Rate a period, and what earlier invoices lack, as of a snapshot taken now, which is kept so that the same can be computed again."""
    snapshot = take_snapshot(tx)
    earlier = read_originals(tx, account, period=period, as_of=snapshot)
    statement = rate_period(tx, account, period=period, now=now, as_of=snapshot, earlier=earlier)
    document = statement_document(statement)
    return store.DraftContent(statement, document, digest_of(document), snapshot)


def record_step(
    tx: Transaction,
    invoice_id: InvoiceId,
    kind: str,
    *,
    content: store.DraftContent,
    by: Authorship,
    now: datetime,
) -> None:
    """Write a step's event and its audit, in the transaction of the step."""
    store.append_event(tx, invoice_id, kind, by=by, at=now)
    statement = content.statement
    detail = {"digest": content.digest, "total": statement.total, "currency": statement.account.currency}
    accounts_store.write_audit(
        tx,
        f"invoice.{kind}",
        by=by,
        at=now,
        subject=invoice_id,
        project_id=statement.account.project_id,
        detail=detail,
    )


def require_period(interval: TimeInterval, now: datetime) -> None:
    """Refuse a period that has not begun or is too long."""
    if interval.start >= now:
        raise PeriodInvalid("the period has not begun yet", field="start")
    if interval.duration > timedelta(days=PERIOD_DAYS_MAX, hours=1):
        raise PeriodInvalid(f"a period has at most {PERIOD_DAYS_MAX} days", field="end")


def require_unbilled(tx: Transaction, project_id: str, period: TimeInterval) -> None:
    """Refuse a period of which a final invoice has billed a part."""
    other = store.find_overlapping_invoice(tx, project_id=project_id, period=period)
    if other is not None:
        raise InvoiceOverlaps(other.label)


def get_invoice(tx: Transaction, invoice_id: UUID, *, project_id: str | None = None) -> Invoice:
    """Return an invoice; where a project is named, another project's is not found."""
    invoice = store.find_invoice(tx, invoice_id)
    if invoice is None or (project_id is not None and invoice.project_id != project_id):
        raise InvoiceNotFound(invoice_id)
    return invoice


def list_invoices(
    tx: Transaction, *, project_id: str | None, before: UUID | None = None, limit: int, with_discarded: bool = False
) -> Sequence[Invoice]:
    """Return a page of invoices, the newest first; of every project where none is named, and discarded drafts where asked."""
    return store.list_invoices(tx, project_id=project_id, before=before, limit=limit, with_discarded=with_discarded)


def invoice_lines(tx: Transaction, invoice_id: InvoiceId) -> Sequence[InvoiceLine]:
    """Return the lines of an invoice."""
    return store.read_lines(tx, invoice_id)


def invoice_taxes(tx: Transaction, invoice_id: InvoiceId) -> Sequence[InvoiceTax]:
    """Return the taxes of an invoice."""
    return store.read_taxes(tx, invoice_id)


def invoice_events(tx: Transaction, invoice_id: InvoiceId) -> Sequence[InvoiceEvent]:
    """Return what happened to an invoice."""
    return store.read_events(tx, invoice_id)


def earlier_invoices_left(tx: Transaction, invoice_id: InvoiceId) -> int:
    """Return how many earlier invoices have late usage that an invoice leaves to the next one."""
    return store.read_earlier(tx, invoice_id).left


def invoice_document(tx: Transaction, invoice_id: InvoiceId) -> bytes:
    """Return the canonical content of an invoice, the bytes that its digest is of."""
    return store.read_document(tx, invoice_id)


def verify_invoice(tx: Transaction, invoice_id: UUID, *, project_id: str | None = None) -> Verification:
    """Compute an invoice again from the usage that its snapshot saw and the prices that it stored, and compare."""
    invoice = get_invoice(tx, invoice_id, project_id=project_id)
    stored = stored_earlier(tx, invoice)
    originals = [get_invoice(tx, original_id) for original_id in stored.carried_by]
    read = read_each(tx, originals, as_of=invoice.snapshot, carried_by=stored.carried_by)
    statement = rate_windows(
        tx,
        account_at(invoice),
        stored_windows(tx, invoice),
        period=invoice.period,
        rated_until=invoice.rated_until,
        as_of=invoice.snapshot,
        earlier=EarlierInvoices(tuple(read), stored.left),
    )
    found = digest_of(statement_document(statement))
    return Verification(invoice.id, invoice.digest, found, link_holds(invoice))


def link_holds(invoice: Invoice) -> bool:
    """Tell whether a final invoice's link of the chain is of its own content; a draft has no link to break."""
    if invoice.number is None or invoice.finalized_at is None or invoice.previous_chain is None:
        return True
    expected = chain_digest(
        invoice.previous_chain,
        series=invoice.series,
        number=invoice.number,
        digest=invoice.digest,
        finalized_at=invoice.finalized_at,
        snapshot=invoice.snapshot,
    )
    return expected == invoice.chain_digest


def verify_series(tx: Transaction, series: str) -> int:
    """Walk a series from its first invoice and return how many there are; raises AssertionError at a gap or a broken link."""
    number: int = 0
    chain: str = GENESIS
    for _ in range(SERIES_PAGES_MAX):
        page = store.read_series(tx, series, after=number, limit=SERIES_PAGE)
        for invoice in page:
            assert invoice.number is not None
            assert invoice.number == number + 1, f"{series} has no number {number + 1}"
            assert invoice.previous_chain == chain, f"{invoice.label} does not follow the invoice before it"
            assert link_holds(invoice), f"{invoice.label} is not what was finalized"
            assert invoice.chain_digest is not None
            number, chain = invoice.number, invoice.chain_digest
        if len(page) < SERIES_PAGE:
            return number
    raise AssertionError(f"{series} has more than {SERIES_PAGE * SERIES_PAGES_MAX} invoices")
