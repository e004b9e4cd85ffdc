"""Visits of a started server: nobody sits down in another's, reads its files or finds its id in the log."""

import asyncio
import http.client
import json
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlparse

import pytest
import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime.metrics_util import Installation
from streamlit.version import STREAMLIT_VERSION_STRING

from harness.browser import ROOT, Server, serve
from harness.visitor import Visitor, visit

LEFT_SECONDS = 2  # for which this server keeps a visit that was left; a public one a minute
UPLOAD = 24 * 2**20


@pytest.fixture(scope="module")
def hosted() -> Iterator[Server]:
    options = ("--logger.level=debug", f"--server.disconnectedSessionTTL={LEFT_SECONDS}")
    with serve(ROOT / "hosted.py", *options) as server:
        yield server


class Guest(Visitor):
    """A visitor who may offer the id of a visit, and notes what there is to download."""

    def __init__(self, url: str, *, offers: str = "", cookies: dict[str, str] | None = None, page: str = "") -> None:
        super().__init__(url, page=page)
        self.offers, self.given = offers, cookies
        self.deferred: dict[str, str] = {}
        self.asked = 0

    def _take_cookies(self) -> None:
        if self.given is None:
            super()._take_cookies()
        else:
            self.cookies = dict(self.given)

    async def _connect(self) -> websockets.ClientConnection:
        return await websockets.connect(
            f"ws://{urlparse(self.url).netloc}/_stcore/stream",
            subprotocols=["streamlit", "no-token", *([self.offers] if self.offers else [])],
            origin=self.url,
            additional_headers={"Cookie": self._cookie_header()},
            max_size=None,
            ping_interval=None,
        )

    def _note_element(self, delta) -> None:
        super()._note_element(delta)
        if delta.new_element.WhichOneof("type") == "download_button":
            button = delta.new_element.download_button
            self.deferred[button.id.split("-", 2)[-1]] = button.deferred_file_id

    async def download(self, file: str) -> str:
        """Ask for a file as a button does; its address, or "" if there is none for this visitor."""
        self.asked += 1
        message = BackMsg()
        message.backend_operation_request.request_id = str(self.asked)
        message.backend_operation_request.session_id = self.session
        message.backend_operation_request.deferred_file.file_id = file
        await self.socket.send(message.SerializeToString())
        answer = (await self._receive_until("backend_operation_response")).backend_operation_response
        return "" if answer.error_msg else answer.deferred_file.url

    async def place_for_upload(self) -> str:
        message = BackMsg()
        message.file_urls_request.request_id = "1"
        message.file_urls_request.file_names.append("file")
        message.file_urls_request.session_id = self.session
        await self.socket.send(message.SerializeToString())
        [urls] = (await self._receive_until("file_urls_response")).file_urls_response.file_urls
        return urls.upload_url

    async def ask(self, method: str, path: str) -> http.client.HTTPResponse:
        headers = {"Cookie": self._cookie_header(), "X-Xsrftoken": self.cookies.get("_streamlit_xsrf", "")}
        return await asyncio.to_thread(self._request, method, path, headers)


def test_whoever_offers_the_id_of_a_live_visit_gets_a_visit_of_their_own_and_the_owner_goes_on(hosted: Server) -> None:
    async def scene() -> None:
        async with Guest(hosted.url) as owner:
            await owner.edit(0, 0, "2")
            async with (
                Guest(hosted.url, offers=owner.session) as stranger,
                Guest(hosted.url, offers=owner.session, cookies={}) as nobody,
            ):
                assert len({owner.session, stranger.session, nobody.session}) == 3
                assert stranger.loss == pytest.approx(1.4076, abs=1e-4)  # of the preset, by hand
                await owner.edit(0, 1, "3")
                await stranger.edit(2, 1, "4")
                await owner.edit(0, 2, "4")

    visit(scene())


def test_the_same_browser_takes_its_visit_up_again_while_it_is_there_and_soon_after_it_was_left(hosted: Server) -> None:
    async def scene() -> None:
        async with Guest(hosted.url) as owner:
            session, cookies = owner.session, owner.cookies
            async with Guest(hosted.url, offers=session, cookies=cookies) as again:
                assert again.session == session
        async with Guest(hosted.url, offers=session, cookies=cookies) as again:
            assert again.session == session
        async with Guest(hosted.url, offers="no-such-visit", cookies=cookies) as other:
            assert other.session not in (session, "no-such-visit")

    visit(scene())


def test_a_visit_that_began_without_a_cookie_is_nobodys(hosted: Server) -> None:
    async def scene() -> None:
        async with (
            Guest(hosted.url, cookies={}) as framed,
            Guest(hosted.url, offers=framed.session, cookies={}) as other,
        ):
            assert other.session != framed.session

    visit(scene())


