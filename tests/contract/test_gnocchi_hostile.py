"""Rows 37 to 40 of the fault matrix on the metric API: malformed, not finite, too complex, out of time; always a 4xx with a reason."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.contract.conftest import LiveApi
from tests.contract.test_gnocchi_pushes import Sender

PATHS = [
    "/v1/metric/METRIC/measures",
    "/v1/batch/metrics/measures",
    "/v1/resource/generic",
    "/v1/aggregates",
    "/v1/search/resource/generic",
]
SECONDS_MAX = 60.0


@pytest.fixture(scope="module")
def admin(live_api: LiveApi) -> Iterator[Sender]:
    sender = Sender(live_api, "admin")
    with sender.http:
        yield sender


@pytest.fixture(scope="module")
def metric(admin: Sender) -> str:
    body = {"name": "hostile", "definition": [{"granularity": 1}]}
    admin.call("POST", "/v1/archive_policy", json=body)
    return str(admin.call("POST", "/v1/metric", json={"archive_policy_name": "hostile"}).json()["id"])


def refused(admin: Sender, path: str, body: Any) -> str:
    """Send a body, which must be refused in the dialect's form and in time; return the reason."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    begun = time.monotonic()
    answer = admin.call("POST", path, data=raw, headers={"Content-Type": "application/json"})
    assert time.monotonic() - begun < SECONDS_MAX
    assert answer.status_code in (400, 404, 413), (path, answer.status_code, answer.text[:300])
    return str(answer.json()["description"])


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "raw",
    [
        b"", b"{", b"[1,", b"\xff\xfe", b'"\xed\xa0\x80"', b'{"a": "\\ud800"}', b'{"a\\u0000": 1}', b"[" * 100_000,
        b'{"a":' * 50_000, b"1" * 5_000, b'{"a": ' + b"9" * 5_000 + b"}", b'{"id": "a", "id": "b"}', b"null", b"true", b'"text"', b"1e999",
    ],
    ids=range(16),
)  # fmt: skip
def test_a_malformed_body_is_refused(admin: Sender, metric: str, path: str, raw: bytes) -> None:
    if path.startswith("/v1/search") and raw in (b"", b"null"):
        assert admin.call("POST", f"{path}?limit=1", data=raw).status_code == 200
    else:
        assert refused(admin, path.replace("METRIC", metric), raw)


@pytest.mark.parametrize(
    "value", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1e141", "1" * 400, "null", '"1"', "true", "[]", "{}"]
)
def test_a_value_that_is_no_number_is_refused(admin: Sender, metric: str, value: str) -> None:
    measure = f'{{"timestamp": "2026-03-01T12:00:00", "value": {value}}}'
    assert refused(admin, f"/v1/metric/{metric}/measures", f"[{measure}]".encode())
    assert refused(admin, "/v1/batch/metrics/measures", f'{{"{metric}": [{measure}]}}'.encode())
    shown = admin.call("GET", f"/v1/metric/{metric}/measures?start=2026-03-01T12:00:00&stop=2026-03-01T12:00:01")
    assert shown.json() == []


def test_a_negative_zero_is_zero(admin: Sender, metric: str) -> None:
    path = f"/v1/metric/{metric}/measures"
    raw = b'[{"timestamp": "2026-03-01T13:00:00", "value": -0.0}]'
    assert admin.call("POST", path, data=raw).status_code == 202
    assert "-0.0" not in admin.call("GET", f"{path}?start=2026-03-01T13:00:00").text


@pytest.mark.parametrize(
    "at",
    ["1969-12-31T23:59:59", "0001-01-01T00:00:00", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "5138-11-16T09:46:40",
     "2026-02-30T00:00:00", "2026-03-01T25:00:00", "12026-01-01", "", "soon", -1, 1e18, 1e308, 10**30, None, [], True,
     "+99999999999 weeks", "1 fortnight"],
)  # fmt: skip
def test_a_time_out_of_time_is_refused(admin: Sender, metric: str, at: Any) -> None:
    assert refused(admin, f"/v1/metric/{metric}/measures", [{"timestamp": at, "value": 1}])
    assert refused(admin, "/v1/batch/metrics/measures", {metric: [{"timestamp": at, "value": 1}]})


