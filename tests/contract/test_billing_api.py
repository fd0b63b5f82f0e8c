"""Billing on the native API of a live server: who may see what, which files come out, and what bad input is told."""

import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from httpx2 import Client, Response

from billing.proration import month_containing
from billing.service.accounts import DEFAULT_TERMS, zone_of
from foundation.database import Pool, transaction
from foundation.ids import new_id
from foundation.interval import TimeInterval
from identity.service import validate_token
from metering.model import LifecycleEvent, LifecycleState
from metering.service import record_lifecycle_event
from tests.contract.conftest import LiveApi


def running_month() -> TimeInterval:
    """The month that runs in the zone of the account at this very moment: it may turn between any two requests."""
    return month_containing(datetime.now(UTC), zone_of(DEFAULT_TERMS))


LAST_MONTH = month_containing(running_month().start - timedelta(hours=1), zone_of(DEFAULT_TERMS))
"""A month that was over when the tests began."""


@dataclass(frozen=True, slots=True)
class Member:
    """A signed-in user, its project, and how it calls."""

    client: Client
    token: str
    project_id: str

    def get(self, path: str, **query: Any) -> Response:
        return self.client.get(f"/v1{path}", params=query, headers={"X-Auth-Token": self.token})

    def post(self, path: str, body: object = None) -> Response:
        return self.client.post(f"/v1{path}", json=body, headers={"X-Auth-Token": self.token})

    def delete(self, path: str, **query: Any) -> Response:
        return self.client.delete(f"/v1{path}", params=query, headers={"X-Auth-Token": self.token})

    def put(self, path: str, body: object) -> Response:
        return self.client.put(f"/v1{path}", json=body, headers={"X-Auth-Token": self.token})


SignIn = Callable[[str, str], Member]


@pytest.fixture(scope="module")
def sign_in(live_api: LiveApi, pool: Pool) -> Iterator[SignIn]:
    with Client(base_url=live_api.url, trust_env=False, timeout=60) as client:

        def sign(name: str, password: str) -> Member:
            user = {"name": name, "domain": {"id": "default"}, "password": password}
            scope = {"project": {"name": name, "domain": {"id": "default"}}}
            identity = {"methods": ["password"], "password": {"user": user}}
            answer = client.post("/identity/v3/auth/tokens", json={"auth": {"identity": identity, "scope": scope}})
            assert answer.status_code == 201, answer.text
            token = answer.headers["x-subject-token"]
            with transaction(pool) as tx:
                caller = validate_token(tx, token, datetime.now(UTC))
            return Member(client, token, caller.project_id)

        yield sign


@pytest.fixture(scope="module")
def admin(sign_in: SignIn, live_api: LiveApi) -> Member:
    return sign_in("admin", live_api.admin_password)


@pytest.fixture(scope="module")
def member(sign_in: SignIn, admin: Member) -> Member:
    """A member of a project of its own, so that its prices and invoices are in nobody's way."""
    name, password = f"billing-{uuid4()}", "a long password"

    def make(path: str, body: object) -> Any:
        answer = admin.client.post(f"/identity/v3{path}", json=body, headers={"X-Auth-Token": admin.token})
        assert answer.status_code == 201, answer.text
        return answer.json()

    headers = {"X-Auth-Token": admin.token}
    project = make("/projects", {"project": {"name": name, "domain_id": "default"}})["project"]["id"]
    user = make("/users", {"user": {"name": name, "domain_id": "default", "password": password}})["user"]["id"]
    roles = admin.client.get("/identity/v3/roles", params={"name": "member"}, headers=headers).json()["roles"]
    granted = admin.client.put(f"/identity/v3/projects/{project}/users/{user}/roles/{roles[0]['id']}", headers=headers)
    assert granted.status_code == 204, granted.text
    return sign_in(name, password)


@pytest.fixture(scope="module")
def history(pool: Pool, member: Member) -> None:
    """One hour of an instance in the member's project at the beginning of last month, in a flavor that the test prices."""
    begin = LAST_MONTH.start
    instance_id = new_id()
    facts: list[tuple[datetime, LifecycleState]] = [(begin, "active"), (begin + timedelta(hours=1), "deleted")]
    with transaction(pool) as tx:
        for at, state in facts:
            event = LifecycleEvent(
                event_id=new_id(),
                instance_id=instance_id,
                project_id=member.project_id,
                user_id=None,
                kind="test",
                state=state,
                observed_at=at,
                name='=HYPERLINK("x")',
                flavor_id="billing-test",
                flavor_name="billing-test",
                vcpus=1,
                ram_mib=1024,
                disk_gib=0,
            )
            record_lifecycle_event(tx, event)


