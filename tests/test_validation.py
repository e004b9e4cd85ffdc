"""What PyTorch takes as logits, target and options: the same is taken, the rest is refused with a reason."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given, settings

from tests.problems import FLOATS, Call, any_calls, assert_same_bits
from xent_core import InvalidProblem, Problem, evaluate

ROWS = torch.tensor([[1.0, 2.0, 3.0]]).repeat(3, 1)
HUGE = pytest.param(10**5000, id="5001 digits")  # more than Python writes out


def pytorch_takes(call: Call) -> bool:
    try:
        call.torch()
    except (RuntimeError, ValueError, IndexError, TypeError):
        return False
    return True


def we_take(call: Call) -> bool:
    try:
        call.problem()
    except InvalidProblem:
        return False
    return True


def refusal(*args: object, **options: object) -> InvalidProblem:
    with pytest.raises(InvalidProblem) as caught:
        Problem(*args, **options)
    return caught.value


def test_an_axis_of_one_is_dropped_only_if_what_is_left_fits() -> None:
    logits = torch.zeros(2, 3)

    assert "squeeze(1)" in refusal(logits, torch.zeros(2, 1, dtype=torch.int64)).fix
    assert "1 rows against 2" in str(refusal(logits, torch.zeros(1, 5, dtype=torch.int64)))


# As PyTorch


def differs_on_purpose(call: Call) -> bool:
    """Where a Problem is stricter or milder than PyTorch; the tests below name each case."""
    weight = call.options.get("weight")
    one_number_for_one_row = call.logits.dim() == 1 and call.target.shape == (1,) and call.logits.shape != (1,)
    return one_number_for_one_row or (weight is not None and (weight.dim() != 1 or weight.is_complex()))


@given(any_calls())
@example(Call(torch.zeros(2, 0), torch.zeros(2, 0)))
@example(Call(torch.zeros(2, 0), torch.zeros(2, dtype=torch.int64)))
@example(Call(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64)))
@example(Call(torch.zeros(2, 3, 0), torch.zeros(2, 0, dtype=torch.uint8)))
@example(Call(torch.zeros(1), torch.zeros(1, dtype=torch.int64)))
@example(Call(torch.zeros(3), torch.tensor(0, dtype=torch.uint8)))
@example(Call(torch.zeros(2, 3, 1), torch.zeros(2, 1, dtype=torch.uint8)))
@example(Call(torch.zeros(2, 3), torch.zeros(2, dtype=torch.uint8), {"weight": torch.ones(3), "label_smoothing": 0.1}))
@example(
    Call(
        torch.zeros(2, 201),
        torch.tensor([200, 200], dtype=torch.uint8),
        {"weight": torch.ones(201), "label_smoothing": 0.1, "ignore_index": 200},
    )
)
@example(Call(ROWS, torch.tensor([0, 1, -101]), {"ignore_index": -101}))
@example(Call(ROWS, torch.eye(3), {"ignore_index": 0}))
@settings(max_examples=600)
def test_a_problem_is_refused_exactly_where_pytorch_raises(call):
    if differs_on_purpose(call):
        return

    assert we_take(call) == pytorch_takes(call)


def test_a_target_of_one_element_for_one_row_is_taken_though_backward_refuses_it():
    call = Call(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0]))

    assert not pytorch_takes(call)
    assert call.problem().target.shape == ()
    assert round(float(evaluate(call.problem()).loss), 4) == 2.4076


def test_a_target_of_one_element_for_one_row_is_refused_with_smoothing_as_even_the_forward_pass_refuses_it():
    logits, target = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0])

    with pytest.raises(RuntimeError):
        F.cross_entropy(logits, target, label_smoothing=0.1)
    assert refusal(logits, target, label_smoothing=0.1).code == "target-shape"


@pytest.mark.parametrize("shape", [(1, 3), (3, 1)])
def test_a_weight_that_is_no_vector_is_refused_though_pytorch_counts_only_its_numbers(shape):
    call = Call(torch.zeros(2, 3, 1), torch.zeros(2, 1, dtype=torch.int64), {"weight": torch.ones(shape)})

    assert pytorch_takes(call)
    with pytest.raises(InvalidProblem, match=r"weight has shape"):
        call.problem()


def test_a_complex_weight_is_refused_though_pytorch_makes_a_complex_loss_of_it():
    assert refusal(ROWS, torch.eye(3), weight=torch.ones(3, dtype=torch.complex64)).code == "weight-dtype"


def test_the_deprecated_name_of_mean_is_refused():
    assert pytorch_takes(Call(ROWS, torch.tensor([0, 1, 2]), {"reduction": "elementwise_mean"}))
    assert refusal(ROWS, [0, 1, 2], reduction="elementwise_mean").code == "reduction"


@pytest.mark.parametrize("label_smoothing", [-0.1, -math.inf, math.nan, 0.0])
def test_a_smoothing_that_is_not_above_0_counts_as_none_as_in_pytorch(label_smoothing):
    problem = Problem(ROWS, [2, 1, 0], label_smoothing=label_smoothing)

    assert problem.smoothing == 0
    assert round(float(evaluate(problem).loss), 4) == 1.4076


# Messages: what came, what was expected, what to do


@pytest.mark.parametrize(
    ("arguments", "options", "code", "message"),
    [
        (
            (ROWS, [0, 1, 7]),
            {},
            "target-out-of-range",
            "target row 2 is 7, expected a class in 0…2 or ignore_index −100. Correct the label, or add a class.",
        ),
        (
            (ROWS, [-1, 1, -1]),
            {},
            "target-out-of-range",
            "target row 0 is -1 (2 rows are outside), expected a class in 0…2 or ignore_index −100. "
            "If -1 marks rows to leave out, pass ignore_index=-1.",
        ),
        (
            (ROWS, [1, 2, 3]),
            {},
            "target-out-of-range",
            "target row 2 is 3, expected a class in 0…2 or ignore_index −100. "
            "The labels look like 1…C: use torch.tensor(target) - 1.",
        ),
        (
            (torch.zeros(1, 3, 2), [[0, 5]]),
            {"ignore_index": 4},
            "target-out-of-range",
            "target[0, 1] is 5, expected a class in 0…2 or ignore_index 4. Correct the label, or add a class.",
        ),
        (
            (torch.zeros(3), 3),
            {},
            "target-out-of-range",
            "target is 3, expected a class in 0…2 or ignore_index −100. Correct the label, or add a class.",
        ),
        (
            (torch.zeros(1, 0), [0]),
            {},
            "target-out-of-range",
            "target row 0 is 0, expected ignore_index −100, as there are no classes. "
            "Correct the label, or add a class.",
        ),
        (
            (ROWS, [0, 1]),
            {},
            "batch-mismatch",
            "target has shape (2,) for logits of shape (3, 3): 2 rows against 3, expected class indices of shape (3,) "
            "or probabilities of shape (3, 3). Take both from the same batch; the first axis of each counts the rows.",
        ),
        (
            (torch.zeros(2, 5, 3), torch.zeros(2, 5, dtype=torch.int64)),
            {},
            "class-axis",
            "target has shape (2, 5) for logits of shape (2, 5, 3), as if the classes were the last axis of logits, "
            "expected the classes on axis 1, so that target has shape (2, 3). Move the axis: logits.movedim(-1, 1).",
        ),
        (
            (ROWS, torch.zeros(3, 1, dtype=torch.int64)),
            {},
            "target-shape",
            "target has shape (3, 1) for logits of shape (3, 3), expected class indices of shape (3,) or "
            "probabilities of shape (3, 3). Drop the axis of one: target.squeeze(1).",
        ),
        (
            (ROWS, torch.eye(3).long()),
            {},
            "int-one-hot",
            "target has the shape of logits (3, 3) and dtype int64, expected floating probabilities in that shape, "
            "or int64 class indices without the class axis. "
            "Use target.float(), or target.argmax(1) for class indices.",
        ),
        (
            (ROWS, torch.eye(3)),
            {"ignore_index": 0},
            "soft-target-ignore-index",
            "ignore_index is 0 with a target of probabilities, expected no ignore_index: PyTorch cannot ignore rows "
            "of probabilities. Drop the rows before the loss: logits[keep], target[keep].",
        ),
        (
            (ROWS, torch.tensor([0.0, 1.0, 2.0])),
            {},
            "target-dtype",
            "target has dtype float32 and shape (3,), expected int64 class indices with values such as 2.0, or "
            "floating probabilities of shape (3, 3). Convert the class indices: target.long().",
        ),
        (
            (ROWS.long(), [0, 1, 2]),
            {},
            "logits-dtype",
            "logits are int64, expected a dense floating tensor (float64, float32, bfloat16 or float16). "
            "Convert them: logits.float().",
        ),
        (
            (1.0, 0),
            {},
            "logits-shape",
            "logits have shape (), expected a class axis: (C,), (N, C) or (N, C, d1, …). "
            "Add the axis of the classes: torch.tensor(logits).reshape(-1).",
        ),
        (
            (ROWS, [0, 1, 2]),
            {"weight": [1, 1, 1, 1]},
            "weight-shape",
            "weight has 4 entries, expected 3, one per class. Remove 1, or add a class.",
        ),
        (
            (ROWS, [0, 1, 2]),
            {"weight": [1]},
            "weight-shape",
            "weight has 1 entries, expected 3, one per class. Add 2, or remove 2 classes.",
        ),
        (
            (ROWS, [0, 1, 2]),
            {"weight": torch.ones(3, dtype=torch.float64)},
            "weight-dtype",
            "weight has dtype float64, expected the dtype of logits, float32. Convert it: weight.to(logits.dtype).",
        ),
        (
            (ROWS, [0, 1, 2]),
            {"reduction": "average"},
            "reduction",
            "reduction is 'average', expected 'none', 'mean' or 'sum'. Choose one of the three.",
        ),
        (
            (ROWS, [0, 1, 2]),
            {"label_smoothing": 1.5},
            "label-smoothing",
            "label_smoothing is 1.5, expected a number in 0…1. Usual values are 0 to 0.2.",
        ),
        (
            (ROWS, [0, 1, 2]),
            {"temperature": 0},
            "temperature",
            "temperature is 0.0, expected a finite number above 0. 1 leaves the logits as they are.",
        ),
        (
            (ROWS, [0, 1, 2]),
            {"ignore_index": 2**63},
            "ignore-index",
            "ignore_index is 9223372036854775808, expected an integer of 64 bits. PyTorch's default is −100.",
        ),
        (
            ([[1, 2], [3]], [0, 1]),
            {},
            "logits-type",
            "logits of type list cannot be read as a tensor (expected sequence of length 2 at dim 1 (got 1)), expected "
            "a tensor, an array or nested lists of numbers with rows of equal length. "
            "Look at its rows: numbers alone, and in each row as many.",
        ),
    ],
)
def test_a_refusal_says_what_came_what_was_expected_and_what_to_do(arguments, options, code, message):
    error = refusal(*arguments, **options)

    assert (error.code, str(error)) == (code, message)


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.inf, math.nan, "2", None, HUGE])
def test_a_temperature_is_finite_and_positive(temperature):
    assert refusal(ROWS, [0, 1, 2], temperature=temperature).code == "temperature"


@pytest.mark.parametrize("ignore_index", [1.0, True, "1", None, 10**400, HUGE, -(2**63) - 1])
def test_an_ignore_index_is_an_integer_of_64_bits(ignore_index):
    assert refusal(ROWS, [0, 1, 2], ignore_index=ignore_index).code == "ignore-index"


@pytest.mark.parametrize("label_smoothing", ["0.1", None, 1j, HUGE, 1.0000001, math.inf])
def test_a_label_smoothing_is_a_number_up_to_1(label_smoothing):
    assert refusal(ROWS, [0, 1, 2], label_smoothing=label_smoothing).code == "label-smoothing"


@pytest.mark.parametrize("reduction", [None, 1, ["mean"], "MEAN", np.array(["mean", "sum"])])
def test_a_reduction_is_one_of_three_words(reduction):
    assert refusal(ROWS, [0, 1, 2], reduction=reduction).code == "reduction"


# What is taken for a tensor


@pytest.mark.parametrize("default", [torch.float16, torch.float32, torch.float64])
def test_lists_are_float32_whatever_the_default_dtype_is(default):
    torch.set_default_dtype(default)
    try:
        problem = Problem([[0.1, 1e30]], [0])
    finally:
        torch.set_default_dtype(torch.float32)

    assert_same_bits(problem.logits, torch.tensor([[0.1, 1e30]], dtype=torch.float32))


@pytest.mark.parametrize("dtype", FLOATS)
def test_lists_of_probabilities_and_weights_get_the_dtype_of_the_logits_without_a_detour(dtype):
    problem = Problem(torch.zeros(1, 2, dtype=dtype), [[0.1, 0.9]], weight=[0.3, 2])

    assert_same_bits(problem.target, torch.tensor([[0.1, 0.9]], dtype=dtype))
    assert_same_bits(problem.weight, torch.tensor([0.3, 2], dtype=dtype))


@pytest.mark.parametrize("kind", [list, tuple])
def test_nested_lists_and_tuples_are_taken(kind):
    problem = Problem(kind(kind(row) for row in [[1, 2, 3]] * 3), kind([2, 1, 0]))

    assert problem == Problem(ROWS, torch.tensor([2, 1, 0]))


@pytest.mark.parametrize(
    ("array", "dtype"),
    [
        (np.ones((2, 3), np.float64), torch.float64),
        (np.ones((2, 3), np.float32), torch.float32),
        (np.ones((2, 3), np.float16), torch.float16),
        (np.ones((2, 3), np.int64), torch.float32),
        (np.ones((2, 3), np.int8), torch.float32),
        (np.ones((2, 3), np.uint16), torch.float32),
    ],
)
def test_numpy_arrays_of_floats_keep_their_dtype_and_integers_become_float32(array, dtype):
    assert Problem(array, [0, 1]).logits.dtype == dtype


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a[::-1],
        lambda a: a[:, ::-1],
        lambda a: np.asfortranarray(a),
        lambda a: a.T,
        lambda a: np.broadcast_to(a[0], a.shape),
    ],
    ids=["rows reversed", "classes reversed", "Fortran order", "transposed", "broadcast"],
)
def test_numpy_views_are_read_as_they_look(view):
    array = view(np.arange(9, dtype=np.float64).reshape(3, 3))

    assert Problem(array, [0, 1, 2]).logits.tolist() == array.tolist()
    assert Problem(np.zeros((3, 3)), array).target.tolist() == array.tolist()


def test_strided_tensors_are_read_as_they_look():
    logits = torch.arange(12.0).reshape(3, 4).t()[::2]
    call = Call(logits, torch.tensor([0, 1, 0, 1])[::2])

    assert call.problem().logits.tolist() == logits.tolist()
    assert_same_bits(evaluate(call.problem()).loss, call.torch()[0])


@pytest.mark.parametrize("logits", [[[1 + 2j, 2]], [[True, False]], np.array([[True, False]]), [["1", "2"]], None, {}])
def test_what_is_not_a_table_of_real_numbers_is_refused(logits):
    assert refusal(logits, [0]).code in ("logits-type", "logits-dtype")


def test_integers_beyond_64_bits_are_refused_in_words():
    assert refusal([[10**400, 1]], [0]).code == "logits-type"
