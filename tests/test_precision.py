"""Each dtype against fifty digits of mpmath, and against NumPy's idea of the last place."""

import math
from dataclasses import replace

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.tolerances import assert_agree, tolerance
from xent_core import Problem
from xent_core.precision import (
    LOG_OF_SOFTMAX,
    LOG_SOFTMAX,
    MEAN,
    MEAN_IN_FLOAT32,
    PRECISION_PRESETS,
    SCALES,
    ErrorLine,
    Rounded,
    in_every_dtype,
    row_sweep,
    scale_sweep,
    ulp,
)
from xent_core.presets import PRESETS
from xent_core.problem import DTYPES

BELOW = ("float32", "bfloat16", "float16")


def exact_loss_and_gradient(logits: Tensor, labels: list[int]) -> tuple[float, list[list[float]]]:
    """The mean cross-entropy of class indices and its gradient, to fifty digits, from the numbers as they are."""
    with mpmath.workdps(50):
        losses, gradient = [], []
        for row, label in zip(logits.double().tolist(), labels, strict=True):
            exps = [mpmath.exp(mpmath.mpf(z)) for z in row]
            total = mpmath.fsum(exps)
            losses.append(mpmath.log(total) - mpmath.mpf(row[label]))
            gradient.append([float((e / total - (k == label)) / len(labels)) for k, e in enumerate(exps)])
        return float(mpmath.fsum(losses) / len(labels)), gradient


# float64 is right, so that the others can be measured by it


@pytest.mark.parametrize("scale", [1e-3, 1.0, 7.3, 100.0, 700.0])
def test_float64_is_right_to_fifteen_digits(scale: float) -> None:
    problem = PRESETS["digits"].problem.to(torch.float64)
    problem = replace(problem, logits=problem.logits * scale)
    loss, gradient = exact_loss_and_gradient(problem.logits, problem.target.tolist())

    run = in_every_dtype(problem)["float64"]

    assert float(run.evaluation.loss) == pytest.approx(loss, rel=1e-13, abs=1e-15)
    torch.testing.assert_close(
        run.evaluation.grad_logits, torch.tensor(gradient, dtype=torch.float64), rtol=1e-12, atol=1e-15
    )


@given(st.lists(st.lists(st.floats(-50, 50), min_size=3, max_size=3), min_size=1, max_size=4))
def test_float64_is_right_on_any_logits(rows: list[list[float]]) -> None:
    labels = [i % 3 for i in range(len(rows))]
    logits = torch.tensor(rows, dtype=torch.float64)
    loss, gradient = exact_loss_and_gradient(logits, labels)

    run = in_every_dtype(Problem(logits, torch.tensor(labels)))["float64"]

    assert float(run.evaluation.loss) == pytest.approx(loss, rel=1e-12, abs=1e-14)
    assert_agree(run.evaluation.grad_logits, torch.tensor(gradient, dtype=torch.float64))


@pytest.mark.parametrize("name", DTYPES)
def test_every_dtype_is_as_near_to_the_truth_as_it_can_be(name: str) -> None:
    """Against the exact numbers of the logits after rounding, which the dtype cannot be blamed for."""
    problem = PRESETS["digits"].problem.to(torch.float64)
    dtype = DTYPES[name]
    loss, gradient = exact_loss_and_gradient(problem.logits.to(dtype), problem.target.tolist())

    run = in_every_dtype(problem)[name]

    assert run.dtype == run.grad_logits.values.dtype == dtype
    assert_agree(run.evaluation.loss, torch.tensor(loss, dtype=torch.float64))
    assert_agree(run.evaluation.grad_logits, torch.tensor(gradient, dtype=torch.float64))
    assert_agree(run.naive_loss, torch.tensor(loss, dtype=torch.float64))
    assert_agree(run.naive_grad, torch.tensor(gradient, dtype=torch.float64))


@pytest.mark.parametrize("name", DTYPES)
def test_every_number_of_a_dtype_comes_from_rounded_logits(name: str) -> None:
    """0.1 is no number of any of them: each dtype sees its own neighbour of it."""
    run = in_every_dtype(Problem(torch.tensor([[0.1, 0.0]], dtype=torch.float64), [0]))[name]

    assert run.evaluation.problem.logits[0, 0] == torch.tensor(0.1, dtype=DTYPES[name])


# What an ulp is


# NumPy's spacing of the largest number of a type is the step to infinity
@given(st.floats(-(2.0**127), 2.0**127, width=32))
def test_an_ulp_of_float32_is_what_numpy_says(value: float) -> None:
    assert float(ulp(torch.tensor(value, dtype=torch.float64), torch.float32)) == abs(
        float(np.spacing(np.float32(value)))
    )


