"""How a request is refused: a status, a sentence, and headers."""

from __future__ import annotations

import asyncio
import contextlib

from starlette.responses import PlainTextResponse
from starlette.status import WS_1013_TRY_AGAIN_LATER
from starlette.types import Receive, Scope, Send

LINGER_SECONDS = 1.0


async def refuse(status: int, why: str, scope: Scope, receive: Receive, send: Send, **headers: str) -> None:
    """Answer with a status and a sentence; a websocket too is answered like a page, before it is one.

    Args: headers: with `_` for `-`.
    """
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = PlainTextResponse(why, status_code=status, headers=named)
    if scope["type"] == "websocket" and "websocket.http.response" not in scope.get("extensions", {}):
        await receive()
        await send({"type": "websocket.close", "code": WS_1013_TRY_AGAIN_LATER})
        return
    await answer(scope, receive, send)
    if scope["type"] == "websocket":  # uvicorn logs an error if the app returns before the line is down
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                for _ in range(3):  # it comes, it is refused, it is gone
                    await receive()
