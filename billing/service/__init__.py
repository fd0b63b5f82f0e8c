"""The use cases of billing, one file a noun; every function takes the transaction first and never commits."""

from billing.service.accounts import AccountPlan, account_of, account_plans, assign_plan, set_account
from billing.service.costs import Cost, Forecast, cost_so_far
from billing.service.documents import Document, close_month, invoice_files, month_documents, usage_file
from billing.service.explanations import Explanation, explain_line
from billing.service.invoices import (
    Verification,
    discard_draft,
    draft_invoice,
    earlier_invoices_left,
    finalize_invoice,
    get_invoice,
    invoice_document,
    invoice_events,
    invoice_lines,
    invoice_taxes,
    list_invoices,
    verify_invoice,
    verify_series,
)
from billing.service.lateness import LateUsage, late_usage
from billing.service.plans import (
    add_price_version,
    bootstrap_plans,
    create_price_plan,
    get_price_plan,
    list_price_plans,
    price_versions,
)
from billing.service.projects import require_project, require_projects
from billing.service.usage import usage_report

__all__ = [
    "AccountPlan",
    "Cost",
    "Document",
    "Explanation",
    "Forecast",
    "LateUsage",
    "Verification",
    "account_of",
    "account_plans",
    "add_price_version",
    "assign_plan",
    "bootstrap_plans",
    "close_month",
    "cost_so_far",
    "create_price_plan",
    "discard_draft",
    "draft_invoice",
    "earlier_invoices_left",
    "explain_line",
    "finalize_invoice",
    "get_invoice",
    "get_price_plan",
    "invoice_document",
    "invoice_events",
    "invoice_files",
    "invoice_lines",
    "invoice_taxes",
    "late_usage",
    "list_invoices",
    "list_price_plans",
    "month_documents",
    "price_versions",
    "require_project",
    "require_projects",
    "set_account",
    "usage_file",
    "usage_report",
    "verify_invoice",
    "verify_series",
]
