"""The Nova v2.1 dialect at /compute: servers, flavors, key pairs, quotas, hosts."""

from fastapi import FastAPI

from api.context import ApiContext
from api.dialect import create_dialect_app
from api.nova import (
    actions,
    flavors,
    keypairs,
    not_offered,
    operators,
    quotas,
    server_parts,
    servers,
    tags,
    usages,
    versions,
)
from api.nova.faults import render_fault


def create_dialect(context: ApiContext) -> FastAPI:
    """Return the dialect."""
    app = create_dialect_app(context, title="Compute", render=render_fault, strips_trailing_slash=True)
    parts = (versions, servers, actions, server_parts, tags, flavors, keypairs, quotas, operators, usages, not_offered)
    for part in parts:
        app.include_router(part.router)
    app.add_middleware(versions.MicroversionHeaders)
    return app
