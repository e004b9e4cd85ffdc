"""Who gives way to whom, whose turn it is, and who comes too fast."""

import asyncio
from collections import Counter

import pytest

from harness.aio import in_a_thread
from xent_host.address_shares import FairTurns, GivingWay, NoTurn, Pace, gives_way, site

V6 = "2001:db8:1:{:x}::/64"  # of one site


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("xent_host.address_shares.monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        (V6.format(7), "2001:db8:1::/48"),
        ("2001:db8:1:8::/64", "2001:db8:1::/48"),
        ("", ""),
        ("unix-socket", ""),
    ],
)
def test_what_one_customer_may_own(address: str, expected: str) -> None:
    assert site(address) == expected


@pytest.mark.parametrize(
    ("held", "newcomer", "amount", "who"),
    [
        ({}, "b", 1, None),
        ({"192.0.2.1": 200}, "192.0.2.1", 1, None),  # alone
        ({"192.0.2.1": 200}, "192.0.2.2", 1, "192.0.2.1"),
        ({"192.0.2.1": 101, "192.0.2.2": 99}, "192.0.2.2", 1, "192.0.2.1"),
        ({"192.0.2.1": 100, "192.0.2.2": 99}, "192.0.2.2", 1, None),  # or they would push each other out in turns
        ({"192.0.2.1": 100, "192.0.2.2": 100}, "192.0.2.2", 1, None),
        ({"192.0.2.1": 40, "192.0.2.2": 60}, "192.0.2.3", 1, "192.0.2.2"),
        ({"192.0.2.1": 40, "192.0.2.2": 60}, "192.0.2.3", 31, None),
        ({"192.0.2.1": 1, "192.0.2.2": 1}, "192.0.2.3", 1, None),  # all have the least
        ({"": 5, "192.0.2.1": 1}, "192.0.2.2", 1, ""),
    ],
)
def test_the_largest_gives_way_if_it_stays_no_smaller(
    held: dict[str, int], newcomer: str, amount: int, who: str | None
) -> None:
    assert gives_way(held, newcomer, amount) == who


def test_the_addresses_of_one_customer_count_as_one_against_others() -> None:
    class_of_60 = {"192.0.2.1": 60}
    crowd = {V6.format(number): 1 for number in range(140)}

    assert gives_way(class_of_60 | crowd, V6.format(500)) is None  # a new one of theirs takes nothing from the class
    assert gives_way(class_of_60 | crowd, "192.0.2.2") == V6.format(0)  # they are the largest


def test_within_one_customer_addresses_are_compared() -> None:
    assert gives_way({V6.format(1): 150, V6.format(2): 50}, V6.format(3)) == V6.format(1)
    assert gives_way({V6.format(1): 100, V6.format(2): 100}, V6.format(2)) is None


def test_shares_end_even_whoever_began(clock: Clock) -> None:
    """A house of 200: whoever comes later gets its share, and nobody is pushed out again and again."""
    held, giving = Counter({"192.0.2.1": 200}), GivingWay(seconds=1.0)
    for _ in range(1000):
        for newcomer in ("192.0.2.2", "192.0.2.3", "192.0.2.1"):
            clock.now += 1.0
            if (who := giving.whose(held, newcomer)) is not None:
                giving.note(newcomer)
                held[who] -= 1
                held[newcomer] += 1

    assert sum(held.values()) == 200
    assert max(held.values()) - min(held.values()) <= 2


def test_room_is_made_once_in_a_while(clock: Clock) -> None:
    giving, held = GivingWay(seconds=1.0), {"192.0.2.1": 200}
    assert giving.whose(held, "192.0.2.2") == "192.0.2.1"
    giving.note("192.0.2.2")
    clock.now += 0.9
    assert giving.whose(held, "192.0.2.3") is None
    clock.now += 0.2
    assert giving.whose(held, "192.0.2.3") == "192.0.2.1"


def test_whoever_comes_and_leaves_pushes_out_a_few_and_no_more(clock: Clock) -> None:
    giving, pushed_out = GivingWay(seconds=1.0, memory=600.0, spare=4), 0
    for _ in range(300):  # it is let in, leaves at once, and comes again
        clock.now += 1.0
        if giving.whose({"192.0.2.1": 200}, "192.0.2.2") is not None:
            giving.note("192.0.2.2")
            pushed_out += 1
    assert pushed_out == 4  # as often as somebody reloads a page whose place another one takes

    clock.now += 600.0
    assert giving.whose({"192.0.2.1": 200}, "192.0.2.2") == "192.0.2.1"


# Turns


def test_alone_an_address_has_half_of_the_turns_and_another_one_finds_one() -> None:
    async def scene() -> list[int]:
        turns = FairTurns(8, 10, 0.01)
        for address in ("a", "192.0.2.1", "192.0.2.2", "192.0.2.3"):
            await asyncio.gather(*(turns.take(address) for _ in range(9)), return_exceptions=True)
        return sorted(turns.used.values())

    assert in_a_thread(scene()) == [1, 1, 2, 4]


