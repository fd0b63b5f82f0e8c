"""GET /metrics: what our processes have counted and what the database knows, as Prometheus reads it.

Not for the public: it answers who calls directly from a network that NEPHO_METRICS_CIDRS names (loopback at first), and admins.
"""

import threading
import time
from collections.abc import Sequence
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, FastAPI, Request, Response
from psycopg import Error as DatabaseError
from psycopg_pool import PoolTimeout

from api.authentication import presented_token
from api.context import ApiContext, context_of
from api.trust import LOOPBACK_NETWORKS, is_trusted, peer_of
from foundation.database import Isolation, transaction
from foundation.errors import Unavailable
from foundation.exposition import Counted, Family, Sample, families_of, read_all, write_exposition
from identity import policy
from identity.service import validate_token
from orchestration.watch import DATABASE_UP, ServiceState, read_service_state

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
STATE_KEPT_S = 10.0
"""How long what the database said is answered again, so that whoever asks often does not make it work often."""

FORWARDING_HEADERS = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
"""A request with one of these came through a proxy: its peer's address says nothing of who asks."""

PROCESSES = "nephoscope_processes"
RESIDENT = "nephoscope_process_resident_memory_bytes"


class StateCache:
    """The last state that the database told in this process, and when."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._state: ServiceState | None = None
        self._read_at = float("-inf")

    def read(self, context: ApiContext) -> ServiceState | None:
        """Return the state, at most STATE_KEPT_S old; None while the database does not tell it."""
        with self._lock:
            if time.monotonic() - self._read_at >= STATE_KEPT_S:
                self._state = read_state(context)
                self._read_at = time.monotonic()
            return self._state


def read_state(context: ApiContext) -> ServiceState | None:
    """Ask the database; a watch must be told of an outage, not fail by it."""
    try:
        with transaction(context.pool, Isolation.SNAPSHOT) as tx:
            return read_service_state(tx)
    except (Unavailable, DatabaseError, PoolTimeout):
        return None


def admit_watcher(request: Request) -> None:
    """Let a watcher in by its address, when it asks directly, else by an admin's token. Raises Unauthenticated and Forbidden."""
    context = context_of(request)
    peer = peer_of(request)
    if is_direct(request, peer) and is_trusted(peer, context.settings.metrics_cidrs):
        return
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    secret = bearer.strip() if scheme.lower() == "bearer" and bearer else presented_token(request)
    with transaction(context.pool) as tx:
        policy.require_admin(validate_token(tx, secret, context.clock()))


def is_direct(request: Request, peer: str) -> bool:
    """Tell whether the peer itself asks: no proxy for another, and no page in a browser here that calls us by a name of its own."""
    if any(name in request.headers for name in FORWARDING_HEADERS):
        return False
    host = request.url.hostname or ""
    own = {"localhost", urlsplit(context_of(request).settings.base_url).hostname}
    return not is_trusted(peer, LOOPBACK_NETWORKS) or host in own or is_trusted(host, LOOPBACK_NETWORKS)


Admitted = Annotated[None, Depends(admit_watcher)]


def add_metrics(app: FastAPI, context: ApiContext) -> None:
    """Answer /metrics."""
    cache = StateCache()
    folder = context.settings.metrics_folder

    @app.get("/metrics")
    def answer_metrics(_: Admitted) -> Response:
        text = write_exposition(all_families(read_all(folder), cache.read(context)))
        return Response(text, headers={"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"})


def all_families(counted: Counted, state: ServiceState | None) -> Sequence[Family]:
    """Join what processes counted, which of them run, and what the database told."""
    roles = sorted({process.role for process in counted.running})
    running = [("", {"process": role}, float(sum(p.role == role for p in counted.running))) for role in roles]
    resident = [
        ("", {"process": role}, float(sum(p.resident_bytes for p in counted.running if p.role == role)))
        for role in roles
    ]
    up: list[Sample] = [("", {}, float(state is not None))]
    return [
        *families_of(counted.values),
        Family(PROCESSES, "gauge", "Processes of the service that run on this machine, by kind.", running),
        Family(RESIDENT, "gauge", "Their resident memory together; pages that they share count for each.", resident),
        Family(DATABASE_UP, "gauge", "1 where the database told its state, 0 where it did not answer.", up),
        *(state.families() if state is not None else []),
    ]
