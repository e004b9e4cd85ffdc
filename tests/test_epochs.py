"""Several epochs: by hand, as aum 1.0.2 and datagnosis 0.0.3 have them, as a loop has them, and what is refused."""

import csv
import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xent_core.__main__ import main
from xent_core.dump import Choice, Epochs, InvalidDump, Progress, analyse, epochs, select
from xent_core.dump.report import report_html, wrong_labels_words
from xent_core.dump.statistics import ClassGroups

LOG = Path(__file__).parent / "data" / "epochs.npz"
FIELDS = ("aum", "forgetting", "confidence", "variability", "correctness")


def read(logits: Any, target: Any = None, **keywords: Any) -> Epochs:
    found = analyse(logits, target, epochs=True, fit_temperature=False, device="cpu", **keywords).epochs
    assert found is not None
    return found


def write(folder: Path, numbers: list[int], *, rows: int = 40, classes: int = 3, shuffled: bool = False) -> list[Path]:
    """Epochs of one run as files with ids; the order of their rows is another in each if that is asked for."""
    chance = np.random.default_rng(0)
    target = chance.integers(0, classes, rows)
    ids = np.array([f"img_{row}" for row in range(rows)])
    paths = []
    for number in numbers:
        logits = chance.normal(size=(rows, classes)).astype(np.float32)
        order = chance.permutation(rows) if shuffled else np.arange(rows)
        paths.append(folder / f"epoch_{number}.npz")
        np.savez(paths[-1], logits=logits[order], target=target[order], ids=ids[order])
    return paths


def by_loop(log: np.ndarray, target: np.ndarray, ignored: int = -100) -> dict[str, list[float]]:
    """Every number by the words of its definition, row by row, in Python's floats."""
    found: dict[str, list[float]] = {name: [] for name in FIELDS}
    for row, label in enumerate(target.tolist()):
        margins, probs, right = [], [], []
        for logits in log[:, row].astype(float).tolist():
            if label == ignored:
                break
            largest = max(logits)
            exponentials = [math.exp(z - largest) for z in logits]
            margins.append(logits[label] - max(z for k, z in enumerate(logits) if k != label))
            probs.append(exponentials[label] / math.fsum(exponentials))
            right.append(logits.index(largest) == label)
        if label == ignored:
            for name in FIELDS:
                found[name].append(math.nan)
            continue
        mean = math.fsum(probs) / len(probs)
        events = sum(before and not now for before, now in itertools.pairwise(right))
        found["aum"].append(math.fsum(margins) / len(margins))
        found["forgetting"].append(events if any(right) else math.inf)
        found["confidence"].append(mean)
        found["variability"].append(math.sqrt(math.fsum((p - mean) ** 2 for p in probs) / len(probs)))
        found["correctness"].append(sum(right) / len(right))
    return found


def test_three_epochs_of_two_rows_by_hand() -> None:
    """p of the label is 3/4, 1/4, 3/4: margins ln 3, −ln 3, ln 3; and always 1/4."""
    up, down = [math.log(3), 0.0], [0.0, math.log(3)]
    found = read([np.array([up, down]), np.array([down, down]), np.array([up, down])], np.array([0, 0]))

    assert found.aum == pytest.approx([math.log(3) / 3, -math.log(3)])
    assert found.forgetting.tolist() == [1, math.inf]
    assert found.confidence == pytest.approx([7 / 12, 1 / 4])
    assert found.variability == pytest.approx([math.sqrt(2) / 6, 0])  # the differences from 7/12: 1/6, −1/3, 1/6
    assert found.correctness == pytest.approx([2 / 3, 0])
    assert (found.never_learnt, found.forgotten, found.never_forgotten) == (1, 1, 0)


