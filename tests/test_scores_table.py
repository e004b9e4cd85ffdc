"""The table of scores: ranks of margins that are sorted in parts, and names that a spreadsheet would run."""

import io

import numpy as np
import pyarrow as pa
import pytest

from xent_core.dump.scores_table import _without_formulas, ranks_of


@pytest.mark.parametrize("at_a_time", [1, 2, 3, 4, 11, 12])
def test_ranks_do_not_depend_on_the_parts_that_are_sorted(at_a_time: int) -> None:
    margins = np.array([0.5, -1.0, np.nan, 0.5, np.inf, -np.inf, 2.0, -1.0, np.nan, 0.5, 0.0])

    with ranks_of(io.BytesIO(margins.tobytes()), len(margins), at_a_time=at_a_time) as ranks:
        assert ranks.read(0, 11).tolist() == [7, 4, 1, 8, 11, 3, 10, 5, 2, 9, 6]
        assert ranks.read(4, 6).tolist() == [11, 3]


def test_names_of_examples_that_a_spreadsheet_would_run_are_made_harmless() -> None:
    table = pa.table({"row": [0, 1], "id": ["=cmd()", "cat"]})

    harmless = _without_formulas(table)

    assert harmless["id"].to_pylist() == ["'=cmd()", "cat"]
    assert harmless["row"].to_pylist() == [0, 1]
