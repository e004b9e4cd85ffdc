import dataclasses
import math

import mpmath
import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings

from tests.problems import FLOATS, assert_same_bits, call_of, valid_calls
from tests.tolerances import assert_agree, tolerance
from xent_core import Problem, evaluate, gradient_check

LN3 = math.log(3)
INF, NAN = math.inf, math.nan


def four(tensor: torch.Tensor) -> list:
    """The numbers to four decimals."""
    return torch.round(tensor.double(), decimals=4).tolist()


def numbers_of(tensor: torch.Tensor) -> list:
    """The numbers as written, so that NaN can be compared."""
    return [str(value) for value in tensor.flatten().tolist()]


# The worked examples


def test_the_worked_batch():
    """Three rows [1, 2, 3] with labels 2, 1, 0.

    exp gives [2.7183, 7.3891, 20.0855], their sum is 30.1929, softmax [0.0900, 0.2447, 0.6652].
    Losses: −ln 0.6652 = 0.4076, −ln 0.2447 = 1.4076, −ln 0.0900 = 2.4076; their mean is 4.2229/3 = 1.4076.
    Gradient (p − y)/3: row 0 is [0.0900, 0.2447, 0.6652 − 1]/3, row 1 [0.0900, 0.2447 − 1, 0.6652]/3, and so on.
    """
    result = evaluate(Problem([[1, 2, 3]] * 3, [2, 1, 0]))

    assert four(result.loss) == pytest.approx(1.4076, abs=1e-6)
    assert four(result.row_loss) == pytest.approx([0.4076, 1.4076, 2.4076], abs=1e-6)
    for row, expected in zip(
        four(result.grad_logits),
        [[0.0300, 0.0816, -0.1116], [0.0300, -0.2518, 0.2217], [-0.3033, 0.0816, 0.2217]],
        strict=True,
    ):
        assert row == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("label", "loss", "grad"),
    [
        (0, 2.4076, [-0.9100, 0.2447, 0.6652]),
        (1, 1.4076, [0.0900, -0.7553, 0.6652]),
        (2, 0.4076, [0.0900, 0.2447, -0.3348]),
    ],
)
def test_one_worked_row(label, loss, grad):
    """softmax [0.0900, 0.2447, 0.6652]: the loss is −ln p at the label, the gradient p − 1 there and p elsewhere."""
    result = evaluate(Problem([[1, 2, 3]], [label]))

    assert four(result.loss) == pytest.approx(loss, abs=1e-6)
    assert four(result.grad_logits)[0] == pytest.approx(grad, abs=1e-6)


def test_the_worked_softmax_and_its_logarithm():
    """exp [2.7183, 7.3891, 20.0855] divided by 30.1929; ln of that is [1, 2, 3] − ln 30.1929 = [1, 2, 3] − 3.4076."""
    result = evaluate(Problem([1, 2, 3], 0))

    assert four(result.probs) == pytest.approx([0.0900, 0.2447, 0.6652], abs=1e-6)
    assert four(result.log_probs) == pytest.approx([-2.4076, -1.4076, -0.4076], abs=1e-6)
    assert_agree(result.log_probs, result.probs.log())


def test_the_worked_batch_by_four_ways():
    """mean(−sum(y·log(softmax))), NLLLoss of log_softmax, CrossEntropyLoss of the labels and of the one-hot rows."""
    logits, one_hot = torch.tensor([[1.0, 2.0, 3.0]] * 3), torch.tensor([[0.0, 0, 1], [0, 1, 0], [1, 0, 0]])
    ours = evaluate(Problem(logits, [2, 1, 0]))

    for way in (
        lambda z: torch.mean(-torch.sum(one_hot * torch.log(torch.softmax(z, 1)), 1)),
        lambda z: torch.nn.NLLLoss()(torch.log_softmax(z, 1), one_hot.argmax(1)),
        lambda z: torch.nn.CrossEntropyLoss()(z, one_hot.argmax(1)),
        lambda z: torch.nn.CrossEntropyLoss()(z, one_hot),
    ):
        leaf = logits.clone().requires_grad_()
        loss = way(leaf)
        loss.backward()
        assert_agree(ours.loss, loss.detach())
        assert_agree(ours.grad_logits, leaf.grad)


# The same numbers as PyTorch, bit for bit


