"""DumpSummary: what `analyse` says of a whole dump, and its numbers as JSON."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xent_core.columns import Reading
from xent_core.dump.calibration import Calibration, CalibrationError
from xent_core.dump.epochs import Epochs
from xent_core.dump.examples import ShownExample
from xent_core.dump.leading import (
    TOP,
    leading_classes,
    leading_examples,
    leading_pairs,
    suspect_rows,
)
from xent_core.dump.ranking import EPOCH_FIELDS
from xent_core.dump.statistics import Computed
from xent_core.dump.temperature import BestTemperature
from xent_core.loss_options import LossOptions

MAX_JSON_CLASSES = 100  # of the noise matrix
QUANTILES = (0.5, 0.9, 0.99, 0.999)
QUANTILES_OF_EPOCHS = (0.01, 0.1, 0.5, 0.9, 0.99)


@dataclass(frozen=True, eq=False, kw_only=True)
class DumpSummary(Computed):
    """What a whole dump says; made by `analyse`. Arrays are NumPy's, gradients are ∂ℓ_i/∂z_i of each row's own loss.

    Attributes:
      rows: how many were read, the ignored ones too.
      kept: rows whose target is not ignore_index; all that follows is about these.
      unpredicted: kept rows with a NaN among their logits; they count as wrong.
      nonfinite: kept rows whose gradient is not finite; they are left out of the sums of gradients alone.
      loss: under the options, in nats: `F.cross_entropy` of the whole, NaN and infinity as it gives them.
      denominator: D of "mean", otherwise 1.
      accuracy: share of the kept rows whose prediction is the label.
      support, correct, predicted: kept rows of each label, how many of them are right, and rows by prediction; (C,).
      class_loss: mean row loss of each label, (C,); NaN where there is none.
      class_share: each label's share of Σ‖g_i‖, (C,).
      net_push: Σ_i g_ij / D, (C,): the gradient of the loss with respect to a bias on class j.
      groups: which classes share a row of the matrices: each its own up to 2000 classes.
      mean_gradient: mean over the rows of label i of the gradient on logit j, (G, G);
        for groups, the sum over the logits of group j.
      confusion: rows by label and prediction, (G, G).
      pair_share: share of Σ‖g_i‖ by label and prediction, (G, G).
      loss_histogram, grad_norm_histogram: fixed bins, with quantiles.
      lorenz: which share of the gradient the largest examples carry.
      calibration: confidence against accuracy, calibration errors, and the Brier score.
      wrong_labels: how many labels are wrong, with an interval, and how likely each is; None if it is not known,
        as where it was not looked for.
      suspects: the first thousand rows of the ranking.
      odd_rows: the first thousand rows whose loss or gradient is NaN or infinite, in the order of the dump.
      rank_by: what the ranking goes by.
      looked_for_wrong_labels: whether what is known of the classes was; of a large dump only if asked.
      complete: whether every row was read.
      stopped: the stage at which somebody ended it, "rows" or "temperature"; None if it came to its end.
      total_rows: of the dump.
      classes, class_names, dtype: of the logits.
      reading: which columns or arrays were read as what.
      options: of the loss.
      seconds: what reading and counting took, without the temperature.
      best: the temperature that minimises the loss, or None if it was not asked for, or not found in time.
      scores: where the table of scores lies, or None.
      shown: the first suspects as a person looks at them, as many as `analyse` was asked to show.
      noise_matrix: P(label j | class k) as estimated, row by row, (C, C); NaN where fewer than 8 rows are predicted k,
        None if it is not known, as beyond 2000 classes.
      cleanlab_noise_matrix: the same as cleanlab estimates it; None as there, and beyond 100 classes.
      epochs: what several epochs say of each row; None if there is but one dump, or somebody stopped the reading.
    """

    rank_by: str
    looked_for_wrong_labels: bool
    complete: bool
    total_rows: int
    classes: int
    class_names: tuple[str, ...] | None
    reading: Reading
    dtype: str
    options: LossOptions
    seconds: float
    best: BestTemperature | None
    noise_matrix: np.ndarray | None
    cleanlab_noise_matrix: np.ndarray | None
    stopped: str | None = None
    scores: Path | None = None
    epochs: Epochs | None = None
    shown: tuple[ShownExample, ...] = ()

    @property
    def expected_calibration_error(self) -> float:
        """Σ_b n_b/N·|accuracy_b − confidence_b| over 15 equal bins of the confidence."""
        return self.calibration.reliability.expected_calibration_error

    @property
    def best_temperature(self) -> float:
        """The temperature that minimises the loss, to 1 %; NaN if it is not known."""
        return self.best.temperature if self.best else math.nan

    @property
    def temperature_gain(self) -> float:
        """How much smaller the loss is at the best temperature, over the rows whose loss is finite; NaN if unknown."""
        if self.best is None:
            return math.nan
        scale = self.best.mass if self.options.reduction == "mean" else 1.0
        now = math.fsum(self.loss_histogram.sums)
        return (now - self.best.loss) / scale if scale else math.nan

    def commonest_mistakes(self, count: int) -> list[tuple[int, int, float]]:
        """The classes, the labels they get by mistake and how often, the most frequent first; none if unknown."""
        if self.noise_matrix is None:
            return []
        mistakes = np.nan_to_num(self.noise_matrix) * (1 - np.eye(self.classes))
        order = np.argsort(-mistakes, axis=None, kind="stable")[:count]
        pairs = [divmod(int(place), self.classes) for place in order]
        return [(one, other, float(mistakes[one, other])) for one, other in pairs if mistakes[one, other] > 0]

    def name_of(self, class_index: int) -> str:
        """The name of a class, or its number."""
        return self.class_names[class_index] if self.class_names else str(class_index)

    def name_of_group(self, group: int) -> str:
        """The name of a group's class, or of its first and last."""
        members = self.groups.members(group)
        first, last = self.name_of(members[0]), self.name_of(members[-1])
        return first if len(members) == 1 else f"{first} … {last}"

    def as_json(self, top: int = TOP) -> str:
        """The numbers of the whole as one JSON object; NaN and infinity, which JSON lacks, as strings.

        Args: top: how many examples, classes and pairs are named.
        """
        weight, wrong = self.options.weight, self.wrong_labels
        noise = self.noise_matrix if self.classes <= MAX_JSON_CLASSES else None
        theirs = self.cleanlab_noise_matrix
        numbers = {
            "rows": self.rows,
            "kept": self.kept,
            "classes": self.classes,
            "complete": self.complete,
            "stopped": self.stopped,
            "total_rows": self.total_rows,
            "dtype": self.dtype,
            "loss": self.loss,
            "denominator": self.denominator,
            "accuracy": self.accuracy,
            "expected_calibration_error": self.expected_calibration_error,
            "calibration": _calibration_numbers(self.calibration),
            "best_temperature": self.best_temperature if self.best else None,
            "best_temperature_at_bound": self.best.at_bound if self.best else None,
            "temperature_gain": self.temperature_gain if self.best else None,
            "rank_by": self.rank_by,
            "wrong_labels": None if wrong is None else wrong.expected,
            "wrong_labels_interval": None if wrong is None else [wrong.low, wrong.high],
            "noise_matrix": None if noise is None else noise.tolist(),
            "cleanlab_noise_matrix": None if theirs is None else theirs.tolist(),
            "unpredicted_rows": self.unpredicted,
            "nonfinite_rows": self.nonfinite,
            "loss_quantiles": {str(q): self.loss_histogram.quantile(q) for q in QUANTILES},
            "grad_norm_quantiles": {str(q): self.grad_norm_histogram.quantile(q) for q in QUANTILES},
            "gradient_carried_by": {str(share): self.lorenz.carried_by(share) for share in (0.01, 0.1, 0.5)},
            **({} if self.epochs is None else {"epochs": _epoch_numbers(self.epochs)}),
            "examples": leading_examples(self, top),
            "suspect_rows": suspect_rows(self),
            "nonfinite_examples": list(self.odd_rows),
            "largest_classes": leading_classes(self, top),
            "largest_pairs": leading_pairs(self, top),
            "options": {
                "weight": None if weight is None else weight.tolist(),
                "ignore_index": self.options.ignore_index,
                "reduction": self.options.reduction,
                "label_smoothing": self.options.label_smoothing,
                "temperature": self.options.temperature,
            },
            "read": self.reading.as_dict(),
            "seconds": round(self.seconds, 3),
        }
        return json.dumps(_without_nan(numbers), ensure_ascii=False, indent=2, allow_nan=False)


