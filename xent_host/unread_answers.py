"""Limits on what waits for a browser that does not read: for each visit, and for all together.

Streamlit keeps up to 500 messages for each visit, however large they are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from starlette.status import WS_1013_TRY_AGAIN_LATER
from starlette.websockets import WebSocket, WebSocketDisconnect
from streamlit.web.server.starlette.starlette_websocket import StarletteSessionClient

from xent_ui.server.log import event

_MB = 2**20


@dataclass(frozen=True)
class UnreadLimits:
    """How much may wait.

    Attributes:
      visit_bytes: for one browser; a page is a few megabytes, on a slow line it waits for some seconds.
      light_bytes: a browser for which less waits is never refused because of the others.
      all_bytes: for all browsers together.
    """

    visit_bytes: int = 24 * _MB
    light_bytes: int = _MB // 2  # times 200 visits is less than all of them may have
    all_bytes: int = 128 * _MB


class Waiting:
    """How much waits for all browsers together."""

    def __init__(self, limits: UnreadLimits) -> None:
        self.limits, self.bytes = limits, 0


class BoundedQueue(asyncio.Queue[bytes]):
    """The messages for one browser. One that is too much is refused as by a full queue, which ends the visit."""

    def __init__(self, most: int, everyone: Waiting, hang_up: Callable[[], None]) -> None:
        super().__init__(most)
        self._everyone, self._hang_up, self._bytes = everyone, hang_up, 0

    def put_nowait(self, item: bytes) -> None:
        """Let a message wait. Raises: QueueFull."""
        limits, own, every = self._everyone.limits, self._bytes + len(item), self._everyone.bytes + len(item)
        # the first one may be of any size: Streamlit bounds it
        if self._bytes and (own > limits.visit_bytes or (every > limits.all_bytes and own > limits.light_bytes)):
            event("limit", what="unread_bytes", bytes=own)
            self._hang_up()
            raise asyncio.QueueFull
        super().put_nowait(item)

    def forget(self) -> None:
        """Drop what waits: nobody will read it."""
        while not self.empty():
            self.get_nowait()

    def _put(self, item: bytes) -> None:
        self._bytes += len(item)
        self._everyone.bytes += len(item)
        super()._put(item)

    def _get(self) -> bytes:
        item = super()._get()
        self._bytes -= len(item)
        self._everyone.bytes -= len(item)
        return item


EVERYONE = Waiting(UnreadLimits())


def apply() -> None:
    """From now on, what waits for a browser is bounded."""
    begin, end = StarletteSessionClient.__init__, StarletteSessionClient.aclose
    ending: set[asyncio.Task[None]] = set()

    def begin_bounded(client: StarletteSessionClient, websocket: WebSocket) -> None:
        def hang_up() -> None:
            task = asyncio.create_task(_hang_up(client, websocket))
            ending.add(task)
            task.add_done_callback(ending.discard)

        begin(client, websocket)
        client._send_queue = BoundedQueue(client._send_queue.maxsize, EVERYONE, hang_up)

    async def end_and_forget(client: StarletteSessionClient) -> None:
        try:
            await end(client)
        finally:
            if isinstance(client._send_queue, BoundedQueue):
                client._send_queue.forget()

    StarletteSessionClient.__init__ = begin_bounded  # type: ignore[method-assign, assignment]  # replaced on purpose
    StarletteSessionClient.aclose = end_and_forget  # type: ignore[method-assign, assignment]  # replaced on purpose


async def _hang_up(client: StarletteSessionClient, websocket: WebSocket) -> None:
    """Close the websocket, so that a browser which was merely slow connects anew."""
    await client.aclose()
    with suppress(RuntimeError, WebSocketDisconnect):  # it is closed already
        await websocket.close(WS_1013_TRY_AGAIN_LATER)
