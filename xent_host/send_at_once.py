"""Has the server's connections send small messages at once (TCP_NODELAY): else an answer in two parts is 40 ms late.

The system holds a small message back until the browser has confirmed the one before, and browsers take 40 ms for that.
asyncio switches this off for sockets that it makes itself, and Streamlit makes the listening one.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any

from streamlit import runtime


def send_at_once() -> None:
    """From now on, on the connections that are open, and on new ones, which inherit it from the listening socket."""
    if not runtime.exists():
        return
    with suppress(AttributeError):  # Streamlit has moved it
        loop: Any = runtime.get_instance()._get_async_objs().eventloop
        if hasattr(loop, "_selector"):  # other event loops see to it themselves
            loop.call_soon_threadsafe(_set_options, loop._selector)


def _set_options(selector: Any) -> None:
    for key in list(selector.get_map().values()):
        try:
            connection = socket.socket(fileno=key.fd)
        except OSError:  # a pipe, say
            continue
        if connection.type == socket.SOCK_STREAM and connection.family in (socket.AF_INET, socket.AF_INET6):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.detach()  # it stays open
