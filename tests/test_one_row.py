"""One row on its own: the worked examples by hand; F.cross_entropy, autograd and differences as oracles."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, example, given
from hypothesis import strategies as st
from torch import Tensor

from tests.problems import Call, assert_same_bits, valid_calls
from tests.tolerances import assert_agree
from xent_core import InvalidProblem, Problem, evaluate
from xent_core.one_row import if_label_were, loss_along, row_problem, simplex_field, simplex_grid, with_share
from xent_core.presets import PRESETS

WORKED = PRESETS["worked-batch"].problem
SEEDS = st.integers(0, 2**32)
FLOAT_PAIR = (torch.float64, torch.float32)


def batches(*, odd: bool = False) -> st.SearchStrategy[Call]:
    """Valid calls whose logits are (N, C)."""
    return valid_calls(dtypes=FLOAT_PAIR, odd=odd).filter(lambda call: call.logits.dim() == 2)


def row_loss(call: Call, logits: Tensor, target: Tensor) -> Tensor:
    """PyTorch's own unreduced loss of rows in the options of a call."""
    return F.cross_entropy(logits / call.temperature, target, **{**call.options, "reduction": "none"})


def slope(call: Call, logits: Tensor, target: Tensor) -> Tensor:
    """The gradient of one row's loss, shape (C,), by autograd alone."""
    leaf = logits.detach().clone().requires_grad_()
    (grad,) = torch.autograd.grad(row_loss(call, leaf.unsqueeze(0), target.unsqueeze(0)).sum(), leaf)
    return grad


# The worked row


def test_the_three_labels_cost_and_pull_as_in_the_article() -> None:
    """p = [0.0900, 0.2447, 0.6652]; the loss is −ln p at the label, the gradient p − 1 there and p elsewhere."""
    by_label = if_label_were(WORKED)

    torch.testing.assert_close(by_label.loss, torch.tensor([2.4076, 1.4076, 0.4076]), rtol=0, atol=5e-5)
    expected = torch.tensor([[-0.9100, 0.2447, 0.6652], [0.0900, -0.7553, 0.6652], [0.0900, 0.2447, -0.3348]])
    torch.testing.assert_close(by_label.grad_logits, expected, rtol=0, atol=5e-5)


def test_the_tangent_of_the_worked_row_goes_through_its_loss_with_its_gradient() -> None:
    """Label 0: loss 2.4076, slope −0.9100. At 2 the tangent is at 1.4976, the loss at ln(1 + 1 + e) = 1.5514."""
    curve = loss_along(WORKED, 0, torch.tensor([1.0, 2.0]), row=2)

    torch.testing.assert_close(curve.tangent, torch.tensor([2.4076, 1.4976]), rtol=0, atol=1e-4)
    torch.testing.assert_close(curve.loss, torch.tensor([2.4076, 1.5514]), rtol=0, atol=1e-4)


def test_in_the_middle_of_the_simplex_descent_leads_straight_to_the_label() -> None:
    """p = 1/3: g = p − y = [−2/3, 1/3, 1/3], and −(p∘g − p·⟨p, g⟩) = [2/9, −1/9, −1/9], as ⟨p, g⟩ = 0."""
    field = simplex_field(PRESETS["worked-row-0"].problem, simplex_grid(1))

    torch.testing.assert_close(field.velocity, torch.tensor([[2 / 9, -1 / 9, -1 / 9]], dtype=torch.float64))
    torch.testing.assert_close(field.loss, torch.tensor([math.log(3)], dtype=torch.float64))


# A row of a batch


@given(batches(odd=True))
def test_a_row_alone_has_its_unreduced_loss_and_d_times_the_batch_s_gradient(call: Call) -> None:
    problem = call.problem()
    whole, row = evaluate(problem), len(call.logits) - 1

    alone = evaluate(row_problem(problem, row))

    assert_agree(alone.row_loss[0], whole.row_loss[row])
    assert_agree(alone.loss, alone.row_loss[0])
    if bool(whole.denominator.isfinite() & (whole.denominator != 0)):
        assert_agree(alone.grad_logits[0], whole.grad_logits[row] * whole.denominator.to(whole.grad_logits.dtype))


def test_a_row_that_is_not_there_is_refused() -> None:
    with pytest.raises(IndexError, match="row is 3, expected 0…2"):
        row_problem(WORKED, 3)
    with pytest.raises(InvalidProblem, match="expected a batch"):
        row_problem(Problem([1, 2, 3], 0), 0)
    with pytest.raises(IndexError, match="label is 3"):
        loss_along(WORKED, 3, torch.zeros(1))


# If the label were


@given(batches(odd=True))
def test_the_what_if_matrix_is_pytorch_s_loss_and_autograd_s_gradient_label_by_label(call: Call) -> None:
    assume("weight" not in call.options or call.options["weight"].dtype == call.logits.dtype)
    row = len(call.logits) - 1
    by_label = if_label_were(call.problem(), row)

    for k in range(call.logits.shape[1]):
        label = torch.tensor(k)
        expected = row_loss(call, call.logits[row : row + 1], label.unsqueeze(0))[0]
        assert_agree(by_label.loss[k], expected)
        assert_agree(by_label.grad_logits[k], slope(call, call.logits[row], label))


def test_a_label_that_is_ignored_costs_nothing() -> None:
    by_label = if_label_were(replace(WORKED, ignore_index=1))

    assert by_label.loss[1] == 0
    assert not by_label.grad_logits[1].any()
    assert by_label.grad_logits[0].any()


