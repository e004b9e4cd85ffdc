"""Requests and websockets as a server hands them to an ASGI app."""

import asyncio
from typing import Any, NamedTuple

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from harness.aio import in_a_thread

HERE = "192.0.2.1"


async def fine(scope: Scope, receive: Receive, send: Send) -> None:
    """An app that answers everything."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def reads_all(scope: Scope, receive: Receive, send: Send) -> None:
    """An app that accepts a websocket and reads whatever comes."""
    await send({"type": "websocket.accept"})
    while (await receive())["type"] != "websocket.disconnect":
        pass


def http(path: str, method: str = "GET", *, address: str = HERE, **headers: str) -> Scope:
    """A request."""
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {
        **{"type": "http", "method": method, "path": path, "headers": pairs, "query_string": b""},
        "client": (address, 1),
    }


async def answer(app: ASGIApp, scope: Scope, body: tuple[bytes, ...] = (b"",)) -> list[Message]:
    """What the app sends; after the body, nothing comes any more."""
    sent: list[Message] = []
    pieces = [{"type": "http.request", "body": piece, "more_body": True} for piece in body]
    pieces[-1]["more_body"] = False

    async def receive() -> Message:
        if not pieces:
            await asyncio.Event().wait()
        return pieces.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


async def status(app: ASGIApp, scope: Scope, body: tuple[bytes, ...] = (b"",)) -> int:
    """With which status the app answers."""
    code: int = (await answer(app, scope, body))[0]["status"]
    return code


class Fetched(NamedTuple):
    """An answer, as it went over the line."""

    status: int
    headers: Headers
    body: bytes


def fetch(app: ASGIApp, scope: Scope) -> Fetched:
    """The whole answer to a request."""
    start, *parts = in_a_thread(answer(app, scope))
    return Fetched(start["status"], Headers(raw=start["headers"]), b"".join(part.get("body", b"") for part in parts))


class Browser:
    """A websocket from an address, as uvicorn keeps it: the app reads a close of its own as a disconnection."""

    def __init__(self, app: ASGIApp, address: str = HERE, path: str = "/_stcore/stream") -> None:
        self.sent: list[Message] = []
        self._queue: asyncio.Queue[Message] = asyncio.Queue()
        self._queue.put_nowait({"type": "websocket.connect"})
        scope = {"type": "websocket", "path": path, "headers": [], "client": (address, 1)}
        scope["extensions"] = {"websocket.http.response": {}}
        self.task = asyncio.ensure_future(app(scope, self._queue.get, self._send))

    async def _send(self, message: Message) -> None:
        self.sent.append(message)
        if message["type"] == "websocket.close":
            self._queue.put_nowait({"type": "websocket.disconnect", "code": message["code"]})
        elif message["type"] == "websocket.http.response.body":
            for _once_for_the_answer_once_for_the_line in range(2):
                self._queue.put_nowait({"type": "websocket.disconnect", "code": 1006})

    def say(self, message: Message) -> None:
        """Send a message."""
        self._queue.put_nowait(message)

    async def leave(self) -> None:
        """Go, and wait until the app has noticed."""
        self._queue.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await self.task

    @property
    def is_in(self) -> bool:
        """Whether the visit is open."""
        return [message["type"] for message in self.sent] == ["websocket.accept"]

    @property
    def status(self) -> Any:
        """With which status it was refused."""
        return self.sent[0].get("status")


async def settle() -> None:
    """Let all that can go on do so."""
    for _ in range(10):
        await asyncio.sleep(0)
