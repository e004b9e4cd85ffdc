"""The app as strangers meet it: two replicas behind nginx.

Without nginx these tests are skipped; with XENT_REQUIRE_NGINX=1 they fail instead.
"""

import asyncio
import contextlib
import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlparse

import pytest
import torch
from playwright.sync_api import Browser, FilePayload, Page, expect

from harness.browser import (
    DESKTOP,
    IDLE_MS,
    Journal,
    edit_cell,
    editor,
    expect_kept,
    go_to,
    metric,
    open_page,
    wait_drawn,
    wait_idle,
)
from harness.hosting import Site, nginx_before, replica, require_nginx, two_replicas_behind_nginx
from harness.visitor import UploadRefused, Visitor, visit
from xent_core import Problem
from xent_core.codec import MAX_TOKEN, to_json
from xent_ui.server.limits import PUBLIC

pytestmark = pytest.mark.long

ELSEWHERE = "127.0.0.2"  # another visitor's address, with limits of its own
BURST = 200  # visits that one address may begin at once
WEBSOCKET = {"Connection": "Upgrade", "Upgrade": "websocket"}


@pytest.fixture(scope="module", autouse=True)
def _nginx_is_here() -> None:
    require_nginx()


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with two_replicas_behind_nginx() as site:
        yield site


def get(site: Site, path: str, *, source: str = "127.0.0.1", **headers: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(urlparse(site.url).netloc, timeout=30, source_address=(source, 0))
    connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer


def cookie_of(answer: http.client.HTTPResponse) -> str | None:
    cookies = [cookie for cookie in answer.headers.get_all("Set-Cookie") or () if cookie.startswith("xent_replica=")]
    return cookies[0].partition(";")[0] if cookies else None


def replica_of(page: Page) -> str:
    """The number of the replica that this visitor stays with."""
    [name] = [cookie["value"] for cookie in page.context.cookies() if cookie["name"] == "xent_replica"]
    return name


def new_page(browser: Browser, journal: Journal) -> Page:
    width, height = DESKTOP
    page = browser.new_context(viewport={"width": width, "height": height}, locale="en-US").new_page()
    journal.watch(page)
    return page


def test_both_replicas_get_visitors_and_each_visitor_stays_with_one(site: Site) -> None:
    cookies = [cookie_of(get(site, "/")) for _ in range(40)]

    assert set(cookies) == {"xent_replica=1", "xent_replica=2"}  # one alone would be a chance of 1 in 10¹²
    addresses = {name: server.url.removeprefix("http://") for name, server in site.replicas.items()}
    for name, path in (("1", "/healthz"), ("2", "/_stcore/health")):
        answers = [get(site, path, Cookie=f"xent_replica={name}") for _ in range(10)]
        assert {cookie_of(answer) for answer in answers} == {None}
        assert {request["replica"] for request in site.requests() if request["path"] == path} == {addresses[name]}


def test_a_cookie_that_names_no_replica_is_answered_and_replaced(site: Site) -> None:
    for odd in ("3", "127.0.0.1:22", "1; 2", "x" * 4000):
        answer = get(site, "/", Cookie=f"xent_replica={odd}")

        assert answer.status == 200
        assert cookie_of(answer) in ("xent_replica=1", "xent_replica=2", None)


class DropsTheSecondRequest(BaseHTTPRequestHandler):
    """A replica that ends a connection that was kept just when another request comes over it."""

    protocol_version = "HTTP/1.1"  # which keeps connections
    requests_of_it = 0

    def do_GET(self) -> None:
        self.requests_of_it += 1
        if self.requests_of_it > 1:
            self.close_connection = True
            return
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.send_header("X-Asked-To", self.headers["Connection"])
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_a_connection_that_breaks_when_it_is_used_again_sends_nobody_to_the_other_replica() -> None:
    with contextlib.ExitStack() as stack:
        stubs = [stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), DropsTheSecondRequest)) for _ in range(2)]
        for stub in stubs:
            threading.Thread(target=stub.serve_forever, daemon=True).start()
            stack.callback(stub.shutdown)
        url, log_file = stack.enter_context(nginx_before([f"127.0.0.1:{stub.server_port}" for stub in stubs]))
        site = Site(url, {}, log_file.parent, log_file)
        answers = [get(site, "/", Cookie="xent_replica=1") for _ in range(8)]  # several for each worker of nginx

    assert {cookie_of(answer) for answer in answers} == {None}
    assert {answer.headers["X-Asked-To"] for answer in answers} == {"close"}  # before 1.29.7, nginx keeps none anyway


def test_what_is_large_and_text_comes_compressed(site: Site) -> None:
    answer = get(site, "/", Accept_Encoding="gzip")
    assert answer.status == 200
    assert answer.headers["Content-Encoding"] == "gzip"


def test_visitors_see_no_metrics_and_no_other_name_is_answered(site: Site) -> None:
    for path in (
        "/_stcore/metrics",
        "/_stcore/metrics/",
        "/_stcore/agent/openapi.json",
        "/_stcore/script-health-check",
    ):
        assert get(site, path).status == 404
    assert get(site, "/", Host="elsewhere.example").status == 421
    assert get(site, "/healthz").status == 200


