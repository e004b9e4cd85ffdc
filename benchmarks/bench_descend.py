"""descend(…), which keeps every point, against the bare torch.optim loop that keeps none."""

import gc
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.ratios import Result
from xent_core import Problem, descend

SHAPE = (64, 64)
STEPS = 500
LEARNING_RATE = 1.0
RUNS = 9
LIMIT = 1.5

BARE: dict[str, Callable[[list[Tensor]], torch.optim.Optimizer]] = {
    "SGD": lambda leaves: torch.optim.SGD(leaves, lr=LEARNING_RATE),
    "Adam": lambda leaves: torch.optim.Adam(leaves, lr=LEARNING_RATE),
}


def by_descend(problem: Problem, optimizer: str) -> Tensor:
    """The last logits of a path of which every point is kept."""
    path = descend(problem, learning_rate=LEARNING_RATE, steps=STEPS, optimizer=optimizer)
    return path.logits[-1]


def bare_loop(problem: Problem, optimizer: str) -> Tensor:
    """The last logits, and nothing of the way there."""
    logits = problem.logits.clone().requires_grad_()
    stepper = BARE[optimizer]([logits])
    for _ in range(STEPS):
        stepper.zero_grad()
        F.cross_entropy(logits, problem.target).backward()
        stepper.step()
    return logits.detach()


def measure() -> list[Result]:
    """500 steps of SGD and of Adam on 64×64."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(SHAPE, generator=generator)
    problem = Problem(logits, torch.randint(SHAPE[1], SHAPE[:1], generator=generator))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the app runs it
    try:
        return [_ratio(problem, optimizer) for optimizer in BARE]
    finally:
        torch.set_num_threads(threads)


def _ratio(problem: Problem, optimizer: str) -> Result:
    # the same steps on both sides, or no comparison
    assert torch.equal(by_descend(problem, optimizer), bare_loop(problem, optimizer))
    ours: list[float] = []
    theirs: list[float] = []
    gc.collect()
    for i in range(RUNS):
        pair = [(ours, by_descend), (theirs, bare_loop)]
        for taken, work in pair if i % 2 else reversed(pair):
            start = time.perf_counter()
            work(problem, optimizer)
            taken.append(time.perf_counter() - start)
    one, other = statistics.median(ours), statistics.median(theirs)
    return Result(
        f"descend over a bare loop, {STEPS} steps of {optimizer} on 64×64",
        one / other,
        LIMIT,
        f"{1e3 * one:.0f} ms against {1e3 * other:.0f} ms",
    )