def test_a_row_of_probabilities_has_what_ifs_like_any_other() -> None:
    soft = if_label_were(PRESETS["soft-labels"].problem, 1)
    hard = if_label_were(Problem(PRESETS["soft-labels"].problem.logits, [0, 0, 0]), 1)

    assert_same_bits(soft.grad_logits, hard.grad_logits)


# Along one logit


@given(batches(), SEEDS)
def test_the_curve_is_pytorch_s_loss_and_its_slope_autograd_s(call: Call, seed: int) -> None:
    row, label = len(call.logits) - 1, seed % call.logits.shape[1]
    values = torch.linspace(-6, 6, 5, dtype=torch.float64)

    curve = loss_along(call.problem(), label, values, row)

    for place, value in enumerate(values.to(call.logits.dtype)):
        moved = call.logits[row].clone()
        moved[label] = value
        expected = row_loss(call, moved.unsqueeze(0), call.target[row : row + 1])[0]
        assert_agree(curve.loss[place], expected)
        assert_agree(curve.slope[place], slope(call, moved, call.target[row])[label])


@given(batches(), SEEDS)
def test_the_tangent_touches_the_curve_at_the_row_as_it_is(call: Call, seed: int) -> None:
    row, label = len(call.logits) - 1, seed % call.logits.shape[1]
    problem = call.problem().to(torch.float64)
    here, step = float(problem.logits[row, label]), 1e-4
    assume(abs(here) < 100)

    curve = loss_along(problem, label, torch.tensor([here - step, here, here + step], dtype=torch.float64), row)

    assert_agree(curve.tangent[1], evaluate(problem).row_loss[row])
    # a tangent leaves its curve by step²/2 times the curvature, of which the loss has at most Σ|v|/(4·T²)
    bend = step**2 / 2 * float(evaluate(problem).effective_target[row].abs().sum()) / (4 * problem.temperature**2)
    assert bool(((curve.loss - curve.tangent).abs() <= bend + 1e-9).all())


# The simplex


@pytest.mark.parametrize(("count", "num_classes", "points"), [(1, 3, 1), (9, 3, 45), (4, 2, 4), (3, 4, 10)])
def test_the_grid_lies_evenly_inside_the_simplex(count: int, num_classes: int, points: int) -> None:
    grid = simplex_grid(count, num_classes)

    assert grid.shape == (points, num_classes)
    assert len(grid.unique(dim=0)) == points
    assert bool((grid > 0).all())
    torch.testing.assert_close(grid.sum(1), torch.ones(points, dtype=torch.float64))


@given(batches())
def test_the_field_is_where_a_small_step_of_descent_moves_softmax(call: Call) -> None:
    row, num_classes = len(call.logits) - 1, call.logits.shape[1]
    assume(num_classes > 1)
    probs = simplex_grid(3, num_classes)
    exact = Call(
        call.logits.double(),
        call.target.double() if call.target.is_floating_point() else call.target,
        {**call.options, "weight": None if call.options.get("weight") is None else call.options["weight"].double()},
        call.temperature,
    )

    field = simplex_field(call.problem(), probs, row)

    for place, point in enumerate(probs):
        logits = call.temperature * point.log()
        step = 1e-6 * slope(exact, logits, exact.target[row])
        ahead, behind = (F.softmax((logits + sign * step) / call.temperature, 0) for sign in (-1, 1))
        torch.testing.assert_close(field.velocity[place], (ahead - behind) / 2e-6, rtol=1e-5, atol=1e-7)
        expected = row_loss(exact, logits.unsqueeze(0), exact.target[row : row + 1])[0]
        torch.testing.assert_close(field.loss[place], expected)
    torch.testing.assert_close(field.velocity.sum(1), torch.zeros(len(probs)).double(), rtol=0, atol=1e-12)


# A share that is dragged


def test_the_others_keep_their_proportions() -> None:
    shares = with_share(torch.tensor([0.5, 0.3, 0.2]), 0, 0.8)

    assert shares.tolist() == [0.8, 0.12, 0.08]


def test_a_label_that_lets_go_leaves_to_all_alike() -> None:
    assert with_share(torch.tensor([0.0, 1.0, 0.0]), 1, 0.4).tolist() == [0.3, 0.4, 0.3]


@pytest.mark.parametrize("odd", [[math.nan, 1.0, 0.0], [-1.0, 0.0, 2.0], [math.inf, 0.0, 0.0], [0.0, 0.0, 0.0]])
def test_odd_shares_become_probabilities(odd: list[float]) -> None:
    shares = with_share(torch.tensor(odd), 1, 0.5)

    assert float(shares[1]) == 0.5
    assert bool((shares >= 0).all())
    assert float(shares.sum()) == pytest.approx(1, abs=1e-12)


@given(SEEDS, st.floats(0, 1), st.integers(2, 64))
@example(25, 0.99999, 24)  # 23 classes share ten millionths
def test_shares_add_up_to_one_and_have_six_decimals(seed: int, share: float, num_classes: int) -> None:
    probs = torch.rand(num_classes, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    label = seed % num_classes

    shares = with_share(probs / probs.sum(), label, share)

    others = torch.arange(num_classes) != label
    expected = probs[others] * (1 - share) / probs[others].sum()
    assert torch.allclose(shares[others], expected, rtol=0, atol=1.6e-6)
    assert float(shares.sum()) == pytest.approx(1, abs=1e-12)
    assert bool((shares >= 0).all())
    assert all(len(repr(round(value, 6))) >= len(repr(value)) for value in shares.tolist())