@pytest.mark.parametrize(
    "at", ["2026-03-01T14:00:00", "2026-03-01T14:00:00Z", "2026-03-01T23:00:00+09:00", "2026-03-01 14:00", 1772373600]
)
def test_a_time_without_a_zone_is_utc(admin: Sender, metric: str, at: Any) -> None:
    path = f"/v1/metric/{metric}/measures"
    assert admin.call("POST", path, json=[{"timestamp": at, "value": 7}]).status_code == 202
    shown = admin.call("GET", f"{path}?start=2026-03-01T14:00:00&stop=2026-03-01T14:00:01").json()
    assert shown == [["2026-03-01T14:00:00+00:00", 1.0, 7.0]]


def nested(depth: int, term: Any, wrap: Callable[[Any], Any]) -> Any:
    """Wrap a term so many times."""
    for _ in range(depth):
        term = wrap(term)
    return term


def test_a_filter_too_deep_or_too_long_is_refused(admin: Sender) -> None:
    path = "/v1/search/resource/generic"
    term = {"=": {"user_id": "x"}}
    assert "nested" in refused(admin, path, nested(50, term, lambda inner: {"not": inner}))
    assert "nested" in refused(admin, path, nested(29, term, lambda inner: {"and": [inner]}))
    assert "1000 terms" in refused(admin, path, {"or": [term] * 1_001})
    assert "1000 terms" in refused(admin, path, {"in": {"user_id": ["x"] * 1_001}})
    for text in ("not " * 50 + "a=1", "(" * 50 + "a=1" + ")" * 50, " or ".join(["a=1"] * 1_001), "a=1 and " * 5_000):
        answer = admin.call("POST", path, params={"filter": text})
        assert answer.status_code == 400, text[:40]


def test_a_filter_of_a_thousand_terms_is_answered_in_time(admin: Sender) -> None:
    terms = [
        {op: {name: f"x{n}"}}
        for n in range(330)
        for op, name in (("=", "user_id"), ("like", "host"), ("!=", "project_id"))
    ]
    begun = time.monotonic()
    answer = admin.call("POST", "/v1/search/resource/generic", json={"and": terms})
    assert (answer.status_code, answer.json()) == (200, [])
    assert time.monotonic() - begun < SECONDS_MAX


def test_operations_too_deep_or_too_long_are_refused(admin: Sender, metric: str) -> None:
    series = f"(metric {metric} mean)"
    for text in (
        nested(50, series, lambda inner: f"(abs {inner})"),
        f"(+ {series} {' '.join(['1'] * 1_001)})",
        f"(rolling mean 999999999 {series})",
        f"(resample mean 0.0000001 {series})",
        f"(resample mean 1e300 {series})",
        f"(metric {' '.join(f'({metric} {n}pct)' for n in range(1, 100))} x)",
    ):
        assert refused(admin, "/v1/aggregates", {"operations": text})


def test_ten_years_by_the_second_are_answered_or_refused_in_time(admin: Sender, metric: str) -> None:
    span = "start=2016-01-01&stop=2026-11-01&granularity=1"
    begun = time.monotonic()
    assert admin.call("GET", f"/v1/metric/{metric}/measures?{span}").status_code in (200, 400)
    operations = {"operations": f"(resample mean 60 (metric {metric} mean))"}
    assert admin.call("POST", f"/v1/aggregates?{span}&fill=0", json=operations).status_code in (200, 400)
    assert admin.call("POST", f"/v1/search/metric?metric_id={metric}&{span}", json={">": 0}).status_code in (200, 400)
    assert time.monotonic() - begun < SECONDS_MAX
