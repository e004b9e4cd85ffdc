"""An answer does not wait until the browser has confirmed the part before."""

import asyncio
import socket
from types import SimpleNamespace

import pytest
from streamlit import runtime

from harness.aio import in_a_thread
from xent_host.send_at_once import send_at_once


def test_connections_send_at_once_those_that_are_open_and_those_that_come(monkeypatch: pytest.MonkeyPatch) -> None:
    async def opened(port: int, came: asyncio.Queue[socket.socket]) -> tuple[asyncio.StreamWriter, socket.socket]:
        _reader, writer = await asyncio.open_connection("127.0.0.1", port)
        return writer, await came.get()

    async def options() -> list[int]:
        loop = asyncio.get_running_loop()
        objects = SimpleNamespace(_get_async_objs=lambda: SimpleNamespace(eventloop=loop))
        monkeypatch.setattr(runtime, "exists", lambda: True)
        monkeypatch.setattr(runtime, "get_instance", lambda: objects)
        came: asyncio.Queue[socket.socket] = asyncio.Queue()
        listening = socket.socket()  # as Streamlit makes it: asyncio lets those wait
        listening.bind(("127.0.0.1", 0))
        server = await asyncio.start_server(
            lambda _reader, writer: came.put_nowait(writer.get_extra_info("socket")), sock=listening
        )
        port = listening.getsockname()[1]
        first, open_before = await opened(port, came)
        before = open_before.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        send_at_once()
        await asyncio.sleep(0)
        second, came_after = await opened(port, came)
        now = [one.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for one in (open_before, came_after)]
        for writer in (first, second):
            writer.close()
        server.close()
        return [before, *now]

    before, *now = in_a_thread(options())
    assert before == 0
    assert all(now)


def test_without_a_server_there_is_nothing_that_could_wait() -> None:
    send_at_once()
