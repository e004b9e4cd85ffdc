"""Calibration is that of torchmetrics, netcal and scikit-learn, whatever the split; intervals hold what they say."""

import html
import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from scripts.calibration_sets import SETS, drawn
from xent_core.dump import DumpSummary, analyse, calibration, statistics
from xent_core.dump.calibration import Kept, doubt_bin
from xent_core.dump.calibration_words import (
    calibration_verdict,
    main_calibration_numbers,
    why_calibration_errors_differ,
)
from xent_core.dump.report import report_html

LIBRARIES = json.loads((Path(__file__).parent / "data" / "calibration.json").read_text("utf-8"))
NAMES = sorted(set(LIBRARIES["sets"]["drawn"]) & set(calibration.ERRORS))


def summary_of(name: str) -> DumpSummary:
    return analyse(*SETS[name], fit_temperature=False)


@pytest.mark.parametrize("error", NAMES)
@pytest.mark.parametrize("name", SETS)
def test_every_error_is_its_librarys(name: str, error: str) -> None:
    expected = LIBRARIES["sets"][name][error]
    found = summary_of(name).calibration.error(error)

    assert found is not None
    if expected is None:  # netcal takes no equal quantiles
        assert name == "on edges"
    else:
        assert found.value == pytest.approx(expected, abs=1e-9)
    assert 0 <= found.low <= found.value <= found.high <= 1


def gap_of(rows: list[tuple[float, bool]]) -> float:
    """|Σ p − how many are right|, row by row."""
    return abs(math.fsum(confidence - right for confidence, right in rows))


def plain_rows(logits: np.ndarray, target: np.ndarray) -> list[tuple[float, bool]]:
    """The confidence of each row, and whether it is right, without an array."""
    rows = []
    for row, label in zip(logits.tolist(), target.tolist(), strict=True):
        powers = [math.exp(value - max(row)) for value in row]
        rows.append((max(powers) / sum(powers), row.index(max(row)) == label))
    return rows


@pytest.mark.parametrize("name", SETS)
def test_the_error_of_equal_widths_is_that_of_a_plain_loop(name: str) -> None:
    """No library has it: scikit-learn, whose bins these are, gives the bins alone."""
    rows = plain_rows(*SETS[name])
    bins = [[row for row in rows if k / 15 < row[0] <= (k + 1) / 15] for k in range(15)]

    assert summary_of(name).expected_calibration_error == pytest.approx(sum(map(gap_of, bins)) / len(rows), abs=1e-12)


def test_every_error_but_one_has_a_library_to_equal() -> None:
    assert set(calibration.ERRORS) - set(NAMES) == {"equal_width"}


@pytest.mark.parametrize("name", SETS)
def test_the_bins_of_the_diagram_and_the_brier_score_are_scikit_learns(name: str) -> None:
    found, expected = summary_of(name).calibration, LIBRARIES["sets"][name]
    used = found.reliability.counts > 0

    np.testing.assert_allclose(found.reliability.confidence[used], expected["reliability"]["confidence"], atol=1e-9)
    np.testing.assert_allclose(found.reliability.accuracy[used], expected["reliability"]["accuracy"], atol=1e-9)
    assert found.brier is not None
    assert found.brier.score == pytest.approx(expected["brier_score"], abs=1e-9)


def test_torchmetrics_for_many_classes_rounds_to_float32_and_is_no_nearer_than_that() -> None:
    expected = LIBRARIES["sets"]["drawn"]
    found = summary_of("drawn").calibration.error("equal_width_torchmetrics")

    assert found is not None
    assert found.value == pytest.approx(expected["multiclass_calibration_error"], abs=1e-6)


@pytest.mark.parametrize("name", SETS)
def test_the_parts_of_the_brier_score_are_those_of_plain_loops_and_sum_to_it(name: str) -> None:
    logits, target = SETS[name]
    probs = torch.tensor(logits).softmax(1).numpy()
    rows, parts = len(target), np.zeros(5)
    for k in range(logits.shape[1]):
        truth, base = target == k, (target == k).mean()
        parts[2] += base * (1 - base)
        for b in range(15):
            inside = (probs[:, k] >= b / 15) & ((probs[:, k] < (b + 1) / 15) | (b == 14))
            if inside.any():
                p, y = probs[inside, k], truth[inside]
                parts[0] += inside.sum() / rows * (p.mean() - y.mean()) ** 2
                parts[1] += inside.sum() / rows * (y.mean() - base) ** 2
                parts[3] += ((p - p.mean()) ** 2).sum() / rows
                parts[4] += 2 * ((p - p.mean()) * (y - y.mean())).sum() / rows

    brier = summary_of(name).calibration.brier

    assert brier is not None
    got = [brier.reliability, brier.resolution, brier.uncertainty, brier.within_variance, brier.within_covariance]
    np.testing.assert_allclose(got, parts, atol=1e-12)
    assert brier.score == pytest.approx(got @ np.array([1, -1, 1, 1, -1]), abs=1e-12)


