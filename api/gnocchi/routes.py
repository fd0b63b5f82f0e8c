"""The Gnocchi v1 dialect at /metric: archive policies, resources, metrics, measures and aggregates."""

from fastapi import Depends, FastAPI
from fastapi.middleware.cors import CORSMiddleware

from api.context import ApiContext
from api.dialect import create_dialect_app
from api.gnocchi import aggregates, aggregation, influxdb, measures, metrics, policies, prometheus, resources, status
from api.gnocchi.faults import render_fault
from api.gnocchi.media import check_media


def create_dialect(context: ApiContext) -> FastAPI:
    """Return the dialect."""
    app = create_dialect_app(
        context, title="Metric", render=render_fault, strips_trailing_slash=True, accepts_trusted=True
    )
    for module in (influxdb, prometheus):
        app.include_router(module.router)
    for module in (status, policies, measures, aggregates, aggregation, metrics, resources):
        app.include_router(module.router, dependencies=[Depends(check_media)])
    allow_origins(app, context.settings.cors_origins)
    return app


def allow_origins(app: FastAPI, listed: str) -> None:
    """Let pages of these origins call the dialect; without any, browsers keep to the same origin."""
    origins = [origin.strip().rstrip("/") for origin in listed.split(",") if origin.strip()]
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["X-Auth-Token", "Content-Type", "If-Match", "If-None-Match"],
            expose_headers=["ETag", "Link", "Location", "X-OpenStack-Request-Id"],
        )
