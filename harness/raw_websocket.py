"""A websocket without manners: its handshake, single frames and whole requests over a plain socket.

`flood` sends as fast as the server reads: run it in a process of its own, or it slows down whoever measures beside it.
"""

import base64
import os
import socket
import struct
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlparse

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
STREAM = "/_stcore/stream"
SECONDS = 10.0  # to wait for an answer
NO_MASK = b"\0\0\0\0"  # a payload as it is


def frame(kind: int, payload: bytes = b"", *, last: bool = True, masked: bool = True, size: int | None = None) -> bytes:
    """A frame, as a browser sends it unless told otherwise; `size` is what it says that it holds."""
    size = len(payload) if size is None else size
    mask = 128 if masked else 0
    head = bytes([kind | (128 if last else 0)])
    if size < 126:
        head += bytes([mask | size])
    elif size < 2**16:
        head += struct.pack("!BH", mask | 126, size)
    else:
        head += struct.pack("!BQ", mask | 127, size)
    return head + (NO_MASK if masked else b"") + payload


def fragments(payload: bytes, size: int) -> Iterable[bytes]:
    """A message in frames of that size, of which the last says so."""
    for at in range(0, len(payload), size):
        kind = CONTINUATION if at else BINARY
        yield frame(kind, payload[at : at + size], last=at + size >= len(payload))


class RawSocket:
    """A connection to the server of a url."""

    def __init__(self, url: str, *, seconds: float = SECONDS, source: str = "") -> None:
        address = urlparse(url)
        self.host = address.netloc
        self._socket = socket.create_connection(
            (address.hostname, address.port), timeout=seconds, source_address=(source, 0) if source else None
        )
        self._came = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Send all of it. Raises: OSError once the server has closed, or reads no more for some time."""
        self._socket.sendall(data)

    def receive(self, count: int) -> bytes:
        """So many bytes, or fewer if the server closes before. Raises: TimeoutError."""
        while len(self._came) < count:
            try:
                more = self._socket.recv(2**16)
            except ConnectionError:
                more = b""
            if not more:
                count = len(self._came)
                break
            self._came += more
        taken, self._came = self._came[:count], self._came[count:]
        return taken

    def receive_until(self, end: bytes) -> bytes:
        """Up to and with these bytes, or all if the server closes before."""
        found = b""
        while not found.endswith(end) and (one := self.receive(1)):
            found += one
        return found

    def closes_within(self, seconds: float) -> bool:
        """Whether the server closes the connection in time; what it still sends is dropped."""
        deadline = time.monotonic() + seconds
        self._came = b""
        while (left := deadline - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                if not self._socket.recv(2**16):
                    return True
            except TimeoutError:
                return False
            except ConnectionError:
                return True
        return False


class RawWebSocket(RawSocket):
    """A websocket after its handshake.

    Attributes:
      status: the code of the answer to the handshake: 101 if there is a websocket now.
    """

    def __init__(
        self, url: str, *, seconds: float = SECONDS, source: str = "", path: str = STREAM, **headers: str | None
    ) -> None:
        """Ask for a websocket.

        Args: headers: further ones, and others than the usual, as `origin="http://elsewhere"`; None leaves one out.
        """
        super().__init__(url, seconds=seconds, source=source)
        lines = {
            "host": self.host,
            "upgrade": "websocket",
            "connection": "Upgrade",
            "sec-websocket-version": "13",
            "sec-websocket-key": base64.b64encode(os.urandom(16)).decode(),
            "sec-websocket-protocol": "streamlit",
            "origin": url,
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value is not None)
        self.send(f"GET {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1"))
        answer = self.receive_until(b"\r\n\r\n")
        self.status = int(answer.split()[1]) if answer else 0

    def receive_frame(self) -> tuple[int, bytes]:
        """Kind and payload of what the server says next; CLOSE and nothing when it is gone."""
        head = self.receive(2)
        if len(head) < 2:
            return CLOSE, b""
        size = head[1] & 127
        if size >= 126:
            size = int.from_bytes(self.receive(2 if size == 126 else 8), "big")
        return head[0] & 15, self.receive(size)

    def close_code(self) -> int:
        """With which code the server closes; 0 for none. Raises: TimeoutError if it does not."""
        while True:
            kind, payload = self.receive_frame()
            if kind == CLOSE:
                return int.from_bytes(payload[:2], "big")


@dataclass
class Flood:
    """What became of a flood: how often the server was connected to, and how many bytes it took."""

    connections: int = 0
    sent: int = 0


def flood(url: str, data: bytes, seconds: float, *, begin: bytes = b"", source: str = "") -> Flood:
    """Send the data again and again as fast as it is taken; when the server closes, connect anew, as fast as it lets.

    Args: begin: what is sent first on each connection.
    """
    found, deadline = Flood(), time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(OSError), RawWebSocket(url, seconds=max(deadline - time.monotonic(), 0.1), source=source) as one:
            found.connections += 1
            one.send(begin)
            while time.monotonic() < deadline:
                one.send(data)
                found.sent += len(data)
    return found


def flood_with(kind: str, url: str, seconds: float, source: str = "") -> Flood:
    """A flood by its name in FLOODS: what another process can be told to do."""
    begin, data = FLOODS[kind]()
    return flood(url, data, seconds, begin=begin, source=source)


FLOODS: dict[str, Callable[[], tuple[bytes, bytes]]] = {
    "empty pings": lambda: (b"", frame(PING) * 10_000),
    "unasked pongs": lambda: (b"", frame(PONG) * 10_000),
    "empty continuations": lambda: (frame(BINARY, last=False), frame(CONTINUATION, last=False) * 10_000),
    "empty messages": lambda: (b"", frame(BINARY) * 10_000),
    "texts": lambda: (b"", frame(TEXT, b"a") * 10_000),
    "unmasked frames": lambda: (b"", frame(PING, masked=False) * 10_000),
    "large messages": lambda: (b"", frame(BINARY, b"\x3a\x00" * 2**19)),
}


def exchange(url: str, request: bytes, *, seconds: float = SECONDS) -> bytes:
    """What the server answers to these bytes, until it closes or is silent."""
    answer = b""
    with RawSocket(url, seconds=seconds) as one, suppress(TimeoutError, ConnectionError):
        one.send(request)
        while more := one.receive(1):
            answer += more
    return answer
