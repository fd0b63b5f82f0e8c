"""Links behind a proxy: only a trusted peer may say under which address clients reach us."""

from pathlib import Path

import pytest
import requests
from starlette.datastructures import Headers

from api.gnocchi.forwarding import told_base
from api.trust import is_trusted
from foundation.settings import Settings
from tests.contract.conftest import running_api, spare_port

OWN = "http://127.0.0.1:8780"


@pytest.mark.parametrize(
    ("headers", "base"),
    [
        ({}, OWN),
        ({"forwarded": 'for=1.2.3.4;proto=https;host="cloud.example:8443"'}, "https://cloud.example:8443"),
        ({"forwarded": "host=forged.example, proto=https;host=cloud.example"}, "https://cloud.example"),
        ({"x-forwarded-proto": "https", "x-forwarded-host": "a.example"}, "https://a.example"),
        ({"x-forwarded-host": "a.example", "x-forwarded-prefix": "/clouds/one/"}, "http://a.example/clouds/one"),
        ({"x-forwarded-host": "[2001:db8::1]:80"}, "http://[2001:db8::1]:80"),
        ({"x-forwarded-proto": "javascript", "x-forwarded-host": 'a>; rel="x'}, OWN),
        ({"x-forwarded-prefix": "//evil.example"}, OWN),
        ({"x-forwarded-prefix": "no-slash"}, OWN),
        ({"forwarded": "=;;host=;"}, OWN),
    ],
)
def test_what_a_proxy_tells_is_read_or_left(headers: dict[str, str], base: str) -> None:
    assert told_base(Headers(headers), otherwise=OWN) == base


@pytest.mark.parametrize(
    ("lines", "base"),
    [
        (
            [("forwarded", "host=forged.example"), ("forwarded", "proto=https;host=cloud.example")],
            "https://cloud.example",
        ),
        ([("x-forwarded-host", "forged.example"), ("x-forwarded-host", "a.example, b.example")], "http://b.example"),
        ([("x-forwarded-proto", "https"), ("x-forwarded-proto", "http")], OWN),
        ([("x-forwarded-prefix", "/forged"), ("x-forwarded-prefix", "/one")], f"{OWN}/one"),
    ],
)
def test_of_a_header_that_comes_twice_the_line_of_the_nearest_proxy_counts(
    lines: list[tuple[str, str]], base: str
) -> None:
    raw = [(name.encode(), value.encode()) for name, value in lines]
    assert told_base(Headers(raw=raw), otherwise=OWN) == base


def test_only_listed_networks_are_trusted() -> None:
    assert is_trusted("10.1.2.3", "192.0.2.1, 10.0.0.0/8")
    assert is_trusted("::1", "::1")
    for peer, listed in (("10.1.2.3", ""), ("11.1.2.3", "10.0.0.0/8"), ("", "10.0.0.0/8"), ("unix:", "0.0.0.0/0")):
        assert not is_trusted(peer, listed)


def test_a_network_that_cannot_be_read_is_refused_at_the_start() -> None:
    with pytest.raises(ValueError, match=r"proxy\.example"):
        Settings(trusted_proxies="10.0.0.0/8, proxy.example")


@pytest.mark.parametrize("trusted", ["", "127.0.0.0/8"])
def test_the_live_api_believes_its_proxy_and_nobody_else(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusted: str
) -> None:
    monkeypatch.setenv("NEPHO_TRUSTED_PROXIES", trusted)
    port = spare_port()
    with running_api(database_url, tmp_path, port=port):
        told = {"Forwarded": "proto=https;host=cloud.example", "X-Forwarded-Prefix": "/one"}
        body = requests.get(f"http://127.0.0.1:{port}/metric/", headers=told, timeout=120).json()
    base = "https://cloud.example/one" if trusted else f"http://127.0.0.1:{port}"
    assert body["versions"][0]["links"][0]["href"] == f"{base}/metric/v1/"
