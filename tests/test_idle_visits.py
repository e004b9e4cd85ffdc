"""A visit in which nothing is done ends, sooner where others wait for its place; its tab is told."""

import asyncio
import json
import math
import time
from typing import Any

import pytest
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from harness.aio import in_a_thread
from xent_host import idle_visits
from xent_host.idle_visits import GOING_AWAY, HEARTBEAT, IdleLimits, IdleVisits, away
from xent_host.visit_cookie import CONNECTION, Connection
from xent_ui.server.limits import PUBLIC_VARIABLE

RERUN = BackMsg(rerun_script={"query_string": ""}).SerializeToString()


async def reads_all(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive())["type"] != "websocket.disconnect":
        pass


async def visit(guard: IdleVisits, sends: bytes, times: int, every: float) -> tuple[list[Message], int]:
    """What a browser is sent that sends this so often, and then nothing but waits; how much of it was read."""
    sent: list[Message] = []
    coming: asyncio.Queue[Message] = asyncio.Queue()
    read = 0

    async def browser() -> None:
        for _ in range(times):
            await asyncio.sleep(every)
            coming.put_nowait({"type": "websocket.receive", "bytes": sends})

    async def receive() -> Message:
        nonlocal read
        message = await coming.get()
        read += 1
        return message

    async def send(message: Message) -> None:
        sent.append(message)

    token = CONNECTION.set(Connection(frozenset(), is_visit=True, visit="visit"))
    task = asyncio.create_task(browser())
    try:
        await guard({"type": "websocket"}, receive, send)
    finally:
        CONNECTION.reset(token)
        task.cancel()
    return sent, read


def test_a_visit_that_does_nothing_is_sent_to_a_page_that_says_so_and_ends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(PUBLIC_VARIABLE, "1")
    ended: list[str] = []
    guard = IdleVisits(reads_all, IdleLimits(seconds=1, look_seconds=0.01), ended.append)

    (told, closed), read = in_a_thread(visit(guard, RERUN, times=30, every=0.05))
    assert read == 30  # 1.5 seconds in which something was done
    assert ForwardMsg.FromString(told["bytes"]).auth_redirect.url == "away"
    assert closed == {"type": "websocket.close", "code": GOING_AWAY}
    assert ended == ["visit"]
    assert guard.visits == 0
    assert json.loads(capsys.readouterr().out)["what"] == "idle_seconds"


def test_a_heartbeat_is_nothing_done() -> None:
    guard = IdleVisits(reads_all, IdleLimits(seconds=0.05, look_seconds=0.01), lambda visit: None)

    sent, read = in_a_thread(visit(guard, HEARTBEAT, times=10_000, every=0.01))
    assert sent[-1]["type"] == "websocket.close"
    assert read < 100


def test_where_many_are_it_ends_sooner() -> None:
    async def scene(crowd: int) -> tuple[int, int]:
        limits = IdleLimits(seconds=math.inf, crowded_seconds=0.05, crowd=crowd, look_seconds=0.01)
        guard = IdleVisits(reads_all, limits, lambda visit: None)
        tasks = [asyncio.create_task(visit(guard, RERUN, times=0, every=0)) for _ in range(3)]
        await asyncio.wait(tasks, timeout=0.3)
        done = sum(task.done() for task in tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return done, guard.visits

    assert in_a_thread(scene(crowd=3)) == (0, 0)
    assert in_a_thread(scene(crowd=2)) == (1, 0)  # then there is room again


def test_it_looks_again_when_the_time_is_over_and_sooner_if_that_is_long() -> None:
    now = time.monotonic()
    guard = IdleVisits(reads_all, IdleLimits(seconds=100, look_seconds=60))

    assert guard._look_again_in(now) == 60
    assert guard._look_again_in(now - 70) == pytest.approx(30, abs=5)
    assert guard._look_again_in(now - 200) == 0


def test_who_keeps_too_much_is_told_in_the_tab_and_ended() -> None:
    async def scene() -> tuple[list[str], list[str]]:
        told, ended = list[str](), list[str]()

        async def tell(place: str) -> None:
            told.append(place)

        mine = idle_visits._Tab(Connection(frozenset(), is_visit=True, visit="mine"), tell)
        tabs = [idle_visits._Tab(None, tell), mine]
        idle_visits._TABS.update(tabs)
        try:
            await idle_visits.send_away("mine", ended.append)
            await idle_visits.send_away("gone", ended.append)
        finally:
            idle_visits._TABS.difference_update(tabs)
        return told, ended

    told, ended = in_a_thread(scene())

    assert told == [f"{idle_visits.PLACE}?{idle_visits.FULL}"]
    assert ended == ["mine", "gone"]


def test_nobody_who_works_on_is_ended_and_the_limits_leave_time_for_a_lesson() -> None:
    limits = IdleLimits()

    assert limits.seconds >= 3600
    assert limits.crowded_seconds >= 1200
    assert limits.look_seconds < limits.crowded_seconds


@pytest.mark.parametrize("language", ["", "de-AT,de;q=0.9", "../../etc", "\0", "x" * 10_000])
def test_the_page_says_why_in_any_language(language: str) -> None:
    scope: Any = {"type": "http", "headers": [(b"accept-language", language.encode())]}
    page = in_a_thread(away(Request(scope))).body.decode()

    assert "Your table is kept in this tab" in page
    assert "<script" not in page
