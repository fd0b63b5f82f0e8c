"""How a dialect is made: an application of its own, guarded, which answers every failure in its own form."""

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from api.context import ApiContext
from api.faults import fault_of
from api.guard import BodyLimit, Guard, RenderFault
from foundation.errors import DomainError


def create_dialect_app(
    context: ApiContext,
    *,
    title: str,
    render: RenderFault,
    body_limit: BodyLimit | None = None,
    strips_trailing_slash: bool = False,
    accepts_cookie: bool = False,
    accepts_trusted: bool = False,
    openapi_url: str | None = None,
) -> FastAPI:
    """Return the application to which a dialect adds its routers (of api.body.new_router); `render` writes a Fault in its form.

    `body_limit(method, path)` gives a path a limit of its own, such as an image upload; `accepts_cookie` lets a browser's
    session in; `accepts_trusted` takes a trusted peer's word for who calls, where NEPHO_TRUSTED_AUTH is set;
    `strips_trailing_slash` serves `/v1/metric/` by the route of `/v1/metric`.
    """
    app = FastAPI(title=title, redirect_slashes=False, openapi_url=openapi_url, docs_url=None, redoc_url=None)
    app.state.context = context
    app.state.accepts_cookie = accepts_cookie
    app.state.accepts_trusted = accepts_trusted

    def answer_failure(request: Request, error: Exception) -> Response:
        return render(request, fault_of(error))

    for kind in (DomainError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, answer_failure)
    app.add_middleware(
        Guard,
        render=render,
        body_bytes_max=context.settings.body_bytes_max,
        body_limit=body_limit,
        strips_trailing_slash=strips_trailing_slash,
    )
    return app
