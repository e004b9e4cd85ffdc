"""Gradient descent against torch.optim run by hand, and where it ends against what can be worked out."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.problems import Call, assert_same_bits, valid_calls
from tests.tolerances import assert_agree
from xent_core import InvalidProblem, Problem, descend
from xent_core.descent import limit_of

ETA = 0.7


@pytest.mark.parametrize("option", ["optimizer", "learning_rate", "steps"])
def test_what_is_no_option_of_a_descent_is_named_in_short(option: str) -> None:
    with pytest.raises(InvalidProblem) as caught:
        descend(Problem([[1.0, 2.0]], [0]), **{"learning_rate": 1.0, "steps": 1, option: [0] * 10_000})

    assert "[0, 0, 0" in str(caught.value)
    assert len(str(caught.value)) < 300


def by_hand(call: Call, optimizer: str, learning_rate: float, steps: int) -> tuple[list[Tensor], ...]:
    """Logits, gradients and losses of every point, as one would write the loop."""
    leaf = call.logits.clone().requires_grad_()
    stepper = {
        "SGD": lambda: torch.optim.SGD([leaf], lr=learning_rate),
        "momentum": lambda: torch.optim.SGD([leaf], lr=learning_rate, momentum=0.9),
        "Adam": lambda: torch.optim.Adam([leaf], lr=learning_rate),
    }[optimizer]()
    logits, grads, losses = [], [], []
    for _ in range(steps + 1):
        stepper.zero_grad()
        loss = F.cross_entropy(leaf / call.temperature, call.target, **call.options)
        loss.backward(torch.ones_like(loss))
        logits.append(leaf.detach().clone())
        grads.append(leaf.grad.clone())
        losses.append(loss.detach().sum() if loss.dim() else loss.detach())  # the sum of a number −0 would be 0
        stepper.step()
    return logits, grads, losses


@settings(max_examples=60)
@given(
    call=valid_calls(odd=True),
    optimizer=st.sampled_from(["SGD", "momentum", "Adam"]),
    steps=st.integers(0, 6),
    learning_rate=st.sampled_from([0.0, 0.1, 1.0, 30.0]),
)
def test_the_path_is_that_of_torch_optim_bit_for_bit(
    call: Call, optimizer: str, steps: int, learning_rate: float
) -> None:
    logits, grads, losses = by_hand(call, optimizer, learning_rate, steps)
    path = descend(call.problem(), learning_rate=learning_rate, steps=steps, optimizer=optimizer)

    assert path.steps == steps
    assert_same_bits(path.logits, torch.stack(logits))
    assert_same_bits(path.grad_logits, torch.stack(grads))
    assert_same_bits(path.loss, torch.stack(losses))


@given(call=valid_calls(dtypes=[torch.float64, torch.float32]))
def test_probabilities_and_gradient_norm_belong_to_their_points(call: Call) -> None:
    problem = call.problem()
    path = descend(problem, learning_rate=ETA, steps=3)

    for k in range(4):
        axis = 0 if call.logits.dim() == 1 else 1
        assert_agree(path.probs[k], F.softmax(path.logits[k] / call.temperature, axis))
        assert_agree(path.grad_norm[k], path.grad_logits[k].norm())


@given(call=valid_calls(dtypes=[torch.float64, torch.float32]))
def test_plain_descent_predicts_minus_eta_times_the_squared_norm(call: Call) -> None:
    path = descend(call.problem(), learning_rate=ETA, steps=4)
    squared = torch.stack([(grad.double() ** 2).sum() for grad in path.grad_logits])

    # an ulp of the largest logit is lost with each step
    loss_of_digits = float(torch.finfo(call.logits.dtype).eps * call.logits.abs().max()) * squared.sqrt()
    expected = -ETA * squared[:-1]
    allowed = 1e-6 * (1 + expected.abs()) + 9 * loss_of_digits[:-1]
    is_near = (path.predicted_change - expected).abs() <= allowed
    assert bool((is_near | (expected.isnan() & path.predicted_change.isnan())).all())


def test_the_first_step_by_hand() -> None:
    """z = [0, 0], label 0: p = ½, g = [−½, ½]; with η = 1 z becomes [½, −½], and L from ln 2 to ln(1 + e⁻¹)."""
    path = descend(Problem([[0.0, 0.0]], [0]), learning_rate=1.0, steps=1)

    assert path.logits.tolist() == [[[0.0, 0.0]], [[0.5, -0.5]]]
    assert path.loss.tolist() == pytest.approx([math.log(2), math.log1p(math.exp(-1))])
    assert path.grad_norm[0].item() == pytest.approx(math.sqrt(0.5))
    assert path.predicted_change.tolist() == [-0.5]
    assert path.actual_change.tolist() == pytest.approx([math.log1p(math.exp(-1)) - math.log(2)])


@given(call=valid_calls(dtypes=[torch.float64]))
def test_small_steps_change_the_loss_as_predicted(call: Call) -> None:
    path = descend(call.problem(), learning_rate=1e-5, steps=2)
    scale = 1 + float(path.loss.abs().max())

    assert_agree(path.actual_change / scale, path.predicted_change / scale, dtype=torch.float32)
    assert not bool(path.rose_unexpectedly.any())


def test_a_learning_rate_that_is_too_large_is_seen() -> None:
    problem = Problem(torch.tensor([[0.3, 0.0]], dtype=torch.float64), [0], label_smoothing=0.4)
    path = descend(problem, learning_rate=100.0, steps=5)

    assert bool(path.rose_unexpectedly.any())
    first = int(path.rose_unexpectedly.int().argmax())
    assert path.predicted_change[first] < 0 < path.actual_change[first]


def test_rounding_is_not_taken_for_a_learning_rate_that_is_too_large() -> None:
    """At rest the float32 loss flickers by an ulp or two, which is no rise."""
    path = descend(Problem([[1.0, 2.0, 3.0]] * 7, [0] * 7, label_smoothing=0.1), learning_rate=3.0, steps=2000)

    assert bool((path.actual_change > 0).any()) or float(path.actual_change[-500:].abs().max()) == 0
    assert not bool(path.rose_unexpectedly.any())


@pytest.mark.parametrize("optimizer", ["SGD", "momentum", "Adam"])
def test_smoothed_labels_come_to_rest_at_the_limit(optimizer: str) -> None:
    weight = torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)
    logits = torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    problem = Problem(logits, [0, 1], weight=weight, label_smoothing=0.1, reduction="sum")
    limit = limit_of(problem)
    path = descend(problem, learning_rate=0.1, steps=3000, optimizer=optimizer)

    assert limit is not None
    assert limit.settles
    torch.testing.assert_close(path.probs[-1], limit.probs, rtol=0, atol=1e-3)
    assert path.loss[-1].item() == pytest.approx(limit.loss, abs=1e-5)
    assert path.loss.min().item() >= limit.loss - 1e-12


def test_the_limit_of_a_smoothed_label_by_hand() -> None:
    """ε = 0.1, C = 3: y' = [14/15, 1/30, 1/30], whose entropy is 0.2911."""
    limit = limit_of(Problem([[1.0, 2.0, 3.0]], [0], label_smoothing=0.1))

    assert limit is not None
    assert limit.probs[0].tolist() == pytest.approx([14 / 15, 1 / 30, 1 / 30])
    assert limit.loss == pytest.approx(-(14 / 15) * math.log(14 / 15) - 2 / 30 * math.log(1 / 30))


