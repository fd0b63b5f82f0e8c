"""Signing in and out, as a person at a browser does it."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import TEST_S_MAX, Visit

pytestmark = [pytest.mark.browser, pytest.mark.timeout(TEST_S_MAX)]


def test_a_wrong_password_is_said_and_the_right_one_leads_to_the_overview(visit: Visit) -> None:
    page = visit.open()
    expect(page).to_have_title("Sign in · Nephoscope")
    page.get_by_label("User name").fill(visit.served.demo.username)
    page.get_by_label("Password", exact=True).fill("not the password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("not right")
    expect(page.get_by_label("Password", exact=True)).to_be_focused()
    page.get_by_label("Password", exact=True).fill(visit.served.demo.password)
    page.keyboard.press("Enter")
    expect(page.get_by_role("region", name="Instances")).to_be_visible()
    expect(page).to_have_title(re.compile("Overview · Nephoscope"))


def test_a_missing_password_is_said_without_asking_the_api(visit: Visit) -> None:
    page = visit.open()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.method))
    page.get_by_label("User name").fill("demo")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("Enter a user name and a password")
    assert "POST" not in asked


def test_the_session_outlives_a_reload_and_ends_with_signing_out(visit: Visit) -> None:
    page = visit.sign_in(visit.served.demo, "/?range=s3600")
    page.reload()
    expect(page.get_by_role("button", name="1 h", exact=True)).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("User name")).to_be_visible()
    page.reload()
    expect(page.get_by_label("User name")).to_be_visible()


def test_no_script_can_read_what_keeps_us_signed_in(visit: Visit) -> None:
    page = visit.sign_in(visit.served.demo)
    assert page.evaluate("document.cookie") == ""
    kept = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert "token" not in kept
    cookie = next(cookie for cookie in page.context.cookies() if cookie.get("name") == "nephoscope_session")
    assert cookie.get("httpOnly")
    assert cookie.get("sameSite") == "Lax"
    assert cookie.get("value", "") not in kept


def test_a_session_that_ends_elsewhere_leads_back_to_sign_in(visit: Visit) -> None:
    page = visit.sign_in(visit.served.demo)
    page.context.clear_cookies()
    expect(page.get_by_text("Your session has ended")).to_be_visible()


def test_the_page_is_allowed_nothing_but_its_own_files(visit: Visit) -> None:
    answer = visit.page.goto(visit.served.url)
    assert answer is not None
    policy = answer.headers["content-security-policy"]
    assert "'unsafe" not in policy
    assert "script-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
