"""When memory is short, it is given back; then the largest visit of the largest address ends, and no other."""

import json
from collections.abc import Callable

import pytest

from harness.aio import in_a_thread
from xent_host import memory_guard
from xent_host.memory_guard import MEMORY_VARIABLE, MemoryGuard, memory_limit, resident_bytes, which_ends
from xent_ui.server.limits import PUBLIC_VARIABLE

MB = 2**20


def address(visit: str) -> str:
    return visit[0]


def test_the_largest_visit_of_the_largest_address_ends() -> None:
    held = {"a1": 30 * MB, "b1": 20 * MB, "b2": 15 * MB}
    assert which_ends(held, address) == "b1"
    assert which_ends({"a1": 30 * MB}, address) == "a1"


def test_nobody_ends_who_keeps_next_to_nothing() -> None:
    assert which_ends({"a1": 1_000, "a2": 2_000}, address) is None
    assert which_ends({}, address) is None


def guarded(monkeypatch: pytest.MonkeyPatch, resident: Callable[[dict[str, int], list[str]], int]) -> list[str]:
    held, ended = {"a1": 30 * MB, "b1": 20 * MB, "b2": 15 * MB}, list[str]()

    async def end(visit: str) -> None:
        ended.append(visit)
        del held[visit]

    monkeypatch.setattr(memory_guard, "send_away", end)
    monkeypatch.setattr(memory_guard, "_give_back", lambda: ended.append("given back"))
    guard = MemoryGuard(40 * MB, lambda: resident(held, ended), lambda: held, address)

    async def until_there_is_room() -> None:
        while guard.resident() > guard.limit and await guard.make_room():
            pass

    in_a_thread(until_there_is_room())
    return [visit for visit in ended if visit != "given back"]


def test_visits_end_one_after_another_until_there_is_room(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(PUBLIC_VARIABLE, "1")
    assert guarded(monkeypatch, lambda held, _ended: sum(held.values())) == ["b1", "a1"]
    assert [json.loads(line)["kept_mb"] for line in capsys.readouterr().out.splitlines()] == [20, 30]


def test_nobody_ends_where_giving_memory_back_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    assert guarded(monkeypatch, lambda _held, ended: 0 if "given back" in ended else 50 * MB) == []


def test_the_limit_is_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MEMORY_VARIABLE, "700")
    assert memory_limit() == 700 * MB
    monkeypatch.setenv(MEMORY_VARIABLE, "")
    assert memory_limit() == memory_guard.DEFAULT_MB * MB
    for wrong in ("much", "-1", "0", "1.5"):
        monkeypatch.setenv(MEMORY_VARIABLE, wrong)
        with pytest.raises(ValueError, match=MEMORY_VARIABLE):
            memory_limit()


def test_memory_of_this_process_is_measured() -> None:
    before = resident_bytes()
    block = b"x" * (100 * MB)
    assert resident_bytes() - before > 90 * MB
    del block
