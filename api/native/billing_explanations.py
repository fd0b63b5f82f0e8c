"""The explanation of an invoice line as the native API answers it."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from pydantic import BaseModel

from api.native.billing_answers import CostLine, PriceVersionAnswer
from billing.canonical import plain
from billing.invoicing import ROUNDING_PLACE
from billing.service import Explanation
from billing.service.explanations import AdjustmentEvidence, CounterEvidence, SegmentEvidence
from billing.statement import formula_of, line_members, version_terms


class SegmentAnswer(BaseModel):
    """A stretch between two lifecycle events."""

    started_at: datetime
    ended_at: datetime
    quantity: str
    base_unit: str
    opened_by_event: str
    closed_by_event: str | None


class HourAnswer(BaseModel):
    """An hour of a counter."""

    started_at: datetime
    increase: str
    sample_count: int


class SampleAnswer(BaseModel):
    """A raw reading and by how much it raised the usage; written_xid is the transaction that wrote it."""

    observed_at: datetime
    boot_epoch: str
    value: str
    increase: str
    previous_observed_at: datetime | None
    written_xid: str


class CounterAnswer(BaseModel):
    """A counter's hours, and its samples from an instant on."""

    hours: list[HourAnswer]
    samples: list[SampleAnswer]
    next_from: datetime | None


class AdjustmentAnswer(BaseModel):
    """The quantities of which an adjustment is the difference: known now, less billed on the original, less carried by others since."""

    invoice_id: UUID
    invoice: str
    known: str
    billed: str
    carried: str


class ExplanationAnswer(BaseModel):
    """Why a line is what it is; `holds` tells that the usage read again is the usage charged."""

    invoice_id: UUID
    snapshot: str
    line: CostLine
    formula: str
    rounding_place: str
    price_version: PriceVersionAnswer
    segments: list[SegmentAnswer]
    counter: CounterAnswer | None
    adjustment: AdjustmentAnswer | None
    holds: bool


def to_explanation(explanation: Explanation) -> ExplanationAnswer:
    """Write why a line is what it is."""
    members = {
        "invoice_id": explanation.invoice.id,
        "snapshot": explanation.invoice.snapshot,
        "line": line_members(explanation.line),
        "formula": formula_of(explanation.line),
        "rounding_place": ROUNDING_PLACE,
        "price_version": version_terms(explanation.version),
        "segments": [segment_members(segment) for segment in explanation.segments],
        "counter": counter_members(explanation.counter) if explanation.counter is not None else None,
        "adjustment": adjustment_members(explanation.adjustment) if explanation.adjustment is not None else None,
        "holds": explanation.holds,
    }
    return ExplanationAnswer.model_validate(plain(members))


def adjustment_members(adjustment: AdjustmentEvidence) -> dict[str, object]:
    """Return what an adjustment is the difference of as named members."""
    return {
        "invoice_id": adjustment.invoice_id,
        "invoice": adjustment.invoice,
        "known": adjustment.known,
        "billed": adjustment.billed,
        "carried": adjustment.carried,
    }


def segment_members(segment: SegmentEvidence) -> dict[str, object]:
    """Return a segment as named members."""
    return {
        "started_at": segment.interval.start,
        "ended_at": segment.interval.end,
        "quantity": segment.quantity,
        "base_unit": segment.base_unit,
        "opened_by_event": segment.opened_by,
        "closed_by_event": segment.closed_by,
    }


def counter_members(counter: CounterEvidence) -> dict[str, object]:
    """Return a counter's hours and samples as named members; a boot epoch has more digits than a script keeps, so it is text."""
    return {
        "hours": [
            {"started_at": hour.started_at, "increase": hour.increase, "sample_count": hour.sample_count}
            for hour in counter.hours
        ],
        "samples": [
            {
                "observed_at": sample.observed_at,
                "boot_epoch": str(sample.boot_epoch),
                "value": Decimal(sample.value),
                "increase": sample.increase,
                "previous_observed_at": sample.previous_observed_at,
                "written_xid": str(sample.written_xid),
            }
            for sample in counter.samples
        ],
        "next_from": counter.next_from,
    }
