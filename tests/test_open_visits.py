"""Which visit ends when the place is full and somebody waits, and which do not."""

import asyncio

import pytest
from starlette.status import WS_1013_TRY_AGAIN_LATER
from starlette.types import Message

from harness.aio import in_a_thread
from xent_host.open_visits import BUSY_SECONDS, GIVE_WAY_SECONDS, WAIT_SECONDS, OpenVisit, OpenVisits

CROWD, NEW, OTHER = "192.0.2.1", "192.0.2.2", "192.0.2.3"


class Clock:
    now = 1000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in ("open_visits", "address_shares"):
        monkeypatch.setattr(f"xent_host.{module}.monotonic", lambda: clock.now)
    return clock


async def nowhere(_message: Message) -> None:
    pass


def full(most: int = 10) -> tuple[OpenVisits, list[OpenVisit]]:
    visits = OpenVisits(most)
    crowd = [OpenVisit(CROWD, nowhere) for _ in range(most)]
    assert all(map(visits.enter, crowd))
    return visits, crowd


def test_who_has_given_way_leaves_again_when_its_line_ends() -> None:
    visits, crowd = full()

    for _twice in range(2):
        visits.leave(crowd[0])

    assert len(visits) == 9


async def enter(visits: OpenVisits, address: str) -> bool:
    entered = visits.enter(OpenVisit(address, nowhere))
    await asyncio.sleep(0)
    return entered


def test_the_one_that_was_silent_for_longest_ends(clock: Clock) -> None:
    async def scene() -> list[bool]:
        visits, crowd = full()
        for visit in crowd:
            clock.now += 1
            visit.heard = clock.now
        crowd[3].heard -= 100
        crowd[7].heard -= 50
        assert not visits.has_room(NEW)  # that was the first time: now it waits
        assert visits.has_room(NEW)
        assert await enter(visits, NEW)
        clock.now += GIVE_WAY_SECONDS
        assert await enter(visits, NEW)
        return [visit.has_ended for visit in crowd]

    ended = in_a_thread(scene())
    assert [place for place, has_ended in enumerate(ended) if has_ended] == [3, 7]


def test_who_waited_long_ago_waits_anew(clock: Clock) -> None:
    async def scene() -> list[bool]:
        visits, _crowd = full()
        tries = [await enter(visits, NEW)]
        clock.now += WAIT_SECONDS
        tries.append(await enter(visits, NEW))
        clock.now += WAIT_SECONDS - 1
        return [*tries, await enter(visits, NEW)]

    assert in_a_thread(scene()) == [False, False, True]


def test_the_crowd_takes_nothing_back(clock: Clock) -> None:
    async def scene() -> list[bool]:
        visits, _crowd = full()
        tries = []
        for address in (NEW, NEW, CROWD, CROWD, CROWD):
            clock.now += 10
            tries.append(await enter(visits, address))
        return tries

    assert in_a_thread(scene()) == [False, True, False, False, False]


def test_a_class_keeps_its_places_against_an_address_that_has_more(clock: Clock) -> None:
    async def scene() -> int:
        visits = OpenVisits(200)
        class_of_60 = [OpenVisit(CROWD, nowhere) for _ in range(60)]
        assert all(map(visits.enter, class_of_60))
        for _ in range(500):
            clock.now += 2
            await enter(visits, NEW)
        clock.now += 2
        await enter(visits, OTHER)
        assert await enter(visits, OTHER)  # who has none gets in, at the cost of the largest
        return sum(visit.has_ended for visit in class_of_60)

    assert in_a_thread(scene()) == 0


def test_many_addresses_of_one_customer_push_nobody_out_any_faster(clock: Clock) -> None:
    async def scene() -> int:
        visits, crowd = full(200)
        for number in range(1000):
            clock.now += 0.1
            await enter(visits, f"2001:db8:1:{number:x}::/64")
        return sum(visit.has_ended for visit in crowd)

    assert 90 <= in_a_thread(scene()) <= 100  # in 100 seconds, and never more than its half


def test_addresses_without_end_push_out_one_a_second(clock: Clock) -> None:
    async def scene() -> int:
        visits, crowd = full(200)
        for number in range(1000):
            clock.now += 0.01
            await enter(visits, f"192.0.{number // 256}.{number % 256}")
            await enter(visits, f"192.0.{number // 256}.{number % 256}")
        return sum(visit.has_ended for visit in crowd)

    assert 9 <= in_a_thread(scene()) <= 11


def test_one_that_cannot_be_told_keeps_nobody_waiting(clock: Clock) -> None:
    async def scene() -> tuple[bool, int]:
        visits = OpenVisits(2)

        async def never(_message: Message) -> None:
            await asyncio.Event().wait()

        for _ in range(2):
            visits.enter(OpenVisit(CROWD, never))
        await enter(visits, NEW)
        return await enter(visits, NEW), len(visits)

    assert in_a_thread(scene()) == (True, 2)


def test_others_are_busy_for_a_while_after_they_sent_something(clock: Clock) -> None:
    visits = OpenVisits(10)
    assert not visits.are_others_busy(CROWD)
    visits.hear(OpenVisit(NEW, nowhere))
    visits.hear(OpenVisit(CROWD, nowhere))
    visits.hear(OpenVisit(CROWD, nowhere))
    assert visits.are_others_busy(CROWD)
    assert visits.are_others_busy(OTHER)
    clock.now += BUSY_SECONDS
    visits.hear(OpenVisit(CROWD, nowhere))
    assert not visits.are_others_busy(CROWD)
    assert visits.are_others_busy(NEW)


def test_after_its_end_a_visit_is_told_nothing_more() -> None:
    async def scene() -> list[Message]:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            if sent and sent[-1]["type"] == "websocket.close":
                raise RuntimeError("Unexpected ASGI message")
            sent.append(message)

        visit = OpenVisit(CROWD, send)
        await visit.tell({"type": "websocket.send"})
        await visit.end()
        with pytest.raises(ConnectionAbortedError):  # as if the client were gone
            await visit.tell({"type": "websocket.send"})
        return sent

    assert in_a_thread(scene()) == [
        {"type": "websocket.send"},
        {"type": "websocket.close", "code": WS_1013_TRY_AGAIN_LATER},
    ]
