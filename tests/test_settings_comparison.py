"""Two settings on the same numbers: what differs, the sweep from one to the other, and micro-batches."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.problems import Call, valid_calls
from tests.tolerances import assert_agree
from xent_core import Problem, evaluate
from xent_core.settings_comparison import (
    COMPARED_OPTIONS,
    SUM_OVER_GLOBAL_COUNT,
    TOKENS,
    GradientPair,
    accumulate,
    compare_settings,
    differing_options,
    sweep_option,
    total_loss,
    with_option_of,
)

BATCH = Problem([[1, 2, 3]] * 3, [2, 1, 0])
EXACT = BATCH.to(torch.float64)


def pair(a: list[list[float]], b: list[list[float]]) -> GradientPair:
    return GradientPair(torch.tensor(a, dtype=torch.float64), torch.tensor(b, dtype=torch.float64), 1)


# The differences


def test_sum_is_three_times_the_mean_of_three_rows() -> None:
    """0.4076 + 1.4076 + 2.4076 = 4.2228, divided by 3 it is 1.4076."""
    result = compare_settings(EXACT, replace(EXACT, reduction="sum"))

    assert result.losses == pytest.approx((1.4076059644, 4.2228178933), abs=1e-9)
    assert result.differing == ("reduction",)
    assert result.gradients.factor == pytest.approx(3, abs=1e-12)
    assert result.gradients.degrees == pytest.approx(0, abs=1e-5)


def test_the_same_labels_as_probabilities_divide_by_n_instead_of_the_weights() -> None:
    """Labels 2, 1, 0 weigh 3 + 2 + 1 = 6, and there are N = 3 rows: the gradient doubles."""
    indices = replace(EXACT, weight=torch.tensor([1.0, 2, 3], dtype=torch.float64))
    probabilities = replace(indices, target=F.one_hot(EXACT.target, 3).double())

    result = compare_settings(indices, probabilities)

    assert (float(result.a.denominator), float(result.b.denominator)) == (6, 3)
    assert result.differing == ("target",)
    assert result.gradients.factor == pytest.approx(2, abs=1e-12)


def test_smoothing_moves_a_ninth_of_a_tenth_from_the_label_to_the_others() -> None:
    """y' = 0.9·y + 0.1/3: each other class gains 0.0333, the label loses 0.0667, all over N = 3."""
    result = compare_settings(EXACT, replace(EXACT, label_smoothing=0.1))

    expected = torch.full((3, 3), -0.1 / 9, dtype=torch.float64)
    expected[[0, 1, 2], [2, 1, 0]] = 0.2 / 9
    torch.testing.assert_close(result.gradients.difference, expected)
    assert result.gradients.factor is None


def test_pulls_add_up_sizes() -> None:
    both = pair([[3, -4], [0, 1]], [[3, -4], [0, -1]])

    assert both.row_pulls[0].tolist() == [7, 1]
    assert both.class_pulls[0].tolist() == [3, 5]
    assert both.norms == pytest.approx((math.sqrt(26), math.sqrt(26)))


@pytest.mark.parametrize(
    ("b", "degrees"),
    [([[0.0, 2.0]], 90), ([[-3.0, 0.0]], 180), ([[5.0, 5.0]], 45), ([[1.0, 1e-9]], math.degrees(1e-9))],
)
def test_the_angle_is_that_between_the_arrows(b: list[list[float]], degrees: float) -> None:
    assert pair([[1, 0]], b).degrees == pytest.approx(degrees, rel=1e-6)


@pytest.mark.parametrize("b", [[[0.0, 0.0]], [[math.nan, 1.0]]])
def test_there_is_no_angle_to_nothing_and_to_nan(b: list[list[float]]) -> None:
    assert math.isnan(pair([[1, 0]], b).degrees)


