"""Sums over rows that were counted in two places."""

import pytest

from xent_core.dump.statistics import Statistics


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("name", ["loss", "norm"])
def test_merged_statistics_keep_the_smallest_and_the_largest_of_both(name: str, first: int) -> None:
    parts = [Statistics(3), Statistics(3)]
    parts[0].extremes[name] = (1.0, 2.0)
    parts[1].extremes[name] = (0.5, 50.0)

    assert parts[first].merge(parts[1 - first]).extremes[name] == (0.5, 50.0)
