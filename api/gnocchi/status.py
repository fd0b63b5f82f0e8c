"""What the service is and can: versions, capabilities and status."""

from typing import Annotated, Any

from fastapi import Query, Request, Response

from api.authentication import AdminCaller, RequestCaller
from api.body import new_router
from api.gnocchi.answers import answer, is_true
from api.gnocchi.forwarding import base_url
from api.transaction import SnapshotTransaction
from metering import service
from metering.archive_policies import METHODS_ALL
from metering.service import metrics

router = new_router()
BUILD = "4.7.0"
"""The version of Gnocchi whose interface this is."""


def base_of(request: Request) -> str:
    """Return the dialect's own address."""
    return base_url(request) + str(request.scope.get("root_path", "")).rstrip("/")


@router.get("/")
async def list_versions(request: Request) -> Response:
    """List the one version."""
    link = {"rel": "self", "href": f"{base_of(request)}/v1/"}
    version = {"id": "v1.0", "status": "CURRENT", "updated": "2015-03-19", "links": [link]}
    return answer({"build": BUILD, "versions": [version]})


@router.get("/v1")
async def show_version(request: Request) -> Response:
    """Say what the version has."""
    names = (
        *("aggregates", "aggregation", "archive_policy", "archive_policy_rule", "batch", "capabilities", "influxdb"),
        *("metric", "prometheus", "resource", "resource_type", "search", "status"),
    )
    links: list[dict[str, str]] = [{"rel": "self", "href": f"{base_of(request)}/v1"}]
    links += [{"rel": name, "href": f"{base_of(request)}/v1/{name}"} for name in names]
    return answer({"version": "1.0", "links": links})


@router.get("/v1/capabilities")
def show_capabilities(_: RequestCaller) -> Response:
    """Name the aggregation methods."""
    return answer({"aggregation_methods": sorted(METHODS_ALL)})


@router.get("/v1/status")
def show_status(tx: SnapshotTransaction, _: AdminCaller, details: Annotated[str | None, Query()] = None) -> Response:
    """Say how much waits to be rolled up; what waits is visible to readers all the same."""
    backlog = service.backlog(tx)
    storage: dict[str, Any] = {"summary": {"metrics": backlog.metrics, "measures": backlog.ranges}}
    if details is None or is_true(details):
        storage["measures_to_process"] = {str(one): ranges for one, ranges in metrics.list_waiting(tx).items()}
    return answer({"metricd": {"processors": [], "statistics": {}}, "storage": storage})


@router.get("/healthcheck")
async def answer_health() -> Response:
    """Say that the process lives."""
    return answer({"status": "ok"})
