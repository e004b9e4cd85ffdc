"""The thread pools for jobs that a page waits for: a few threads and one queue for all visitors.

One is for what takes longer than a page may, one for small files, which are read in a moment by a process of its own.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from contextvars import copy_context
from dataclasses import replace
from threading import Event, Lock
from typing import Any, Generic, TypeVar

from xent_core.sandbox import processor_seconds
from xent_ui.server.limits import Limits, limits
from xent_ui.server.log import event
from xent_ui.server.processor_use import NOBODY, Usage, Visit
from xent_ui.server.run_lock import RUN_LOCK

T = TypeVar("T")


class QueueFull(Exception):
    """As many jobs wait already as may."""


class NeverStarted(Exception):
    """The job was stopped, or its page was left, while it waited in the queue."""


class Job(Generic[T]):
    """Work that waits in the queue, runs or is done.

    Attributes:
      timed_out: whether it was stopped because it took too long.
      was_left: whether it was stopped because no page had polled it for too long.
      gave_way: whether it was dropped from a full queue, for another visit that had fewer jobs there.
    """

    def __init__(self, pool: Pool, work: Callable[[Job[T]], T], visit: Visit) -> None:
        self.visit = visit
        self._pool, self._work = pool, work
        self._context = copy_context()  # its messages in the visitor's language
        self._stopped = Event()
        self._polled_at = time.monotonic()
        self._started_at: float | None = None
        self.timed_out = self.was_left = self.gave_way = False
        self.future: Future[T] = Future()

    def is_done(self, wait_seconds: float) -> bool:
        """Whether it has ended by then, well or not. Polling keeps it alive."""
        self._polled_at = time.monotonic()
        with RUN_LOCK.released():
            wait([self.future], wait_seconds)
        return self.future.done()

    def result(self) -> T:
        """What the work gave. Raises: what it raised; NeverStarted."""
        if self.future.cancelled():
            raise NeverStarted
        return self.future.result()

    @property
    def ahead(self) -> int:
        """How many jobs come before this one; 0 once it runs."""
        return self._pool.ahead(self)

    def should_stop(self) -> bool:
        """For the work to ask now and then: whether it was stopped, its time is up, or its page was left."""
        most, now = self._pool.limits, time.monotonic()
        self.timed_out = self._started_at is not None and now - self._started_at > most.work_seconds
        self.was_left = now - self._polled_at > most.unwatched_seconds
        if self.timed_out:
            event("limit", what="work_seconds", seconds=most.work_seconds)
        return self._stopped.is_set() or self.timed_out or self.was_left

    def stop(self) -> None:
        """End it soon; if it still waits, at once."""
        self._stopped.set()
        self._pool.drop_ended()

    def run(self) -> None:
        """Do the work; called by a thread of the pool."""
        try:
            if self.should_stop():
                raise NeverStarted
            self._started_at = time.monotonic()
            result = self._context.run(self._work, self)
        except BaseException as error:  # whatever it is, the page raises it
            self.future.set_exception(error)
        else:
            self.future.set_result(result)


class Pool:
    """A few threads, and the queue before them: whoever has used least comes first.

    A visit has jobs_of_a_visit running, unless there are no visits; its next one waits for the end of the last.
    Where the queue is full and another comes, the visit that has most jobs there gives one of them up.
    """

    def __init__(self, limits: Limits, usage: Usage | None = None) -> None:
        self.limits, self.usage = limits, usage or RUN_LOCK.usage
        self._threads = ThreadPoolExecutor(limits.workers, thread_name_prefix="worker")
        self._lock = Lock()
        self._running: list[Job[Any]] = []
        self._waiting: list[Job[Any]] = []  # as they came
        self._begun: dict[Visit, int] = {}  # the number of the last job of each visit that still has one here
        self._count = 0

    def submit(self, work: Callable[[Job[T]], T]) -> Job[T]:
        """Put work of the visit whose run this thread does into the queue. Raises: QueueFull."""
        job = Job(self, work, RUN_LOCK.visit)
        with self._lock:
            self._drop_ended()
            if len(self._running) + len(self._waiting) >= self.limits.workers + self.limits.waiting:
                event("limit", what="queue", waiting=self.limits.waiting)
                self._make_room(job.visit)
            self._waiting.append(job)
        self._threads.submit(self._run_next)
        return job

    def ahead(self, job: Job[Any]) -> int:
        """How many jobs come before this one, as it stands now; 0 once it runs."""
        with self._lock:
            self._drop_ended()
            if job not in self._waiting:
                return 0
            return len(self._running) + self._in_order().index(job)

    def drop_ended(self) -> None:
        """Let the jobs behind the ended ones move up."""
        with self._lock:
            self._drop_ended()

    def stop(self, session: str | None = None) -> None:
        """End everything: the server ends; or what is of one session: it has ended."""
        with self._lock:
            jobs = [*self._running, *self._waiting]
        for job in jobs:
            if session is None or job.visit.session == session:
                job.stop()

    def _run_next(self) -> None:
        """Run whose turn it is; this is called for each job, and whenever one has ended."""
        with self._lock:
            self._drop_ended()
            job = next(filter(self._may_run, self._in_order()), None)
            if job is None:
                return
            self._waiting.remove(job)
            self._running.append(job)
            self._count += 1
            here = {other.visit for other in self._waiting}
            self._begun = {who: number for who, number in self._begun.items() if who in here}
            self._begun[job.visit] = self._count
            job.future.set_running_or_notify_cancel()
        begun = processor_seconds()
        job.run()
        self.usage.add(job.visit, processor_seconds() - begun)
        with self._lock:
            self._running.remove(job)
            is_one_waiting = bool(self._waiting)
        if is_one_waiting:  # perhaps for this one
            with suppress(RuntimeError):  # the program ends
                self._threads.submit(self._run_next)

    # What follows is called with the lock

    def _may_run(self, job: Job[Any]) -> bool:
        running = sum(other.visit == job.visit for other in self._running)
        return job.visit == NOBODY or running < self.limits.jobs_of_a_visit

    def _in_order(self) -> list[Job[Any]]:
        """Those that wait, the next first.

        Each visit's first job comes before anybody's second, then who has used least,
        then who has waited longest since its last one.
        """
        behind = self.usage.standings(job.visit for job in self._waiting)
        jobs_of = Counter(job.visit for job in self._running)
        places: dict[Job[Any], tuple[int, float, int]] = {}
        for job in self._waiting:
            jobs_of[job.visit] += 1
            places[job] = jobs_of[job.visit], behind[job.visit], self._begun.get(job.visit, 0)
        return sorted(self._waiting, key=lambda job: places[job])

    def _make_room(self, visit: Visit) -> None:
        """Drop the last job of whoever has most, if that is more than this visit would have. Raises: QueueFull."""
        visits = Counter(job.visit for job in self._waiting)
        addresses = Counter(job.visit.address for job in self._waiting)
        crowd = max(addresses, key=lambda address: addresses[address], default=visit.address)
        if addresses[crowd] <= addresses[visit.address] + 1:
            crowd = visit.address
        largest = max((who for who in visits if who.address == crowd), key=lambda who: visits[who], default=visit)
        if crowd == visit.address and visits[largest] <= visits[visit] + 1:
            raise QueueFull
        *_earlier, last = (job for job in self._waiting if job.visit == largest)
        last.gave_way = True
        self._drop_ended()

    def _drop_ended(self) -> None:
        ended = [job for job in self._waiting if job.gave_way or job.should_stop()]
        for job in ended:
            self._waiting.remove(job)
            job.future.cancel()
            job.future.set_running_or_notify_cancel()  # tells whoever waits for it


POOL = Pool(limits())
SMALL_FILES = Pool(replace(limits(), workers=1))


def stop_all(session: str | None = None) -> None:
    """End the jobs of a session that has ended, or all jobs: the server ends."""
    for pool in (POOL, SMALL_FILES):
        pool.stop(session)
