"""The app in Chromium: one server and one browser per test process, a fresh context for every test.

Without Chromium these tests are skipped; with XENT_REQUIRE_BROWSER=1 they fail instead.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

REQUIRED = os.environ.get("XENT_REQUIRE_BROWSER") == "1"
if not REQUIRED:
    pytest.importorskip("playwright", reason="playwright is not installed, see requirements-dev.txt")

from playwright.sync_api import Browser, Page, sync_playwright  # noqa: E402  # only once it is known to be there

from harness.browser import DESKTOP, NO_CHROMIUM, ROOT, Journal, Server, find_chromium, launch, serve  # noqa: E402

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


def _do_without(reason: str) -> NoReturn:
    if REQUIRED:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def app_url(browser: Browser, pytestconfig: pytest.Config) -> Iterator[str]:
    """The address of the app, started for this test process once there is a browser to look at it."""
    with serve() as server:
        pytestconfig.stash[SERVER] = server
        yield server.url
        del pytestconfig.stash[SERVER]


@pytest.fixture(scope="module")
def hosted() -> Iterator[Server]:
    """The app for strangers, anew for each file of tests: what one leaves in it is not the next one's business."""
    with serve(ROOT / "hosted.py") as server:
        yield server


@pytest.fixture
def journal() -> Journal:
    """What `page` said and asked for that it should not have."""
    return Journal()


@pytest.fixture
def page(browser: Browser, journal: Journal) -> Iterator[Page]:
    """An empty page in a context of its own, as wide as a desktop."""
    width, height = DESKTOP
    context = browser.new_context(viewport={"width": width, "height": height}, locale="en-US")
    page = context.new_page()
    journal.watch(page)
    yield page
    context.close()
