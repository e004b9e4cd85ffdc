"""When memory is short, it is given back; then the largest visit of the largest address ends, and no other."""

import asyncio
import json
from collections.abc import Callable

import pytest
from starlette.types import Message, Receive, Scope, Send
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from harness.aio import in_a_thread
from tests.asgi import Browser
from xent_host import memory_guard
from xent_host.idle_visits import GOING_AWAY
from xent_host.memory_guard import BYTES_KEPT, LARGE_MESSAGE, MemoryGuard, RoomForMessages, which_ends
from xent_host.visit_cookie import CONNECTION, Connection
from xent_ui.server import memory
from xent_ui.server.limits import PUBLIC_VARIABLE
from xent_ui.server.memory import Room

MB = 2**20


@pytest.fixture(autouse=True)
def _nothing_to_spare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_guard, "SPARE", 0)


def address(visit: str) -> str:
    return visit[0]


def test_the_largest_visit_of_the_largest_address_ends() -> None:
    held = {"a1": 30 * MB, "b1": 20 * MB, "b2": 15 * MB}
    assert which_ends(held, address) == "b1"
    assert which_ends({"a1": 30 * MB}, address) == "a1"


def test_nobody_ends_who_keeps_next_to_nothing() -> None:
    assert which_ends({"a1": 1_000, "a2": 2_000}, address) is None
    assert which_ends({}, address) is None


def test_an_address_with_many_small_visits_gives_way_too() -> None:
    held = {f"a{number}": 9_000 - number for number in range(200)} | {"b1": MB}
    assert which_ends(held, address) == "a0"


async def of(held: dict[str, int]) -> dict[str, int]:
    return held


def hurried(monkeypatch: pytest.MonkeyPatch, away: list[str], look_seconds: float, wait_seconds: float) -> None:
    """Looks often, gives nothing back by itself, and notes which visits end."""

    async def end(visit: str) -> None:
        away.append(visit)

    monkeypatch.setenv(PUBLIC_VARIABLE, "1")
    monkeypatch.setattr(memory_guard, "LOOK_SECONDS", look_seconds)
    monkeypatch.setattr(memory_guard, "ASK_SECONDS", 0.01)
    monkeypatch.setattr(memory_guard, "WAIT_SECONDS", wait_seconds)
    monkeypatch.setattr(memory_guard, "_give_back", lambda: None)
    monkeypatch.setattr(memory_guard, "send_away", end)


def guarded(monkeypatch: pytest.MonkeyPatch, resident: Callable[[dict[str, int], list[str]], int]) -> list[str]:
    held, ended = {"a1": 30 * MB, "b1": 20 * MB, "b2": 15 * MB}, list[str]()

    async def end(visit: str) -> None:
        ended.append(visit)
        del held[visit]

    monkeypatch.setattr(memory_guard, "send_away", end)
    monkeypatch.setattr(memory_guard, "_give_back", lambda: ended.append("given back"))

    def limit() -> int:
        return 40 * MB

    def taken() -> int:
        return resident(held, ended)

    guard = MemoryGuard(limit, taken, lambda: of(held), address, Room(limit, taken))

    async def until_there_is_room() -> None:
        while guard.resident() > guard.limit() and await guard.make_room():
            pass

    in_a_thread(until_there_is_room())
    return [visit for visit in ended if visit != "given back"]


