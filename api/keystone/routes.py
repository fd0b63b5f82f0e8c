"""The Keystone v3 dialect at /identity: signing in, the catalog, and the directory of projects, users and roles."""

from fastapi import FastAPI

from api.context import ApiContext
from api.dialect import create_dialect_app
from api.keystone import catalog_lists, directory, not_offered, roles, tokens, versions
from api.keystone.faults import render_fault


def create_dialect(context: ApiContext) -> FastAPI:
    """Return the dialect."""
    app = create_dialect_app(context, title="Identity", render=render_fault, strips_trailing_slash=True)
    for part in (versions, tokens, directory, roles, catalog_lists, not_offered):
        app.include_router(part.router)
    return app
