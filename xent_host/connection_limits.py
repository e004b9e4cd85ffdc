"""ASGI middleware that limits visits, uploads and answers, and closes addresses that are no visitor's business.

A visit is a websocket. Streamlit reads whatever comes over it, and keeps whatever is uploaded until the visit ends.
It also does whatever a message asks: forget everybody's caches, or look through the repository that it runs in.
Behind RequestCheck, which lets through only paths that are spelled as browsers do.
What is short is shared between the addresses of the visitors: see xent_host/address_shares.py.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from time import monotonic

from starlette.datastructures import Headers
from starlette.status import WS_1013_TRY_AGAIN_LATER
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from xent_host.address_shares import FairTurns, NoTurn, Pace
from xent_host.addresses import address_group
from xent_host.message_limits import MessageLimits, Messages
from xent_host.open_visits import OpenVisit, OpenVisits
from xent_host.refuse import refuse
from xent_host.request_paths import HEALTH, UPLOAD, below_core, is_closed, is_download
from xent_host.upload_limits import Files, StreamlitFiles, UploadLimits, Uploads
from xent_host.websocket_protocol import FrameLimits
from xent_ui.server.log import event

OWN_HEALTH = "/healthz"  # for whoever watches the server: no queue before it, and its answer is short
SERVER_FULL = "So many are here that this server takes no more. Try again in a minute."
TOO_FAST = "Too many requests come from your address. Try again in a minute."
NOT_FOUND = "Not found"
RETRY_SECONDS = "5"  # after which a browser asks again by itself whether there is room
_PIECE = 2**16  # bytes of an answer that are handed to the server at once: it waits until most of the last are gone


@dataclass(frozen=True)
class ConnectionLimits:
    """How much strangers may connect, send, ask and upload.

    Attributes:
      visits: open websockets.
      visits_a_second, visits_burst: of one address; what comes faster after a burst waits. While others edit, the burst
        is a fifth, and then come crowded_visits_a_second: to open a page takes as long as three edits.
      silent_seconds: until the first message of a visit has come, which a browser sends at once; on a slow line it may
        take as long as any message.
      messages: of each visit.
      messages_a_second, messages_burst: of one address, and crowded_messages_a_second while others edit. What comes
        faster is read later. A class of sixty who edit sends 240.
      bytes_a_message: a message counts as one more for each of these.
      requests_a_second, requests_burst: of one address; a page asks for 133 files at first. Each takes 2 to 4 ms.
      crowded_requests_a_second: while others send something, that is, edit.
      bytes_a_request: an answer counts as one more for each of these.
      answers_at_once: for all; one address has half of them. Each keeps 128 kB until its reader has taken it.
      answers_waiting, wait_seconds: how many requests may wait for their turn or for their pace, and for how long.
      answer_seconds: for one that its reader takes slowly.
      uploads: of files.
    """

    visits: int = 200
    visits_a_second: float = 10.0
    visits_burst: int = 200
    crowded_visits_a_second: float = 2.0
    silent_seconds: float = FrameLimits().unfinished_seconds + 10.0
    messages: MessageLimits = field(default_factory=MessageLimits)
    messages_a_second: float = 1000.0
    messages_burst: int = 4000
    crowded_messages_a_second: float = 500.0
    bytes_a_message: int = 2**14
    requests_a_second: float = 200.0
    requests_burst: int = 1000
    crowded_requests_a_second: float = 100.0
    bytes_a_request: int = 2**19
    answers_at_once: int = 512
    answers_waiting: int = 1024
    wait_seconds: float = 20.0
    answer_seconds: float = 300.0
    uploads: UploadLimits = field(default_factory=UploadLimits)


class ConnectionLimiter:
    """ASGI middleware that lets through what is within the limits."""

    def __init__(
        self,
        app: ASGIApp,
        limits: ConnectionLimits = ConnectionLimits(),  # frozen
        files: Files | None = None,
    ) -> None:
        self.app, self.limits = app, limits
        self.visits = OpenVisits(limits.visits)
        self.uploads = Uploads(app, limits.uploads, files or StreamlitFiles())
        self.turns = FairTurns(limits.answers_at_once, limits.answers_waiting, limits.wait_seconds)
        self._visit_pace = Pace(
            limits.visits_a_second, limits.visits_burst, limits.wait_seconds, limits.crowded_visits_a_second
        )
        self._message_pace = Pace(
            *(limits.messages_a_second, limits.messages_burst, limits.wait_seconds, limits.crowded_messages_a_second)
        )
        self._pace = Pace(
            limits.requests_a_second, limits.requests_burst, limits.wait_seconds, limits.crowded_requests_a_second
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or let the app answer."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        path, address = scope.get("path", ""), address_group((scope.get("client") or ("",))[0])
        if path == OWN_HEALTH and scope["type"] == "http":
            await self.app(scope, receive, send)
            return
        try:
            await self._keep_pace(scope, address)
        except NoTurn:
            event("limit", what="pace")
            await refuse(429, TOO_FAST, scope, receive, send, Connection="close")
            return
        if scope["type"] == "websocket":
            await self._visit(address, scope, receive, send)
        elif is_closed(path):
            await refuse(404, NOT_FOUND, scope, receive, send)
        else:
            await self._request(below_core(path), address, scope, receive, send)

    async def _keep_pace(self, scope: Scope, address: str) -> None:
        if scope["type"] == "websocket":
            delay = self._visit_pace.delay(address, is_crowded=self.visits.are_others_busy(address))
        else:
            delay = self._pace.delay(address, is_crowded=self.visits.are_others_busy(address))
        if delay:
            await asyncio.sleep(delay)

    async def _keep_message_pace(self, size: int, address: str) -> None:
        is_crowded, weight = self.visits.are_others_busy(address), 1 + size / self.limits.bytes_a_message
        try:
            delay = self._message_pace.delay(address, is_crowded=is_crowded, weight=weight)
        except NoTurn:
            delay = self.limits.wait_seconds
        if delay:
            await asyncio.sleep(delay)

    async def _visit(self, address: str, scope: Scope, receive: Receive, send: Send) -> None:
        visit = OpenVisit(address, send)
        if not self.visits.enter(visit):
            await _refuse_full(scope, receive, send)
            return
        begun = monotonic()
        messages = Messages(receive, visit.tell, self.limits.messages)

        has_begun = False

        async def hear() -> Message:
            nonlocal has_begun
            try:
                async with asyncio.timeout(None if has_begun else self.limits.silent_seconds):
                    message = await messages.receive()
            except TimeoutError:
                event("limit", what="silent_visit")
                await visit.end()
                return {"type": "websocket.disconnect", "code": WS_1013_TRY_AGAIN_LATER}
            has_begun |= message["type"] == "websocket.receive"
            if message["type"] == "websocket.receive":
                await self._keep_message_pace(len(message.get("bytes") or b""), address)
            if visit.has_ended:  # though its browser reads nothing, and so has not been told
                return {"type": "websocket.disconnect", "code": WS_1013_TRY_AGAIN_LATER}
            self.visits.hear(visit)
            return message

        event("visit", visits=len(self.visits))
        try:
            await self.app(scope, hear, visit.tell)
        except OSError:  # the app was told so, and did not wait for an answer
            if not visit.has_ended:
                raise
        finally:
            self.visits.leave(visit)
            seconds, came = round(monotonic() - begun, 1), messages.count
            event("visit-end", seconds=seconds, messages=came, refused=messages.refused, visits=len(self.visits))

    async def _request(self, core: list[str], address: str, scope: Scope, receive: Receive, send: Send) -> None:
        place = core[0].casefold() if core else ""
        if place == UPLOAD and scope["method"].upper() not in ("DELETE", "GET", "HEAD", "OPTIONS"):
            if len(core) == 3:
                await self.uploads.take(core[1], address, scope, receive, send)
            else:
                await refuse(404, NOT_FOUND, scope, receive, send)
            return
        # a page, and what a browser without a visit asks until it may open one: the page shows what it is answered
        is_page = Headers(scope=scope).get("sec-fetch-dest") in ("document", "iframe")
        is_arrival = place == HEALTH or (is_page and not is_download(scope["path"]))
        if is_arrival and not self.visits.has_room(address):
            # of what is no JSON, Streamlit's page shows the status alone
            words = json.dumps(SERVER_FULL) if place == HEALTH else SERVER_FULL
            await _refuse_full(scope, receive, send, words)
            return
        try:
            await self.turns.take(address)
        except NoTurn:
            event("limit", what="answers_at_once")
            await refuse(429, TOO_FAST, scope, receive, send, Connection="close")
            return
        try:
            await self._answer(address, scope, receive, send)
        finally:
            self.turns.give_back(address)

    async def _answer(self, address: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the app answer in pieces, so that whoever reads slowly holds one piece and not all of it."""
        if is_download(scope["path"]):  # Streamlit would compress it anew each time, as well as it can
            headers = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
            scope = {**scope, "headers": headers}

        async def send_pieces(message: Message) -> None:
            body = message.get("body", b"")
            self._pace.count(address, len(body) / self.limits.bytes_a_request)
            if message["type"] != "http.response.body" or len(body) <= _PIECE:
                await send(message)
                return
            view = memoryview(body)
            for start in range(0, len(body), _PIECE):
                is_last = start + _PIECE >= len(body)
                more = not is_last or message.get("more_body", False)
                await send({**message, "body": bytes(view[start : start + _PIECE]), "more_body": more})

        try:
            async with asyncio.timeout(self.limits.answer_seconds):
                await self.app(scope, receive, send_pieces)
        except TimeoutError:  # the server closes what is not complete
            event("limit", what="answer_seconds")


async def _refuse_full(scope: Scope, receive: Receive, send: Send, words: str = SERVER_FULL) -> None:
    """By this status and header a proxy knows that another replica may have room."""
    headers = {"Retry_After": RETRY_SECONDS, "Refresh": RETRY_SECONDS, "X_Xent_Full": "1", "Cache_Control": "no-store"}
    await refuse(503, words, scope, receive, send, **headers)
