import math

import pytest
import scipy.stats
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings

from tests.problems import call_of, valid_calls
from xent_core import Problem, evaluate
from xent_core.reference_losses import reference_losses

LN3 = math.log(3)
HARD = Problem([[1, 2, 3]] * 3, [2, 1, 0])
SOFT_ROWS = [[0.7, 0.2, 0.1], [0.0, 1.0, 0.0], [0.25, 0.25, 0.5]]


def marks(problem: Problem) -> dict[str, float]:
    return {mark.name: mark.value for mark in reference_losses(evaluate(problem))}


def total_loss(problem: Problem, logits: torch.Tensor) -> float:
    """What PyTorch gives for other logits; the total for "none"."""
    call = call_of(problem)
    return float(F.cross_entropy(logits / problem.temperature, call.target.to(logits.dtype), **call.options).sum())


def test_the_marks_of_the_worked_batch():
    """Three classes, hard labels: floor 0, double softmax ln(e + 2) − 1 = 0.5514, uniform ln 3 = 1.0986."""
    names = [mark.name for mark in reference_losses(evaluate(HARD))]
    values = [round(mark.value, 4) for mark in reference_losses(evaluate(HARD))]

    assert names == ["floor", "double softmax", "uniform"]
    assert values == [0, 0.5514, 1.0986]


@given(valid_calls(dtypes=[torch.float64]))
@settings(max_examples=100)
def test_the_marks_are_sorted(call):
    values = [mark.value for mark in reference_losses(evaluate(call.problem()))]

    assert values == sorted(values)


# Uniform


@given(valid_calls(dtypes=[torch.float64]))
@settings(max_examples=150)
def test_uniform_is_what_pytorch_gives_for_logits_of_0(call):
    problem = call.problem()
    found = marks(problem)
    loss, _ = type(call)(torch.zeros_like(call.logits), call.target, call.options).torch()

    if not loss.isfinite().all():
        assert found == {}
    else:
        assert found["uniform"] == pytest.approx(float(loss.sum()), rel=1e-6, abs=1e-9)


# Floor


def test_the_floor_of_probabilities_is_their_mean_entropy():
    entropies = [scipy.stats.entropy(row) for row in SOFT_ROWS]

    assert marks(Problem(torch.zeros(3, 3), SOFT_ROWS))["floor"] == pytest.approx(sum(entropies) / 3, rel=1e-6)


def test_the_floor_of_smoothed_labels_is_the_entropy_of_the_smoothed_row():
    """C = 3, ε = 0.1: y' = [0.0333, 0.0333, 0.9333], entropy 0.2911."""
    floor = marks(Problem([[1, 2, 3]] * 3, [2, 1, 0], label_smoothing=0.1))["floor"]

    assert floor == pytest.approx(scipy.stats.entropy([1 / 30, 1 / 30, 28 / 30]), rel=1e-6)
    assert round(floor, 4) == 0.2911


@pytest.mark.parametrize(
    "problem",
    [
        Problem(torch.zeros(3, 3), SOFT_ROWS, weight=[0.5, 2, 1]),
        Problem(torch.zeros(3, 3), SOFT_ROWS, weight=[0.5, 2, 1], reduction="sum", label_smoothing=0.1),
        Problem(torch.zeros(3, 3), [2, -100, 0], weight=[0.5, 2, 1], label_smoothing=0.3),
        Problem(torch.zeros(3, 3), [2, 1, 0], label_smoothing=0.3, temperature=2, reduction="none"),
        Problem(torch.zeros(3, 3), [[0.0, 0, 0], [2, 0, 2], [0.1, 0.1, 0.1]]),
    ],
    ids=["weight", "sum", "smoothed and weighted", "temperature", "rows that do not sum to 1"],
)
def test_gradient_descent_reaches_the_floor_and_no_less(problem):
    problem = problem.to(torch.float64)
    call = call_of(problem)
    logits = torch.zeros(3, 3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], max_iter=300, line_search_fn="strong_wolfe", tolerance_grad=1e-12)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(logits / problem.temperature, call.target, **call.options).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    reached, floor = float(closure().detach()), marks(problem)["floor"]

    assert floor - 1e-12 <= reached <= floor + 1e-4


