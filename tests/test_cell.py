import math

import pytest
import torch
from hypothesis import given, settings

from tests.problems import valid_calls
from xent_core import Problem, evaluate
from xent_core.cell import cell_arithmetic
from xent_core.presets import PRESETS


def test_the_cell_of_the_worked_batch():
    """(0.0900 − 1)/3 = −0.3033, with 0.0900 = e^(1 − 3)/(e^−2 + e^−1 + 1) = 0.1353/1.5032."""
    cell = cell_arithmetic(evaluate(PRESETS["worked-batch"].problem), 2, 0)

    assert (cell.logit, cell.temperature, cell.peak) == (1, 1, 3)
    assert (cell.target, cell.mass, cell.denominator, cell.kept) == (1, 1, 3, True)
    assert [round(value, 4) for value in (cell.exp, cell.total, cell.prob, cell.grad)] == [
        0.1353,
        1.5032,
        0.0900,
        -0.3033,
    ]


@given(valid_calls(dtypes=[torch.float64]))
@settings(max_examples=150)
def test_the_arithmetic_gives_the_numbers_of_the_evaluation(call):
    problem = call.problem()
    if problem.logits.dim() != 2:
        return
    result = evaluate(problem)
    for row in range(problem.num_rows):
        for label in range(problem.num_classes):
            cell = cell_arithmetic(result, row, label)
            assert cell.exp == pytest.approx(math.exp(cell.logit / cell.temperature - cell.peak), rel=1e-9)
            assert cell.prob == pytest.approx(cell.exp / cell.total, rel=1e-9)
            if cell.kept and cell.denominator:
                by_hand = (cell.mass * cell.prob - cell.target) / (cell.denominator * cell.temperature)
                assert cell.grad == pytest.approx(by_hand, rel=1e-9, abs=1e-12)
            elif not cell.kept:
                assert (cell.grad, cell.target, cell.mass) == (0, 0, 0)
            else:
                assert math.isnan(cell.grad)


def test_temperature_weight_and_smoothing_are_in_the_arithmetic():
    """v = 3·(0.9 + 0.1/2) = 2.85 and 1·0.05 = 0.05, S = 2.9; T = 2, D = 3."""
    problem = Problem([[2, 0]], [0], weight=[3, 1], label_smoothing=0.1, temperature=2)
    cell = cell_arithmetic(evaluate(problem), 0, 0)

    assert (cell.logit, cell.peak, cell.exp, cell.temperature) == (2, 1, 1, 2)
    assert (cell.target, cell.mass, cell.denominator) == pytest.approx((2.85, 2.9, 3), rel=1e-6)
    assert cell.grad == pytest.approx((2.9 / (1 + math.exp(-1)) - 2.85) / 6, rel=1e-5)


def test_a_mean_over_a_weight_of_0_has_no_gradient():
    cell = cell_arithmetic(evaluate(Problem([[2, 0]], [0], weight=[0, 1])), 0, 0)

    assert (cell.kept, cell.denominator, cell.mass) == (True, 0, 0)
    assert math.isnan(cell.grad)


def test_a_masked_class_has_exp_0():
    cell = cell_arithmetic(evaluate(Problem([[1, -math.inf]], [0])), 0, 1)

    assert (cell.logit, cell.exp, cell.total, cell.prob, cell.grad) == (-math.inf, 0, 1, 0, 0)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_spoilt_row_is_shown_as_such(bad):
    cell = cell_arithmetic(evaluate(Problem([[1, bad]], [0])), 0, 0)

    assert all(math.isnan(value) for value in (cell.total, cell.prob, cell.grad))


def test_an_ignored_row_says_so():
    cell = cell_arithmetic(evaluate(PRESETS["ignored-row"].problem), 1, 0)

    assert (cell.kept, cell.target, cell.mass, cell.grad, cell.denominator) == (False, 0, 0, 0, 2)
