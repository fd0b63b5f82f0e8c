"""Billing on the native API: cost so far, price plans, accounts, invoices and why each line is what it is."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Literal, TypeVar
from uuid import UUID

from fastapi import Depends, Path, Query, Request, Response

from api.authentication import AdminCaller, RequestCaller, WriterCaller
from api.body import new_router
from api.context import context_of
from api.native.billing_answers import (
    AccountAnswer,
    AccountPlanList,
    AssignmentAnswer,
    CostAnswer,
    InvoiceAnswer,
    InvoiceList,
    LateUsageAnswer,
    PricePlanAnswer,
    PricePlanList,
    PricePlanWithVersions,
    PriceVersionAnswer,
    VerificationAnswer,
    to_account,
    to_account_plan,
    to_assignment,
    to_cost,
    to_invoice,
    to_invoice_head,
    to_late_usage,
    to_plan,
    to_plan_with_versions,
    to_verification,
    to_version,
)
from api.native.billing_explanations import ExplanationAnswer, to_explanation
from api.native.billing_requests import (
    AccountRequest,
    AssignmentRequest,
    FinalizeRequest,
    Instant,
    InvoiceRequest,
    PricePlanRequest,
    PriceVersionRequest,
    to_prices,
)
from api.pagination import RequestCursorPage, encode_cursor
from api.transaction import RequestTransaction, SnapshotTransaction
from billing import service
from billing.model import Authorship, BillingAccount, Invoice
from billing.service.explanations import SAMPLES_SHOWN, SAMPLES_SHOWN_MAX
from billing.service.invoices import DRAFTS_MAX
from foundation.database import Transaction
from foundation.errors import Forbidden, Invalid
from foundation.interval import TimeInterval
from identity.model import Caller, ProjectNotFound
from identity.policy import is_admin

router = new_router("/billing")

FileFormat = Literal["json", "csv"]
Made = TypeVar("Made")
ReadProject = Annotated[str | None, Query(alias="project_id", min_length=1, max_length=255)]


def chosen_project(tx: Transaction, caller: Caller, *, project_id: str | None) -> str:
    """Return the project that a request is about: the caller's own, or for an admin the one that is named.

    To anybody else another project does not exist; an admin can name one that there is or that has left usage.
    """
    return chosen_projects(tx, caller, [project_id or caller.project_id])[0]


def chosen_projects(tx: Transaction, caller: Caller, named: Sequence[str]) -> Sequence[str]:
    """Return the projects that a request names, each once; the same rule as for one."""
    others = [one for one in dict.fromkeys(named) if one != caller.project_id]
    if others and not is_admin(caller):
        raise ProjectNotFound(others[0])
    service.require_projects(tx, others)
    return list(dict.fromkeys(named))


def visible_project(caller: Caller) -> str | None:
    """Return the project whose invoices the caller may see, None for an admin, who sees all."""
    return None if is_admin(caller) else caller.project_id


def wanted_format(
    request: Request, file_format: Annotated[FileFormat | None, Query(alias="format")] = None
) -> FileFormat | None:
    """Return the file that is asked for, by ?format= or by the Accept header; None is the API's own JSON."""
    if file_format is not None:
        return file_format
    return "csv" if "text/csv" in request.headers.get("accept", "") else None


WantedFormat = Annotated[FileFormat | None, Depends(wanted_format)]


def file_response(document: service.Document) -> Response:
    """Answer a file for download; its name is ours, never a user's text."""
    disposition = f'attachment; filename="{document.name}"'
    return Response(document.content, media_type=document.media_type, headers={"Content-Disposition": disposition})


def interval_of(start: datetime, end: datetime) -> TimeInterval:
    """Return the half-open interval, or say that it is none."""
    if start >= end:
        raise Invalid("the period must start before it ends", field="end")
    return TimeInterval(start, end)


def authorship(request: Request, caller: Caller, *, reason: str) -> Authorship:
    """Say who changes money, why and by which request."""
    return Authorship(f"user:{caller.user_id}", reason, str(request.state.request_id))


def made_or_invalid(make: Callable[[], Made], *, field: str) -> Made:
    """Make a value that is true at birth, or say why it cannot be."""
    try:
        return make()
    except ValueError as error:
        raise Invalid(str(error), field=field) from error


@router.get("/cost")
def get_cost(
    request: Request, tx: SnapshotTransaction, caller: RequestCaller, project_id: ReadProject = None
) -> CostAnswer:
    """Return what the running month has cost up to now."""
    return to_cost(
        service.cost_so_far(tx, chosen_project(tx, caller, project_id=project_id), context_of(request).clock())
    )


@router.get("/account")
def get_account(tx: SnapshotTransaction, caller: RequestCaller, project_id: ReadProject = None) -> AccountAnswer:
    """Return the terms on which a project pays."""
    return to_account(service.account_of(tx, chosen_project(tx, caller, project_id=project_id)))


