"""A full server: alone an address fills it; when another waits, it gives way, and the tab that did comes back."""

import asyncio
import threading
from urllib.parse import urlparse

import pytest
import websockets
from playwright.sync_api import Page, expect

from harness.aio import in_a_thread
from harness.browser import ROOT, Server, edit_cell, editor, metric, serve, wait_rested
from xent_host.connection_limits import SERVER_FULL, ConnectionLimits

pytestmark = pytest.mark.long

ELSEWHERE = "127.0.0.2"
PATIENCE_MS = 60_000  # a retry of the browser, on a machine that is busy


async def connect(server: Server, source: str = "127.0.0.1") -> websockets.ClientConnection:
    address = urlparse(server.url).netloc
    return await websockets.connect(
        f"ws://{address}/_stcore/stream",
        subprotocols=["streamlit"],
        origin=server.url,
        local_addr=(source, 0),
        open_timeout=60,
    )


async def come(server: Server) -> tuple[list[int], websockets.ClientConnection]:
    """Try from elsewhere until it is let in: with which status each try was refused, and the visit."""
    refused = []
    while True:
        try:
            return refused, await connect(server, ELSEWHERE)
        except websockets.InvalidStatus as error:
            refused.append(error.response.status_code)
            await asyncio.sleep(0.1)


def test_a_tab_that_gave_way_says_why_and_goes_on_when_there_is_room(page: Page) -> None:
    waits, goes, refused = threading.Event(), threading.Event(), list[int]()

    async def crowd() -> None:
        others = [await connect(server) for _ in range(ConnectionLimits().visits - 1)]  # all later than the tab
        codes, newcomer = await come(server)
        refused.extend(codes)
        waits.set()
        await asyncio.to_thread(goes.wait)
        for other in (*others, newcomer):
            await other.close()

    with serve(ROOT / "hosted.py") as server:
        page.goto(f"{server.url}/?preset=worked-batch")
        expect(metric(page, "loss")).to_have_text("1.4076", timeout=PATIENCE_MS)
        edit_cell(page, editor(page, "logits"), 0, 1, "5")
        expect(metric(page, "loss")).not_to_have_text("1.4076", timeout=PATIENCE_MS)
        before = metric(page, "loss").inner_text()
        wait_rested(page)  # the last that it asks for
        filler = threading.Thread(target=lambda: in_a_thread(crowd()))
        filler.start()
        try:
            expect(page.get_by_text(SERVER_FULL)).to_be_visible(timeout=PATIENCE_MS)
            assert waits.wait(PATIENCE_MS / 1000)
        finally:
            goes.set()
            filler.join()

        expect(page.get_by_text(SERVER_FULL)).to_have_count(0, timeout=PATIENCE_MS)
        expect(metric(page, "loss")).to_have_text(before)
        edit_cell(page, editor(page, "logits"), 0, 1, "6")
        expect(metric(page, "loss")).not_to_have_text(before)
        log = server.log()
    assert refused == [503]  # once: another replica could have had room
    assert log.count("visit_gives_way") == 1
    assert "Traceback" not in log
