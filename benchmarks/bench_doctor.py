"""diagnose against one softmax over the same logits, the size of a language model's batch."""

from functools import partial

import torch
import torch.nn.functional as F

from harness.ratios import Result, in_turn
from xent_core import diagnose

SHAPE = (4096, 32_000)
RUNS = 5


def measure() -> list[Result]:
    """Class indices, and class indices with a weight and smoothing, which looks for −inf too."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(SHAPE, generator=generator)
    target = torch.randint(SHAPE[1], SHAPE[:1], generator=generator)
    weight = torch.rand(SHAPE[1], generator=generator) + 0.5
    if any(finding.severity != "note" for finding in diagnose(logits, target)):
        raise AssertionError("a clean batch gave an alarm")
    return [
        _ratio("diagnose over softmax, 4096×32000", logits, target, {}, limit=1.5),
        _ratio("the same, weight and smoothing", logits, target, {"weight": weight, "label_smoothing": 0.1}, limit=2),
    ]


def _ratio(name: str, logits: torch.Tensor, target: torch.Tensor, options: dict, *, limit: float) -> Result:
    one, other = in_turn(
        lambda: partial(diagnose, logits, target, **options), lambda: F.softmax(logits, 1), runs=RUNS, warm_up=1
    )
    return Result(name, one / other, limit, f"{1e3 * one:.0f} ms against {1e3 * other:.0f} ms")