@given(st.floats(-(2.0**15), 2.0**15, width=16))
def test_an_ulp_of_float16_is_what_numpy_says(value: float) -> None:
    expected = abs(float(np.spacing(np.float16(abs(value)))))
    if math.isfinite(expected):
        assert float(ulp(torch.tensor(value, dtype=torch.float64), torch.float16)) == expected


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_an_ulp_of_float64_is_what_python_says(value: float) -> None:
    assert float(ulp(torch.tensor(value, dtype=torch.float64), torch.float64)) == math.ulp(value)


@pytest.mark.parametrize(("value", "expected"), [(1.0, 2.0**-7), (1.99, 2.0**-7), (2.0, 2.0**-6), (0.0, 2.0**-133)])
def test_an_ulp_of_bfloat16_by_hand(value: float, expected: float) -> None:
    """Seven bits behind the point: the step above 1 is 2⁻⁷; the smallest number above 0 is 2⁻¹²⁶⁻⁷."""
    assert float(ulp(torch.tensor(value), torch.bfloat16)) == expected


def test_an_ulp_beyond_the_largest_number_is_that_of_the_largest() -> None:
    values = torch.tensor([65504.0, 1e30, math.inf, math.nan], dtype=torch.float64)

    assert_agree(ulp(values, torch.float16), torch.tensor([32.0, 32.0, math.nan, math.nan], dtype=torch.float64))


# Errors


def test_errors_are_differences_and_nan_is_equal_to_nan() -> None:
    values = torch.tensor([1.0, math.nan, math.inf, -math.inf, math.nan, math.inf, 0.0])
    exact = torch.tensor([1.5, math.nan, math.inf, math.inf, 1.0, 1.0, 2.0**-149], dtype=torch.float64)
    rounded = Rounded(values, exact)

    assert rounded.error.tolist() == [0.5, 0, 0, math.inf, math.inf, math.inf, 2.0**-149]
    assert rounded.ulps.tolist() == [0.5 / 2**-23, 0, 0, math.inf, math.inf, math.inf, 1.0]
    assert rounded.became_zero.tolist() == [False] * 6 + [True]
    assert rounded.became_infinite.tolist() == [False] * 4 + [True, True, False]


@given(st.lists(st.floats(-20, 20), min_size=3, max_size=3), st.sampled_from(BELOW))
def test_cells_that_became_zero_are_those_zero_here_and_not_in_float64(row: list[float], name: str) -> None:
    run = in_every_dtype(Problem(torch.tensor([row], dtype=torch.float64), [0]))[name]
    _loss, ((*exact,),) = exact_loss_and_gradient(torch.tensor([row], dtype=torch.float64), [0])
    here = run.evaluation.grad_logits.tolist()[0]

    # the exact gradient of float64 may itself be 0 by cancellation where fifty digits are not
    for k in range(3):
        if abs(exact[k]) > 1e-14:
            assert bool(run.grad_logits.became_zero[0, k]) == (here[k] == 0)


@pytest.mark.parametrize("name", DTYPES)
def test_rows_of_the_gradient_sum_to_zero_up_to_rounding(name: str) -> None:
    run = in_every_dtype(PRESETS["digits"].problem)[name]
    by_hand = [math.fsum(row) for row in run.evaluation.grad_logits.tolist()]

    assert run.grad_row_sums.tolist() == pytest.approx(by_hand, abs=1e-16)
    assert float(run.grad_row_sums.abs().max()) <= tolerance(DTYPES[name]).atol / 10


# The presets


def test_the_float16_mean_overflows_where_the_others_do_not() -> None:
    """17 000 rows that lose ln(1 + e^3.88) = 3.9004 each: 66 307 is above 65 504."""
    runs = in_every_dtype(PRECISION_PRESETS["mean-overflows"].problem)
    row_loss = math.log1p(math.exp(3.88))

    assert row_loss * 17_000 > 65_504 == torch.finfo(torch.float16).max
    assert runs["float16"].evaluation.loss == math.inf
    assert runs["float16"].loss.largest_error == math.inf
    assert float(runs["float64"].evaluation.loss) == pytest.approx(row_loss, rel=1e-12)
    assert float(runs["float32"].evaluation.loss) == pytest.approx(row_loss, rel=1e-6)
    assert float(runs["bfloat16"].evaluation.loss) == pytest.approx(row_loss, rel=0.03)


def test_the_bfloat16_gradient_rounds_to_zero() -> None:
    """p = 1/(1 + 2e⁻⁸) = 0.99933 lies nearer to 1 than to 0.99609, its neighbour in bfloat16: p − 1 = 0."""
    runs = in_every_dtype(PRECISION_PRESETS["gradient-is-zero"].problem)
    expected = 1 / (1 + 2 * math.exp(-8)) - 1
    at_label = {name: float(run.evaluation.grad_logits[0, 0]) for name, run in runs.items()}

    assert at_label["float64"] == pytest.approx(expected, rel=1e-9)
    assert at_label["float32"] == pytest.approx(-0.000670, abs=5e-7)
    assert at_label["bfloat16"] == 0
    assert at_label["float16"] == pytest.approx(-0.000976, abs=5e-7)
    assert runs["bfloat16"].grad_logits.became_zero.tolist() == [[True, False, False]]


