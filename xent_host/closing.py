"""How a connection ends: what was written last arrives, since what still comes is dropped, for a while."""

from __future__ import annotations

import asyncio

# if a connection is closed while more comes, the other side does not read why
CLOSE_SECONDS, DROPPED_BYTES = 3.0, 4 * 2**20


class Closing:
    """The end of one connection."""

    def __init__(self) -> None:
        self._dropped = 0

    def drop(self, transport: asyncio.Transport, data: bytes) -> None:
        """Leave out what came after the end; cut the connection if it is too much."""
        self._dropped += len(data)
        if self._dropped > DROPPED_BYTES:
            transport.abort()

    def begin(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> asyncio.TimerHandle:
        """Say that no more will be written, and go on reading; the timer cuts the connection."""
        if transport.can_write_eof():
            transport.write_eof()
            transport.resume_reading()
        else:
            transport.close()
        return loop.call_later(CLOSE_SECONDS, transport.abort)
