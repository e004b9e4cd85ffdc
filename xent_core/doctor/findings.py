"""Finding: one thing that the doctor found, under a code that stays; TITLES lists every code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from xent_core.language import N_, _

Severity = Literal["error", "warning", "note"]

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")

TITLES = {
    # PyTorch raises
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
    # PyTorch is silent
    "softmax-applied-twice": N_("Softmax is applied twice: the logits look like probabilities"),
    "outputs-in-unit-interval": N_("The logits went through a sigmoid"),
    "outputs-non-negative": N_("The logits went through a ReLU"),
    "outputs-bounded": N_("The logits went through a tanh"),
    "predictions-as-logits": N_("The logits are predictions"),
    "logits-negated": N_("The logits have the wrong sign"),
    "labels-permuted": N_("The labels are numbered otherwise than the classes"),
    "worse-than-chance": N_("The predictions are worse than chance"),
    "finite-mask-at-label": N_("A finite mask lies on the label"),
    "finite-mask-with-smoothing": N_("label_smoothing meets a finite mask"),
    "weight-proportional-to-counts": N_("The weights favour frequent classes"),
    "labels-not-shifted": N_("The labels are the tokens themselves, not the next ones"),
    "labels-shifted-twice": N_("The labels are shifted twice"),
    "padding-counted": N_("Padding counts as a class"),
    "prompt-not-masked": N_("The prompt counts in the loss"),
    "micro-batch-denominators": N_("Micro-batches of different sizes are averaged"),
    "class-axis-ambiguous": N_("Either axis could hold the classes"),
    "single-class": N_("There is only one class"),
    "all-ignored": N_("No row counts"),
    "non-finite-logits": N_("A row has no finite loss or gradient"),
    "neg-inf-with-smoothing": N_("label_smoothing meets a masked class"),
    "neg-inf-with-soft-target": N_("Probabilities meet a masked class"),
    "soft-target-masked-rows": N_("Rows of probabilities are marked, but not ignored"),
    "soft-target-negative": N_("A probability is negative"),
    "soft-target-not-normalised": N_("Probabilities do not sum to 1"),
    "weight-value": N_("A weight is negative or not finite"),
    "zero-total-weight": N_("The kept rows weigh nothing"),
    "half-precision-overflow": N_("16 bits are too few for the loss"),
    "half-precision-vanishing-gradient": N_("16 bits are too few for the gradient"),
    # worth knowing; the first is a warning where one row is left
    "weighted-mean-denominator": N_("The mean divides by the weights"),
    "ignored-class-still-competes": N_("The ignored class still competes"),
    "log-probs-as-logits": N_("The logits are log-probabilities already"),
    "saturated": N_("Probabilities round to 0 and 1"),
    "boundary-crossed": N_("Labels cross the boundary of two texts"),
    "huge-logits": N_("The logits are very large"),
    # notes, and warnings about a model that is said to be trained
    "constant-logits": N_("All rows have the same logits"),
    "padding-columns": N_("Classes that never occur take probability"),
    "unrelated": N_("The predictions have nothing to do with the labels"),
}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or worth knowing.

    Attributes:
      code: short and stable, such as "target-out-of-range"; a key of TITLES.
      severity: "error" (PyTorch raises, forward or backward), "warning" (PyTorch is silent and the result is not what
        was meant), "note" (worth knowing).
      title, explanation: in words, with the numbers that came.
      fix: Python for tensors named as the arguments of F.cross_entropy, with torch and F imported;
        where nobody but you can know what was meant, it prints or says in a comment what to look at.
      evidence: log10 of how probable it is at most that chance alone shows this; None where it is no matter of chance.
    """

    code: str
    severity: Severity
    title: str
    explanation: str
    fix: str
    evidence: float | None = None


def finding(code: str, severity: Severity, explanation: str, fix: str, evidence: float | None = None) -> Finding:
    """A Finding under the title of its code, in the reader's language."""
    return Finding(code, severity, _(TITLES[code]), explanation, fix, evidence)
