"""The Gnocchi v1 dialect at /metric: archive policies, resources, metrics, measures and aggregates."""

from fastapi import FastAPI

from api.context import ApiContext
from api.dialect import create_dialect_app
from api.gnocchi import aggregates, aggregation, measures, metrics, policies, resources, status
from api.gnocchi.faults import render_fault


def create_dialect(context: ApiContext) -> FastAPI:
    """Return the dialect."""
    app = create_dialect_app(context, title="Metric", render=render_fault, strips_trailing_slash=True)
    for module in (status, policies, measures, aggregates, aggregation, metrics, resources):
        app.include_router(module.router)
    return app
