"""The losses at which training gets stuck, against PyTorch on the rows that reach them."""

import math

import pytest
import torch
import torch.nn.functional as F

from xent_core.doctor.loss_levels import classes_of_two_softmax, classes_of_uniform, loss_levels


@pytest.mark.parametrize("num_classes", [2, 3, 10, 1000])
def test_the_marks_are_what_pytorch_gives_for_certain_and_for_even_rows(num_classes: int) -> None:
    certain = torch.zeros(1, num_classes, dtype=torch.float64)
    certain[0, 0] = 1e4
    probs = certain.softmax(dim=1)
    levels = loss_levels(num_classes)

    assert levels.least_of_two_softmax == pytest.approx(float(F.cross_entropy(probs, torch.tensor([0]))), rel=1e-12)
    assert levels.most_of_two_softmax == pytest.approx(float(F.cross_entropy(probs, torch.tensor([1]))), rel=1e-12)
    assert levels.uniform == pytest.approx(float(F.cross_entropy(certain * 0, torch.tensor([0]))), rel=1e-12)


def test_no_row_of_probabilities_leaves_the_bounds() -> None:
    probs = (torch.randn(500, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 9).softmax(dim=1)
    losses = torch.stack([F.cross_entropy(probs, torch.full((500,), label), reduction="none") for label in range(10)])
    levels = loss_levels(10)

    assert levels.least_of_two_softmax <= float(losses.min())
    assert float(losses.max()) <= levels.most_of_two_softmax


@pytest.mark.parametrize(
    ("loss", "classes"),
    [("1.46", [10]), ("0.5514", [3]), ("0.31", [2]), ("1.4", []), ("5.91", range(953, 1052)), ("99", [])],
)
def test_the_classes_of_two_softmax_are_those_whose_bound_rounds_to_the_loss(loss: str, classes: list[int]) -> None:
    digits = len(loss.partition(".")[2])
    by_hand = [C for C in range(2, 1100) if abs(math.log(math.e + C - 1) - 1 - float(loss)) <= 0.5 * 10**-digits]
    if loss not in ("1.4", "5.91"):
        assert by_hand == list(classes)

    assert list(classes_of_two_softmax(loss)) == by_hand


@pytest.mark.parametrize(("loss", "classes"), [("0.69", [2]), ("0.693", [2]), ("2.303", [10]), ("6.9078", [1000])])
def test_the_classes_of_an_even_guess_are_those_whose_logarithm_rounds_to_the_loss(
    loss: str, classes: list[int]
) -> None:
    assert list(classes_of_uniform(loss)) == classes
