"""PITFALLS: for each code of the doctor, a small example with the wrong call and the right one, both of them run.

The code that is shown is the source of the functions that run.
A new pitfall is one class with `given`, `wrong` and `right`, and one entry of PITFALLS.
"""

from __future__ import annotations

import inspect
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
from xent_core.language import _

Step = Callable[..., Tensor]


class _Functional:
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
      example: the class with the functions `given`, `wrong` and `right`.
    """

    code: str
    example: type

    @property
    def title(self) -> str:
        """In the reader's language."""
        return _(TITLES[self.code])

    @cached_property
    def wrong(self) -> PitfallCall:
        """The call that fails, or misleads."""
        return _run(self.example.given, self.example.wrong)  # type: ignore[attr-defined]  # each example is a class with given, wrong and right

    @cached_property
    def right(self) -> PitfallCall:
        """The call that does what was meant."""
        return _run(self.example.given, self.example.right)  # type: ignore[attr-defined]  # each example is a class with given, wrong and right


def _run(given: Callable[[], dict[str, Tensor]], step: Step) -> PitfallCall:
    """Forward and backward of one function, whatever it raises."""
    functional = _Functional()
    code = f"{_body(given, last='')}\n{_body(step, last='loss = ')}"
    loss, grad, message = None, None, ""
    with torch.inference_mode(False), torch.enable_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        variables = given()
        leaf = variables["logits"]
        if leaf.is_floating_point():
            leaf.requires_grad_()
        try:
            loss = step(functional, **variables)
            if loss.requires_grad:
                loss.sum().backward()
                grad = leaf.grad
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            loss, message = None, f"{type(error).__name__}: {error}"
    return PitfallCall(code, _detached(functional.arguments), _bare(loss), _bare(grad), message)


def _bare(value: Any) -> Any:
    return value.detach() if isinstance(value, Tensor) else value


def _detached(arguments: tuple[Any, Any, Mapping[str, Any]] | None) -> tuple[Any, Any, Mapping[str, Any]] | None:
    if arguments is None:
        return None
    logits, target, options = arguments
    return _bare(logits), _bare(target), {name: _bare(value) for name, value in options.items()}


def _body(function: Callable[..., Any], *, last: str) -> str:
    """The lines of a function without its head; its return becomes an assignment, or goes."""
    lines = textwrap.dedent(inspect.getsource(function)).splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("def "))
    end = next(number for number, line in enumerate(lines[start:], start) if line.endswith(":"))
    body = textwrap.dedent("\n".join(lines[end + 1 :])).splitlines()
    place = next(number for number, line in enumerate(body) if line.startswith("return "))
    body[place:] = [last + body[place].removeprefix("return "), *body[place + 1 :]] if last else []
    return "\n".join(body).strip("\n")


class _LogitsType:
    @staticmethod
    def given() -> dict[str, Tensor]:
        logits = torch.tensor([[2.0, 1.0, 0.1], [0.5, 2.5, -1.0], [1.0, 1.5, 3.0]])
        target = torch.tensor([0, 1, 2])
        return {"logits": logits, "target": target}

    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits.tolist(), target)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target)


class _LogitsDtype:
    @staticmethod
    def given() -> dict[str, Tensor]:
        logits = torch.tensor([[2.0, 1.0, 0.0], [0.0, 3.0, -1.0], [1.0, 1.0, 3.0]])
        target = torch.tensor([0, 1, 2])
        return {"logits": logits, "target": target}

    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits.long(), target)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target)


class _LogitsShape:
    @staticmethod
    def given() -> dict[str, Tensor]:
        logits = torch.tensor([2.0, 1.0, 0.1])
        target = torch.tensor(0)
        return {"logits": logits, "target": target}

    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits.max(), target)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target)


class _TargetType:
    @staticmethod
    def given() -> dict[str, Tensor]:
        logits = torch.tensor([[2.0, 1.0, 0.1], [0.5, 2.5, -1.0], [1.0, 1.5, 3.0]])
        target = torch.tensor([0, 1, 2])
        return {"logits": logits, "target": target}

    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target.tolist())

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target)


