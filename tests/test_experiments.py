"""One thing varied, the rest held: every number against F.cross_entropy, autograd, or a sum worked by hand."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from tests.problems import Call, call_of, valid_calls
from tests.tolerances import assert_agree
from xent_core import InvalidProblem, Problem, descend, evaluate
from xent_core.experiments import (
    equilibrium_gap,
    flip_label,
    hot_gradient,
    mix_labels,
    sweep_label_smoothing,
    sweep_temperature,
    sweep_weight,
)

WORKED = Problem([[1.0, 2.0, 3.0]] * 3, [2, 1, 0])


@st.composite
def batches(draw: st.DrawFn, *, soft: bool | None = None) -> Problem:
    """A batch (N, C) in float64 with any options and a denominator that is not 0."""
    call: Call = draw(
        valid_calls(dtypes=[torch.float64]).filter(
            lambda call: call.logits.dim() == 2 and soft in (None, call.target.is_floating_point())
        )
    )
    problem = call.problem().to(torch.float64)  # probabilities too
    assume(math.isfinite(float(evaluate(problem).loss.sum())))
    return problem


def by_torch(problem: Problem, **changes: object) -> tuple[Tensor, Tensor]:
    """Sum of the losses and the gradient, by F.cross_entropy alone."""
    temperature = changes.pop("temperature", problem.temperature)
    loss, grad = replace_call(call_of(problem), temperature).torch(**changes)
    return loss.sum(), grad


def replace_call(call: Call, temperature: object) -> Call:
    return replace(call, temperature=temperature)


@given(problem=batches(), epsilon=st.sampled_from([0.0, 0.25, 1.0]))
def test_smoothing_is_swept_as_pytorch_smooths(problem: Problem, epsilon: float) -> None:
    sweep = sweep_label_smoothing(problem, (0.5, epsilon))
    loss, grad = by_torch(problem, label_smoothing=epsilon)

    assert_agree(sweep.loss[1], loss)
    assert_agree(sweep.grad_logits[1], grad)


@given(problem=batches())
def test_loss_and_gradient_are_straight_lines_in_the_smoothing(problem: Problem) -> None:
    sweep = sweep_label_smoothing(problem, (0.0, 0.3, 1.0))

    assert_agree(sweep.loss[1], 0.7 * sweep.loss[0] + 0.3 * sweep.loss[2])
    assert_agree(sweep.grad_logits[1], 0.7 * sweep.grad_logits[0] + 0.3 * sweep.grad_logits[2])


def test_the_floor_of_smoothing_is_the_entropy_of_the_smoothed_label() -> None:
    sweep = sweep_label_smoothing(WORKED, (0.0, 0.1, 1.0))
    smoothed = torch.distributions.Categorical(torch.tensor([14 / 15, 1 / 30, 1 / 30], dtype=torch.float64)).entropy()

    assert sweep.floor.tolist() == pytest.approx([0.0, float(smoothed), math.log(3)])


@given(
    num_classes=st.integers(2, 12),
    epsilon=st.floats(1e-6, 1.0),
    temperature=st.sampled_from([0.5, 1.0, 4.0]),
)
def test_a_smoothed_label_is_at_rest_at_the_equilibrium_gap(
    num_classes: int, epsilon: float, temperature: float
) -> None:
    logits = torch.zeros(1, num_classes, dtype=torch.float64)
    logits[0, 1] = equilibrium_gap(num_classes, epsilon, temperature)
    problem = Problem(logits, [1], label_smoothing=epsilon, temperature=temperature)

    assert float(by_torch(problem)[1].abs().max()) < 1e-12


def test_descent_on_a_smoothed_label_ends_at_the_equilibrium_gap() -> None:
    """C = 3, ε = 0.1: ln 28 = 3.3322."""
    problem = Problem(torch.tensor([[1.0, 2.0, 3.0]], dtype=torch.float64), [0], label_smoothing=0.1)
    reached = descend(problem, learning_rate=10.0, steps=2000).logits[-1, 0]

    assert equilibrium_gap(3, 0.1) == pytest.approx(math.log(28)) == pytest.approx(3.3322, abs=5e-5)
    assert (reached[0] - reached[1:]).tolist() == pytest.approx([math.log(28)] * 2, abs=1e-9)


def test_hard_labels_have_no_equilibrium_and_even_ones_no_gap() -> None:
    assert equilibrium_gap(3, 0.0) == math.inf
    assert equilibrium_gap(3, 1.0) == 0


@given(problem=batches(), temperature=st.sampled_from([0.3, 1.0, 20.0]))
def test_temperature_is_swept_as_pytorch_divides(problem: Problem, temperature: float) -> None:
    sweep = sweep_temperature(problem, (temperature,))
    loss, grad = by_torch(problem, temperature=temperature)

    assert_agree(sweep.loss[0], loss)
    assert_agree(sweep.grad_logits[0], grad)
    assert_agree(sweep.probs[0], F.softmax(problem.logits / temperature, 1))


@given(problem=batches())
def test_the_gradient_falls_as_one_over_the_temperature(problem: Problem) -> None:
    hot = 1e9
    grad = by_torch(problem, temperature=hot)[1]

    expected = hot_gradient(evaluate(problem))
    torch.testing.assert_close(hot * grad, expected, rtol=0, atol=1e-6)


def test_what_the_gradient_tends_to_by_hand() -> None:
    """(1/C − y)/N = (1/3 − 1)/3 at the label, 1/9 elsewhere."""
    expected = torch.full((3, 3), 1 / 9)
    expected[[0, 1, 2], [2, 1, 0]] = -2 / 9

    torch.testing.assert_close(hot_gradient(evaluate(WORKED)), expected)


@given(problem=batches(), value=st.sampled_from([0.5, 1.0, 7.0]))
def test_a_weight_is_swept_with_the_others_held(problem: Problem, value: float) -> None:
    weight = torch.ones(problem.num_classes, dtype=torch.float64) if problem.weight is None else problem.weight.clone()
    weight[-1] = value
    sweep = sweep_weight(problem, problem.num_classes - 1, (value,))
    loss, grad = by_torch(problem, weight=weight)

    assert_agree(sweep.loss[0], loss)
    assert_agree(sweep.grad_logits[0], grad)


def test_the_weights_divide_the_mean() -> None:
    """Labels 2, 1, 0, weight w of class 0: D = 2 + w and L = (0.4076 + 1.4076 + w·2.4076)/(2 + w)."""
    sweep = sweep_weight(WORKED, 0, (0.0, 1.0, 4.0))

    assert sweep.denominator.tolist() == [2, 3, 6]
    assert sweep.loss.tolist() == pytest.approx([1.8152 / 2, 4.2228 / 3, (1.8152 + 4 * 2.4076) / 6], abs=1e-4)


@given(problem=batches(soft=False), share=st.sampled_from([0.0, 0.3, 1.0]))
def test_a_mixed_label_is_the_mixture_of_the_two_losses(problem: Problem, share: float) -> None:
    """By index labels and the sum, which nothing divides: PyTorch's own route for each of the two labels."""
    problem = replace(
        problem, reduction="sum", ignore_index=-100, target=problem.target.clamp(0).remainder(problem.num_classes)
    )
    first, second, row = 0, problem.num_classes - 1, problem.num_rows - 1
    sweep = mix_labels(problem, row, first, second, (share,))
    both = []
    for label in (first, second):
        target = problem.target.clone()
        target[row] = label
        both.append(call_of(replace(problem, target=target)).torch())

    assert_agree(sweep.loss[0], share * both[0][0] + (1 - share) * both[1][0])
    assert_agree(sweep.grad_logits[0], share * both[0][1] + (1 - share) * both[1][1])


