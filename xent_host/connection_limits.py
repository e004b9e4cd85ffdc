"""ASGI middleware that limits connections and uploads, and closes addresses that are no visitor's business.

A visit is a websocket. Streamlit reads whatever comes over it, and keeps whatever is uploaded until the visit ends.
It also does whatever a message asks: forget everybody's caches, or look through the repository that it runs in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.runtime import get_instance

from xent_host.message_limits import MAX_FILES, MessageLimits, Messages
from xent_ui.server.limits import PUBLIC
from xent_ui.server.log import event
from xent_ui.streamlit_internals import held_files as files_held_by

CLOSED = ("metrics", "agent", "script-health-check")  # below /_stcore/
UPLOAD = "upload_file"
TRY_AGAIN_LATER = 1013  # with which a websocket closes
SERVER_FULL = "So many are here that this server takes no more. Try again in a minute."
_MB = 2**20


@dataclass(frozen=True)
class ConnectionLimits:
    """How much strangers may connect, send and upload.

    Attributes:
      visits: open websockets.
      messages: of each.
      uploads_at_once: for all visits together.
      upload_seconds: for one of them.
      files, files_mb: that a visit may hold.
      all_files_mb: that all visits together may hold.
    """

    visits: int = 200
    messages: MessageLimits = field(default_factory=MessageLimits)
    uploads_at_once: int = 4
    upload_seconds: float = 60.0
    files: int = MAX_FILES
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
        messages = Messages(receive, send, self.limits.messages)
        event("visit", visits=self.visits)
        try:
            await self.app(scope, messages.receive, send)
        finally:
            self.visits -= 1
            seconds, came = round(monotonic() - begun, 1), messages.count
            event("visit-end", seconds=seconds, messages=came, refused=messages.refused, visits=self.visits)

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
