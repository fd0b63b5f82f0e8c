"""Webhooks against real listeners: what is signed and sent, what a bad receiver can do, and that no trick reaches inside."""

import gzip
import socket
import ssl
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from standardwebhooks import Webhook

from alarms.delivery import Delivery, Outcome, OutcomeKind, secret_text
from alarms.egress import EgressPolicy
from alarms.webhook import ANSWER_BYTES_MAX, Sender
from foundation.clock import utc_now

SECRET = b"s" * 32
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LOOPBACK = EgressPolicy.from_setting("127.0.0.0/8")


@dataclass(slots=True)
class Heard:
    """What a listener heard."""

    connections: int = 0
    bodies: list[bytes] = field(default_factory=list[bytes])
    headers: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    sent_bytes: int = 0


def a_delivery(url: str) -> Delivery:
    return Delivery(
        id=UUID(int=5), project_id="p", alarm_id=None, event_id=UUID(int=6), url=url, body='{"alarm_name": "hot ☀"}',
        state="pending", attempts=1, attempts_max=5, next_attempt_at=NOW, lease_owner="w", lease_until=NOW,
        created_at=NOW, finished_at=None,
    )  # fmt: skip


@contextmanager
def listening(
    answer: Callable[[socket.socket, Heard], None], tls: ssl.SSLContext | None = None
) -> Generator[tuple[int, Heard]]:
    """Accept connections on a loopback port and let `answer` speak on each."""
    heard = Heard()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.1)
    ended = threading.Event()

    def serve() -> None:
        while not ended.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            heard.connections += 1
            connection.settimeout(120)
            try:
                with connection if tls is None else tls.wrap_socket(connection, server_side=True) as spoken:
                    answer(spoken, heard)
            except OSError:
                continue

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1], heard
    finally:
        ended.set()
        thread.join(10)
        listener.close()


def read_request(connection: socket.socket, heard: Heard) -> None:
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")[1:]
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers["content-length"]):
        body += connection.recv(65536)
    heard.headers.append(headers)
    heard.bodies.append(body)


def answering(raw: bytes) -> Callable[[socket.socket, Heard], None]:
    def answer(connection: socket.socket, heard: Heard) -> None:
        read_request(connection, heard)
        connection.sendall(raw)

    return answer


def send(url: str, **changes: Any) -> Outcome:
    sender = replace(Sender(LOOPBACK), **changes)
    return sender.send(a_delivery(url), secrets=[SECRET], sent_at=utc_now())


