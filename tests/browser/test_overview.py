"""The overview over a real cloud: what it shows, that it is live, and what it says when something is missing or away."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import TEST_S_MAX, Visit

pytestmark = [pytest.mark.browser, pytest.mark.timeout(TEST_S_MAX)]

ROWS_OF_THE_STORY = 20
"""Fewer than a quarter of an hour has in buckets of half a minute, its gap left out."""
COLOURED_PIXELS = """(canvas) => {
  const probe = document.createElement("span");
  probe.style.color = "var(--bad)";
  document.body.append(probe);
  const [r, g, b] = getComputedStyle(probe).color.match(/\\d+/g).map(Number);
  probe.remove();
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const rows = new Map();
  for (let at = 0; at < data.length; at += 4) {
    if (Math.abs(data[at] - r) + Math.abs(data[at + 1] - g) + Math.abs(data[at + 2] - b) > 24) continue;
    const row = Math.floor(at / 4 / canvas.width);
    rows.set(row, (rows.get(row) ?? 0) + 1);
  }
  return Math.max(0, ...rows.values()) / canvas.width;
}"""
"""The longest line in the colour of a threshold, as a share of the chart's width."""


def card(page: Page, name: str) -> Locator:
    """A titled region of the page."""
    return page.get_by_role("region", name=name, exact=True)


def instance_row(page: Page, name: str) -> Locator:
    """The row of an instance."""
    return card(page, "Instances").locator("tbody tr").filter(has=page.get_by_text(name, exact=True))


def test_every_instance_shows_its_state_flavor_and_addresses(visit: Visit) -> None:
    page = visit.sign_in(visit.served.demo)
    row = instance_row(page, "db-1")
    expect(row).to_contain_text("Active")
    expect(row).to_contain_text("n1.nano")
    expect(row).to_contain_text(re.compile(r"10\.77\.\d+\.\d+"))
    expect(instance_row(page, "old-batch")).to_contain_text("Shut off")


def test_an_instance_in_error_says_why(visit: Visit) -> None:
    page = visit.sign_in(visit.served.demo)
    row = instance_row(page, "import-job")
    expect(row).to_contain_text("Error")
    expect(row).to_contain_text("does not fit on host-1")


def test_the_chart_shows_the_groups_cpu_with_the_threshold_of_its_alarm(visit: Visit) -> None:
    page = visit.sign_in(visit.served.demo)
    chart = card(page, "CPU").get_by_role("img", name=re.compile("^CPU: Mean"))
    expect(chart).to_be_visible()
    expect(card(page, "CPU").get_by_text("Above the 60% threshold")).to_be_visible()
    canvas = chart.locator("canvas")
    expect(canvas).to_be_visible()
    assert canvas.evaluate(COLOURED_PIXELS) > 0.3
    expect(card(page, "CPU").get_by_role("button", name=re.compile("^web-1"))).to_be_visible()


def test_a_gap_in_the_readings_is_a_gap_in_the_chart_and_in_its_table(visit: Visit) -> None:
    page = visit.sign_in(visit.served.demo, "/?range=s3600")
    cpu = card(page, "CPU")
    expect(cpu.get_by_text(re.compile(r"gaps? without data"))).to_be_visible()
    cpu.get_by_role("button", name="Table").click()
    table = cpu.get_by_role("table", name="CPU percent by time, newest first")
    expect(table.get_by_text("no data").first).to_be_attached()
    assert table.get_by_role("row").count() > ROWS_OF_THE_STORY


def test_a_line_of_the_chart_can_be_switched_off(visit: Visit) -> None:
    page = visit.sign_in(visit.served.demo)
    line = card(page, "CPU").get_by_role("button", name=re.compile("^web-1"))
    line.click()
    expect(line).to_have_attribute("aria-pressed", "false")


def test_an_alarm_shows_its_state_its_reason_and_how_it_got_there(visit: Visit) -> None:
    page = visit.sign_in(visit.served.demo)
    alarm = card(page, "Alarms").get_by_role("listitem").filter(has_text="web-cpu-high").first
    expect(alarm).to_contain_text("Alarm")
    expect(alarm).to_contain_text("2 samples outside threshold")
    expect(alarm).to_contain_text("> 60% for 2 × 10")
    alarm.get_by_text("History").click()
    expect(alarm.get_by_text("Transition to")).not_to_have_count(0)


