"""The Aodh v2 dialect at /alarming: alarms, their states and history, queries, quotas."""

from fastapi import FastAPI, Request

from api.aodh import alarms, queries, quotas
from api.aodh.faults import render_fault
from api.body import new_router
from api.context import ApiContext, context_of
from api.dialect import create_dialect_app

versions = new_router()


@versions.get("/")
def list_versions(request: Request) -> dict[str, object]:
    """Tell clients that version 2 is served."""
    href = f"{context_of(request).settings.base_url}/alarming/v2"
    version = {
        "id": "v2",
        "status": "CURRENT",
        "updated": "2013-02-13T00:00:00Z",
        "links": [{"rel": "self", "href": href}],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.telemetry-v2+json"}],
    }
    return {"versions": {"values": [version]}}


def create_dialect(context: ApiContext) -> FastAPI:
    """Return the dialect."""
    app = create_dialect_app(
        context, title="Alarming", render=render_fault, strips_trailing_slash=True, accepts_trusted=True
    )
    for router in (versions, alarms.router, queries.router, quotas.router):
        app.include_router(router)
    return app
