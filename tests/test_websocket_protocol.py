"""What may come over a websocket before it is a message: frames, bytes, unfinished messages."""

import asyncio
import json
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import replace
from typing import Any

import pytest
from starlette.status import WS_1003_UNSUPPORTED_DATA, WS_1008_POLICY_VIOLATION
from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.utils import ClientDisconnected

from harness.aio import in_a_thread
from harness.raw_websocket import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, fragments, frame
from tests.transports import HANDSHAKE, Transport, connected, settle
from xent_host.closing import DROPPED_BYTES
from xent_host.websocket_protocol import (
    AllConnections,
    BoundedWebSocket,
    FrameLimits,
    FrameScanner,
    RecentUse,
)
from xent_ui.server.limits import PUBLIC_VARIABLE

MB = 2**20
LIMITS = FrameLimits()
MANY = 10**9


@pytest.fixture(autouse=True)
def _public(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PUBLIC_VARIABLE, "1")


# The scanner


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000, MANY])
def test_frames_are_counted_however_the_bytes_are_cut(step: int) -> None:
    sent = [
        frame(PING),
        frame(BINARY, b"x" * 5),
        frame(TEXT, b"x" * 125, last=False),
        frame(PING, b"y" * 30),  # between two pieces of a message
        frame(CONTINUATION, b"x" * 126, last=False),
        frame(CONTINUATION, b"x" * 70_000),
        frame(PONG, masked=False),
        frame(BINARY, b"x" * 300, last=False),
        frame(PING, b"y" * 30),
    ]
    data, scanner = b"".join(sent), FrameScanner()
    counted = sum(scanner.scan(data[at : at + step], MANY) for at in range(0, len(data), step))

    assert counted == len(sent)
    assert (scanner.messages, scanner.held) == (2, 300)


def test_counting_stops_at_one_more_than_the_most() -> None:
    assert FrameScanner().scan(frame(PING) * 1000, 10) == 11


def test_what_a_frame_says_that_it_holds_is_not_held_before_it_came() -> None:
    scanner = FrameScanner()
    scanner.scan(frame(BINARY, b"x" * 10, size=2 * MB), MANY)

    assert scanner.held == 10


def test_what_was_used_is_forgotten_at_a_steady_rate() -> None:
    use = RecentUse(most=100, a_second=10)

    assert use.add(100, now=50) == 0
    assert use.add(20, now=50) == pytest.approx(2)  # seconds until it is within the most
    assert use.used(now=57) == pytest.approx(50)
    assert use.used(now=90) == 0


# The protocol


class Visit:
    """A connection to an app that reads all messages."""

    def __init__(self, everyone: AllConnections) -> None:
        self.read: list[Message] = []
        self.transport = Transport()
        self.protocol = connected(
            type("Bounded", (BoundedWebSocket,), {"everyone": everyone}), self._app, self.transport
        )

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] != "websocket.disconnect":
            self.read.append(message)

    async def open(self) -> "Visit":
        self.protocol.data_received(HANDSHAKE)
        await settle()
        assert self.transport.written.startswith(b"HTTP/1.1 101")
        self.transport.written = b""
        return self

    def send(self, data: bytes) -> None:
        """In pieces, as asyncio reads them."""
        for at in range(0, len(data), 2**18):
            self.protocol.data_received(data[at : at + 2**18])

    @property
    def close_code(self) -> int | None:
        """With which code the server has closed."""
        at = self.transport.written.rfind(b"\x88")
        return int.from_bytes(self.transport.written[at + 2 : at + 4], "big") if at >= 0 else None


def visits(scene: Callable[..., Any], *, count: int = 1, limits: FrameLimits = LIMITS) -> list[Visit]:
    """The visits after the scene with them."""

    async def play() -> list[Visit]:
        everyone = AllConnections(limits)
        some = [await Visit(everyone).open() for _ in range(count)]
        await scene(*some)
        await settle()
        for visit in some:
            visit.transport = copy(visit.transport)  # as it is now: when the event loop ends, all of them close
        return some

    return in_a_thread(play())