def test_a_label_mixed_with_itself_stays_whole() -> None:
    sweep = mix_labels(WORKED, 0, 2, 2, (0.0, 0.4, 1.0))

    assert sweep.loss.tolist() == pytest.approx([1.4076] * 3, abs=5e-5)


def test_mixing_a_label_counts_ignored_rows_as_pytorch_counts_rows_of_zeros() -> None:
    """Row losses 0.4076 and 0 (ignored): as probabilities the mean divides by 2."""
    sweep = mix_labels(Problem([[1.0, 2.0, 3.0]] * 2, [2, -100]), 0, 2, 0, (1.0,))

    assert sweep.loss[0].item() == pytest.approx(0.4076 / 2, abs=5e-5)
    assert sweep.denominator.tolist() == [2]


@given(problem=batches(), label=st.integers(0, 4))
def test_a_flipped_label_changes_what_pytorch_says_it_changes(problem: Problem, label: int) -> None:
    label %= problem.num_classes
    row = problem.num_rows - 1
    target = problem.target.clone()
    target[row] = F.one_hot(torch.tensor(label), problem.num_classes) if problem.has_probabilities else label
    after_loss, after_grad = call_of(replace(problem, target=target)).torch()
    assume(bool(after_loss.isfinite().all()))
    before_loss, before_grad = call_of(problem).torch()
    flip = flip_label(problem, row, label)

    scale = 1 + float(before_loss.abs().sum() + after_loss.abs().sum())
    assert flip.loss_change / scale == pytest.approx(float(after_loss.sum() - before_loss.sum()) / scale, abs=1e-10)
    assert_agree(flip.grad_change, after_grad - before_grad)
    assert float(flip.row_change.sum()) / scale == pytest.approx(flip.loss_change / scale, abs=1e-10)


