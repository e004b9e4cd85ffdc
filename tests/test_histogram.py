"""Histograms add up exactly, and their quantiles are NumPy's to 0.4 %."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xent_core.dump.histogram import histogram_of

VALUES = st.lists(st.floats(1e-12, 1e6), min_size=1, max_size=50)


@settings(max_examples=50)
@given(first=VALUES, second=VALUES)
def test_histograms_of_parts_merge_to_that_of_the_whole(first: list[float], second: list[float]) -> None:
    merged = histogram_of(torch.tensor(first)).merged(histogram_of(torch.tensor(second)))
    whole = histogram_of(torch.tensor(first + second))

    np.testing.assert_array_equal(merged.counts, whole.counts)
    np.testing.assert_allclose(merged.sums, whole.sums, rtol=1e-12)
    assert (merged.smallest, merged.largest) == (whole.smallest, whole.largest)


@settings(max_examples=50)
@given(values=VALUES, share=st.floats(0, 1))
def test_a_quantile_is_numpys(values: list[float], share: float) -> None:
    given_values = torch.tensor(values, dtype=torch.float64)

    expected = np.quantile(given_values.numpy(), share, method="inverted_cdf")

    assert histogram_of(given_values).quantile(share) == pytest.approx(expected, rel=0.004)