def test_the_numbers_are_those_of_aum_and_datagnosis() -> None:
    with np.load(LOG) as log:
        assert log["versions"].tolist() == ["aum 1.0.2", "datagnosis 0.0.3"]
        found = read(list(log["logits"]), log["target"])

        assert found.aum == pytest.approx(log["aum"], abs=1e-6)
        assert found.aum == pytest.approx(log["datagnosis_aum"], abs=1e-6)
        assert found.confidence == pytest.approx(log["datagnosis_confidence"], abs=1e-6)
        assert found.variability == pytest.approx(log["datagnosis_variability"], abs=1e-6)
        learnt = np.isfinite(found.forgetting)
        assert 0 < learnt.sum() < len(learnt)
        assert found.forgetting[learnt].tolist() == log["datagnosis_forgetting"][learnt].tolist()
        assert log["datagnosis_forgetting"][~learnt].tolist() == [0] * (~learnt).sum()  # there they look unforgettable
        assert np.ptp(found.variability) > 0.1


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 5),
    rows=st.integers(1, 12),
    classes=st.integers(2, 4),
)
def test_any_log_gives_what_a_loop_gives(seed: int, count: int, rows: int, classes: int) -> None:
    """Logits are small integers, so that ties are common; some rows are ignored."""
    chance = np.random.default_rng(seed)
    log = chance.integers(-2, 3, (count, rows, classes)).astype(np.float64)
    target = np.where(chance.random(rows) < 0.2, -100, chance.integers(0, classes, rows))
    expected = by_loop(log, target)

    found = read(list(log), target, logits_are="logits")

    for name in FIELDS:
        np.testing.assert_allclose(getattr(found, name), expected[name], rtol=1e-12, atol=1e-12, err_msg=name)


def test_the_suspicion_is_its_mean_over_the_epochs_and_finds_what_the_last_has_learnt(tmp_path: Path) -> None:
    """A wrong label that the network learns in its last epoch shows in the others; each epoch is its own dump."""
    chance = np.random.default_rng(3)
    true = chance.integers(0, 3, 300)
    target = np.where(np.arange(300) < 30, (true + 1) % 3, true)
    log = [chance.normal(size=(300, 3)) + 4 * np.eye(3)[labels] for labels in (true, true, target)]
    single = []
    for logits in log:
        analyse(logits, target, scores=tmp_path / "one.parquet", fit_temperature=False)
        single.append(pq.read_table(tmp_path / "one.parquet")["suspicion"].to_numpy())

    summary = analyse(log, target, epochs=True, scores=tmp_path / "all.parquet", fit_temperature=False)

    table = pq.read_table(tmp_path / "all.parquet")
    assert table["suspicion"].to_numpy() == pytest.approx(np.mean(single, axis=0), abs=1e-9)
    assert summary.rank_by == "suspicion"
    assert set(summary.suspects.row[:30].tolist()) == set(range(30))
    assert (np.argsort(-single[-1])[:30] >= 30).mean() > 0.5
    assert summary.wrong_labels is not None
    assert table["p_wrong"].to_numpy().sum() == pytest.approx(summary.wrong_labels.expected)
    assert "too low" in wrong_labels_words(summary)


def test_a_large_dump_is_ranked_by_the_mean_margin_unless_the_suspicion_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("xent_core.dump.analysis.SAMPLE_ELEMENTS", 60)
    log, target = np.random.default_rng(0).normal(size=(2, 50, 3)), np.arange(50) % 3

    summary = analyse(list(log), target, epochs=True, fit_temperature=False)
    assert (summary.rank_by, summary.looked_for_wrong_labels) == ("aum", False)
    assert summary.suspects.suspicion is None
    asked = analyse(list(log), target, epochs=True, rank_by="suspicion", fit_temperature=False)
    assert asked.suspects.suspicion is not None
    assert np.all(np.diff(asked.suspects.suspicion) <= 0)


def test_one_epoch_is_its_margin_and_probability_and_forgets_nothing() -> None:
    logits, target = np.array([[1.0, 3.0], [2.0, 0.5]]), np.array([0, 0])

    found = read([logits], target)

    assert found.aum.tolist() == [-2.0, 1.5]
    assert found.forgetting.tolist() == [math.inf, 0]
    assert found.variability.tolist() == [0, 0]
    assert found.confidence == pytest.approx([1 / (1 + math.exp(2)), 1 / (1 + math.exp(-1.5))])


def test_a_tie_is_right_for_the_first_class_alone_as_argmax_has_it() -> None:
    tied = np.zeros((2, 3))

    assert read([tied, tied], np.array([0, 1])).correctness.tolist() == [1, 0]


