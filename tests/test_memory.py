"""How much memory the server may take, how much it takes, and what is let in."""

import pytest

from xent_ui.server import memory
from xent_ui.server.limits import PUBLIC_VARIABLE
from xent_ui.server.memory import DEFAULT_MB, MEMORY_VARIABLE, Room, memory_limit, resident_bytes

MB = 2**20


def test_the_limit_is_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MEMORY_VARIABLE, "700")
    assert memory_limit() == 700 * MB
    monkeypatch.setenv(MEMORY_VARIABLE, "")
    assert memory_limit() == DEFAULT_MB * MB
    for wrong in ("much", "-1", "0", "1.5"):
        monkeypatch.setenv(MEMORY_VARIABLE, wrong)
        with pytest.raises(ValueError, match=MEMORY_VARIABLE):
            memory_limit()


def test_memory_of_this_process_is_measured() -> None:
    before = resident_bytes()
    block = b"x" * (100 * MB)
    assert resident_bytes() - before > 90 * MB
    del block


def test_what_was_let_in_counts_until_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PUBLIC_VARIABLE, "1")
    now = [0.0]
    room = Room(lambda: 100, lambda: 40, lambda: now[0])

    assert [room.take(61), room.take(60), room.take(1), room.take(0)] == [False, True, False, True]
    now[0] = memory.COMING_SECONDS
    assert not room.take(1)
    now[0] += 0.01
    assert room.take(60)


def test_what_was_refused_is_known_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PUBLIC_VARIABLE, "1")
    now = [0.0]
    room = Room(lambda: 100, lambda: 40, lambda: now[0])
    assert room.refused() == 0
    room.take(61)
    now[0] = memory.COMING_SECONDS
    assert room.refused() == 61
    now[0] += 0.01
    assert room.refused() == 0


def test_on_ones_own_computer_there_is_always_room() -> None:
    assert Room(lambda: 100, lambda: 200).take(10**12)
