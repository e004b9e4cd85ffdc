"""ASGI middleware that limits connections, messages and uploads, and closes addresses that are no visitor's business.

A visit is a websocket. Streamlit reads whatever comes over it, and keeps whatever is uploaded until the visit ends.
It also does whatever a message asks: forget everybody's caches, or look through the repository that it runs in.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from google.protobuf.message import DecodeError
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.runtime import get_instance

from xent_ui.server.limits import PUBLIC
from xent_ui.server.log import event
from xent_ui.streamlit_internals import BROWSER_MESSAGES
from xent_ui.streamlit_internals import held_files as files_held_by

CLOSED = ("metrics", "agent", "script-health-check")  # below /_stcore/
UPLOAD = "upload_file"
# codes with which a websocket closes
NO_MESSAGE, MESSAGE_TOO_BIG, TRY_AGAIN_LATER = 1002, 1009, 1013
SERVER_FULL = "So many are here that this server takes no more. Try again in a minute."
_MB = 2**20


@dataclass(frozen=True)
class ConnectionLimits:
    """How much strangers may connect, send and upload.

    Attributes:
      visits: open websockets.
      message_bytes: of what a browser sends at once; the largest table is a tenth of it.
      messages_a_second, burst: what comes faster than this after a burst is read later.
      uploads_at_once: for all visits together.
      upload_seconds: for one of them.
      files, files_mb: that a visit may hold.
      all_files_mb: that all visits together may hold.
    """

    visits: int = 200
    message_bytes: int = 2 * _MB
    messages_a_second: float = 30.0
    burst: int = 60
    uploads_at_once: int = 4
    upload_seconds: float = 60.0
    files: int = 6
    files_mb: int = 3 * PUBLIC.upload_mb
    all_files_mb: int = 512


def held_files() -> dict[str, list[int]]:
    """The sizes in bytes of the files that this server holds, by visit. Raises: AttributeError if nobody can tell."""
    return files_held_by(get_instance().uploaded_file_mgr)


class ConnectionLimiter:
    """ASGI middleware that lets through what is within the limits."""

    def __init__(
        self,
        app: ASGIApp,
        limits: ConnectionLimits = ConnectionLimits(),  # frozen
        held: Callable[[], dict[str, list[int]]] = held_files,
    ) -> None:
        self.app, self.limits, self.held = app, limits, held
        self.visits = self.uploads = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or let the app answer."""
        if scope["type"] == "websocket":
            await self._visit(scope, receive, send)
            return
        place, *rest = scope.get("path", "").partition("/_stcore/")[2].split("/")
        if place in CLOSED:
            await _refuse(404, "Not found", scope, receive, send)
        elif place == UPLOAD and scope["method"] == "PUT":
            await self._upload(rest[0] if rest else "", scope, receive, send)
        elif self.visits >= self.limits.visits and Headers(scope=scope).get("sec-fetch-dest") in ("document", "iframe"):
            await _refuse(503, SERVER_FULL, scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _visit(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.visits >= self.limits.visits:
            event("limit", what="visits", visits=self.visits)
            await receive()
            await send({"type": "websocket.close", "code": TRY_AGAIN_LATER})
            return
        self.visits += 1
        begun = monotonic()
        messages = _Messages(receive, send, self.limits)
        event("visit", visits=self.visits)
        try:
            await self.app(scope, messages.receive, send)
        finally:
            self.visits -= 1
            event("visit-end", seconds=round(monotonic() - begun, 1), messages=messages.count, visits=self.visits)

    async def _upload(self, visit: str, scope: Scope, receive: Receive, send: Send) -> None:
        most, held = self.limits, self.held()
        text = Headers(scope=scope).get("content-length", "")
        if not (text.isascii() and text.isdigit() and len(text) < 16):
            await _refuse(411, "The size of the file is missing", scope, receive, send)
            return
        size, own, what = int(text), held.get(visit, []), ""
        if self.uploads >= most.uploads_at_once:
            what = "uploads_at_once"
        elif len(own) >= most.files or sum(own) + size > most.files_mb * _MB:
            what = "files_of_a_visit"
        elif sum(map(sum, held.values())) + size > most.all_files_mb * _MB:
            what = "files_of_all_visits"
        if what:
            event("upload-refused", what=what, bytes=size)
            await _refuse(429, "Too many files are held here. Try again later.", scope, receive, send)
            return
        self.uploads += 1
        status = _Status(send)
        try:
            async with asyncio.timeout(most.upload_seconds):
                await self.app(scope, receive, status.send)
        except TimeoutError:
            if status.code is None:
                await _refuse(408, "The upload took too long", scope, receive, status.send)
        finally:
            self.uploads -= 1
            event("upload", bytes=size, status=status.code)


class _Messages:
    """The messages of a websocket: no faster than the limit, none that is too big, and none that no page sends."""

    def __init__(self, receive: Receive, send: Send, limits: ConnectionLimits) -> None:
        self._receive, self._send, self._limits = receive, send, limits
        self._due = -math.inf
        self.count = 0

    async def receive(self) -> Message:
        """The next message, when its time has come."""
        while True:
            message = await self._receive()
            if message["type"] != "websocket.receive":
                return message
            self.count += 1
            data = message.get("bytes")
            size = len(data or message.get("text") or b"")
            if size > self._limits.message_bytes:
                event("limit", what="message_bytes", bytes=size)
                return await self._hang_up(MESSAGE_TOO_BIG)
            interval, now = 1 / self._limits.messages_a_second, monotonic()
            # as many as a burst may be early
            self._due = max(self._due + interval, now - self._limits.burst * interval)
            if self._due > now:
                await asyncio.sleep(self._due - now)
            try:
                kind = BackMsg.FromString(data).WhichOneof("type") if data is not None else None
            except DecodeError:
                kind = None
            if kind in BROWSER_MESSAGES:
                return message
            event("limit", what="message_kind", bytes=size)
            if kind is None:
                return await self._hang_up(NO_MESSAGE)

    async def _hang_up(self, code: int) -> Message:
        await self._send({"type": "websocket.close", "code": code})
        return {"type": "websocket.disconnect", "code": code}


class _Status:
    """Notes with which status the app answers."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.code: int | None = None

    async def send(self, message: Message) -> None:
        """Send on."""
        if message["type"] == "http.response.start":
            self.code = message["status"]
        await self._send(message)


async def _refuse(status: int, why: str, scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse(why, status_code=status)(scope, receive, send)