@given(valid_calls(odd=True, min_size=0))
@settings(max_examples=300)
def test_loss_and_gradient_are_those_of_pytorch(call):
    result = evaluate(call.problem())
    loss, grad = call.torch()

    assert_same_bits(result.loss, loss)
    assert_same_bits(result.grad_logits, grad)
    assert_same_bits(result.row_loss, call.torch(reduction="none")[0])


@given(valid_calls(odd=True))
@settings(max_examples=100)
def test_probabilities_are_those_of_pytorch(call):
    problem = call.problem()
    result, scaled = evaluate(problem), call.logits / call.temperature

    assert_same_bits(result.probs, F.softmax(scaled, problem.class_axis))
    assert_same_bits(result.log_probs, F.log_softmax(scaled, problem.class_axis))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_many_rows_and_classes_give_the_same_bits_too(dtype, reduction, label_smoothing):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1000, 77, generator=generator).to(dtype)
    label = torch.randint(0, 77, (1000,), generator=generator)
    options = {"reduction": reduction, "label_smoothing": label_smoothing, "weight": torch.rand(77).to(dtype)}

    for target in (label, F.one_hot(label, 77).to(dtype)):
        problem = Problem(logits, target, **options)
        loss, grad = call_of(problem).torch()
        result = evaluate(problem)
        assert_same_bits(result.loss, loss)
        assert_same_bits(result.grad_logits, grad)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_uint8_labels_that_look_like_the_ignore_index_to_pytorch_give_its_numbers(reduction):
    """PyTorch compares the uint8 label 156 with −100 modulo 256, but only in the part of the loss that smooths."""
    logits, label = torch.arange(400.0).reshape(2, 200) % 7, torch.tensor([156, 3], dtype=torch.uint8)
    problem = Problem(logits, label, label_smoothing=0.1, reduction=reduction)

    loss, grad = call_of(problem).torch()

    assert_same_bits(evaluate(problem).loss, loss)
    assert_same_bits(evaluate(problem).grad_logits, grad)


# Oracles that are not PyTorch's backward()


def exact_loss(problem: Problem, logits: list[list[mpmath.mpf]]) -> mpmath.mpf:
    """The loss of logits of shape (N, C) with 50 digits, from its definition."""
    c = len(logits[0])
    weight = [mpmath.mpf(1)] * c if problem.weight is None else [mpmath.mpf(w) for w in problem.weight.tolist()]
    smoothing, total, divisor = mpmath.mpf(problem.label_smoothing), mpmath.mpf(0), mpmath.mpf(0)
    for row, target in zip(logits, problem.target.tolist(), strict=True):
        if target == problem.ignore_index:
            continue
        y = target if isinstance(target, list) else [1.0 if k == target else 0.0 for k in range(c)]
        scaled = [z / mpmath.mpf(problem.temperature) for z in row]
        normaliser = mpmath.log(sum(mpmath.exp(z) for z in scaled))
        for k in range(c):
            smooth = (1 - smoothing) * mpmath.mpf(y[k]) + smoothing / c
            total -= weight[k] * smooth * (scaled[k] - normaliser)
        divisor += mpmath.mpf(1) if isinstance(target, list) else weight[target]
    return total / divisor if problem.reduction == "mean" else total


DOUBLE = torch.float64
LOGITS = torch.tensor([[0.3, -1.7, 2.9], [11.0, -4.5, 0.25], [-0.1, 0.2, 0.1]], dtype=DOUBLE)
SOFT = torch.tensor([[0.7, 0.2, 0.1], [0.0, 1.0, 0.0], [0.4, 0.1, 1.3]], dtype=DOUBLE)


