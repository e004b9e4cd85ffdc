"""What waits for browsers that do not read is bounded, for each and for all together."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from starlette.status import WS_1013_TRY_AGAIN_LATER
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime.session_manager import SessionClientDisconnectedError
from streamlit.web.server.starlette.starlette_websocket import StarletteSessionClient

from harness.aio import in_a_thread
from xent_host import unread_answers
from xent_host.unread_answers import BoundedQueue, UnreadLimits, Waiting

LIMITS = UnreadLimits(visit_bytes=100, light_bytes=20, all_bytes=150)


def queue_for(everyone: Waiting) -> BoundedQueue:
    return BoundedQueue(500, everyone, lambda: None)


def put(queue: BoundedQueue, *sizes: int) -> int:
    """How many messages of these sizes may wait."""
    for number, size in enumerate(sizes):
        try:
            queue.put_nowait(b"x" * size)
        except asyncio.QueueFull:
            return number
    return len(sizes)


def test_for_one_browser_so_much_waits_and_no_more_until_it_reads() -> None:
    queue = queue_for(Waiting(LIMITS))

    assert put(queue, *[30] * 10) == 3
    queue.get_nowait()
    assert put(queue, 30, 30) == 1


def test_a_message_that_is_larger_waits_if_nothing_else_does() -> None:
    queue = queue_for(Waiting(LIMITS))

    assert put(queue, 120, 1) == 1


def test_for_all_together_so_much_waits_but_a_light_one_is_not_refused() -> None:
    everyone = Waiting(LIMITS)
    heavy = [queue_for(everyone) for _ in range(4)]

    assert [put(queue, *[10] * 8) for queue in heavy] == [8, 7, 2, 2]
    assert put(queue_for(everyone), 10, 10, 10) == 2
    for queue in heavy:
        queue.forget()
    assert everyone.bytes == 20


@pytest.fixture
def _bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("__init__", "aclose"):
        monkeypatch.setattr(StarletteSessionClient, name, getattr(StarletteSessionClient, name))  # to put it back
    monkeypatch.setattr(unread_answers, "EVERYONE", Waiting(UnreadLimits(visit_bytes=1000)))
    unread_answers.apply()


class Deaf:
    """A websocket whose browser reads nothing."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.cookies: dict[str, str] = {}
        self.client = None
        self.closed_with: list[int] = []

    async def send_bytes(self, _data: bytes) -> None:
        await asyncio.Event().wait()

    async def close(self, code: int) -> None:
        self.closed_with.append(code)


@pytest.mark.usefixtures("_bounded")
def test_streamlit_lets_a_browser_go_that_does_not_read() -> None:
    async def scene() -> tuple[int, list[int]]:
        socket: Any = Deaf()
        client, written = StarletteSessionClient(socket), 0
        message = ForwardMsg(script_finished=ForwardMsg.FINISHED_SUCCESSFULLY)
        message.metadata.delta_path.extend(range(100))
        await asyncio.sleep(0)
        with suppress(SessionClientDisconnectedError):
            for written in range(100):  # noqa: B007  # how many it took
                client.write_forward_msg(message)
                await asyncio.sleep(0)
        for _turn in range(5):
            await asyncio.sleep(0)
        return written, socket.closed_with

    written, closed_with = in_a_thread(scene())

    assert 5 <= written <= 12
    assert closed_with == [WS_1013_TRY_AGAIN_LATER]
    assert unread_answers.EVERYONE.bytes == 0
