"""Lines of code that mend labels out of range, run on the labels they are printed for."""

import pytest
import torch
from torch import Tensor

from xent_core import diagnose
from xent_core.doctor.fixes import _range

LOGITS = torch.zeros(4, 3)


def after(target: list[int], ignore_index: int = -100) -> dict[str, Tensor | int]:
    names = {"target": torch.tensor(target), "ignore_index": ignore_index}
    exec(_range(LOGITS, names["target"], ignore_index), names)
    return names


@pytest.mark.parametrize(
    ("target", "mended"),
    [([1, 2, 3, 1], [0, 1, 2, 0]), ([1, -100, 3, 2], [0, -100, 2, 1]), ([-1, 0, -100, 2], [-100, 0, -100, 2])],
    ids=["from one", "from one, one ignored", "a second value to ignore"],
)
def test_the_labels_are_mended_and_ignored_rows_stay_ignored(target: list[int], mended: list[int]) -> None:
    assert after(target)["target"].tolist() == mended


def test_a_usual_value_becomes_the_ignored_one_where_no_row_is_ignored() -> None:
    names = after([-1, 0, 1, 2])

    assert names["ignore_index"] == -1
    assert names["target"].tolist() == [-1, 0, 1, 2]


@pytest.mark.parametrize(
    ("target", "rows"),
    [([0, 3, 1, 2], [[1]]), ([0, -100, 7, 9], [[2], [3]])],
    ids=["labels from zero to the number of classes", "an ignored row is not among the wrong"],
)
def test_other_labels_are_pointed_at_and_not_shifted(
    target: list[int], rows: list[list[int]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert after(target)["target"].tolist() == target
    assert capsys.readouterr().out.strip() == str(torch.tensor(rows))


def test_an_ignored_value_beyond_int64_beside_a_label_out_of_range_is_diagnosed() -> None:
    found = diagnose(LOGITS, [0, -1, 1, 2], ignore_index=2**64)

    assert {"ignore-index", "target-out-of-range"} <= {one.code for one in found}
