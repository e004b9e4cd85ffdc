"""Forward and backward of a loss on a leaf."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from xent_core.autograd import loss_and_gradient, loss_and_perhaps_gradient

LOGITS = torch.tensor([[1.0, 2.0, 3.0], [0.5, 0.0, -1.0]])
TARGET = torch.tensor([0, 2])


def cross_entropy(leaf: Tensor) -> Tensor:
    return F.cross_entropy(leaf, TARGET)


def test_the_gradient_is_softmax_minus_one_hot_over_the_rows() -> None:
    loss, gradient = loss_and_gradient(LOGITS, cross_entropy)

    assert loss == F.cross_entropy(LOGITS, TARGET)
    torch.testing.assert_close(gradient, (LOGITS.softmax(1) - F.one_hot(TARGET, 3)) / 2)


def test_the_gradient_of_row_losses_is_that_of_their_sum() -> None:
    loss, gradient = loss_and_gradient(LOGITS, lambda leaf: F.cross_entropy(leaf, TARGET, reduction="none"), upstream=3)

    assert loss.shape == (2,)
    torch.testing.assert_close(gradient, 3 * (LOGITS.softmax(1) - F.one_hot(TARGET, 3)))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_it_works_where_gradients_are_switched_off(mode: type[torch.no_grad]) -> None:
    expected = loss_and_gradient(LOGITS, cross_entropy)

    with mode():
        found = loss_and_gradient(LOGITS, cross_entropy)

    assert torch.equal(found[1], expected[1])
    assert not found[0].requires_grad


def test_in_a_dtype_it_works_on_a_copy() -> None:
    with torch.inference_mode():
        inference_tensor = LOGITS + 0

    _loss, gradient = loss_and_gradient(inference_tensor, cross_entropy, dtype=torch.float64)

    assert gradient.dtype == torch.float64


def test_a_loss_without_a_graph_has_no_gradient() -> None:
    assert loss_and_perhaps_gradient(LOGITS, lambda leaf: leaf.detach().sum())[1] is None


def test_the_logits_are_left_as_they_were() -> None:
    logits = LOGITS.clone()

    loss_and_gradient(logits, cross_entropy)

    assert not logits.requires_grad
    assert logits.grad is None