@pytest.mark.parametrize(
    "problem",
    [
        Problem(LOGITS, [2, 1, 0]),
        Problem(LOGITS, [2, -100, 0], temperature=2.5),
        Problem(LOGITS, [2, 1, 0], weight=[0.3, 2.0, 5.0]),
        Problem(LOGITS, [2, 1, -1], weight=[0.3, 2.0, 5.0], ignore_index=-1, label_smoothing=0.1, temperature=0.7),
        Problem(LOGITS, [2, 1, 0], reduction="sum", label_smoothing=0.3),
        Problem(LOGITS, SOFT),
        Problem(LOGITS, SOFT, weight=[0.3, 2.0, 5.0], label_smoothing=0.1, temperature=3.0),
        Problem(LOGITS, SOFT, weight=[0.3, 2.0, 5.0], reduction="sum"),
    ],
    ids=["plain", "ignored", "weight", "everything", "sum", "soft", "soft and everything", "soft sum"],
)
def test_float64_agrees_with_fifty_digits(problem):
    with mpmath.workdps(50):
        exact = [[mpmath.mpf(z) for z in row] for row in problem.logits.tolist()]
        loss = float(exact_loss(problem, exact))
        grad = torch.zeros(3, 3, dtype=DOUBLE)
        for i in range(3):
            for k in range(3):

                def moved(z, i=i, k=k):
                    rows = [list(row) for row in exact]
                    rows[i][k] = z
                    return exact_loss(problem, rows)

                grad[i, k] = float(mpmath.diff(moved, exact[i][k]))
    result = evaluate(problem)

    assert float(result.loss) == pytest.approx(loss, rel=1e-13)
    torch.testing.assert_close(result.grad_logits, grad, rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(result.closed_form_grad, grad, rtol=1e-12, atol=1e-15)


@given(valid_calls(dtypes=[torch.float64]))
@settings(max_examples=60)
def test_the_gradient_is_the_slope_of_the_loss(call):
    """Central differences of F.cross_entropy with a step of 1e-6, one logit at a time."""
    if call.options["reduction"] == "none":
        call.options["reduction"] = "sum"
    result = evaluate(call.problem())
    assume(bool(result.loss.isfinite()))
    slopes = torch.empty_like(call.logits)
    for place in range(call.logits.numel()):
        loss = []
        for step in (1e-6, -1e-6):
            moved = call.logits.clone()
            moved.view(-1)[place] += step
            loss.append(F.cross_entropy(moved / call.temperature, call.target, **call.options))
        slopes.view(-1)[place] = (loss[0] - loss[1]) / 2e-6

    torch.testing.assert_close(result.grad_logits, slopes, rtol=1e-5, atol=1e-5)


@given(valid_calls())
@settings(max_examples=200)
def test_the_closed_form_is_the_gradient(call):
    result = evaluate(call.problem())
    assume(bool(result.grad_logits.isfinite().all()))
    # the rounding of z/T moves p as much as it moves z/T
    size = 1 if call.temperature == 1 else 1 + float((call.logits / call.temperature).abs().max())
    rtol, atol = tolerance(call.logits.dtype)
    if call.target.dtype == torch.float32:
        rtol, atol = max(rtol, 1e-5), max(atol, 1e-5)
    scale = max(result.gradient_bound, 1e-3) if math.isfinite(result.gradient_bound) else 1.0

    assert result.closed_form_grad.dtype == result.grad_logits.dtype
    torch.testing.assert_close(
        result.closed_form_grad.double(), result.grad_logits.double(), rtol=rtol, atol=atol * scale * size
    )


@given(valid_calls())
@settings(max_examples=100)
def test_no_entry_of_the_gradient_exceeds_the_bound(call):
    result = evaluate(call.problem())
    assume(math.isfinite(result.gradient_bound) and bool(result.grad_logits.isfinite().all()))
    rtol, _ = tolerance(call.logits.dtype)

    assert float(result.grad_logits.double().abs().max()) <= result.gradient_bound * (1 + 2 * rtol) + 1e-6


def test_the_bound_is_reached_where_a_row_is_confidently_wrong():
    result = evaluate(Problem([[1000, 0, 0], [0, 0, 0]], [1, 0], weight=[1, 3, 1], temperature=2))

    assert result.gradient_bound == 3 / (4 * 2)
    assert result.grad_logits[0].tolist() == [3 / 8, -3 / 8, 0]


@given(valid_calls(dtypes=[torch.float64]))
@settings(max_examples=60)
def test_the_rows_of_the_gradient_sum_to_0(call):
    problem = call.problem()
    result = evaluate(problem)
    assume(bool(result.grad_logits.isfinite().all()))
    sums = result.grad_logits.sum(problem.class_axis)

    torch.testing.assert_close(sums, torch.zeros_like(sums), rtol=0, atol=1e-12)


@pytest.mark.parametrize("constant", [-1000.0, 0.5, 1000.0])
@pytest.mark.parametrize("target", [[2, 1, 0], SOFT])
def test_adding_a_constant_to_a_row_changes_nothing(constant, target):
    moved = LOGITS.clone()
    moved[1] += constant
    before, after = evaluate(Problem(LOGITS, target)), evaluate(Problem(moved, target))

    torch.testing.assert_close(after.loss, before.loss, rtol=1e-12, atol=0)
    torch.testing.assert_close(after.grad_logits, before.grad_logits, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("num_classes", [1, 2, 10, 1000])
@pytest.mark.parametrize("dtype", FLOATS)
def test_uniform_logits_cost_the_logarithm_of_the_number_of_classes(num_classes, dtype):
    problem = Problem(torch.full((4, num_classes), 2.5, dtype=dtype), torch.zeros(4, dtype=torch.int64))

    assert_agree(evaluate(problem).loss, torch.tensor(math.log(num_classes), dtype=DOUBLE))


# What the mean divides by


def test_the_weighted_mean_of_labels_divides_by_their_weights():
    """Uniform rows lose ln 3 times w: (1 + 1 + 4)·ln 3, by 1 + 1 + 4 that is ln 3; with probabilities by 3, 2·ln 3."""
    hard = evaluate(Problem(torch.zeros(3, 3), [0, 0, 1], weight=[1, 4, 9]))
    soft = evaluate(Problem(torch.zeros(3, 3), torch.eye(3)[[0, 0, 1]], weight=[1, 4, 9]))

    assert (float(hard.denominator), float(soft.denominator)) == (6, 3)
    assert float(hard.loss) == pytest.approx(LN3)
    assert float(soft.loss) == pytest.approx(2 * LN3)


@pytest.mark.parametrize(
    ("problem", "denominator"),
    [
        (Problem(torch.zeros(4, 3), [0, 1, -100, 2]), 3),
        (Problem(torch.zeros(4, 3), [0, 1, -100, 2], weight=[2, 0.5, 4]), 6.5),
        (Problem(torch.zeros(4, 3), [0, 1, -100, 2], weight=[2, 0.5, 4], label_smoothing=0.5), 6.5),
        (Problem(torch.zeros(4, 3), [0, 1, -100, 2], reduction="sum"), 1),
        (Problem(torch.zeros(4, 3), [0, 1, -100, 2], reduction="none", weight=[2, 0.5, 4]), 1),
        (Problem(torch.zeros(4, 3), torch.zeros(4, 3), weight=[2, 0.5, 4]), 4),
        (Problem(torch.zeros(2, 3, 5), torch.zeros(2, 3, 5)), 10),
        (Problem(torch.zeros(2, 3, 5), torch.zeros(2, 5, dtype=torch.int64)), 10),
        (Problem(torch.zeros(3), 1, weight=[2, 0.5, 4]), 0.5),
        (Problem(torch.zeros(3), torch.ones(3)), 1),
        (Problem(torch.zeros(3000, 2, dtype=torch.float16), torch.zeros(3000, 2)), 3000),
    ],
)
def test_the_denominator(problem, denominator):
    result = evaluate(problem)

    assert float(result.denominator) == denominator
    assert result.denominator.shape == ()
    if problem.reduction == "mean":
        assert_agree(result.row_loss.double().sum() / denominator, result.loss.double(), dtype=problem.logits.dtype)


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        (Problem(torch.zeros(2, 3), [1, -100]), [[0, 1, 0], [0, 0, 0]]),
        (Problem(torch.zeros(2, 3), [1, 0], weight=[2, 3, 5]), [[0, 3, 0], [2, 0, 0]]),
        (Problem(torch.zeros(1, 3), [1], label_smoothing=0.3), [[0.1, 0.8, 0.1]]),
        (Problem(torch.zeros(1, 3), [1], label_smoothing=0.3, weight=[2, 3, 5]), [[0.2, 2.4, 0.5]]),
        (Problem(torch.zeros(1, 3), [[0.5, 0.5, 0]], label_smoothing=0.3), [[0.45, 0.45, 0.1]]),
        (Problem(torch.zeros(1, 3), [[0.5, 0.5, 0]], weight=[2, 3, 5]), [[1, 1.5, 0]]),
        (Problem(torch.zeros(2, 3), [2, 1], label_smoothing=0.3, ignore_index=2), [[0, 0, 0], [0.1, 0.8, 0.1]]),
        (Problem(torch.zeros(1, 3), [255], ignore_index=255), [[0, 0, 0]]),
        (Problem(torch.zeros(3), 2), [0, 0, 1]),
        (Problem(torch.zeros(1, 1), [0], label_smoothing=0.3), [[1]]),
    ],
)
def test_the_effective_target_is_smoothed_and_weighted(problem, expected):
    """y' = (1 − ε)·y + ε/C, times the weight of each class; 0 in ignored rows."""
    torch.testing.assert_close(evaluate(problem).effective_target, torch.tensor(expected, dtype=torch.float32))


