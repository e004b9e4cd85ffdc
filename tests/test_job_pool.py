"""The queue for what takes long: in turn, no more at once than there are threads, and nothing that nobody waits for."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from gettext import NullTranslations
from threading import Barrier, Event, Lock
from typing import Any

import pytest

from xent_core.language import _, use_catalogue
from xent_core.sandbox import ProcessLimits, SandboxDied, SandboxedProcess
from xent_ui.server.job_pool import Job, NeverStarted, Pool, QueueFull
from xent_ui.server.limits import PUBLIC
from xent_ui.server.processor_use import Usage, Visit
from xent_ui.server.run_lock import RUN_LOCK
from xent_ui.widgets.job_progress import queue_words

PATIENCE = 30.0  # seconds that a busy machine may take
ONE = replace(PUBLIC, workers=1, waiting=3)


@contextmanager
def busy(pool: Pool) -> Iterator[Job[bool]]:
    """A job that runs until the block ends."""
    runs, go_on = Event(), Event()

    def work(_job: Job[bool]) -> bool:
        runs.set()
        return go_on.wait(PATIENCE)

    job = pool.submit(work)
    assert runs.wait(PATIENCE)
    yield job
    go_on.set()
    assert job.is_done(PATIENCE)


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)  # between two looks


def test_work_is_done_and_what_it_raises_is_raised() -> None:
    pool = Pool(ONE)

    assert pool.submit(lambda job: 6 * 7).result() == 42
    with pytest.raises(ZeroDivisionError):
        pool.submit(lambda job: 1 / 0).result()


def test_no_more_work_runs_at_once_than_there_are_threads() -> None:
    pool, lock, now, most = Pool(replace(PUBLIC, workers=2, waiting=20)), Lock(), [0], [0]

    def work(_job: Job[None]) -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.01)
        with lock:
            now[0] -= 1

    for job in [pool.submit(work) for _time in range(12)]:
        job.result()

    assert most[0] == 2


def test_each_knows_how_many_come_first() -> None:
    pool = Pool(ONE)
    with busy(pool) as first:
        second, third = pool.submit(lambda job: 2), pool.submit(lambda job: 3)

        assert [first.ahead, second.ahead, third.ahead] == [0, 1, 2]
        assert [queue_words(job) for job in (first, second, third)] == [
            "",
            "1 other is before you.",
            "2 others are before you.",
        ]
        second.stop()
        assert third.ahead == 1
    assert third.result() == 3


def test_who_comes_to_a_full_queue_is_refused_until_there_is_room() -> None:
    pool = Pool(ONE)
    with busy(pool):
        waiting = [pool.submit(lambda job: 1) for _ in range(3)]
        with pytest.raises(QueueFull):
            pool.submit(lambda job: 1)
        waiting[0].stop()
        assert pool.submit(lambda job: 2).ahead == 3


def test_what_is_stopped_before_its_turn_is_never_begun() -> None:
    pool, begun = Pool(ONE), []
    with busy(pool):
        job = pool.submit(begun.append)
        job.stop()

        assert job.is_done(0)
        with pytest.raises(NeverStarted):
            job.result()
    assert pool.submit(lambda job: 1).result() == 1
    assert begun == []


def test_work_learns_that_it_was_stopped() -> None:
    pool, runs = Pool(ONE), Event()

    def work(job: Job[str]) -> str:
        runs.set()
        until(job.should_stop)
        return "as much as there is"

    job = pool.submit(work)
    assert runs.wait(PATIENCE)
    job.stop()

    assert job.result() == "as much as there is"
    assert not job.timed_out
    assert not job.was_left


def test_work_that_takes_too_long_is_stopped() -> None:
    job = Pool(replace(ONE, work_seconds=0.02)).submit(lambda job: until(job.should_stop))
    until(lambda: job.is_done(0))

    assert job.timed_out
    assert not job.was_left


def leave(job: Job[Any]) -> None:
    """As if nobody had looked at the job since long before any limit."""
    job._polled_at -= 1e6


def test_work_that_nobody_looks_at_is_stopped() -> None:
    job = Pool(ONE).submit(lambda job: until(job.should_stop))
    leave(job)
    job.result()

    assert job.was_left
    assert not job.timed_out


def test_work_that_somebody_looks_at_goes_on() -> None:
    with busy(Pool(ONE)) as job:
        leave(job)
        assert not job.is_done(0)

        assert not job.should_stop()


def test_who_left_the_queue_no_longer_stands_in_it() -> None:
    pool = Pool(ONE)
    with busy(pool):
        left = pool.submit(lambda job: 1)
        leave(left)
        here = pool.submit(lambda job: 2)

        assert here.ahead == 1
        assert left.was_left
        with pytest.raises(NeverStarted):
            left.result()


def test_what_was_done_long_ago_has_not_been_left() -> None:
    pool = Pool(ONE)
    job = pool.submit(lambda job: 1)
    assert job.is_done(PATIENCE)
    leave(job)
    pool.submit(lambda job: 2).result()

    assert job.result() == 1
    assert not job.was_left


def test_the_messages_of_the_work_are_in_the_language_of_who_asked() -> None:
    class Shouted(NullTranslations):
        def gettext(self, message: str) -> str:
            return message.upper()

    def said(shouts: bool) -> Any:
        use_catalogue(Shouted() if shouts else NullTranslations())
        return pool.submit(lambda job: _("hello"))

    pool = Pool(ONE)

    assert [said(True).result(), said(False).result()] == ["HELLO", "hello"]


def test_the_end_of_the_server_ends_all_work() -> None:
    pool = Pool(ONE)
    first, second = pool.submit(lambda job: until(job.should_stop)), pool.submit(lambda job: 1)
    pool.stop()

    for job in (first, second):
        assert job.is_done(PATIENCE)


@contextmanager
def run_of(name: str, address: str = "address") -> Iterator[None]:
    """A run of a visit, which submits what is submitted inside."""
    with RUN_LOCK.acquire(Visit(address, name)):
        yield


def submit(pool: Pool, ran: list[str], name: str, address: str = "address") -> Job[None]:
    with run_of(name, address):
        return pool.submit(lambda job: ran.append(name))


def test_a_visit_with_many_jobs_waits_for_who_has_one() -> None:
    pool, ran = Pool(replace(PUBLIC, workers=1, waiting=20), Usage()), []
    with busy(pool):
        jobs = [submit(pool, ran, name) for name in ("many", "many", "many", "one", "another")]
        assert [job.ahead for job in jobs] == [1, 4, 5, 2, 3]
    for job in jobs:
        assert job.is_done(PATIENCE)

    assert ran == ["many", "one", "another", "many", "many"]


def test_who_has_used_little_goes_before_who_has_used_much() -> None:
    pool, ran = Pool(replace(PUBLIC, workers=1, waiting=20), usage := Usage()), []
    usage.add(Visit("address", "heavy"), 2.0)
    with busy(pool):
        jobs = [submit(pool, ran, name) for name in ("heavy", "light")]
    for job in jobs:
        assert job.is_done(PATIENCE)

    assert ran == ["light", "heavy"]
    assert usage.of(Visit("address", "light")) > 0


def test_what_a_sandboxed_process_uses_is_used_by_the_visit_that_it_reads_for() -> None:
    def work(job: Job[None]) -> None:
        for _time in range(2):  # its limit ends the second one before it answers
            with suppress(SandboxDied):
                one.ask({"seconds": 0.6})

    pool = Pool(replace(PUBLIC, workers=1), used := Usage(clock=lambda: 0.0))
    one = SandboxedProcess("tests.sandboxed_handlers:work", ProcessLimits(2**26, cpu_seconds=1))
    with run_of("heavy"):
        job = pool.submit(work)
    assert job.is_done(PATIENCE)
    until(lambda: used.of(Visit("address", "heavy")))

    assert used.of(Visit("address", "heavy")) > 0.7


def test_the_waiting_places_are_not_all_one_visits_when_another_wants_one() -> None:
    pool, ran = Pool(replace(PUBLIC, workers=1, waiting=4), Usage()), []
    with busy(pool):
        greedy = [submit(pool, ran, "greedy") for _ in range(4)]
        with pytest.raises(QueueFull):
            submit(pool, ran, "greedy")
        other = submit(pool, ran, "other")
        assert [job.gave_way for job in greedy] == [False, False, False, True]
        assert greedy[3].is_done(0)
        with pytest.raises(NeverStarted):
            greedy[3].result()
        second = submit(pool, ran, "other")
        with pytest.raises(QueueFull):  # each has two now
            submit(pool, ran, "other")
        assert not other.gave_way
        assert not second.gave_way
    assert second.is_done(PATIENCE)


def test_an_address_with_many_visits_gives_way_to_another_address_and_not_to_itself() -> None:
    pool, ran = Pool(replace(PUBLIC, workers=1, waiting=4), Usage()), []
    with busy(pool):
        pupils = [submit(pool, ran, str(number), "school") for number in range(4)]
        with pytest.raises(QueueFull):
            submit(pool, ran, "a fifth", "school")
        submit(pool, ran, "other", "elsewhere")
        assert sum(job.gave_way for job in pupils) == 1


def test_a_visit_has_one_job_running_and_its_next_one_waits_while_others_go_on() -> None:
    pool, go_on, running = Pool(replace(PUBLIC, workers=3, waiting=20), Usage()), Event(), list[str]()

    def begin(name: str) -> Job[bool]:
        def work(_job: Job[bool]) -> bool:
            running.append(name)
            return go_on.wait(PATIENCE)

        with run_of(name):
            return pool.submit(work)

    jobs = [begin("greedy"), begin("greedy"), begin("greedy"), begin("other")]
    until(lambda: "other" in running)
    time.sleep(0.05)  # in which a third one would have begun
    assert sorted(running) == ["greedy", "other"]

    go_on.set()
    for job in jobs:
        assert job.is_done(PATIENCE)
    assert sorted(running) == ["greedy"] * 3 + ["other"]


def test_without_visits_nobody_waits_for_a_job_of_ones_own() -> None:
    pool, meet = Pool(replace(PUBLIC, workers=2)), Barrier(2)

    jobs = [pool.submit(lambda _job: meet.wait(PATIENCE)) for _ in range(2)]
    assert sorted(job.result() for job in jobs) == [0, 1]