def test_the_interval_of_a_bin_is_wilsons() -> None:
    bins = summary_of("drawn").calibration.reliability
    for i in np.flatnonzero(bins.counts):
        right, rows = round(bins.accuracy[i] * bins.counts[i]), int(bins.counts[i])
        wilson = binomtest(right, rows).proportion_ci(0.9, method="wilson")

        assert (bins.low[i], bins.high[i]) == pytest.approx((wilson.low, wilson.high), abs=1e-4)


@settings(max_examples=8)
@given(cuts=st.lists(st.integers(1, 299), min_size=1, max_size=4), batch_rows=st.integers(7, 90), few=st.booleans())
def test_no_split_changes_a_number(cuts: list[int], batch_rows: int, few: bool) -> None:
    logits, target = drawn(300)
    edges = [0, *sorted(set(cuts)), 300]
    with pytest.MonkeyPatch.context() as patch:
        if few:  # then nothing is kept, and fine bins have to do
            patch.setattr(statistics, "KEPT_CONFIDENCES", 100)
            patch.setattr(statistics, "KEPT_PROBABILITIES", 500)
        whole = analyse(logits, target, fit_temperature=False).calibration
        parts = [slice(*pair) for pair in itertools.pairwise(edges)]
        split = analyse(
            [logits[part] for part in parts],
            [target[part] for part in parts],
            batch_rows=batch_rows,
            fit_temperature=False,
        ).calibration

    assert [error.name for error in split.errors] == [error.name for error in whole.errors]
    assert ("adaptive" in [error.name for error in whole.errors]) is not few
    for one, other in zip(split.errors, whole.errors, strict=True):
        assert (one.value, one.low, one.high, one.off_by) == pytest.approx(
            (other.value, other.low, other.high, other.off_by), abs=1e-12
        )
    assert vars(split.brier) == pytest.approx(vars(whole.brier), abs=1e-12)


@pytest.mark.parametrize("first", [0, 1])
def test_merged_statistics_add_every_sum_and_keep_the_rows_of_both(first: int) -> None:
    parts = [statistics.Statistics(3), statistics.Statistics(3)]
    for number, part in enumerate(parts, 1):
        for name in vars(part.sums):
            getattr(part.sums, name).fill_(number)
        part.kept_confidences.add(torch.full((number,), 0.5), torch.ones(number))
        part.kept_probabilities.add(torch.full((number, 3), 0.5), torch.ones(number))

    merged = parts[first].merge(parts[1 - first])

    assert all(bool((total == 3).all()) for total in vars(merged.sums).values())
    for kept in (merged.kept_confidences.arrays(), merged.kept_probabilities.arrays()):
        assert kept is not None
        assert (len(kept[0]), len(kept[1])) == (3, 3)


