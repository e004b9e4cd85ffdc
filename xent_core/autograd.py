"""Forward and backward of a loss: the loss at some logits, and its gradient there by `backward()`."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def loss_and_gradient(
    logits: Tensor, loss_of: Callable[[Tensor], Tensor], *, dtype: torch.dtype | None = None, upstream: float = 1.0
) -> tuple[Tensor, Tensor]:
    """The loss at these logits and its gradient, also inside `torch.inference_mode()` and `torch.no_grad()`.

    Args:
      loss_of: takes a leaf with the numbers of logits; the gradient of what is not one number is that of its sum.
      dtype: the leaf is a copy in this dtype; without it, it shares the memory of logits.
      upstream: what `backward()` starts from, ∂/∂loss.

    Example:
      >>> loss_and_gradient(torch.tensor([1.0, 2.0]), lambda leaf: (leaf**2).sum())
      (tensor(5.), tensor([2., 4.]))
    """
    loss, gradient = loss_and_perhaps_gradient(logits, loss_of, dtype=dtype, upstream=upstream)
    assert gradient is not None
    return loss, gradient


def loss_and_perhaps_gradient(
    logits: Tensor, loss_of: Callable[[Tensor], Tensor], *, dtype: torch.dtype | None = None, upstream: float = 1.0
) -> tuple[Tensor, Tensor | None]:
    """As loss_and_gradient, of a function that may not depend on the logits: the gradient is None then."""
    with torch.inference_mode(False), torch.enable_grad():
        # an inference tensor takes part in backward() only as a copy made outside inference mode
        leaf = logits.detach() if dtype is None else logits.detach().to(dtype, copy=True)
        loss = loss_of(leaf.requires_grad_())
        if loss.requires_grad:
            loss.backward(torch.full_like(loss, upstream))
    return loss.detach(), leaf.grad
