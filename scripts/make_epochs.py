"""Writes tests/data/epochs.npz: the logits of a small run over its epochs, and what aum and datagnosis make of them.

    python scripts/make_epochs.py tests/data/epochs.npz

Needs aum 1.0.2 and datagnosis 0.0.3. Of datagnosis the parts are called themselves, on the same log:
its plugin of data maps makes a new record in each epoch, so that it knows the last alone (0.0.3),
its forgetting scores are divided by the number of epochs, and its correctness is p > 0.5, which ours is not.
"""

from __future__ import annotations

import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from aum import AUMCalculator
from datagnosis.plugins.core.models.dataiq_maps_torch import DataIQ_MAPS_Torch
from datagnosis.plugins.generic.plugin_aum import AUMPlugin
from datagnosis.plugins.generic.plugin_forgetting import ForgettingPlugin

ROWS, CLASSES, EPOCHS = 60, 4, 12
VERSIONS = {"aum": "1.0.2", "datagnosis": "0.0.3"}


def run() -> tuple[np.ndarray, np.ndarray]:
    """Logits (E, N, C) float32 of a network that learns blobs, a fifth of whose labels are wrong, and the labels."""
    torch.manual_seed(0)
    target = torch.randint(CLASSES, (ROWS,))
    points = 2 * torch.randn(CLASSES, 5)[target] + torch.randn(ROWS, 5)
    target[::5] = torch.randint(CLASSES, (len(target[::5]),))
    network = torch.nn.Sequential(torch.nn.Linear(5, 16), torch.nn.ReLU(), torch.nn.Linear(16, CLASSES))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.3, momentum=0.9)
    log = []
    for _epoch in range(EPOCHS):
        for rows in torch.randperm(ROWS).split(10):
            optimizer.zero_grad()
            F.cross_entropy(network(points[rows]), target[rows]).backward()
            optimizer.step()
        log.append(network(points).detach().numpy())
    return np.stack(log), target.numpy()


class Replayed(torch.nn.Module):
    """A network whose outputs are those of one epoch: its inputs are the numbers of the rows."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.logits[rows]


def by_aum(log: torch.Tensor, target: torch.Tensor) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        calculator = AUMCalculator(folder)
        for logits in log:
            records = calculator.update(logits, target, list(range(ROWS)))
    return np.array([records[row].aum for row in range(ROWS)])


def by_datagnosis(log: torch.Tensor, target: torch.Tensor) -> dict[str, np.ndarray]:
    model = torch.nn.Linear(1, 1)
    options = {
        "model": model,
        "criterion": torch.nn.CrossEntropyLoss(),
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.1),
        "lr": 0.1,
        "epochs": EPOCHS,
        "num_classes": CLASSES,
        "device": torch.device("cpu"),
    }
    rows = torch.arange(ROWS)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(rows, target, rows), batch_size=16)
    maps = DataIQ_MAPS_Torch(dataloader=loader, sparse_labels=True)
    margins, forgetting = AUMPlugin(**options), ForgettingPlugin(**options, total_samples=ROWS)
    for logits in log:
        maps.on_epoch_end(net=Replayed(logits), device="cpu")
        margins._updates(logits, target, rows)
        forgetting._updates(logits, target, rows)
    calculator = margins.aum_calculator
    return {
        "datagnosis_aum": np.array([calculator.sums[row] / calculator.counts[row] for row in range(ROWS)]),
        "datagnosis_forgetting": np.array([forgetting.forgetting_counts[row] for row in range(ROWS)]),
        "datagnosis_confidence": maps.confidence,
        "datagnosis_variability": maps.variability,
    }


def main(path: Path) -> None:
    """Writes the log and the numbers of both libraries."""
    for library, needed in VERSIONS.items():
        if version(library) != needed:
            raise SystemExit(f"{library} {version(library)} is installed, expected {needed}")
    log, target = run()
    found = {"aum": by_aum(torch.tensor(log), torch.tensor(target))}
    found |= by_datagnosis(torch.tensor(log), torch.tensor(target))
    versions = np.array([f"{library} {number}" for library, number in VERSIONS.items()])
    np.savez_compressed(path, logits=log, target=target, versions=versions, **found)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
