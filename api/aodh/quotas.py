"""How many alarms a project may have, in Aodh's dialect."""

from typing import Annotated, Any, Literal

from fastapi import Query, Response
from pydantic import BaseModel, ConfigDict, Field

from alarms import service
from api.authentication import AdminCaller, RequestCaller
from api.body import JsonBody, new_router, validated
from api.transaction import RequestTransaction, SnapshotTransaction
from foundation.errors import Forbidden
from identity import policy

router = new_router("/v2/quotas")


class WireLimit(BaseModel):
    """One limit."""

    model_config = ConfigDict(extra="forbid")

    resource: Literal["alarms"]
    limit: int


class WireQuotas(BaseModel):
    """The limits of one project."""

    model_config = ConfigDict(extra="forbid")

    project_id: str = Field(min_length=1, max_length=255)
    quotas: list[WireLimit] = Field(max_length=10)


def to_wire_quotas(project_id: str, limit: int) -> dict[str, Any]:
    """Write a project's limits."""
    return {"project_id": project_id, "quotas": [{"resource": "alarms", "limit": limit}]}


@router.get("")
def get_quotas(
    tx: SnapshotTransaction, caller: RequestCaller, project_id: Annotated[str | None, Query(max_length=255)] = None
) -> dict[str, Any]:
    """Show a project's limits, the caller's own where none is named."""
    wanted = project_id or caller.project_id
    if not policy.may_read(caller, wanted):
        raise Forbidden("another project's quotas are an admin's to see")
    return to_wire_quotas(wanted, service.get_quota(tx, wanted))


@router.post("", status_code=201)
def set_quotas(tx: RequestTransaction, caller: AdminCaller, body: JsonBody) -> dict[str, Any]:
    """Give a project limits of its own."""
    wire = validated(WireQuotas, body)
    for one in wire.quotas:
        service.set_quota(tx, wire.project_id, alarms_max=one.limit, caller=caller)
    return to_wire_quotas(wire.project_id, service.get_quota(tx, wire.project_id))


@router.delete("/{project_id}", status_code=204)
def delete_quotas(tx: RequestTransaction, caller: AdminCaller, project_id: str) -> Response:
    """Give a project the default limits again."""
    service.delete_quota(tx, project_id, caller=caller)
    return Response(status_code=204)