@pytest.mark.parametrize(
    ("a", "b", "factor"),
    [
        ([[1.0, -2.0]], [[-2.0, 4.0]], -2),
        ([[1.0, -2.0]], [[0.0, 0.0]], 0),
        ([[1.0, -2.0]], [[2.0, -4.001]], None),
        ([[0.0, 0.0]], [[1.0, 0.0]], None),
        ([[1.0, math.nan]], [[1.0, math.nan]], None),
        ([[1.0, 2.0]], [[math.inf, 2.0]], None),
    ],
)
def test_a_factor_holds_in_every_cell_or_there_is_none(
    a: list[list[float]], b: list[list[float]], factor: float | None
) -> None:
    assert pair(a, b).factor == factor


def test_float16_is_the_same_gradient_but_for_rounding() -> None:
    result = compare_settings(BATCH, BATCH.to(torch.float16))

    assert result.differing == ("dtype",)
    assert result.gradients.factor == pytest.approx(1, abs=2e-3)
    assert bool(result.gradients.difference.any())


def test_logits_of_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shapes \(3, 3\) and \(1, 3\)"):
        compare_settings(BATCH, Problem([[1, 2, 3]], [0]))


def test_row_losses_are_summed_where_there_is_no_reduction() -> None:
    result = compare_settings(replace(EXACT, reduction="none"), replace(EXACT, reduction="sum"))

    assert result.losses[0] == pytest.approx(result.losses[1], rel=1e-15)
    torch.testing.assert_close(result.a.grad_logits, result.b.grad_logits)


@given(call=valid_calls(odd=True))
def test_a_setting_does_not_differ_from_itself(call: Call) -> None:
    problem = call.problem()
    result = compare_settings(problem, problem)

    assert result.differing == ()
    assert not bool(result.gradients.difference.nan_to_num(0.0).any())


@given(call=valid_calls(dtypes=[torch.float64]))
def test_pulls_and_norms_are_those_of_numpy(call: Call) -> None:
    problem = call.problem()
    result = compare_settings(problem, replace(problem, reduction="sum"))
    axis = problem.class_axis
    b = result.b.grad_logits.numpy()

    torch.testing.assert_close(result.gradients.row_pulls[1], torch.as_tensor(abs(b).sum(axis)), equal_nan=True)
    rows = tuple(i for i in range(b.ndim) if i != axis)
    torch.testing.assert_close(result.gradients.class_pulls[1], torch.as_tensor(abs(b).sum(rows)), equal_nan=True)
    assert result.gradients.norms[1] == pytest.approx((b**2).sum() ** 0.5, rel=1e-9, nan_ok=True)


# Which options differ


def test_every_option_is_told_by_its_name() -> None:
    b = Problem(
        BATCH.logits.double(),
        [2, 1, 0],
        weight=torch.ones(3).double(),
        ignore_index=255,
        reduction="sum",
        label_smoothing=0.1,
        temperature=2,
    )

    assert differing_options(BATCH, b) == tuple(name for name in COMPARED_OPTIONS if name != "target")


def test_weights_that_only_float16_rounds_do_not_differ() -> None:
    a = replace(BATCH, weight=torch.tensor([0.1, 0.2, 0.3]))

    assert differing_options(a, a.to(torch.float16)) == ("dtype",)


def test_ignore_index_is_nothing_to_probabilities() -> None:
    a = replace(BATCH, ignore_index=7)

    assert differing_options(a, Problem(BATCH.logits, F.one_hot(BATCH.target, 3).float())) == ("target",)


@given(first=valid_calls(), smoothing=st.sampled_from([0.0, 0.1, 1.0]), temperature=st.sampled_from([0.5, 1.0, 3.0]))
def test_all_options_of_b_one_after_the_other_make_b(first: Call, smoothing: float, temperature: float) -> None:
    a = first.problem()
    weight = None if a.weight is not None else torch.ones(a.num_classes, dtype=torch.float64)
    b = replace(a.to(torch.float64), weight=weight, reduction="sum", label_smoothing=smoothing, temperature=temperature)

    mixed = a
    for option in ("dtype", *(name for name in COMPARED_OPTIONS if name != "dtype")):
        mixed = with_option_of(mixed, b, option)

    assert differing_options(mixed, b) == ()
    torch.testing.assert_close(evaluate(mixed).grad_logits, evaluate(b).grad_logits, equal_nan=True)


