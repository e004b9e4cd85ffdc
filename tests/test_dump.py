"""The whole of a dump: every number of the summary against F.cross_entropy, scikit-learn, SciPy or a plain loop."""

import errno
import itertools
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import csv
from scipy.optimize import minimize_scalar
from sklearn.metrics import accuracy_score, confusion_matrix

from harness.sample_dumps import sparse_dump
from xent_core.dump import (
    InvalidDump,
    LossOptions,
    analyse,
    analysis,
    open_dump,
    pair_detail,
    scores_of_rows,
    scores_table,
)
from xent_core.dump.readers import Batch
from xent_core.dump.statistics import MAX_MATRIX_CLASSES
from xent_core.dump.temperature import Slope, slope_of

torch.set_num_threads(1)  # a second thread only waits for the first on small dumps

OPTIONS = [
    {},
    {"reduction": "sum", "temperature": 2.5},
    {"weight": [0.5, 1.0, 2.0, 3.0, 0.25]},
    {"label_smoothing": 0.2, "temperature": 0.7},
    {"weight": [0.5, 1.0, 2.0, 3.0, 0.25], "label_smoothing": 0.1, "ignore_index": 2, "temperature": 1.7},
]


def draw(rows: int, classes: int = 5, *, seed: int = 0, scale: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(seed)
    logits = scale * chance.normal(size=(rows, classes))
    target = chance.integers(0, classes, rows)
    logits[np.arange(rows), target] += scale / 2
    return logits, target


def by_torch(logits: np.ndarray, target: np.ndarray, options: dict) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The loss, its row losses, and the gradient of their sum, by PyTorch and autograd alone."""
    options = dict(options)
    temperature = options.pop("temperature", 1.0)
    if "weight" in options:
        options["weight"] = torch.tensor(options["weight"], dtype=torch.float64)
    leaf = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor(target)
    loss = F.cross_entropy(leaf / temperature, labels, **options)
    rows = F.cross_entropy(leaf / temperature, labels, **{**options, "reduction": "none"})
    rows.sum().backward()
    return loss.detach(), rows.detach(), leaf.grad


@pytest.mark.parametrize("options", OPTIONS)
def test_loss_and_gradients_are_pytorchs(options: dict) -> None:
    logits, target = draw(400)
    loss, _, grad = by_torch(logits, target, options)

    summary = analyse(logits, target, fit_temperature=False, **options)

    kept = target != options.get("ignore_index", -100)
    norm = grad.norm(dim=1).numpy()
    push = (grad.sum(0) / (summary.denominator if options.get("reduction") != "sum" else 1)).numpy()
    mean = np.stack([grad.numpy()[kept & (target == c)].sum(0) for c in range(5)])
    support = np.array([(kept & (target == c)).sum() for c in range(5)])
    assert summary.loss == pytest.approx(float(loss), rel=1e-10)
    np.testing.assert_allclose(summary.net_push, push, rtol=1e-9, atol=1e-12)
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(summary.mean_gradient, mean / support[:, None], rtol=1e-9, atol=1e-12)
    share = np.array([norm[target == c].sum() for c in range(5)]) / norm.sum()
    np.testing.assert_allclose(summary.class_share, share, rtol=1e-9)


@pytest.mark.parametrize("options", OPTIONS)
def test_the_table_of_scores_holds_what_a_plain_loop_finds(tmp_path, options: dict) -> None:
    logits, target = draw(60, seed=3)
    _, row_loss, grad = by_torch(logits, target, options)

    analyse(logits, target, scores=tmp_path / "s.parquet", fit_temperature=False, batch_rows=7, **options)

    table = pq.read_table(tmp_path / "s.parquet").to_pylist()
    temperature = options.get("temperature", 1.0)
    kept = [row for row in range(60) if target[row] != options.get("ignore_index", -100)]
    assert [entry["row"] for entry in table] == kept
    suspicion = {}
    for entry in table:
        row = entry["row"]
        suspicion[row] = entry["suspicion"]
        z = [float(value) / temperature for value in logits[row]]
        largest = max(z)
        total = sum(math.exp(value - largest) for value in z)
        p = [math.exp(value - largest) / total for value in z]
        label = int(target[row])
        others = max(value for c, value in enumerate(z) if c != label)
        assert entry["target"] == label
        assert entry["prediction"] == z.index(largest) == entry["suggested"]
        assert entry["loss"] == pytest.approx(float(row_loss[row]), rel=1e-9, abs=1e-12)
        assert entry["grad_norm"] == pytest.approx(float(grad[row].norm()), rel=1e-9)
        assert entry["el2n"] == pytest.approx(math.dist(p, [float(c == label) for c in range(5)]), rel=1e-9)
        assert entry["margin"] == pytest.approx(z[label] - others, rel=1e-9, abs=1e-12)
        assert entry["prob"] == pytest.approx(p[label], rel=1e-9)
        assert entry["entropy"] == pytest.approx(-sum(x * math.log(x) for x in p), rel=1e-9)
    by_rank = [entry["row"] for entry in sorted(table, key=lambda entry: entry["rank"])]
    assert by_rank == sorted(kept, key=lambda row: -suspicion[row])
    assert sorted(entry["rank"] for entry in table) == list(range(1, len(kept) + 1))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("rows", [0, 1, 7, 8, 9, 16, 17, 24])
@pytest.mark.parametrize("batch_rows", [1, 4, 8, 100])
def test_a_table_of_scores_ends_anywhere(tmp_path, monkeypatch, suffix: str, rows: int, batch_rows: int) -> None:
    monkeypatch.setattr(scores_table, "ROWS_PER_GROUP", 8)
    logits, target = draw(max(rows, 3), seed=rows)
    if not rows:
        target[:] = -100  # nothing is kept
    logits, target = logits[: rows or 3], target[: rows or 3]
    names = [f"image {row}" for row in range(len(target))]
    path = tmp_path / f"scores{suffix}"

    analyse(
        *(logits, target),
        features=np.full((len(target), 2), 3.0, np.float32),
        ids=np.array(names),
        text=np.array([f"text of {name}" for name in names]),
        image=np.array([f"{name}.png" for name in names]),
        scores=path,
        fit_temperature=False,
        batch_rows=batch_rows,
    )

    table = (pq.read_table if suffix == ".parquet" else csv.read_csv)(path).to_pydict()
    assert table["row"] == list(range(rows))
    assert table["id"] == names[:rows]
    assert table["text"] == [f"text of {name}" for name in names[:rows]]
    assert table["image"] == [f"{name}.png" for name in names[:rows]]
    assert sorted(table["rank"]) == list(range(1, rows + 1))
    norms = [el2n * math.hypot(3.0, 3.0, 1.0) for el2n in table["el2n"]]  # weights and bias
    assert table["last_layer_norm"] == pytest.approx(norms, rel=1e-6)
    assert os.listdir(tmp_path) == [path.name]


def test_more_rows_than_a_group_of_parquet_keep_their_names(tmp_path) -> None:
    rows = 2**15 + 1
    logits, target = draw(rows)

    analyse(logits, target, ids=np.arange(rows), scores=tmp_path / "s.parquet", fit_temperature=False)

    assert pq.read_table(tmp_path / "s.parquet")["id"].to_pylist() == [str(row) for row in range(rows)]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_disk_that_is_full_leaves_no_part_of_the_table(tmp_path, monkeypatch, suffix: str) -> None:
    def full(self: object, start: int, stop: int) -> np.ndarray:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(scores_table.Ranks, "read", full)
    with pytest.raises(OSError, match="No space left"):
        analyse(*draw(20), scores=tmp_path / f"scores{suffix}", fit_temperature=False)

    assert os.listdir(tmp_path) == []


def test_accuracy_and_confusion_are_scikit_learns() -> None:
    logits, target = draw(500)

    summary = analyse(logits, target, fit_temperature=False)

    assert summary.accuracy == accuracy_score(target, logits.argmax(1))
    np.testing.assert_array_equal(summary.confusion, confusion_matrix(target, logits.argmax(1)))
    np.testing.assert_array_equal(summary.support, np.bincount(target))
    np.testing.assert_array_equal(summary.predicted, np.bincount(logits.argmax(1)))


def test_calibration_is_that_of_a_plain_loop_over_fifteen_bins() -> None:
    logits, target = draw(900)
    probs = torch.tensor(logits).softmax(1).numpy()
    error = 0.0
    for b in range(15):
        inside = [i for i in range(900) if b / 15 < probs[i].max() <= (b + 1) / 15]
        if inside:
            right = sum(int(probs[i].argmax() == target[i]) for i in inside)
            error += abs(right - sum(probs[i].max() for i in inside)) / 900

    summary = analyse(logits, target, fit_temperature=False)

    assert summary.expected_calibration_error == pytest.approx(error, rel=1e-9)
    assert int(summary.calibration.reliability.counts.sum()) == 900


@pytest.mark.parametrize("scale", [0.3, 2.0, 9.0])
@pytest.mark.parametrize("options", OPTIONS)
def test_the_best_temperature_is_the_one_that_scipy_finds(options: dict, scale: float) -> None:
    logits, target = draw(3_000, scale=scale)
    without = {name: value for name, value in options.items() if name != "temperature"}

    def loss(log_t: float) -> float:
        return float(by_torch(logits, target, {**without, "temperature": math.exp(log_t)})[0])

    found = minimize_scalar(loss, bounds=(math.log(0.01), math.log(100)), method="bounded", options={"xatol": 1e-6})
    summary = analyse(logits, target, **options)

    assert summary.best_temperature == pytest.approx(math.exp(found.x), rel=0.01)
    now = float(by_torch(logits, target, options)[0])
    assert summary.temperature_gain == pytest.approx(now - found.fun, rel=1e-3, abs=1e-6 * abs(now))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_sums_behind_the_best_temperature_are_the_loss_and_its_derivatives(options: dict) -> None:
    """With respect to β = 1/T, summed over parts of a batch; beside them what the rows add to the denominator."""
    logits, target = (torch.tensor(array) for array in draw(23))
    known = {name: options[name] for name in ("label_smoothing", "ignore_index") if name in options}
    weight = torch.tensor(options.get("weight", [1.0] * 5), dtype=torch.float64)
    beta = torch.tensor(0.8, dtype=torch.float64, requires_grad=True)
    loss = F.cross_entropy(beta * logits, target, weight, reduction="sum", **known)
    (first,) = torch.autograd.grad(loss, beta, create_graph=True)
    (second,) = torch.autograd.grad(first, beta)

    parts = [Batch(torch.arange(23)[part], logits[part], target[part]) for part in (slice(9), slice(9, 23))]
    found = sum((slope_of(part, LossOptions(**known, weight=weight), 0.8) for part in parts), Slope())

    expected = [float(value) for value in (loss.detach(), first.detach(), second)]
    assert [found.loss, found.first, found.second] == pytest.approx(expected, rel=1e-9)
    assert found.mass == pytest.approx(float(weight[target[target != known.get("ignore_index", -100)]].sum()))


def test_a_dump_larger_than_the_sample_gets_its_temperature_from_every_row() -> None:
    logits, target = draw(30_000, 200, scale=1.5)
    logits[:5_000] *= 3  # the first rows are not like the others

    summary = analyse(logits, target)

    def loss(t: float) -> float:
        return float(F.cross_entropy(torch.tensor(logits) / t, torch.tensor(target)))

    best = summary.best_temperature
    assert summary.best.passes >= 1
    assert loss(best) < min(loss(best * 1.01), loss(best / 1.01))


def test_rows_that_are_all_right_have_their_best_temperature_at_the_end_of_the_range() -> None:
    logits = np.eye(3) * 4

    summary = analyse(logits, np.arange(3))

    assert (summary.best_temperature, summary.best.at_bound) == (0.01, True)


def test_quantiles_and_lorenz_curve_are_those_of_the_sorted_values(tmp_path) -> None:
    logits, target = draw(2_000)
    _, row_loss, grad = by_torch(logits, target, {})
    norm = np.sort(grad.norm(dim=1).numpy())[::-1]

    summary = analyse(logits, target, fit_temperature=False)

    for share in (0.0, 0.1, 0.5, 0.99, 1.0):
        exact = np.quantile(row_loss.numpy(), share, method="inverted_cdf")
        assert summary.loss_histogram.quantile(share) == pytest.approx(exact, rel=0.005)
    carried = {str(share): norm[: round(share * 2_000)].sum() / norm.sum() for share in (0.01, 0.1, 0.5)}
    assert {share: summary.lorenz.carried_by(float(share)) for share in carried} == pytest.approx(carried, rel=0.005)
    assert json.loads(summary.as_json())["gradient_carried_by"] == pytest.approx(carried, rel=0.005)


def test_a_picture_of_the_histogram_keeps_every_row() -> None:
    logits, target = draw(2_000)

    edges, counts = analyse(logits, target, fit_temperature=False).loss_histogram.coarser(30)

    row_loss = by_torch(logits, target, {})[1].numpy()
    assert len(edges) == len(counts) + 1 <= 31
    np.testing.assert_array_equal(counts[1:-1], np.histogram(row_loss, edges)[0][1:-1])
    assert counts.sum() == 2_000


def test_the_norm_of_the_last_layer_is_autograds(tmp_path) -> None:
    logits, target = draw(20)
    features = np.random.default_rng(1).normal(size=(20, 7))

    analyse(logits, target, features=features, label_smoothing=0.1, temperature=1.5, scores=tmp_path / "s.parquet")

    column = pq.read_table(tmp_path / "s.parquet")["last_layer_norm"].to_pylist()
    for row in range(20):
        h = torch.tensor(features[row])
        w = torch.zeros(5, 7, dtype=torch.float64, requires_grad=True)
        b = torch.tensor(logits[row], requires_grad=True)
        F.cross_entropy((w @ h + b) / 1.5, torch.tensor(target[row]), label_smoothing=0.1).backward()
        assert column[row] == pytest.approx(float(torch.cat([w.grad.reshape(-1), b.grad]).norm()), rel=1e-9)


def test_a_row_of_weight_two_counts_as_two_rows_in_the_loss_and_the_gradient() -> None:
    logits, target = draw(50)
    twice = np.concatenate([logits, logits[:10]]), np.concatenate([target, target[:10]])
    options = {"weight": [0.5, 1.0, 2.0, 3.0, 0.25], "label_smoothing": 0.1}

    weighted = analyse(logits, target, sample_weight=np.where(np.arange(50) < 10, 2.0, 1.0), **options)
    repeated = analyse(*twice, **options)

    assert weighted.loss == pytest.approx(repeated.loss, rel=1e-12)
    assert weighted.best_temperature == pytest.approx(repeated.best_temperature, rel=1e-6)
    np.testing.assert_allclose(weighted.net_push, repeated.net_push, rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(weighted.class_share, repeated.class_share, rtol=1e-9)


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32), batch_rows=st.integers(1, 50), cuts=st.lists(st.integers(1, 79), max_size=4))
def test_any_split_into_shards_and_batches_gives_the_same_summary(seed: int, batch_rows: int, cuts: list[int]) -> None:
    logits, target = draw(80, seed=seed)
    logits = logits.astype(np.float32)
    logits[seed % 80, seed % 5] = (np.nan, np.inf, -np.inf, 0.0)[seed % 4]
    edges = [0, *sorted(set(cuts)), 80]
    shards = [(logits[a:b], target[a:b]) for a, b in itertools.pairwise(edges)]

    whole = analyse(logits, target, ignore_index=1, label_smoothing=0.1)
    split = analyse(
        [part for part, _ in shards],
        [part for _, part in shards],
        batch_rows=batch_rows,
        ignore_index=1,
        label_smoothing=0.1,
    )

    for name in ("rows", "kept", "nonfinite", "unpredicted", "accuracy"):
        assert getattr(split, name) == getattr(whole, name)
    for name in ("support", "correct", "predicted", "confusion"):
        np.testing.assert_array_equal(getattr(split, name), getattr(whole, name))
    for name in ("loss", "class_loss", "class_share", "net_push", "mean_gradient", "pair_share", "best_temperature"):
        np.testing.assert_allclose(getattr(split, name), getattr(whole, name), rtol=1e-9, atol=1e-9)
    for name in ("loss_histogram", "grad_norm_histogram"):
        np.testing.assert_array_equal(getattr(split, name).counts, getattr(whole, name).counts)
    np.testing.assert_array_equal(split.suspects.row, whole.suspects.row)
    assert split.expected_calibration_error == pytest.approx(whole.expected_calibration_error, rel=1e-9, nan_ok=True)


def test_losses_that_are_all_zero_are_drawn_as_one_bin_of_them() -> None:
    only_class = analyse(torch.zeros(7, 1), torch.zeros(7, dtype=torch.int64), fit_temperature=False)
    edges, counts = only_class.loss_histogram.coarser(30)

    assert counts.sum() == 7
    assert len(edges) == len(counts) + 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_coarser_dtypes_are_computed_in_float32(dtype: torch.dtype) -> None:
    logits, target = draw(300)
    tensor = torch.tensor(logits).to(dtype)

    summary = analyse(tensor, target)

    assert summary.dtype == str(dtype).removeprefix("torch.")
    assert summary.loss == pytest.approx(float(F.cross_entropy(tensor.double(), torch.tensor(target))), rel=1e-6)


def test_nan_and_infinity_are_shown_and_counted() -> None:
    logits, target = draw(10)
    logits[0, 0], logits[1, target[1]] = np.nan, -np.inf

    summary = analyse(logits, target)

    assert math.isnan(summary.loss)
    assert (summary.unpredicted, summary.nonfinite) == (1, 1)
    assert summary.loss_histogram.nan == 1
    assert summary.loss_histogram.largest == math.inf
    assert np.isfinite(summary.net_push).all()
    assert json.loads(summary.as_json())["loss"] == "nan"


def test_an_impossible_class_is_harmless_beside_the_label() -> None:
    logits, target = draw(40)
    logits[np.arange(40), (target + 1) % 5] = -np.inf
    loss, _, grad = by_torch(logits, target, {})

    summary = analyse(logits, target)

    assert summary.loss == pytest.approx(float(loss), rel=1e-12)
    assert summary.nonfinite == 0
    np.testing.assert_allclose(summary.net_push, grad.sum(0).numpy() / 40, atol=1e-12)
    assert np.isfinite(summary.suspects.entropy).all()
    assert math.isfinite(summary.best_temperature)


def test_sample_weights_alone_weigh_the_gradient() -> None:
    logits, target = draw(30)
    factor = np.linspace(0.1, 3.0, 30)
    leaf = torch.tensor(logits, requires_grad=True)
    rows = F.cross_entropy(leaf, torch.tensor(target), reduction="none")
    (rows * torch.tensor(factor)).sum().div(factor.sum()).backward()

    summary = analyse(logits, target, sample_weight=factor, fit_temperature=False)

    np.testing.assert_allclose(summary.net_push, leaf.grad.sum(0).numpy(), atol=1e-12)


def test_the_first_suspects_of_a_large_batch_are_its_smallest_margins() -> None:
    logits, target = draw(4_500, 3)
    own = logits[np.arange(4_500), target]
    logits[np.arange(4_500), target] = -np.inf
    margin = own - logits.max(1)
    logits[np.arange(4_500), target] = own

    suspects = analyse(logits, target, fit_temperature=False, batch_rows=4_500, rank_by="margin").suspects

    assert suspects.row.tolist() == np.argsort(margin, kind="stable")[: len(suspects)].tolist()
    assert len(suspects) == 1_000


def test_a_dump_of_ignored_rows_has_no_loss() -> None:
    summary = analyse(np.zeros((4, 3)), np.full(4, -100))

    assert (summary.rows, summary.kept) == (4, 0)
    assert math.isnan(summary.loss)
    assert math.isnan(summary.accuracy)
    assert len(summary.suspects) == 0


def test_one_class_has_no_gradient() -> None:
    summary = analyse(np.ones((4, 1)), np.zeros(4, np.int64))

    assert (summary.loss, summary.accuracy) == (0.0, 1.0)
    assert summary.grad_norm_histogram.largest == 0.0
    assert (summary.lorenz.carried_by(0.25), summary.lorenz.carried_by(1)) == (0.25, 1.0)  # of nothing, all the same


def test_many_classes_are_kept_by_groups_and_looked_into_again() -> None:
    classes = MAX_MATRIX_CLASSES + 501
    logits, target = draw(300, classes)
    target[:100] = 1_203
    grad = by_torch(logits, target, {})[2].numpy()

    summary = analyse(logits, target, fit_temperature=False)

    groups = summary.groups
    group = next(g for g in range(groups.count) if 1_203 in groups.members(g))
    rows = np.isin(target, list(groups.members(group)))
    block = grad[rows][:, groups.members(group).start : groups.members(group).stop]
    assert summary.mean_gradient.shape == (groups.count, groups.count)
    assert summary.mean_gradient[group, group] == pytest.approx(block.sum() / rows.sum(), rel=1e-9)
    assert summary.support.shape == (classes,)
    with open_dump(logits, target) as dump:
        detail = pair_detail(dump, groups.members(group), range(0, classes), LossOptions())
    place = 1_203 - groups.members(group).start
    np.testing.assert_allclose(detail.mean_gradient[place], grad[target == 1_203].mean(0), atol=1e-12)
    assert detail.confusion.sum() == rows.sum()


def test_single_rows_are_read_again() -> None:
    logits, target = draw(50)
    grad = by_torch(logits, target, {})[2]

    with open_dump(logits, target) as dump:
        scores = scores_of_rows(dump, [7, 3, 7], LossOptions())

    assert scores.row.tolist() == [7, 3, 7]
    torch.testing.assert_close(scores.grad, grad[[7, 3, 7]])


def test_whoever_watches_may_look_and_stop(tmp_path) -> None:
    logits, target = draw(100)
    seen = []

    def watch(progress) -> bool:
        seen.append((progress.rows, progress.summary().rows))
        return progress.rows >= 30

    summary = analyse(logits, target, batch_rows=10, progress=watch, scores=tmp_path / "s.parquet")

    assert seen == [(10, 10), (20, 20), (30, 30)]
    assert (summary.complete, summary.rows, summary.total_rows) == (False, 30, 100)
    assert summary.loss == pytest.approx(float(F.cross_entropy(torch.tensor(logits[:30]), torch.tensor(target[:30]))))
    assert summary.scores == tmp_path / "s.partial.parquet"
    table = pq.read_table(summary.scores)
    assert sorted(table["rank"].to_pylist()) == list(range(1, 31))
    assert [file.name for file in tmp_path.iterdir()] == ["s.partial.parquet"]


@pytest.mark.parametrize(("rank_by", "stages"), [(None, ["rows"]), ("suspicion", ["labels", "rows"])])
def test_whoever_watches_the_temperature_may_stop_it_and_keeps_the_summary(
    monkeypatch: pytest.MonkeyPatch, rank_by: str | None, stages: list[str]
) -> None:
    monkeypatch.setattr(analysis, "SAMPLE_ELEMENTS", 100)  # twenty rows of five classes
    seen, began = [], time.perf_counter()

    def watch(progress) -> bool:
        seen.append((progress.stage, progress.rows))
        assert 0 <= progress.seconds < time.perf_counter() - began
        return progress.stage == "temperature" and progress.rows >= 60

    summary = analyse(*draw(90), batch_rows=30, progress=watch, rank_by=rank_by)

    counted = [(stage, rows) for stage in stages for rows in (30, 60, 90)]
    assert seen[: len(counted)] == counted
    assert {stage for stage, _rows in seen[len(counted) :]} == {"temperature"}
    of_the_sample, of_the_whole = [rows for _stage, rows in seen[len(counted) : -2]], seen[-2:]
    assert 1 <= max(of_the_sample) <= 20
    assert of_the_whole == [("temperature", 30), ("temperature", 60)]
    assert (summary.complete, summary.stopped, summary.best) == (True, "temperature", None)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"temperature": 0.0}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"label_smoothing": 1.5}, "label-smoothing"),
        ({"reduction": "median"}, "reduction"),
        ({"weight": [1.0, 2.0]}, "weight-shape"),
        ({"device": "nowhere"}, "device"),
        ({"batch_rows": 0}, "batch-rows"),
        ({"rank_by": "loudness"}, "rank-by"),
        ({"scores": "scores.xlsx"}, "scores-suffix"),
        ({"scores": "/no/such/folder/s.csv"}, "scores-path"),
        ({"sample_weight": [np.nan] * 9}, "sample-weight"),
    ],
)
def test_options_that_cannot_be_used_are_refused(options: dict, code: str) -> None:
    with pytest.raises(InvalidDump) as caught:
        analyse(*draw(9), **options)

    assert caught.value.code == code


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is measured on Linux")
def test_memory_stays_within_300_mb_above_idle_whatever_the_size_of_the_file(tmp_path) -> None:
    sparse_dump(tmp_path, rows=1_000_000)  # 4 GB of zeros: what matters here is how they are read, not what they say

    ran = subprocess.run(
        [sys.executable, "-m", "harness.sample_dumps", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=Path(__file__).resolve().parents[1],
    )

    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) < 300e6
    assert pq.ParquetFile(tmp_path / "large.parquet").metadata.num_rows == 1_000_000
