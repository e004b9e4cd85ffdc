"""Runs go one after the other, the short ones first, and whoever waits lets the others go first."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Barrier, Event
from typing import NamedTuple

import pytest
from streamlit.runtime.scriptrunner.script_runner import ScriptRunner

from xent_host import run_scheduler
from xent_ui.server.run_lock import RunLock


def test_two_never_hold_the_lock_at_once() -> None:
    lock = RunLock()
    begin = Barrier(8)
    holders: list[int] = []

    def run(number: int) -> int:
        begin.wait()
        with lock.acquire():
            holders.append(number)
            time.sleep(0.01)  # long enough for the others to break in, if they could
            among = len(holders)
            holders.remove(number)
        return among

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(run, range(8))) == [1] * 8


def test_whoever_waits_for_something_lets_another_go_first() -> None:
    lock = RunLock(max_wait_seconds=60)
    other_was_here = Event()

    def other() -> None:
        with lock.acquire():
            other_was_here.set()

    with ThreadPoolExecutor(1) as thread, lock.acquire():
        thread.submit(other)
        with lock.released():
            assert other_was_here.wait(10)


def waits(lock: RunLock, threads: ThreadPoolExecutor, name: str, ran: list[str], *, is_short: bool) -> Future[None]:
    """Somebody who has begun to wait for the lock, which is held."""

    def run() -> None:
        with lock.acquire(is_short=is_short):
            ran.append(name)

    before = len(lock._short) + len(lock._long)
    future = threads.submit(run)
    until(lambda: len(lock._short) + len(lock._long) > before)
    return future


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_short_ones_go_first_and_the_rest_as_they_came() -> None:
    lock, ran = RunLock(max_wait_seconds=60), []

    with ThreadPoolExecutor(4) as threads, lock.acquire():
        for name in ("long 1", "short 1", "long 2", "short 2"):
            waits(lock, threads, name, ran, is_short=name.startswith("short"))

    assert ran == ["short 1", "short 2", "long 1", "long 2"]


def test_a_long_run_pauses_for_short_ones_and_goes_on_before_other_long_ones() -> None:
    lock, ran = RunLock(max_wait_seconds=60), []

    with ThreadPoolExecutor(2) as threads, lock.acquire(is_short=False):
        waits(lock, threads, "long", ran, is_short=False)
        lock.yield_to_short_runs()
        assert ran == []
        waits(lock, threads, "short", ran, is_short=True)
        lock.yield_to_short_runs()
        assert ran == ["short"]


def test_a_short_run_pauses_for_another_when_it_has_not_been_short() -> None:
    lock, ran = RunLock(max_wait_seconds=60, short_seconds=0.2), []

    with ThreadPoolExecutor(1) as threads, lock.acquire():
        waits(lock, threads, "short", ran, is_short=True)
        lock.yield_to_short_runs()
        assert ran == []
        time.sleep(0.2)
        lock.yield_to_short_runs()
        assert ran == ["short"]


def test_short_ones_without_end_hold_a_long_one_up_for_so_long_and_no_longer() -> None:
    lock = RunLock(max_wait_seconds=0.2)
    is_over = Event()

    def edit_without_end() -> None:
        while not is_over.is_set():
            with lock.acquire():
                time.sleep(0.01)

    with ThreadPoolExecutor(3) as threads:
        for _ in range(3):
            threads.submit(edit_without_end)
        start = time.monotonic()
        with lock.acquire(is_short=False):
            for _ in range(100):
                lock.yield_to_short_runs()
        seconds = time.monotonic() - start
        is_over.set()

    assert 0.2 <= seconds < 2


def test_nobody_waits_for_ever_for_a_lock_that_is_not_released() -> None:
    lock = RunLock(max_wait_seconds=0.05)

    def impatient() -> float:
        start = time.monotonic()
        with lock.acquire(), lock.released():
            return time.monotonic() - start

    with ThreadPoolExecutor(1) as thread, lock.acquire():
        assert 0.05 <= thread.submit(impatient).result(10) < 5
        with pytest.raises(TimeoutError):  # who did not hold the lock has not released it
            waits(lock, thread, "next", [], is_short=True).result(0.02)
    with lock.acquire():  # and who had it has
        pass


class Run(NamedTuple):
    """What Streamlit is asked to run."""

    fragment_id_queue: list[str]


def test_every_run_of_streamlit_holds_the_lock_and_that_of_a_fragment_is_short(monkeypatch) -> None:
    ran, shown = [], []
    monkeypatch.setattr(run_scheduler.sys, "setswitchinterval", lambda _seconds: None)
    monkeypatch.setattr(ScriptRunner, "_run_script", lambda runner, data: ran.append(data.fragment_id_queue))
    monkeypatch.setattr(ScriptRunner, "_enqueue_forward_msg", lambda runner, message: shown.append((message, *ran)))
    run_scheduler.apply()
    runner = object.__new__(ScriptRunner)

    with ThreadPoolExecutor(2) as threads, run_scheduler.RUN_LOCK.acquire(is_short=False):
        page = threads.submit(runner._run_script, Run([]))
        until(lambda: len(run_scheduler.RUN_LOCK._long) == 1)
        threads.submit(runner._run_script, Run(["a fragment"]))
        until(lambda: len(run_scheduler.RUN_LOCK._short) == 1)
        assert ran == []
        runner._enqueue_forward_msg("an element")
        assert shown == [("an element", ["a fragment"])]
        with run_scheduler.RUN_LOCK.released():
            page.result(10)
    assert ran == [["a fragment"], []]
