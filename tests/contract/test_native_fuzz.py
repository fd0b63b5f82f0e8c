"""Nonsense for the native API beyond compute, for Aodh and for Keystone, from an admin, who passes every gate: no answer is a 5xx."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from httpx2 import Client
from hypothesis import given
from hypothesis import strategies as st

from foundation.database import Pool, transaction
from tests.contract.conftest import LiveApi
from tests.contract.fuzzing import places_of, with_change
from tests.contract.test_compute_fuzz import FUZZ, SERVER_ID, junk, texts, words

THRESHOLD_RULE: dict[str, Any] = {
    "metric": "cpu",
    "resource_type": "instance",
    "resource_id": SERVER_ID,
    "aggregation_method": "rate:mean",
    "granularity": 60,
    "evaluation_periods": 1,
    "threshold": 5.0,
    "comparison_operator": "gt",
}
BODIES: dict[str, Any] = {
    "POST /v1/alarms": {
        "name": "fuzz",
        "instance_id": SERVER_ID,
        "threshold": 80,
        "granularity_s": 60,
        "evaluation_periods": 3,
        "alarm_actions": ["https://hooks.example/x"],
    },
    "POST /v1/scaling/groups": {
        "name": "fuzz",
        "launch": {"image_id": SERVER_ID, "flavor_id": "0", "network_ids": [SERVER_ID], "metadata": {"a": "b"}},
        "size_min": 0,
        "size_max": 1,
        "cooldown_s": 30,
    },
    "POST /v1/deliveries/test": {"url": "https://hooks.example/x"},
    "POST /v1/billing/price-plans": {"name": "fuzz", "currency": "JPY", "reason": "x"},
    "PUT /v1/billing/account": {
        "time_zone": "Asia/Tokyo",
        "currency": "JPY",
        "tax_rate": "0.1",
        "rounding": "floor",
        "issuer_name": "A cloud",
        "series": "FUZZ",
    },
    "POST /v1/billing/account/plans": {"plan_id": SERVER_ID, "effective_from": "2026-01-01T00:00:00Z"},
    "POST /v1/billing/invoices": {"start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z"},
    f"POST /v1/billing/invoices/{SERVER_ID}/finalize": {"reason": "x"},
    "POST /v1/session": {"username": "nobody", "password": "x", "project": "y"},
    "POST /alarming/v2/alarms": {
        "name": "fuzz",
        "type": "gnocchi_resources_threshold",
        "gnocchi_resources_threshold_rule": THRESHOLD_RULE,
        "alarm_actions": ["https://hooks.example/x"],
        "time_constraints": [{"name": "n", "start": "0 8 * * *", "duration": 60, "timezone": "UTC"}],
        "severity": "low",
    },
    "POST /alarming/v2/query/alarms": {"filter": '{"=": {"state": "ok"}}', "orderby": '[{"name": "asc"}]', "limit": 3},
    "POST /identity/v3/projects": {"project": {"name": "fuzz", "domain_id": "default", "description": "d"}},
    "POST /identity/v3/users": {"user": {"name": "fuzz", "domain_id": "default", "email": "a@b", "enabled": True}},
    "POST /identity/v3/auth/tokens": {
        "auth": {
            "identity": {
                "methods": ["password"],
                "password": {"user": {"name": "nobody", "domain": {"id": "default"}, "password": "x"}},
            },
            "scope": {"project": {"name": "x", "domain": {"id": "default"}}},
        }
    },
}
PRICES: dict[str, Any] = {
    "effective_from": "2098-01-01T00:00:00Z",
    "prices": [
        {"kind": "flavor", "flavor": "f", "per_hour": "1.5", "states": [{"state": "stopped", "factor": "0.2"}]},
        {"kind": "size", "per_vcpu_hour": "1", "per_ram_gib_hour": "2"},
        {"kind": "disk", "per_gib_month": "12"},
        {"kind": "counter", "meter": "m", "base_unit": "B", "unit": "GiB", "per": "1073741824", "price": "10"},
    ],
}
LISTS = {
    "/v1/alarms": "limit cursor state",
    "/v1/scaling/groups": "limit cursor",
    "/v1/deliveries": "limit cursor state",
    "/v1/billing/invoices": "limit cursor project_id all_projects with_discarded",
    "/v1/billing/price-plans": "limit cursor",
    "/v1/billing/cost": "project_id",
    "/v1/usage": "start end project_id format",
    "/v1/series/cpu-percent": "instance_id group_id start end granularity_s",
    "/alarming/v2/alarms": "limit marker sort q.field q.op q.value",
    "/alarming/v2/alarm-history": "limit marker sort q.field q.op q.value",
    "/identity/v3/projects": "name domain_id enabled limit marker parent_id",
    "/identity/v3/users": "name domain_id enabled limit marker",
    "/identity/v3/role_assignments": "user.id scope.project.id role.id effective include_names scope.system",
}
REMOVE = ("DELETE FROM alarm WHERE project_id = %s", "DELETE FROM scaling_group WHERE project_id = %s")


@pytest.fixture(scope="module")
def operator(live_api: LiveApi, pool: Pool) -> Iterator[Client]:
    """An admin with a project of its own, so that its nonsense is in nobody's way."""
    name, password = f"fuzz-{uuid4()}", "a long password"
    admin = {"name": "admin", "domain": {"id": "default"}, "password": live_api.admin_password}
    with Client(base_url=live_api.url, trust_env=False, timeout=60) as client:
        client.headers["X-Auth-Token"] = sign_in(client, admin, project="admin")
        made = client.post("/identity/v3/projects", json={"project": {"name": name, "domain_id": "default"}}).json()
        project_id = made["project"]["id"]
        user = {"name": name, "domain_id": "default", "password": password}
        user_id = client.post("/identity/v3/users", json={"user": user}).json()["user"]["id"]
        role_id = client.get("/identity/v3/roles", params={"name": "admin"}).json()["roles"][0]["id"]
        client.put(f"/identity/v3/projects/{project_id}/users/{user_id}/roles/{role_id}")
        own = {"name": name, "domain": {"id": "default"}, "password": password}
        client.headers["X-Auth-Token"] = sign_in(client, own, project=name)
        yield client
    with transaction(pool) as tx:
        for statement in REMOVE:
            tx.execute(statement, (project_id,))