def test_hard_labels_run_off_towards_a_loss_of_zero() -> None:
    problem = Problem([[1.0, 2.0, 3.0]], [0])
    limit = limit_of(problem)
    path = descend(problem, learning_rate=5.0, steps=400)

    assert limit is not None
    assert (limit.loss, limit.settles, limit.probs.tolist()) == (0.0, False, [[1.0, 0.0, 0.0]])
    assert 0 < path.loss[-1].item() < 0.01
    spread = path.logits.amax((1, 2)) - path.logits.amin((1, 2))
    assert bool((spread[100:].diff() > 0).all())


def test_ignored_rows_stay_where_they_are() -> None:
    problem = Problem([[1.0, 2.0], [3.0, 5.0]], [-100, 0], label_smoothing=0.2)
    limit = limit_of(problem)
    path = descend(problem, learning_rate=1.0, steps=20)

    assert limit is not None
    assert path.logits[-1, 0].tolist() == [1.0, 2.0]
    assert_agree(limit.probs[0], F.softmax(torch.tensor([1.0, 2.0]), 0))
    assert limit.settles


@pytest.mark.parametrize(
    "problem",
    [
        Problem([[1.0, 2.0]], [-100]),
        Problem([[1.0, 2.0]], [0], weight=[-1.0, 1.0], reduction="sum"),
        Problem([[1.0, 2.0]], [[-1.0, 2.0]]),
        Problem([[math.nan, 2.0]], [0]),
        Problem([[-math.inf, 2.0]], [0]),
        Problem([[math.inf, 2.0]], [0]),
        Problem([[-math.inf, 2.0, 1.0]], [1], label_smoothing=0.1),
    ],
    ids=["all ignored", "negative weight", "negative probability", "NaN", "label at -inf", "inf", "smoothed -inf"],
)
def test_what_has_no_limit_has_none(problem: Problem) -> None:
    assert limit_of(problem) is None