@given(valid_calls(dtypes=[torch.float64]))
@settings(max_examples=100)
def test_no_loss_lies_below_the_floor(call):
    result = evaluate(call.problem())
    found = marks(call.problem())
    assume("floor" in found)
    loss = float(result.loss.sum())

    assert math.isnan(loss) or loss >= found["floor"] - 1e-9


def test_a_negative_target_has_no_floor():
    assert set(marks(Problem(torch.zeros(1, 3), [[1.5, -0.5, 0]]))) == {"uniform"}


# Double softmax


@pytest.mark.parametrize("num_classes", [1, 2, 3, 10, 1000])
@pytest.mark.parametrize("temperature", [0.05, 0.5, 1.0, 3.0])
def test_double_softmax_is_the_loss_of_a_softmax_that_could_not_be_more_certain(num_classes, temperature):
    label = torch.arange(4) % num_classes
    certain = torch.softmax(1e4 * F.one_hot(label, num_classes).double(), 1)
    problem = Problem(certain, label, temperature=temperature)

    assert marks(problem)["double softmax"] == pytest.approx(float(evaluate(problem).loss), rel=1e-6, abs=1e-15)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_no_softmax_of_logits_gets_below_double_softmax(temperature):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1000, 5, generator=generator, dtype=torch.float64) * torch.logspace(-1, 3, 1000).unsqueeze(1)
    problem = Problem(torch.softmax(logits, 1), logits.argmax(1), temperature=temperature)
    result = evaluate(problem)

    assert float(result.row_loss.min()) >= marks(problem)["double softmax"] - 1e-12


def test_one_hot_probabilities_are_hard_labels_too():
    one_hot = Problem([[1, 2, 3]] * 3, [[0.0, 0, 1], [0, 1, 0], [1, 0, 0]])

    assert marks(one_hot) == pytest.approx(marks(HARD))


def test_ignored_rows_change_no_mark_of_the_mean():
    assert marks(Problem([[1, 2, 3]] * 3, [2, -100, 0])) == pytest.approx(marks(HARD))


@pytest.mark.parametrize(
    "problem",
    [
        Problem([[1, 2, 3]], [0], reduction="sum"),
        Problem([[1, 2, 3]], [0], reduction="none"),
        Problem([[1, 2, 3]], [0], weight=[1, 1, 1]),
        Problem([[1, 2, 3]], [0], label_smoothing=0.1),
        Problem([[1, 2, 3]], [[0.9, 0.1, 0.0]]),
        Problem([[1, 2, 3]], [[0.0, 0.0, 0.0]]),
        Problem([[1, 2, 3]], [[1.0, 1.0, 0.0]]),
    ],
    ids=["sum", "none", "weight", "smoothing", "soft", "a row of zeros", "two labels"],
)
def test_double_softmax_is_left_out_where_it_does_not_hold(problem):
    assert "double softmax" not in marks(problem)


# No marks at all


@pytest.mark.parametrize(
    "problem",
    [
        Problem([[1, 2, 3]], [-100]),
        Problem([[1, 2, 3]], [0], weight=[0, 1, 1]),
        Problem([[1, 2, 3]], [0], weight=[math.inf, 1, 1]),
        Problem([[1, 2, 3]], [[math.nan, 0, 1]]),
        Problem(torch.zeros(0, 3), torch.zeros(0, 3)),
        Problem(torch.zeros(2, 0), torch.zeros(2, 0)),
    ],
    ids=["all ignored", "weight 0", "infinite weight", "NaN target", "no rows", "no classes"],
)
def test_there_are_no_marks_without_a_finite_denominator_and_target(problem):
    assert marks(problem) == {}


def test_uniform_and_sums_grow_with_the_number_of_rows():
    assert marks(Problem(torch.zeros(5, 3), [0] * 5, reduction="sum"))["uniform"] == pytest.approx(5 * LN3)
