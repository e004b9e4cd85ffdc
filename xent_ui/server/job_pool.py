"""The threads for what takes longer than a page may: few, for all visitors together, first come, first served."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from threading import Event, Lock
from typing import Any, Generic, TypeVar

import streamlit as st

from xent_ui.server.limits import Limits, limits
from xent_ui.server.log import event
from xent_ui.server.run_lock import TURNS
from xent_ui.text import _

LOOK_SECONDS = 0.3
LARGE_BYTES = 2**18  # less is read in the blink of an eye
T = TypeVar("T")


class Full(Exception):
    """More wait already than may."""


class NotBegun(Exception):
    """The work was stopped, or nobody looked at it any more, before its turn came."""


class Job(Generic[T]):
    """Work that waits, runs or is done.

    Attributes:
      timed_out: whether it was stopped because it took too long.
      was_left: whether it was stopped because nobody had looked at it for too long.
    """

    def __init__(self, pool: Pool, work: Callable[[Job[T]], T]) -> None:
        self._pool, self._work = pool, work
        self._stopped = Event()
        self._looked_at = time.monotonic()
        self._begun_at: float | None = None
        self.timed_out = self.was_left = False
        self.future: Future[T]

    def is_done(self, wait_seconds: float) -> bool:
        """Whether it has ended by then, well or not. Asking keeps it alive."""
        self._looked_at = time.monotonic()
        with TURNS.aside():
            wait([self.future], wait_seconds)
        return self.future.done()  # `wait` does not tell of one that was cancelled before its turn

    def result(self) -> T:
        """What the work gave. Raises: what it raised; NotBegun."""
        if self.future.cancelled():
            raise NotBegun
        return self.future.result()

    @property
    def ahead(self) -> int:
        """How many jobs come before this one; 0 once it runs."""
        return self._pool.ahead(self)

    def should_stop(self) -> bool:
        """For the work to ask now and then: whether somebody has stopped it, its time is up, or nobody looks."""
        most, now = self._pool.limits, time.monotonic()
        self.timed_out = self._begun_at is not None and now - self._begun_at > most.work_seconds
        self.was_left = now - self._looked_at > most.unwatched_seconds
        if self.timed_out:
            event("limit", what="work_seconds", seconds=most.work_seconds)
        return self._stopped.is_set() or self.timed_out or self.was_left

    def stop(self) -> None:
        """End it soon; if it still waits, at once."""
        self._stopped.set()
        self.future.cancel()
        self._pool.forget_the_ended()

    def run(self) -> T:
        """Do the work; called by the thread whose turn it is."""
        if self.should_stop():
            raise NotBegun
        self._begun_at = time.monotonic()
        return self._work(self)


class Pool:
    """A few threads, and the queue before them."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._threads = ThreadPoolExecutor(limits.workers, thread_name_prefix="worker")
        self._lock = Lock()
        self._jobs: list[Job[Any]] = []  # in the order in which they came, those that run included

    def submit(self, work: Callable[[Job[T]], T]) -> Job[T]:
        """Put work into the queue. Raises: Full."""
        job = Job(self, work)
        with self._lock:
            self._forget_the_ended()
            if len(self._jobs) >= self.limits.workers + self.limits.waiting:
                event("limit", what="queue", waiting=self.limits.waiting)
                raise Full
            job.future = self._threads.submit(copy_context().run, job.run)  # its messages in the visitor's language
            self._jobs.append(job)
        return job

    def ahead(self, job: Job[Any]) -> int:
        """How many jobs come before this one; 0 once it runs."""
        with self._lock:
            self._forget_the_ended()
            waits = not (job.future.running() or job.future.done())
            return self._jobs.index(job) if waits and job in self._jobs else 0

    def forget_the_ended(self) -> None:
        """Let those behind move up."""
        with self._lock:
            self._forget_the_ended()

    def stop(self) -> None:
        """End everything: the server ends."""
        with self._lock:
            jobs = list(self._jobs)
        for job in jobs:
            job.stop()

    def _forget_the_ended(self) -> None:
        jobs = [job for job in self._jobs if not job.future.done()]
        self._jobs = [job for job in jobs if job.future.running() or not (job.should_stop() and job.future.cancel())]


POOL = Pool(limits())


def queue_words(job: Job[Any]) -> str:
    """How many come before this job; "" once it runs."""
    ahead = job.ahead
    if not ahead:
        return ""
    return (_("{count} other is before you.") if ahead == 1 else _("{count} others are before you.")).format(
        count=ahead
    )


def full_words() -> str:
    """What a visitor reads who comes when too many wait."""
    return _("So many are waiting for this server that it takes no more. Try again in a minute.")


def answer(work: Callable[[], T], *, size_bytes: int) -> T:
    """What the work gives; if it is large, in its turn, and the visitor sees how many come first.

    Ends the page's run if too many wait.
    """
    if size_bytes < LARGE_BYTES:
        return work()
    try:
        job = POOL.submit(lambda _job: work())
    except Full:
        st.warning(full_words(), icon=":material/hourglass_disabled:")
        st.stop()
    place = st.empty()
    try:
        while not job.is_done(LOOK_SECONDS):
            place.info(queue_words(job) or _("At work …"), icon=":material/hourglass_top:")
    finally:  # also when the visitor goes elsewhere meanwhile
        job.stop()
    place.empty()
    return job.result()
