import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.problems import FLOATS
from xent_core.decimals import shortest_decimals

BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


@pytest.mark.parametrize("dtype", FLOATS)
@given(seed=st.integers(0, 2**32))
def test_every_number_reads_back_bit_for_bit(dtype: torch.dtype, seed: int) -> None:
    bits = np.random.default_rng(seed).integers(0, 256, 200 * dtype.itemsize, np.uint8)
    values = torch.from_numpy(bits).view(dtype)
    values = values[~values.isnan()]

    again = torch.tensor([float(text) for text in shortest_decimals(values)], dtype=torch.float64).to(dtype)

    assert torch.equal(again.view(BITS[dtype.itemsize]), values.view(BITS[dtype.itemsize]))


def test_every_bfloat16_is_short() -> None:
    values = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(torch.bfloat16)
    values = values[values.isfinite()]

    texts = shortest_decimals(values)

    assert all(
        float(torch.tensor(float(text), dtype=torch.bfloat16)) == value
        for text, value in zip(texts, values.tolist(), strict=True)
    )
    assert max(len(text.split("e")[0].strip("-0.").replace(".", "").rstrip("0")) for text in texts) <= 4


@pytest.mark.parametrize("dtype", FLOATS)
def test_numbers_are_written_as_python_writes_them(dtype: torch.dtype) -> None:
    values = torch.tensor([0.1, 1, -0.0, float("inf"), -float("inf"), float("nan")], dtype=dtype)

    assert shortest_decimals(values) == ["0.1", "1.0", "-0.0", "inf", "-inf", "nan"]


def test_no_number_has_no_text() -> None:
    assert shortest_decimals(torch.zeros(0, 3)) == []
