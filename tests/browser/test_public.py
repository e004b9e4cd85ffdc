"""The server for strangers as it runs: headers, what it refuses, its log, and every page under its policy."""

import asyncio
import json
import math
import re
import socket
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlparse

import pytest
import websockets
from playwright.sync_api import Page, expect
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from harness.aio import in_a_thread
from harness.browser import (
    IDLE_MS,
    ROOT,
    Journal,
    Server,
    cell,
    edit_cell,
    editor,
    free_port,
    go_to,
    metric,
    open_page,
    serve,
    wait_drawn,
)
from harness.hostile_names import NAMES
from xent_core import __version__

PAGES = (
    "Batch",
    "One example",
    "Compare settings",
    "Gradient descent",
    "Step by step",
    "Implementations",
    "Precision",
    "Doctor",
    "Your logits",
    "Export",
)
HEADERS = (
    *("content-security-policy", "cross-origin-opener-policy", "cross-origin-resource-policy"),
    *("permissions-policy", "referrer-policy", "x-content-type-options"),
)
SECONDS = 60


def events(server: Server) -> list[dict[str, Any]]:
    """The lines of the log that are JSON."""
    return [json.loads(line) for line in server.log().splitlines() if line.startswith("{")]


def answer(url: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body."""
    try:
        with urllib.request.urlopen(url, timeout=SECONDS) as reply:
            return reply.status, {name.lower(): text for name, text in reply.headers.items()}, reply.read()
    except urllib.error.HTTPError as error:
        return error.code, {name.lower(): text for name, text in error.headers.items()}, error.read()


class Visitor:
    """A program that speaks Streamlit's protocol; what it sends is not what a browser would."""

    def __init__(self, url: str, origin: str = "") -> None:
        self.url, self.origin = url, origin or url
        self.page_hash = self.editor_id = self.rows_id = self.loss = ""
        self.alerts: list[str] = []

    async def __aenter__(self) -> "Visitor":
        host = urlparse(self.url).netloc
        self.socket = await websockets.connect(
            f"ws://{host}/_stcore/stream", subprotocols=["streamlit"], origin=self.origin, max_size=None
        )
        await self.run()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.socket.close()

    async def run(self, state_of_the_editor: str | None = None, number_of_rows: float | None = None) -> None:
        """Let the page run, with this state of the logits editor or this number of rows, until it has ended."""
        message = BackMsg()
        state = message.rerun_script
        state.query_string, state.page_script_hash = "preset=worked-batch", self.page_hash
        state.context_info.url = self.url
        if state_of_the_editor is not None:
            widget = state.widget_states.widgets.add()
            widget.id, widget.string_value = self.editor_id, state_of_the_editor
        if number_of_rows is not None:
            widget = state.widget_states.widgets.add()
            widget.id, widget.double_value = self.rows_id, number_of_rows
        self.alerts.clear()
        await self.socket.send(message.SerializeToString())
        async with asyncio.timeout(SECONDS):
            while not self._is_the_end(ForwardMsg.FromString(await self.socket.recv())):
                pass

    def _is_the_end(self, message: ForwardMsg) -> bool:
        kind = message.WhichOneof("type")
        if kind == "new_session":
            self.page_hash = message.new_session.page_script_hash
        elif kind == "delta" and message.delta.WhichOneof("type") == "new_element":
            name = message.delta.new_element.WhichOneof("type")
            element = getattr(message.delta.new_element, name)
            if name in ("alert", "exception"):
                self.alerts.append(getattr(element, "body", "") or element.message)
            elif name == "metric" and element.label.startswith("loss"):
                self.loss = element.body
            elif "logits_editor" in getattr(element, "id", ""):
                self.editor_id = element.id
            elif re.search(r"-rows_\d+$", getattr(element, "id", "")):
                self.rows_id = element.id
        elif kind == "script_finished":
            return bool(message.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN)
        return False


def test_it_is_warm_before_it_answers(hosted: Server) -> None:
    status, _headers, body = answer(f"{hosted.url}/healthz")

    assert status == 200
    assert json.loads(body) == {"status": "ok", "version": __version__}
    assert [event["event"] for event in events(hosted)[:2]] == ["start", "warm"]


@pytest.mark.parametrize("path", ["/", "/step-by-step", "/healthz", "/_stcore/health", "/static/nothing.js"])
def test_every_answer_carries_the_headers(hosted: Server, path: str) -> None:
    _status, headers, _body = answer(hosted.url + path)

    assert set(HEADERS) <= set(headers)
    assert "frame-ancestors 'self'" in headers["content-security-policy"]
    assert "'unsafe-eval'" not in headers["content-security-policy"]
    assert "'unsafe-inline'" not in re.findall("script-src[^;]*", headers["content-security-policy"])[0]


@pytest.mark.parametrize(
    "path",
    [
        *("_stcore/metrics", "_stcore/agent/openapi.json", "_stcore/agent/interact", "_stcore/agent/mcp"),
        *("auth/login", "auth/logout", "oauth2callback", "component/x/index.html", "app/static/x"),
    ],
)
def test_what_is_no_visitors_business_is_not_there(hosted: Server, path: str) -> None:
    assert answer(f"{hosted.url}/{path}")[0] == 404


@pytest.mark.long
def test_another_site_is_refused_at_once_and_nobody_is_asked_who_that_is(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as outside:
        outside.setblocking(False)
        for scheme in ("http", "https"):  # whatever the server asks for goes here
            monkeypatch.setenv(f"{scheme}_proxy", f"http://127.0.0.1:{outside.getsockname()[1]}")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        with serve(ROOT / "hosted.py") as server:
            other = Visitor(server.url, origin="https://elsewhere.example")
            with pytest.raises(websockets.InvalidStatus, match="403"):
                in_a_thread(other.__aenter__())

        with pytest.raises(BlockingIOError):
            outside.accept()


@pytest.mark.long
def test_a_tab_that_was_only_looked_at_goes_on_with_a_server_started_anew(page: Page) -> None:
    port = free_port()
    with serve(ROOT / "hosted.py", port=port) as server:
        open_page(page, f"{server.url}/?preset=worked-batch")
        wait_drawn(page)
        server.process.kill()
        server.process.wait()
    with serve(ROOT / "hosted.py", port=port):
        expect(cell(editor(page, "logits"), 0, 1)).to_have_attribute("aria-readonly", "false", timeout=IDLE_MS)
        wait_drawn(page)
        edit_cell(page, editor(page, "logits"), 0, 1, "5")
        # by hand: log(e⁵ + e² + e³) - 3 = 2.169846, 1.407606 and 0.407606 stay: their mean
        expect(metric(page, "loss")).to_have_text("1.9950", timeout=IDLE_MS)


@pytest.mark.long
def test_a_link_to_a_page_opens_it_at_once_for_the_first_visitor(page: Page, journal: Journal) -> None:
    documents: list[str] = []
    page.on("request", lambda request: documents.append(request.url) if request.resource_type == "document" else None)
    with serve(ROOT / "hosted.py") as server:
        open_page(page, f"{server.url}/step-by-step?preset=digits")
        expect(page.locator(".st-key-stepper")).to_be_visible(timeout=IDLE_MS)

        expect(page.get_by_text("Page not found")).to_have_count(0)
    assert len(documents) == 1
    journal.assert_quiet()


@pytest.mark.long
def test_every_page_works_under_the_policy(page: Page, hosted: Server, journal: Journal) -> None:
    open_page(page, hosted.url)
    for title in PAGES:
        go_to(page, title)
        wait_drawn(page)
        expect(page.get_by_test_id("stException")).to_have_count(0)
    go_to(page, "Batch")
    edit_cell(page, editor(page, "logits"), 0, 1, "0")
    expect(metric(page, "loss")).to_have_text("1.3881", timeout=IDLE_MS)  # (ln(1 + e² + e³) − 3 + 2.4076 + 1.4076) / 3
    journal.assert_quiet()


def test_the_policy_lets_no_picture_come_from_elsewhere(page: Page, hosted: Server, journal: Journal) -> None:
    open_page(page, hosted.url)
    page.evaluate(
        "() => { new Image().src = 'http://127.0.0.2:9/a.png'; fetch('http://127.0.0.2:9/').catch(() => 0); }"
    )
    page.wait_for_timeout(300)

    assert len([error for error in journal.errors if "Content Security Policy" in error]) >= 2


@pytest.mark.long
def test_the_version_stands_in_the_menu(page: Page, hosted: Server) -> None:
    open_page(page, hosted.url)
    page.get_by_test_id("stMainMenuButton").click()
    page.get_by_text("About", exact=True).click()

    expect(page.get_by_text(f"Cross-Entropy Explorer {__version__}")).to_be_visible()


@pytest.mark.parametrize(
    "state", ["x", "null", "5", "[]", "[" * 30_000, '{"edited_rows": {"x": {}}}', '{"edited_rows": 5}']
)
def test_a_state_that_cannot_be_read_is_left_out(hosted: Server, state: str) -> None:
    async def visit() -> tuple[list[str], list[str], str]:
        async with Visitor(hosted.url) as visitor:
            await visitor.run('{"edited_rows": {"0": {"class 0": "0"}}}')
            first = visitor.loss
            await visitor.run(state)
            said = list(visitor.alerts)
            await visitor.run()
            return said, [first, visitor.loss], visitor.editor_id

    said, losses, editor_id = in_a_thread(visit())
    assert said == []
    assert losses[0] == losses[1] != "1.4076"  # what was typed before is kept
    assert "logits_editor_0" in editor_id  # and nothing is drawn anew


@pytest.mark.parametrize("number", [math.nan, math.inf, -1e300, 1e300, 0.5, 65.0])
def test_a_number_that_no_field_holds_leaves_the_visit_alive(hosted: Server, number: float) -> None:
    async def visit() -> list[str]:
        async with Visitor(hosted.url) as visitor:
            for _run in range(3):
                await visitor.run(number_of_rows=number)
            visitor.loss = ""
            await visitor.run()
            return [visitor.loss, *visitor.alerts]

    loss, *said = in_a_thread(visit())
    assert loss in ("1.4076", "0.4076")  # as it was, or the first row alone
    assert not [text for text in said if "error" in text or "could not be read" in text]


def test_a_message_of_three_megabytes_ends_the_visit_and_no_other(hosted: Server) -> None:
    async def visits() -> tuple[int | None, str]:
        async with Visitor(hosted.url) as neighbour, Visitor(hosted.url) as visitor:
            await visitor.socket.send(b"x" * 3 * 2**20)
            await visitor.socket.wait_closed()
            await neighbour.run()
            return visitor.socket.close_code, neighbour.loss

    assert in_a_thread(visits()) == (1009, "1.4076")
    assert [event["bytes"] for event in events(hosted) if event.get("what") == "message_bytes"] == [3 * 2**20]


@pytest.mark.long
def test_the_log_knows_nothing_of_what_was_typed(page: Page, hosted: Server) -> None:
    open_page(page, f"{hosted.url}/?preset=no-such-secret&note=my-secret-note")
    page.get_by_role("button", name="Rows and classes").click()
    area = page.get_by_label("Class names, one per line")
    area.fill("secret-class\n" + "\n".join(NAMES[:2]))
    area.press("ControlOrMeta+Enter")
    expect(page.locator(".st-key-why").filter(has_text="secret-class")).to_be_visible(timeout=IDLE_MS)
    page.keyboard.press("Escape")
    go_to(page, "Export")
    page.locator(".st-key-import_file input[type=file]").set_input_files(
        {"name": "secret-file.npz", "mimeType": "text/plain", "buffer": b"PK\x03\x04 secret-bytes"}
    )
    expect(page.locator(".st-key-import_error")).to_be_visible(timeout=IDLE_MS)
    page.goto("about:blank")
    page.wait_for_timeout(200)

    assert "secret" not in hosted.log()
    uploads = [event for event in events(hosted) if event["event"] == "upload"]
    assert uploads[-1]["status"] == 204
    assert set(uploads[-1]) == {"time", "event", "version", "bytes", "status"}


def test_the_log_is_json_but_for_the_greeting(hosted: Server) -> None:
    others = [line for line in hosted.log().splitlines() if line.strip() and not line.startswith("{")]

    assert [line.strip().partition(" ")[0] for line in others] in (["You", "URL:"], [])
