"""Lets one page compute at a time, whoever has used least first; blocking waits release the lock.

One interpreter runs one thread at a time. With twenty runs at once it spends as much on changing between them as on the
runs, and each of them ends only when nearly all do.
How much a visit has used is measured, not told by the visitor: what follows an edit is over soon, and goes before the
pages of whoever opens them without end. A run that is not over soon pauses between two elements for such a one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Condition, Lock, local
from time import monotonic, process_time, thread_time

from xent_ui.server.processor_use import NOBODY, Usage, Visit


@dataclass(frozen=True)
class TurnRules:
    """How long a run may keep the others waiting, in seconds.

    Attributes:
      turn: of processor time that a run has before it pauses for another; less would be spent on changing.
      beside: of processor time of the whole process, after which the first of those who wait no longer waits for a run
        that does not pause, and runs beside it, if it has used less. With two at once the next waits twice as long,
        and so on: so many at once stay few.
      longest: the most of that, by the clock; and how long a run waits that has used more, again twice as long for each
        at once.
      overdue: a run that has waited so long is given one turn in `every` even if others have used less: otherwise many
        who use little each would leave none to one who opens a page.
      later: how far back, in seconds, a run stands that can wait: what follows when the hand rests goes after edits,
        and after pages that are opened.
      overdue_later: as overdue, of a run that can wait. Where more is asked for than there is time, most of these are
        given up before: whoever goes on editing asks again.
    """

    turn: float = 0.05
    beside: float = 0.1
    longest: float = 2.0
    overdue: float = 0.5
    every: int = 4
    later: float = 0.3
    overdue_later: float = 2.0


@dataclass(eq=False)
class _Run:
    """A run that holds the lock, waits for it, or has released it."""

    visit: Visit
    turn_comes: Condition
    can_wait: bool = False
    is_wanted: bool = True
    has_begun: bool = False
    used: float = 0.0  # of processor time, by all its turns
    holds: bool = False
    since: float = 0.0  # when it began to hold the lock, or to wait for it
    since_work: float = 0.0  # the same, in processor time of the process
    begun: float = 0.0  # the processor time of its thread when its turn began


class RunLock:
    """A lock that goes to whoever has used least; see TurnRules for when a second one runs beside who holds it."""

    def __init__(
        self,
        rules: TurnRules = TurnRules(),  # frozen
        usage: Usage | None = None,
        clock: Callable[[], float] = monotonic,
        processor_time: Callable[[], float] = thread_time,
        work: Callable[[], float] = process_time,
    ) -> None:
        self.rules, self.usage = rules, usage or Usage()
        self._clock, self._processor_time, self._work = clock, processor_time, work
        self._mutex = Lock()  # of what follows
        self._holders: list[_Run] = []  # one, or several if the first does not pause
        self._waiting: list[_Run] = []  # as they came
        self._watcher: _Run | None = None  # of those, who looks at the time
        self._turns = 0  # that were given
        self._thread = local()

    @contextmanager
    def acquire(self, visit: Visit = NOBODY, *, can_wait: bool = False) -> Iterator[bool]:
        """Wait for the lock and hold it until the block ends; behind others if it can wait.

        Gives: whether it is still wanted. What could wait is not once its visit has asked for something else meanwhile;
        then the lock is not held.
        """
        run = _Run(visit, Condition(self._mutex), can_wait)
        self._enter(run)
        if not run.is_wanted:
            yield False
            return
        self._thread.run = run
        try:
            yield True
        finally:
            self._thread.run = None
            self._leave(run)
            self.usage.end_run(visit, run.used)

    @contextmanager
    def released(self) -> Iterator[None]:
        """Release the lock while this thread waits for something else; then wait for it again, if it was held."""
        run = self._run
        held = run is not None and run.holds
        if run is not None and held:
            self._leave(run)
        try:
            yield
        finally:
            if run is not None and held:
                self._enter(run)

    def hurry(self, visit: Visit, *, gives_up: bool = True) -> None:
        """What the visit waits for stands back no longer: it has asked for something else.

        Args: gives_up: what could wait and has not begun is given up, since the visit asks for it again.
        """
        with self._mutex:
            for run in [run for run in self._waiting if run.visit == visit and run.can_wait]:
                run.can_wait = False
                if gives_up and not run.has_begun:
                    run.is_wanted = False
                    self._waiting.remove(run)
                    run.turn_comes.notify()
            self._admit()

    def pause_for_others(self) -> None:
        """If this run has had its turn, let those go first who have used less; does nothing in a thread without one."""
        run = self._run
        if run is None or not run.holds or not self._waiting:
            return
        if self._processor_time() - run.begun < self.rules.turn:
            return
        with self._mutex:
            behind = self._behind()
            if not self._waiting or not (
                min(behind[other] for other in self._waiting) < behind[run]
                or (self._is_turn_of_overdue() and self._overdue())
            ):
                return
        self._leave(run)
        self._enter(run)

    @property
    def visit(self) -> Visit:
        """Whose run this thread does; NOBODY in a thread without one."""
        run = self._run
        return NOBODY if run is None else run.visit

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    @property
    def _run(self) -> _Run | None:
        run: _Run | None = getattr(self._thread, "run", None)
        return run

    def _enter(self, run: _Run) -> None:
        with self._mutex:
            run.since = self._clock()
            self._waiting.append(run)
            self._admit()
            while run.is_wanted and not run.holds:
                # one looks at the time; the others are woken up when their turn comes, or when they have to look
                run.turn_comes.wait(self.rules.beside / 2 if run is self._watcher else None)
                self._admit()
        run.has_begun = True
        run.begun = self._processor_time()

    def _leave(self, run: _Run) -> None:
        seconds = self._processor_time() - run.begun
        run.used += seconds
        self.usage.add(run.visit, seconds)
        with self._mutex:
            run.holds = False
            self._holders.remove(run)
            self._admit()

    # What follows is called with the mutex

    def _admit(self) -> None:
        """Let in whose turn it is; while somebody's run goes on, one of those who wait looks at the time."""
        while self._waiting and (not self._holders or self._may_run_beside(is_light=True)):
            behind = self._behind()
            overdue = self._overdue() if self._is_turn_of_overdue() else None
            first = overdue or min(self._waiting, key=lambda run: (behind[run], run.since))
            is_light = first is overdue or all(behind[first] < behind[holder] for holder in self._holders)
            if self._holders and not self._may_run_beside(is_light):
                break
            self._turns += 1
            self._waiting.remove(first)
            self._holders.append(first)
            first.holds, first.since, first.since_work = True, self._clock(), self._work()
            first.turn_comes.notify()
        watcher = self._waiting[0] if self._waiting else None
        if watcher is not self._watcher:
            self._watcher = watcher
            if watcher is not None:
                watcher.turn_comes.notify()

    def _is_turn_of_overdue(self) -> bool:
        return self._turns % self.rules.every == self.rules.every - 1

    def _overdue(self) -> _Run | None:
        """Who has waited longest of those who have waited too long."""
        now, rules = self._clock(), self.rules
        overdue = [
            run for run in self._waiting if now - run.since >= (rules.overdue_later if run.can_wait else rules.overdue)
        ]
        return min(overdue, key=lambda run: run.since, default=None)

    def _behind(self) -> dict[_Run, float]:
        """How far back each run stands: what it has used, what its visit has, and what its address has."""
        runs = [*self._holders, *self._waiting]
        standings = self.usage.standings(run.visit for run in runs)
        work = self._work()
        behind = {run: run.used + standings[run.visit] + self.rules.later * run.can_wait for run in runs}
        for run in self._holders:  # another thread's processor time is not known, so it is taken to have used it all
            behind[run] += work - run.since_work
        return behind

    def _may_run_beside(self, is_light: bool) -> bool:
        """Whether those that hold the lock have not paused for so long that another one runs beside them."""
        rules, doubled = self.rules, 2.0 ** (len(self._holders) - 1)
        passed = self._clock() - max(holder.since for holder in self._holders)
        work = self._work() - max(holder.since_work for holder in self._holders)
        if is_light:
            return work >= rules.beside * doubled or passed >= rules.longest
        return passed >= rules.longest * doubled


RUN_LOCK = RunLock()
