"""A signed-in admin sends the metric API nonsense: every answer is the dialect's own 2xx, 3xx or 4xx, never a 5xx."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from httpx2 import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.conftest import LiveApi
from tests.contract.fuzzing import places_of, with_change
from tests.contract.test_gnocchi_pushes import token_of

FUZZ = settings(
    max_examples=250,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
AT = "2026-03-01T12:00:00"
POLICY: dict[str, Any] = {
    "name": "fuzz",
    "back_window": 0,
    "definition": [{"granularity": "1 minute", "points": 10, "timespan": "10 minutes"}],
    "aggregation_methods": ["mean", "rate:mean"],
}
PLACES = {"METRIC": "", "OTHER": "", "RESOURCE": ""}
BODIES: dict[str, Any] = {
    "POST /v1/archive_policy": POLICY,
    "PATCH /v1/archive_policy/fuzz-kept": {"definition": [{"granularity": 60, "points": 20}], "back_window": 1},
    "POST /v1/archive_policy_rule": {"name": "fuzz", "metric_pattern": "fuzz.*", "archive_policy_name": "low"},
    "PATCH /v1/archive_policy_rule/fuzz-kept": {"name": "fuzz-kept"},
    "POST /v1/resource_type": {
        "name": "fuzz",
        "attributes": {"a": {"type": "string", "required": False, "min_length": 0, "max_length": 9}, "n": {"type": "number", "min": 0}},
    },
    "PATCH /v1/resource_type/fuzz_kept": [
        {"op": "add", "path": "/attributes/b", "value": {"type": "number", "required": True, "options": {"fill": 1}}},
        {"op": "remove", "path": "/attributes/b"},
    ],
    "POST /v1/metric": {"name": "fuzz", "unit": "B", "archive_policy_name": "low", "resource_id": None},
    "POST /v1/metric/METRIC/measures": [{"timestamp": AT, "value": 1.5}],
    "POST /v1/batch/metrics/measures": {"METRIC": [{"timestamp": AT, "value": 1}]},
    "POST /v1/batch/resources/metrics/measures?create_metrics=true": {
        "RESOURCE": {"load": [{"timestamp": AT, "value": 1}], "m": {"archive_policy_name": "low", "unit": "s", "measures": []}}
    },
    "POST /v1/resource/generic": {
        "id": "fuzz", "project_id": "p", "user_id": "u", "started_at": AT, "ended_at": None, "metrics": {"x": {"archive_policy_name": "low"}},
    },
    "PATCH /v1/resource/fuzz_kept/RESOURCE": {"ended_at": "2036-01-01", "host": "b", "cores": 2, "metrics": {"load": {"archive_policy_name": "low"}}},
    "POST /v1/resource/generic/RESOURCE/metric": {"y": {"archive_policy_name": "low"}},
    "POST /v1/search/resource/generic": {"and": [{"=": {"id": "RESOURCE"}}, {"not": {"in": {"user_id": ["x", None]}}}, {"like": {"type": "g%"}}]},
    "POST /v1/search/resource/fuzz_kept": {"or": [{"ge": {"cores": 1}}, {"!=": {"ended_at": None}}, {"<": {"revision_start": AT}}]},
    "POST /v1/search/metric?metric_id=METRIC": {"and": [{">=": 1}, {"=": [{"mod": 2}, 0]}]},
    "POST /v1/aggregates?granularity=60": {"operations": ["+", ["metric", ["METRIC", "mean"], ["OTHER", "max"]], 1]},
    "POST /v1/aggregates?fill=null&granularity=60": {
        "operations": ["aggregate", "mean", ["rolling", "mean", 2, ["resample", "mean", 120, ["metric", "METRIC", "mean"]]]]
    },
    "POST /v1/aggregates?groupby=project_id&use_history=true": {
        "operations": "(rateofchangesec (clip (metric load mean) 0 10))", "resource_type": "generic", "search": "id != null",
    },
    "POST /v1/aggregation/metric?granularity=60": ["METRIC", "OTHER"],
    "POST /v1/aggregation/resource/generic/metric/load?groupby=project_id": {"=": {"id": "RESOURCE"}},
    "DELETE /v1/resource/generic": {"=": {"id": "no such"}},
    "POST /v1/prometheus/write": {},
    "POST /v1/influxdb/write?db=fuzz_kept": {},
}  # fmt: skip
LISTS = {
    "/v1/metric": "limit marker sort name unit id resource_id archive_policy_name creator status user_id",
    "/v1/metric/METRIC/measures": "start stop aggregation granularity resample refresh",
    "/v1/resource/generic": "limit marker sort details history attrs filter",
    "/v1/resource/fuzz_kept/RESOURCE/history": "limit marker sort details attrs",
    "/v1/aggregation/metric?metric=METRIC": "start stop aggregation reaggregation granularity needed_overlap fill resample metric",
    "/v1/status": "details",
    "/v1/influxdb/query": "q db",
}
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)
numbers = (
    st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([1e308, -1e140, 2**63, 10**18, 5e-324])
)
words = st.sampled_from(
    ["-1", "0", "1", "99999999999999999999", "METRIC", "RESOURCE", "asc", "id:desc", "started_at:asc-nullslast", "-1 hour", "now",
     "9999-12-31T23:59:59+23:59", "0001-01-01T00:00:00-23:59", "-99999999 weeks", "1e308", "inf", "nan", "Y", "1us", "366 days",
     "mean", "rate:99pct", "100pct", "full_ffill", "null", "None", "True", "é\u202e", "id = 'x' or not a in [1, null]", "(((", "like",
     "METRIC@9223372036854775807", "RESOURCE@-1", "CREATE DATABASE x", "../..", "%", "_" * 300]
)  # fmt: skip
scalars = st.none() | st.booleans() | numbers | texts | words
junk = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts | words, inner, max_size=3), max_leaves=5
)


@pytest.fixture(scope="module")
def admin(live_api: LiveApi) -> Iterator[Client]:
    """A client that carries an admin's token; there are a policy, a type, a resource and two metrics to do nonsense to."""
    with Client(base_url=f"{live_api.url}/metric", trust_env=False, timeout=60) as client:
        client.headers["x-auth-token"] = token_of(live_api, "admin")
        client.post("/v1/archive_policy", json={**POLICY, "name": "fuzz-kept"})
        rule = {"name": "fuzz-kept", "metric_pattern": "fuzz-kept.*", "archive_policy_name": "low"}
        client.post("/v1/archive_policy_rule", json=rule)
        attributes = {"host": {"type": "string", "required": False}, "cores": {"type": "number", "required": False}}
        client.post("/v1/resource_type", json={"name": "fuzz_kept", "attributes": attributes})
        body = {"id": "fuzz-resource", "host": "a", "metrics": {"load": {"archive_policy_name": "low"}}}
        made = client.post("/v1/resource/fuzz_kept", json=body).json()
        PLACES["RESOURCE"] = made["id"]
        for name in ("METRIC", "OTHER"):
            PLACES[name] = client.post("/v1/metric", json={"archive_policy_name": "fuzz-kept"}).json()["id"]
            client.post(f"/v1/metric/{PLACES[name]}/measures", json=[{"timestamp": AT, "value": 3}])
        yield client