def test_a_masked_class_stays_masked_and_predicts_no_nan() -> None:
    path = descend(Problem([[-math.inf, 2.0, 1.0]], [1]), learning_rate=1.0, steps=3)
    limit = limit_of(path.problem)

    assert path.logits[:, 0, 0].tolist() == [-math.inf] * 4
    assert bool(path.predicted_change.isfinite().all())
    assert limit is not None
    assert limit.loss == 0


def test_a_path_that_leaves_the_numbers_says_where() -> None:
    """float16 ends at 65504; momentum goes there by 30000 + 27000 + 24300."""
    problem = Problem(torch.zeros(1, 2, dtype=torch.float16), [0])
    path = descend(problem, learning_rate=60000.0, steps=8, optimizer="momentum")

    assert path.logits[:4, 0, 0].tolist() == [0, 30000, 56992, math.inf]
    assert path.first_not_finite == 3
    assert math.isnan(path.loss[3].item())
    assert descend(problem, learning_rate=0.1, steps=8).first_not_finite is None


def test_a_stopped_descent_returns_what_it_has_reached() -> None:
    problem = Problem([[1.0, 2.0, 3.0]], [0])
    seen: list[int] = []

    def progress(done: int) -> bool:
        seen.append(done)
        return done < 40

    stopped = descend(problem, learning_rate=1.0, steps=1000, progress=progress)
    whole = descend(problem, learning_rate=1.0, steps=40)

    assert seen == [0, 10, 20, 30, 40]
    assert stopped.steps == 40
    assert_same_bits(stopped.logits, whole.logits)
    assert_same_bits(stopped.loss, whole.loss)
    assert stopped.grad_norm.shape == (41,)
    assert stopped.predicted_change.shape == (40,)


def test_progress_that_returns_nothing_does_not_stop() -> None:
    seen: list[int] = []
    path = descend(Problem([[1.0, 2.0]], [0]), learning_rate=1.0, steps=7, progress=seen.append)

    assert seen == list(range(8))
    assert path.steps == 7


def test_no_step_leaves_only_the_start() -> None:
    path = descend(Problem([[1.0, 2.0]], [0]), learning_rate=1.0, steps=0)

    assert path.logits.tolist() == [[[1.0, 2.0]]]
    assert path.predicted_change.shape == path.actual_change.shape == path.rose_unexpectedly.shape == (0,)


def test_one_can_go_on_from_any_point() -> None:
    problem = Problem([[1.0, 2.0, 3.0]], [0])
    whole = descend(problem, learning_rate=0.5, steps=10)
    rest = descend(replace(problem, logits=whole.logits[4]), learning_rate=0.5, steps=6)

    assert_same_bits(rest.logits, whole.logits[4:])


def test_the_problem_is_not_written() -> None:
    problem = Problem([[1.0, 2.0, 3.0]], [0])
    descend(problem, learning_rate=0.5, steps=3)

    assert problem == Problem([[1.0, 2.0, 3.0]], [0])
    assert not problem.logits.requires_grad


def test_it_runs_where_gradients_are_switched_off() -> None:
    problem = Problem([[1.0, 2.0, 3.0]], [0])
    with torch.inference_mode():
        inside = descend(problem, learning_rate=0.5, steps=3)

    assert_same_bits(inside.logits, descend(problem, learning_rate=0.5, steps=3).logits)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"learning_rate": -1.0}, "learning-rate"),
        ({"learning_rate": math.nan}, "learning-rate"),
        ({"learning_rate": math.inf}, "learning-rate"),
        ({"learning_rate": "fast"}, "learning-rate"),
        ({"steps": -1}, "steps"),
        ({"steps": 1.5}, "steps"),
        ({"steps": 10**12}, "steps"),
        ({"optimizer": "sgd"}, "optimizer"),
        ({"optimizer": None}, "optimizer"),
    ],
    ids=str,
)
def test_arguments_that_make_no_descent_are_refused_by_name(changes: dict[str, object], code: str) -> None:
    arguments = {"learning_rate": 1.0, "steps": 3, **changes}

    with pytest.raises(InvalidProblem) as caught:
        descend(Problem([[1.0, 2.0]], [0]), **arguments)
    assert caught.value.code == code
