"""The native API at /v1: the resources of each package under one application, described by OpenAPI."""

from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

from api.body import StrictRoute
from api.context import ApiContext
from api.dialect import create_dialect_app
from api.native import (
    alarms,
    billing,
    completeness,
    dead_letters,
    deliveries,
    doctor,
    events,
    instances,
    late_samples,
    meters,
    scaling,
    series,
    session,
    stream,
    usage,
)
from api.native.problems import Problem, render_problem

ROUTERS: tuple[APIRouter, ...] = (
    session.router,
    stream.router,
    instances.router,
    series.router,
    alarms.router,
    scaling.router,
    deliveries.router,
    dead_letters.router,
    billing.router,
    usage.router,
    events.router,
    meters.router,
    completeness.router,
    doctor.router,
    late_samples.router,
)
"""One a resource; each is made by api.body.new_router, so that its bodies are strict JSON."""

PROBLEM_ANSWER: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "What went wrong (RFC 9457)",
        "content": {"application/problem+json": {"schema": Problem.model_json_schema()}},
    }
}


def create_dialect(context: ApiContext) -> FastAPI:
    """Return the native dialect; browsers may come with their session's cookie."""
    app = create_dialect_app(
        context, title="Nephoscope", render=render_problem, accepts_cookie=True, openapi_url="/openapi.json"
    )
    app.state.broadcast = stream.Broadcast(context)
    for router in ROUTERS:
        for route in router.routes:
            if isinstance(route, APIRoute) and not isinstance(route, StrictRoute):
                raise TypeError(f"{route.path}: make its router with api.body.new_router")
        app.include_router(router, responses=PROBLEM_ANSWER, generate_unique_id_function=name_operation)
    return app


def name_operation(route: APIRoute) -> str:
    """Name an operation after its function."""
    return route.name
