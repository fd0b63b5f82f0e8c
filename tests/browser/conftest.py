"""The page in a real Chromium, served by the real API process, over a small cloud that lives in a database of its own."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright
from psycopg import sql

from foundation.database import open_pool
from foundation.ids import new_hex_id
from tests.browser.cloud import Account, SmallCloud
from tests.conftest import ROOT, migrate, with_database
from tests.contract.conftest import spare_port, wait_until_ready

CHROMIUM = "/usr/bin/chromium"
CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
DASHBOARD = ROOT / "dashboard"
BUILT_BY_MAKE = ROOT / "var" / "dashboard"
SCREENSHOTS = ROOT / "var" / "screenshots"
DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 375, "height": 812}
SMALL_PHONE = {"width": 360, "height": 740}
EXPECT_MS = 60_000
"""How long a test waits for what it expects; it is there in a moment but on a machine that has ten times as much to do."""
TEST_S_MAX = 900
STOP_S_MAX = 60
LIFE_STOP_S_MAX = 120

EXPECTED_COMPLAINTS = re.compile(r"status of 40[13]|net::ERR_|status of 50[0-9]")
"""What Chromium writes to the console for answers that a test asks for: a wrong password, an API that is away."""


def newest(*candidates: Path) -> Path:
    """The newest of the paths that exist."""
    found = [path for path in candidates if path.exists()]
    assert found, f"none of {', '.join(map(str, candidates))} is there: run `make dashboard`"
    return max(found, key=lambda path: path.stat().st_mtime)


@dataclass(frozen=True, slots=True)
class Served:
    """Where the product listens, and the cloud behind it."""

    url: str
    cloud: SmallCloud

    @property
    def demo(self) -> Account:
        """The member of the project that has the instances."""
        return self.cloud.accounts["demo"]

    @property
    def admin(self) -> Account:
        """The administrator, whose own project is empty."""
        return self.cloud.accounts["admin"]


@pytest.fixture(scope="session")
def browser_database_url(cluster_url: str) -> Iterator[str]:
    """A database of its own, since the cloud goes on living while other tests run."""
    name = f"test_{new_hex_id()}"
    with psycopg.connect(cluster_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    url = with_database(cluster_url, name)
    migrate(url, "head")
    yield url
    with psycopg.connect(cluster_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def cloud(browser_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallCloud]:
    """The cloud, with a quarter of an hour behind it, going on in a thread."""
    pool = open_pool(browser_database_url, size_max=4, application_name="small-cloud")
    small = SmallCloud(pool, tmp_path_factory.mktemp("small_cloud"))
    small.found()
    small.live_through()
    life = threading.Thread(target=small.go_on, name="small-cloud", daemon=True)
    life.start()
    yield small
    small.is_over.set()
    life.join(LIFE_STOP_S_MAX)
    assert not life.is_alive()
    pool.close()


@contextmanager
def serving(database_url: str, var: Path, *, port: int) -> Generator[None]:
    """Run the API process with the built dashboard until the block ends."""
    if not (var / "dashboard").exists():
        (var / "dashboard").mkdir()
        files = newest(BUILT_BY_MAKE / "dist" / "index.html", DASHBOARD / "dist" / "index.html").parent
        (var / "dashboard" / "dist").symlink_to(files)
    environment = os.environ | {
        "NEPHO_LISTEN": f"127.0.0.1:{port}",
        "NEPHO_DATABASE_URL": database_url,
        "NEPHO_VAR": str(var),
        "PYTHONPATH": str(ROOT),
    }
    log_path = var / "api.log"
    command = [sys.executable, "-m", "entrypoints.http"]
    with (
        log_path.open("wb") as log,
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log) as api,
    ):
        try:
            wait_until_ready(f"http://127.0.0.1:{port}", api, log_path)
            yield
        finally:
            api.terminate()
            try:
                api.wait(STOP_S_MAX)
            except subprocess.TimeoutExpired:
                api.kill()


@pytest.fixture(scope="session")
def served(cloud: SmallCloud, browser_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The API process, and the cloud behind it."""
    port = spare_port()
    with serving(browser_database_url, tmp_path_factory.mktemp("served"), port=port):
        yield Served(f"http://127.0.0.1:{port}", cloud)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for a module's tests, each of which gets a context of its own.

    While it is there, this thread has a running event loop, in which others' tests could not run theirs.
    """
    assert Path(CHROMIUM).exists(), "these tests need Chromium: apt-get install --no-install-recommends chromium"
    expect.set_options(timeout=EXPECT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(CHROMIUM_FLAGS))
        yield browser
        browser.close()


class Visit:
    """A visitor's window: opens pages, signs in, and remembers every complaint of the browser."""

    def __init__(self, context: BrowserContext, served: Served) -> None:
        self.served = served
        self.complaints: list[str] = []
        self.page: Page = context.new_page()
        self.page.set_default_timeout(EXPECT_MS)
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not EXPECTED_COMPLAINTS.search(message.text):
            self.complaints.append(message.text)

    def open(self, path: str = "/") -> Page:
        """Open an address of the product."""
        self.page.goto(f"{self.served.url}{path}")
        return self.page

    def sign_in(self, account: Account, path: str = "/") -> Page:
        """Open an address and sign in where it asks."""
        page = self.open(path)
        page.locator("input[name=username]").fill(account.username)
        page.locator("input[name=password]").fill(account.password)
        page.keyboard.press("Enter")
        expect(page.locator("main h2").first).to_be_visible()
        return page


@pytest.fixture
def visit(chromium: Browser, served: Served, request: pytest.FixtureRequest) -> Iterator[Visit]:
    """A fresh window; `@pytest.mark.parametrize("visit", [{...}], indirect=True)` gives it a size, a theme or a language."""
    wishes: dict[str, Any] = {
        "viewport": DESKTOP,
        "locale": "en-GB",
        "timezone_id": "Asia/Tokyo",
        "color_scheme": "light",
        **getattr(request, "param", {}),
    }
    context = chromium.new_context(**wishes)
    visitor = Visit(context, served)
    yield visitor
    context.close()
    assert visitor.complaints == []


@pytest.fixture(scope="session")
def axe_source() -> str:
    """The accessibility checker, to be evaluated in a page: its Content-Security-Policy lets no foreign script in."""
    installed = "node_modules/axe-core/axe.min.js"
    return newest(BUILT_BY_MAKE / "work" / installed, DASHBOARD / installed).read_text()
