"""The native API at /v1: the resources of each package under one application, described by OpenAPI."""

from fastapi import FastAPI

from api.context import ApiContext
from api.dialect import create_dialect_app
from api.native.problems import render_problem

ROUTERS = ()


def create_dialect(context: ApiContext) -> FastAPI:
    """Return the native dialect; browsers may come with their session's cookie."""
    app = create_dialect_app(
        context, title="Nephoscope", render=render_problem, accepts_cookie=True, openapi_url="/openapi.json"
    )
    for router in ROUTERS:
        app.include_router(router)
    return app
