"""How far numbers lie apart where some are NaN or infinite."""

import math

import pytest
import torch

from xent_core.distance import distance, largest, signed_difference

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("value", "expected", "apart"),
    [
        (3.0, 1.0, 2.0),
        (1.0, 3.0, 2.0),
        (NAN, NAN, 0.0),
        (NAN, 1.0, INF),
        (1.0, NAN, INF),
        (NAN, INF, INF),
        (INF, INF, 0.0),
        (-INF, -INF, 0.0),
        (INF, -INF, INF),
        (INF, 1.0, INF),
        (1.0, -INF, INF),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_the_distance_of_two_numbers(value: float, expected: float, apart: float, dtype: torch.dtype) -> None:
    found = distance(torch.tensor([value], dtype=dtype), torch.tensor([expected], dtype=dtype))

    assert found.dtype == torch.float64
    assert found.tolist() == [apart]


def test_the_signed_difference_says_which_is_larger() -> None:
    found = signed_difference(torch.tensor([1.0, -INF, INF, NAN]), torch.tensor([3.0, 0.0, INF, NAN]))

    assert found.tolist() == [-2.0, -INF, 0.0, 0.0]


def test_the_distance_is_taken_in_float64() -> None:
    found = distance(torch.tensor([1.0]), torch.tensor([1.0 + 2**-40], dtype=torch.float64))

    assert found.tolist() == [2**-40]


def test_nothing_is_no_distance_apart() -> None:
    assert distance(torch.empty(0), torch.empty(0)).shape == (0,)
    assert largest(torch.empty(0)) == 0.0


def test_the_largest_is_nan_beside_nan() -> None:
    assert largest(torch.tensor([1.0, INF])) == INF
    assert math.isnan(largest(torch.tensor([1.0, NAN, INF])))