def test_an_infinite_weight_of_another_class_is_harmless_as_in_pytorch():
    result = evaluate(Problem([[1, 2, 3]], [0], weight=[2, INF, NAN], reduction="sum"))

    assert result.effective_target.tolist() == [[2, 0, 0]]
    assert_agree(result.closed_form_grad, result.grad_logits)
    assert float(result.loss) == pytest.approx(2 * 2.4076, abs=1e-4)


@given(valid_calls(dtypes=[torch.float64, torch.float32]))
@settings(max_examples=60)
def test_row_losses_are_the_effective_target_times_minus_log_probs(call):
    problem = call.problem()
    result = evaluate(problem)
    by_hand = -(result.effective_target.double() * result.log_probs.double()).sum(problem.class_axis)

    assert_agree(result.row_loss, by_hand, dtype=torch.float32)


# Odd cases: what PyTorch gives is what there is


@pytest.mark.parametrize(("reduction", "loss"), [("mean", "nan"), ("sum", "0.0")])
@pytest.mark.parametrize("dtype", FLOATS)
def test_with_every_row_ignored_the_mean_is_nan_and_the_gradient_0(reduction, loss, dtype):
    problem = Problem(torch.randn(2, 3).to(dtype), [-100, -100], reduction=reduction)
    result = evaluate(problem)

    assert str(result.loss.item()) == loss
    assert result.grad_logits.abs().tolist() == [[0, 0, 0]] * 2
    assert result.closed_form_grad.abs().tolist() == [[0, 0, 0]] * 2
    assert float(result.denominator) == (0 if reduction == "mean" else 1)
    assert math.isnan(result.gradient_bound) == (reduction == "mean")


