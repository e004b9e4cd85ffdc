"""Rows chosen out of the whole table of scores, against pandas and plain masks."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix

from xent_core.dump import Choice, DumpSummary, analyse, select

ROWS, CLASSES = 3_000, 6


@pytest.fixture(scope="module")
def analysed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DumpSummary, pd.DataFrame]:
    chance = np.random.default_rng(5)
    logits = 2 * chance.normal(size=(ROWS, CLASSES))
    logits[7, 2] = np.nan
    logits[11, 4] = np.inf  # predicted, without a gradient
    path = tmp_path_factory.mktemp("selection") / "s.parquet"
    names = [f"example {row}" for row in range(ROWS)]
    summary = analyse(
        logits,
        chance.integers(0, CLASSES, ROWS),
        scores=path,
        fit_temperature=False,
        ids=np.array(names),
        features=chance.normal(size=(ROWS, 3)),
    )
    return path, summary, pd.read_parquet(path)


CHOICES = [
    Choice(),
    Choice(label=range(2, 3)),
    Choice(label=range(1, 4), prediction=range(0, 2)),
    Choice(loss=(1.0, 2.5), margin=(-np.inf, -0.5)),
    Choice(prediction=range(5, 6), grad_norm=(0.3, 0.9)),
    Choice(label=range(0, 1), loss=(1e9, np.inf)),
]


@pytest.mark.parametrize("choice", CHOICES)
def test_the_chosen_rows_are_those_that_pandas_finds(analysed: tuple, choice: Choice) -> None:
    path, summary, table = analysed
    wanted = table
    for name, classes in (("target", choice.label), ("prediction", choice.prediction)):
        if classes is not None:
            wanted = wanted[wanted[name].isin(list(classes))]
    for name in ("loss", "grad_norm", "margin"):
        if getattr(choice, name) is not None:
            wanted = wanted[wanted[name].between(*getattr(choice, name))]
    wanted = wanted.sort_values("rank")

    found = select(path, choice, summary.groups, first=40)

    assert found.rows == len(wanted)
    assert found.rank.tolist() == wanted["rank"].tolist()[:40]
    assert found.suspects.row.tolist() == wanted["row"].tolist()[:40]
    assert found.suspects.ids.tolist() == wanted["id"].tolist()[:40]
    assert found.suspects.layer_norm.tolist() == pytest.approx(wanted["last_layer_norm"].tolist()[:40], nan_ok=True)
    assert found.norm == pytest.approx(float(wanted["grad_norm"].sum()))


def test_each_picture_shows_what_the_other_parts_of_the_choice_leave(analysed: tuple) -> None:
    path, summary, table = analysed
    choice = Choice(label=range(1, 2), loss=(0.5, 3.0), grad_norm=(0.2, 2.0))

    found = select(path, choice, summary.groups)

    by_range = table[table["loss"].between(0.5, 3) & table["grad_norm"].between(0.2, 2)]
    expected = confusion_matrix(by_range["target"], by_range["prediction"], labels=range(CLASSES))
    assert found.confusion.tolist() == expected.tolist()
    assert found.pair_norm.sum() == pytest.approx(by_range["grad_norm"].sum())
    of_label = table[table["target"] == 1]
    assert found.loss_histogram.total == of_label["grad_norm"].between(0.2, 2).sum()
    assert found.grad_norm_histogram.total == of_label["loss"].between(0.5, 3).sum()
    edges, counts = found.loss_histogram.coarser(like=summary.loss_histogram)
    assert edges.tolist() == summary.loss_histogram.coarser()[0].tolist()
    assert counts.sum() == found.loss_histogram.total


def test_without_a_choice_everything_is_that_of_the_summary(analysed: tuple) -> None:
    path, summary, _table = analysed

    found = select(path, Choice(), summary.groups)

    assert Choice().is_everything
    assert found.rows == summary.kept
    assert found.suspects.row.tolist() == summary.suspects.row.tolist()
    assert found.confusion.tolist() == summary.confusion.tolist()
    assert found.loss_histogram.counts.tolist() == summary.loss_histogram.counts.tolist()
    assert found.loss_histogram.nan == summary.loss_histogram.nan == 2  # a logit is NaN, one infinite
    np.testing.assert_allclose(found.pair_norm / found.norm, summary.pair_share, rtol=1e-9)
    assert found.grad_norm_histogram.smallest == summary.grad_norm_histogram.smallest