class _TargetDtype:
    @staticmethod
    def given() -> dict[str, Tensor]:
        logits = torch.tensor([[2.0, 1.0, 0.1], [0.5, 2.5, -1.0], [1.0, 1.5, 3.0]])
        target = torch.tensor([0.0, 1.0, 2.0])
        return {"logits": logits, "target": target}

    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target.long())


class _TargetShape:
    @staticmethod
    def given() -> dict[str, Tensor]:
        logits = torch.tensor([[2.0, 1.0, 0.1], [0.5, 2.5, -1.0], [1.0, 1.5, 3.0]])
        target = torch.tensor([[0], [1], [2]])
        return {"logits": logits, "target": target}

    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target.squeeze(1))


class _TargetOutOfRange:
    @staticmethod
    def given() -> dict[str, Tensor]:
        logits = torch.tensor([[2.0, 1.0, 0.1], [0.5, 2.5, -1.0], [1.0, 1.5, 3.0]])
        target = torch.tensor([1, 2, 3])
        return {"logits": logits, "target": target}

    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target - 1)


class _ClassAxis:
    @staticmethod
    def given() -> dict[str, Tensor]:
        logits = torch.tensor([[[2.0, 1.0, 0.1], [0.5, 2.5, -1.0]]])
        target = torch.tensor([[0, 1]])
        return {"logits": logits, "target": target}

    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits.movedim(-1, 1), target)


class _BatchMismatch:
    @staticmethod
    def given() -> dict[str, Tensor]:
        logits = torch.tensor([[2.0, 1.0, 0.1], [0.5, 2.5, -1.0], [1.0, 1.5, 3.0], [0.0, 1.0, 0.0]])
        target = torch.tensor([[0, 1], [2, 1]])
        return {"logits": logits, "target": target}

    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target.reshape(-1))


class _IntOneHot:
    @staticmethod
    def given() -> dict[str, Tensor]:
        logits = torch.tensor([[2.0, 1.0, 0.1], [0.5, 2.5, -1.0], [1.0, 1.5, 3.0]])
        target = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1]])
        return {"logits": logits, "target": target}

    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target.float())


class _SoftTargetIgnoreIndex:
    @staticmethod
    def given() -> dict[str, Tensor]:
        logits = torch.tensor([[2.0, 1.0, 0.1], [0.5, 2.5, -1.0], [1.0, 1.5, 3.0]])
        target = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
        return {"logits": logits, "target": target}

    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target, ignore_index=0)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        keep = target.argmax(dim=1) != 0
        return F.cross_entropy(logits[keep], target[keep])


class _WeightType:
    @staticmethod
    def given() -> dict[str, Tensor]:
        logits = torch.tensor([[2.0, 1.0, 0.1], [0.5, 2.5, -1.0], [1.0, 1.5, 3.0]])
        target = torch.tensor([0, 1, 2])
        return {"logits": logits, "target": target}

    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target, weight=[1.0, 2.0, 5.0])

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target, weight=torch.tensor([1.0, 2.0, 5.0]))


class _WeightShape:
    @staticmethod
    def given() -> dict[str, Tensor]:
        logits = torch.tensor([[2.0, 1.0, 0.1], [0.5, 2.5, -1.0], [1.0, 1.5, 3.0]])
        target = torch.tensor([0, 1, 2])
        weight = torch.tensor([1.0, 2.0])
        return {"logits": logits, "target": target, "weight": weight}

    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor, weight: Tensor) -> Any:
        return F.cross_entropy(logits, target, weight=weight)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor, weight: Tensor) -> Any:
        weight = torch.cat([weight, torch.ones(1)])
        return F.cross_entropy(logits, target, weight=weight)