def _epoch_numbers(epochs: Epochs) -> dict[str, Any]:
    return {
        "names": list(epochs.names),
        "never_learnt": epochs.never_learnt,
        "forgotten": epochs.forgotten,
        "never_forgotten": epochs.never_forgotten,
        **{
            f"{name}_quantiles": {str(share): epochs.quantile(name, share) for share in QUANTILES_OF_EPOCHS}
            for name in EPOCH_FIELDS
        },
    }


def _calibration_numbers(found: Calibration) -> dict[str, Any]:
    bins, brier, confidence = found.reliability, found.brier, found.confidence
    columns = (bins.edges[:-1], bins.edges[1:], bins.counts, bins.confidence, bins.accuracy, bins.low, bins.high)
    names = ("from", "to", "rows", "confidence", "accuracy", "low", "high")
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return {
        "verdict": found.verdict,
        "confidence": {**asdict(confidence), "gap": confidence.gap},
        "errors": {error.name: _numbers(error) for error in found.errors},
        "brier": None if brier is None else asdict(brier),
        "reliability": [dict(zip(names, row, strict=True)) for row in rows],
    }


def _numbers(error: CalibrationError) -> dict[str, float]:
    return {"value": error.value, "low": error.low, "high": error.high, "off_by": error.off_by}


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_without_nan(entry) for entry in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
