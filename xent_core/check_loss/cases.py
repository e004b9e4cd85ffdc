"""The calls of F.cross_entropy that every loss is tried on: shapes, dtypes, and every option alone and together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from xent_core.values import Value


@dataclass(frozen=True, eq=False)
class Case(Value):
    """One call of F.cross_entropy, under a name.

    Attributes:
      options: by PyTorch's names. A function that does not take all of them skips the case, except that it may leave
        out reduction where it is "mean".
    """

    name: str
    logits: Tensor
    target: Tensor
    options: Mapping[str, Any] = field(default_factory=dict)


def standard_cases() -> tuple[Case, ...]:
    """Shapes, dtypes, every option alone and together, probabilities, and logits where naive formulas break."""
    draw = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(6, 5, generator=draw, dtype=torch.float64)
    target = torch.tensor([0, 4, 2, 2, 1, 3])
    some_ignored = torch.tensor([0, -100, 2, 2, -100, 3])
    soft = torch.randn(6, 5, generator=draw, dtype=torch.float64).softmax(1)
    weight = torch.tensor([1.0, 0.2, 3.0, 0.7, 2.5], dtype=torch.float64)
    pixels = torch.randn(2, 4, 3, 2, generator=draw, dtype=torch.float64)
    pixel_target = torch.randint(4, (2, 3, 2), generator=draw)
    everything = {"weight": weight, "ignore_index": 2, "label_smoothing": 0.1}
    masked = torch.tensor([[2.0, 1.0, -math.inf], [0.5, -math.inf, 1.5]], dtype=torch.float64)
    cases = [
        Case("six rows, float64", logits, target),
        Case("one row", logits[:1], target[:1]),
        Case("one example without a batch axis, (C,)", logits[0], target[0]),
        Case("pixels, (N, C, d1, d2)", pixels, pixel_target),
        Case("float32", logits.float(), target),
        Case("bfloat16", logits.bfloat16(), target),
        Case("float16", logits.half(), target),
        Case("logits of 1000", logits * 1000, target),
        Case("logits of −1000", logits - 1000, target),
        Case("logits of 100 in float32", logits.float() * 100, target),
        Case("logits of 100 in float16", (logits * 20).half(), target),
        Case("a class masked with −∞", masked, torch.tensor([0, 2])),
        Case("reduction sum", logits, target, {"reduction": "sum"}),
        Case("reduction none", logits, target, {"reduction": "none"}),
        Case("pixels, reduction none", pixels, pixel_target, {"reduction": "none"}),
        Case("ignored rows", logits, some_ignored, {"ignore_index": -100}),
        Case("a class that is ignored", logits, target, {"ignore_index": 2}),
        Case("ignored rows, reduction sum", logits, some_ignored, {"ignore_index": -100, "reduction": "sum"}),
        Case("every row ignored: NaN", logits[:2], torch.tensor([-100, -100]), {"ignore_index": -100}),
        Case("weight", logits, target, {"weight": weight}),
        Case("weight, reduction sum", logits, target, {"weight": weight, "reduction": "sum"}),
        Case("weight and ignored rows", logits, some_ignored, {"weight": weight, "ignore_index": -100}),
        Case("label smoothing 0.1", logits, target, {"label_smoothing": 0.1}),
        Case("label smoothing 1", logits, target, {"label_smoothing": 1.0}),
        Case("label smoothing and ignored rows", logits, some_ignored, {"label_smoothing": 0.1, "ignore_index": -100}),
        Case("weight and label smoothing", logits, target, {"weight": weight, "label_smoothing": 0.1}),
        *(
            Case(f"everything at once, reduction {reduction}", logits, target, {**everything, "reduction": reduction})
            for reduction in ("mean", "sum", "none")
        ),
        Case("probabilities", logits, soft),
        Case("probabilities, reduction none", logits, soft, {"reduction": "none"}),
        Case("probabilities and weight: divided by N", logits, soft, {"weight": weight}),
        Case("probabilities and label smoothing", logits, soft, {"label_smoothing": 0.1}),
    ]
    return tuple(cases)
