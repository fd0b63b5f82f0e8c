"""The doctor on the native API, for admins: what is wrong with the sources of readings."""

from datetime import datetime
from uuid import UUID

from fastapi import Request
from pydantic import BaseModel

from api.authentication import AdminCaller
from api.body import new_router
from api.context import context_of
from api.transaction import SnapshotTransaction
from metering import service

router = new_router("/doctor")


class FindingAnswer(BaseModel):
    """One thing that is wrong; `detail` is a sentence that ends with how to mend it."""

    kind: str
    subject: str
    detail: str
    since: datetime | None
    resource_id: UUID | None
    metrics: list[str]


class DiagnosisAnswer(BaseModel):
    """What is wrong, the hosts, running instances and metrics looked at; `is_cut` tells that there was more than could be looked at."""

    findings: list[FindingAnswer]
    sources: int
    instances: int
    metrics: int
    is_cut: bool


@router.get("/metering")
def examine_metering(request: Request, tx: SnapshotTransaction, _: AdminCaller) -> DiagnosisAnswer:
    """Look for hosts that fell silent, metrics that stopped, clocks that are off and sources that repeat themselves."""
    return to_diagnosis(service.examine_metering(tx, now=context_of(request).clock()))


def to_diagnosis(diagnosis: service.Diagnosis) -> DiagnosisAnswer:
    """Write a diagnosis."""
    return DiagnosisAnswer(
        findings=[
            FindingAnswer(
                kind=finding.kind.value,
                subject=finding.subject,
                detail=finding.sentence,
                since=finding.since,
                resource_id=finding.resource_id,
                metrics=list(finding.metrics),
            )
            for finding in diagnosis.findings
        ],
        sources=diagnosis.sources,
        instances=diagnosis.instances,
        metrics=diagnosis.metrics,
        is_cut=diagnosis.is_cut,
    )
