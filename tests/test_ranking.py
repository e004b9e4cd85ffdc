"""The order of the suspects: by what was asked for, and not behind cleanlab's scores, whose results lie beside it."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from scripts.ranking_tables import FOLDER, OURS, mean_precision, tables
from xent_core.cli.analyse_command import summary_text
from xent_core.dump import RANKINGS, Choice, InvalidDump, Progress, analyse, analysis, select
from xent_core.dump.ranking import ranking_key
from xent_core.dump.report import not_looked_for, report_html, wrong_labels_words
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


@pytest.mark.parametrize("rows", [300, 1500])
def test_of_a_row_with_nan_nobody_knows_whether_its_label_is_wrong_so_it_comes_last(tmp_path, rows: int) -> None:
    chance = np.random.default_rng(1)
    logits, target = chance.normal(size=(rows, 4)).astype(np.float32), chance.integers(0, 4, rows)
    logits[[7, 100]] = np.nan
    for size in (rows, 90):
        file = tmp_path / f"{size}.parquet"
        summary = analyse(logits, target, rank_by="suspicion", batch_rows=size, scores=file)
        kept = summary.suspects.row.tolist()
        assert kept[-2:] == [7, 100] if rows == 300 else not {7, 100} & set(kept)
        assert summary.odd_rows == (7, 100)
        table = pq.read_table(file)
        assert [table["rank"][row].as_py() for row in (7, 100)] == [rows - 1, rows]
        first = select(file, Choice(), summary.groups, rank_by="suspicion")
        assert first.rank.tolist() == list(range(1, min(rows, 1000) + 1))


@pytest.mark.parametrize("rank_by", [name for name in RANKINGS if name != "aum"])  # that is of several epochs
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


def test_what_the_words_say_of_probabilities_and_the_interval_was_measured() -> None:
    """The counts of the sets kept aside, as the page and the report quote them."""
    sets = json.loads((FOLDER / "ranking.json").read_text("utf-8"))["counted"]
    holds = [one["interval"][0] <= one["wrong"] <= one["interval"][1] for one in sets]
    real = [one for one in sets if one["data"] in ("wine", "breast cancer", "iris", "digits")]
    of_real, of_all = (np.sum([one["bins"] for one in part], axis=0) for part in (real, sets))

    assert (len(holds), sum(holds)) == (56, 56)
    for bins in (of_real, of_all):
        rows, said, wrong = bins.T
        assert np.abs(said - wrong).sum() / rows.sum() < 0.05
        assert wrong[9] / rows[9] == pytest.approx(0.94, abs=0.005)
        assert (wrong[3:8] > said[3:8]).all()
    words = wrong_labels_words(analyse(*draw(400), fit_temperature=False))
    assert "in all of 56 test sets with wrong labels" in words
    assert "90 % or more, 94 % were" in words


def draw(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Five classes, every tenth label wrong."""
    chance = np.random.default_rng(3)
    target = np.arange(rows) % 5
    logits = (4 * np.eye(5)[target] + chance.normal(size=(rows, 5))).astype(np.float32)
    target[::10] = (target[::10] + 1) % 5
    return logits, target


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> tuple[np.ndarray, np.ndarray]:
    """A dump that counts as large, for a hundred logits are the most that do not."""
    monkeypatch.setattr(analysis, "SAMPLE_ELEMENTS", 100)
    return draw(90)


def test_a_dump_is_large_by_its_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analysis, "SAMPLE_ELEMENTS", 100)

    assert analyse(*draw(20), fit_temperature=False).rank_by == "suspicion"
    assert analyse(*draw(21), fit_temperature=False).rank_by == "margin"


def test_a_large_dump_is_ranked_by_the_margin_in_one_pass_and_says_why(tmp_path: Path, large: tuple) -> None:
    stages = []

    def watch(progress: Progress) -> None:
        stages.append((progress.stage, progress.rows))

    summary = analyse(*large, fit_temperature=False, batch_rows=45, scores=tmp_path / "s.parquet", progress=watch)

    assert stages == [("rows", 45), ("rows", 90)]
    assert (summary.rank_by, summary.looked_for_wrong_labels) == ("margin", False)
    assert (np.diff(summary.suspects.margin) >= 0).all()
    assert (summary.wrong_labels, summary.noise_matrix) == (None, None)
    assert (summary.suspects.suspicion, summary.suspects.p_wrong) == (None, None)
    numbers = json.loads(summary.as_json())
    assert [numbers[name] for name in ("wrong_labels", "wrong_labels_interval", "noise_matrix")] == [None] * 3
    table = pq.read_table(tmp_path / "s.parquet")
    assert {"suspicion", "p_wrong"}.isdisjoint(table.column_names)
    assert (np.diff(table.sort_by("rank")["margin"].to_numpy()) >= 0).all()
    assert summary_text(summary).endswith(not_looked_for())
    page = report_html(summary, title="large")
    assert "Wrong labels were not looked for" in page
    assert "--rank-by suspicion" in page
    assert "<th>label wrong, estimated</th>" not in page


def test_a_large_dump_gets_the_suspicion_if_asked(tmp_path: Path, large: tuple) -> None:
    summary = analyse(*large, fit_temperature=False, rank_by="suspicion", scores=tmp_path / "s.parquet")

    assert summary.looked_for_wrong_labels
    assert summary.wrong_labels is not None
    assert summary.wrong_labels.low < 9 < summary.wrong_labels.high
    assert sorted(summary.suspects.row[:9]) == list(range(0, 90, 10))
    assert json.loads(summary.as_json())["wrong_labels"] == summary.wrong_labels.expected
    assert "p_wrong" in pq.read_table(tmp_path / "s.parquet").column_names
    assert not_looked_for() not in summary_text(summary)
    assert "<th>label wrong, estimated</th>" in report_html(summary, title="large")


def test_another_order_of_a_large_dump_needs_no_more_than_the_margin_does(large: tuple) -> None:
    summary = analyse(*large, fit_temperature=False, rank_by="loss")

    assert (summary.rank_by, summary.looked_for_wrong_labels) == ("loss", False)
    assert (np.diff(summary.suspects.loss) <= 0).all()


def test_another_order_of_a_small_dump_still_says_how_many_labels_are_wrong() -> None:
    summary = analyse(*draw(90), fit_temperature=False, rank_by="loss")

    assert summary.wrong_labels is not None
    assert (np.diff(summary.suspects.loss) <= 0).all()


def test_whoever_stops_the_first_look_gets_rows_and_no_number_of_wrong_labels(large: tuple) -> None:
    summary = analyse(*large, rank_by="suspicion", batch_rows=45, progress=lambda progress: True)

    assert (summary.complete, summary.rows, summary.wrong_labels) == (False, 45, None)
    assert (np.diff(summary.suspects.suspicion) <= 0).all()


def test_a_table_without_the_suspicion_cannot_be_ranked_by_it(tmp_path: Path, large: tuple) -> None:
    summary = analyse(*large, fit_temperature=False, scores=tmp_path / "s.parquet")

    with pytest.raises(InvalidDump, match="no column 'suspicion'"):
        select(tmp_path / "s.parquet", Choice(), summary.groups, rank_by="suspicion")
    found = select(tmp_path / "s.parquet", Choice(), summary.groups)
    assert found.suspects.row.tolist() == summary.suspects.row.tolist()
    assert found.suspects.p_wrong is None