def test_kept_rows_of_total_weight_0_give_a_gradient_of_nan_and_ignored_rows_0():
    result = evaluate(Problem([[1, 2, 3], [1, 2, 3]], [0, -100], weight=[0, 1, 1]))

    assert numbers_of(result.loss) == ["nan"]
    for grad in (result.grad_logits, result.closed_form_grad):
        assert numbers_of(grad[0]) == ["nan"] * 3
        assert grad[1].abs().tolist() == [0, 0, 0]


def test_an_ignored_row_of_nan_has_no_loss_but_a_gradient_of_nan():
    result = evaluate(Problem([[1, NAN, 3], [1, 2, 3]], [-100, 0]))

    assert result.row_loss.isnan().tolist() == [False, False]
    assert result.grad_logits.isnan().tolist() == [[True] * 3, [False] * 3]
    assert_agree(result.closed_form_grad, result.grad_logits)


def test_a_masked_class_is_harmless_to_a_label():
    """ln(1 + e^1) = 1.3133; p = [0.2689, 0.7311, 0]."""
    result = evaluate(Problem([[1, 2, -INF]], [0]))

    assert four(result.loss) == pytest.approx(1.3133, abs=1e-6)
    assert four(result.grad_logits)[0] == pytest.approx([-0.7311, 0.7311, 0], abs=1e-6)
    assert result.closed_form_grad[0, 2] == 0


def test_a_masked_class_makes_the_loss_of_probabilities_nan():
    """0·(−∞) is NaN, though the target gives the class no share."""
    assert numbers_of(evaluate(Problem([[1, 2, -INF]], [[1.0, 0, 0]])).loss) == ["nan"]


def test_a_masked_label_and_a_smoothed_mask_cost_infinitely_much():
    assert evaluate(Problem([[1, 2, -INF]], [2])).loss == INF
    assert evaluate(Problem([[1, 2, -INF]], [0], label_smoothing=0.1)).loss == INF