def test_a_nan_makes_the_means_nan_and_counts_as_wrong() -> None:
    good, bad = np.array([[2.0, 0.0]]), np.array([[np.nan, 0.0]])

    found = read([good, bad, good], np.array([0]))

    assert all(np.isnan(getattr(found, name)[0]) for name in ("aum", "confidence", "variability"))
    assert found.forgetting.tolist() == [1]
    assert found.correctness == pytest.approx([2 / 3])


def test_half_precision_and_the_temperature_are_taken_as_in_the_margin() -> None:
    logits = torch.tensor([[3.0, 1.0], [0.5, 2.0]], dtype=torch.bfloat16)

    found = read([logits, logits], np.array([0, 0]), temperature=2.0)

    assert found.aum.tolist() == [1.0, -0.75]
    assert found.names == ("epoch 1", "epoch 2")


def test_the_files_are_read_in_the_order_of_their_numbers_and_that_is_said(tmp_path: Path) -> None:
    paths = write(tmp_path, [2, 10, 1])
    log = [np.load(tmp_path / f"epoch_{number}.npz")["logits"] for number in (1, 2, 10)]
    expected = by_loop(np.stack(log), np.load(paths[0])["target"])

    for given_as in (paths, str(tmp_path / "epoch_*.npz"), tmp_path, sorted(map(str, paths))):
        summary = analyse(given_as, epochs=True, fit_temperature=False)
        assert summary.epochs is not None
        assert summary.epochs.names == ("epoch_1.npz", "epoch_2.npz", "epoch_10.npz")
        assert "3 epochs in this order: epoch_1.npz, epoch_2.npz, epoch_10.npz" in summary.reading.sentence()
        np.testing.assert_allclose(summary.epochs.forgetting, expected["forgetting"])
    alone = analyse(tmp_path / "epoch_10.npz", fit_temperature=False)
    assert summary.loss == alone.loss


def test_folders_are_epochs_too_and_named_by_what_tells_them_apart(tmp_path: Path) -> None:
    for number in (1, 2, 10):
        (tmp_path / f"epoch_{number}").mkdir()
        np.save(tmp_path / f"epoch_{number}" / "logits.npy", np.eye(2) * (number + 1))
    target = tmp_path / "y.npy"
    np.save(target, np.array([0, 1]))
    folders = [str(tmp_path / f"epoch_{number}") for number in (10, 1, 2)]

    found = read(folders, target)
    assert found.names == ("epoch_1", "epoch_2", "epoch_10")
    assert found.aum == pytest.approx([16 / 3, 16 / 3])
    files = read([f"{folder}/logits.npy" for folder in folders], target)
    assert files.names == tuple(str(tmp_path / f"epoch_{number}" / "logits.npy") for number in (1, 2, 10))
    target.rename(tmp_path.parent / "labels_of_folders.npy")
    assert read(tmp_path, tmp_path.parent / "labels_of_folders.npy").names == found.names


def test_labels_beside_are_one_for_all_or_one_for_each(tmp_path: Path) -> None:
    for number in (1, 2, 10):
        np.save(tmp_path / f"logits_{number}.npy", np.eye(2) * (number + 1))
        np.save(tmp_path / f"target_{number}.npy", np.array([0, 1]))
    pattern = str(tmp_path / "logits_*.npy")

    assert read(pattern, tmp_path / "target_1.npy").aum == pytest.approx([16 / 3, 16 / 3])
    assert read(pattern, str(tmp_path / "target_*.npy")).aum == pytest.approx([16 / 3, 16 / 3])
    assert read(tmp_path).names == ("logits_1.npy", "logits_2.npy", "logits_10.npy")
    with pytest.raises(InvalidDump, match="3 epochs came with 2 files of labels"):
        read(pattern, [tmp_path / "target_1.npy", tmp_path / "target_2.npy"])


def test_ids_find_the_rows_in_any_order(tmp_path: Path) -> None:
    rows = 3000
    paths = write(tmp_path, [1, 2, 3], rows=rows, shuffled=True)

    mixed = read(paths)

    log = [np.load(path) for path in paths]
    place = {name: row for row, name in enumerate(log[-1]["ids"].tolist())}
    margins = np.zeros(rows)
    for one in log:
        for logits, label, name in zip(one["logits"], one["target"], one["ids"].tolist(), strict=True):
            margins[place[name]] += logits[label] - np.delete(logits, label).max()
    assert mixed.aum == pytest.approx(margins / 3, abs=1e-6)


