import dataclasses
import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from tests.problems import FLOATS, valid_calls
from xent_core import InvalidProblem, Problem, evaluate

ROWS = torch.tensor([[1.0, 2.0, 3.0]]).repeat(3, 1)


# Copies in


def test_changing_the_source_changes_nothing():
    logits, target, weight = ROWS.clone(), torch.tensor([2, 1, 0]), torch.ones(3)
    problem = Problem(logits, target, weight=weight)
    before = evaluate(problem).loss

    logits.zero_(), target.zero_(), weight.fill_(5)

    assert torch.equal(evaluate(problem).loss, before)
    assert torch.equal(problem.logits, ROWS)


def test_changing_a_numpy_source_changes_nothing():
    logits, target = np.ones((2, 3)), np.array([0, 1])
    problem = Problem(logits, target)

    logits[:], target[:] = 7, 2

    assert problem.logits.tolist() == [[1, 1, 1], [1, 1, 1]]
    assert problem.target.tolist() == [0, 1]


def test_the_source_is_not_changed_and_gets_no_gradient():
    logits, target = ROWS.clone().requires_grad_(), torch.eye(3)
    evaluate(Problem(logits, target))

    assert logits.grad is None
    assert torch.equal(logits.detach(), ROWS)
    assert torch.equal(target, torch.eye(3))


def test_a_problem_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Problem(ROWS, [0, 1, 2]).reduction = "sum"


def test_replace_checks_again():
    problem = Problem(ROWS, [0, 1, 2])

    assert dataclasses.replace(problem, reduction="sum").reduction == "sum"
    with pytest.raises(InvalidProblem):
        dataclasses.replace(problem, reduction="?")


def test_a_problem_made_in_inference_mode_can_be_evaluated_outside():
    with torch.inference_mode():
        problems = [
            Problem([[1, 2, 3]], [0]),
            Problem([[1.0, 2.0, 3.0]], [[1.0, 0.0, 0.0]], weight=[1, 1, 1]),
            Problem(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([0])).to(torch.float64),
            Problem([1.0, 2.0, 3.0], [0]),
        ]

    assert [round(float(evaluate(problem).loss), 4) for problem in problems] == [2.4076] * 4


# Equality


def test_equal_problems_have_equal_hashes():
    one, other = Problem(ROWS, [2, 1, 0]), Problem(ROWS.clone(), torch.tensor([2, 1, 0]))

    assert one == other
    assert hash(one) == hash(other)
    assert len({one, other}) == 1


@given(valid_calls(odd=True))
@settings(max_examples=60)
def test_a_problem_equals_itself_made_again_pickled_or_replaced(call):
    problem = call.problem()

    for twin in (call.problem(), pickle.loads(pickle.dumps(problem)), dataclasses.replace(problem)):
        assert twin == problem
        assert hash(twin) == hash(problem)


@pytest.mark.parametrize(
    "other",
    [
        Problem([[0.0, 1.0]], [1]),
        Problem([[-0.0, 1.0]], [0]),
        Problem([[0.0, 1.0 + 2**-23]], [0]),
        Problem(torch.tensor([[0.0, 1.0]], dtype=torch.float64), [0]),
        Problem([[0.0, 1.0]], torch.tensor([0], dtype=torch.uint8)),
        Problem([[0.0, 1.0]], [[1.0, 0.0]]),
        Problem([0.0, 1.0], 0),
        Problem([[0.0, 1.0]], [0], weight=[1, 1]),
        Problem([[0.0, 1.0]], [0], ignore_index=-1),
        Problem([[0.0, 1.0]], [0], reduction="sum"),
        Problem([[0.0, 1.0]], [0], label_smoothing=0.1),
        Problem([[0.0, 1.0]], [0], label_smoothing=math.nan),
        Problem([[0.0, 1.0]], [0], temperature=2),
    ],
)
def test_any_difference_makes_problems_unequal(other):
    assert Problem([[0.0, 1.0]], [0]) != other


@pytest.mark.parametrize("dtype", FLOATS)
def test_nan_equals_nan(dtype):
    nan = torch.tensor([[math.nan, 1.0]], dtype=dtype)
    other = nan.clone()
    other.view({2: torch.int16, 4: torch.int32, 8: torch.int64}[nan.element_size()])[0, 0] += 1  # another NaN

    assert Problem(nan, [0], label_smoothing=math.nan) == Problem(other, [0], label_smoothing=math.nan)
    assert Problem(nan, [0]) != Problem(nan.nan_to_num(), [0])


def test_a_problem_is_not_equal_to_something_else():
    assert Problem([[0.0, 1.0]], [0]) != "a problem"


# Properties


@pytest.mark.parametrize(
    ("shape", "axis", "num_classes", "num_rows"),
    [((3,), 0, 3, 1), ((2, 3), 1, 3, 2), ((0, 3), 1, 3, 0), ((2, 3, 4), 1, 3, 8), ((2, 3, 4, 5), 1, 3, 40)],
)
def test_the_class_axis_is_0_for_one_row_and_otherwise_1(shape, axis, num_classes, num_rows):
    problem = Problem(torch.zeros(shape), torch.zeros(shape))

    assert (problem.class_axis, problem.num_classes, problem.num_rows) == (axis, num_classes, num_rows)


def test_rows_with_ignore_index_are_not_kept():
    assert Problem(ROWS, [0, -100, 1]).kept().tolist() == [True, False, True]
    assert Problem(ROWS, [0, 2, 1], ignore_index=2).kept().tolist() == [True, False, True]
    assert Problem(ROWS, torch.zeros(3, 3)).kept().tolist() == [True, True, True]


@pytest.mark.parametrize("dtype", FLOATS)
def test_to_casts_logits_weight_and_probabilities_but_no_class_indices(dtype):
    soft = Problem(ROWS, torch.eye(3), weight=[0.1, 1, 2], temperature=2, label_smoothing=0.1).to(dtype)
    hard = Problem(ROWS, [0, 1, 2]).to(dtype)

    assert [soft.logits.dtype, soft.target.dtype, soft.weight.dtype] == [dtype] * 3
    assert (soft.temperature, soft.label_smoothing) == (2, 0.1)
    assert (hard.logits.dtype, hard.target.dtype) == (dtype, torch.int64)


def test_to_an_integer_dtype_is_refused():
    with pytest.raises(InvalidProblem):
        Problem(ROWS, [0, 1, 2]).to(torch.int64)
