"""diagnose: what is wrong with these logits and labels, in words that help."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from xent_core.language import N_, _
from xent_core.problem import (
    InvalidProblem,
    as_ignore_index,
    as_label_smoothing,
    as_logits,
    as_target,
    as_weight,
    violations,
)

TITLES = {
    "logits-type": N_("The logits are not a tensor"),
    "logits-dtype": N_("The logits have the wrong dtype"),
    "logits-shape": N_("The logits have the wrong shape"),
    "target-type": N_("The target is not a tensor"),
    "target-dtype": N_("The target has the wrong dtype"),
    "target-shape": N_("The target has the wrong shape"),
    "target-out-of-range": N_("A label is out of range"),
    "class-axis": N_("The classes are on the wrong axis"),
    "batch-mismatch": N_("Logits and target have different numbers of rows"),
    "int-one-hot": N_("One-hot labels have to be floating"),
    "soft-target-ignore-index": N_("Probabilities cannot be ignored by index"),
    "weight-type": N_("The weight is not a tensor"),
    "weight-shape": N_("The weight has the wrong length"),
    "weight-dtype": N_("The weight has the wrong dtype"),
    "reduction": N_("Unknown reduction"),
    "label-smoothing": N_("label_smoothing is out of range"),
    "ignore-index": N_("ignore_index is out of range"),
}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or worth knowing.

    Attributes:
      code: short and stable, such as "target-out-of-range".
      severity: "error" (PyTorch raises), "warning" (PyTorch is silent and the result is not what was meant), "note".
      title, explanation: in words, with the numbers that came.
      fix: what to do, with the code for it.
    """

    code: str
    severity: Literal["error", "warning", "note"]
    title: str
    explanation: str
    fix: str


def diagnose(
    logits: Any,
    target: Any,
    *,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> list[Finding]:
    """What PyTorch would refuse in a call of `F.cross_entropy` with these arguments; empty if it would refuse nothing.

    Args: as for `Problem`, but valid or not, of any shape and dtype; nothing is changed.
    Example: diagnose([[1, 2, 3]], [7])[0].code is "target-out-of-range".
    """
    try:
        z = as_logits(logits)
        y = as_target(target, z.dtype)
        w = None if weight is None else as_weight(weight, z.dtype)
        errors = list(
            violations(
                z,
                y,
                weight=w,
                ignore_index=as_ignore_index(ignore_index),
                reduction=reduction,
                label_smoothing=as_label_smoothing(label_smoothing),
            )
        )
    except InvalidProblem as error:
        errors = [error]
    return [
        Finding(
            error.code,
            "error",
            _(TITLES[error.code]),
            _("{came}, expected {expected}.").format(came=error.came, expected=error.expected),
            error.fix,
        )
        for error in errors
    ]