def test_rows_beyond_the_limit_are_forgotten_whichever_part_had_them() -> None:
    full, one = Kept(3), Kept(3)
    full.add(torch.zeros(3), torch.zeros(3))
    one.add(torch.zeros(1), torch.zeros(1))
    one.merge(full)
    fresh = Kept(3)
    fresh.merge(one)

    assert one.parts is None
    assert fresh.parts is None


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32), ties=st.sampled_from([0, 2, 50]), sharp=st.floats(0.1, 30))
def test_fine_bins_are_off_by_no_more_than_they_say(seed: int, ties: int, sharp: float) -> None:
    rng = np.random.default_rng(seed)
    rows = int(rng.integers(20, 3000))
    confidence = 1 / (1 + np.exp(-np.abs(rng.normal(size=rows)) * sharp))
    if ties:
        confidence = np.ceil(confidence * ties) / ties
    right = (rng.random(rows) < confidence**2).astype(np.int64)
    place = doubt_bin(torch.tensor(confidence)).numpy()
    fine = [np.bincount(place, weights=part, minlength=calibration.DOUBT_BINS) for part in (None, confidence, right)]

    bins, off_by = calibration._cut((fine[0], fine[1], fine[2]))
    approximate = calibration._error("equal_mass", bins).value

    # bins [a, b) at the quantiles, between two rows where those lie between two
    ordered = sorted(zip(confidence.tolist(), right.tolist(), strict=True))
    edges = [-math.inf]
    for k in range(1, 15):
        below, part = divmod(k * (rows - 1), 15)
        edges.append(ordered[below][0] + part / 15 * (ordered[min(below + 1, rows - 1)][0] - ordered[below][0]))
    bounds = itertools.pairwise([*edges, math.inf])
    exact = sum(gap_of([row for row in ordered if low <= row[0] < high]) for low, high in bounds) / rows
    assert abs(approximate - exact) <= off_by + 1e-9


@pytest.mark.parametrize("power", [1.0, 1.2, 2.0])
def test_the_interval_holds_the_error_of_all_examples_nine_times_in_ten(power: float) -> None:
    """A model whose accuracy at confidence p is p^power."""
    rng = np.random.default_rng(5)
    edges = np.linspace(0, 1, 16)[1:-1]

    def bins_of(confidence: np.ndarray, right: np.ndarray) -> calibration.Bins:
        place = np.searchsorted(edges, confidence, side="right")
        one, two, three = (np.bincount(place, weights=part, minlength=15) for part in (None, confidence, right))
        return one, two, three

    def confidences(rows: int) -> np.ndarray:
        return 1 / (1 + np.exp(-np.abs(rng.normal(size=rows)) * 2.5))

    many = confidences(1_000_000)
    truth = calibration._error("equal_width", bins_of(many, many**power)).value
    held = 0
    for _ in range(300):
        some = confidences(500)
        found = calibration._error("equal_width", bins_of(some, rng.random(500) < some**power))
        held += found.low <= truth <= found.high

    assert held >= 0.88 * 300  # 0.9 less what chance takes from 300 tries


def test_rows_that_are_not_finite_are_left_out_of_calibration() -> None:
    logits, target = drawn(60)
    odd = logits.copy()
    odd[3, 1], odd[5, 2] = np.nan, np.inf
    without = [row for row in range(60) if row not in (3, 5)]

    found = analyse(odd, target, fit_temperature=False).calibration
    expected = analyse(logits[without], target[without], fit_temperature=False).calibration

    assert [error.value for error in found.errors] == pytest.approx([error.value for error in expected.errors])
    assert vars(found.brier) == pytest.approx(vars(expected.brier))


def said_and_right(*parts: tuple[float, int, int]) -> DumpSummary:
    """Two classes: of each part what the model says, of how many rows, and how many of them are right."""
    logits, target = [], []
    for says, rows, right in parts:
        logits += [[math.log(says), math.log(1 - says)]] * rows
        target += [0] * right + [1] * (rows - right)
    return analyse(np.array(logits), np.array(target), fit_temperature=False)


@pytest.mark.parametrize(
    ("parts", "verdict", "words"),
    [
        # 1.645·√(0.9·0.1/1000) is 0.0156, and of 883 right ones, where more is seen, 0.0167
        (
            [(0.9, 1000, 883)],
            "over-confident",
            "Over-confident: it says 0.90 on average, and is right 0.88 of the time.",
        ),
        ([(0.9, 1000, 884)], "calibrated", "Well calibrated, within what chance explains: it says 0.90"),
        ([(0.9, 1000, 915)], "calibrated", "Well calibrated, within what chance explains: it says 0.90"),
        (
            [(0.9, 1000, 916)],
            "under-confident",
            "Under-confident: it says 0.90 on average, and is right 0.92 of the time.",
        ),
        # the same share of fewer rows may be chance, and of more rows is none
        ([(0.9, 100, 88)], "calibrated", "Well calibrated"),
        ([(0.9, 40_000, 35_800)], "over-confident", "Over-confident: it says 0.900 on average, and is right 0.895"),
        # a tenth of a model that is never wrong is not seen in seven rows
        ([(0.9, 7, 7)], "too-few", "Too few rows to say: it says 0.90"),
        ([(0.55, 1, 1)], "too-few", "Too few rows to say: it says 0.55 on average, and is right 1.00"),
        ([(0.9, 29, 27)], "too-few", "Too few rows to say"),
        ([(0.9, 30, 27)], "calibrated", "Well calibrated"),
        ([(0.9, 1000, 980), (0.7, 1000, 620)], "uneven", "Right on average, but not at every confidence: it says 0.80"),
    ],
)
def test_the_verdict_is_what_chance_does_not_explain(
    parts: list[tuple[float, int, int]], verdict: str, words: str
) -> None:
    summary = said_and_right(*parts)

    assert summary.calibration.verdict == verdict
    assert calibration_verdict(summary).startswith(words)
    assert json.loads(summary.as_json())["calibration"]["verdict"] == verdict
    assert html.escape(words) in report_html(summary, title="parts")


