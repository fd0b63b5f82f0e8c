"""The HTTP application: every dialect mounted under the path that DevStack gives it."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

import anyio.to_thread
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from api.aodh import routes as aodh
from api.cinder import routes as cinder
from api.context import ApiContext
from api.front import create_front
from api.glance import routes as glance
from api.gnocchi import routes as gnocchi
from api.keystone import routes as keystone
from api.native import routes as native
from api.neutron import routes as neutron
from api.nova import routes as nova


def create_dialects(context: ApiContext) -> Mapping[str, FastAPI]:
    """Return every dialect by the path under which it is mounted."""
    return {
        "/v1": native.create_dialect(context),
        "/identity": keystone.create_dialect(context),
        "/compute": nova.create_dialect(context),
        "/image": glance.create_dialect(context),
        "/network": neutron.create_dialect(context),
        "/volume": cinder.create_dialect(context),
        "/metric": gnocchi.create_dialect(context),
        "/alarming": aodh.create_dialect(context),
    }


def create_app(context: ApiContext) -> Starlette:
    """Return the whole application; the dialects share nothing but the context."""
    dialects = create_dialects(context)

    @asynccontextmanager
    async def limit_threads(_: Starlette) -> AsyncGenerator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = context.settings.api_threads
        yield

    app = Starlette(
        routes=[
            *(Mount(prefix, dialect) for prefix, dialect in dialects.items()),
            Mount("/", create_front(context, dialects)),
        ],
        lifespan=limit_threads,
        middleware=[Middleware(OpenMounts, prefixes=frozenset(dialects))],
    )
    app.state.close_streams = dialects["/v1"].state.broadcast.close
    return app


class OpenMounts:
    """Serves `/identity` as `/identity/`: clients discover versions at either; and leads any path to its dialect.

    A mount does not match a path with a newline in it, which would then get an answer in no dialect's form. Nothing of ours
    has such an address, and nothing has the one that we make of it.
    """

    def __init__(self, app: ASGIApp, *, prefixes: frozenset[str]) -> None:
        self.app = app
        self.prefixes = prefixes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add the slash that a mount needs, and take out what it cannot match."""
        if scope["type"] == "http" and scope["path"] in self.prefixes:
            scope["path"] += "/"
        elif scope["type"] == "http" and "\n" in scope["path"]:
            scope["path"] = scope["path"].replace("\n", "\N{REPLACEMENT CHARACTER}")
        await self.app(scope, receive, send)
