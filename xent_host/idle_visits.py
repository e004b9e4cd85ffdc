"""ASGI middleware that ends a visit: nothing was done for long, or memory is short; its tab reads why."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from html import escape
from time import monotonic

from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from xent_host.connection_limits import ConnectionLimits
from xent_host.left_visits import end_visit
from xent_host.visit_cookie import CONNECTION, Connection
from xent_ui.server.log import event
from xent_ui.text import _, use_language

PLACE = "away"  # the address of the page that says why, below that of the app
GOING_AWAY = 1001  # with which the websocket closes
FULL = "memory"  # the query of that page for one who kept too much
TELL_SECONDS = 2.0  # for a browser that reads nothing
HEARTBEAT = BackMsg(app_heartbeat=True).SerializeToString()


@dataclass(frozen=True)
class IdleLimits:
    """How long a visit may do nothing.

    Attributes:
      seconds: where there is room; somebody who comes back after lunch finds everything as it was.
      crowded_seconds: where there are more visits than `crowd`.
      crowd: half of those that a server takes.
      look_seconds: how often it is asked whether there is still room.
    """

    seconds: float = 6 * 3600.0
    crowded_seconds: float = 1800.0
    crowd: int = ConnectionLimits().visits // 2
    look_seconds: float = 60.0


@dataclass(eq=False)
class _Tab:
    """A websocket, and the way to tell its browser that the visit ends."""

    connection: Connection | None
    tell: Callable[[str], Awaitable[object]]


_TABS: set[_Tab] = set()


async def send_away(visit: str, end: Callable[[str], None] = end_visit) -> None:
    """End a visit that keeps too much; its tab, if there is one, reads why."""
    tab = next((one for one in _TABS if one.connection is not None and one.connection.visit == visit), None)
    try:
        if tab is not None:
            async with asyncio.timeout(TELL_SECONDS):
                await tab.tell(f"{PLACE}?{FULL}")
    except (TimeoutError, OSError, RuntimeError):  # it reads nothing, or has just left
        pass
    end(visit)


class IdleVisits:
    """ASGI middleware; stands behind `VisitCookies`, which knows the visit of a websocket."""

    def __init__(self, app: ASGIApp, limits: IdleLimits = IdleLimits(), end: Callable[[str], None] = end_visit) -> None:
        self.app, self.limits, self.end = app, limits, end
        self.visits = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the app answer, and a websocket end when its time is over."""
        if scope["type"] != "websocket":
            await self.app(scope, receive, send)
            return
        active = monotonic()
        next_message: asyncio.Future[Message] | None = None

        async def receive_in_time() -> Message:
            nonlocal active, next_message
            while True:
                next_message = next_message or asyncio.ensure_future(receive())
                # asked again, never cancelled: whoever gives it may have read it already
                await asyncio.wait([next_message], timeout=self._look_again_in(active))
                if not next_message.done():
                    if self._left(active) <= 0:
                        event("limit", what="idle_seconds", visits=self.visits)
                        return await end_connection(send, PLACE, self.end)
                    continue
                message, next_message = next_message.result(), None
                if message["type"] == "websocket.receive" and message.get("bytes") != HEARTBEAT:
                    active = monotonic()
                return message

        tab = _Tab(CONNECTION.get(), lambda place: _redirect(send, place))
        self.visits += 1
        _TABS.add(tab)
        try:
            await self.app(scope, receive_in_time, send)
        finally:
            self.visits -= 1
            _TABS.discard(tab)
            if next_message is not None:
                next_message.cancel()

    def _left(self, active: float) -> float:
        """The seconds that a visit has left that did something at this time."""
        is_crowded = self.visits > self.limits.crowd
        return active + (self.limits.crowded_seconds if is_crowded else self.limits.seconds) - monotonic()

    def _look_again_in(self, active: float) -> float:
        return max(min(self._left(active), self.limits.look_seconds), 0)


async def end_connection(send: Send, place: str, end: Callable[[str], None] = end_visit) -> Message:
    """End the visit whose websocket this is, its tab sent to that address; the message by which its app learns it."""
    await _redirect(send, place)
    connection = CONNECTION.get()
    if connection is not None and connection.visit:
        end(connection.visit)
    await send({"type": "websocket.close", "code": GOING_AWAY})
    return {"type": "websocket.disconnect", "code": GOING_AWAY}


async def _redirect(send: Send, place: str) -> None:
    message = ForwardMsg()
    message.metadata.SetInParent()
    message.auth_redirect.url = place
    await send({"type": "websocket.send", "bytes": message.SerializeToString()})


async def away(request: Request) -> HTMLResponse:
    """The page that says why."""
    use_language(request.headers.get("accept-language", "").split(",")[0].split(";")[0].strip())
    title = escape(_("This visit has ended"))
    idle = _("Nothing was done here for a long time, so this server has given its place to others.")
    full = _("This server had no memory left, so this visit has ended: the others can go on.")
    why = escape(full if request.scope.get("query_string") == FULL.encode() else idle)
    back = escape(_("Your table is kept in this tab: your browser's Back button brings you to it."))
    style = "font: 1.1rem/1.6 sans-serif; max-width: 36rem; margin: 20vh auto; padding: 0 1rem"
    scheme = '<meta name="color-scheme" content="light dark">'
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width">{scheme}<title>{title}</title>'
    return HTMLResponse(
        f'<!doctype html><head>{head}</head><body style="{style}"><h1>{title}</h1><p>{why}</p><p>{back}</p></body>',
        headers={"Cache-Control": "no-store"},
    )