@pytest.mark.parametrize("bad", [INF, NAN])
@pytest.mark.parametrize("dtype", FLOATS)
def test_an_infinite_or_nan_logit_spoils_its_row_and_no_other(bad, dtype):
    result = evaluate(Problem(torch.tensor([[1, bad, 3], [1, 2, 3]], dtype=dtype), [0, 0], reduction="none"))

    assert result.row_loss.isnan().tolist() == [True, False]
    assert result.probs.isnan().tolist() == [[True] * 3, [False] * 3]
    assert result.grad_logits.isnan().tolist() == [[True] * 3, [False] * 3]
    assert result.closed_form_grad.isnan().tolist() == [[True] * 3, [False] * 3]


def test_huge_logits_are_exact_in_float64():
    logits = torch.tensor([[1e308, 0], [1e308, 0]], dtype=DOUBLE)
    result = evaluate(Problem(logits, [0, 1], reduction="none"))

    assert result.loss.tolist() == [0, 1e308]
    assert result.grad_logits.tolist() == [[0, 0], [1, -1]]


def test_a_logit_beyond_float16_is_infinite_there_and_the_loss_nan():
    problem = Problem(torch.tensor([[70000.0, 0]]), [0])

    assert evaluate(problem).loss == 0
    assert numbers_of(evaluate(problem.to(torch.float16)).loss) == ["nan"]


def test_more_rows_than_float16_counts_make_the_denominator_infinite_as_in_pytorch():
    problem = Problem(torch.zeros(70000, 2, dtype=torch.float16), torch.zeros(70000, dtype=torch.int64))
    result = evaluate(problem)

    assert_same_bits(result.loss, call_of(problem).torch()[0])
    assert (float(result.denominator), float(result.loss)) == (INF, 0)
    assert not result.closed_form_grad.any()
    assert not result.grad_logits.any()


@pytest.mark.parametrize("target", [[0, 0], [[1.0], [1.0]]])
def test_one_class_loses_nothing_and_learns_nothing(target):
    result = evaluate(Problem([[3.0], [-2.0]], target))

    assert (float(result.loss), result.grad_logits.tolist()) == (0, [[0], [0]])


def test_one_row_without_a_batch_axis():
    result = evaluate(Problem([1, 2, 3], 0))

    assert (result.loss.shape, result.row_loss.shape, result.probs.shape) == ((), (), (3,))
    assert four(result.loss) == pytest.approx(2.4076, abs=1e-6)


@pytest.mark.parametrize("target", [torch.zeros(0, dtype=torch.int64), torch.zeros(0, 3)])
@pytest.mark.parametrize(("reduction", "loss"), [("mean", ["nan"]), ("sum", ["0.0"]), ("none", [])])
def test_no_rows(target, reduction, loss):
    result = evaluate(Problem(torch.zeros(0, 3), target, reduction=reduction))

    assert [text.lstrip("-") for text in numbers_of(result.loss)] == loss
    assert result.grad_logits.shape == result.closed_form_grad.shape == (0, 3)
    assert result.predictions.shape == result.correct.shape == (0,)
    assert gradient_check(result.problem).agrees


def test_no_classes_have_no_prediction():
    result = evaluate(Problem(torch.zeros(2, 0), torch.zeros(2, 0)))

    assert result.predictions.tolist() == [-1, -1]
    assert result.correct.tolist() == [False, False]
    assert gradient_check(result.problem).agrees


# Predictions


def test_the_prediction_is_the_largest_logit_and_minus_1_where_a_logit_is_nan():
    result = evaluate(Problem([[1, 5, 3], [NAN, 1, 0], [INF, 0, 0], [0, -INF, -1], [9, 0, 0]], [1, 0, 0, 2, -100]))

    assert result.predictions.tolist() == [1, -1, 0, 0, 0]
    assert result.correct.tolist() == [True, False, True, False, False]


def test_an_ignored_row_is_not_correct_even_if_the_ignore_index_is_its_class():
    result = evaluate(Problem([[9, 0], [9, 0]], [0, 1], ignore_index=0))

    assert result.correct.tolist() == [False, False]


