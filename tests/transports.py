"""What a protocol of asyncio reads from and writes to in tests, and the request for a websocket."""

import asyncio
import base64
from typing import Any

from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.server import ServerState

HANDSHAKE = (
    b"GET /_stcore/stream HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + base64.b64encode(b"1234567890123456") + b"\r\n\r\n"
)


class Transport:
    """A transport that keeps what is written, and whether it is paused or closed."""

    def __init__(self) -> None:
        self.written, self.is_paused = b"", False
        self.is_closed = self.is_gone = False  # in whatever way; with what was still to be written
        self.has_ended = False  # for writing
        self.protocol: asyncio.Protocol | None = None

    def write(self, data: bytes) -> None:
        if self.has_ended:
            raise RuntimeError("Cannot call write() after write_eof()")  # as asyncio has it
        self.written += data

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = self.is_gone = True

    def write_eof(self) -> None:
        self.is_closed = self.has_ended = True

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return self.is_closed

    def get_extra_info(self, _name: str) -> None:
        return None

    def set_protocol(self, protocol: asyncio.Protocol) -> None:
        self.protocol = protocol


def connected(kind: type[Any], app: ASGIApp, transport: Transport) -> Any:
    """A protocol of uvicorn, which serves this app over the transport."""
    config = Config(app, interface="asgi3", log_config=None, ws_ping_interval=None, proxy_headers=False)
    config.load()
    protocol = kind(config=config, server_state=ServerState(), app_state={})
    protocol.connection_made(transport)
    return protocol


async def settle() -> None:
    """Let every task go as far as it can."""
    for _turn in range(20):
        await asyncio.sleep(0)
