"""The example's flipped labels: which they are, and how many of them the page says it has found."""

import re

import numpy as np
from sklearn.datasets import load_digits

from harness.app_test import open_app, run
from xent_core.dump import analyse
from xent_ui.your_logits.flipped_digits import DIGITS, flipped, true_labels

PAGE = "pages/apply/your_logits.py"


def test_the_true_labels_are_those_of_scikit_learn() -> None:
    assert true_labels().tolist() == load_digits().target.tolist()
    assert int(flipped().sum()) == 180  # a tenth of 1797


def test_the_page_counts_the_flipped_labels_among_as_many_first_rows_and_names_the_truth() -> None:
    truth = load_digits().target
    with np.load(DIGITS) as dump:
        target = dump["target"].astype(int)
    first = analyse(DIGITS).suspects.row[:180]
    found = sum(truth[row] != target[row] for row in first.tolist())
    app = run(open_app().switch_page(PAGE))

    said = [re.search(r"first (\d+) of these rows stand (\d+) of the (\d+) labels", one.value) for one in app.caption]
    [match] = [one for one in said if one]
    assert [int(one) for one in match.groups()] == [180, found, 180]
    assert found >= 160
    table = next(one.value for one in app.dataframe if "truth" in one.value)
    for row, shown in zip(table["row"].tolist(), table["truth"].tolist(), strict=True):
        assert shown == f"digit {truth[row]}" + (": flipped" if truth[row] != target[row] else "")