def test_the_mean_gap_and_its_interval_are_those_of_a_plain_loop() -> None:
    rows = plain_rows(*SETS["drawn"])
    gaps = [confidence - right for confidence, right in rows]
    mean = math.fsum(gaps) / len(rows)
    seen = math.fsum((gap - mean) ** 2 for gap in gaps) / len(rows)
    by_chance = math.fsum(confidence * (1 - confidence) for confidence, _right in rows) / len(rows)
    error = 1.645 * math.sqrt(max(seen, by_chance) / len(rows))

    found = summary_of("drawn").calibration.confidence

    assert found.gap == pytest.approx(mean, abs=1e-12)
    assert (found.low, found.high) == pytest.approx((mean - error, mean + error), abs=1e-4)


@pytest.mark.long
def test_a_calibrated_model_is_called_so_about_nine_times_in_ten() -> None:
    """Its labels are drawn from its own probabilities."""
    chance = np.random.default_rng(9)
    said = []
    for _ in range(60):
        logits = chance.normal(size=(400, 3)) * 2
        share = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        target = (chance.random((400, 1)) > share.cumsum(1)).sum(1).clip(max=2)
        said.append(analyse(logits, target, fit_temperature=False).calibration.verdict)

    assert said.count("calibrated") >= 0.78 * 60  # 0.9 less what chance takes from 60 tries


def test_three_numbers_stand_below_the_verdict_with_their_intervals() -> None:
    found = summary_of("drawn").calibration
    (_gap, gap, gap_within), (_width, width, within), (_mass, mass, _within) = main_calibration_numbers(
        summary_of("drawn")
    )

    assert float(gap.replace("−", "-")) == pytest.approx(found.confidence.gap, abs=1e-4)
    assert float(gap_within.replace("−", "-").split()[0]) == pytest.approx(found.confidence.low, abs=1e-4)
    assert float(width) == pytest.approx(found.reliability.expected_calibration_error, abs=1e-4)
    assert within == f"{found.errors[0].low:.4f} … {found.errors[0].high:.4f}"
    assert float(mass) == pytest.approx(LIBRARIES["sets"]["drawn"]["equal_mass"], abs=1e-4)


def test_without_a_row_nothing_is_said_and_nothing_fails() -> None:
    summary = analyse(np.zeros((2, 3)), np.array([-100, -100]), fit_temperature=False)

    assert summary.calibration.brier is None
    assert math.isnan(summary.calibration.errors[0].value)
    assert summary.calibration.verdict == "unknown"
    assert (calibration_verdict(summary), main_calibration_numbers(summary)) == ("", [])
    assert why_calibration_errors_differ(summary) == ""
    assert "Calibration" in report_html(summary, title="empty")


def test_json_and_report_say_all_of_it() -> None:
    summary = summary_of("drawn")
    numbers = json.loads(summary.as_json())["calibration"]
    report = report_html(summary, title="drawn")

    assert set(numbers["errors"]) == set(calibration.ERRORS)
    assert numbers["errors"]["equal_mass"]["value"] == pytest.approx(LIBRARIES["sets"]["drawn"]["equal_mass"])
    assert numbers["brier"]["score"] == pytest.approx(LIBRARIES["sets"]["drawn"]["brier_score"])
    assert sum(bin_["rows"] for bin_ in numbers["reliability"]) == 300
    assert "Equal widths put" in report
    assert report.count("<polyline points=") >= int((summary.calibration.reliability.counts > 0).sum())
