"""The app in a browser, mostly Chromium: one server and one browser per test process, an empty page for every test.

Without a browser these tests are skipped; with XENT_REQUIRE_BROWSER=1 they fail instead.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest

REQUIRED = os.environ.get("XENT_REQUIRE_BROWSER") == "1"
if not REQUIRED:
    pytest.importorskip("playwright", reason="playwright is not installed, see requirements-dev.txt")

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright  # noqa: E402  # only once it is known to be there

from harness.browser import DESKTOP, NO_CHROMIUM, ROOT, Journal, Server, find_chromium, launch, open_page, serve  # noqa: E402
from harness.firefox import NO_FIREFOX, FirefoxPage, find_firefox, firefox_page  # noqa: E402

HERE = Path(__file__).parent
SERVER = pytest.StashKey[Server]()
LOG_CHARACTERS = 6_000


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    seen = set[object]()
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.browser)
            function = getattr(item, "function", item)
            if function in seen:  # a page takes seconds to open: of several cases, the first is for every day
                item.add_marker(pytest.mark.long)
            seen.add(function)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Under a failure stands the end of what the server wrote."""
    report = yield
    server = item.config.stash.get(SERVER, None)
    if report.failed and server is not None and HERE in item.path.parents:
        report.sections.append(("the server's log", server.log()[-LOG_CHARACTERS:]))
    return report


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, headless."""
    with sync_playwright() as playwright:
        if find_chromium(playwright) is None:
            _do_without(NO_CHROMIUM)
        chromium = launch(playwright)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def firefox() -> Iterator[FirefoxPage]:
    """The page of a headless Firefox."""
    if find_firefox() is None:
        _do_without(NO_FIREFOX)
    with firefox_page() as page:
        yield page


def _do_without(reason: str) -> NoReturn:
    if REQUIRED:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def profile(browser: Browser) -> Iterator[BrowserContext]:
    """Where `page` opens: it keeps the code of the pages, so that the next one is there in half the time."""
    width, height = DESKTOP
    context = browser.new_context(viewport={"width": width, "height": height}, locale="en-US")
    yield context
    context.close()


@contextmanager
def _stays_open(profile: BrowserContext, url: str) -> Iterator[None]:
    """A tab without a visit, by which the browser keeps what it has compiled for that server.

    The server has been visited then: the first address of a page that it is asked for, it does not know yet.
    """
    tab = profile.new_page()
    open_page(tab, url)
    tab.goto(f"{url}/_stcore/health")
    yield
    tab.close()


@pytest.fixture(scope="session")
def app_url(profile: BrowserContext, pytestconfig: pytest.Config) -> Iterator[str]:
    """The address of the app, started for this test process once there is a browser to look at it."""
    with serve() as server, _stays_open(profile, server.url):
        pytestconfig.stash[SERVER] = server
        yield server.url
        del pytestconfig.stash[SERVER]


@pytest.fixture(scope="module")
def hosted(profile: BrowserContext) -> Iterator[Server]:
    """The app for strangers, anew for each file of tests: what one leaves in it is not the next one's business."""
    with serve(ROOT / "hosted.py") as server, _stays_open(profile, server.url):
        yield server


@pytest.fixture
def journal() -> Journal:
    """What `page` said and asked for that it should not have."""
    return Journal()


@pytest.fixture
def page(profile: BrowserContext, journal: Journal) -> Iterator[Page]:
    """An empty page as wide as a desktop, of a visitor whom no server knows: no cookie, nothing stored."""
    stay = profile.pages
    page = profile.new_page()
    journal.watch(page)
    yield page
    for one in profile.pages:
        if one in stay:
            one.evaluate("localStorage.clear()")
        else:
            one.close()
    profile.clear_cookies()
    profile.clear_permissions()
