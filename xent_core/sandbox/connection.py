"""Messages between the program and its sandboxed processes: a header of JSON, then bytes, both of a bounded size.

Nothing is pickled, so that a process which was taken over by what it reads can send nothing but text and numbers.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Sequence
from typing import Any

MAX_HEADER_BYTES = 16 * 2**20  # the names of all columns and classes
MAX_FDS = 1
_SIZES = struct.Struct("<QQ")  # of the header and of the bytes


class Broken(OSError):
    """The other side has gone, or sends what is no message."""


class Connection:
    """One end of a socket between two processes."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def send(self, header: dict[str, Any], data: Any = b"", fds: Sequence[int] = ()) -> None:
        """One message; open files travel beside it. Raises: OSError."""
        text = json.dumps(header).encode()
        view = memoryview(data).cast("B")
        sizes = _SIZES.pack(len(text), len(view))
        if fds:
            socket.send_fds(self._socket, [sizes], fds)
        else:
            self._socket.sendall(sizes)
        self._socket.sendall(text)
        self._socket.sendall(view)

    def receive(self, max_bytes: int) -> tuple[dict[str, Any], bytearray, list[int]]:
        """The next message, with at most so many bytes, and the files beside it. Raises: Broken, TimeoutError."""
        try:
            sizes, fds, _flags, _address = socket.recv_fds(self._socket, _SIZES.size, MAX_FDS)
            sizes += self._exactly(_SIZES.size - len(sizes))
            header_bytes, data_bytes = _SIZES.unpack(sizes)
            if header_bytes > MAX_HEADER_BYTES or data_bytes > max_bytes:
                raise Broken(f"a message of {header_bytes} and {data_bytes} bytes")
            header = json.loads(self._exactly(header_bytes))
            if not isinstance(header, dict):
                raise Broken("a message without a header")
            return header, self._exactly(data_bytes), fds
        except (ValueError, RecursionError, ConnectionError) as error:
            raise Broken("no message") from error

    def fileno(self) -> int:
        """The number of this end."""
        return self._socket.fileno()

    def close(self) -> None:
        """Closes this end; the other one reads that it is alone."""
        self._socket.close()

    def _exactly(self, count: int) -> bytearray:
        data = bytearray(count)
        view = memoryview(data)
        while view:
            received = self._socket.recv_into(view)
            if not received:
                raise Broken("the other side has gone")
            view = view[received:]
        return data
