"""What torchmetrics says of two epochs, batch by batch: `python -m scripts.measure_metrics`.

It needs torchmetrics, which the project does not; what it writes is compared in the tests.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

RESULT = Path(__file__).parents[1] / "tests" / "data" / "metrics.json"
CLASSES, ROWS, BATCH, BINS = 4, 250, 32, 15


def epoch(seed: int) -> list[tuple[Tensor, Tensor]]:
    """The batches of an epoch, the last of them smaller: logits (B, C) float64, and labels, some ignored."""
    chance = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(ROWS, CLASSES, generator=chance, dtype=torch.float64)
    target = (logits + 2 * torch.randn(ROWS, CLASSES, generator=chance, dtype=torch.float64)).argmax(1)
    target[::17] = -100
    return list(zip(logits.split(BATCH), target.split(BATCH), strict=True))


def measured(batches: list[tuple[Tensor, Tensor]]) -> dict[str, object]:
    """Each number of one epoch by torchmetrics, which has no cross-entropy: its mean is of the losses of PyTorch."""
    from torchmetrics import MeanMetric, MetricCollection
    from torchmetrics.classification import MulticlassAccuracy, MulticlassCalibrationError, MulticlassConfusionMatrix

    metrics = MetricCollection(
        {
            "accuracy": MulticlassAccuracy(CLASSES, average="micro", ignore_index=-100),
            "recall": MulticlassAccuracy(CLASSES, average="none", ignore_index=-100),
            "confusion": MulticlassConfusionMatrix(CLASSES, ignore_index=-100),
            "calibration_error": MulticlassCalibrationError(CLASSES, n_bins=BINS, norm="l1", ignore_index=-100),
        }
    )
    loss = MeanMetric().set_dtype(torch.float64)
    for logits, target in batches:
        metrics.update(logits.softmax(1), target)
        loss.update(F.cross_entropy(logits, target), weight=(target != -100).sum())
    return {name: value.tolist() for name, value in metrics.compute().items()} | {"loss": loss.compute().item()}


def main() -> None:
    """Writes tests/data/metrics.json."""
    versions = {name: version(name) for name in ("torchmetrics", "torch")}
    found = {str(seed): measured(epoch(seed)) for seed in (0, 1)}
    RESULT.write_text(json.dumps({"versions": versions, "epochs": found}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
