"""ASGI middleware that refuses requests which no browser sends: odd addresses, and hosts and origins that are none.

Streamlit reads a host and an origin as addresses, and fails where they are none; it logs those that it refuses.
"""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.status import WS_1008_POLICY_VIOLATION
from starlette.types import ASGIApp, Receive, Scope, Send

from xent_host.connection_internals import is_origin_allowed
from xent_host.request_paths import is_plain
from xent_ui.server.log import event

COOKIE_CHARACTERS = 8_192  # of all cookies; ours are two of 100, and each character takes its time to be read
LONGEST_NAME = 300  # of a host or an origin; a name of the internet has 253 characters


class RequestCheck:
    """ASGI middleware that lets through what a browser could have sent."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or let the app answer."""
        status = fault(scope) if scope["type"] in ("http", "websocket") else None
        if status is None:
            await self.app(scope, receive, send)
            return
        event("limit", what="request", status=status)
        if scope["type"] == "http":
            await PlainTextResponse(status.phrase, status_code=status)(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.close", "code": WS_1008_POLICY_VIOLATION})


def fault(scope: Scope) -> HTTPStatus | None:
    """With which status the request is to be refused; None for one that may pass."""
    path = scope["path"]
    if not path.startswith("/") or not is_plain(path):  # a whole address, with a host of its own, is for proxies
        return HTTPStatus.BAD_REQUEST
    headers = Headers(scope=scope)
    if sum(map(len, headers.getlist("cookie"))) > COOKIE_CHARACTERS:
        return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    names = [*headers.getlist("host"), *headers.getlist("origin")]
    if any(len(name) > LONGEST_NAME or not name.isascii() or not name.isprintable() for name in names):
        return HTTPStatus.BAD_REQUEST
    try:
        ports = [urlsplit(f"//{host}").port for host in headers.getlist("host")]
        [urlsplit(origin).port for origin in headers.getlist("origin")]
        is_allowed = len(ports) == 1 and is_origin_allowed(headers.get("origin"), headers.get("host"))
    except ValueError:  # brackets or a port that are none
        return HTTPStatus.BAD_REQUEST
    # what is read over HTTP from another site, its browser keeps from it
    return HTTPStatus.FORBIDDEN if scope["type"] == "websocket" and not is_allowed else None
