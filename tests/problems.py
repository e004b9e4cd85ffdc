"""Problems that nobody thought of, and PyTorch's own answer to them: strategies and the oracle of several tests.

Hypothesis draws one seed for a whole call, which is a hundred times faster than a draw for every number.
"""

import math
import random
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from torch import Tensor

from xent_core import Problem
from xent_core.problem import REDUCTIONS

# many small problems: a second thread only waits for the first, fifty times as long where other tests run beside
torch.set_num_threads(1)

FLOATS = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
OTHER_DTYPES = (torch.uint8, torch.int32, torch.int16, torch.bool, torch.complex64)
ODD_NUMBERS = (math.inf, -math.inf, math.nan, 1e308, -1e308, 1e5, -1e5, 0.0, -0.0)


@dataclass(frozen=True)
class Call:
    """The arguments of one call of F.cross_entropy(logits / temperature, target, **options), valid or not."""

    logits: Tensor
    target: Tensor
    options: dict[str, Any] = field(default_factory=dict)
    temperature: float = 1.0

    def problem(self) -> Problem:
        return Problem(self.logits, self.target, temperature=self.temperature, **self.options)

    def torch(self, **changes: Any) -> tuple[Tensor, Tensor]:
        """Loss and gradient as PyTorch alone gives them; for "none" the gradient of the sum."""
        leaf = self.logits.detach().clone().requires_grad_()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loss = F.cross_entropy(leaf / self.temperature, self.target, **{**self.options, **changes})
            loss.backward(torch.ones_like(loss))
        return loss.detach(), leaf.grad


def call_of(problem: Problem) -> Call:
    """The call of F.cross_entropy that a Problem stands for."""
    options = {
        "weight": problem.weight,
        "ignore_index": problem.ignore_index,
        "reduction": problem.reduction,
        "label_smoothing": problem.label_smoothing,
    }
    return Call(problem.logits, problem.target, options, problem.temperature)


def assert_same_bits(actual: Tensor, expected: Tensor) -> None:
    """Same dtype, shape and numbers; NaN equals NaN, and −0.0 does not equal 0.0."""
    assert (actual.dtype, actual.shape) == (expected.dtype, expected.shape)
    same = (actual == expected) & (actual.signbit() == expected.signbit())
    assert bool((same | (actual.isnan() & expected.isnan())).all()), f"{actual} is not {expected}"


_SEEDS = st.integers(0, 2**64 - 1)


def valid_calls(
    *, dtypes: Sequence[torch.dtype] = FLOATS, odd: bool = False, min_size: int = 1
) -> st.SearchStrategy[Call]:
    """Calls that PyTorch takes, of (C,), (N, C) and (N, C, d1, …), with every option.

    Args:
      odd: some logits are infinite, NaN or huge.
      min_size: 0 for batches without rows too.
    """
    return _SEEDS.map(lambda seed: _Chance(seed).valid_call(dtypes, odd, min_size))


def any_calls() -> st.SearchStrategy[Call]:
    """Calls that PyTorch may take or refuse: odd shapes, dtypes, labels and options."""
    return _SEEDS.map(lambda seed: _Chance(seed).any_call())