def test_the_headers_of_the_app_arrive(site: Site) -> None:
    answer = get(site, "/")

    assert "frame-ancestors 'self'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Server"] == "nginx"  # and not which one


def test_the_log_says_nothing_of_who_came_and_what_a_link_holds(site: Site) -> None:
    get(site, "/?p=secret-token&note=secret-note", User_Agent="secret-browser")

    log = site.log_file.read_text("utf-8")
    assert "secret" not in log
    assert '"status": 200' in log


def test_a_link_of_the_greatest_length_gets_through(site: Site) -> None:
    assert get(site, f"/?p={'x' * MAX_TOKEN}&classes={'y' * 3000}&rows={'z' * 3000}&note={'n' * 900}").status == 200


def test_one_address_cannot_begin_visits_without_end_and_others_go_on(site: Site) -> None:
    statuses = [get(site, "/_stcore/stream", source=ELSEWHERE, **WEBSOCKET).status for _ in range(2 * BURST)]

    assert 429 in statuses
    assert statuses.index(429) >= BURST
    assert get(site, "/_stcore/stream", **WEBSOCKET).status != 429


def test_uploads_reach_the_session_they_belong_to(site: Site) -> None:
    async def upload_twice() -> None:
        async with Visitor(site.url, page="export") as visitor:
            # each on a connection of its own; the second is more than nginx holds in memory
            for table in (torch.zeros(1, 2), torch.randn(64, 64, dtype=torch.float64)):
                await visitor.upload("import_file", "batch.json", to_json(Problem(table, [0] * len(table))).encode())
                assert "import_open" in visitor.widgets, visitor.alerts

    async def all_together() -> None:
        await asyncio.gather(*(upload_twice() for _ in range(8)))

    visit(all_together())


def test_a_file_beyond_the_limit_is_refused_before_the_app_sees_it(site: Site) -> None:
    async def upload() -> None:
        async with Visitor(site.url, page="export") as visitor:
            await visitor.upload("import_file", "large.json", bytes(PUBLIC.upload_mb * 2**20 + 2**20))

    with pytest.raises(UploadRefused) as refused:
        visit(upload())
    assert refused.value.status == 413


def test_when_a_replica_dies_its_visitors_go_on_with_what_they_typed_on_another(browser: Browser, site: Site) -> None:
    journals = {"1": Journal(), "2": Journal()}
    pages: dict[str, Page] = {}
    for name, journal in journals.items():
        pages[name] = new_page(browser, journal)
        # the cookie of an earlier visit, so that each replica has a visitor
        pages[name].context.add_cookies([{"name": "xent_replica", "value": name, "url": site.url}])
        open_page(pages[name], f"{site.url}/?preset=worked-batch")
        wait_drawn(pages[name])
        edit_cell(pages[name], editor(pages[name], "logits"), 0, 1, "5")
        # by hand: log(e⁵ + e² + e³) - 3 = 2.169846, 1.407606 and 0.407606 stay: their mean
        expect(metric(pages[name], "loss")).to_have_text("1.9950", timeout=IDLE_MS)
        expect_kept(pages[name], '"5"')
    elsewhere = new_page(browser, journals["2"])
    elsewhere.context.add_cookies([{"name": "xent_replica", "value": "2", "url": site.url}])
    open_page(elsewhere, f"{site.url}/?preset=worked-batch")
    wait_drawn(elsewhere)
    edit_cell(elsewhere, editor(elsewhere, "logits"), 0, 1, "5")
    expect(metric(elsewhere, "loss")).to_have_text("1.9950", timeout=IDLE_MS)
    go_to(elsewhere, "Export")
    expect_kept(elsewhere, '"5"')
    port = int(urlparse(site.replicas["2"].url).port or 0)
    with pages["2"].expect_websocket(timeout=IDLE_MS):
        site.replicas["2"].process.kill()
        site.replicas["2"].process.wait()

    for page in pages.values():
        wait_drawn(page)
        # one edit more: the loss knows both, so the session behind the page has the first one too
        edit_cell(page, editor(page, "logits"), 1, 1, "-4.5")
        expect(metric(page, "loss")).to_have_text("1.9637", timeout=IDLE_MS)
        assert replica_of(page) == "1"

    # where no editor tells the new process what was typed, the tab does, whatever page is asked for next
    wait_idle(elsewhere)
    go_to(elsewhere, "Batch")
    expect(metric(elsewhere, "loss")).to_have_text("1.9950", timeout=IDLE_MS)
    elsewhere.context.close()

    with replica(site.folder, port) as back:
        site.replicas["2"] = back
        page = pages["2"]
        go_to(page, "Export")
        file = FilePayload(name="one.json", mimeType="application/json", buffer=to_json(Problem([[1.0]], [0])).encode())
        page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(file)
        expect(page.locator(".st-key-import_open")).to_be_visible(timeout=IDLE_MS)
        assert replica_of(page) == "1"
    for name, page in pages.items():
        journals[name].assert_quiet()
        page.context.close()