def test_the_one_with_the_fewest_turns_goes_first() -> None:
    async def scene() -> list[str]:
        turns, order = FairTurns(4, 100, 60.0), list[str]()

        async def one(address: str) -> None:
            await turns.take(address)
            order.append(address)

        await one("192.0.2.1")
        await one("192.0.2.1")
        many = [asyncio.create_task(one("192.0.2.1")) for _ in range(6)]
        await one("192.0.2.2")
        await one("192.0.2.3")  # that is all
        last = asyncio.create_task(one("192.0.2.4"))
        await asyncio.sleep(0)
        order.clear()
        turns.give_back("192.0.2.1")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for task in (*many, last):
            task.cancel()
        return order

    assert in_a_thread(scene()) == ["192.0.2.4"]


def test_of_those_who_could_begin_the_one_with_the_fewest_turns_does() -> None:
    async def scene() -> list[str]:
        turns, order = FairTurns(4, 100, 60.0), list[str]()

        async def one(address: str) -> None:
            await turns.take(address)
            order.append(address)

        for number in (1, 2, 3):
            await turns.take(f"192.0.2.{number}")
        waiting = [asyncio.create_task(one(f"192.0.2.{number}")) for number in (1, 2)]
        await asyncio.sleep(0)
        turns.give_back("192.0.2.2")  # who has none now, while the first, who came before, has one
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        return order

    assert in_a_thread(scene()) == ["192.0.2.2"]


def test_places_to_wait_are_shared_too() -> None:
    async def scene() -> tuple[int, int]:
        turns = FairTurns(2, 8, 60.0)
        await turns.take("192.0.2.1")
        waiting = [asyncio.create_task(turns.take("192.0.2.1")) for _ in range(20)]
        await asyncio.sleep(0)
        refused = sum(task.done() for task in waiting)
        others = [asyncio.create_task(turns.take("192.0.2.2")) for _ in range(2)]
        await asyncio.sleep(0)
        let_in = sum(not (task.done() and task.exception()) for task in others)
        for task in (*waiting, *others):
            task.cancel()
        await asyncio.gather(*waiting, *others, return_exceptions=True)
        assert turns.waiting == {}
        return refused, let_in

    assert in_a_thread(scene()) == (16, 2)


def test_no_turn_is_lost_whenever_somebody_stops_waiting() -> None:
    async def scene() -> Counter[str]:
        turns = FairTurns(2, 100, 60.0)
        for _ in range(50):
            await turns.take("192.0.2.1")
            waiting = [asyncio.create_task(turns.take("192.0.2.1")) for _ in range(3)]
            await asyncio.sleep(0)
            waiting[1].cancel()  # before
            turns.give_back("192.0.2.1")  # which the first one gets,
            waiting[0].cancel()  # and stops at the same moment
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert not waiting[2].cancelled()
            await waiting[2]
            turns.give_back("192.0.2.1")
        return turns.used

    assert in_a_thread(scene()) == Counter()


# Pace


def test_what_comes_too_fast_waits_and_at_last_is_refused(clock: Clock) -> None:
    pace = Pace(a_second=8.0, burst=5, most_seconds=1.0)
    delays = [pace.delay("192.0.2.1") for _ in range(14)]

    assert delays == [0.0] * 6 + [number / 8 for number in range(1, 9)]
    for _ in range(1000):
        with pytest.raises(NoTurn):
            pace.delay("192.0.2.1")
    assert pace.delay("192.0.2.2") == 0.0
    clock.now += 1.0  # what was refused does not count
    assert pace.delay("192.0.2.1") == 1 / 8


def test_while_others_work_the_pace_is_slower_and_what_is_large_counts_more(clock: Clock) -> None:
    pace = Pace(a_second=8.0, burst=0, most_seconds=60.0, crowded_a_second=2.0)
    assert [pace.delay("192.0.2.1") for _ in range(3)] == [0.0, 1 / 8, 2 / 8]
    assert pace.delay("192.0.2.1", is_crowded=True) == 2 / 8 + 1 / 2
    pace.count("192.0.2.1", 8.0)
    pace.count("192.0.2.2", 8.0)  # which has not asked for anything
    assert pace.delay("192.0.2.1") == 2 / 8 + 1 / 2 + 1 + 1 / 8
    assert pace.delay("192.0.2.2") == 0.0


def test_an_address_with_many_others_behind_it_has_one_pace(clock: Clock) -> None:
    pace = Pace(a_second=10.0, burst=0, most_seconds=60.0)

    assert sum(pace.delay(V6.format(number)) for number in range(10)) == pytest.approx(sum(range(10)) / 10)


def test_only_so_many_addresses_are_remembered(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xent_host.address_shares.MANY", 10)
    pace = Pace(a_second=1.0, burst=0, most_seconds=60.0)
    for number in range(100):
        pace.delay(f"192.0.2.{number}")

    assert len(pace._due) == 10
