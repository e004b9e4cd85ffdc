"""How far two routes to the same number may differ, by dtype: the one place that says so."""

from typing import NamedTuple

import torch


class Tolerance(NamedTuple):
    """|actual − expected| ≤ atol + rtol·|expected|, as torch.testing.assert_close has it."""

    rtol: float
    atol: float


# A few rounding errors of the dtype: eps is 2.2e-16, 1.2e-7, 9.8e-4 and 7.8e-3.
_TOLERANCES = {
    torch.float64: Tolerance(rtol=1e-10, atol=1e-10),
    torch.float32: Tolerance(rtol=1e-5, atol=1e-5),
    torch.float16: Tolerance(rtol=4e-3, atol=4e-3),
    torch.bfloat16: Tolerance(rtol=2e-2, atol=2e-2),
}


def tolerance(dtype: torch.dtype) -> Tolerance:
    """How far two PyTorch routes of this dtype may differ."""
    return _TOLERANCES[dtype]


def assert_agree(actual: torch.Tensor, expected: torch.Tensor, *, dtype: torch.dtype | None = None) -> None:
    """Same shape and the same numbers, NaN equal to NaN, as closely as the coarser of the two dtypes allows.

    Args:
      actual: what the code under test gives.
      expected: the oracle, of any floating dtype; float64 is best.
      dtype: judge by this dtype instead, where a coarser one was used on the way.
    """
    if dtype is None:
        dtype = max(actual.dtype, expected.dtype, key=lambda one: torch.finfo(one).eps)

    torch.testing.assert_close(
        actual.double(), expected.double(), equal_nan=True, rtol=tolerance(dtype).rtol, atol=tolerance(dtype).atol
    )
