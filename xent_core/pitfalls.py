"""PITFALLS: for each code of the doctor a call that shows the wrong thing, and one that shows the right thing."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from xent_core.doctor import diagnose
from xent_core.findings import Finding
from xent_core.problem import class_axis_of


@dataclass(frozen=True, eq=False)
class PitfallCall:
    """The arguments of one call of F.cross_entropy, valid or not.

    Attributes:
      logits, target: as the model and the data give them.
      options: keyword arguments of F.cross_entropy.
      has_softmax: whether softmax is applied to the logits before the call.
    """

    logits: Tensor
    target: Tensor
    options: dict[str, Any] = field(default_factory=dict)
    has_softmax: bool = False

    @property
    def code(self) -> str:
        """The call as Python."""
        lines = [f"logits = {_literal(self.logits)}", f"target = {_literal(self.target)}"]
        words = [
            f"{name}={_literal(value) if isinstance(value, Tensor) else repr(value)}"
            for name, value in self.options.items()
        ]
        passed = f"logits.softmax({class_axis_of(self.logits)})" if self.has_softmax else "logits"
        return "\n".join([*lines, f"F.cross_entropy({', '.join([passed, 'target', *words])})"])

    def findings(self) -> list[Finding]:
        """What the doctor says of the call."""
        logits = self.logits.softmax(class_axis_of(self.logits)) if self.has_softmax else self.logits
        return diagnose(logits, self.target, **self.options)

    @property
    def loss(self) -> Tensor | None:
        """As PyTorch computes it; None if it raises."""
        return self._outcome[0]

    @property
    def grad_logits(self) -> Tensor | None:
        """The gradient by the logits; None if PyTorch raises."""
        return self._outcome[1]

    @property
    def message(self) -> str:
        """What PyTorch raises, forward or backward; or empty."""
        return self._outcome[2]

    @cached_property
    def _outcome(self) -> tuple[Tensor | None, Tensor | None, str]:
        with torch.inference_mode(False), torch.enable_grad():
            leaf = self.logits.detach().clone().requires_grad_()
            passed = leaf.softmax(class_axis_of(leaf)) if self.has_softmax else leaf
            try:
                loss = F.cross_entropy(passed, self.target, **self.options)
                loss.backward()
            except (RuntimeError, ValueError, IndexError, TypeError) as error:
                return None, None, f"{type(error).__name__}: {str(error).splitlines()[0]}"
        return loss.detach(), leaf.grad, ""


@dataclass(frozen=True, eq=False)
class Pitfall:
    """One mistake: the call that makes it, and the call that was meant."""

    wrong: PitfallCall
    right: PitfallCall


def _literal(tensor: Tensor) -> str:
    def shown(value: Any) -> str:
        if isinstance(value, list):
            return f"[{', '.join(map(shown, value))}]"
        return f'float("{value}")' if isinstance(value, float) and not math.isfinite(value) else f"{value:g}"

    text = shown(tensor.tolist())
    plain = torch.float32 if "." in text or "float" in text else torch.int64
    return f"torch.tensor({text})" if tensor.dtype == plain else f"torch.tensor({text}, dtype={tensor.dtype})"


def _pitfalls() -> dict[str, Pitfall]:
    z = torch.tensor([[2, 1, 0], [0.5, 2.5, -1], [1, 1, 3]])
    y = torch.tensor([0, 1, 2])
    hot = F.one_hot(y, 3).float()
    tokens = torch.arange(24.0).reshape(2, 4, 3).sin()
    token_labels = torch.tensor([[0, 1, 2, 0], [2, 1, 0, 1]])
    square, square_labels = tokens[:, :3], token_labels[:, :3]
    masked = z.clone()
    masked[0, 2] = -math.inf
    broken = z.clone()
    broken[1, 0] = math.nan
    huge, steep = torch.tensor([[70000.0, 0, 0]]), torch.tensor([[8.0, 0, 0]])
    without_first = z.clone()
    without_first[:, 0] = -math.inf
    call, first = PitfallCall, torch.tensor([0])
    marked = hot.clone()
    marked[2] = -100
    negative = torch.tensor([[1.2, -0.2, 0], [0, 1, 0], [0, 0, 1]])
    weight = torch.tensor([1.0, 2, 4])
    certain = torch.tensor([[200.0, 0, 0], [200, 0, 0]])
    return {
        "target-dtype": Pitfall(call(z, y.float()), call(z, y)),
        "target-shape": Pitfall(call(z, y.unsqueeze(1)), call(z, y)),
        "target-out-of-range": Pitfall(call(z, y + 1), call(z, y)),
        "class-axis": Pitfall(call(tokens, token_labels), call(tokens.movedim(-1, 1), token_labels)),
        "batch-mismatch": Pitfall(call(z, y[:2]), call(z[:2], y[:2])),
        "weight-shape": Pitfall(call(z, y, {"weight": weight[:2]}), call(z, y, {"weight": weight})),
        "soft-target-ignore-index": Pitfall(call(z, hot, {"ignore_index": 0}), call(z[1:], hot[1:])),
        "int-one-hot": Pitfall(call(z, hot.long()), call(z, hot)),
        "softmax-applied-twice": Pitfall(call(z, y, has_softmax=True), call(z, y)),
        "log-probs-as-logits": Pitfall(call(z.log_softmax(1), y), call(z, y)),
        "all-ignored": Pitfall(call(z, torch.full((3,), -100)), call(z, torch.full((3,), -100), {"reduction": "sum"})),
        "single-class": Pitfall(
            call(z[:, :1], torch.tensor([0, 0, 0])),
            call(torch.cat([torch.zeros(3, 1), z[:, :1]], 1), torch.tensor([1, 0, 1])),
        ),
        "soft-target-not-normalised": Pitfall(call(z, 2 * hot), call(z, hot)),
        "soft-target-negative": Pitfall(call(z, negative), call(z, hot)),
        "soft-target-masked-rows": Pitfall(call(z, marked), call(z[:2], hot[:2])),
        "ignored-class-still-competes": Pitfall(
            call(z, y, {"ignore_index": 0}), call(without_first, y, {"ignore_index": 0})
        ),
        "weighted-mean-denominator": Pitfall(call(z, y, {"weight": weight}), call(z, hot, {"weight": weight})),
        "zero-total-weight": Pitfall(
            call(z[:1], first, {"weight": torch.tensor([0.0, 1, 1])}), call(z[:1], first, {"weight": weight})
        ),
        "non-finite-logits": Pitfall(call(broken, y), call(z, y)),
        "neg-inf-with-smoothing": Pitfall(call(masked, y, {"label_smoothing": 0.1}), call(masked, y)),
        "neg-inf-with-soft-target": Pitfall(call(masked, hot), call(masked, y)),
        "half-precision-overflow": Pitfall(call(huge.half(), first), call(huge, first)),
        "half-precision-vanishing-gradient": Pitfall(call(steep.bfloat16(), first), call(steep, first)),
        "class-axis-ambiguous": Pitfall(call(square, square_labels), call(square.movedim(-1, 1), square_labels)),
        "saturated": Pitfall(call(certain, torch.tensor([0, 1])), call(certain / 100, torch.tensor([0, 1]))),
    }


PITFALLS = _pitfalls()