@pytest.fixture(scope="module")
def invoice(admin: Member, member: Member, history: None) -> Mapping[str, Any]:
    """Last month's invoice of the member's project, on a plan of 3000 yen an hour, final."""
    name = f"plan {uuid4()}"
    plan = admin.post("/billing/price-plans", {"name": name, "currency": "JPY"}).json()
    prices = [{"kind": "flavor", "flavor": "billing-test", "per_hour": "3000.5"}]
    wanted = {"effective_from": "2020-01-01T00:00:00Z", "prices": prices}
    version = admin.post(f"/billing/price-plans/{plan['id']}/versions", wanted)
    assert version.status_code == 201, version.text
    assert admin.post(f"/billing/price-plans/{plan['id']}/versions", wanted).json() == version.json()
    project = f"?project_id={member.project_id}"
    assigned = admin.post(
        f"/billing/account/plans{project}", {"plan_id": plan["id"], "effective_from": "2020-01-01T00:00:00Z"}
    )
    assert assigned.status_code == 201, assigned.text
    drafted = member.post("/billing/invoices", period_of(LAST_MONTH.start, LAST_MONTH.end))
    assert drafted.status_code == 201, drafted.text
    final = admin.post(f"/billing/invoices/{drafted.json()['id']}/finalize", {"reason": "month closed"})
    assert final.status_code == 200, final.text
    return member.get(f"/billing/invoices/{final.json()['id']}").json()


def period_of(start: datetime, end: datetime) -> dict[str, str]:
    return {"start": start.isoformat(), "end": end.isoformat()}


def unfinished_period() -> dict[str, str]:
    """A period that is not over, however long the tests take and whenever they run."""
    return period_of(LAST_MONTH.end, datetime.now(UTC) + timedelta(days=1))


def line_of(invoice: Mapping[str, Any]) -> Mapping[str, Any]:
    (line,) = [line for line in invoice["lines"] if line["flavor_name"] == "billing-test"]
    return line


def test_a_final_invoice_has_its_number_its_lines_and_money_as_text(invoice: Mapping[str, Any]) -> None:
    assert invoice["status"] == "finalized"
    assert invoice["number"].startswith("INV-")
    assert (line_of(invoice)["unit_price"], line_of(invoice)["amount_unrounded"]) == ("3000.5", "3000.5")
    assert [event["kind"] for event in invoice["events"]] == ["drafted", "finalized"]
    assert invoice["events"][1]["reason"] == "month closed"
    assert invoice["events"][1]["request_id"].startswith("req-")
    assert Decimal(invoice["total"]) == Decimal(invoice["subtotal"]) + Decimal(invoice["tax_total"])