class _WeightDtype:
    @staticmethod
    def given() -> dict[str, Tensor]:
        logits = torch.tensor([[2.0, 1.0, 0.1], [0.5, 2.5, -1.0], [1.0, 1.5, 3.0]])
        target = torch.tensor([0, 1, 2])
        weight = torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64)
        return {"logits": logits, "target": target, "weight": weight}

    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor, weight: Tensor) -> Any:
        return F.cross_entropy(logits, target, weight=weight)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor, weight: Tensor) -> Any:
        return F.cross_entropy(logits, target, weight=weight.to(logits.dtype))


class _Reduction:
    @staticmethod
    def given() -> dict[str, Tensor]:
        logits = torch.tensor([[2.0, 1.0, 0.1], [0.5, 2.5, -1.0], [1.0, 1.5, 3.0]])
        target = torch.tensor([0, 1, 2])
        return {"logits": logits, "target": target}

    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target, reduction="average")

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target, reduction="mean")


class _LabelSmoothing:
    @staticmethod
    def given() -> dict[str, Tensor]:
        logits = torch.tensor([[2.0, 1.0, 0.1], [0.5, 2.5, -1.0], [1.0, 1.5, 3.0]])
        target = torch.tensor([0, 1, 2])
        return {"logits": logits, "target": target}

    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target, label_smoothing=10)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target, label_smoothing=0.10)


class _IgnoreIndex:
    @staticmethod
    def given() -> dict[str, Tensor]:
        logits = torch.tensor([[2.0, 1.0, 0.1], [0.5, 2.5, -1.0], [1.0, 1.5, 3.0]])
        target = torch.tensor([0, -1, 2])
        return {"logits": logits, "target": target}

    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target, ignore_index=-1.0)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target, ignore_index=-1)


class _SoftmaxAppliedTwice:
    @staticmethod
    def given() -> dict[str, Tensor]:
        logits = torch.tensor([[2.0, 1.0, 0.1], [9.0, 0.0, 0.0], [1.0, 1.5, 3.0]])
        target = torch.tensor([0, 1, 2])
        return {"logits": logits, "target": target}

    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        probs = F.softmax(logits, dim=1)
        return F.cross_entropy(probs, target)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target)


class _ClassAxisAmbiguous:
    @staticmethod
    def given() -> dict[str, Tensor]:
        logits = torch.tensor([[[2.0, 1.0, 0.1], [0.5, 2.5, -1.0], [1.0, 1.5, 3.0]]])  # (N, T, C), and T = C
        target = torch.tensor([[0, 1, 2]])
        return {"logits": logits, "target": target}

    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits.flatten(0, -2), target.flatten())


class _SingleClass:
    @staticmethod
    def given() -> dict[str, Tensor]:
        logits = torch.tensor([[0.7], [-1.2]])
        target = torch.tensor([0, 0])
        return {"logits": logits, "target": target}

    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.binary_cross_entropy_with_logits(logits.squeeze(1), target.float())


class _AllIgnored:
    @staticmethod
    def given() -> dict[str, Tensor]:
        logits = torch.tensor([[2.0, 1.0, 0.1], [0.5, 2.5, -1.0], [1.0, 1.5, 3.0]])
        target = torch.tensor([-100, -100, -100])
        return {"logits": logits, "target": target}

    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        kept = (target != -100).sum()
        return F.cross_entropy(logits, target, reduction="sum") / kept.clamp(min=1)


class _NonFiniteLogits:
    @staticmethod
    def given() -> dict[str, Tensor]:
        logits = torch.tensor([[2.0, 1.0, 0.1], [0.5, float("nan"), -1.0], [1.0, 1.5, 3.0]])
        target = torch.tensor([0, 1, 2])
        return {"logits": logits, "target": target}

    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        keep = logits.isfinite().all(dim=1)
        return F.cross_entropy(logits[keep], target[keep])


class _NegInfWithSmoothing:
    @staticmethod
    def given() -> dict[str, Tensor]:
        logits = torch.tensor([[2.0, 1.0, -torch.inf], [0.5, 2.5, -torch.inf]])
        target = torch.tensor([0, 1])
        return {"logits": logits, "target": target}

    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target, label_smoothing=0.1)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        masked = logits.isneginf()
        y = F.one_hot(target, 3) * 0.9 + 0.1 * ~masked / (~masked).sum(dim=1, keepdim=True)
        return F.cross_entropy(logits.masked_fill(masked, -1e9), y)