# The sweep


def test_the_loss_is_a_straight_line_in_smoothing() -> None:
    a = Problem(torch.tensor([[4.0, 1, 0]], dtype=torch.float64), [0])
    swept = sweep_option(a, replace(a, label_smoothing=1.0), "label_smoothing", 5)

    assert swept.values == pytest.approx((0, 0.25, 0.5, 0.75, 1))
    steps = [after - before for before, after in pairwise(swept.losses)]
    assert steps == pytest.approx([steps[0]] * 4)
    assert swept.losses[-1] == pytest.approx(float(F.cross_entropy(a.logits, a.target, label_smoothing=1.0)), rel=1e-12)


def test_the_temperature_moves_by_equal_factors() -> None:
    swept = sweep_option(BATCH, replace(BATCH, temperature=16.0), "temperature", 5)

    assert swept.values == pytest.approx((1, 2, 4, 8, 16))
    assert swept.losses[2] == pytest.approx(float(F.cross_entropy(BATCH.logits / 4, BATCH.target)), rel=1e-6)


def test_no_weight_counts_as_ones() -> None:
    """Halfway from 1, 1, 1 to 1, 2, 3 lies 1, 1.5, 2."""
    b = replace(BATCH, weight=torch.tensor([1.0, 2, 3]))
    swept = sweep_option(BATCH, b, "weight", 3)

    halfway = F.cross_entropy(BATCH.logits, BATCH.target, weight=torch.tensor([1.0, 1.5, 2]))
    assert swept.values == (0, 0.5, 1)
    assert swept.losses[1] == pytest.approx(float(halfway), rel=1e-6)


def test_the_dtype_alone_comes_from_b_with_what_a_has_rounded_and_no_other_weight() -> None:
    fine = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)
    double = BATCH.to(torch.float64)

    rounded = with_option_of(replace(BATCH, weight=fine.float()), replace(double, weight=fine), "dtype")
    other = with_option_of(replace(BATCH, weight=fine.float()), replace(double, weight=10 * fine), "dtype")

    assert rounded.weight.tolist() == [0.1, 0.2, 0.3]
    assert other.weight.tolist() == fine.float().tolist()


def test_the_dtype_goes_through_those_between() -> None:
    a = replace(BATCH, logits=torch.tensor([[0.1, 0.2, 0.3]] * 3))
    swept = sweep_option(a.to(torch.float16), replace(a, logits=a.logits.double()), "dtype")
    bfloat16 = F.cross_entropy(a.logits.bfloat16(), a.target)

    assert swept.values == ("float16", "bfloat16", "float32", "float64")
    assert swept.losses[1] == float(bfloat16)
    assert swept.losses[2] == float(F.cross_entropy(a.logits, a.target))  # what float16 has rounded away is not lost


def test_what_has_no_between_has_two_points() -> None:
    assert sweep_option(BATCH, replace(BATCH, reduction="sum"), "reduction").values == ("mean", "sum")
    assert len(sweep_option(BATCH, BATCH, "target").losses) == 2


def test_the_other_options_stay_as_in_a() -> None:
    b = replace(BATCH, reduction="sum", label_smoothing=0.5)
    swept = sweep_option(BATCH, b, "label_smoothing", 2)

    assert swept.losses[-1] == pytest.approx(
        float(F.cross_entropy(BATCH.logits, BATCH.target, label_smoothing=0.5)), rel=1e-6
    )


