"""The thread pool for jobs that take longer than a page may: a few threads and one queue for all visitors."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from threading import Event, Lock
from typing import Any, Generic, TypeVar

from xent_ui.server.limits import Limits, limits
from xent_ui.server.log import event
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
    """

    def __init__(self, pool: Pool, work: Callable[[Job[T]], T]) -> None:
        self._pool, self._work = pool, work
        self._stopped = Event()
        self._polled_at = time.monotonic()
        self._started_at: float | None = None
        self.timed_out = self.was_left = False
        self.future: Future[T]

    def is_done(self, wait_seconds: float) -> bool:
        """Whether it has ended by then, well or not. Polling keeps it alive."""
        self._polled_at = time.monotonic()
        with RUN_LOCK.released():
            wait([self.future], wait_seconds)
        return self.future.done()  # `wait` does not tell of one that was cancelled before its turn

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
        self.future.cancel()
        self._pool.drop_ended()

    def run(self) -> T:
        """Do the work; called by a thread of the pool."""
        if self.should_stop():
            raise NeverStarted
        self._started_at = time.monotonic()
        return self._work(self)


class Pool:
    """A few threads, and the queue before them."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._threads = ThreadPoolExecutor(limits.workers, thread_name_prefix="worker")
        self._lock = Lock()
        self._jobs: list[Job[Any]] = []  # in the order in which they came, those that run included

    def submit(self, work: Callable[[Job[T]], T]) -> Job[T]:
        """Put work into the queue. Raises: QueueFull."""
        job = Job(self, work)
        with self._lock:
            self._drop_ended()
            if len(self._jobs) >= self.limits.workers + self.limits.waiting:
                event("limit", what="queue", waiting=self.limits.waiting)
                raise QueueFull
            job.future = self._threads.submit(copy_context().run, job.run)  # its messages in the visitor's language
            self._jobs.append(job)
        return job

    def ahead(self, job: Job[Any]) -> int:
        """How many jobs come before this one; 0 once it runs."""
        with self._lock:
            self._drop_ended()
            waits = not (job.future.running() or job.future.done())
            return self._jobs.index(job) if waits and job in self._jobs else 0

    def drop_ended(self) -> None:
        """Let the jobs behind the ended ones move up."""
        with self._lock:
            self._drop_ended()

    def stop(self) -> None:
        """End everything: the server ends."""
        with self._lock:
            jobs = list(self._jobs)
        for job in jobs:
            job.stop()

    def _drop_ended(self) -> None:
        jobs = [job for job in self._jobs if not job.future.done()]
        self._jobs = [job for job in jobs if job.future.running() or not (job.should_stop() and job.future.cancel())]


POOL = Pool(limits())
