"""Reads that are asked often, each done in one thread from the token to the answer: a dependency a step is a change of threads a step."""

from collections.abc import Callable

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool

from api.authentication import authenticate_caller
from api.context import context_of
from api.transaction import begun, connection_of
from foundation.database import Isolation, Transaction
from identity.model import Caller

Respond = Callable[[Transaction, Caller], Response]


async def answer_read(request: Request, respond: Respond) -> Response:
    """Admit the request to the database, and answer it as its caller from one snapshot."""
    context = context_of(request)
    async with context.connections.admitted():
        return await run_in_threadpool(respond_from_snapshot, request, respond)


def respond_from_snapshot(request: Request, respond: Respond) -> Response:
    """Begin, look the token up, respond and end; what need not wait for its answer goes out with what comes next."""
    with (
        connection_of(context_of(request).pool) as connection,
        connection.pipeline(),
        begun(connection, Isolation.SNAPSHOT) as tx,
    ):
        return respond(tx, authenticate_caller(request, tx))