def test_with_probabilities_their_largest_class_is_the_label():
    result = evaluate(Problem([[1, 5, 3], [1, 5, 3]], [[0.1, 0.8, 0.1], [0.6, 0.3, 0.1]]))

    assert result.correct.tolist() == [True, False]


def test_predictions_have_the_shape_of_the_row_losses():
    result = evaluate(Problem(torch.zeros(2, 3, 4), torch.zeros(2, 4, dtype=torch.int64)))

    assert result.predictions.shape == result.correct.shape == result.row_loss.shape == (2, 4)


# What evaluate leaves alone


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_evaluate_works_in_every_grad_mode_and_leaves_it_alone(mode):
    problem = Problem([[1, 2, 3]], [0], label_smoothing=0.1)
    expected = evaluate(problem)
    with mode():
        before = (torch.is_grad_enabled(), torch.is_inference_mode_enabled())
        result = evaluate(problem)
        check = gradient_check(Problem([[1, 2, 3]], [0]))
        after = (torch.is_grad_enabled(), torch.is_inference_mode_enabled())

    assert after == before
    assert check.agrees
    assert_same_bits(result.grad_logits, expected.grad_logits)
    assert not any(getattr(result, name).requires_grad for name in ("loss", "row_loss", "probs", "log_probs"))


def test_evaluate_leaves_the_problem_the_random_numbers_and_the_default_dtype_alone():
    problem, twin = Problem([[1, 2, 3]], [0]), Problem([[1, 2, 3]], [0])
    state, dtype = torch.get_rng_state(), torch.get_default_dtype()
    gradient_check(problem, evaluate(problem))

    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_default_dtype() == dtype
    assert problem == twin
    assert (problem.logits.grad, problem.logits.requires_grad) == (None, False)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("target", [[2, 1], [[0.5, 0.5, 0], [0, 0, 1.0]]])
def test_the_default_device_changes_nothing(reduction, target):
    with torch.device("meta"):
        problem = Problem([[1, 2, 3], [1, 2, 3]], target, reduction=reduction, label_smoothing=0.1)
        result = evaluate(problem)
        assert gradient_check(problem, result).agrees

    assert_agree(result.closed_form_grad, result.grad_logits)


# gradient_check


@given(valid_calls())
@settings(max_examples=250)
def test_the_three_routes_agree_on_every_problem(call):
    check = gradient_check(call.problem())

    assert check.agrees, (check.max_abs_difference, check.tolerance)


@given(valid_calls(odd=True, min_size=0))
@settings(max_examples=150)
def test_the_three_routes_agree_or_say_that_they_cannot_tell(call):
    check = gradient_check(call.problem())

    assert check.agrees, (check.max_abs_difference, check.tolerance)
    assert check.uncheckable.shape == check.tolerance.shape == check.finite_differences.shape == call.logits.shape


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("options", [{}, {"weight": [1, 2, 3]}, {"label_smoothing": 0.1}, {"reduction": "sum"}])
@pytest.mark.parametrize("target", [[2, 1, 0], SOFT])
def test_a_gradient_that_is_wrong_by_a_few_per_cent_does_not_agree(dtype, options, target):
    problem = Problem(LOGITS, target, **options).to(dtype)
    result = evaluate(problem)
    # bfloat16 cannot tell less than 8·0.0078 of the largest entry
    wrong = dataclasses.replace(result, grad_logits=result.grad_logits * (1.01 if dtype != torch.bfloat16 else 1.2))

    assert gradient_check(problem, result).agrees
    assert not gradient_check(problem, wrong).agrees


def test_differences_prove_something_until_rounding_is_a_hundredth_of_the_gradients_range():
    """4·eps·2|log p| / 2∛eps = 1.467e-10·|log p| against a range of 1: 0.0088 and 0.0117."""
    for size, drowns in [(6e7, False), (8e7, True)]:
        check = gradient_check(Problem([[0, size]], [0]))

        assert check.uncheckable.tolist() == [[drowns, drowns]]
        assert check.agrees


def test_a_wrong_closed_form_does_not_agree():
    problem = Problem(LOGITS, [2, 1, 0])
    result = evaluate(problem)
    vars(result)["probs"] = result.probs * 0.99
    check = gradient_check(problem, result)

    assert not check.agrees
    assert check.max_abs_difference["autograd", "finite differences"] < 1e-9
    assert check.max_abs_difference["autograd", "closed form"] > 1e-3
    assert check.largest == max(check.max_abs_difference.values())


