"""uvicorn's websocket protocol with limits on frames, bytes and unfinished messages, counted before they are parsed.

The limits on messages (message_limits.py) see whole messages. What comes before one is whole costs as much: an empty
frame takes as long as a message, and a message that never ends stays in memory.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from starlette.status import WS_1003_UNSUPPORTED_DATA, WS_1008_POLICY_VIOLATION
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState, PayloadTooBig
from websockets.frames import Frame
from websockets.server import ServerProtocol

from xent_host.closing import Closing
from xent_host.library_logs import CONNECTION_LOG
from xent_ui.server.log import event as note

_MB = 2**20
_CONTROL, _CONTINUED = 8, 0  # kinds of frames: from 8 on they are about the connection
_LONGEST_HEADER = 14


@dataclass(frozen=True)
class FrameLimits:
    """How much may come over websockets before it is a message.

    Chromium cuts a message into frames of 128 kB: 18 for one of 2 MB; an edit is one frame of some kB.

    Attributes:
      message_bytes: of a message, all its frames together.
      frames, frames_a_second: of a connection at once, and from then on; more ends it.
      bytes_at_once, bytes_a_second: of a connection; what is more is read later.
      light_bytes, light_frames: a connection that sent no more of late does not wait for the others.
      all_frames, all_frames_a_second, all_bytes, all_bytes_a_second: of all others together; they are read later.
      longest_pause: in seconds, before more is read.
      unfinished_seconds: for a message to come to its end: 2 MB at half a megabit a second.
      unfinished_bytes: that all connections together may have sent of unfinished messages; the largest ends.
    """

    message_bytes: int = 2 * _MB
    frames: int = 1_000
    frames_a_second: float = 100.0
    bytes_at_once: int = 4 * _MB
    bytes_a_second: float = 1.0 * _MB
    light_bytes: int = _MB // 2
    light_frames: int = 100
    all_frames: int = 5_000
    all_frames_a_second: float = 2_000.0
    all_bytes: int = 64 * _MB
    all_bytes_a_second: float = 16.0 * _MB
    longest_pause: float = 5.0
    unfinished_seconds: float = 30.0
    unfinished_bytes: int = 64 * _MB


class RecentUse:
    """How much was used of late: what was used is forgotten at a steady rate."""

    def __init__(self, most: float, a_second: float) -> None:
        self.most, self._a_second = most, a_second
        self._used, self._at = 0.0, 0.0

    def used(self, now: float) -> float:
        """What is not forgotten yet."""
        self._used = max(self._used - (now - self._at) * self._a_second, 0.0)
        self._at = now
        return self._used

    def add(self, amount: float, now: float) -> float:
        """The seconds until no more than the most is remembered again."""
        self._used = self.used(now) + amount
        return max(self._used - self.most, 0.0) / self._a_second


class FrameScanner:
    """Counts the frames in a stream of bytes by their headers alone.

    Attributes:
      held: bytes of the message that has not ended yet.
      messages: how many have ended.
    """

    def __init__(self) -> None:
        self._header = b""  # of which the rest has yet to come
        self._left = 0  # of the payload of a frame
        self._is_data = self._is_last = False
        self.held = self.messages = 0

    def scan(self, data: bytes, most: int) -> int:
        """How many frames begin in the data; it stops at one more than the most."""
        data, self._header = self._header + data, b""
        at, frames, end = 0, 0, len(data)
        while True:
            step = min(self._left, end - at)
            at, self._left = at + step, self._left - step
            if self._is_data:
                self.held += step
            if self._left:
                return frames
            if self._is_data and self._is_last:
                self.held, self._is_data = 0, False
                self.messages += 1
            length = _header_length(data, at)
            if at + length > end:
                self._header = data[at:]
                return frames
            frames += 1
            if frames > most:
                return frames
            kind = data[at] & 15
            self._is_data, self._is_last = kind < _CONTROL, data[at] >= 128
            if self._is_data and kind != _CONTINUED:
                self.held = 0
            size = data[at + 1] & 127
            if size >= 126:
                size = int.from_bytes(data[at + 2 : at + (4 if size == 126 else 10)], "big")
            at, self._left = at + length, size


def _header_length(data: bytes, at: int) -> int:
    """Of the header of the frame that begins there; where it is not told yet, more than there is."""
    if at + 2 > len(data):
        return _LONGEST_HEADER
    size, mask = data[at + 1] & 127, 4 if data[at + 1] >= 128 else 0
    return 2 + mask + (8 if size == 127 else 2 if size == 126 else 0)


class AllConnections:
    """What all websockets of this server use together."""

    def __init__(self, limits: FrameLimits) -> None:
        self.limits = limits
        self.frames = RecentUse(limits.all_frames, limits.all_frames_a_second)
        self.bytes = RecentUse(limits.all_bytes, limits.all_bytes_a_second)
        self.unfinished: dict[BoundedWebSocket, int] = {}
        self._total = 0

    def hold(self, connection: BoundedWebSocket, size: int) -> None:
        """Note what a connection has sent of an unfinished message; where all is too much, end the largest."""
        self._total += size - self.unfinished.pop(connection, 0)
        if size:
            self.unfinished[connection] = size
        while self._total > self.limits.unfinished_bytes:
            largest = max(self.unfinished, key=lambda one: self.unfinished[one])
            largest.hang_up("unfinished_bytes")


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """A websocket within the limits."""

    everyone = AllConnections(FrameLimits())

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        limits = self.everyone.limits
        # nothing is unpacked: what is small on the way is small in memory
        self.conn = ServerProtocol(extensions=[], max_size=limits.message_bytes, logger=CONNECTION_LOG)
        self.logger = CONNECTION_LOG
        self._frames = RecentUse(limits.frames, limits.frames_a_second)
        self._bytes = RecentUse(limits.bytes_at_once, limits.bytes_a_second)
        self._scanner = FrameScanner()
        self._pause: asyncio.TimerHandle | None = None
        self._unfinished: asyncio.TimerHandle | None = None
        self._is_over = False
        self._closing = Closing()

    def data_received(self, data: bytes) -> None:
        """Count what came, and pass it on unless it is too much."""
        if self._is_over:
            self._closing.drop(self.transport, data)
            return
        if not self.handshake_initiated:  # the request, which the HTTP protocol has read already
            super().data_received(data)
            if not self.handshake_initiated:  # a request for a websocket that is none
                self._refuse_request()
            return
        limits, now = self.everyone.limits, self.loop.time()
        before = self._scanner.messages
        frames = self._scanner.scan(data, int(limits.frames - self._frames.used(now)))
        if self._frames.add(frames, now):
            self.hang_up("frames")
            return
        self._watch_unfinished(is_another=self._scanner.messages != before)
        self.everyone.hold(self, self._scanner.held)
        if self._is_over:
            return
        pause = self._pause_after(frames, len(data), now)
        super().data_received(data)
        if pause and not self._is_over:
            self._pause_reading(pause)

    async def receive(self) -> Any:
        """The next message for the app."""
        message = await super().receive()
        if self._pause:  # which uvicorn does not know of
            self.transport.pause_reading()
        return message

    async def send(self, message: Any) -> None:
        """Send what the app says. Raises: ClientDisconnected once the connection is over."""
        if self._is_over:
            raise ClientDisconnected
        await super().send(message)

    def send_500_response(self) -> None:
        """Tell of an error, unless the connection is over."""
        if not self._is_over:
            super().send_500_response()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._release()
        super().connection_lost(exc)

    def handle_parser_exception(self) -> None:
        """Close the connection as the parser has said."""
        self._release()
        if self.conn.close_sent is None:
            self._refuse_request()
            return
        error = self.conn.parser_exc
        if isinstance(error, PayloadTooBig):
            note("limit", what="message_bytes", bytes=(error.size or 0) + (error.current_size or 0))
        else:
            note("limit", what="frame")
        self.queue.put_nowait({"type": "websocket.disconnect", "code": self.conn.close_sent.code})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self._end()

    def handle_ping(self) -> None:
        """Answer, unless the connection is over."""
        if not self._is_over:
            super().handle_ping()

    def handle_close(self, event: Frame) -> None:
        """Close in return, unless the connection is over."""
        if not self._is_over:
            super().handle_close(event)

    def handle_text(self, event: Frame) -> None:
        """End the connection: Streamlit's browsers send bytes alone."""
        if not self._is_over:
            self.hang_up("text", WS_1003_UNSUPPORTED_DATA)

    def hang_up(self, what: str, code: int = WS_1008_POLICY_VIOLATION) -> None:
        """End the connection because of this limit."""
        note("limit", what=what)
        self._release()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code})
        if self.handshake_complete and not self.close_sent:
            with suppress(InvalidState):
                self.conn.send_close(code)
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
        self._end()

    def _pause_after(self, frames: int, size: int, now: float) -> float:
        """For how many seconds to read no more."""
        limits, everyone = self.everyone.limits, self.everyone
        pause = self._bytes.add(size, now)
        if self._bytes.used(now) > limits.light_bytes:
            pause = max(pause, everyone.bytes.add(size, now))
        if self._frames.used(now) > limits.light_frames:
            pause = max(pause, everyone.frames.add(frames, now))
        return min(pause, limits.longest_pause)

    def _pause_reading(self, seconds: float) -> None:
        self.transport.pause_reading()
        if self._pause:
            self._pause.cancel()
        self._pause = self.loop.call_later(seconds, self._read_on)

    def _read_on(self) -> None:
        self._pause = None
        if not self.read_paused and not self._is_over:
            self.transport.resume_reading()

    def _watch_unfinished(self, *, is_another: bool) -> None:
        """Have a message end in time, once its first byte has come."""
        if self._unfinished and (is_another or not self._scanner.held):
            self._unfinished.cancel()
            self._unfinished = None
        if self._scanner.held and not self._unfinished:
            seconds = self.everyone.limits.unfinished_seconds
            self._unfinished = self.loop.call_later(seconds, self.hang_up, "unfinished_seconds")

    def _release(self) -> None:
        self._is_over = True
        for timer in (self._pause, self._unfinished):
            if timer:
                timer.cancel()
        self._pause = self._unfinished = None
        self.frames = []
        self.everyone.hold(self, 0)

    def _refuse_request(self) -> None:
        note("limit", what="request", status=400)
        self.transport.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        self._end()

    def _end(self) -> None:
        """Close, once the other side has had the time to read why: what it still sends is dropped."""
        self._is_over = True
        if self.transport.is_closing():
            return
        if self.close_timer:
            self.close_timer.cancel()
        self.close_timer = self._closing.begin(self.transport, self.loop)
