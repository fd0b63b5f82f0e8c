"""What is done to a server: the actions, each a body with one key."""

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from fastapi import Request
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool

from api.authentication import authenticate_caller
from api.body import JsonBody, new_router
from api.context import ApiContext, context_of
from api.nova.servers import ServerId
from api.nova.versions import RequestMicroversion
from api.transaction import connection_of
from compute import service
from compute.model import ConsoleOutput
from foundation.database import Transaction, transaction
from foundation.errors import Conflict, Invalid
from identity.model import Caller

router = new_router("/v2.1")

CONSOLE_WAIT_S_MAX = 5.0
CONSOLE_POLL_S = 0.1
CONSOLE_LINES_MAX = 100_000
WHOLE_NUMBER = re.compile(r"-?[0-9]{1,9}")

Act = Callable[..., None]

KNOWN_BUT_NOT_OFFERED = frozenset(
    {
        "pause", "unpause", "suspend", "resume", "lock", "unlock", "resize", "confirmResize", "revertResize", "rebuild",
        "createImage", "shelve", "shelveOffload", "unshelve", "rescue", "unrescue", "changePassword", "addSecurityGroup",
        "removeSecurityGroup", "os-resetState", "migrate", "os-migrateLive", "os-getVNCConsole", "os-getSPICEConsole",
        "os-getSerialConsole", "trigger_crash_dump", "createBackup", "evacuate", "restore", "addFloatingIp",
        "removeFloatingIp", "addFixedIp", "removeFixedIp", "resetNetwork", "injectNetworkInfo",
    }
)  # fmt: skip


@router.post("/servers/{server}/action")
async def act_on_server(request: Request, id_: ServerId, body: JsonBody, microversion: RequestMicroversion) -> Response:
    """Do what the body's one key says."""
    del microversion
    name, argument = read_action(body)
    context = context_of(request)
    caller = await run_in_threadpool(caller_of, request, context)
    if name == "os-getConsoleOutput":
        output = await read_console(context, caller, instance_id=id_)
        return JSONResponse({"output": last_lines(output, argument)})
    request_id: str = request.state.request_id
    await run_in_threadpool(perform, context, caller, id_=id_, name=name, argument=argument, request_id=request_id)
    return Response(status_code=202)


def caller_of(request: Request, context: ApiContext) -> Caller:
    """Authenticate without holding a connection: reading a console waits for the host's agent."""
    with connection_of(context.pool) as connection:
        return authenticate_caller(request, connection)


def read_action(body: Any) -> tuple[str, Any]:
    """Return the body's one key and its value."""
    if not isinstance(body, dict) or len(cast(dict[str, Any], body)) != 1:
        raise Invalid("the body must be an object with one key, the action")
    name, argument = next(iter(cast(dict[str, Any], body).items()))
    if name in KNOWN_BUT_NOT_OFFERED:
        raise Invalid(f"The action {name} is not offered by this cloud.")
    if name not in ACTIONS and name != "os-getConsoleOutput":
        raise Invalid(f"There is no such action: {name[:64]}")
    return name, argument


def perform(context: ApiContext, caller: Caller, *, id_: UUID, name: str, argument: Any, request_id: str) -> None:
    """Do it in one transaction."""
    with transaction(context.pool) as tx:
        ACTIONS[name](tx, caller, id_=id_, argument=argument, now=context.clock(), request_id=request_id)


def start(tx: Transaction, caller: Caller, *, id_: UUID, argument: Any, now: datetime, request_id: str) -> None:
    """os-start."""
    del argument
    service.start_instance(tx, caller=caller, instance_id=id_, now=now, request_id=request_id)


def stop(tx: Transaction, caller: Caller, *, id_: UUID, argument: Any, now: datetime, request_id: str) -> None:
    """os-stop."""
    del argument
    service.stop_instance(tx, caller=caller, instance_id=id_, now=now, request_id=request_id)


def reboot(tx: Transaction, caller: Caller, *, id_: UUID, argument: Any, now: datetime, request_id: str) -> None:
    """reboot {type: SOFT|HARD}: a soft one asks the guest first; only a hard one wakes a guest that is off."""
    kind: Any = cast(dict[str, Any], argument).get("type") if isinstance(argument, dict) else None
    if not isinstance(kind, str) or kind.upper() not in ("SOFT", "HARD"):
        raise Invalid("Invalid input for field/attribute type: it must be SOFT or HARD", field="type")
    is_hard = kind.upper() == "HARD"
    service.reboot_instance(tx, caller=caller, instance_id=id_, now=now, is_hard=is_hard, request_id=request_id)


def force_delete(tx: Transaction, caller: Caller, *, id_: UUID, argument: Any, now: datetime, request_id: str) -> None:
    """forceDelete: the same as a delete, since nothing is kept for later."""
    del argument
    service.delete_instance(tx, caller=caller, instance_id=id_, now=now, request_id=request_id)


ACTIONS: Mapping[str, Act] = {"os-start": start, "os-stop": stop, "reboot": reboot, "forceDelete": force_delete}


async def read_console(context: ApiContext, caller: Caller, *, instance_id: UUID) -> str:
    """Ask the host's agent and wait for its answer outside any transaction; what was read before serves where it is silent."""
    asked_at = context.clock()
    await run_in_threadpool(request_console, context, caller, instance_id=instance_id, asked_at=asked_at)
    deadline = time.monotonic() + CONSOLE_WAIT_S_MAX
    console: ConsoleOutput | None = None
    while time.monotonic() < deadline:
        console = await run_in_threadpool(find_console, context, caller, instance_id=instance_id)
        if console is not None and console.answered_at is not None and console.answered_at >= asked_at:
            return console.output
        await asyncio.sleep(CONSOLE_POLL_S)
    if console is not None and console.answered_at is not None:
        return console.output
    raise Conflict(f"The host of instance {instance_id} does not answer; try again later.")


def request_console(context: ApiContext, caller: Caller, *, instance_id: UUID, asked_at: datetime) -> None:
    """Ask, in a transaction of its own."""
    with transaction(context.pool) as tx:
        service.request_console(tx, caller=caller, instance_id=instance_id, now=asked_at)


def find_console(context: ApiContext, caller: Caller, *, instance_id: UUID) -> ConsoleOutput | None:
    """Look, in a transaction of its own."""
    with transaction(context.pool) as tx:
        return service.find_console(tx, caller=caller, instance_id=instance_id)


def last_lines(output: str, argument: Any) -> str:
    """Return the last `length` lines, all of them where none or -1 is given."""
    length: Any = cast(dict[str, Any], argument).get("length") if isinstance(argument, dict) else None
    if length is None:
        return output
    text = str(length)
    if isinstance(length, bool) or not WHOLE_NUMBER.fullmatch(text) or not -1 <= int(text) <= CONSOLE_LINES_MAX:
        raise Invalid("Invalid input for field/attribute length: it must be a whole number of lines", field="length")
    if int(text) == -1:
        return output
    return "".join(output.splitlines(keepends=True)[-int(text) :]) if int(text) else ""
