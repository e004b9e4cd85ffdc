"""ASGI middleware that gives each browser a cookie, and keeps what belongs to a visit for the browser that began it.

Streamlit hands a live visit to whoever names its id, and takes files for it from whoever names it in an address.
Here the id alone is worth nothing: a stranger who offers it begins a new visit, and may neither upload nor download.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import config
from streamlit.runtime import Runtime, get_instance

from xent_host.security_headers import is_secure
from xent_ui.server.log import event

COOKIE = "xent_visit_"  # and four characters, since two tabs that open at once get one each, and a browser sends both
SECURE_PREFIX = "__Host-"  # no other host can set a cookie of such a name, not even a neighbour below the same domain
MOST_COOKIES = 8  # that are looked at: as many tabs may open at once in a browser without one
MOST_VISITS = 4096  # that are remembered, far more than there may be
UPLOADS, MEDIA = "/_stcore/upload_file/", "/media/"
FILES_STAY_PRIVATE = "private, no-store"
NOT_YOURS = "This upload is not for a visit of this browser. Reload the page."
_VALUE = re.compile(r"[\w-]{43}", re.ASCII)


@dataclass
class Connection:
    """A request or a websocket.

    Attributes:
      keys: of the cookies that came with it; none of a browser that keeps no cookies.
      is_visit: whether it is a websocket.
      visit: the id that it got.
    """

    keys: frozenset[bytes]
    is_visit: bool = False
    visit: str = ""


class Owners:
    """Which browser began which visit; of a browser, the keyed hashes of its cookies."""

    def __init__(self, most: int = MOST_VISITS) -> None:
        self._secret = secrets.token_bytes(32)
        self._most = most
        self._keys: dict[str, frozenset[bytes]] = {}  # by visit

    def keys(self, scope: Scope) -> frozenset[bytes]:
        """Of the cookies of this connection."""
        name = cookie_name(scope)
        cookies = cookie_parser("; ".join(Headers(scope=scope).getlist("cookie")))
        values = [value for key, value in cookies.items() if key.startswith(name) and _VALUE.fullmatch(value)]
        return frozenset(self.digest(value) for value in values[:MOST_COOKIES])

    def digest(self, text: str) -> bytes:
        """A hash that nobody outside this process can compute."""
        return hmac.digest(self._secret, text.encode(), "sha256")

    def begin(self, visit: str, keys: frozenset[bytes]) -> None:
        """Note who began a visit; who resumes it changes nothing."""
        self._keys.setdefault(visit, keys)
        if len(self._keys) > self._most:
            del self._keys[next(iter(self._keys))]

    def forget(self, visit: str) -> None:
        """The visit has ended."""
        self._keys.pop(visit, None)

    def knows(self, visit: str) -> bool:
        """Whether there is such a visit."""
        return visit in self._keys

    def is_own(self, visit: str, keys: frozenset[bytes]) -> bool:
        """Whether this browser began the visit. Nobody owns the visit of a browser that keeps no cookies."""
        return bool(self._keys.get(visit, frozenset()) & keys)

    def may_upload(self, visit: str, keys: frozenset[bytes]) -> bool:
        """Whether files of this browser are for that visit: its own, or that of a browser that keeps no cookies.

        From such a one Streamlit takes files only where the host has turned off its protection against forged requests.
        """
        return visit in self.readable(keys)

    def readable(self, keys: frozenset[bytes]) -> Iterator[str]:
        """The visits whose files are for this browser: its own, and those of browsers that keep no cookies."""
        return (visit for visit, owner in list(self._keys.items()) if not owner or owner & keys)


OWNERS = Owners()
CONNECTION: ContextVar[Connection | None] = ContextVar("connection", default=None)


def cookie_name(scope: Scope) -> str:
    """How the names of our cookies begin."""
    return SECURE_PREFIX + COOKIE if is_secure(scope) else COOKIE


def apply() -> None:
    """From now on, a visit is resumed only by the browser that began it; anybody else gets a new one."""
    connect = Runtime.connect_session

    def connect_owner(
        runtime: Runtime, client: Any, user_info: Any, existing_session_id: str | None = None, **others: Any
    ) -> str:
        connection = CONNECTION.get() or Connection(frozenset())
        if existing_session_id is not None and not OWNERS.is_own(existing_session_id, connection.keys):
            if OWNERS.knows(existing_session_id):
                event("limit", what="visit_of_another")
            existing_session_id = None
        visit = connect(runtime, client, user_info, existing_session_id, **others)
        connection.visit = visit
        OWNERS.begin(visit, connection.keys)
        return visit

    Runtime.connect_session = connect_owner  # type: ignore[method-assign, assignment]  # replaced on purpose


class VisitCookies:
    """ASGI middleware: the cookie, and uploads for their visit alone."""

    def __init__(self, app: ASGIApp, owners: Owners = OWNERS) -> None:
        self.app, self.owners = app, owners

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse an upload of another browser, or let the app answer."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        connection = Connection(self.owners.keys(scope), is_visit=scope["type"] == "websocket")
        token = CONNECTION.set(connection)
        try:
            if connection.is_visit:
                await self.app(scope, receive, send)
            else:
                await self._request(connection, scope, receive, send)
        finally:
            CONNECTION.reset(token)

    async def _request(self, connection: Connection, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        cookie = _new_cookie(scope) if not connection.keys and _begins_a_visit(scope) else ""
        is_private = UPLOADS in path or MEDIA in path

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if cookie:
                    headers.append("Set-Cookie", cookie)
                if is_private:
                    headers["Cache-Control"] = FILES_STAY_PRIVATE
            await send(message)

        if UPLOADS not in path or scope["method"] not in ("PUT", "DELETE"):
            await self.app(scope, receive, send_with_headers)
            return
        visit = path.partition(UPLOADS)[2].partition("/")[0]
        if not self.owners.may_upload(visit, connection.keys):
            event("upload-refused", what="visit_of_another")
            await PlainTextResponse(NOT_YOURS, status_code=403)(scope, receive, send_with_headers)
            return
        try:
            await self.app(scope, receive, send_with_headers)
        finally:
            if not self.owners.knows(visit):  # it ended while the file came
                get_instance().uploaded_file_mgr.remove_session_files(visit)


def _begins_a_visit(scope: Scope) -> bool:
    """Whether a visit may follow: the page itself, or what its program asks before each websocket."""
    place = Headers(scope=scope).get("sec-fetch-dest")
    return scope["method"] == "GET" and (place in ("document", "iframe") or scope["path"].endswith("/_stcore/health"))


def _new_cookie(scope: Scope) -> str:
    """A cookie until the browser is closed; in frames on other sites only where Streamlit's own cookie is set there."""
    same_site = str(config.get_option("server.xsrfCookieSameSite")).capitalize()
    if same_site not in ("Strict", "None"):
        same_site = "Lax"
    name = f"{cookie_name(scope)}{secrets.token_hex(2)}"
    parts = [f"{name}={secrets.token_urlsafe(32)}", "Path=/", "HttpOnly", f"SameSite={same_site}"]
    return "; ".join([*parts, "Secure"] if is_secure(scope) or same_site == "None" else parts)
