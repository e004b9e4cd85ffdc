import math

import pytest
import torch

from xent_core import evaluate
from xent_core.presets import PRESETS

E = math.exp


def loss(name: str) -> float:
    return float(evaluate(PRESETS[name].problem).loss)


def test_the_names_that_links_rely_on_exist():
    assert {"worked-batch", "worked-row-0", "worked-row-1", "worked-row-2", "digits"} <= set(PRESETS)


def test_names_are_plain_and_titles_differ():
    assert all(name.replace("-", "").isalnum() and name == name.lower() for name in PRESETS)
    assert len({preset.title for preset in PRESETS.values()}) == len(PRESETS)


@pytest.mark.parametrize("name", PRESETS)
def test_names_of_rows_and_classes_are_complete_or_absent(name):
    preset = PRESETS[name]
    n, c = preset.problem.logits.shape

    assert len(preset.class_names) in (0, c)
    assert len(preset.row_names) in (0, n)


def test_the_worked_batch():
    """Losses 0.4076, 1.4076 and 2.4076 of the labels 2, 1, 0; their mean is 1.4076."""
    result = evaluate(PRESETS["worked-batch"].problem)
    expected = [[0.0300, 0.0816, -0.1116], [0.0300, -0.2518, 0.2217], [-0.3033, 0.0816, 0.2217]]

    assert float(result.loss) == pytest.approx(1.4076, abs=5e-5)
    torch.testing.assert_close(result.grad_logits, torch.tensor(expected), rtol=0, atol=5.1e-5)


@pytest.mark.parametrize(
    ("label", "expected", "grad"),
    [
        (0, 2.4076, [-0.9100, 0.2447, 0.6652]),
        (1, 1.4076, [0.0900, -0.7553, 0.6652]),
        (2, 0.4076, [0.0900, 0.2447, -0.3348]),
    ],
)
def test_the_worked_rows(label, expected, grad):
    """p = [0.0900, 0.2447, 0.6652]: the loss is −ln p at the label, the gradient p − 1 there and p elsewhere."""
    result = evaluate(PRESETS[f"worked-row-{label}"].problem)

    assert float(result.loss) == pytest.approx(expected, abs=5e-5)
    torch.testing.assert_close(result.grad_logits, torch.tensor([grad]), rtol=0, atol=5.1e-5)


def test_uniform_costs_the_logarithm_of_four():
    assert loss("uniform") == pytest.approx(math.log(4), rel=1e-6)


def test_saturated_rows_have_no_gradient_where_they_are_right_and_a_full_one_where_they_are_wrong():
    """Losses 0, 40 and ln(1 + e^−0.5 + e^−1) = 0.6803; mean 13.5601."""
    result = evaluate(PRESETS["saturated"].problem)

    assert float(result.loss) == pytest.approx((40 + math.log(1 + E(-0.5) + E(-1))) / 3, rel=1e-6)
    assert float(result.loss) == pytest.approx(13.5601, abs=5e-5)
    assert float(result.grad_logits[0].abs().max()) < 1e-12
    assert result.grad_logits[1].tolist() == pytest.approx([1 / 3, 0, -1 / 3], abs=1e-6)


def test_masked_classes_have_no_probability_and_no_gradient():
    """Row losses ln(1 + e^−1 + e^−2) = 0.4076, ln(1 + e^−1 + e^−0.5) = 0.6803 and 2 + 0.4402 = 2.4402."""
    result = evaluate(PRESETS["masked"].problem)
    rows = [
        math.log(1 + E(-1) + E(-2)),
        math.log(1 + E(-1) + E(-0.5)),
        math.log(1 + E(1) + E(2) + E(-1)),
    ]

    assert result.row_loss.tolist() == pytest.approx(rows, rel=1e-5)
    assert float(result.loss) == pytest.approx(sum(rows) / 3, rel=1e-5)
    masked = result.problem.logits == -math.inf
    assert int(masked.sum()) == 2
    assert not result.probs[masked].any()
    assert not result.grad_logits[masked].any()


def test_the_ignored_row_counts_neither_in_the_loss_nor_in_the_mean():
    """ln(1 + e^−1 + e^−2) = 0.4076 and ln(2 + e^2) = 2.2395; their mean is 1.3236."""
    result = evaluate(PRESETS["ignored-row"].problem)

    assert float(result.denominator) == 2
    assert float(result.loss) == pytest.approx((math.log(1 + E(-1) + E(-2)) + math.log(2 + E(2))) / 2, rel=1e-5)
    assert not result.grad_logits[1].any()


def test_class_weights_divide_by_their_sum():
    """Weights of the labels 1 + 0.5 + 4 + 4 = 9.5."""
    result = evaluate(PRESETS["class-weights"].problem)
    plain = [
        math.log(1 + E(-1) + E(-2)),
        math.log(1 + E(-2) + E(-3.5)),
        math.log(1 + 2 * E(-2)),
        math.log(2 + E(1)),
    ]
    weighted = [w * one for w, one in zip([1, 0.5, 4, 4], plain, strict=True)]

    assert float(result.denominator) == 9.5
    assert float(result.loss) == pytest.approx(sum(weighted) / 9.5, rel=1e-5)


def test_soft_labels_cost_the_cross_entropy_of_each_row():
    """Row 0: ln(e^2 + e + 1) − (0.8·2 + 0.2·1), and so on; the mean over three rows."""
    rows = [
        math.log(E(2) + E(1) + 1) - 1.8,
        math.log(E(0.5) + E(2.5) + E(-1)) - (0.05 + 1.5 - 0.3),
        math.log(E(1) + E(1) + E(3)) - 2,
    ]

    assert loss("soft-labels") == pytest.approx(sum(rows) / 3, rel=1e-5)


def test_digits_are_mostly_right():
    result = evaluate(PRESETS["digits"].problem)

    assert result.problem.logits.shape == (10, 10)
    assert 6 <= int(result.correct.sum()) <= 8
    assert bool(result.loss.isfinite())
