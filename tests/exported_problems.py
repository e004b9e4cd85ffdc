"""A table of Problems in which every value of every option meets every value of every other."""

import itertools
import random
from collections.abc import Iterator
from typing import Any

import torch

from tests.problems import FLOATS
from xent_core import Problem
from xent_core.problem import REDUCTIONS

OPTIONS: dict[str, tuple[Any, ...]] = {
    "target": ("labels", "probabilities"),
    "weight": (False, True),
    "ignored": ("none", "default", "class 1"),
    "reduction": REDUCTIONS,
    "label_smoothing": (0.0, 0.1),
    "temperature": (1.0, 2.5),
    "dtype": FLOATS,
    "shape": ((3,), (4, 3), (2, 3, 2)),
}


def is_possible(choice: dict[str, Any]) -> bool:
    """PyTorch ignores no row of probabilities."""
    return choice.get("target") != "probabilities" or choice.get("ignored", "none") == "none"


def pairs(choice: dict[str, Any]) -> set[tuple[tuple[str, Any], ...]]:
    """Every two options with their values."""
    return set(itertools.combinations(choice.items(), 2))


def all_pairs() -> set[tuple[tuple[str, Any], ...]]:
    """What the table has to cover."""
    found = set()
    for first, second in itertools.combinations(OPTIONS, 2):
        for pair in itertools.product(OPTIONS[first], OPTIONS[second]):
            choice = dict(zip((first, second), pair, strict=True))
            if is_possible(choice):
                found |= pairs(choice)
    return found


def choices(least: int = 48) -> Iterator[dict[str, Any]]:
    """At least so many choices, which together cover all pairs."""
    every = [dict(zip(OPTIONS, values, strict=True)) for values in itertools.product(*OPTIONS.values())]
    every = [choice for choice in every if is_possible(choice)]
    random.Random(7).shuffle(every)
    missing = all_pairs()
    count = 0
    while missing or count < least:
        best = max(every, key=lambda choice: len(pairs(choice) & missing))
        every.remove(best)
        missing -= pairs(best)
        count += 1
        yield best


def problem_of(choice: dict[str, Any]) -> Problem:
    """A Problem with these options and numbers that are always the same."""
    generator = torch.Generator().manual_seed(3)
    shape, dtype = choice["shape"], choice["dtype"]
    axis = 0 if len(shape) == 1 else 1
    logits = (torch.randn(shape, generator=generator, dtype=torch.float64) * 2).round(decimals=2)
    if choice["target"] == "probabilities":
        target = torch.rand(shape, generator=generator, dtype=torch.float64).softmax(axis).to(dtype)
    else:
        row_shape = [size for place, size in enumerate(shape) if place != axis]
        target = torch.randint(0, 3, row_shape, generator=generator)
        if target.dim():
            target.view(-1)[:2] = torch.tensor([0, 1])
        if choice["ignored"] == "default" and target.dim():
            target.view(-1)[0] = -100
    return Problem(
        logits.to(dtype),
        target,
        weight=torch.tensor([1.0, 0.5, 2.0], dtype=dtype) if choice["weight"] else None,
        ignore_index=1 if choice["ignored"] == "class 1" else -100,
        reduction=choice["reduction"],
        label_smoothing=choice["label_smoothing"],
        temperature=choice["temperature"],
    )