def test_scaling_shows_every_kind_of_decision_with_its_reason(visit: Visit) -> None:
    page = visit.sign_in(visit.served.demo)
    scaling = card(page, "Scaling")
    expect(scaling.get_by_text("Scaled out").first).to_be_visible()
    expect(scaling.get_by_text(re.compile(r"\+1 changes the size from \d to \d")).first).to_be_visible()
    expect(scaling.get_by_text("Refused").first).to_be_visible()
    expect(scaling.get_by_text(re.compile("cools down until|largest size already")).first).to_be_visible()
    expect(scaling.get_by_text("between 1 and 4")).to_be_visible()


def test_the_cost_so_far_comes_with_its_lines(visit: Visit) -> None:
    page = visit.sign_in(visit.served.demo)
    cost = card(page, "Cost so far")
    expect(cost.get_by_role("row").filter(has_text="Outgoing traffic").first).to_contain_text("GiB")
    cost.get_by_role("button", name="n1.nano, running").click()
    expect(cost.get_by_role("row").filter(has_text="db-1")).to_contain_text("¥")
    expect(cost.get_by_role("row").filter(has_text="With tax")).to_contain_text("¥")


def test_a_new_instance_appears_and_becomes_active_without_a_reload(visit: Visit) -> None:
    page = visit.sign_in(visit.served.demo)
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    page.evaluate("window.isTheSamePage = true")
    cloud = visit.served.cloud
    with cloud.lock:
        cloud.launch("just-now")
    row = instance_row(page, "just-now")
    expect(row).to_be_visible()
    expect(row).to_contain_text("Active")
    assert page.evaluate("window.isTheSamePage")


def test_without_the_stream_the_page_asks_and_says_so(visit: Visit) -> None:
    visit.page.route("**/v1/stream", lambda route: route.abort())
    page = visit.sign_in(visit.served.demo)
    expect(page.get_by_text("Every 5 s")).to_be_visible()
    cloud = visit.served.cloud
    with cloud.lock:
        cloud.launch("asked-for")
    expect(instance_row(page, "asked-for")).to_be_visible()
    page.unroute("**/v1/stream")
    expect(page.get_by_text("Live", exact=True)).to_be_visible()


def test_a_part_that_fails_says_so_and_is_mended_by_trying_again(visit: Visit) -> None:
    visit.page.route("**/v1/alarms?*", lambda route: route.fulfill(status=503, json={"status": 503}))
    page = visit.sign_in(visit.served.demo)
    alarms = card(page, "Alarms")
    expect(alarms.get_by_role("alert")).to_contain_text("503")
    expect(instance_row(page, "db-1")).to_be_visible()
    page.unroute("**/v1/alarms?*")
    alarms.get_by_role("button", name="Try again").click()
    expect(alarms.get_by_text("web-cpu-high")).to_be_visible()


def test_an_empty_project_is_told_what_to_do_next(visit: Visit) -> None:
    page = visit.sign_in(visit.served.admin)
    instances = card(page, "Instances")
    expect(instances.get_by_text("No instances yet")).to_be_visible()
    expect(instances.locator("code")).to_contain_text("openstack server create")
    for name, title in (
        ("CPU", "Nothing to draw yet"),
        ("Alarms", "No alarms yet"),
        ("Scaling", "No scaling group yet"),
        ("Cost so far", "Nothing to pay yet"),
    ):
        expect(card(page, name).get_by_text(title)).to_be_visible()


def test_the_keyboard_reaches_everything_in_order(visit: Visit) -> None:
    page = visit.sign_in(visit.served.demo)
    expect(instance_row(page, "db-1")).to_be_visible()
    page.evaluate("document.activeElement?.blur()")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.keyboard.press("Tab")
    expect(card(page, "CPU").get_by_label("Instances shown")).to_be_focused()
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


@pytest.mark.parametrize("visit", [{"locale": "ja-JP"}], indirect=True)
def test_a_japanese_reader_reads_the_reasons_in_japanese(visit: Visit) -> None:
    page = visit.sign_in(visit.served.demo)
    expect(card(page, "アラーム").get_by_text(re.compile("しきい値の範囲外のため")).first).to_be_visible()
    expect(card(page, "スケーリング").get_by_text(re.compile(r"により \d 台から \d 台へ")).first).to_be_visible()
    expect(page.locator("p[lang=en]")).to_have_count(0)
