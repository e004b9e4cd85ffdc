"""uvicorn's HTTP protocol with limits on a request: how long it may take to come, and how large it may be."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import h11
from uvicorn.protocols.http.auto import AutoHTTPProtocol
from uvicorn.protocols.http.h11_impl import H11Protocol

from xent_host.closing import Closing
from xent_host.library_logs import CONNECTION_LOG
from xent_host.upload_limits import UploadLimits
from xent_host.websocket_protocol import BoundedWebSocket
from xent_ui.server.limits import PUBLIC
from xent_ui.server.log import event

_MB = 2**20


@dataclass(frozen=True)
class RequestLimits:
    """How much a request may take.

    Attributes:
      head_bytes: of its first line and its headers; a link holds a whole table.
      header_lines, header_bytes: of the headers; a browser sends 20, a proxy ten more. Each line is parsed by itself.
      head_seconds: until they have come, from the beginning of the connection or the end of the last answer.
      body_bytes: of what it brings: a file, and what is wrapped around it.
      body_seconds: until all of it has come: an upload may wait for its turn, and then has its own time.
      silent_seconds: between two pieces of it.
    """

    head_bytes: int = 64 * 2**10
    header_lines: int = 100
    header_bytes: int = 32 * 2**10
    head_seconds: float = 10.0
    body_bytes: int = (PUBLIC.upload_mb + 1) * _MB
    body_seconds: float = UploadLimits().waiting_seconds + UploadLimits().seconds + 15.0
    silent_seconds: float = 10.0


class _Refused(Exception):
    def __init__(self, status: HTTPStatus, words: str) -> None:
        super().__init__(words)
        self.status, self.words = status, words


_BETWEEN_LOOKS = 1024  # bytes
_END_OF_HEAD = re.compile(rb"\n\r?\n")


class BoundedConnection(h11.Connection):
    """h11's parser, which sees a head only once its lines were counted."""

    def __init__(self, limits: RequestLimits) -> None:
        super().__init__(h11.SERVER, limits.head_bytes)
        self.limits = limits
        self._unseen_lines = self._unseen_bytes = 0  # that came since a head was looked at

    def receive_data(self, data: bytes) -> None:
        """Note how much came."""
        self._unseen_lines += data.count(b"\n")
        self._unseen_bytes += len(data)
        super().receive_data(data)

    def next_event(self) -> Any:
        """The next part of a request. Raises: _Refused; h11.RemoteProtocolError."""
        # a head that comes byte by byte is not copied and searched for each of them
        if self.their_state is h11.IDLE and (self._unseen_lines or self._unseen_bytes >= _BETWEEN_LOOKS):
            self._unseen_lines = self._unseen_bytes = 0
            data, _is_closed = self.trailing_data
            end = _END_OF_HEAD.search(data)
            head_end = end.start() if end else len(data)
            first_line = max(data.find(b"\n", 0, head_end), 0)
            lines, size = data.count(b"\n", 0, head_end), head_end - first_line
            if lines > self.limits.header_lines or (lines and size > self.limits.header_bytes):
                raise _Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The request has too many headers")
        event = super().next_event()
        if isinstance(event, h11.Request):  # another one may have come with it
            self._unseen_lines = 1
        return event


class BoundedHTTP(H11Protocol):
    """A connection whose requests keep within the limits."""

    limits = RequestLimits()
    websocket = BoundedWebSocket

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.conn = BoundedConnection(self.limits)
        self.logger = CONNECTION_LOG
        self.ws_protocol_class = self.websocket
        self._awaited = ""  # "head" or "body" of a request
        self._deadline = self._last_came = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._is_over = False
        self._closing = Closing()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Wait for a request."""
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass on what came, unless the connection is over."""
        if self._is_over:
            self._closing.drop(self.transport, data)
            return
        self._last_came = self.loop.time()
        super().data_received(data)

    def handle_events(self) -> None:
        """Let uvicorn answer a request, or refuse it."""
        try:
            super().handle_events()
        except _Refused as refused:
            self._refuse(refused.status, refused.words)
        if not self._is_over:
            self._watch()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Leave the connection to the websocket."""
        self._stop_waiting()
        self._is_over = True
        super().handle_websocket_upgrade(event)

    def _should_upgrade(self) -> bool:
        """What uvicorn asks of every request as soon as it has its head. Raises: _Refused."""
        headers = dict(self.headers)
        if b"transfer-encoding" in headers:  # pieces of a byte each, which no browser sends
            raise _Refused(HTTPStatus.LENGTH_REQUIRED, "The size of the request is missing")
        if int(headers.get(b"content-length", b"0")) > self.limits.body_bytes:
            raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The request is too large")
        return super()._should_upgrade()

    def _watch(self) -> None:
        """Note what the connection waits for, and until when."""
        state, limits = self.conn.their_state, self.limits
        awaited = "head" if state is h11.IDLE else "body" if state is h11.SEND_BODY else ""
        if awaited == self._awaited:
            return
        self._stop_waiting()
        self._awaited = awaited
        if awaited:
            self._last_came = self.loop.time()
            self._deadline = self._last_came + (limits.head_seconds if awaited == "head" else limits.body_seconds)
            self._check()

    def _check(self) -> None:
        """Refuse what does not come in time; else look again when it may be so."""
        now, limits = self.loop.time(), self.limits
        last = self._deadline
        if self.flow.read_paused:  # by the app, which has not read yet what came
            self._last_came = now
        if self._awaited == "body":
            last = min(last, self._last_came + limits.silent_seconds)
        if now >= last:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "The request took too long")
        else:
            self._timer = self.loop.call_later(min(last - now, limits.silent_seconds), self._check)

    def _stop_waiting(self) -> None:
        self._awaited = ""
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, status: HTTPStatus, words: str) -> None:
        """Answer, unless an answer has begun, and close."""
        event("limit", what="request", status=status)
        self._stop_waiting()
        self._unset_keepalive_if_required()
        self._is_over = True
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            head = f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: text/plain; charset=utf-8\r\n"
            self.transport.write(f"{head}Connection: close\r\nContent-Length: {len(words)}\r\n\r\n{words}".encode())
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._closing.begin(self.transport, self.loop)


def apply() -> None:
    """From now on, every connection is within the limits.

    uvicorn has chosen its class for connections by the time it reads this app, so the class makes another one.
    """
    AutoHTTPProtocol.__new__ = _bounded  # type: ignore[method-assign, assignment]  # replaced on purpose


def _bounded(kind: type[asyncio.Protocol], *args: Any, **options: Any) -> asyncio.Protocol:
    if kind is not AutoHTTPProtocol:
        return object.__new__(kind)
    if issubclass(BoundedHTTP, kind):
        return object.__new__(BoundedHTTP)  # which Python then initialises
    return BoundedHTTP(*args, **options)