@pytest.mark.parametrize(("option", "points", "said"), [("lr", 5, "expected one of"), ("weight", 1, "at least 2")])
def test_an_impossible_sweep_is_refused(option: str, points: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        sweep_option(BATCH, BATCH, option, points)


@given(call=valid_calls(), option=st.sampled_from(COMPARED_OPTIONS))
def test_a_sweep_begins_at_a_and_ends_with_the_option_of_b(call: Call, option: str) -> None:
    a = call.problem()
    b = replace(a, reduction="sum", label_smoothing=0.3, temperature=2.0, weight=a.logits.new_ones(a.num_classes))
    swept = sweep_option(a, b, option, 3)

    assert len(swept.values) == len(swept.losses) == len(swept.grad_norms)
    assert swept.losses[0] == pytest.approx(total_loss(evaluate(a)), nan_ok=True)
    assert swept.losses[-1] == pytest.approx(total_loss(evaluate(with_option_of(a, b, option))), nan_ok=True)


# Micro-batches


def test_the_mean_of_means_counts_a_short_micro_batch_as_much_as_a_long_one() -> None:
    """Labels 2, −100 | 0, 1: (0.4076/1 + (2.4076 + 1.4076)/2)/2 = 1.1576; the mean is 4.2228/3 = 1.4076."""
    result = accumulate(Problem([[1, 2, 3]] * 4, [2, -100, 0, 1]), 2)

    assert float(result.mean_of_means) == pytest.approx(1.1576059, abs=1e-6)
    assert [float(result.whole.loss), float(result.summed)] == pytest.approx([1.4076059] * 2, abs=1e-6)
    assert [float(part.denominator) for part in result.parts] == [1, 2]


def test_the_gradient_of_the_mean_of_means_is_what_backward_adds_up() -> None:
    problem = TOKENS.problem
    leaf = problem.logits.clone().requires_grad_()
    for z, y in zip(leaf.split(3), problem.target.split(3), strict=True):
        (F.cross_entropy(z, y) / 2).backward()

    result = accumulate(problem, 2)

    assert leaf.grad is not None
    torch.testing.assert_close(result.mean_of_means_grad, leaf.grad)
    assert float((result.mean_of_means_grad - result.whole.grad_logits).abs().max()) > 0.1


def test_the_code_of_the_right_way_gives_the_gradient_of_the_whole_batch() -> None:
    problem = TOKENS.problem
    leaf = problem.logits.clone().requires_grad_()
    batches = list(zip(leaf.split(3), problem.target.split(3), strict=True))
    exec(SUM_OVER_GLOBAL_COUNT, {"F": F, "micro_batches": batches})

    assert leaf.grad is not None
    torch.testing.assert_close(leaf.grad, evaluate(problem).grad_logits)


def test_a_micro_batch_without_a_kept_row_makes_the_mean_of_means_nan() -> None:
    result = accumulate(Problem([[1, 2, 3]] * 4, [2, 1, -100, -100]), 2)

    assert math.isnan(float(result.mean_of_means))
    assert float(result.summed) == pytest.approx(float(result.whole.loss))


@given(
    call=valid_calls(dtypes=[torch.float64, torch.float32]).filter(lambda call: call.logits.dim() > 1),
    seed=st.integers(0, 99),
)
def test_sums_over_the_global_count_are_the_mean_whatever_the_split(call: Call, seed: int) -> None:
    problem = replace(call.problem(), reduction="mean")
    result = accumulate(problem, 1 + seed % len(problem.logits))
    assume(bool(result.whole.denominator))  # nothing divided by nothing is no mean

    assert_agree(result.summed, result.whole.loss)
    assert_agree(result.summed_grad, result.whole.grad_logits)


def test_equal_parts_without_ignored_rows_need_no_care() -> None:
    result = accumulate(replace(TOKENS.problem, target=torch.tensor([0, 1, 2, 1, 0, 2])), 3)

    assert float(result.mean_of_means) == pytest.approx(float(result.whole.loss), rel=1e-6)
    torch.testing.assert_close(result.mean_of_means_grad, result.whole.grad_logits)


@pytest.mark.parametrize("count", [0, 4, -1])
def test_there_are_as_many_parts_as_rows_at_most(count: int) -> None:
    with pytest.raises(ValueError, match="expected 1 to 3"):
        accumulate(BATCH, count)


def test_a_single_row_of_logits_is_one_part() -> None:
    result = accumulate(Problem([1.0, 2, 3], 0), 1)

    assert float(result.mean_of_means) == pytest.approx(float(result.whole.loss))
    assert result.summed_grad.shape == (3,)