def sign_in(client: Client, user: dict[str, Any], *, project: str) -> str:
    scope = {"project": {"name": project, "domain": {"id": "default"}}}
    identity = {"methods": ["password"], "password": {"user": user}}
    answer = client.post("/identity/v3/auth/tokens", json={"auth": {"identity": identity, "scope": scope}})
    assert answer.status_code == 201, answer.text
    return answer.headers["x-subject-token"]


@FUZZ
@given(target=st.sampled_from(sorted(BODIES)), drawn=st.data())
def test_a_body_with_nonsense_in_it_never_gets_a_5xx(operator: Client, target: str, drawn: st.DataObject) -> None:
    body = BODIES[target]
    place = drawn.draw(st.sampled_from(list(places_of(body))), label="place")
    method, path = target.split(" ")
    sent = with_change(body, place, drawn.draw(junk | words, label="value"))
    answer = operator.request(method, path, json=sent)
    assert answer.status_code < 500, answer.text


@FUZZ
@given(drawn=st.data())
def test_prices_with_nonsense_in_them_never_get_a_5xx(operator: Client, drawn: st.DataObject) -> None:
    name = f"fuzz-{uuid4()}"
    plan = operator.post("/v1/billing/price-plans", json={"name": name, "currency": "JPY"}).json()
    place = drawn.draw(st.sampled_from(list(places_of(PRICES))), label="place")
    sent = with_change(PRICES, place, drawn.draw(junk | words, label="value"))
    answer = operator.post(f"/v1/billing/price-plans/{plan['id']}/versions", json=sent)
    assert answer.status_code < 500, answer.text
    assert operator.get(f"/v1/billing/price-plans/{plan['id']}").status_code == 200


@FUZZ
@given(path=st.sampled_from(sorted(LISTS)), drawn=st.data())
def test_a_query_with_nonsense_in_it_never_gets_a_5xx(operator: Client, path: str, drawn: st.DataObject) -> None:
    names = st.sampled_from(LISTS[path].split())
    query = drawn.draw(st.lists(st.tuples(names, words | texts), max_size=4), label="query")
    answer = operator.get(path, params=tuple(query))
    assert answer.status_code < 500, answer.text


@pytest.mark.parametrize("target", sorted({**BODIES, "POST /v1/billing/price-plans/x/versions": PRICES}))
def test_text_that_postgresql_cannot_keep_never_gets_a_5xx(operator: Client, target: str) -> None:
    method, path = target.split(" ")
    body = BODIES.get(target, PRICES)
    for place in places_of(body):
        for nasty in ("\0", "a\0b", "\ud800"):
            content = json.dumps(with_change(body, place, nasty)).encode()
            answer = operator.request(method, path, content=content, headers={"Content-Type": "application/json"})
            assert answer.status_code < 500, (place, nasty, answer.text)