def test_a_receiver_gets_the_body_signed_and_its_answer_is_kept() -> None:
    with listening(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nthere")) as (port, heard):
        outcome = send(f"http://127.0.0.1:{port}/hook?key=1")
    assert (outcome.kind, outcome.status_code, outcome.answer) == (OutcomeKind.DELIVERED, 200, "there")
    assert heard.headers[0]["webhook-id"] == f"msg_{UUID(int=5).hex}"
    assert heard.headers[0]["x-openstack-request-id"] == f"req-{UUID(int=6)}"
    assert heard.headers[0]["host"] == f"127.0.0.1:{port}"
    assert Webhook(secret_text(SECRET)).verify(heard.bodies[0], heard.headers[0]) == {"alarm_name": "hot ☀"}


@pytest.mark.parametrize("status", [301, 302, 307, 400, 404, 500, 503])
def test_another_status_is_a_rejection_and_a_redirect_is_never_followed(status: int) -> None:
    with listening(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as (inside, heard):
        head = f"HTTP/1.1 {status} X\r\nLocation: http://127.0.0.1:{inside}/\r\nContent-Length: 0\r\n\r\n"
        with listening(answering(head.encode())) as (port, _):
            outcome = send(f"http://127.0.0.1:{port}/")
        assert (outcome.kind, outcome.status_code) == (OutcomeKind.REJECTED, status)
        assert heard.connections == 0


def test_the_environment_s_proxy_is_not_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as (proxy, heard):
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy}")
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        with listening(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as (port, _):
            assert send(f"http://127.0.0.1:{port}/").kind is OutcomeKind.DELIVERED
        assert heard.connections == 0


def test_no_more_than_64_kib_of_an_endless_answer_is_read() -> None:
    def flood(connection: socket.socket, heard: Heard) -> None:
        read_request(connection, heard)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")
        for _ in range(1024):
            heard.sent_bytes += connection.send(b"x" * 1024 * 1024)

    with listening(flood) as (port, heard):
        outcome = send(f"http://127.0.0.1:{port}/")
    assert outcome.kind is OutcomeKind.DELIVERED
    assert outcome.answer is not None
    assert len(outcome.answer) == 1000
    assert heard.sent_bytes < 200 * ANSWER_BYTES_MAX


def test_a_compressed_bomb_stays_compressed() -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n".encode()
    with listening(answering(head + bomb)) as (port, _):
        outcome = send(f"http://127.0.0.1:{port}/")
    assert outcome.kind is OutcomeKind.DELIVERED
    assert "\x00" not in (outcome.answer or "")


DRIPS = 2_400
"""At twenty a second: two minutes, and each of them long before a reader's own patience ends."""


def test_a_receiver_that_hangs_or_drips_ends_at_the_deadline() -> None:
    def hang(connection: socket.socket, heard: Heard) -> None:
        read_request(connection, heard)
        connection.recv(1)

    def drip_head(connection: socket.socket, heard: Heard) -> None:
        read_request(connection, heard)
        for letter in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * DRIPS:
            connection.send(bytes([letter]))
            time.sleep(0.05)

    def drip_body(connection: socket.socket, heard: Heard) -> None:
        read_request(connection, heard)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
        for _ in range(DRIPS):
            connection.send(b"x")
            time.sleep(0.05)

    for answer in (hang, drip_head, drip_body):
        with listening(answer) as (port, _):
            started = time.monotonic()
            outcome = send(f"http://127.0.0.1:{port}/", deadline_s=1.0)
            assert outcome.kind is OutcomeKind.UNREACHABLE
            assert time.monotonic() - started < 100, "the drips alone take longer"


def test_nonsense_and_a_closed_door_are_no_answer() -> None:
    with listening(answering(b"\x00\xff nonsense \r\n\r\n")) as (port, _):
        assert send(f"http://127.0.0.1:{port}/").kind is OutcomeKind.UNREACHABLE
    outcome = send(f"http://127.0.0.1:{port}/")
    assert outcome.kind is OutcomeKind.UNREACHABLE
    assert outcome.error is not None


INSIDE_TRICKS = [
    "http://127.0.0.1:{port}/", "http://localhost:{port}/", "http://LOCALHOST:{port}/", "http://127.1:{port}/",
    "http://2130706433:{port}/", "http://0x7f000001:{port}/", "http://017700000001:{port}/", "http://0x7f.0.0.1:{port}/",
    "http://[::1]:{port}/", "http://[::ffff:127.0.0.1]:{port}/", "http://[::ffff:7f00:1]:{port}/",
    "http://[64:ff9b::7f00:1]:{port}/", "http://[2002:7f00:1::]:{port}/", "http://[::127.0.0.1]:{port}/",
    "http://0.0.0.0:{port}/", "http://0:{port}/", "http://169.254.169.254:{port}/latest/meta-data/",
    "http://[fd00:ec2::254]:{port}/", "https://127.0.0.1:{port}/", "https://localhost:{port}/",
    "http://user:pass@127.0.0.1:{port}/", "http://example.org@127.0.0.1:{port}/", "http://example.org#@127.0.0.1:{port}/",
    "file:///etc/passwd", "gopher://127.0.0.1:{port}/_x", "ftp://127.0.0.1:{port}/", "dict://127.0.0.1:{port}/",
    "http://127.0.0.1:{port}\\@example.org/", "http:// 127.0.0.1:{port}/", "http://127.0.0.1:{port}\r\nHost: x/",
    "http://①②⑦.⓪.⓪.①:{port}/", "trust+http://127.0.0.1:{port}/",
]  # fmt: skip


def test_no_trick_of_a_url_reaches_a_listener_inside() -> None:
    blocked = 0
    with listening(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as (port, heard):
        for trick in INSIDE_TRICKS:
            outcome = send(trick.format(port=port), policy=EgressPolicy(), deadline_s=3.0)
            assert outcome.kind in (OutcomeKind.REFUSED, OutcomeKind.UNREACHABLE), trick
            blocked += 1
        time.sleep(0.2)
        assert heard.connections == 0
    assert blocked == len(INSIDE_TRICKS)


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["93.184.216.34", "127.0.0.1"],
        ["::ffff:127.0.0.1"],
        ["2606:4700::1111", "::1"],
        ["64:ff9b::7f00:1"],
        ["2002:7f00:1::"],
    ],
)
def test_a_name_with_one_address_inside_is_refused_whole(addresses: Sequence[str]) -> None:
    def resolve(host: str, port: int) -> Sequence[str]:
        return addresses

    with listening(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as (port, heard):
        for scheme in ("http", "https"):
            outcome = send(f"{scheme}://evil.example:{port}/", policy=EgressPolicy(), resolve=resolve)
            assert outcome.kind is OutcomeKind.REFUSED
        assert heard.connections == 0


def test_a_name_is_resolved_once_so_that_rebinding_changes_nothing() -> None:
    answers = iter([["203.0.113.1"], ["127.0.0.1"], ["127.0.0.1"]])
    asked: list[str] = []

    def rebind(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return next(answers)

    with listening(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as (port, heard):
        outcome = send(f"http://rebind.example:{port}/", resolve=rebind)
        assert outcome.kind is OutcomeKind.REFUSED
        assert asked == ["rebind.example"]
        assert heard.connections == 0


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's and a client's TLS: a certificate for hooks.example that the client trusts."""
    directory: Path = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "hooks.example")])
    now = utc_now()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("hooks.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (directory / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (directory / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(directory / "cert.pem", directory / "key.pem")
    return server, ssl.create_default_context(cafile=str(directory / "cert.pem"))


def test_tls_is_verified_for_the_name_of_the_url_although_the_connection_is_pinned(
    authority: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    server, client = authority

    def to_loopback(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    with listening(answering(b"HTTP/1.1 204 No Content\r\n\r\n"), server) as (port, heard):
        right = send(f"https://hooks.example:{port}/", tls=client, resolve=to_loopback)
        assert right.kind is OutcomeKind.DELIVERED
        assert heard.headers[0]["host"] == f"hooks.example:{port}"
        wrong_name = send(f"https://other.example:{port}/", tls=client, resolve=to_loopback)
        untrusted = send(f"https://hooks.example:{port}/", resolve=to_loopback)
        assert wrong_name.kind is untrusted.kind is OutcomeKind.UNREACHABLE
        assert len(heard.bodies) == 1
