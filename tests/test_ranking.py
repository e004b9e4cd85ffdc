"""The order of the suspects: by what was asked for, and not behind cleanlab's scores, whose results lie beside it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from scripts.ranking_tables import FOLDER, OURS, mean_precision, tables
from xent_core.dump import RANKINGS, analyse
from xent_core.dump.ranking import ranking_key
from xent_core.dump.statistics import Statistics

SETS = Path(__file__).parent / "data" / "ranking_sets.npz"


def average_precision(wrong: np.ndarray) -> float:
    """Of rows in the order of a ranking: the mean, over the wrong ones, of the share of wrong ones so far."""
    found = [wrong[: place + 1].mean() for place in np.flatnonzero(wrong)]
    return float(np.mean(found))


def test_average_precision_by_hand() -> None:
    assert average_precision(np.array([True, False, True])) == pytest.approx((1 + 2 / 3) / 2)


def test_the_ranking_finds_wrong_labels_better_than_cleanlabs_scores_did() -> None:
    ours, margins, cleanlabs = [], [], []
    with np.load(SETS) as sets:
        for number in range(sum(name.startswith("wrong") for name in sets)):
            logits, target, wrong = (sets[f"{name}{number}"] for name in ("logits", "target", "wrong"))
            cleanlabs.append(sets[f"cleanlab{number}"])
            for found, rank_by in ((ours, "suspicion"), (margins, "margin")):
                summary = analyse(logits, target.astype(np.int64), fit_temperature=False, rank_by=rank_by)
                found.append(average_precision(wrong[summary.suspects.row]))

    assert len(ours) == 8
    best = max(np.mean(cleanlabs, axis=0))
    assert np.mean(ours) > best + 0.01
    assert np.mean(ours) > np.mean(margins) + 0.01


def test_nan_comes_first_and_what_is_equal_in_the_order_of_the_dump() -> None:
    values = torch.tensor([1.0, torch.nan, torch.inf, -torch.inf])

    assert ranking_key(values, "loss").argsort().tolist() == [1, 2, 0, 3]
    assert ranking_key(values, "margin").argsort().tolist() == [1, 3, 0, 2]


@pytest.mark.parametrize("rank_by", RANKINGS)
def test_the_suspects_are_in_the_order_asked_for_however_the_dump_is_split(tmp_path, rank_by: str) -> None:
    chance = np.random.default_rng(1)
    logits, target = chance.normal(size=(6000, 4)).astype(np.float32), chance.integers(0, 4, 6000)

    whole = analyse(logits, target, fit_temperature=False, rank_by=rank_by).suspects
    split = analyse(logits, target, fit_temperature=False, rank_by=rank_by, batch_rows=700).suspects

    assert whole.row.tolist() == split.row.tolist()
    values = getattr(whole, rank_by) * (1 if rank_by == "margin" else -1)
    assert (np.diff(values) >= 0).all()
    assert len(whole) == 1000


def test_merged_statistics_keep_their_order() -> None:
    assert Statistics(3, rank_by="entropy").merge(Statistics(3, rank_by="entropy")).rank_by == "entropy"


def test_how_many_labels_are_wrong_does_not_depend_on_the_split() -> None:
    chance = np.random.default_rng(2)
    logits = chance.normal(size=(900, 4)) * 3
    target = logits.argmax(1)
    target[:90] = chance.integers(0, 4, 90)

    whole, split = (analyse(logits, target, fit_temperature=False, batch_rows=rows) for rows in (900, 37))

    assert whole.wrong_labels is not None
    assert split.wrong_labels is not None
    assert whole.wrong_labels.expected == split.wrong_labels.expected
    assert np.array_equal(whole.wrong_labels.probability, split.wrong_labels.probability)
    assert np.array_equal(whole.suspects.p_wrong, split.suspects.p_wrong)
    assert np.array_equal(whole.noise_matrix, split.noise_matrix)


def test_the_document_says_what_was_measured() -> None:
    """On sets kept aside: above every single score of cleanlab, and on no data set 0.01 below the best of them."""
    found = json.loads((FOLDER / "ranking.json").read_text("utf-8"))
    sets = found["sets"]
    theirs = {name: mean_precision(sets, name) for name in sets[0]["precision"] if name.startswith("cleanlab")}
    best = max(theirs, key=lambda name: theirs[name])

    assert tables(found) in (FOLDER / "ranking.md").read_text("utf-8")
    assert mean_precision(sets, OURS) > theirs[best] + 0.02
    for data in {one["data"] for one in sets}:
        part = [one for one in sets if one["data"] == data]
        assert mean_precision(part, OURS) > mean_precision(part, best) - 0.01, data
