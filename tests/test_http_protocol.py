"""How long a request may take to come, and how large it may be."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from copy import copy
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.server import ServerState

from harness.aio import in_a_thread
from tests.transports import HANDSHAKE, Transport, connected, settle
from xent_host import http_protocol
from xent_host.http_protocol import BoundedHTTP, RequestLimits
from xent_host.upload_limits import UploadLimits
from xent_host.websocket_protocol import BoundedWebSocket
from xent_ui.server.limits import PUBLIC_VARIABLE

QUICK = RequestLimits(head_seconds=0.05, body_seconds=0.3, silent_seconds=0.1)
UPLOAD = b"PUT /_stcore/upload_file/a/b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
GET = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture(autouse=True)
def _public(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PUBLIC_VARIABLE, "1")


class Connection:
    """A connection to an app that reads a request to its end and answers with the size of its body."""

    def __init__(self, limits: RequestLimits) -> None:
        self.sizes: list[int] = []
        self.transport = Transport()
        kind = type("Bounded", (BoundedHTTP,), {"limits": limits})
        self.protocol = connected(kind, self._app, self.transport)

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            size, more = size + len(message.get("body", b"")), message.get("more_body", False)
        self.sizes.append(size)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    @property
    def statuses(self) -> list[int]:
        """Of the answers so far."""
        return [int(answer[:3]) for answer in self.transport.written.split(b"HTTP/1.1 ")[1:]]


Scene = Callable[[Connection], Coroutine[Any, Any, None]]


def connection(scene: Scene, limits: RequestLimits = QUICK) -> Connection:
    """The connection after the scene, and before the event loop ends."""

    async def play() -> Connection:
        one = Connection(limits)
        await scene(one)
        await settle()
        one.transport = copy(one.transport)  # as it is now
        return one

    return in_a_thread(play())


def logged(capsys: pytest.CaptureFixture[str]) -> list[int]:
    return [json.loads(line)["status"] for line in capsys.readouterr().out.splitlines()]


HEAD = GET[:-2]
LIMITS = RequestLimits()


@pytest.mark.parametrize(
    ("sent", "statuses"),
    [
        ([HEAD + b"a: b\r\n" * (LIMITS.header_lines - 1) + b"\r\n"], [200]),
        ([HEAD + b"a: b\r\n" * LIMITS.header_lines + b"\r\n"], [431]),
        ([HEAD + b"a:\n" * 20_000], [431]),  # and more would come
        ([HEAD, *[b"a:\r\n"] * LIMITS.header_lines], [431]),
        ([GET + HEAD + b"a:\r\n" * LIMITS.header_lines + b"\r\n"], [200, 431]),  # behind another one
        ([HEAD + b"a: " + b"b" * (LIMITS.header_bytes - 20) + b"\r\n\r\n"], [200]),
        ([HEAD + b"a: " + b"b" * LIMITS.header_bytes + b"\r\n\r\n"], [431]),
        ([b"GET /?p=" + b"b" * 60_000 + GET[4:].replace(b"/healthz", b"")], [200]),  # a link with a whole table
        ([UPLOAD % 300 + b"\n" * 300], [200]),  # lines of a file are none of the head
    ],
)
def test_the_lines_of_a_head_are_counted_before_they_are_parsed(sent: list[bytes], statuses: list[int]) -> None:
    async def scene(one: Connection) -> None:
        for piece in sent:
            one.protocol.data_received(piece)
            await settle()

    assert connection(scene, LIMITS).statuses == statuses


def test_a_head_that_comes_byte_by_byte_is_not_searched_for_each_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = list[int]()
    search = http_protocol._END_OF_HEAD.search
    monkeypatch.setattr(
        http_protocol, "_END_OF_HEAD", SimpleNamespace(search=lambda data: looks.append(len(data)) or search(data))
    )
    link = b"GET /?p=" + b"b" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"

    async def scene(one: Connection) -> None:
        for number in range(len(link)):
            one.protocol.data_received(link[number : number + 1])
        await settle()

    assert connection(scene, LIMITS).statuses == [200]
    assert len(looks) < 30


@pytest.mark.parametrize("begun", [b"", b"GET / HT", GET[:-2], GET[:-2] + b"X: 1\r\n"])
def test_a_request_whose_head_never_ends_is_closed(begun: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    async def scene(one: Connection) -> None:
        if begun:
            one.protocol.data_received(begun)
        await asyncio.sleep(3 * QUICK.head_seconds)

    one = connection(scene)

    assert one.statuses == [408]
    assert one.transport.is_closed
    assert logged(capsys) == [408]


def test_a_head_that_comes_by_the_byte_has_no_more_time() -> None:
    async def scene(one: Connection) -> None:
        for byte in GET:
            one.protocol.data_received(bytes([byte]))
            await asyncio.sleep(QUICK.head_seconds / 5)

    assert connection(scene).statuses == [408]


def test_the_second_request_of_a_connection_has_no_more_time_than_the_first() -> None:
    async def scene(one: Connection) -> None:
        one.protocol.data_received(GET)
        await settle()
        one.protocol.data_received(GET[:10])
        await asyncio.sleep(3 * QUICK.head_seconds)

    assert connection(scene).statuses == [200, 408]


def test_an_answer_may_take_longer_than_its_request() -> None:
    async def scene(one: Connection) -> None:
        answered, one.protocol.app = one.protocol.app, slowly(one.protocol.app)
        one.protocol.data_received(GET)
        await asyncio.sleep(0.6)
        assert answered

    def slowly(app: Any) -> Any:
        async def slow(scope: Scope, receive: Receive, send: Send) -> None:
            await asyncio.sleep(0.45)
            await app(scope, receive, send)

        return slow

    assert connection(scene).statuses[:1] == [200]


def test_a_body_that_stops_is_refused_and_the_app_is_told() -> None:
    async def scene(one: Connection) -> None:
        one.protocol.data_received(UPLOAD % 100 + b"x" * 10)
        await asyncio.sleep(3 * QUICK.silent_seconds)

    one = connection(scene)

    assert one.statuses == [408]
    assert one.sizes == []


def test_a_body_that_comes_by_the_byte_is_refused_after_some_time() -> None:
    async def scene(one: Connection) -> None:
        one.protocol.data_received(UPLOAD % 100)
        for _byte in range(60):
            one.protocol.data_received(b"x")
            await asyncio.sleep(0.01)

    assert connection(scene).statuses == [408]


def test_the_largest_upload_comes_through() -> None:
    limits = RequestLimits()

    async def scene(one: Connection) -> None:
        one.protocol.data_received(UPLOAD % limits.body_bytes)
        for _piece in range(limits.body_bytes // 2**18):
            one.protocol.data_received(b"x" * 2**18)
            await asyncio.sleep(0)
        await settle()

    one = connection(scene, limits)

    assert one.statuses == [200]
    assert one.sizes == [limits.body_bytes]


def test_what_is_larger_than_any_upload_is_refused_by_its_head() -> None:
    async def scene(one: Connection) -> None:
        one.protocol.data_received(UPLOAD % (QUICK.body_bytes + 1))

    one = connection(scene)

    assert one.statuses == [413]
    assert one.transport.is_closed


def test_a_body_in_pieces_of_unknown_size_is_refused_before_a_piece_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("h11._readers.ChunkedReader.__call__", pytest.fail)

    async def scene(one: Connection) -> None:
        head = b"POST /healthz HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        one.protocol.data_received(head + b"1\r\nx\r\n" * 40_000)

    assert connection(scene).statuses == [411]


def test_a_link_that_holds_a_whole_table_is_answered_in_one_piece_or_in_many() -> None:
    link = b"GET /?t=" + b"x" * 48_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"

    async def scene(one: Connection) -> None:
        one.protocol.data_received(link)
        await settle()
        for at in range(0, len(link), 1000):
            one.protocol.data_received(link[at : at + 1000])
        await settle()

    assert connection(scene).statuses == [200, 200]


def test_a_websocket_is_bounded_too_and_waits_for_no_request() -> None:
    async def scene(one: Connection) -> None:
        one.protocol.data_received(HANDSHAKE)
        bounded.append(isinstance(one.transport.protocol, BoundedWebSocket))
        await asyncio.sleep(3 * QUICK.head_seconds)

    bounded: list[bool] = []
    one = connection(scene)

    assert bounded == [True]
    assert 408 not in one.statuses


def test_nonsense_is_answered_and_leaves_no_word_in_the_log(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    async def scene(one: Connection) -> None:
        one.protocol.data_received(b"SECRET\x00\r\n\r\n")

    assert connection(scene).statuses == [400]
    assert "SECRET" not in "".join(capsys.readouterr()) + caplog.text
    assert caplog.records == []


def test_where_uvicorn_would_take_another_parser_connections_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    class Another(
        asyncio.Protocol
    ): ...  # as httptools, if it is installed; a started server is in test_raw_connections.py

    monkeypatch.setattr(http_protocol, "AutoHTTPProtocol", Another)
    http_protocol.apply()

    async def app(scope: Scope, receive: Receive, send: Send) -> None: ...

    config = Config(app, interface="asgi3", log_config=None)
    config.load()

    async def made() -> Any:
        return Another(config=config, server_state=ServerState(), app_state={})

    assert type(in_a_thread(made())) is BoundedHTTP


def test_an_upload_that_waited_for_its_turn_still_has_its_own_time() -> None:
    assert RequestLimits().body_seconds > UploadLimits().waiting_seconds + UploadLimits().seconds
