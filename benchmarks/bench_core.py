"""evaluate(problem) against the same numbers asked of PyTorch by hand: time and peak memory."""

import gc
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.ratios import Result, in_turn
from xent_core import Problem, evaluate

LARGE = (10_000, 1_000)
SMALL = (3, 3)
LARGE_RUNS = 15
SMALL_RUNS = 2_000

Inputs = tuple[Tensor, Tensor]


def draw(shape: tuple[int, int]) -> Inputs:
    """Float32 logits and class indices, always the same ones."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(shape, generator=generator), torch.randint(shape[1], shape[:1], generator=generator)


def by_evaluate(problem: Problem) -> tuple[Tensor, ...]:
    """The four results of which the page makes its pictures."""
    evaluation = evaluate(problem)
    return evaluation.loss, evaluation.row_loss, evaluation.probs, evaluation.grad_logits


def by_hand(inputs: Inputs) -> tuple[Tensor, ...]:
    """The same four as one would write them down."""
    logits, target = inputs
    logits = logits.detach().requires_grad_()
    loss = F.cross_entropy(logits, target)
    loss.backward()
    probs = F.softmax(logits.detach(), dim=1)
    row_loss = F.cross_entropy(logits.detach(), target, reduction="none")
    return loss.detach(), row_loss, probs, logits.grad


def loss_and_gradient(inputs: Inputs) -> Tensor:
    """What a training step computes, and nothing else."""
    logits, target = inputs
    logits = logits.detach().requires_grad_()
    F.cross_entropy(logits, target).backward()
    return logits.grad


def measure() -> list[Result]:
    """Time at 10000×1000 and at 3×3, memory at 10000×1000."""
    large, small = draw(LARGE), draw(SMALL)
    for ours, theirs in zip(by_evaluate(Problem(*large)), by_hand(large), strict=True):
        torch.testing.assert_close(ours, theirs)  # the same work on both sides, or no comparison

    return [
        _time("evaluate over by hand, 10000×1000", large, by_hand, LARGE_RUNS, limit=0.9, aim=0.8),
        _memory("its peak memory"),
        _time("evaluate over loss and gradient, 3×3", small, loss_and_gradient, SMALL_RUNS, limit=8),
    ]


def _time(
    name: str, inputs: Inputs, other: Callable[[Inputs], object], runs: int, *, limit: float, aim: float | None = None
) -> Result:
    one, other_one = in_turn(
        lambda: partial(by_evaluate, Problem(*inputs)),  # a new one: nothing kept from the last time
        lambda: other(inputs),
        runs=runs,
        warm_up=max(2, runs // 20),
    )
    return Result(name, one / other_one, limit, f"{1e3 * one:.3f} ms against {1e3 * other_one:.3f} ms", aim)


def _memory(name: str) -> Result:
    peaks = {}
    for side in ("evaluate", "hand"):
        ran = subprocess.run(
            [sys.executable, "-m", "benchmarks.bench_core", side], capture_output=True, text=True, check=True
        )
        peaks[side] = int(ran.stdout)
    ours, hand = peaks["evaluate"], peaks["hand"]
    return Result(name, ours / hand, limit=1.25, detail=f"{ours / 2**20:.0f} MiB against {hand / 2**20:.0f} MiB")


def _peak_bytes(side: str) -> int:
    """How much memory the work takes at its peak beyond its inputs; in a process of its own, on Linux."""
    by_evaluate(Problem(*draw(SMALL)))
    by_hand(draw(SMALL))
    inputs = draw(LARGE)
    work, given = (by_evaluate, Problem(*inputs)) if side == "evaluate" else (by_hand, inputs)
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts from here
    before = _status_bytes("VmRSS")
    results = work(given)
    peak = _status_bytes("VmHWM") - before
    del results
    return peak


def _status_bytes(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


if __name__ == "__main__":
    print(_peak_bytes(sys.argv[1]))
