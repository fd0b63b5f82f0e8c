"""The HTTP application: every dialect mounted under the path that DevStack gives it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio.to_thread
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from api.context import ApiContext
from api.dialect import create_dialect_app
from api.keystone import routes as keystone
from api.native import routes as native
from api.native.problems import render_problem
from foundation.database import transaction
from foundation.errors import Unavailable


def create_app(context: ApiContext) -> Starlette:
    """Return the whole application; the dialects share nothing but the context."""
    mounts: list[Mount] = [
        Mount("/identity", keystone.create_dialect(context)),
        Mount("/v1", native.create_dialect(context)),
    ]

    @asynccontextmanager
    async def limit_threads(_: Starlette) -> AsyncGenerator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = context.settings.api_threads
        yield

    prefixes = frozenset(mount.path for mount in mounts)
    return Starlette(
        routes=[*mounts, Mount("/", create_front(context))],
        lifespan=limit_threads,
        middleware=[Middleware(OpenMounts, prefixes=prefixes)],
    )


class OpenMounts:
    """Serves `/identity` as `/identity/`: clients discover versions at either."""

    def __init__(self, app: ASGIApp, *, prefixes: frozenset[str]) -> None:
        self.app = app
        self.prefixes = prefixes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add the slash that a mount needs."""
        if scope["type"] == "http" and scope["path"] in self.prefixes:
            scope["path"] += "/"
        await self.app(scope, receive, send)


def create_front(context: ApiContext) -> FastAPI:
    """Return what is served outside the dialects: whether the process lives, and whether it can serve."""
    app = create_dialect_app(context, title="Nephoscope", render=render_problem)

    @app.get("/healthz")
    async def answer_health() -> JSONResponse:
        return JSONResponse({"status": "ok"})

    @app.get("/readyz")
    def answer_readiness() -> JSONResponse:
        try:
            with transaction(context.pool) as tx:
                tx.execute("SELECT 1")
        except Unavailable as error:
            return JSONResponse(
                {"status": "waiting", "reason": error.message}, status_code=503, headers={"Retry-After": "2"}
            )
        return JSONResponse({"status": "ok"})

    return app