@router.put("/account")
def set_account(
    request: Request, tx: RequestTransaction, caller: AdminCaller, body: AccountRequest, project_id: ReadProject = None
) -> AccountAnswer:
    """Set the terms on which a project pays from its next invoice on."""
    account = BillingAccount(
        project_id=chosen_project(tx, caller, project_id=project_id),
        time_zone=body.time_zone,
        currency=body.currency,
        tax_rate=body.tax_rate,
        rounding=body.rounding,
        issuer_name=body.issuer_name,
        series=body.series,
    )
    by = authorship(request, caller, reason=body.reason)
    return to_account(service.set_account(tx, account, now=context_of(request).clock(), by=by))


@router.get("/account/plans")
def list_account_plans(
    tx: SnapshotTransaction, caller: RequestCaller, project_id: ReadProject = None
) -> AccountPlanList:
    """Return what a project's usage is priced by: the plans that it is on, in order of time, with their prices, past and to come."""
    found = service.account_plans(tx, chosen_project(tx, caller, project_id=project_id))
    return AccountPlanList(items=[to_account_plan(one) for one in found])


@router.post("/account/plans", status_code=201)
def assign_plan(
    request: Request,
    tx: RequestTransaction,
    caller: AdminCaller,
    body: AssignmentRequest,
    project_id: ReadProject = None,
) -> AssignmentAnswer:
    """Put a project on a price plan from an instant on."""
    by = authorship(request, caller, reason=body.reason)
    assignment = service.assign_plan(
        tx,
        chosen_project(tx, caller, project_id=project_id),
        body.plan_id,
        effective_from=body.effective_from,
        now=context_of(request).clock(),
        by=by,
    )
    return to_assignment(assignment)


@router.get("/price-plans")
def list_price_plans(tx: SnapshotTransaction, caller: AdminCaller, page: RequestCursorPage) -> PricePlanList:
    """List the price plans."""
    plans = service.list_price_plans(tx, after=position_of(page.after), limit=page.limit + 1)
    shown = plans[: page.limit]
    following = encode_cursor([str(shown[-1].id)]) if len(plans) > page.limit else None
    return PricePlanList(items=[to_plan(plan) for plan in shown], next=following)


@router.post("/price-plans", status_code=201)
def create_price_plan(
    request: Request, tx: RequestTransaction, caller: AdminCaller, body: PricePlanRequest
) -> PricePlanAnswer:
    """Make a price plan; asked again for the same, answer the one that is there."""
    by = authorship(request, caller, reason=body.reason)
    now = context_of(request).clock()
    return to_plan(service.create_price_plan(tx, name=body.name, currency=body.currency, now=now, by=by))


@router.get("/price-plans/{plan_id}")
def get_price_plan(tx: SnapshotTransaction, caller: AdminCaller, plan_id: UUID) -> PricePlanWithVersions:
    """Return a price plan with all its prices, past and to come."""
    return to_plan_with_versions(service.get_price_plan(tx, plan_id), service.price_versions(tx, plan_id))


@router.post("/price-plans/{plan_id}/versions", status_code=201)
def add_price_version(
    request: Request, tx: RequestTransaction, caller: AdminCaller, plan_id: UUID, body: PriceVersionRequest
) -> PriceVersionAnswer:
    """Give a plan prices from an instant on; nothing that is past changes its price."""
    version = service.add_price_version(
        tx,
        service.get_price_plan(tx, plan_id).id,
        made_or_invalid(lambda: to_prices(body.prices), field="prices"),
        effective_from=body.effective_from,
        now=context_of(request).clock(),
        by=authorship(request, caller, reason=body.reason),
    )
    return to_version(version)


@router.post("/invoices", status_code=201)
def draft_invoice(
    request: Request, tx: RequestTransaction, caller: WriterCaller, body: InvoiceRequest
) -> InvoiceAnswer:
    """Draft the invoice of a period, or bring its draft up to date; the same usage gives the same draft."""
    invoice = service.draft_invoice(
        tx,
        project_id=chosen_project(tx, caller, project_id=body.project_id),
        interval=interval_of(body.start, body.end),
        now=context_of(request).clock(),
        drafts_max=None if is_admin(caller) else DRAFTS_MAX,
        by=authorship(request, caller, reason=body.reason),
    )
    return full_invoice(tx, invoice)


def full_invoice(tx: Transaction, invoice: Invoice) -> InvoiceAnswer:
    """Return an invoice with its lines, taxes and events."""
    lines, taxes = service.invoice_lines(tx, invoice.id), service.invoice_taxes(tx, invoice.id)
    left = service.earlier_invoices_left(tx, invoice.id)
    return to_invoice(invoice, lines, taxes, events=service.invoice_events(tx, invoice.id), left=left)


