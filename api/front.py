"""What is served outside the dialects: the dashboard's files, the list of routes, how the service does."""

import html
import warnings
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse
from starlette.exceptions import HTTPException

from api.context import ApiContext
from api.dialect import create_dialect_app
from api.metrics import add_metrics
from api.native.problems import render_problem
from foundation.database import transaction
from foundation.errors import Unavailable

DASHBOARD_FOLDER = Path("dashboard", "dist")
"""Where provisioning puts what it built, under var/."""
IMMUTABLE_FILES = "assets/"
"""Files whose names hold a hash of their content."""

PAGE_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self';"
        " manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}

NOT_BUILT = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Nephoscope</title></head><body>
<h1>Nephoscope</h1><p>The dashboard is not built yet: run <code>make dashboard</code>, or <code>make run</code>, which does it.</p>
<p>The APIs are served all the same: <a href="/docs">their routes</a>.</p></body></html>"""

STYLE = """body { font: 1rem/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color-scheme: light dark }
table { border-collapse: collapse; width: 100% } td { border-top: 1px solid; padding: .25rem .75rem .25rem 0; vertical-align: top }
code { font-family: ui-monospace, monospace }"""


def create_front(context: ApiContext, dialects: Mapping[str, FastAPI]) -> FastAPI:
    """Return the application at /; `dialects` are described at /docs."""
    app = create_dialect_app(context, title="Nephoscope", render=render_problem)
    add_health(app, context)
    add_metrics(app, context)
    page = cache(lambda: write_documentation(dialects))
    files = (context.settings.var / DASHBOARD_FOLDER).resolve()

    @app.get("/docs")
    def show_documentation() -> HTMLResponse:
        return HTMLResponse(page(), headers=PAGE_HEADERS)

    @app.get("/docs.css")
    async def show_style() -> PlainTextResponse:
        return PlainTextResponse(STYLE, media_type="text/css")

    @app.head("/{path:path}")
    @app.get("/{path:path}")
    def show_dashboard(request: Request, path: str) -> Response:
        return answer_file(files, path, wants_page="text/html" in request.headers.get("accept", ""))

    return app


def add_health(app: FastAPI, context: ApiContext) -> None:
    """Answer whether the process lives, and whether it can serve."""

    @app.get("/healthz")
    async def answer_health() -> JSONResponse:
        return JSONResponse({"status": "ok"})

    @app.get("/readyz")
    def answer_readiness() -> JSONResponse:
        try:
            with transaction(context.pool) as tx:
                tx.execute("SELECT 1")
        except Unavailable as error:
            return JSONResponse({"status": "waiting", "reason": error.message}, 503, headers={"Retry-After": "2"})
        return JSONResponse({"status": "ok"})


def answer_file(files: Path, path: str, *, wants_page: bool) -> Response:
    """Answer a file of the dashboard, or its page for any address that only the page knows."""
    index = files / "index.html"
    if not index.is_file():
        if wants_page or path in {"", "index.html"}:
            return HTMLResponse(NOT_BUILT, 503, headers=PAGE_HEADERS)
        raise HTTPException(404, "there is nothing at this address")
    found = find_file(files, path)
    if found is not None:
        is_immutable = path.startswith(IMMUTABLE_FILES)
        cached = "public, max-age=31536000, immutable" if is_immutable else "no-cache"
        return FileResponse(found, headers={**PAGE_HEADERS, "Cache-Control": cached})
    if path and not wants_page:
        raise HTTPException(404, "there is nothing at this address")
    return FileResponse(index, headers={**PAGE_HEADERS, "Cache-Control": "no-cache"})


def find_file(files: Path, path: str) -> Path | None:
    """Return a file inside the dashboard's folder; whatever leads out of it, by dots or by a link, is not there."""
    candidate = (files / path).resolve()
    if not candidate.is_relative_to(files) or not candidate.is_file():
        return None
    return candidate


def write_documentation(dialects: Mapping[str, FastAPI]) -> str:
    """Write the list of all routes as one page without scripts, from the applications themselves."""
    sections = "".join(write_dialect(prefix, app) for prefix, app in dialects.items())
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        '<title>Nephoscope: routes</title><link rel="stylesheet" href="/docs.css"></head><body><h1>Routes</h1>'
        '<p>The native API is described in full by <a href="/v1/openapi.json">OpenAPI</a>; the others are OpenStack\'s own, '
        f"for its clients.</p>{sections}</body></html>"
    )


def write_dialect(prefix: str, app: FastAPI) -> str:
    """Write one dialect's routes by path."""
    with warnings.catch_warnings(action="ignore"):  # of operation ids, which only the native API publishes
        paths: Mapping[str, Mapping[str, Mapping[str, Any]]] = app.openapi()["paths"]
    rows = "".join(
        write_route(method.upper(), prefix + path, str(operation.get("description", "")))
        for path, operations in sorted(paths.items())
        for method, operation in operations.items()
    )
    return f"<h2>{html.escape(app.title)} <code>{html.escape(prefix)}</code></h2><table>{rows}</table>"


def write_route(method: str, path: str, description: str) -> str:
    """Write a route: method, path, and the first line of what it does."""
    sentence = description.strip().partition("\n")[0]
    return (
        f"<tr><td><code>{html.escape(method)}</code></td><td><code>{html.escape(path)}</code></td>"
        f"<td>{html.escape(sentence)}</td></tr>"
    )
