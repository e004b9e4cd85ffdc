"""The noise matrix of cleanlab is cleanlab's, whatever the split, and stands beside ours."""

import json
from pathlib import Path

import numpy as np
import pytest

from scripts.measure_noise_matrix import SETS
from xent_core.dump import analyse
from xent_core.dump.report import report_html

CLEANLAB = json.loads((Path(__file__).parent / "data" / "noise_matrix.json").read_text("utf-8"))


@pytest.mark.parametrize("batch_rows", [None, 41])
@pytest.mark.parametrize("name", SETS)
def test_the_matrix_is_cleanlabs(name: str, batch_rows: int | None) -> None:
    logits, target = SETS[name]
    expected = np.array(CLEANLAB["sets"][name])
    seen = expected.any(1)  # cleanlab has a row of zeros where no row is taken for the class

    found = analyse(logits, target, fit_temperature=False, batch_rows=batch_rows).cleanlab_noise_matrix

    assert CLEANLAB["versions"]["cleanlab"] == "2.9.0"
    assert found is not None
    np.testing.assert_allclose(found[seen], expected[seen], rtol=0, atol=1e-9)
    assert np.isnan(found[~seen]).all()
    assert found[seen].sum(1) == pytest.approx(np.ones(seen.sum()))


def test_ignored_and_infinite_rows_are_not_counted() -> None:
    logits, target = SETS["drawn"]
    odd, labels = logits.copy(), target.copy()
    odd[3, 1], odd[8, 0], labels[5] = np.nan, np.inf, -100
    kept = np.delete(np.arange(len(target)), [3, 5, 8])

    found = analyse(odd, labels, fit_temperature=False).cleanlab_noise_matrix
    expected = analyse(logits[kept], target[kept], fit_temperature=False).cleanlab_noise_matrix

    assert found is not None
    np.testing.assert_array_equal(found, expected)


def test_it_stands_beside_ours_in_json_and_report() -> None:
    summary = analyse(*SETS["equal logits"], fit_temperature=False)
    numbers, report = json.loads(summary.as_json()), report_html(summary, title="both")

    np.testing.assert_allclose(numbers["cleanlab_noise_matrix"], CLEANLAB["sets"]["equal logits"], atol=1e-9)
    for matrix in (summary.noise_matrix, summary.cleanlab_noise_matrix):
        assert matrix is not None
        row = "".join(f"<td>{100 * share:.1f}</td>" for share in matrix[0])
        assert f"<tr><td>0</td>{row}</tr>" in report


def test_beyond_a_hundred_classes_there_is_none() -> None:
    logits = np.eye(101)[np.arange(101)] * 5

    assert analyse(logits[:, :100], np.arange(101) % 100, fit_temperature=False).cleanlab_noise_matrix is not None
    assert analyse(logits, np.arange(101), fit_temperature=False).cleanlab_noise_matrix is None
    assert analyse(logits, np.arange(101), fit_temperature=False).noise_matrix is not None