def logged(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [json.loads(line)["what"] for line in capsys.readouterr().out.splitlines()]


async def in_pieces(visit: Visit, data: Iterator[bytes]) -> None:
    for piece in data:
        visit.send(piece)
        await settle()


@pytest.mark.parametrize("kind", [PING, PONG, BINARY, TEXT])
def test_empty_frames_without_end_end_the_connection_before_they_are_parsed(
    kind: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed = [0]
    receive = BoundedWebSocket.handle_events

    def counted(self: BoundedWebSocket) -> None:
        parsed[0] += len(self.conn.events)
        receive(self)

    monkeypatch.setattr(BoundedWebSocket, "handle_events", counted)

    async def scene(visit: Visit) -> None:
        for _ in range(50):
            visit.send(frame(kind) * 40_000)

    [visit] = visits(scene)

    assert visit.close_code == WS_1008_POLICY_VIOLATION
    assert visit.transport.is_closed
    assert parsed[0] <= LIMITS.frames + 1  # and the request
    assert logged(capsys) == ["frames"]


def test_empty_continuations_without_end_end_the_connection() -> None:
    async def scene(visit: Visit) -> None:
        visit.send(frame(BINARY, last=False))
        for _ in range(20):
            visit.send(frame(CONTINUATION, last=False) * 100)

    [visit] = visits(scene)

    assert visit.close_code == WS_1008_POLICY_VIOLATION
    assert visit.read == []


def test_the_largest_message_of_a_browser_arrives_whole_in_one_frame_or_in_many() -> None:
    payload = b"x" * LIMITS.message_bytes

    async def scene(one: Visit, many: Visit) -> None:
        await in_pieces(one, iter([frame(BINARY, payload)]))
        await in_pieces(many, iter(fragments(payload, 2**14)))

    for visit in visits(scene, count=2):
        assert [len(message["bytes"]) for message in visit.read] == [len(payload)]
        assert not visit.transport.is_paused
        assert not visit.transport.is_closed


def test_a_message_that_is_larger_is_refused_by_its_header() -> None:
    async def scene(visit: Visit) -> None:
        visit.send(frame(BINARY, b"x", size=LIMITS.message_bytes + 1))

    [visit] = visits(scene)

    assert visit.close_code == 1009


def test_ten_minutes_of_edits_twice_a_second_are_never_held_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scene(visit: Visit) -> None:
        monkeypatch.setattr(visit.protocol.loop, "time", lambda: now[0])
        for _ in range(1200):
            visit.send(frame(BINARY, b"x" * 20_000) + frame(PONG, b"abcd"))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert not visit.transport.is_paused or visit.protocol.read_paused
            now[0] += 0.5

    now = [1000.0]
    [visit] = visits(scene)

    assert len(visit.read) == 1200
    assert not visit.transport.is_closed


def test_what_comes_faster_than_the_rate_is_read_later_and_nothing_is_lost() -> None:
    limits = replace(LIMITS, bytes_at_once=1000, bytes_a_second=1e6)

    async def scene(visit: Visit) -> None:
        visit.send(frame(BINARY, b"x" * 3000))
        paused.append(visit.transport.is_paused)
        await settle()
        paused.append(visit.transport.is_paused)  # though the app has taken the message
        await asyncio.sleep(0.05)
        paused.append(visit.transport.is_paused)

    paused: list[bool] = []
    [visit] = visits(scene, limits=limits)

    assert paused == [True, True, False]
    assert len(visit.read) == 1


def test_many_connections_together_are_held_up_and_a_light_one_is_not() -> None:
    limits = replace(LIMITS, all_bytes=MB, all_bytes_a_second=1e3)

    async def scene(light: Visit, *heavy: Visit) -> None:
        for visit in heavy:
            visit.send(frame(BINARY, b"x" * MB))
        await settle()
        light.send(frame(BINARY, b"x" * 10_000))
        await settle()

    light, *heavy = visits(scene, count=9, limits=limits)

    assert sum(visit.transport.is_paused for visit in heavy) >= 4
    assert not light.transport.is_paused
    assert len(light.read) == 1


def test_unfinished_messages_of_all_together_are_bounded_and_the_largest_ends(
    capsys: pytest.CaptureFixture[str],
) -> None:
    limits = replace(LIMITS, unfinished_bytes=3 * MB)

    async def scene(small: Visit, *large: Visit) -> None:
        small.send(frame(BINARY, b"x" * 1000, last=False))
        for visit in large:
            visit.send(frame(BINARY, b"x" * MB, last=False))
        small.send(frame(CONTINUATION, b"x"))
        await settle()
        held.append(sum(large[0].protocol.everyone.unfinished.values()))

    held: list[int] = []
    small, *large = visits(scene, count=6, limits=limits)

    assert held[0] <= 3 * MB
    assert sum(visit.transport.is_closed for visit in large) == 3
    assert [len(message["bytes"]) for message in small.read] == [1001]
    assert set(logged(capsys)) == {"unfinished_bytes"}


@pytest.mark.parametrize("then", [b"", frame(PING) * 3])
def test_a_message_that_never_ends_ends_its_connection(then: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    limits = replace(LIMITS, unfinished_seconds=0.05)

    async def scene(visit: Visit, other: Visit) -> None:
        visit.send(frame(BINARY, b"x" * 10, last=False) + then)
        for _ in range(30):
            other.send(frame(BINARY, b"x" * 10, last=False) + frame(CONTINUATION, b"x"))  # which ends each time
            await asyncio.sleep(0.005)

    visit, other = visits(scene, count=2, limits=limits)

    assert visit.close_code == WS_1008_POLICY_VIOLATION
    assert not other.transport.is_closed
    assert logged(capsys) == ["unfinished_seconds"]


def test_a_connection_that_is_gone_holds_nothing() -> None:
    async def scene(visit: Visit) -> None:
        visit.send(frame(BINARY, b"x" * MB, last=False))
        visit.protocol.connection_lost(None)

    [visit] = visits(scene)

    assert visit.protocol.everyone.unfinished == {}


@pytest.mark.parametrize(
    "request_",
    [
        HANDSHAKE.replace(b"Host: a", b"Host: a\r\n" + b"\r\n".join(b"X-%d: 1" % n for n in range(200))),
        HANDSHAKE.replace(b"Host: a", b"Host: " + b"a" * 9000),
        HANDSHAKE.replace(b"Host: a", b"Host: a\r\nContent-Length: 5"),
        HANDSHAKE.replace(b"HTTP/1.1", b"HTTP/1.2"),
    ],
)
def test_a_request_for_a_websocket_that_is_none_is_answered_and_closed(request_: bytes) -> None:
    async def scene() -> Visit:
        visit = Visit(AllConnections(LIMITS))
        visit.protocol.data_received(request_)
        await settle()
        return visit

    visit = in_a_thread(scene())

    assert visit.transport.written.startswith(b"HTTP/1.1 400")
    assert visit.transport.is_closed


@pytest.mark.parametrize("last", [True, False])
def test_text_which_no_page_sends_ends_the_connection_unread(last: bool, capsys: pytest.CaptureFixture[str]) -> None:
    async def scene(visit: Visit) -> None:
        visit.send(frame(TEXT, b"\xff\xfeSECRET", last=last) + frame(PING) * 3 + frame(BINARY) * last)

    [visit] = visits(scene)

    assert visit.close_code == WS_1003_UNSUPPORTED_DATA
    assert visit.read == []
    assert logged(capsys) == ["text"]


def test_an_app_that_speaks_on_after_the_end_is_told_and_nothing_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    async def scene(visit: Visit) -> None:
        visit.send(frame(TEXT, b"a"))
        visit.send(frame(PING) + frame(CLOSE, b"\x03\xe8"))
        with pytest.raises(ClientDisconnected):
            await visit.protocol.send({"type": "websocket.send", "bytes": b"a"})
        visit.protocol.send_500_response()

    [visit] = visits(scene)

    assert visit.close_code == WS_1003_UNSUPPORTED_DATA
    assert logged(capsys) == ["text"]


def test_what_comes_after_the_end_is_dropped_up_to_a_limit() -> None:
    async def scene(visit: Visit) -> None:
        visit.send(frame(TEXT, b"a"))
        parser.append(visit.protocol.conn)
        visit.protocol.conn = None  # so that nothing can be parsed
        visit.send(b"x" * DROPPED_BYTES)
        gone.append(visit.transport.is_gone)
        visit.send(b"x")
        gone.append(visit.transport.is_gone)
        visit.protocol.conn = parser[0]

    gone: list[bool] = []
    parser: list[Any] = []
    visits(scene)

    assert gone == [False, True]
