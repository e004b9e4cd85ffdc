"""What a visit keeps is estimated in bounded time, whatever it keeps."""

from dataclasses import dataclass
from time import perf_counter

import numpy as np
import pytest
import torch

from xent_core.presets import PRESETS
from xent_host.visit_memory import kept_bytes
from xent_ui.state.sheet import sheet_of_preset

MB = 2**20


@dataclass
class Kept:
    array: np.ndarray


@dataclass(slots=True)
class KeptInSlots:
    text: str


@pytest.mark.parametrize(
    "value",
    [
        "x" * MB,
        b"x" * MB,
        np.zeros(MB // 8),
        torch.zeros(MB // 4),
        {"a": ["x" * MB]},
        Kept(np.zeros(MB // 8)),
        KeptInSlots("x" * MB),
        ["x" * 1_000 + str(number) for number in range(1_000)],
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_megabyte_counts_as_one(value: object) -> None:
    assert 0.9 * MB < kept_bytes(value, seconds=1) < 1.3 * MB


def test_the_tables_that_a_visit_can_undo_count_as_what_they_are() -> None:
    tables = [
        sheet_of_preset(PRESETS["worked-batch"]).resized(64, 64).with_random_logits(2.0, seed) for seed in range(20)
    ]
    everything = kept_bytes(tables, seconds=60)
    begun = perf_counter()
    estimate = kept_bytes(tables)

    assert perf_counter() - begun < 1
    assert everything > 4 * MB
    assert estimate > everything / 6


def test_what_is_kept_twice_counts_once_and_circles_end() -> None:
    text = "x" * MB
    circle: list[object] = [text, text]
    circle.append(circle)
    assert kept_bytes(circle) < 1.1 * MB


def test_hostile_values_are_not_asked() -> None:
    class Hostile(dict[str, str]):
        def __getattribute__(self, name: str) -> object:
            raise ZeroDivisionError

        def __len__(self) -> int:
            raise ZeroDivisionError

        def __sizeof__(self) -> int:
            raise ZeroDivisionError

    assert kept_bytes([Hostile(a="x" * MB)], seconds=1) > MB


@pytest.mark.long
def test_millions_of_values_take_no_longer_than_allowed() -> None:
    values = [[str(number)] for number in range(1_000_000)]
    begun = perf_counter()
    size = kept_bytes(values, seconds=0.05)
    assert perf_counter() - begun < 0.5
    assert size > 8 * MB  # the list itself; its members as far as time allows