class _Chance:
    """Everything that is left to chance in one call."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._generator = torch.Generator().manual_seed(seed % 2**63)

    def valid_call(self, dtypes: Sequence[torch.dtype], odd: bool, min_size: int) -> Call:
        dtype = self._one_of(dtypes)
        shape = [self._size(min_size, 4) for _ in range(self._size(1, 4))]
        num_classes = shape[0 if len(shape) == 1 else 1] = self._size(1, 5)
        logits = self._normal(shape, dtype, odd=odd)
        options: dict[str, Any] = {
            "reduction": self._one_of(REDUCTIONS),
            "label_smoothing": self._one_of([0.0, 0.0, 0.1, 0.5, 1.0, -0.1, math.nan]),
        }
        if self._happens(0.5):
            options["weight"] = self._factors([num_classes], dtype)
        if self._happens(0.4):
            target = self._factors(shape, self._one_of([dtype, torch.float32]))
        else:
            options["ignore_index"] = self._one_of([-100, -1, 0, num_classes, 255])
            target = self._classes(_row_shape(shape), num_classes, extra=[options["ignore_index"]])
        return Call(logits, target, options, self._one_of([1.0, 1.0, 0.5, 3.7]))

    def any_call(self) -> Call:
        dtype = self._one_of([*FLOATS * 2, *OTHER_DTYPES, torch.int64])
        shape = [self._size(0, 4) if self._happens(0.3) else self._size(1, 3) for _ in range(self._size(0, 4))]
        num_classes = shape[0 if len(shape) == 1 else 1] if shape else 1
        target_shape = list(self._one_of([shape, _row_shape(shape), _row_shape(shape)]))
        if self._happens(0.15):
            target_shape = self._one_of([self._random.sample(target_shape, len(target_shape)), [*target_shape, 1]])
        if target_shape == shape and self._happens(0.7):
            target = self._normal(shape, self._one_of([*FLOATS * 3, *OTHER_DTYPES]))
        else:
            target = self._classes(target_shape, num_classes, extra=[-100, -1, 255, num_classes, 2**40])
            target = target.to(self._one_of([*[torch.int64] * 10, *FLOATS, *OTHER_DTYPES, *[torch.uint8] * 2]))
        options: dict[str, Any] = {}
        if self._happens(0.4):
            weight_shape = self._one_of([*[[num_classes]] * 9, [], [num_classes + 1], [1, num_classes]])
            weight_dtype = self._one_of([*[dtype] * 6, *FLOATS, torch.int64, torch.bool])
            options["weight"] = self._factors(weight_shape, weight_dtype)
        if self._happens(0.4):
            options["ignore_index"] = self._one_of([-100, -1, 0, num_classes, 255, 2**63 - 1, -(2**63)])
        if self._happens(0.6):
            options["reduction"] = self._one_of([*REDUCTIONS * 6, "Mean", ""])
        if self._happens(0.4):
            options["label_smoothing"] = self._one_of([0.0, 0.1, 0.5, 1.0, 1.1, -0.1, math.nan, math.inf])
        return Call(self._normal(shape, dtype, odd=True), target, options)

    def _normal(self, shape: list[int], dtype: torch.dtype, *, odd: bool = False) -> Tensor:
        values = torch.randn(shape, generator=self._generator, dtype=torch.float64) * self._one_of([0.1, 1, 3, 30])
        if odd and values.numel() and self._happens(0.5):
            for _ in range(self._size(1, 3)):
                values.view(-1)[self._random.randrange(values.numel())] = self._one_of(ODD_NUMBERS)
        return values.to(dtype)

    def _factors(self, shape: list[int], dtype: torch.dtype) -> Tensor:
        """Numbers from 0 to 3, some of them 0."""
        values = 3 * torch.rand(shape, generator=self._generator, dtype=torch.float64)
        if self._happens(0.5):
            values[torch.rand(shape, generator=self._generator) < 0.3] = 0.0
        return values.to(dtype)

    def _classes(self, shape: list[int], num_classes: int, *, extra: list[int]) -> Tensor:
        values = torch.randint(0, max(num_classes, 1), shape, generator=self._generator)
        if values.numel() and self._happens(0.4):
            for _ in range(self._size(1, 2)):
                values.view(-1)[self._random.randrange(values.numel())] = self._one_of(extra)
        return values

    def _one_of(self, choices: Sequence[Any]) -> Any:
        return self._random.choice(choices)

    def _size(self, least: int, most: int) -> int:
        return self._random.randint(least, most)

    def _happens(self, probability: float) -> bool:
        return self._random.random() < probability


def _row_shape(shape: list[int]) -> list[int]:
    return shape[1:] if len(shape) == 1 else shape[:1] + shape[2:]