def placed(value: Any) -> Any:
    """Put the real ids where a body or an address names them."""
    if isinstance(value, str):
        for name, real in PLACES.items():
            value = value.replace(name, real)
        return value
    if isinstance(value, dict):
        return {placed(key): placed(inner) for key, inner in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list):
        return [placed(inner) for inner in value]  # pyright: ignore[reportUnknownVariableType]
    return value


@pytest.mark.parametrize("target", sorted(BODIES))
def test_the_bodies_that_nonsense_is_put_into_are_good_or_refused(admin: Client, target: str) -> None:
    method, path = target.split(" ")
    answer = admin.request(method, placed(path), json=placed(BODIES[target]))
    assert answer.status_code < 500, answer.text


@FUZZ
@given(target=st.sampled_from(sorted(BODIES)), drawn=st.data())
def test_a_body_with_nonsense_in_it_never_gets_a_5xx(admin: Client, target: str, drawn: st.DataObject) -> None:
    body = BODIES[target]
    place = drawn.draw(st.sampled_from(list(places_of(body))), label="place")
    method, path = target.split(" ")
    sent = with_change(body, place, drawn.draw(junk, label="value"))
    answer = admin.request(method, placed(path), json=placed(sent))
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        assert answer.json()["code"] == answer.status_code


@FUZZ
@given(path=st.sampled_from(sorted(LISTS)), drawn=st.data())
def test_a_query_with_nonsense_in_it_never_gets_a_5xx(admin: Client, path: str, drawn: st.DataObject) -> None:
    names = st.sampled_from(LISTS[path].split())
    query = drawn.draw(st.lists(st.tuples(names, words | texts), max_size=4), label="query")
    bare, _, fixed = placed(path).partition("?")
    pairs = [(name, placed(value)) for name, value in query] + [
        tuple(part.split("=")) for part in fixed.split("&") if part
    ]
    answer = admin.get(bare, params=tuple(pairs))
    assert answer.status_code == 501 or answer.status_code < 500, answer.text


@FUZZ
@given(
    root=st.sampled_from(["/v1/metric", "/v1/resource", "/v1/resource/generic", "/v1/archive_policy", "/v1/resource_type", "/v1"]),
    method=st.sampled_from(["GET", "DELETE", "PATCH", "POST", "PUT"]),
    parts=st.lists((texts | words).filter(lambda text: text.strip("./") != ""), min_size=1, max_size=3),
)  # fmt: skip
def test_a_path_with_nonsense_in_it_never_gets_a_5xx(admin: Client, root: str, method: str, parts: list[str]) -> None:
    answer = admin.request(method, f"{root}/{'/'.join(quote(part, safe='') for part in parts)}")
    assert answer.status_code < 500, answer.text


@FUZZ
@given(text=texts | st.lists(words | texts, max_size=6).map(" ".join))
def test_a_filter_or_an_operation_in_words_never_gets_a_5xx(admin: Client, text: str) -> None:
    found = admin.post("/v1/search/resource/generic", params={"filter": text})
    assert found.status_code < 500, found.text
    answer = admin.post("/v1/aggregates", json={"operations": text})
    assert 400 <= answer.status_code < 500, answer.text


@FUZZ
@given(text=texts | st.lists(words | texts, max_size=6).map(",".join), raw=st.binary(max_size=60))
def test_what_a_source_sends_never_gets_a_5xx(admin: Client, text: str, raw: bytes) -> None:
    for body in (f"cpu,host=fuzz v=1 {text}", f"{text},host=fuzz v=1", f"cpu,host={text} v=1", raw):
        answer = admin.post("/v1/influxdb/write?db=fuzz_kept&precision=s", content=body)
        assert answer.status_code in (204, 400, 409), answer.text
    answer = admin.post("/v1/prometheus/write", content=raw, headers={"content-type": "application/x-protobuf"})
    assert answer.status_code in (202, 400), answer.text