@router.get("/invoices")
def list_invoices(
    tx: SnapshotTransaction,
    caller: RequestCaller,
    page: RequestCursorPage,
    project_id: ReadProject = None,
    all_projects: bool = False,
    with_discarded: bool = False,
) -> InvoiceList:
    """List invoices, the newest first: the caller's project's, or for an admin another's or all."""
    if all_projects and not is_admin(caller):
        raise Forbidden("only an admin may list the invoices of all projects")
    wanted = None if all_projects else chosen_project(tx, caller, project_id=project_id)
    invoices = service.list_invoices(
        tx,
        project_id=wanted,
        before=position_of(page.after),
        limit=page.limit + 1,
        with_discarded=with_discarded,
    )
    shown = invoices[: page.limit]
    following = encode_cursor([str(shown[-1].id)]) if len(invoices) > page.limit else None
    return InvoiceList(items=[to_invoice_head(invoice) for invoice in shown], next=following)


def position_of(after: object) -> UUID | None:
    """Read the id in a cursor of a list that is ordered by id."""
    match after:
        case None:
            return None
        case [str(text)]:
            return made_or_invalid(lambda: UUID(text), field="cursor")
        case _:
            raise Invalid("the cursor is not one that this list gave", field="cursor")


@router.get("/invoices/{invoice_id}", response_model=InvoiceAnswer)
def get_invoice(
    tx: SnapshotTransaction, caller: RequestCaller, invoice_id: UUID, file_format: WantedFormat
) -> InvoiceAnswer | Response:
    """Return an invoice with its lines, or as a file by ?format=csv|json or Accept: text/csv."""
    invoice = service.get_invoice(tx, invoice_id, project_id=visible_project(caller))
    if file_format is None:
        return full_invoice(tx, invoice)
    for document in service.invoice_files(tx, invoice):
        if document.name.endswith(f".{file_format}"):
            return file_response(document)
    raise AssertionError("an invoice has a file of every format")


@router.get("/invoices/{invoice_id}/document")
def get_invoice_document(tx: SnapshotTransaction, caller: RequestCaller, invoice_id: UUID) -> Response:
    """Return the canonical bytes of an invoice: their SHA-256 is its digest."""
    invoice = service.get_invoice(tx, invoice_id, project_id=visible_project(caller))
    return Response(service.invoice_document(tx, invoice.id), media_type="application/json")


@router.post("/invoices/{invoice_id}/finalize")
def finalize_invoice(
    request: Request,
    tx: RequestTransaction,
    caller: AdminCaller,
    invoice_id: UUID,
    body: FinalizeRequest | None = None,
) -> InvoiceAnswer:
    """Make a draft final: numbered, and never to be changed again; asked again, answer the final one."""
    by = authorship(request, caller, reason=(body or FinalizeRequest()).reason)
    return full_invoice(tx, service.finalize_invoice(tx, invoice_id, context_of(request).clock(), by=by))


@router.delete("/invoices/{invoice_id}", status_code=204)
def discard_draft(
    request: Request,
    tx: RequestTransaction,
    caller: WriterCaller,
    invoice_id: UUID,
    reason: Annotated[str, Query(min_length=1, max_length=1000)] = "asked by the API",
) -> None:
    """Discard a draft: it leaves the lists but stays on record, and its period can be drafted again; a final invoice stays."""
    service.discard_draft(
        tx,
        invoice_id,
        context_of(request).clock(),
        project_id=visible_project(caller),
        by=authorship(request, caller, reason=reason),
    )


@router.get("/invoices/{invoice_id}/verify")
def verify_invoice(tx: SnapshotTransaction, caller: RequestCaller, invoice_id: UUID) -> VerificationAnswer:
    """Compute an invoice again from what it saw, and tell whether it comes out the same to the last byte."""
    return to_verification(service.verify_invoice(tx, invoice_id, project_id=visible_project(caller)))


@router.get("/invoices/{invoice_id}/late")
def get_late_usage(tx: SnapshotTransaction, caller: RequestCaller, invoice_id: UUID) -> LateUsageAnswer:
    """Return the usage of an invoice's period that came to be known after it was rated, and so is not on it."""
    return to_late_usage(service.late_usage(tx, invoice_id, project_id=visible_project(caller)))


@router.get("/invoices/{invoice_id}/lines/{line_number}/explain")
def explain_line(
    tx: SnapshotTransaction,
    caller: RequestCaller,
    invoice_id: UUID,
    line_number: Annotated[int, Path(ge=1, le=2**31 - 1)],
    samples_from: Instant | None = None,
    samples_limit: Annotated[int, Query(ge=1, le=SAMPLES_SHOWN_MAX)] = SAMPLES_SHOWN,
) -> ExplanationAnswer:
    """Explain a line: its price, its formula, and its segments or its samples."""
    explanation = service.explain_line(
        tx,
        invoice_id,
        line_number,
        project_id=visible_project(caller),
        samples_from=samples_from,
        samples_limit=samples_limit,
    )
    return to_explanation(explanation)