def test_without_weights_only_the_flipped_row_moves() -> None:
    """Row 0 from label 2 to 0: its loss rises by 2, its share by 2/3, and y moves by 1/3 in the gradient."""
    flip = flip_label(WORKED, 0, 0)

    assert flip.loss_change == pytest.approx(2 / 3, abs=1e-6)
    assert flip.row_change.tolist() == pytest.approx([2 / 3, 0, 0], abs=1e-6)
    torch.testing.assert_close(
        flip.grad_change[0], torch.tensor([-1 / 3, 0, 1 / 3], dtype=torch.float64), atol=1e-6, rtol=0
    )
    assert not bool(flip.grad_change[1:].any())


def test_with_weights_the_denominator_changes_and_every_row_moves() -> None:
    """Weights 1, 2, 5 and labels 2, 1, 0: D = 8 becomes 1 + 2 + 1 = 4 when row 0 gets label 0."""
    flip = flip_label(replace(WORKED, weight=torch.tensor([1.0, 2.0, 5.0])), 0, 0)

    assert (float(flip.before.denominator), float(flip.after.denominator)) == (8, 4)
    assert bool(flip.grad_change.abs().amax(1).gt(0.01).all())
    assert bool((flip.row_change.abs() > 0.01).all())


@pytest.mark.parametrize("logits", [[1.0, 2.0], [[[1.0], [2.0]]], []], ids=str)
def test_only_batches_are_swept(logits: list[object]) -> None:
    tensor = torch.tensor(logits) if logits else torch.zeros(0, 2)
    target = torch.zeros(tensor.shape[:1] + tensor.shape[2:] if tensor.dim() > 1 else (), dtype=torch.int64)
    problem = Problem(tensor, target, reduction="sum")

    for sweep in (
        lambda: sweep_label_smoothing(problem),
        lambda: sweep_temperature(problem),
        lambda: sweep_weight(problem, 0),
        lambda: mix_labels(problem, 0, 0, 1),
        lambda: flip_label(problem, 0, 1),
    ):
        with pytest.raises(InvalidProblem, match="batch of shape"):
            sweep()


def test_rows_and_classes_that_do_not_exist_are_refused() -> None:
    for wrong in (
        lambda: flip_label(WORKED, 3, 0),
        lambda: flip_label(WORKED, -1, 0),
        lambda: mix_labels(WORKED, 7, 0, 1),
    ):
        with pytest.raises(InvalidProblem, match=r"a row in 0…2"):
            wrong()
    for wrong in (
        lambda: flip_label(WORKED, 0, 3),
        lambda: mix_labels(WORKED, 0, 0, -1),
        lambda: sweep_weight(WORKED, 5),
    ):
        with pytest.raises(InvalidProblem, match=r"a class in 0…2"):
            wrong()


def test_values_outside_of_what_pytorch_takes_are_refused() -> None:
    with pytest.raises(InvalidProblem, match="label_smoothing"):
        sweep_label_smoothing(WORKED, (1.5,))
    with pytest.raises(InvalidProblem, match="temperature"):
        sweep_temperature(WORKED, (0.0,))
