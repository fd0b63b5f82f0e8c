"""The page while the API goes and comes back, and in more tabs than a browser has connections for."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.cloud import SmallCloud
from tests.browser.conftest import TEST_S_MAX, Served, Visit, serving
from tests.browser.test_overview import card, instance_row
from tests.contract.conftest import spare_port

pytestmark = [pytest.mark.browser, pytest.mark.timeout(TEST_S_MAX)]

CONNECTIONS = 6
"""So many does Chromium keep open to one server, over all its tabs."""
RETURN_MS_MAX = 120_000
"""The page asks every few seconds, and the stream's pauses grow to half a minute."""
OUTAGE = re.compile(r"The API does not answer\. Showing what was known at \d\d:\d\d:\d\d")


def look_away(page: Page) -> None:
    """Let the page believe that another tab is in front of it: a browser without a window shows them all."""
    page.evaluate(
        """() => {
        Object.defineProperty(document, "visibilityState", { value: "hidden", configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
        }"""
    )


def test_an_api_that_ends_and_comes_back_is_told_of_once_and_the_page_goes_on_by_itself(
    visit: Visit, cloud: SmallCloud, browser_database_url: str, tmp_path: Path
) -> None:
    port = spare_port()
    visit.served = Served(f"http://127.0.0.1:{port}", cloud)
    outage = visit.page.get_by_text(OUTAGE)
    with serving(browser_database_url, tmp_path, port=port):
        page = visit.sign_in(cloud.accounts["demo"])
        expect(page.get_by_text("Live", exact=True)).to_be_visible()
        expect(instance_row(page, "db-1")).to_be_visible()
        page.evaluate("window.isTheSamePage = true")
    expect(page.get_by_text("Every 5 s")).to_be_visible()
    expect(outage).to_be_visible()
    expect(page.get_by_text("Could not refresh")).to_have_count(0)
    expect(instance_row(page, "db-1")).to_be_visible()
    with serving(browser_database_url, tmp_path, port=port):
        with cloud.lock:
            cloud.launch("after-the-break")
        expect(outage).to_have_count(0, timeout=RETURN_MS_MAX)
        expect(page.get_by_text("Live", exact=True)).to_be_visible(timeout=RETURN_MS_MAX)
        expect(instance_row(page, "after-the-break")).to_be_visible()
        assert page.evaluate("window.isTheSamePage")
        page.close()


def test_tabs_that_nobody_looks_at_leave_connections_for_another(visit: Visit) -> None:
    visit.page.context.clock.install()
    visit.sign_in(visit.served.demo)
    tabs = [visit.page, *(visit.page.context.new_page() for _ in range(CONNECTIONS - 1))]
    for tab in tabs:
        tab.goto(visit.served.url)
        expect(tab.get_by_text("Live", exact=True)).to_be_visible()
        look_away(tab)
        tab.clock.fast_forward(90_000)
        expect(tab.locator("[data-state=polling]")).to_have_count(1)
    last = visit.page.context.new_page()
    last.goto(visit.served.url)
    expect(card(last, "Instances").get_by_role("rowheader").first).to_be_visible()
    expect(last.get_by_text("Live", exact=True)).to_be_visible()