def test_the_split_into_batches_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = write(tmp_path, [1, 2, 3], rows=500, shuffled=True)
    whole = read(paths)
    monkeypatch.setattr("xent_core.dump.readers.BATCH_ELEMENTS", 3 * 7)
    split = read(paths)

    for name in FIELDS:
        np.testing.assert_allclose(getattr(whole, name), getattr(split, name), rtol=1e-12)


def saved(path: Path, logits: np.ndarray, target: np.ndarray, **more: np.ndarray) -> str:
    np.savez(path, logits=logits, target=target, **more)
    return str(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            "rows",
            "the epoch epoch_1.npz has 3 rows of 2 classes, expected 4 rows of 2 classes, as the epoch epoch_2.npz",
        ),
        ("classes", "the epoch epoch_1.npz has 4 rows of 3 classes"),
        ("label", "row 2 of the epoch epoch_1.npz has the label 0, expected 1, as in row 2 of the epoch epoch_2.npz"),
        ("names", "the epoch epoch_1.npz has the classes b, a, expected the classes a, b"),
        ("ids gone", "the epoch epoch_1.npz has no ids"),
        (
            "other id",
            "row 3 of the epoch epoch_1.npz has the id 'z', expected an id that occurs in the epoch epoch_2.npz",
        ),
        ("twice", "the id 'a' of row 1 of the epoch epoch_1.npz occurs twice"),
    ],
)
def test_epochs_of_other_rows_are_refused_with_the_file_and_the_row(tmp_path: Path, change: str, message: str) -> None:
    logits, target = np.eye(4)[:, :2], np.array([0, 1, 1, 0])
    names, ids = np.array(["a", "b"]), np.array(["a", "b", "c", "d"])
    more: dict[str, np.ndarray] = {"class_names": names} if change == "names" else {}
    more |= {"ids": ids} if "id" in change or change == "twice" else {}
    last = saved(tmp_path / "epoch_2.npz", logits, target, **more)
    match change:
        case "rows":
            logits, target = logits[:3], target[:3]
        case "classes":
            logits = np.eye(4)[:, :3]
        case "label":
            target = np.array([0, 1, 0, 0])
        case "names":
            more = {"class_names": names[::-1]}
        case "ids gone":
            more = {}
        case "other id":
            more = {"ids": np.array(["b", "a", "c", "z"])}
            target = np.array([1, 0, 1, 0])
        case "twice":
            more = {"ids": np.array(["a", "a", "c", "d"])}
    first = saved(tmp_path / "epoch_1.npz", logits, target, **more)

    with pytest.raises(InvalidDump) as refused:
        read([first, last])
    assert message in str(refused.value)


def test_ids_that_occur_twice_in_the_last_epoch_are_refused_only_where_the_order_differs(tmp_path: Path) -> None:
    logits, target = np.eye(3)[:, :2], np.zeros(3, np.int64)
    last = saved(tmp_path / "epoch_2.npz", logits, target, ids=np.array(["a", "b", "a"]))
    same = saved(tmp_path / "epoch_1.npz", logits, target, ids=np.array(["a", "b", "a"]))
    assert read([same, last]).aum.tolist() == [1, -1, 0]

    other = saved(tmp_path / "epoch_1.npz", logits, target, ids=np.array(["b", "a", "a"]))
    with pytest.raises(InvalidDump, match="the id 'a' of row 2 of the epoch epoch_2"):
        read([other, last])


def test_without_ids_shuffled_epochs_are_refused_with_the_way_out(tmp_path: Path) -> None:
    target = np.array([0, 1, 0, 1])
    first = saved(tmp_path / "epoch_1.npz", np.eye(4)[:, :2], target[::-1])
    last = saved(tmp_path / "epoch_2.npz", np.eye(4)[:, :2], target)

    with pytest.raises(InvalidDump, match="not shuffled, or with ids"):
        read([first, last])


def command(*arguments: str) -> list[str]:
    return ["analyse", *arguments, "--no-temperature"]


