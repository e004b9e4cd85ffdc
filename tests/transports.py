"""What a protocol of asyncio reads from and writes to in tests, and the request for a websocket."""

import asyncio
import base64

HANDSHAKE = (
    b"GET /_stcore/stream HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + base64.b64encode(b"1234567890123456") + b"\r\n\r\n"
)


class Transport:
    """A transport that keeps what is written, and whether it is paused or closed."""

    def __init__(self) -> None:
        self.written, self.is_paused, self.is_closed = b"", False, False
        self.protocol: asyncio.Protocol | None = None

    def write(self, data: bytes) -> None:
        self.written += data

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False

    def close(self) -> None:
        self.is_closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.is_closed

    def get_extra_info(self, _name: str) -> None:
        return None

    def set_protocol(self, protocol: asyncio.Protocol) -> None:
        self.protocol = protocol


async def settle() -> None:
    """Let every task go as far as it can."""
    for _turn in range(20):
        await asyncio.sleep(0)
