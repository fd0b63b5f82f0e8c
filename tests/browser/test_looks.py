"""How the page looks: both languages, both themes, desktop and phone; each is checked for accessibility and kept as a picture."""

import re
from itertools import product
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.conftest import DESKTOP, PHONE, SCREENSHOTS, TEST_S_MAX, Visit

pytestmark = [pytest.mark.browser, pytest.mark.timeout(TEST_S_MAX)]

LOCALES = {"en": "en-GB", "ja": "ja-JP"}
SIZES = {"desktop": DESKTOP, "phone": PHONE}
LOOKS = [
    pytest.param(
        {"viewport": size, "color_scheme": theme, "locale": LOCALES[language], "reduced_motion": "reduce"},
        id=f"{name}-{theme}-{language}",
    )
    for (name, size), theme, language in product(SIZES.items(), ("light", "dark"), LOCALES)
]
AXE = """async () => (await axe.run(document, {
  runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
})).violations.map((violation) => `${violation.id}: ${violation.nodes.map((node) => node.target.join(" ")).join(", ")}`)"""


def violations(page: Page, axe_source: str) -> list[str]:
    """What the accessibility checker finds on the page."""
    page.evaluate(axe_source)
    found: list[str] = page.evaluate(AXE)
    return found


def keep_picture(page: Page, name: str) -> None:
    """Keep a picture of the whole page under var/."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


def overflow(page: Page) -> int:
    """By how many pixels the page is wider than its window."""
    width: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return width


@pytest.mark.parametrize("visit", LOOKS, indirect=True)
def test_it_is_accessible_and_fits(visit: Visit, axe_source: str, request: pytest.FixtureRequest) -> None:
    look = request.node.callspec.id
    page = visit.open()
    expect(page.locator("input[name=username]")).to_be_visible()
    assert violations(page, axe_source) == []
    keep_picture(page, f"sign-in-{look}")
    visit.sign_in(visit.served.demo)
    expect(page.locator("canvas")).to_be_visible()
    expect(page.locator("tfoot")).to_be_visible()
    expect(page.locator("[aria-busy=true]")).to_have_count(0)
    page.locator("details summary").first.click()
    assert violations(page, axe_source) == []
    assert overflow(page) <= 0
    keep_picture(page, f"overview-{look}")
    page.locator("section").first.get_by_role("button").last.click()
    expect(page.locator("table caption").first).to_be_attached()
    assert violations(page, axe_source) == []
    assert overflow(page) <= 0


@pytest.mark.parametrize(
    "visit", [pytest.param({"viewport": size}, id=name) for name, size in SIZES.items()], indirect=True
)
def test_an_empty_project_is_accessible_and_fits(visit: Visit, axe_source: str, request: pytest.FixtureRequest) -> None:
    page = visit.sign_in(visit.served.admin)
    expect(page.locator("section code")).not_to_have_count(0)
    expect(page.locator("[aria-busy=true]")).to_have_count(0)
    assert violations(page, axe_source) == []
    assert overflow(page) <= 0
    keep_picture(page, f"empty-{request.node.callspec.id}")


def background(page: Page) -> str:
    """The colour behind everything."""
    colour: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return colour


def test_a_chosen_theme_is_kept_and_the_system_decides_again_when_asked(visit: Visit) -> None:
    page = visit.sign_in(visit.served.demo)
    light = background(page)
    page.get_by_role("button", name="Dark").click()
    dark = background(page)
    assert dark != light
    page.reload()
    expect(page.get_by_role("button", name="Dark")).to_have_attribute("aria-pressed", "true")
    assert background(page) == dark
    page.get_by_role("button", name="System").click()
    assert background(page) == light
    page.emulate_media(color_scheme="dark")
    assert background(page) == dark


def test_a_chosen_language_is_kept_with_its_numbers_and_dates(visit: Visit) -> None:
    page = visit.sign_in(visit.served.demo)
    page.get_by_label("Language").select_option("ja")
    expect(page.get_by_role("region", name="インスタンス")).to_be_visible()
    page.reload()
    expect(page.get_by_role("region", name="現在までの料金")).to_contain_text("月")
    assert page.evaluate("document.documentElement.lang") == "ja"
    expect(page.get_by_role("button", name="サインアウト")).to_be_visible()


@pytest.mark.parametrize("visit", [{"reduced_motion": "reduce"}, {"reduced_motion": "no-preference"}], indirect=True)
def test_nothing_moves_for_those_who_asked_for_less_motion(visit: Visit, request: pytest.FixtureRequest) -> None:
    wish: dict[str, Any] = request.node.callspec.params["visit"]
    page = visit.sign_in(visit.served.demo)
    expect(page.locator("[data-state=live]")).to_be_visible()
    duration = page.evaluate("getComputedStyle(document.querySelector('[data-state=live] > span')).animationDuration")
    assert (duration == "0s") == (wish["reduced_motion"] == "reduce")


RECORD_LETTERS = """() => {
  const draw = CanvasRenderingContext2D.prototype.fillText;
  let smallest = Infinity;
  CanvasRenderingContext2D.prototype.fillText = function (...text) {
    smallest = Math.min(smallest, Number.parseFloat(/([\\d.]+)px/.exec(this.font)[1]));
    document.documentElement.dataset.letterPx = smallest;
    return draw.apply(this, text);
  };
}"""
LETTER_PX_MIN = 11
MOVED_PX_MAX = 3
"""What a browser does not count as a shift of the layout."""


@pytest.mark.parametrize("visit", [{"device_scale_factor": 1}, {"device_scale_factor": 2}], indirect=True)
def test_the_charts_letters_are_as_large_on_a_dense_screen(visit: Visit, request: pytest.FixtureRequest) -> None:
    density: int = request.node.callspec.params["visit"]["device_scale_factor"]
    visit.page.add_init_script(f"({RECORD_LETTERS})()")
    page = visit.sign_in(visit.served.demo)
    expect(page.get_by_text("Above the 60% threshold")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("data-letter-px", re.compile(r"\d"))
    assert float(page.evaluate("document.documentElement.dataset.letterPx")) >= LETTER_PX_MIN * density


def top_of(region: Locator) -> float:
    """How far from the window's top a region begins."""
    box = region.bounding_box()
    assert box is not None
    return box["y"]


def test_nothing_moves_while_another_range_is_on_its_way(visit: Visit) -> None:
    page = visit.sign_in(visit.served.demo)
    below = page.get_by_role("region", name="Instances", exact=True)
    expect(page.locator("canvas")).to_be_visible()
    expect(page.locator("[aria-busy=true]")).to_have_count(0)

    def hold(_: Route) -> None:
        """Leave the question open."""

    page.route("**/v1/series/cpu-percent?*", hold)
    before = top_of(below)
    page.get_by_role("button", name="6 h", exact=True).click()
    expect(page.locator("canvas")).to_have_count(0)
    assert abs(top_of(below) - before) < MOVED_PX_MAX


@pytest.mark.parametrize("visit", [{"color_scheme": "dark"}], indirect=True)
def test_paper_is_light_and_shows_what_cannot_be_scrolled_or_pressed_there(visit: Visit) -> None:
    page = visit.sign_in(visit.served.demo)
    expect(page.locator("canvas")).to_be_visible()
    page.get_by_role("button", name="Dark").click()
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    expect(page.get_by_text("As of")).to_be_visible()
    expect(page.get_by_text("Sign out")).to_be_hidden()
    expect(page.get_by_role("button", name="Dark")).to_be_hidden()
    keep_picture(page, "paper")
    assert overflow(page) <= 0
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
