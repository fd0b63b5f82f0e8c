"""The page with what real projects have: names without end, an action that is gone, an adjusted invoice; and with no mouse at hand."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import httpx2
import pytest
from playwright.sync_api import Page, Request, Route, expect

from alarms.cpu_percent import cpu_percent_rule
from alarms.model import Actions, AlarmSpec, ComparisonOperator
from billing import service as billing
from billing.proration import month_containing
from billing.service.accounts import zone_of
from compute import service as compute
from compute.model import LaunchRequest
from foundation.clock import utc_now
from foundation.database import Transaction, transaction
from foundation.ids import new_id
from identity.model import Caller
from identity.policy import product_caller
from metering.model import LifecycleEvent, LifecycleState
from metering.service import record_lifecycle_event
from orchestration import alarm_actions
from scaling import service as scaling
from scaling.model import AdjustmentType, GroupSpec, LaunchTemplate, PolicySpec
from tests.browser.cloud import FLAVOR_ID, Account
from tests.browser.conftest import DESKTOP, PHONE, SMALL_PHONE, TEST_S_MAX, Served, Visit
from tests.browser.test_looks import keep_picture, overflow, violations

pytestmark = [pytest.mark.browser, pytest.mark.timeout(TEST_S_MAX)]

LONG = "an-instance-whose-name-nobody-wanted-to-end-" * 5
WIDE = "高負荷処理用インスタンス・本番環境・東京リージョン・夜間バッチ専用" * 3
REQUEST_S_MAX = 60
STOPS_MAX = 200
CROWD = 200
SUBJECTS_ASKED_MAX = 2 * 16
"""As many as are asked for at once, before the groups are known and after."""
RIGHT_TO_LEFT = "خادم-الويب-الرئيسي 🚀 <b>bold</b>"


@dataclass(frozen=True, slots=True)
class Project:
    """A project of its own, its member, and as whom the product acts in it."""

    account: Account
    caller: Caller


@contextmanager
def administrator(served: Served) -> Generator[httpx2.Client]:
    """A client of Keystone's API as the administrator."""
    with httpx2.Client(base_url=f"{served.url}/identity/v3", trust_env=False, timeout=REQUEST_S_MAX) as client:
        user = {"name": served.admin.username, "domain": {"id": "default"}, "password": served.admin.password}
        scope = {"project": {"name": "admin", "domain": {"id": "default"}}}
        asked = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}
        token = client.post("/auth/tokens", json=asked).headers["x-subject-token"]
        client.headers["X-Auth-Token"] = token
        yield client


@pytest.fixture(scope="module")
def project(served: Served) -> Project:
    """A member of a new project, made by the API as an operator does."""
    name, password = f"hard-{uuid4().hex[:8]}", "a long password"
    with administrator(served) as client:
        project_id = client.post("/projects", json={"project": {"name": name, "domain_id": "default"}}).json()[
            "project"
        ]["id"]
        member = {"name": name, "domain_id": "default", "password": password, "default_project_id": project_id}
        user_id = client.post("/users", json={"user": member}).json()["user"]["id"]
        role_id = client.get("/roles", params={"name": "member"}).json()["roles"][0]["id"]
        assert client.put(f"/projects/{project_id}/users/{user_id}/roles/{role_id}").status_code == 204
    made = Project(Account(name, password), product_caller(project_id=project_id))
    fill(served, made.caller)
    return made


def fill(served: Served, caller: Caller) -> None:
    """Instances, an alarm and a last month that are hard to show."""
    cloud, now = served.cloud, utc_now()
    with cloud.lock, transaction(cloud.pool) as tx:
        tx.execute("UPDATE image SET visibility = 'public'")
        for name in (LONG[:200], WIDE[:120], RIGHT_TO_LEFT):
            compute.create_instances(tx, caller=caller, request=LaunchRequest(name, cloud.image_id, FLAVOR_ID), now=now)
        launch = LaunchTemplate(image_id=cloud.image_id, flavor_id=FLAVOR_ID)
        group = scaling.create_group(tx, GroupSpec(LONG[:120], launch, 0, 2, 0), caller=caller, now=now).group
        spec = PolicySpec("grow", AdjustmentType.CHANGE_IN_CAPACITY, adjustment=1)
        policy = scaling.create_policy(tx, group.id, spec=spec, caller=caller, now=now)
        rule = cpu_percent_rule(
            group_id=group.id,
            instance_id=None,
            threshold=80,
            comparison_operator=ComparisonOperator.GT,
            evaluation_periods=2,
            granularity_s=60,
        )
        alarm = AlarmSpec(name=LONG[:180], rule=rule, actions=Actions(alarm=(f"scaling:{policy.id}",)))
        alarm_actions.create_alarm(tx, alarm, caller=caller, now=now)
        scaling.delete_policy(tx, policy.id, caller=caller)
        bill_too_little(tx, caller.project_id, now)


def bill_too_little(tx: Transaction, project_id: str, now: datetime) -> None:
    """Close last month, and hear only then of an hour of it."""
    zone = zone_of(billing.account_of(tx, project_id))
    month = month_containing(month_containing(now, zone).start - timedelta(days=1), zone)
    drafted = billing.draft_invoice(tx, project_id=project_id, interval=month, now=now)
    billing.finalize_invoice(tx, drafted.id, now)
    instance_id = new_id()
    facts: list[tuple[datetime, LifecycleState]] = [
        (month.start, "active"),
        (month.start + timedelta(hours=1), "deleted"),
    ]
    for at, state in facts:
        event = LifecycleEvent(
            event_id=new_id(),
            instance_id=instance_id,
            project_id=project_id,
            user_id=None,
            kind="test",
            state=state,
            observed_at=at,
            name=LONG[:100],
            flavor_id=FLAVOR_ID,
            flavor_name="n1.nano",
            vcpus=1,
            ram_mib=1024,
            disk_gib=1,
        )
        record_lifecycle_event(tx, event)