def test_an_invoice_is_exported_as_csv_by_parameter_or_accept_header(
    member: Member, invoice: Mapping[str, Any]
) -> None:
    path = f"/billing/invoices/{invoice['id']}"
    answer = member.get(path, format="csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert invoice["number"] in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert rows[-1]["description"] == "Total"
    assert sum(Decimal(row["amount"]) for row in rows[:-1]) == Decimal(rows[-1]["amount"]) == Decimal(invoice["total"])
    assert any(row["resource_name"] == '\'=HYPERLINK("x")' for row in rows)
    headers = {"X-Auth-Token": member.token, "Accept": "text/csv"}
    assert member.client.get(f"/v1{path}", headers=headers).text == answer.text
    assert member.get(path, format="json").json()["digest"] == invoice["digest"]


def test_the_document_has_the_digest_of_the_invoice_and_a_rerun_too(member: Member, invoice: Mapping[str, Any]) -> None:
    document = member.get(f"/billing/invoices/{invoice['id']}/document").content
    assert hashlib.sha256(document).hexdigest() == invoice["digest"]
    assert json.loads(document)["total"] == invoice["total"]
    assert member.get(f"/billing/invoices/{invoice['id']}/verify").json()["holds"] is True


def test_an_invoice_tells_what_came_too_late_for_it(member: Member, invoice: Mapping[str, Any]) -> None:
    late = member.get(f"/billing/invoices/{invoice['id']}/late")
    assert late.status_code == 200, late.text
    assert late.json() == {"invoice_id": invoice["id"], "currency": "JPY", "amount_unrounded": "0", "items": []}
    drafted = member.post("/billing/invoices", period_of(LAST_MONTH.end, LAST_MONTH.end + timedelta(seconds=1))).json()
    assert member.get(f"/billing/invoices/{drafted['id']}/late").json()["items"] == []
    assert member.get(f"/billing/invoices/{uuid4()}/late").status_code == 404


def test_a_draft_is_discarded_and_drafted_again_and_a_final_invoice_stays(
    member: Member, admin: Member, invoice: Mapping[str, Any]
) -> None:
    period = period_of(LAST_MONTH.end, LAST_MONTH.end + timedelta(seconds=2))
    made = member.post("/billing/invoices", period).json()
    assert admin.delete(f"/billing/invoices/{made['id']}", reason="asked by the customer").status_code == 204
    assert member.delete(f"/billing/invoices/{made['id']}").status_code == 204
    assert made["id"] not in [one["id"] for one in member.get("/billing/invoices").json()["items"]]
    assert made["id"] in [one["id"] for one in member.get("/billing/invoices", with_discarded=True).json()["items"]]
    found = member.get(f"/billing/invoices/{made['id']}").json()
    assert (found["status"], found["events"][-1]["reason"]) == ("void", "asked by the customer")
    refused = admin.post(f"/billing/invoices/{made['id']}/finalize")
    assert (refused.status_code, "draft its period again" in refused.text) == (409, True)
    again = member.post("/billing/invoices", period)
    assert (again.status_code, again.json()["id"], again.json()["status"]) == (201, made["id"], "draft")
    final = member.delete(f"/billing/invoices/{invoice['id']}")
    assert (final.status_code, invoice["number"] in final.text) == (409, True)
    assert member.delete(f"/billing/invoices/{uuid4()}").status_code == 404


def test_a_line_is_explained_with_price_formula_and_events(member: Member, invoice: Mapping[str, Any]) -> None:
    number = line_of(invoice)["number"]
    explained = member.get(f"/billing/invoices/{invoice['id']}/lines/{number}/explain").json()
    assert explained["holds"] is True
    assert explained["formula"] == "3600 s x 3000.5 per hour / 3600 s per hour = 3000.5"
    (segment,) = explained["segments"]
    assert segment["quantity"] == "3600"
    assert segment["opened_by_event"]
    assert segment["closed_by_event"]
    assert explained["price_version"]["prices"][0]["per_hour"] == "3000.5"
    assert member.get(f"/billing/invoices/{invoice['id']}/lines/9999/explain").status_code == 404


def test_the_cost_so_far_is_of_the_running_month(member: Member, history: None) -> None:
    earliest = running_month()
    cost = member.get("/billing/cost").json()
    assert datetime.fromisoformat(cost["period"]["start"]) in {earliest.start, running_month().start}
    assert cost["currency"] == "JPY"
    assert Decimal(cost["total"]) >= 0
    assert {"lines", "unbilled", "total_unrounded", "forecast"} <= cost.keys()


def test_usage_is_reported_as_json_and_csv(member: Member, invoice: Mapping[str, Any]) -> None:
    period = period_of(LAST_MONTH.start, LAST_MONTH.end)
    report = member.get("/usage", **period).json()
    (item,) = [item for item in report["items"] if item["flavor_name"] == "billing-test"]
    assert (item["quantity"], item["unit"]) == ("1", "hour")
    rows = list(csv.DictReader(io.StringIO(member.get("/usage", **period, format="csv").text)))
    assert any(row["resource_name"] == '\'=HYPERLINK("x")' for row in rows)


def test_a_project_that_never_was_is_not_billed_and_a_deleted_one_that_was_metered_is(
    admin: Member, pool: Pool
) -> None:
    nowhere, period = uuid4().hex, period_of(LAST_MONTH.start, LAST_MONTH.end)
    assert admin.post("/billing/invoices", {**period, "project_id": nowhere}).status_code == 404
    for path in ("/billing/account", "/billing/cost", "/billing/invoices"):
        assert admin.get(path, project_id=nowhere).status_code == 404
    assert admin.get("/usage", **period, project_id=nowhere).status_code == 404
    event = LifecycleEvent(
        event_id=new_id(),
        instance_id=new_id(),
        project_id=nowhere,
        user_id=None,
        kind="test",
        state="active",
        observed_at=LAST_MONTH.start,
        name="left",
        flavor_id="1",
        flavor_name="left",
        vcpus=1,
        ram_mib=1,
        disk_gib=0,
    )
    with transaction(pool) as tx:
        record_lifecycle_event(tx, event)
    assert admin.get("/billing/account", project_id=nowhere).status_code == 200
    assert admin.post("/billing/invoices", {**period, "project_id": nowhere}).status_code == 201


def test_another_projects_draft_is_not_there_to_be_discarded(member: Member, admin: Member, history: None) -> None:
    others = admin.post("/billing/invoices", period_of(LAST_MONTH.end, LAST_MONTH.end + timedelta(seconds=3))).json()
    assert member.delete(f"/billing/invoices/{others['id']}").status_code == 404
    assert admin.delete(f"/billing/invoices/{others['id']}").status_code == 204


def test_another_projects_invoice_and_usage_do_not_exist(member: Member, admin: Member, history: None) -> None:
    drafted = admin.post("/billing/invoices", period_of(LAST_MONTH.start, LAST_MONTH.end)).json()
    for path in ("", "/document", "/verify", "/lines/1/explain"):
        answer = member.get(f"/billing/invoices/{drafted['id']}{path}")
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert member.get("/billing/cost", project_id=admin.project_id).status_code == 404
    assert member.get("/billing/invoices", project_id=admin.project_id).status_code == 404
    assert (
        member.get("/usage", **period_of(LAST_MONTH.start, LAST_MONTH.end), project_id=admin.project_id).status_code
        == 404
    )
    other = {**period_of(LAST_MONTH.start, LAST_MONTH.end), "project_id": admin.project_id}
    assert member.post("/billing/invoices", other).status_code == 404
    listed = member.get("/billing/invoices", limit=1000).json()["items"]
    assert {item["project_id"] for item in listed} <= {member.project_id}


def test_a_member_reads_the_prices_that_hold_for_its_project_and_no_others(
    member: Member, admin: Member, invoice: Mapping[str, Any]
) -> None:
    items = member.get("/billing/account/plans").json()["items"]
    assert [item["plan"]["versions"][0]["prices"][0]["per_hour"] for item in items[-1:]] == ["3000.5"]
    assert items[-1]["effective_from"] == "2020-01-01T00:00:00Z"
    assert admin.get("/billing/account/plans", project_id=member.project_id).json()["items"] == items
    assert member.get("/billing/account/plans", project_id=admin.project_id).status_code == 404


def test_prices_accounts_and_finalize_are_the_admins(member: Member, history: None) -> None:
    drafted = member.post("/billing/invoices", unfinished_period()).json()
    assert member.post(f"/billing/invoices/{drafted['id']}/finalize").status_code == 403
    assert member.get("/billing/price-plans").status_code == 403
    assert member.post("/billing/price-plans", {"name": "x", "currency": "JPY"}).status_code == 403
    assert member.put("/billing/account", {}).status_code in {400, 403}
    assert member.get("/billing/invoices", all_projects=True).status_code == 403


def test_a_period_that_is_not_over_cannot_be_finalized(member: Member, admin: Member, history: None) -> None:
    drafted = member.post("/billing/invoices", unfinished_period()).json()
    refused = admin.post(f"/billing/invoices/{drafted['id']}/finalize")
    assert refused.status_code == 409
    assert "can be finalized from then on" in refused.json()["detail"]


def test_lists_come_in_pages(admin: Member, invoice: Mapping[str, Any]) -> None:
    seen: list[str] = []
    cursor: dict[str, str] = {}
    for _ in range(5_000):
        page = admin.get("/billing/invoices", limit=2, all_projects=True, **cursor).json()
        seen += [item["id"] for item in page["items"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert invoice["id"] in seen
    assert len(seen) == len(set(seen))
    plans = admin.get("/billing/price-plans", limit=1).json()
    assert plans["next"] is not None
    assert admin.get(f"/billing/price-plans/{plans['items'][0]['id']}").json()["id"] == plans["items"][0]["id"]
    assert admin.get("/billing/invoices", cursor="bm9uc2Vuc2U").status_code == 400


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-03-01T00:00:00", "2026-04-01T00:00:00"),
        ("2026-04-01T00:00:00Z", "2026-03-01T00:00:00Z"),
        ("2026-04-01T00:00:00Z", "2026-04-01T00:00:00Z"),
        ("5138-01-01T00:00:00Z", "5138-02-01T00:00:00Z"),
        ("2090-01-01T00:00:00Z", "2090-02-01T00:00:00Z"),
        ("2020-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        (0, 1),
        (1e400, 2),
        ("yesterday", "today"),
        (None, None),
    ],
)
def test_a_period_that_is_none_is_told_what_to_mend(member: Member, start: object, end: object) -> None:
    raw = json.dumps({"start": start, "end": end})
    answer = member.client.post("/v1/billing/invoices", content=raw, headers={"X-Auth-Token": member.token})
    assert answer.status_code == 400, answer.text
    assert answer.json()["detail"]


@pytest.mark.parametrize(
    "price",
    [
        {"kind": "flavor", "flavor": "x", "per_hour": 1.5},
        {"kind": "flavor", "flavor": "x", "per_hour": "NaN"},
        {"kind": "flavor", "flavor": "x", "per_hour": "-1"},
        {"kind": "flavor", "flavor": "x", "per_hour": "1e999"},
        {"kind": "flavor", "flavor": "x", "per_hour": "0.00000000001"},
        {"kind": "flavor", "flavor": "x", "per_hour": "1", "states": [{"state": "stopped"}]},
        {"kind": "flavor", "flavor": "x", "per_hour": "1", "states": [{"state": "active", "factor": "1"}]},
        {"kind": "disk", "per_gib_month": True},
        {"kind": "counter", "meter": "m", "base_unit": "B", "unit": "GiB", "per": "0", "price": "1"},
        {"kind": "barter", "goat": "1"},
        {"kind": "disk", "per_gib_month": "1", "surprise": "1"},
    ],
)
def test_a_price_that_cannot_be_is_refused_with_its_reason(admin: Member, price: Mapping[str, object]) -> None:
    plan = admin.post("/billing/price-plans", {"name": f"bad {uuid4()}", "currency": "JPY"}).json()
    wanted = {"effective_from": "2030-01-01T00:00:00Z", "prices": [price]}
    answer = admin.post(f"/billing/price-plans/{plan['id']}/versions", wanted)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json"), answer.text
    assert answer.json()["detail"]


def test_past_prices_and_double_ones_are_refused(admin: Member) -> None:
    plan = admin.post("/billing/price-plans", {"name": f"past {uuid4()}", "currency": "JPY"}).json()
    path = f"/billing/price-plans/{plan['id']}/versions"
    disk = [{"kind": "disk", "per_gib_month": "1"}]
    assert admin.post(path, {"effective_from": "2020-01-01T00:00:00Z", "prices": disk}).status_code == 201
    refused = admin.post(path, {"effective_from": "2021-01-01T00:00:00Z", "prices": disk})
    assert (refused.status_code, refused.json()["field"]) == (400, "effective_from")
    twice = admin.post(path, {"effective_from": "2090-01-01T00:00:00Z", "prices": disk + disk})
    assert "twice" in twice.json()["detail"]
    other = [{"kind": "disk", "per_gib_month": "2"}]
    assert admin.post(path, {"effective_from": "2020-01-01T00:00:00Z", "prices": other}).status_code == 409


def test_terms_that_no_account_can_have_are_refused(admin: Member) -> None:
    terms = {
        "time_zone": "../../etc/passwd",
        "currency": "JPY",
        "tax_rate": "0.1",
        "rounding": "floor",
        "issuer_name": "A cloud",
        "series": "INV",
    }
    refused = admin.put("/billing/account", terms)
    assert (refused.status_code, refused.json()["field"]) == (400, "time_zone")
    assert admin.put("/billing/account", {**terms, "time_zone": "UTC", "tax_rate": "1.5"}).status_code == 400
    assert admin.put("/billing/account", {**terms, "time_zone": "UTC", "rounding": "maybe"}).status_code == 400


def test_nobody_is_answered_without_a_token(live_api: LiveApi) -> None:
    answer = httpx2.get(f"{live_api.url}/v1/billing/cost", trust_env=False)
    assert answer.status_code == 401
