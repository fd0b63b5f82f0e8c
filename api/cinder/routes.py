"""The Cinder v3 dialect at /volume: it exists so that clients who look over all services find one, and holds no volumes."""

from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse

from api.authentication import AdminCaller, RequestCaller
from api.body import new_router
from api.cinder.faults import render_fault
from api.context import ApiContext, context_of
from api.dialect import create_dialect_app
from compute import service

VERSION = "3.0"
"""The lowest is the highest: no later microversion adds anything to what is not there."""

QUOTAS = (
    "volumes", "snapshots", "gigabytes", "per_volume_gigabytes", "backups", "backup_gigabytes", "groups",
)  # fmt: skip

router = new_router()


def to_wire_version(request: Request) -> dict[str, Any]:
    """Write the version that is served."""
    return {
        "id": "v3.0",
        "status": "CURRENT",
        "version": VERSION,
        "min_version": VERSION,
        "updated": "2016-02-08T12:20:21Z",
        "links": [{"rel": "self", "href": f"{context_of(request).settings.base_url}/volume/v3/"}],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.volume+json;version=3"}],
    }


@router.get("/")
async def list_versions(request: Request) -> JSONResponse:
    """Answer 300 Multiple Choices, as Cinder does for its root."""
    return JSONResponse({"versions": [to_wire_version(request)]}, status_code=300)


@router.get("/v3")
async def show_version(request: Request) -> dict[str, Any]:
    """Answer the version's own document."""
    return {"versions": [to_wire_version(request)]}


def show_limits(_: RequestCaller) -> dict[str, Any]:
    """Show the limits: nothing may be made."""
    absolute = {
        "maxTotalVolumes": 0,
        "maxTotalSnapshots": 0,
        "maxTotalVolumeGigabytes": 0,
        "maxTotalBackups": 0,
        "maxTotalBackupGigabytes": 0,
        "totalVolumesUsed": 0,
        "totalSnapshotsUsed": 0,
        "totalGigabytesUsed": 0,
        "totalBackupsUsed": 0,
        "totalBackupGigabytesUsed": 0,
    }
    return {"limits": {"rate": [], "absolute": absolute}}


def show_quota(project: str, request: Request, caller: RequestCaller) -> dict[str, Any]:
    """Show a project's limits, with what is used of them where the query asks."""
    service.require_sight(caller, project)
    if request.query_params.get("usage", "False").lower() == "true":
        detail = {"limit": 0, "in_use": 0, "reserved": 0, "allocated": 0}
        return {"quota_set": {"id": project} | {name: dict(detail) for name in QUOTAS}}
    return {"quota_set": {"id": project} | dict.fromkeys(QUOTAS, 0)}


def show_default_quota(project: str, caller: RequestCaller) -> dict[str, Any]:
    """Show the limits of a project that has none of its own."""
    service.require_sight(caller, project)
    return {"quota_set": {"id": project} | dict.fromkeys(QUOTAS, 0)}


def reset_quota(_: AdminCaller) -> Response:
    """Give a project the default limits again: it never had others."""
    return Response(status_code=200)


def list_nothing(name: str) -> Any:
    """Return an endpoint that answers an empty list."""

    def answer(_: RequestCaller) -> dict[str, Any]:
        return {name: []}

    return answer


def refuse_change(caller: RequestCaller) -> Response:
    """Refuse to make a volume, or to set how many there may be."""
    del caller
    raise HTTPException(403, "This cloud has no volumes: every instance has its own local disk.")


LISTS = {
    "volumes": "volumes",
    "volumes/detail": "volumes",
    "snapshots": "snapshots",
    "snapshots/detail": "snapshots",
    "backups": "backups",
    "backups/detail": "backups",
    "types": "volume_types",
    "attachments": "attachments",
    "os-services": "services",
    "extensions": "extensions",
}

for prefix in ("/v3", "/v3/{url_project}"):
    for path, key in LISTS.items():
        router.get(f"{prefix}/{path}")(list_nothing(key))
    router.get(f"{prefix}/limits")(show_limits)
    router.get(f"{prefix}/os-quota-sets/{{project}}")(show_quota)
    router.get(f"{prefix}/os-quota-sets/{{project}}/defaults")(show_default_quota)
    router.delete(f"{prefix}/os-quota-sets/{{project}}")(reset_quota)
    for kind in ("volumes", "snapshots", "backups", "types"):
        router.post(f"{prefix}/{kind}")(refuse_change)
    router.put(f"{prefix}/os-quota-sets/{{project}}")(refuse_change)


def create_dialect(context: ApiContext) -> FastAPI:
    """Return the dialect."""
    app = create_dialect_app(context, title="Volume", render=render_fault, strips_trailing_slash=True)
    app.include_router(router)
    return app