class _NegInfWithSoftTarget:
    @staticmethod
    def given() -> dict[str, Tensor]:
        logits = torch.tensor([[2.0, 1.0, -torch.inf], [0.5, 2.5, -torch.inf]])
        target = torch.tensor([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]])
        return {"logits": logits, "target": target}

    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits.clamp(min=-1e9), target)


class _SoftTargetMaskedRows:
    @staticmethod
    def given() -> dict[str, Tensor]:
        logits = torch.tensor([[2.0, 1.0, 0.1], [0.5, 2.5, -1.0], [1.0, 1.5, 3.0]])
        target = torch.tensor([[0.8, 0.1, 0.1], [-100.0, -100.0, -100.0], [0.2, 0.3, 0.5]])
        return {"logits": logits, "target": target}

    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        keep = (target >= 0).all(dim=1)
        return F.cross_entropy(logits[keep], target[keep])


class _SoftTargetNegative:
    @staticmethod
    def given() -> dict[str, Tensor]:
        logits = torch.tensor([[2.0, 1.0, 0.1], [0.5, 2.5, -1.0], [1.0, 1.5, 3.0]])
        target = torch.tensor([[1.2, -0.1, -0.1], [0.1, 0.6, 0.3], [0.2, 0.3, 0.5]])
        return {"logits": logits, "target": target}

    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        y = target.clamp(min=0)
        return F.cross_entropy(logits, y / y.sum(dim=1, keepdim=True))


class _SoftTargetNotNormalised:
    @staticmethod
    def given() -> dict[str, Tensor]:
        logits = torch.tensor([[2.0, 1.0, 0.1], [0.5, 2.5, -1.0], [1.0, 1.5, 3.0]])
        target = torch.tensor([[4.0, 1.0, 0.0], [0.0, 3.0, 2.0], [1.0, 0.0, 4.0]])  # votes of five people
        return {"logits": logits, "target": target}

    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target / target.sum(dim=1, keepdim=True))


class _WeightValue:
    @staticmethod
    def given() -> dict[str, Tensor]:
        logits = torch.tensor([[2.0, 1.0, 0.1], [0.5, 2.5, -1.0], [1.0, 1.5, 3.0]])
        target = torch.tensor([0, 1, 1])
        return {"logits": logits, "target": target}

    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        weight = 1 / torch.bincount(target, minlength=3)
        return F.cross_entropy(logits, target, weight=weight, label_smoothing=0.1)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        weight = 1 / torch.bincount(target, minlength=3).clamp(min=1)
        return F.cross_entropy(logits, target, weight=weight, label_smoothing=0.1)


class _ZeroTotalWeight:
    @staticmethod
    def given() -> dict[str, Tensor]:
        logits = torch.tensor([[2.0, 1.0, 0.1], [0.5, 2.5, -1.0], [1.0, 1.5, 3.0]])
        target = torch.tensor([1, 1, 1])
        weight = torch.tensor([1.0, 0.0, 1.0])
        return {"logits": logits, "target": target, "weight": weight}

    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor, weight: Tensor) -> Any:
        return F.cross_entropy(logits, target, weight=weight)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor, weight: Tensor) -> Any:
        total = weight[target].sum()
        loss_sum = F.cross_entropy(logits, target, weight=weight, reduction="sum")
        return loss_sum / total if total > 0 else loss_sum


class _HalfPrecisionOverflow:
    @staticmethod
    def given() -> dict[str, Tensor]:
        logits = torch.tensor([[60000.0, -60000.0], [1.0, 0.0]], dtype=torch.float16)
        target = torch.tensor([1, 0])
        return {"logits": logits, "target": target}

    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits.float(), target)


class _HalfPrecisionVanishingGradient:
    @staticmethod
    def given() -> dict[str, Tensor]:
        logits = torch.tensor([[8.0, 0.0, 0.0], [0.0, 9.0, 0.0]], dtype=torch.bfloat16)
        target = torch.tensor([0, 1])
        return {"logits": logits, "target": target}

    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits.float(), target)