def test_visits_end_one_after_another_until_there_is_room(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(PUBLIC_VARIABLE, "1")
    assert guarded(monkeypatch, lambda held, _ended: sum(held.values())) == ["b1", "a1"]
    assert [json.loads(line)["kept_mb"] for line in capsys.readouterr().out.splitlines()] == [20, 30]


def test_some_memory_is_to_spare_afterwards_so_that_the_next_moment_needs_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(PUBLIC_VARIABLE, "1")
    monkeypatch.setattr(memory_guard, "SPARE", 30 * MB)
    held, ended = {f"a{number}": 10 * MB for number in range(20)}, list[str]()

    async def end(visit: str) -> None:
        ended.append(visit)

    monkeypatch.setattr(memory_guard, "send_away", end)
    monkeypatch.setattr(memory_guard, "_give_back", lambda: None)

    def limit() -> int:
        return 199 * MB

    def resident() -> int:
        return 200 * MB - 10 * MB * len(ended)

    guard = MemoryGuard(limit, resident, lambda: of(held), address, Room(limit, resident))
    assert in_a_thread(guard.make_room())
    assert len(ended) == 4  # of 10 MB each, for 31

    monkeypatch.setattr(memory_guard, "MOST_AT_ONCE", 2)
    ended.clear()
    assert in_a_thread(guard.make_room())
    assert len(ended) == 2


def test_nobody_ends_where_giving_memory_back_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    assert guarded(monkeypatch, lambda _held, ended: 0 if "given back" in ended else 50 * MB) == []


@pytest.mark.parametrize(
    ("larger", "ended"),
    [
        (0, ["a1"]),
        (35 * MB, ["a1", "a2"]),
        (80 * MB, ["a1", "a2", "b1"]),  # and then, nobody keeps anything
    ],
)
def test_room_is_made_before_what_is_large_is_let_in(
    monkeypatch: pytest.MonkeyPatch, larger: int, ended: list[str]
) -> None:
    held, away = {"a1": 30 * MB, "a2": 20 * MB, "b1": 10 * MB}, list[str]()
    hurried(monkeypatch, away, look_seconds=0.01, wait_seconds=10.0)

    def keeps() -> dict[str, int]:
        return {visit: size for visit, size in held.items() if visit not in away}

    def limit() -> int:
        return 65 * MB

    def resident() -> int:
        return sum(keeps().values())

    guard = MemoryGuard(limit, resident, lambda: of(keeps()), address, Room(limit, resident))
    message = (10 * MB + larger) // BYTES_KEPT

    assert in_a_thread(guard.admit(LARGE_MESSAGE - 1))
    assert away == []
    assert in_a_thread(guard.admit(message))
    assert away == ended


@pytest.mark.parametrize(("helps", "let_in"), [(True, False), (False, True)])
def test_what_is_large_waits_while_ending_visits_helps_and_not_where_it_does_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], helps: bool, let_in: bool
) -> None:
    away = list[str]()
    hurried(monkeypatch, away, look_seconds=0.1, wait_seconds=0.35)

    def limit() -> int:
        return 65 * MB

    def resident() -> int:  # a little less for each that ends, never enough
        return 70 * MB - len(away) * helps

    guard = MemoryGuard(limit, resident, lambda: of({"a1": 30 * MB}), address, Room(limit, resident))

    async def two_at_once() -> list[bool]:
        return list(await asyncio.gather(guard.admit(LARGE_MESSAGE), guard.admit(LARGE_MESSAGE)))

    assert in_a_thread(two_at_once()) == [let_in, let_in]
    # one for each time that was looked, however many wait; where it does not help, no other
    assert (1 <= len(away) <= 4) if helps else (len(away) <= 2)
    events = [json.loads(line)["what"] for line in capsys.readouterr().out.splitlines()]
    assert events.count("memory_message") == 2 * helps


def test_what_is_on_its_way_is_waited_for_and_nobody_ends_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    away, at_once = list[str](), list[int]()
    hurried(monkeypatch, away, look_seconds=0.01, wait_seconds=10.0)
    monkeypatch.setattr(memory, "COMING_SECONDS", 1.0)

    def limit() -> int:
        return 100 * MB

    def resident() -> int:
        return 10 * MB

    room = Room(limit, resident)
    guard = MemoryGuard(limit, resident, lambda: of({"a1": 5 * MB}), address, room)
    message = 40 * MB // BYTES_KEPT  # of which two find room at once

    async def four_at_once() -> list[bool]:
        coming = [asyncio.create_task(guard.admit(message)) for _ in range(4)]
        await asyncio.sleep(0.1)
        at_once.append(sum(task.done() for task in coming))
        return list(await asyncio.gather(*coming))

    assert in_a_thread(four_at_once()) == [True] * 4
    assert at_once == [2]
    assert away == []


def test_an_error_does_not_end_the_watch(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv(PUBLIC_VARIABLE, "1")
    monkeypatch.setattr(memory_guard, "LOOK_SECONDS", 0.01)
    looks = list[int]()

    def resident() -> int:
        looks.append(1)
        if len(looks) < 3:
            raise OSError("gone")
        return 0

    async def scene() -> None:
        watch = asyncio.create_task(MemoryGuard(lambda: MB, resident, lambda: of({}), address, Room()).watch())
        while len(looks) < 5:
            await asyncio.sleep(0.01)
        watch.cancel()

    in_a_thread(scene())
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["event"], line["type"]) for line in lines] == [("error", "OSError")] * 2


def test_memory_is_given_back_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PUBLIC_VARIABLE, "1")
    times = list[int]()
    monkeypatch.setattr(memory_guard, "_give_back", lambda: times.append(1))
    room = Room(lambda: MB, lambda: 2 * MB)
    guard = MemoryGuard(lambda: MB, lambda: 2 * MB, lambda: of({}), address, room)

    async def scene() -> list[bool]:
        return [await guard.make_room() for _ in range(5)]

    assert in_a_thread(scene()) == [False] * 5
    assert len(times) == 1


def test_a_visit_whose_message_finds_no_room_is_sent_to_a_page_that_says_so_and_ends() -> None:
    read, ended, asked = list[Message](), list[str](), list[int]()

    async def reads(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] != "websocket.disconnect":
            read.append(message)

    async def admit(size: int) -> bool:
        asked.append(size)
        return size < 300

    async def scene() -> list[Message]:
        token = CONNECTION.set(Connection(frozenset(), is_visit=True, visit="visit"))
        browser = Browser(RoomForMessages(reads, admit, ended.append))
        CONNECTION.reset(token)
        for size in (100, 299, 300, 10):
            browser.say({"type": "websocket.receive", "bytes": bytes(size)})
        await browser.task
        return browser.sent

    _accepted, told, closed = in_a_thread(scene())
    assert [len(message["bytes"]) for message in read[1:]] == [100, 299]
    assert asked == [0, 100, 299, 300]
    assert ForwardMsg.FromString(told["bytes"]).auth_redirect.url == "away?memory"
    assert closed == {"type": "websocket.close", "code": GOING_AWAY}
    assert ended == ["visit"]
