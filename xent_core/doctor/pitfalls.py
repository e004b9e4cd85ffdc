"""PITFALLS: for each code of the doctor, a small example with the wrong call and the right one, both of them run.

The code that is shown is the source of the functions that run; these are in `pitfall_examples`.
"""

from __future__ import annotations

import inspect
import re
import textwrap
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional
from torch import Tensor

from xent_core.doctor.findings import TITLES
from xent_core.doctor.pitfall_examples import EXAMPLES, Example
from xent_core.doctor.pitfall_variants import VARIANTS
from xent_core.doctor.torch_messages import say_the_same
from xent_core.language import _


class _RecordingFunctional:
    """torch.nn.functional, which remembers what its cross_entropy was given last."""

    arguments: tuple[Any, Any, Mapping[str, Any]] | None = None

    def cross_entropy(self, logits: Any, target: Any, **options: Any) -> Tensor:
        self.arguments = (logits, target, options)
        loss: Tensor = torch.nn.functional.cross_entropy(logits, target, **options)
        return loss

    def __getattr__(self, name: str) -> Any:
        return getattr(torch.nn.functional, name)


@dataclass(frozen=True, eq=False)
class PitfallCall:
    """One way to compute the loss of a pitfall's example, and what PyTorch gives for it.

    Attributes:
      code: the source that ran, from the tensors to the loss; it needs torch and F.
      arguments: logits, target and options as they reached F.cross_entropy; None if it was not called.
      loss: as computed; None if PyTorch raised.
      grad_logits: of the sum of the loss with respect to the logits of the example; None if PyTorch raised or if they
        can have no gradient.
      message: what PyTorch raised, forward or backward, such as "IndexError: Target 3 is out of bounds."; or empty.
    """

    code: str
    arguments: tuple[Any, Any, Mapping[str, Any]] | None
    loss: Tensor | None
    grad_logits: Tensor | None
    message: str


@dataclass(frozen=True, eq=False)
class Pitfall:
    """A mistake with an example; `wrong` and `right` run when they are asked for.

    Attributes:
      code: a key of TITLES.
      example: the tensors, the wrong call and the right one.
    """

    code: str
    example: type[Example]

    @property
    def title(self) -> str:
        """In the reader's language."""
        return _(TITLES[self.code])

    @cached_property
    def wrong(self) -> PitfallCall:
        """The call that fails, or misleads."""
        return _run(self.example, self.example.wrong)

    @cached_property
    def right(self) -> PitfallCall:
        """The call that does what was meant."""
        return _run(self.example, self.example.right)


def _run(example: type[Example], call: Callable[..., Tensor]) -> PitfallCall:
    """Forward and backward of `wrong` or `right`, whatever it raises."""
    functional = _RecordingFunctional()
    makers = {"logits": example.logits, "target": example.target}
    if example.weight is not None:
        makers["weight"] = example.weight
    code = "\n".join([_body(make, result=name) for name, make in makers.items()] + [_body(call, result="loss")])
    loss, grad, message = None, None, ""
    with torch.inference_mode(False), torch.enable_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        variables = {name: make() for name, make in makers.items()}
        leaf = variables["logits"]
        if leaf.is_floating_point():
            leaf.requires_grad_()
        try:
            loss = call(functional, **variables)
            if loss.requires_grad:
                loss.sum().backward()
                grad = leaf.grad
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            loss, message = None, f"{type(error).__name__}: {error}"
    return PitfallCall(code, _detached(functional.arguments), _without_grad(loss), _without_grad(grad), message)


def _without_grad(value: Any) -> Any:
    return value.detach() if isinstance(value, Tensor) else value


def _detached(arguments: tuple[Any, Any, Mapping[str, Any]] | None) -> tuple[Any, Any, Mapping[str, Any]] | None:
    if arguments is None:
        return None
    logits, target, options = arguments
    return _without_grad(logits), _without_grad(target), {name: _without_grad(value) for name, value in options.items()}


def _body(function: Callable[..., Any], *, result: str) -> str:
    """The lines of a function without its head; what it returns is assigned to `result`."""
    lines = textwrap.dedent(inspect.getsource(function)).splitlines()
    head_end = next(number for number, line in enumerate(lines) if line.endswith(":"))
    body = textwrap.dedent("\n".join(lines[head_end + 1 :]))
    return re.sub(r"^return ", f"{result} = ", body, flags=re.MULTILINE)


PITFALLS = {code: Pitfall(code, example) for code, example in EXAMPLES.items()}
_VARIANTS = {code: tuple(Pitfall(code, example) for example in examples) for code, examples in VARIANTS.items()}


def pitfall_of(code: str, message: str = "") -> Pitfall:
    """The pitfall of a code, with the example in which PyTorch says this message, if there is one.

    Args: message: an error message of PyTorch, as for `recognise`; empty for the usual example.
    """
    usual = PITFALLS[code]
    if not message:
        return usual
    return next(
        (one for one in (usual, *_VARIANTS.get(code, ())) if say_the_same(one.wrong.message, message)),
        usual,
    )
