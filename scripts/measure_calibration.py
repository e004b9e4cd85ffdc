"""What other libraries say of the dumps of calibration_sets: `python -m scripts.measure_calibration`.

It needs torchmetrics, netcal and scikit-learn, none of which the project does; what it writes is compared in the tests.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from scripts.calibration_sets import SETS

RESULT = Path(__file__).parents[1] / "tests" / "data" / "calibration.json"
BINS = 15


def main() -> None:
    """Writes tests/data/calibration.json."""
    versions = {name: version(name) for name in ("torchmetrics", "netcal", "scikit-learn", "torch", "numpy")}
    found = {name: measured(*dump) for name, dump in SETS.items()}
    RESULT.write_text(json.dumps({"versions": versions, "sets": found}, indent=1) + "\n", encoding="utf-8")


def measured(logits: np.ndarray, target: np.ndarray) -> dict[str, Any]:
    """Every number of one dump, by the library that is its own."""
    import torch
    from netcal.metrics import ACE, ECE
    from sklearn.calibration import calibration_curve
    from sklearn.metrics import brier_score_loss
    from torchmetrics.functional.classification import binary_calibration_error, multiclass_calibration_error

    powers = np.exp(logits - logits.max(1, keepdims=True))
    probs = powers / powers.sum(1, keepdims=True)
    prediction, confidence = logits.argmax(1), probs.max(1)
    right = (prediction == target).astype(int)
    classes = range(logits.shape[1])
    single = [(probs[:, k], (target == k).astype(int)) for k in classes]
    predicted = [prediction == k for k in classes if (prediction == k).any()]
    accuracy, said = calibration_curve(right, confidence, n_bins=BINS)
    return {
        "equal_width_torchmetrics": float(
            binary_calibration_error(torch.tensor(confidence), torch.tensor(right), n_bins=BINS)
        ),
        "multiclass_calibration_error": float(
            multiclass_calibration_error(
                torch.tensor(probs), torch.tensor(target), num_classes=len(classes), n_bins=BINS
            )
        ),
        "equal_width_netcal": ECE(BINS).measure(confidence, right),
        "average": ACE(BINS).measure(confidence, right),
        "equal_mass": or_refused(lambda: ECE(BINS, equal_intervals=False).measure(confidence, right)),
        "top_label": float(
            sum(ECE(BINS).measure(confidence[rows], right[rows]) * rows.sum() for rows in predicted) / len(target)
        ),
        "class_wise": float(np.mean([ECE(BINS).measure(*one) for one in single])),
        "adaptive": or_refused(
            lambda: float(np.mean([ACE(BINS, equal_intervals=False).measure(*one) for one in single]))
        ),
        "reliability": {"confidence": said.tolist(), "accuracy": accuracy.tolist()},
        "brier_score": brier_score_loss(target, probs, labels=list(classes), scale_by_half=False),
    }


def or_refused(measure: Callable[[], float]) -> float | None:
    """None where the library takes no equal quantiles."""
    try:
        return measure()
    except ValueError:
        return None


if __name__ == "__main__":
    main()