@pytest.mark.parametrize("bad", [NAN, INF])
def test_a_route_that_is_not_finite_does_not_agree_with_one_that_is(bad):
    problem = Problem(LOGITS, [2, 1, 0])
    result = evaluate(problem)
    grad = result.grad_logits.clone()
    grad[0, 0] = bad
    check = gradient_check(problem, dataclasses.replace(result, grad_logits=grad))

    assert not check.agrees
    assert check.largest == INF


@pytest.mark.parametrize(
    ("problem", "uncheckable"),
    [
        (Problem([[1, INF, 3], [1, 2, 3]], [0, 0], reduction="sum"), [[True] * 3, [False] * 3]),
        (Problem([[1, NAN, 3], [1, 2, 3]], [-100, 0], reduction="sum"), [[True] * 3, [False] * 3]),
        (Problem([[1, -INF, 3], [1, 2, 3]], [1, 0], reduction="sum"), [[True] * 3, [False] * 3]),
        (Problem([[1, -INF, 3], [1, 2, 3]], [0, 0], reduction="sum"), [[False] * 3, [False] * 3]),
        (Problem([[1, 2, 3], [1, 2, 3]], [-100, -100]), [[True] * 3, [True] * 3]),
        (Problem([[1, 2, 3], [1, 2, 3]], [0, 0], weight=[0, 1, 1]), [[True] * 3, [True] * 3]),
        (Problem([[1, 2, 3], [1, 2, 3]], [-100, 0]), [[False] * 3, [False] * 3]),
    ],
)
def test_rows_whose_loss_is_not_finite_are_uncheckable(problem, uncheckable):
    check = gradient_check(problem)

    assert check.uncheckable.tolist() == uncheckable
    assert check.agrees


def test_where_the_loss_is_too_large_for_its_differences_nothing_is_claimed():
    """A loss of 1e10 is known to 1e-6, which a step of 6e-6 makes an error of 0.2 in the slope."""
    check = gradient_check(Problem(torch.tensor([[1e10, 0]], dtype=DOUBLE), [1]))

    assert check.uncheckable.all()
    assert check.agrees


def test_finite_differences_are_good_to_nine_digits():
    check = gradient_check(Problem(LOGITS, [2, 1, 0], weight=[0.3, 2.0, 5.0], label_smoothing=0.1))

    assert check.largest < 1e-9
    assert not check.uncheckable.any()


def test_a_problem_in_half_precision_is_judged_by_its_own_rounding():
    """float16 cannot hold (p − y)/(D·T) = 3e-8 better than to one step of 6e-8."""
    problem = Problem(LOGITS.half(), [2, 1, 0], temperature=1e7)
    soft = Problem(LOGITS.half(), SOFT.bfloat16(), temperature=1e7)

    assert gradient_check(problem).agrees
    assert gradient_check(soft).agrees


def test_rounding_the_scaled_logits_of_float16_is_no_disagreement():
    """1000/3.7 = 270.27 and 999.5/3.7 = 270.14 are both 270.25 in float16, which moves p by 0.03."""
    check = gradient_check(Problem(torch.tensor([[1000, 999.5, 0]], dtype=torch.float16), [1], temperature=3.7))

    assert not check.uncheckable.any()
    assert check.agrees


def test_the_closed_form_divides_by_the_denominator_and_then_by_the_temperature():
    """100 rows and T = 1000: D·T would be infinite in float16, the gradient ±0.5/100/1000 = ±5e-6 is not 0."""
    problem = Problem(torch.zeros(100, 2, dtype=torch.float16), torch.zeros(100, dtype=torch.int64), temperature=1000)

    assert evaluate(problem).closed_form_grad[0].tolist() == pytest.approx([-5e-6, 5e-6], abs=6e-8)
    assert gradient_check(problem).agrees


def test_a_negative_weight_bounds_the_gradient_as_its_size_does() -> None:
    """v = −3 at the label: the bound is |−3|/(1·2), for the sum at T = 2."""
    problem = Problem([[1.0, 2.0]], [0], weight=[-3.0, 1.0], reduction="sum", temperature=2.0)

    assert evaluate(problem).gradient_bound == 3 / 2
