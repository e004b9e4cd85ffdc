"""Runs go one after the other, whoever has used least first, and whoever waits lets the others go first."""

import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from threading import Barrier, Event, Lock, get_ident

import pytest
from streamlit.proto.WidgetStates_pb2 import WidgetState, WidgetStates
from streamlit.runtime.scriptrunner.script_runner import ScriptRunner
from streamlit.runtime.scriptrunner_utils.script_requests import RerunData

from xent_host import run_scheduler
from xent_ui.server.processor_use import NOBODY, FairRules, Usage, Visit
from xent_ui.server.run_lock import RunLock, TurnRules

A, B, C, D = (Visit("address", name) for name in "abcd")
PATIENCE = 30.0  # seconds that a busy machine may take
NEVER_BESIDE = TurnRules(beside=1e6, longest=1e6)


class Time:
    """A time, and the processor time of each thread, that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 0.0
        self._used: dict[int, float] = {}

    def clock(self) -> float:
        return self.now

    def processor_time(self) -> float:
        return self._used.get(get_ident(), 0.0)

    def work(self, seconds: float) -> None:
        """What a run does in this thread."""
        self.now += seconds
        self._used[get_ident()] = self.processor_time() + seconds


def lock_and_time(rules: TurnRules = NEVER_BESIDE) -> tuple[RunLock, Time]:
    passes = Time()
    usage = Usage(FairRules(half_life=1e9, light=0.0), passes.clock)
    return RunLock(rules, usage, passes.clock, passes.processor_time, passes.clock), passes


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def waits(lock: RunLock, threads: ThreadPoolExecutor, visit: Visit, ran: list[str]) -> Future[None]:
    """Somebody who has begun to wait for the lock, which is held."""

    def run() -> None:
        with lock.acquire(visit):
            ran.append(visit.session)

    before = lock.waiting
    future = threads.submit(run)
    until(lambda: lock.waiting > before)
    return future


def used(lock: RunLock, **seconds: float) -> None:
    for name, used in seconds.items():
        lock.usage.add(Visit("address", name), used)


def test_two_never_hold_the_lock_at_once() -> None:
    lock = RunLock(NEVER_BESIDE)
    begin = Barrier(8)
    holders: list[int] = []

    def run(number: int) -> int:
        begin.wait()
        with lock.acquire(Visit("", str(number))):
            holders.append(number)
            time.sleep(0.01)  # long enough for the others to break in, if they could
            among = len(holders)
            holders.remove(number)
        return among

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(run, range(8))) == [1] * 8


def test_whoever_waits_for_something_lets_another_go_first() -> None:
    lock = RunLock(NEVER_BESIDE)
    other_was_here = Event()

    def other() -> None:
        with lock.acquire(B):
            other_was_here.set()

    with ThreadPoolExecutor(1) as thread, lock.acquire(A):
        thread.submit(other)
        with lock.released():
            assert other_was_here.wait(PATIENCE)


def test_who_has_used_least_goes_first_and_equals_as_they_came() -> None:
    lock, _passes = lock_and_time()
    ran: list[str] = []
    used(lock, a=1.0, b=0.5, c=0.5)

    with ThreadPoolExecutor(4) as threads, lock.acquire(NOBODY):
        for visit in (A, C, B, D):
            waits(lock, threads, visit, ran)

    assert ran == ["d", "c", "b", "a"]


def test_what_a_run_has_used_counts_when_it_comes_back() -> None:
    lock, passes = lock_and_time()
    ran: list[str] = []

    with ThreadPoolExecutor(2) as threads, lock.acquire(A):
        passes.work(0.2)
        waits(lock, threads, B, ran)
        with lock.released():
            until(lambda: ran == ["b"])

    assert lock.usage.of(A) == pytest.approx(0.2)
    assert lock.usage.of(B) == 0


def test_a_run_has_its_turn_then_pauses_for_who_has_used_less() -> None:
    lock, passes = lock_and_time()
    ran: list[str] = []

    with ThreadPoolExecutor(1) as threads, lock.acquire(A):
        waits(lock, threads, B, ran)
        passes.work(0.04)
        lock.pause_for_others()
        assert ran == []
        passes.work(0.02)
        lock.pause_for_others()
        assert ran == ["b"]


def test_a_run_does_not_pause_for_who_has_used_more() -> None:
    lock, passes = lock_and_time()
    ran: list[str] = []
    used(lock, b=10.0)

    with ThreadPoolExecutor(1) as threads, lock.acquire(A):
        waits(lock, threads, B, ran)
        passes.work(0.2)
        lock.pause_for_others()
        assert ran == []


def test_of_two_long_runs_each_has_its_turns() -> None:
    lock, passes = lock_and_time()
    ran: list[str] = []

    def run(visit: Visit) -> None:
        with lock.acquire(visit):
            for _ in range(40):
                passes.work(0.01)
                ran.append(visit.session)
                lock.pause_for_others()

    with ThreadPoolExecutor(2) as threads, lock.acquire(NOBODY):
        for visit in (A, B):
            threads.submit(run, visit)
            until(lambda visit=visit: lock.waiting == "ab".index(visit.session) + 1)  # type: ignore[misc]
    turns = [(name, 1) for name, before in zip(ran, ["", *ran], strict=False) if name != before]

    assert ran.count("a") == ran.count("b") == 40
    assert 6 <= len(turns) <= 16  # 0.4 s each, in turns of 0.05 s, the last of whoever is left at one go


def test_those_who_edit_go_before_fifteen_that_open_large_pages_without_end() -> None:
    """In simulated time: what an edit waits is what a turn takes or two, however many are there."""
    lock, passes = lock_and_time()
    lock.usage = Usage(clock=passes.clock)
    is_over, waited = Event(), []

    def open_pages(visit: Visit) -> None:
        while not is_over.is_set():
            with lock.acquire(visit):
                for _ in range(40):
                    passes.work(0.01)  # between two elements
                    lock.pause_for_others()

    def edit(visit: Visit) -> None:
        with lock.acquire(visit):
            waited.append(passes.now)
            passes.work(0.025)

    with ThreadPoolExecutor(16) as threads:
        with lock.acquire(NOBODY):
            for number in range(15):
                threads.submit(open_pages, Visit("address", f"heavy {number}"))
            until(lambda: lock.waiting == 15)
        until(lambda: passes.now > 10)
        waits_of_edits = []
        for number in range(40):
            next_edit = passes.now + 0.13  # four visitors, each every half a second
            until(lambda next_edit=next_edit: passes.now >= next_edit)  # type: ignore[misc]
            came = passes.now
            threads.submit(edit, Visit("address", f"neighbour {number % 4}")).result(PATIENCE)
            waits_of_edits.append(waited[-1] - came)
        is_over.set()

    assert sorted(waits_of_edits)[37] < 1.5  # 95 of 100; in turn, they would wait for 15 × 0.4 s


def test_who_edits_without_end_is_no_longer_light() -> None:
    lock, passes = lock_and_time()
    ran: list[str] = []

    with ThreadPoolExecutor(2) as threads:
        for _ in range(20):
            with lock.acquire(A):
                passes.work(0.02)
        with lock.acquire(NOBODY):
            waits(lock, threads, A, ran)
            waits(lock, threads, B, ran)

    assert ran == ["b", "a"]


def test_of_many_who_use_little_each_a_long_one_has_every_fourth_turn() -> None:
    lock, passes = lock_and_time(TurnRules(beside=1e6, longest=1e6, overdue=0.5, every=4))
    ran: list[str] = []
    used(lock, a=1.0)

    with ThreadPoolExecutor(7) as threads, lock.acquire(NOBODY):
        waits(lock, threads, A, ran)
        for number in range(6):
            waits(lock, threads, Visit("address", str(number)), ran)
        passes.now += 0.5

    assert ran.index("a") <= 3
    assert len(ran) == 7


def test_a_heavy_run_comes_to_its_turn_although_a_run_that_does_not_pause_is_beside_all_others() -> None:
    lock, passes = lock_and_time(TurnRules(beside=0.01, longest=1e6, overdue=0.5, every=4))
    ran: list[str] = []
    used(lock, a=10.0, b=2.0)

    with ThreadPoolExecutor(8) as threads, lock.acquire(B):
        passes.now += 0.02
        heavy = waits(lock, threads, A, ran)
        passes.now += 0.5
        for number in range(4):
            threads.submit(_run_once, lock, Visit("address", str(number))).result(PATIENCE)
        heavy.result(PATIENCE)


def _run_once(lock: RunLock, visit: Visit) -> None:
    with lock.acquire(visit):
        pass


def test_who_has_used_less_runs_beside_a_run_that_does_not_pause() -> None:
    lock, passes = lock_and_time(TurnRules(beside=0.01, longest=1e6))
    ran: list[str] = []
    used(lock, a=1.0, c=2.0)

    with ThreadPoolExecutor(2) as threads, lock.acquire(A):
        heavy = waits(lock, threads, C, ran)
        light = waits(lock, threads, B, ran)
        assert ran == []
        passes.now += 0.01
        light.result(PATIENCE)
        assert ran == ["b"]
        with pytest.raises(TimeoutError):
            heavy.result(0.1)


def test_fifteen_heavy_ones_do_not_all_run_beside_each_other_after_a_while() -> None:
    lock, passes = lock_and_time(TurnRules(beside=0.01, longest=0.2))
    at_once, most, mutex, go_on = [0], [0], Lock(), Event()

    def hold(number: int) -> None:
        with lock.acquire(Visit("address", str(number))):
            with mutex:
                at_once[0] += 1
                most[0] = max(most[0], at_once[0])
            go_on.wait(PATIENCE)
            with mutex:
                at_once[0] -= 1

    for number in range(15):
        used(lock, **{str(number): 1.0})
    with ThreadPoolExecutor(15) as threads:
        futures = [threads.submit(hold, number) for number in range(15)]
        until(lambda: lock.waiting == 14)
        for _ in range(30):  # thirty times what the first waits, as three seconds are to a tenth
            passes.now += 0.01
            time.sleep(0.02)  # for the first in the queue to look at the time
        go_on.set()
        for future in futures:
            future.result(PATIENCE)

    assert 2 <= most[0] <= 6  # after 1, 2, 4, 8 and 16 of these times one more


def test_nobody_waits_for_ever_for_a_lock_that_is_not_released() -> None:
    lock = RunLock(TurnRules(beside=0.01, longest=0.05))
    lock.usage.add(A, 2.0)

    def impatient() -> bool:
        with lock.acquire(A), lock.released():
            return True

    with ThreadPoolExecutor(1) as thread, lock.acquire(B):
        assert thread.submit(impatient).result(PATIENCE)
    with lock.acquire(C):  # and who had it has released it
        pass
    assert not lock._holders
    assert not lock._waiting


def test_a_thread_without_a_run_neither_waits_nor_pauses() -> None:
    lock = RunLock()
    with lock.released():
        lock.pause_for_others()

    assert lock.visit == NOBODY
    with lock.acquire(A):
        assert lock.visit == A
    assert lock.visit == NOBODY


def test_every_run_of_streamlit_holds_the_lock_in_the_name_of_its_visit(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    shown: list[object] = []
    lock, passes = lock_and_time()
    monkeypatch.setattr(sys, "setswitchinterval", lambda _seconds: None)
    monkeypatch.setattr(run_scheduler, "RUN_LOCK", lock)
    monkeypatch.setattr(run_scheduler, "visit_of", lambda session: Visit("address", session))
    monkeypatch.setattr(
        ScriptRunner, "_run_script", lambda _runner, data: ran.append(f"{lock.visit.session}{data.query_string}")
    )
    monkeypatch.setattr(ScriptRunner, "_enqueue_forward_msg", lambda _runner, message: shown.append((message, *ran)))
    run_scheduler.apply()
    runners = []
    for name in "ab":
        runners.append(object.__new__(ScriptRunner))
        runners[-1]._session_id = name
    used(lock, b=1.0)

    with ThreadPoolExecutor(2) as threads, lock.acquire(C):
        threads.submit(runners[1]._run_script, RerunData("1"))
        until(lambda: lock.waiting == 1)
        threads.submit(runners[0]._run_script, RerunData("2"))
        until(lambda: lock.waiting == 2)
        passes.work(0.1)
        runners[0]._enqueue_forward_msg("an element")
        assert shown == [("an element", "a2")]
    assert ran == ["a2", "b1"]


def test_what_can_wait_goes_last_until_its_visit_asks_for_more() -> None:
    lock, _passes = lock_and_time()
    ran: list[str] = []
    used(lock, c=0.2)

    def later(visit: Visit) -> None:
        with lock.acquire(visit, can_wait=True) as is_wanted:
            ran.append(f"{visit.session} later" if is_wanted else f"{visit.session} left out")

    with ThreadPoolExecutor(4) as threads, lock.acquire(NOBODY):
        for number, visit in enumerate((A, B), 1):
            threads.submit(later, visit)
            until(lambda number=number: lock.waiting == number)
        for visit in (C, D):
            waits(lock, threads, visit, ran)
        lock.hurry(B)

        until(lambda: ran == ["b left out"])  # at once

    assert ran == ["b left out", "d", "c", "a later"]


def test_what_is_given_up_waits_for_no_turn() -> None:
    lock, _passes = lock_and_time()

    def later() -> bool:
        with lock.acquire(A, can_wait=True) as is_wanted:
            return is_wanted

    with ThreadPoolExecutor(1) as threads, lock.acquire(NOBODY):
        given_up = threads.submit(later)
        until(lambda: lock.waiting == 1)
        lock.hurry(A)

        assert given_up.result(PATIENCE) is False  # while somebody else holds the lock
        assert lock.waiting == 0
        kept = threads.submit(later)
        until(lambda: lock.waiting == 1)
        lock.hurry(A, gives_up=False)
        assert lock.waiting == 1
    assert kept.result(PATIENCE) is True
    with lock.acquire(B) as is_wanted:
        assert is_wanted


def test_what_has_begun_is_not_given_up() -> None:
    lock, passes = lock_and_time()
    has_begun, other_holds, may_end = Event(), Event(), Event()

    def later() -> bool:
        with lock.acquire(A, can_wait=True) as is_wanted:
            has_begun.set()
            until(lambda: lock.waiting == 1)
            passes.work(0.06)  # its turn
            lock.pause_for_others()
            return is_wanted

    def other() -> None:
        with lock.acquire(B):
            other_holds.set()
            may_end.wait(PATIENCE)

    with ThreadPoolExecutor(2) as threads:
        begun = threads.submit(later)
        assert has_begun.wait(PATIENCE)
        threads.submit(other)
        assert other_holds.wait(PATIENCE)
        lock.hurry(A)

        assert lock.waiting == 1
        may_end.set()
        assert begun.result(PATIENCE) is True


def test_what_can_wait_is_overdue_later_than_others() -> None:
    rules = TurnRules(beside=1e6, longest=1e6, every=1)
    lock, passes = lock_and_time(rules)
    ran: list[str] = []
    used(lock, b=10.0)

    def later() -> None:
        with lock.acquire(A, can_wait=True):
            ran.append("a later")

    for waited, order in ((1.0, ["b", "c", "a later"]), (2.5, ["a later", "b", "c"])):
        ran.clear()
        with ThreadPoolExecutor(3) as threads, lock.acquire(NOBODY):
            threads.submit(later)
            until(lambda: lock.waiting == 1)
            for visit in (B, C):
                waits(lock, threads, visit, ran)
            passes.now += waited
        assert ran == order


def request(*events: str, name: str = "") -> RerunData:
    states = WidgetStates(widgets=[WidgetState(id="1", json_trigger_value=event) for event in events])
    return RerunData(name, widget_states=states)


def test_what_follows_when_the_hand_rests_can_wait_with_what_its_callback_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    could_wait: dict[str, bool] = {}
    hurried: list[tuple[Visit, bool]] = []

    class Lock(RunLock):
        def acquire(self, visit: Visit = NOBODY, *, can_wait: bool = False) -> AbstractContextManager[bool]:
            self.can_wait = can_wait
            return super().acquire(visit)

        def hurry(self, visit: Visit, *, gives_up: bool = True) -> None:
            hurried.append((visit, gives_up))

    lock = Lock()
    monkeypatch.setattr(sys, "setswitchinterval", lambda _seconds: None)
    monkeypatch.setattr(run_scheduler, "RUN_LOCK", lock)
    monkeypatch.setattr(run_scheduler, "visit_of", lambda session: Visit("address", session))
    monkeypatch.setattr(
        ScriptRunner, "_run_script", lambda _runner, data: could_wait.update({data.query_string: lock.can_wait})
    )
    monkeypatch.setattr(ScriptRunner, "request_rerun", lambda _runner, _data: True)
    run_scheduler.apply()
    runner = object.__new__(ScriptRunner)
    runner._session_id = "a"

    edit, rest = '[{"event":"edited","value":1}]', '[{"event":"rested","value":{"number":2}}]'
    runner._run_script(request(name="the page"))
    runner._run_script(request(edit, name="an edit"))
    runner._run_script(request(rest, name="a rest"))
    runner._run_script(request(name="its callback's"))
    assert runner.request_rerun(request(rest))
    assert hurried == []
    assert runner.request_rerun(request(name="a slider"))
    runner._run_script(request(name="a slider"))
    runner._run_script(request(rest))
    cell = request(name="a cell")
    assert runner.request_rerun(replace(cell, fragment_id="why"))
    assert hurried == [(Visit("address", "a"), True), (Visit("address", "a"), False)]
    runner._run_script(request(rest, name="a waiting rest with a cell"))  # as Streamlit puts them together
    runner._run_script(request(rest, edit, name="both"))

    assert could_wait == {
        "the page": False,
        "an edit": False,
        "a rest": True,
        "its callback's": True,
        "a slider": False,
        "": True,
        "a waiting rest with a cell": False,
        "both": False,
    }


def test_a_rest_whose_visitor_has_moved_on_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    lock, _passes = lock_and_time()
    ran: list[str] = []
    monkeypatch.setattr(sys, "setswitchinterval", lambda _seconds: None)
    monkeypatch.setattr(run_scheduler, "RUN_LOCK", lock)
    monkeypatch.setattr(run_scheduler, "visit_of", lambda session: Visit("address", session))
    monkeypatch.setattr(ScriptRunner, "_run_script", lambda _runner, data: ran.append(data.query_string))
    monkeypatch.setattr(ScriptRunner, "request_rerun", lambda _runner, _data: True)
    run_scheduler.apply()
    moves, stays = (object.__new__(ScriptRunner) for _ in range(2))
    moves._session_id, stays._session_id = "moves on", "stays"
    rest = '[{"event":"rested","value":{"number":2}}]'

    with ThreadPoolExecutor(2) as threads, lock.acquire(NOBODY):
        for number, runner in enumerate((moves, stays), 1):
            threads.submit(runner._run_script, request(rest, name=f"the rest of who {runner._session_id}"))
            until(lambda number=number: lock.waiting == number)
        moves.request_rerun(request(name="an edit"))
        stays.request_rerun(request(rest))

    assert ran == ["the rest of who stays"]


def test_sixty_turns_of_a_thread_take_no_noticeable_time_and_not_all_of_it() -> None:
    """As often an edit gives the interpreter away; a switch itself takes some microseconds."""
    assert 60 * run_scheduler.SWITCH_SECONDS <= 0.01
    assert run_scheduler.SWITCH_SECONDS >= 10e-6