def test_log_of_softmax_is_infinite_where_log_softmax_is_exact() -> None:
    runs = in_every_dtype(PRECISION_PRESETS["log-of-softmax"].problem)

    assert [float(run.evaluation.loss) for run in runs.values()] == [200.0] * 4
    assert [float(run.naive_loss) for run in runs.values()] == [200.0, math.inf, math.inf, math.inf]


# Sweeps


def line_of(lines: list[ErrorLine], dtype: str, route: str) -> ErrorLine:
    (line,) = [line for line in lines if (line.dtype, line.route) == (dtype, route)]
    return line


def test_the_sweep_has_a_line_for_every_dtype_and_route_but_the_measure() -> None:
    lines = scale_sweep(PRESETS["worked-batch"].problem, [1.0, 10.0])
    routes = {(line.dtype, line.route) for line in lines}

    assert len(lines) == len(routes) == 2 * len(DTYPES) - 1
    assert ("float64", LOG_SOFTMAX) not in routes
    assert all(len(line.x) == len(line.loss_errors) == len(line.grad_errors) == 2 for line in lines)


@pytest.mark.parametrize("name", BELOW)
@pytest.mark.parametrize("scale", [0.3, 4.0])
def test_the_errors_of_the_sweep_are_those_against_fifty_digits(name: str, scale: float) -> None:
    problem = PRESETS["worked-batch"].problem.to(torch.float64)
    loss, gradient = exact_loss_and_gradient(problem.logits * scale, problem.target.tolist())
    logits = (problem.logits * scale).to(DTYPES[name]).requires_grad_()
    here = torch.nn.functional.cross_entropy(logits, problem.target)
    here.backward()
    assert logits.grad is not None

    line = line_of(scale_sweep(problem, [scale]), name, LOG_SOFTMAX)

    assert line.loss_errors[0] == pytest.approx(abs(float(here.detach()) - loss), abs=1e-14)
    grad_error = float((logits.grad.double() - torch.tensor(gradient, dtype=torch.float64)).abs().max())
    assert line.grad_errors[0] == pytest.approx(grad_error, abs=1e-14)


def test_the_sweep_goes_from_a_tenth_to_a_thousand_by_six_steps_to_a_decade() -> None:
    assert len(SCALES) == 25
    assert (SCALES[0], SCALES[6], SCALES[-1]) == (0.1, 1.0, 1000.0)


def test_log_of_softmax_breaks_earlier_the_smaller_the_range_of_the_dtype() -> None:
    """e^−x is 0 from x = 17.3 in float16, 103.97 in float32, 745.1 in float64; the rows reach 2 apart."""
    scales = [5.0, 10.0, 60.0, 400.0]
    lines = scale_sweep(PRESETS["worked-batch"].problem, scales)
    broken = {
        name: [math.isinf(error) for error in line_of(lines, name, LOG_OF_SOFTMAX).loss_errors] for name in DTYPES
    }

    assert broken["float16"] == [False, True, True, True]
    assert broken["float32"] == [False, False, True, True]
    assert broken["float64"] == [False, False, False, True]
    assert all(math.isfinite(error) for name in BELOW for error in line_of(lines, name, LOG_SOFTMAX).loss_errors)


def test_the_mean_of_float16_breaks_between_16_000_and_17_000_rows() -> None:
    lines = row_sweep(PRECISION_PRESETS["mean-overflows"].problem, [1, 16_000, 17_000])

    assert [math.isinf(error) for error in line_of(lines, "float16", MEAN).loss_errors] == [False, False, True]
    assert max(line_of(lines, "float16", MEAN_IN_FLOAT32).loss_errors) < 1e-3


# No valid Problem is too odd


@pytest.mark.parametrize(
    "problem",
    [
        PRESETS["masked"].problem,
        PRESETS["soft-labels"].problem,
        Problem([[1, 2, 3]], [-100]),
        Problem([[5], [6]], [0, 0]),
        Problem([[math.inf, 1], [math.nan, 0]], [0, 1]),
        Problem([[1, 2, 3]] * 3, [2, 1, 0], weight=[0, 1, 2], label_smoothing=0.1, reduction="none"),
        Problem([[1e30, -1e30]], [1]),
    ],
    ids=["masked", "soft", "all ignored", "one class", "inf and NaN", "weighted, none", "beyond float16"],
)
def test_odd_problems_raise_nothing_and_float64_has_no_error(problem: Problem) -> None:
    runs = in_every_dtype(problem)
    scale_sweep(problem, [0.1, 1.0, 1000.0])

    assert list(runs) == list(DTYPES)
    assert runs["float64"].loss.largest_error == runs["float64"].grad_logits.largest_error == 0
    for run in runs.values():
        assert not math.isnan(run.loss.largest_error)
        assert not math.isnan(run.grad_logits.largest_ulps)
