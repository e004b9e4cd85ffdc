"""One descent in a thread: what is asked of it, how far it is, and its path."""

from __future__ import annotations

from dataclasses import dataclass, field

from xent_core.descent import Descent, OptimizerName, descend
from xent_core.problem import Problem
from xent_ui.server import job_pool
from xent_ui.server.job_pool import Job


@dataclass(frozen=True)
class DescentSettings:
    """Optimizer, learning rate and number of steps, under the names of `descend`."""

    optimizer: OptimizerName
    learning_rate: float
    steps: int


@dataclass(eq=False)
class DescentRun:
    """A descent in a thread, so that a page can show how far it is, and stop it. Raises: QueueFull.

    Attributes:
      done: how many steps it has taken.
    """

    problem: Problem
    settings: DescentSettings
    done: int = 0
    job: Job[Descent] = field(init=False)

    def __post_init__(self) -> None:
        self.job = job_pool.POOL.submit(self._descend)

    def _descend(self, job: Job[Descent]) -> Descent:
        def note(done: int) -> bool:
            self.done = done
            return not job.should_stop()

        asked = self.settings
        return descend(
            self.problem,
            learning_rate=asked.learning_rate,
            steps=asked.steps,
            optimizer=asked.optimizer,
            progress=note,
        )