def settled(visit: Visit, account: Account) -> Page:
    page = visit.sign_in(account)
    expect(page.locator("tfoot")).to_be_visible()
    expect(page.locator("[aria-busy=true]")).to_have_count(0)
    return page


@pytest.mark.parametrize(
    "visit",
    [pytest.param({"viewport": size}, id=name) for name, size in (("desktop", DESKTOP), ("phone", PHONE))],
    indirect=True,
)
def test_long_names_a_gone_action_and_an_adjustment_are_shown_and_fit(
    visit: Visit, project: Project, axe_source: str, request: pytest.FixtureRequest
) -> None:
    page = settled(visit, project.account)
    expect(page.get_by_text("1 action does nothing any more")).to_be_visible()
    expect(page.get_by_text("late for INV-")).not_to_have_count(0)
    expect(page.get_by_text(RIGHT_TO_LEFT)).not_to_have_count(0)
    keep_picture(page, f"hard-{request.node.callspec.id}")
    assert overflow(page) <= 0
    assert violations(page, axe_source) == []


def focused(page: Page) -> str:
    """Which element has the focus, and whether one sees that."""
    found: str = page.evaluate(
        """() => { const one = document.activeElement; const look = getComputedStyle(one);
        return [one.tagName, one.getAttribute("aria-label") ?? one.textContent.trim().slice(0, 40),
                look.outlineStyle !== "none" || look.boxShadow !== "none"].join("|"); }"""
    )
    return found


def test_everything_is_reached_by_keyboard_and_the_focus_is_always_seen(visit: Visit, served: Served) -> None:
    page = visit.open()
    expect(page.locator("input[name=username]")).to_be_focused()
    page.keyboard.type(served.demo.username)
    page.keyboard.press("Tab")
    page.keyboard.type(served.demo.password)
    page.keyboard.press("Enter")
    expect(page.locator("tfoot")).to_be_visible()
    expect(page.locator("[aria-busy=true]")).to_have_count(0)
    stops: list[str] = []
    for _ in range(STOPS_MAX):
        page.keyboard.press("Tab")
        stops.append(focused(page))
        if stops[-1].startswith("BODY") and len(stops) > 5:
            break
    unseen = [stop for stop in stops if stop.endswith("|false") and not stop.startswith("BODY")]
    assert unseen == []
    reached = "\n".join(stops)
    for wanted in ("Sign out", "15 min", "Table", "History", "API reference", "Filter instances"):
        assert wanted in reached, f"{wanted} is not reached:\n{reached}"


def test_a_user_without_a_project_is_told_so_and_nothing_is_asked_for(
    visit: Visit, served: Served, axe_source: str
) -> None:
    name, password = f"lone-{uuid4().hex[:8]}", "a long password"
    with administrator(served) as client:
        user = {"name": name, "domain_id": "default", "password": password}
        client.post("/users", json={"user": user}).raise_for_status()
    asked: list[str] = []
    visit.page.on("request", lambda request: asked.append(request.url))
    page = visit.open()
    page.locator("input[name=username]").fill(name)
    page.locator("input[name=password]").fill(password)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="No project yet")).to_be_visible()
    assert violations(page, axe_source) == []
    assert [url for url in asked if "/v1/" in url and not url.endswith("/v1/session")] == []
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("input[name=username]")).to_be_visible()


def multiply(route: Route) -> None:
    """Answer as a project that has many of the instances that there are, and more than a page of them."""
    answer = route.fetch().json()
    one = next(item for item in answer["items"] if item["status"] == "ACTIVE")
    crowd = [one | {"id": str(UUID(int=n)), "name": f"node-{n}", "scaling_group_id": None} for n in range(CROWD)]
    route.fulfill(json={"items": crowd, "next": "more"})


@pytest.mark.parametrize(
    "visit",
    [pytest.param({"viewport": size}, id=name) for name, size in (("desktop", DESKTOP), ("phone", SMALL_PHONE))],
    indirect=True,
)
def test_a_crowd_of_instances_fits_can_be_searched_and_is_not_asked_for_one_by_one(
    visit: Visit, axe_source: str, request: pytest.FixtureRequest
) -> None:
    visit.page.route("**/v1/instances?*", multiply)
    subjects: set[str] = set()

    def note_question(asked: Request) -> None:
        if "/cpu-percent?" in asked.url:
            subjects.add(asked.url.partition("_id=")[2].partition("&")[0])

    visit.page.on("request", note_question)
    page = visit.sign_in(visit.served.demo)
    table = page.get_by_role("region", name="Instances", exact=True)
    expect(table.get_by_text(f"more than {CROWD} instances")).to_be_visible()
    expect(table.locator("tbody tr")).to_have_count(CROWD)
    expect(page.get_by_text(f"of the first {CROWD}")).to_be_visible()
    table.get_by_role("searchbox").fill("node-199")
    expect(table.locator("tbody tr")).to_have_count(1)
    table.get_by_role("searchbox").fill("")
    expect(table.locator("tbody tr")).to_have_count(CROWD)
    assert len(subjects) <= SUBJECTS_ASKED_MAX
    keep_picture(page, f"crowd-{request.node.callspec.id}")
    assert overflow(page) <= 0
    assert violations(page, axe_source) == []
