"""What happens on the socket itself: slow, endless and oversized requests cost little and hurt nobody else."""

import contextlib
import socket
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from entrypoints.http import HEADER_READ_TIMEOUT_MS
from tests.contract.conftest import LiveApi

PATIENCE_S = 60.0
"""How long a busy machine may take to answer; whoever is held up by another's request waits for ever."""
SLOW_CLIENTS = 100
CHUNKS_OF_1_MIB = 200
GROWTH_KIB_MAX = 32 * 1024


def connect(live_api: LiveApi) -> socket.socket:
    parts = urlsplit(live_api.url)
    assert parts.hostname is not None
    assert parts.port is not None
    return socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE_S)


def answer_to(live_api: LiveApi, request: bytes) -> bytes:
    """Send a request as it is and return the first line of the answer; the server may have stopped reading before its end."""
    with connect(live_api) as opened:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            opened.sendall(request)
        try:
            return opened.recv(65536).split(b"\r\n")[0]
        except ConnectionResetError:
            return b""


def resident_kib(live_api: LiveApi) -> int:
    status = Path(f"/proc/{live_api.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def assert_healthy(live_api: LiveApi) -> None:
    with urllib.request.urlopen(f"{live_api.url}/readyz", timeout=PATIENCE_S) as answer:
        assert answer.status == 200


def test_clients_that_never_finish_their_headers_are_dropped_and_delay_nobody(live_api: LiveApi) -> None:
    slow = [connect(live_api) for _ in range(SLOW_CLIENTS)]
    try:
        for opened in slow:
            opened.sendall(b"GET /readyz HTTP/1.1\r\nHost: a\r\nX-Slow: ")
        for _ in range(10):
            assert_healthy(live_api)
        deadline = time.monotonic() + HEADER_READ_TIMEOUT_MS / 1000 + PATIENCE_S
        for opened in slow:
            opened.settimeout(max(0.1, deadline - time.monotonic()))
            opened.recv(65536)
    finally:
        for opened in slow:
            opened.close()


def test_an_endless_chunked_body_is_refused_early_and_not_kept(live_api: LiveApi) -> None:
    before = resident_kib(live_api)
    head = b"POST /identity/v3/auth/tokens HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"%x\r\n" % (1 << 20) + b" " * (1 << 20) + b"\r\n"
    with connect(live_api) as opened:
        opened.sendall(head)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(CHUNKS_OF_1_MIB):
                opened.sendall(chunk)
    assert resident_kib(live_api) - before < GROWTH_KIB_MAX
    assert_healthy(live_api)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(b"x-%d: 1\r\n" % number for number in range(10_000)) + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: " + b"1" * 200_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /?" + b"a=1&" * 50_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /v1/session HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n",
        b"POST /v1/session HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"GET /%ff%fe/../%00 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET \xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200,
        b"NONSENSE\r\n\r\n",
    ],
)
def test_a_request_beyond_every_limit_is_refused_and_the_next_one_served(
    live_api: LiveApi, request_bytes: bytes
) -> None:
    line = answer_to(live_api, request_bytes)
    assert line == b"" or line.startswith(b"HTTP/1.1 4"), line
    assert_healthy(live_api)