def test_only_the_browser_of_a_visit_uploads_for_it_and_removes_what_it_uploaded(hosted: Server) -> None:
    async def scene() -> None:
        async with Guest(hosted.url) as owner, Guest(hosted.url) as stranger:
            place = await owner.place_for_upload()
            assert await asyncio.to_thread(stranger._put, place, "file", b"theirs") == 403
            assert await asyncio.to_thread(owner._put, place, "file", b"mine") == 204
            assert (await stranger.ask("DELETE", place)).status == 403
            assert (await owner.ask("DELETE", place)).status == 204

    visit(scene())


def test_a_download_is_made_for_its_visit_and_goes_to_its_browser_alone(hosted: Server) -> None:
    async def scene() -> None:
        async with (
            Guest(hosted.url, page="export") as owner,
            Guest(hosted.url, page="export") as stranger,
            Guest(hosted.url, page="export", cookies={}) as framed,
        ):
            [file] = [file for key, file in owner.deferred.items() if key.endswith("_csv")][:1]
            place = await owner.download(file)
            assert place.startswith("/media/")
            answer = await owner.ask("GET", place)
            assert answer.status == 200
            assert answer.headers["Cache-Control"] == "private, no-store"
            assert (await stranger.ask("GET", place)).status == 404
            assert (await framed.ask("GET", place)).status == 404
            assert await stranger.download(file) == ""
            # the same file, under another name: nobody learns from a name what a stranger has
            [same] = [file for key, file in framed.deferred.items() if key.endswith("_csv")][:1]
            of_frame = await framed.download(same)
            assert of_frame != place
            assert (await framed.ask("GET", of_frame)).status == 200

    visit(scene())


@pytest.mark.skipif(sys.platform != "linux", reason="the memory of another process is read from /proc")
def test_a_visit_that_was_left_gives_its_memory_back_though_nobody_comes(hosted: Server) -> None:
    async def leave_a_file() -> int:
        async with Guest(hosted.url) as owner:
            place = await owner.place_for_upload()
            assert await asyncio.to_thread(owner._put, place, "file", b"\1" * UPLOAD) == 204
            return resident(hosted)

    held = visit(leave_a_file())
    deadline = time.monotonic() + 10 * LEFT_SECONDS
    while resident(hosted) > held - 0.9 * UPLOAD:
        assert time.monotonic() < deadline, f"{resident(hosted)} of {held} bytes are still held"
        time.sleep(0.1)  # between two looks; nobody asks the server anything meanwhile


def resident(server: Server) -> int:
    pages = Path(f"/proc/{server.process.pid}/statm").read_text("utf-8").split()[1]
    return int(pages) * 4096


def test_no_id_and_no_cookie_reaches_the_log_and_all_of_it_is_json(hosted: Server) -> None:
    secrets: list[str] = []

    async def scene() -> None:
        async with Guest(hosted.url, page="export") as owner:
            async with Guest(hosted.url, offers=owner.session, cookies=owner.cookies):
                pass
            async with Guest(hosted.url, offers=owner.session) as stranger:
                place = await stranger.place_for_upload()
                assert await asyncio.to_thread(owner._put, place, "file", b"theirs") == 403
                assert await asyncio.to_thread(stranger._put, place, "file", b"mine") == 204
                download = await stranger.download(next(iter(owner.deferred.values())))
                secrets.extend([owner.session, stranger.session, place.rpartition("/")[2], *owner.deferred.values()])
                secrets.extend([*owner.cookies.values(), *stranger.cookies.values(), download or "no download"])
            nonsense = await websockets.connect(
                f"ws://{urlparse(hosted.url).netloc}/_stcore/stream", subprotocols=["streamlit"], origin=hosted.url
            )
            await nonsense.send("my-own-nonsense")
            await nonsense.wait_closed()
            await asyncio.to_thread(owner._request, "GET", "/media/my-own-nonsense.csv", {})

    visit(scene())
    lines = hosted.log().splitlines()
    since = next(i for i, line in enumerate(lines) if '"event": "warm"' in line)
    events = [json.loads(line) for line in lines[since:]]
    assert len([secret for secret in secrets if len(secret) > 20]) > 8
    for secret in [*secrets, "my-own-nonsense", "Traceback"]:
        assert secret not in hosted.log()
    assert not [event for event in events if "script_run_context" in str(event.get("logger"))]


class Reader(Visitor):
    """Reads what the server says at the beginning of a run."""

    told: bytes = b""

    def _note(self, message: ForwardMsg) -> None:
        if message.WhichOneof("type") == "new_session":
            self.told += message.SerializeToString()
        super()._note(message)


def test_a_visitor_is_told_no_path_no_version_of_python_and_no_id_of_the_installation(hosted: Server) -> None:
    async def told() -> bytes:
        async with Reader(hosted.url) as visitor:
            return visitor.told

    message = visit(told())
    installation = Installation.instance()
    assert STREAMLIT_VERSION_STRING.encode() in message  # which its page asks for
    for fact in (
        str(ROOT),
        ".".join(map(str, sys.version_info)),
        platform.system(),
        installation.installation_id,
        installation.installation_id_v3,
        installation.installation_id_v4,
    ):
        assert fact.encode() not in message