class _WeightedMeanDenominator:
    @staticmethod
    def given() -> dict[str, Tensor]:
        logits = torch.tensor([[2.0, 1.0, 0.1]])  # a batch of one
        target = torch.tensor([2])
        weight = torch.tensor([1.0, 2.0, 5.0])
        return {"logits": logits, "target": target, "weight": weight}

    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor, weight: Tensor) -> Any:
        return F.cross_entropy(logits, target, weight=weight)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor, weight: Tensor) -> Any:
        return F.cross_entropy(logits, target, weight=weight, reduction="sum") / len(target)


class _IgnoredClassStillCompetes:
    @staticmethod
    def given() -> dict[str, Tensor]:
        logits = torch.tensor([[2.0, 1.0, 0.1], [0.5, 2.5, -1.0], [1.0, 1.5, 3.0]])
        target = torch.tensor([0, 1, 2])
        return {"logits": logits, "target": target}

    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target, ignore_index=0)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        masked = logits.index_fill(1, torch.tensor([0]), -torch.inf)
        return F.cross_entropy(masked, target, ignore_index=0)


class _LogProbsAsLogits:
    @staticmethod
    def given() -> dict[str, Tensor]:
        logits = torch.tensor([[2.0, 1.0, 0.1], [0.5, 2.5, -1.0], [1.0, 1.5, 3.0]])
        target = torch.tensor([0, 1, 2])
        return {"logits": logits, "target": target}

    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        log_probs = F.log_softmax(logits, dim=1)
        return F.cross_entropy(log_probs, target)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target)


class _Saturated:
    @staticmethod
    def given() -> dict[str, Tensor]:
        logits = torch.tensor([[30.0, 0.0, -10.0], [30.0, 0.0, -10.0]])
        target = torch.tensor([0, 2])
        return {"logits": logits, "target": target}

    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits.double(), target)


# what people meet most stands first
PITFALLS = {
    code: Pitfall(code, example)
    for code, example in {
        "target-dtype": _TargetDtype,
        "target-shape": _TargetShape,
        "target-out-of-range": _TargetOutOfRange,
        "class-axis": _ClassAxis,
        "batch-mismatch": _BatchMismatch,
        "weight-shape": _WeightShape,
        "soft-target-ignore-index": _SoftTargetIgnoreIndex,
        "int-one-hot": _IntOneHot,
        "softmax-applied-twice": _SoftmaxAppliedTwice,
        "log-probs-as-logits": _LogProbsAsLogits,
        "all-ignored": _AllIgnored,
        "single-class": _SingleClass,
        "soft-target-not-normalised": _SoftTargetNotNormalised,
        "soft-target-negative": _SoftTargetNegative,
        "soft-target-masked-rows": _SoftTargetMaskedRows,
        "ignored-class-still-competes": _IgnoredClassStillCompetes,
        "weighted-mean-denominator": _WeightedMeanDenominator,
        "zero-total-weight": _ZeroTotalWeight,
        "non-finite-logits": _NonFiniteLogits,
        "neg-inf-with-smoothing": _NegInfWithSmoothing,
        "neg-inf-with-soft-target": _NegInfWithSoftTarget,
        "half-precision-overflow": _HalfPrecisionOverflow,
        "half-precision-vanishing-gradient": _HalfPrecisionVanishingGradient,
        "class-axis-ambiguous": _ClassAxisAmbiguous,
        "saturated": _Saturated,
        "logits-type": _LogitsType,
        "logits-dtype": _LogitsDtype,
        "logits-shape": _LogitsShape,
        "target-type": _TargetType,
        "weight-type": _WeightType,
        "weight-dtype": _WeightDtype,
        "reduction": _Reduction,
        "label-smoothing": _LabelSmoothing,
        "ignore-index": _IgnoreIndex,
        "weight-value": _WeightValue,
    }.items()
}
