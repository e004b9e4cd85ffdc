"""Pages run one after the other, and whoever waits lets the others go first."""

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event

import pytest
from streamlit.runtime.scriptrunner.script_runner import ScriptRunner

from xent_host import turns
from xent_ui.turns import Turns


def test_two_never_hold_the_turn_at_once() -> None:
    one = Turns()
    begin = Barrier(8)
    holders: list[int] = []

    def run(number: int) -> int:
        begin.wait()
        with one.take():
            holders.append(number)
            time.sleep(0.01)  # long enough for the others to break in, if they could
            among = len(holders)
            holders.remove(number)
        return among

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(run, range(8))) == [1] * 8


def test_whoever_waits_for_something_lets_another_go_first() -> None:
    one = Turns(most_seconds=60)
    other_was_here = Event()

    def other() -> None:
        with one.take():
            other_was_here.set()

    with ThreadPoolExecutor(1) as thread, one.take():
        thread.submit(other)
        with one.aside():
            assert other_was_here.wait(10)


def test_nobody_waits_for_ever_for_a_turn_that_is_not_given_back() -> None:
    one = Turns(most_seconds=0.05)

    def impatient() -> float:
        start = time.monotonic()
        with one.take(), one.aside():
            return time.monotonic() - start

    with ThreadPoolExecutor(1) as thread, one.take():
        assert 0.05 <= thread.submit(impatient).result(10) < 5
    assert one._turn.acquire(blocking=False)  # the one who had it has given it back
    one._turn.release()
    with pytest.raises(RuntimeError, match="unlocked"):
        one._turn.release()  # and nobody else has


def test_every_run_of_streamlit_takes_its_turn(monkeypatch) -> None:
    ran = []
    monkeypatch.setattr(ScriptRunner, "_run_script", lambda runner, data: ran.append(data))
    turns.apply()
    runner = object.__new__(ScriptRunner)

    with ThreadPoolExecutor(1) as thread, turns.TURNS.take():
        waiting = thread.submit(runner._run_script, "a run")
        time.sleep(0.05)  # for it to run, if nothing held it back
        assert ran == []
        with turns.TURNS.aside():
            waiting.result(10)
    assert ran == ["a run"]