def test_the_files_of_a_shells_pattern_are_refused_with_both_commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [str(path) for path in write(tmp_path, [1, 10, 2])]

    assert main(command(*paths)) == 2
    lines = capsys.readouterr().err.splitlines()

    assert "3 files came whose names differ in numbers alone" in lines[0]
    typed = " ".join(paths)
    assert lines[1:] == [
        f"  python -m xent_core analyse {typed} --no-temperature --epochs",
        f"  python -m xent_core analyse {typed} --no-temperature --shards",
    ]
    assert main(command(*paths, "--epochs", "--json")) == 0
    numbers = json.loads(capsys.readouterr().out)
    assert numbers["rows"] == 40
    assert numbers["epochs"]["names"] == ["epoch_1.npz", "epoch_2.npz", "epoch_10.npz"]
    assert main(command(*paths, "--shards", "--json")) == 0
    numbers = json.loads(capsys.readouterr().out)
    assert numbers["rows"] == 120
    assert "epochs" not in numbers


def test_two_epochs_are_not_taken_for_logits_and_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The second file holds labels too, so that it could be read as such without a word."""
    paths = [str(path) for path in write(tmp_path, [1, 2])]

    assert main(command(*paths)) == 2
    assert f"or --target {paths[1]}, if that holds the labels" in capsys.readouterr().err
    assert main(command(*paths, "--epochs", "--json")) == 0
    assert json.loads(capsys.readouterr().out)["epochs"]["names"] == ["epoch_1.npz", "epoch_2.npz"]


def test_logits_and_labels_may_still_come_as_two_files_and_more_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {name: str(tmp_path / f"{name}.npy") for name in ("logits1", "logits2", "target")}
    np.save(files["logits1"], 2 * np.eye(2))
    np.save(files["logits2"], 2 * np.eye(2))
    np.save(files["target"], np.array([0, 1]))

    assert main(command(files["logits1"], files["target"])) == 0
    assert main(command(files["logits1"], files["target"], "--epochs", "--json")) == 0
    capsys.readouterr()
    assert main(command(files["logits1"], files["logits2"], "--target", files["target"], "--epochs", "--json")) == 0
    assert json.loads(capsys.readouterr().out)["epochs"]["names"] == ["logits1.npy", "logits2.npy"]
    assert main(command(*files.values())) == 2
    assert "Put a pattern between quotation marks" in capsys.readouterr().err


@pytest.mark.parametrize(("names", "why"), [("epoch_", "their names count epochs"), ("part-", "the same ids")])
def test_shards_that_may_be_epochs_are_asked_about(tmp_path: Path, names: str, why: str) -> None:
    for path in write(tmp_path, [1, 2]):
        path.rename(tmp_path / path.name.replace("epoch_", names))

    for given_as in (tmp_path, str(tmp_path / "*.npz"), list(tmp_path.iterdir())):
        with pytest.raises(InvalidDump, match=why) as refused:
            analyse(given_as)
        assert refused.value.answers == ({"epochs": ""}, {"shards": ""})
        assert analyse(given_as, epochs=False, fit_temperature=False).rows == 80
        assert analyse(given_as, epochs=True, fit_temperature=False).rows == 40


def test_the_same_labels_in_the_same_order_are_asked_about_too() -> None:
    chance = np.random.default_rng(0)
    log, target = chance.normal(size=(2, 50, 3)), chance.integers(0, 3, 50)

    with pytest.raises(InvalidDump, match="the same labels, row by row"):
        analyse(list(log), [target, target])
    assert analyse(list(log), [target, target[::-1]], fit_temperature=False).rows == 100
    assert analyse(list(log), [np.zeros(50, int), np.zeros(50, int)], fit_temperature=False).rows == 100


def test_shards_whose_ids_only_count_their_rows_are_shards(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    for part in (0, 1):
        ids = np.arange(30).astype(str)
        saved(tmp_path / f"part-{part}.npz", chance.normal(size=(30, 3)), chance.integers(0, 3, 30), ids=ids)

    assert analyse(tmp_path, fit_temperature=False).rows == 60


def test_the_columns_are_in_the_tables_the_report_and_the_first_suspects(tmp_path: Path) -> None:
    paths = write(tmp_path, [1, 2, 3], rows=60)
    parquet, text = tmp_path / "scores.parquet", tmp_path / "scores.csv"

    summary = analyse(paths, epochs=True, rank_by="aum", scores=parquet, fit_temperature=False)
    analyse(paths, epochs=True, rank_by="aum", scores=text, fit_temperature=False, batch_rows=7)

    found, suspects = summary.epochs, summary.suspects
    assert found is not None
    table = pq.read_table(parquet)
    with text.open(newline="") as file:
        lines = list(csv.DictReader(file))
    for name in FIELDS:
        column = getattr(found, name)
        assert table[name].to_numpy().tolist() == column.tolist()
        assert [float(line[name]) for line in lines] == column.tolist()
        assert getattr(suspects, name).tolist() == column[suspects.row].tolist()
    assert suspects.row.tolist() == np.argsort(found.aum, kind="stable").tolist()
    assert table.sort_by("rank")["row"].to_pylist() == suspects.row.tolist()
    chosen = select(parquet, Choice(), ClassGroups.of(3), rank_by="aum").suspects
    assert chosen.forgetting is not None
    assert chosen.forgetting.tolist() == suspects.forgetting.tolist()
    page = report_html(summary, title="run")
    assert "Data map" in page
    assert "<th>AUM</th>" in page
    numbers = json.loads(summary.as_json())["epochs"]
    assert numbers["never_learnt"] == int(np.isinf(found.forgetting).sum())
    assert numbers["aum_quantiles"]["0.5"] == float(np.quantile(found.aum, 0.5, method="inverted_cdf"))


def test_a_single_dump_has_none_of_it(tmp_path: Path) -> None:
    logits, target = 2 * np.eye(3), np.arange(3)
    summary = analyse(logits, target, scores=tmp_path / "s.parquet", fit_temperature=False)

    assert summary.epochs is None
    assert summary.suspects.aum is None
    assert not set(FIELDS) & set(pq.read_table(tmp_path / "s.parquet").column_names)
    assert "Data map" not in report_html(summary, title="one")
    with pytest.raises(InvalidDump, match="several epochs"):
        analyse(logits, target, rank_by="aum")


def test_epochs_that_were_stopped_say_nothing_and_the_suspects_follow_the_margin() -> None:
    log, target = np.random.default_rng(0).normal(size=(3, 50, 3)), np.arange(50) % 3
    stages = []

    def stop(progress: Progress) -> bool:
        stages.append((progress.stage, progress.rows, progress.total_rows))
        return progress.stage == "epochs" and progress.rows == 100

    summary = analyse(list(log), target, epochs=True, rank_by="aum", fit_temperature=False, progress=stop)

    assert stages[:2] == [("epochs", 50, 150), ("epochs", 100, 150)]
    assert summary.epochs is None
    assert summary.rank_by == "margin"
    assert len(summary.suspects) == 50


def test_the_files_of_epochs_are_closed_again_also_after_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    before = epochs.Dump.close
    monkeypatch.setattr(epochs.Dump, "close", lambda dump: (opened.append(dump.name), before(dump))[1])
    paths = write(tmp_path, [1, 2, 3])
    logits = np.load(paths[1])["logits"]
    saved(paths[1], logits, np.zeros(40, np.int64), ids=np.load(paths[0])["ids"])

    with pytest.raises(InvalidDump, match="epoch_2"):
        read(paths)
    assert opened == ["epoch_1.npz", "epoch_2.npz", "epoch_3.npz"]


def test_a_cluster_is_refused() -> None:
    with pytest.raises(InvalidDump, match="Leave the cluster out"):
        analyse([np.eye(2)], np.arange(2), epochs=True, cluster="tcp://127.0.0.1:1")


def test_ranges_of_epochs_are_refused_for_a_table_without_them(tmp_path: Path) -> None:
    analyse(2 * np.eye(4), np.arange(4), scores=tmp_path / "s.parquet", fit_temperature=False)

    with pytest.raises(InvalidDump, match="no column 'confidence'"):
        select(tmp_path / "s.parquet", Choice(confidence=(0.0, 0.5)), ClassGroups.of(4))
