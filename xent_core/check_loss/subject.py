"""Somebody's loss, and how it is called: which options it takes, and whether it multiplies by a matrix itself."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xent_core.language import _

KEYWORDS = ("weight", "ignore_index", "reduction", "label_smoothing")
EXTENSIONS = ("lse_square_scale", "z_loss", "softcap")
Loss = Callable[..., Any]

_HIDDEN = ("input", "_input", "inputs", "hidden", "hidden_states", "hiddens", "x", "e", "embeddings", "features")
_MATRIX = ("linear_weight", "lin_weight", "weight_matrix", "matrix", "w", "c", "classifier", "lm_head_weight", "weight")
_TARGET = ("target", "targets", "label", "labels", "y")
_BIAS = ("linear_bias", "bias")


@dataclass(frozen=True, eq=False)
class Subject:
    """A loss under its own signature.

    Attributes:
      fn: what is called.
      name: what it is called in a report.
      options: which of KEYWORDS it takes.
      extensions: which of EXTENSIONS it takes.
      order: where hidden, matrix and target stand among the arguments of a fused loss; None for (logits, target).
      bias: the keyword of a fused loss's bias, or None.
    """

    fn: Loss
    name: str
    options: frozenset[str]
    extensions: frozenset[str] = frozenset()
    order: tuple[int, int, int] | None = None
    bias: str | None = None

    def __call__(self, logits: Tensor, target: Tensor, **options: Any) -> Tensor:
        """The loss of logits; a fused one gets the identity for its matrix, so that they are its hidden states."""
        if self.order is None:
            return _tensor(self.fn(logits, target, **options))
        return self.fused(logits, torch.eye(logits.shape[-1], dtype=logits.dtype), target, **options)

    def fused(
        self, hidden: Tensor, matrix: Tensor, target: Tensor, bias: Tensor | None = None, **options: Any
    ) -> Tensor:
        """The loss of hidden·matrixᵀ + bias, of shapes (N, H), (C, H) and (C,)."""
        assert self.order is not None
        given: list[Any] = [None, None, None]
        for place, value in zip(self.order, (hidden, matrix, target), strict=True):
            given[place] = value
        if bias is not None and self.bias is not None:
            options[self.bias] = bias
        return _tensor(self.fn(*given, **options))

    def takes_logits(self, logits: Tensor) -> bool:
        """Whether such logits can be made by the identity: a fused loss would multiply infinities by its zeros."""
        return self.order is None or (logits.dim() <= 2 and bool(logits.isfinite().all()))

    def takes(self, options: Iterable[str]) -> bool:
        """Whether it knows all of these."""
        return set(options) <= self.options


def subject_of(fn: Loss | Subject | type[torch.nn.Module]) -> Subject:
    """How a function, a module, or a class of modules is called, by its signature.

    A class is built anew for each call, with the options that its constructor takes.
    """
    if isinstance(fn, Subject):
        return fn
    name = getattr(fn, "__qualname__", type(fn).__qualname__)
    if inspect.isclass(fn) and issubclass(fn, torch.nn.Module):
        module = fn

        def built(logits: Tensor, target: Tensor, **options: Any) -> Any:
            return module(**options)(logits, target)

        return Subject(built, name, _keywords(_parameters(module.__init__)), frozenset())
    parameters = _parameters(fn.forward if isinstance(fn, torch.nn.Module) else fn)
    order = _fused_order(parameters)
    taken = _keywords(parameters)
    names = {one.name for one in parameters or ()}
    return Subject(
        fn,
        name,
        taken - {"weight"} if order is not None and parameters and parameters[order[1]].name == "weight" else taken,
        frozenset(EXTENSIONS) & names,
        order,
        next((bias for bias in _BIAS if order is not None and bias in names), None),
    )


def from_value_and_gradient(fn: Callable[..., tuple[Any, Any]]) -> Subject:
    """A loss without autograd, of NumPy or JAX: fn(logits, target, **options) gives the loss and ∂(Σ loss)/∂logits.

    Both arguments are NumPy arrays, and so may be what it gives.

    Example:
      >>> import torch.nn.functional as F
      >>> def mine(logits, target):
      ...     z = torch.tensor(logits, requires_grad=True)
      ...     loss = F.cross_entropy(z, torch.tensor(target))
      ...     loss.backward()
      ...     return loss.detach().numpy(), z.grad.numpy()
      >>> bool(subject_of(from_value_and_gradient(mine))(torch.zeros(1, 2), torch.tensor([0])) > 0.69)
      True
    """

    def loss(logits: Tensor, target: Tensor, **options: Any) -> Tensor:
        arrays = {key: value.numpy() if isinstance(value, Tensor) else value for key, value in options.items()}
        return _Given.apply(logits, target, fn, arrays)  # type: ignore[no-any-return, no-untyped-call]  # PyTorch's

    found = subject_of(fn)
    return Subject(loss, found.name, found.options, found.extensions)


class _Given(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor, fn: Loss, options: dict[str, Any]) -> Tensor:
        with torch.enable_grad():  # for a function that uses autograd inside
            loss, gradient = fn(logits.detach().numpy(), target.numpy(), **options)
        ctx.save_for_backward(torch.as_tensor(np.asarray(gradient), dtype=logits.dtype))
        return torch.as_tensor(np.asarray(loss), dtype=logits.dtype)

    @staticmethod
    def backward(ctx: Any, *upstream: Any) -> Any:
        (gradient,) = ctx.saved_tensors
        factor = upstream[0]
        return gradient * factor.reshape(*factor.shape, *[1] * (gradient.dim() - factor.dim())), None, None, None


def classes_last(fn: Loss) -> Subject:
    """A loss that takes (B, T, C) with (B, T) and flattens by itself, under the shapes of F.cross_entropy."""
    found = subject_of(fn)

    def loss(logits: Tensor, target: Tensor, **options: Any) -> Any:
        if logits.dim() > 2:
            if target.is_floating_point():
                target = target.movedim(1, -1)
            logits = logits.movedim(1, -1)
        return found(logits, target, **options)

    return Subject(loss, found.name, found.options, found.extensions)


class NoTensor(TypeError):
    """What came of the loss is no tensor."""


def _tensor(loss: Any) -> Tensor:
    if not isinstance(loss, Tensor):
        raise NoTensor(_("the loss is no tensor, but of type {type}").format(type=type(loss).__name__))
    return loss


def _parameters(fn: Any) -> list[inspect.Parameter] | None:
    """The parameters; None if the signature cannot be read."""
    try:
        return list(inspect.signature(fn).parameters.values())
    except (TypeError, ValueError):
        return None


def _keywords(parameters: list[inspect.Parameter] | None) -> frozenset[str]:
    """Which of KEYWORDS are taken; all of them if the signature cannot be read, or takes any."""
    if parameters is None or any(one.kind is one.VAR_KEYWORD for one in parameters):
        return frozenset(KEYWORDS)
    return frozenset(
        one.name for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)
    ) & frozenset(KEYWORDS)


def _fused_order(parameters: list[inspect.Parameter] | None) -> tuple[int, int, int] | None:
    """The places of hidden, matrix and target, if the first three arguments are called so."""
    first = [one.name.lower() for one in parameters or () if one.kind is not one.KEYWORD_ONLY][:3]
    places = [[place for place, name in enumerate(first) if name in names] for names in (_HIDDEN, _MATRIX, _TARGET)]
    if len(first) < 3 or any(len(place) != 1 for place in places) or places[2] != [2]:
        return None  # F.cross_entropy's own are input, target, weight
    return places[0][0], places[1][0], places[2][0]
