"""ASGI middleware that names the scripts of the first page in the page itself, so that a browser fetches them at once.

Streamlit's page names only its own core. What tables and numbers need is asked for once the server has said what there
is to draw, in four rounds one after the other; on a slow line each costs a round trip and the time of its files.
"""

from __future__ import annotations

from functools import cache

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from xent_ui.page_internals import first_page_files, page_bytes

_HEAD_ENDS = b"</head>"


@cache
def page_with_files() -> bytes:
    """Streamlit's page, with a link to each of the scripts."""
    links = "".join(
        f'<link rel="modulepreload" crossorigin href="./static/js/{name}">\n' for name in first_page_files()
    )
    return page_bytes().replace(_HEAD_ENDS, links.encode() + _HEAD_ENDS, 1)


class EarlyFiles:
    """ASGI middleware; whatever is not Streamlit's own page, to the byte, passes as it is."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the app answer."""
        if scope["type"] != "http" or scope["method"] != "GET":
            await self.app(scope, receive, send)
            return
        begun: Message | None = None
        parts: list[bytes] = []

        async def send_with_files(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start" and _may_be_page(message):
                begun = message
                return
            if begun is None or message["type"] != "http.response.body":
                await send(message)
                return
            parts.append(message.get("body", b""))
            if message.get("more_body", False):
                return
            body = b"".join(parts)
            if body == page_bytes():
                body = page_with_files()
                headers = MutableHeaders(raw=list(begun["headers"]))
                headers["Content-Length"] = str(len(body))
                begun = {**begun, "headers": headers.raw}
            await send(begun)
            await send({"type": "http.response.body", "body": body})

        await self.app(scope, receive, send_with_files)


def _may_be_page(start: Message) -> bool:
    headers = Headers(raw=start["headers"])
    is_html = headers.get("content-type", "").startswith("text/html")
    return start["status"] == 200 and is_html and headers.get("content-length") == str(len(page_bytes()))
