"""ASGI middleware that adds security headers, above all a Content-Security-Policy, to every answer."""

from __future__ import annotations

import base64
import hashlib
import os
import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from xent_ui.page_internals import inline_scripts

TLS_SECONDS = 180 * 24 * 3600  # for which a browser that came by TLS comes by nothing else
FRAMES_VARIABLE = "XENT_FRAME_ANCESTORS"
_FEATURES = ("accelerometer", "camera", "geolocation", "gyroscope", "magnetometer", "microphone", "payment", "usb")


def content_security_policy() -> str:
    """The narrowest policy under which Streamlit, Plotly and the live component work."""
    scripts = (hashlib.sha256(text.encode()).digest() for text in inline_scripts())
    own_scripts = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in scripts)
    ancestors = os.environ.get(FRAMES_VARIABLE) or "'self'"
    if not re.fullmatch(r"[\w'.:/*\- ]+", ancestors, re.ASCII):
        raise ValueError(f"{FRAMES_VARIABLE} is {ancestors!r}, expected addresses parted by spaces, or 'none'.")
    return "; ".join(
        (
            "default-src 'self'",
            f"script-src 'self' blob: {own_scripts}",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "worker-src 'self' blob:",
            "object-src 'none'",
            "base-uri 'self'",
            "form-action 'self'",
            f"frame-ancestors {ancestors}",
        )
    )


def is_secure(scope: Scope) -> bool:
    """Whether the browser speaks TLS, with this server or with the proxy before it.

    The header of a proxy is believed from anybody: who forges it changes the answer to themselves alone, and without
    TLS browsers take neither what follows from it nor a cookie that is for TLS.
    """
    scheme = Headers(scope=scope).get("x-forwarded-proto", "").partition(",")[0].strip()
    return not {scope.get("scheme"), scheme}.isdisjoint(("https", "wss"))  # some proxies say wss of a websocket


def _is_this_computer(scope: Scope) -> bool:
    host = Headers(scope=scope).get("host", "").partition(":")[0].lower()
    return host in ("localhost", "127.0.0.1") or host.startswith("[") or host.endswith(".localhost")


class SecurityHeaders:
    """ASGI middleware that adds the headers to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.headers = {
            "Content-Security-Policy": content_security_policy(),
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Permissions-Policy": ", ".join(f"{feature}=()" for feature in _FEATURES),
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the app answer, the headers added."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(self.headers)
                if is_secure(scope) and not _is_this_computer(scope):
                    headers["Strict-Transport-Security"] = f"max-age={TLS_SECONDS}"
            await send(message)

        await self.app(scope, receive, send_with_headers if scope["type"] == "http" else send)
