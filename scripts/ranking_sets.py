"""Logits of held-out rows with labels changed on purpose: the sets on which rankings of suspects are measured.

Every row gets its logits from a model that was trained, on the noisy labels, without the fifth the row is in.
Needs scikit-learn.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from sklearn import datasets
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

FOLDS = 5
NEIGHBOURS = 8
HIDDEN = 48
NOISES = ("uniform", "pairwise", "by feature", "near the border")
SMALL = ("wine", "iris", "breast cancer")


@dataclass(frozen=True, eq=False)
class NoisyDump:
    """One set, and which of its labels are wrong.

    Attributes:
      data, model, noise, rate, seed: where it comes from.
      logits: (N, C) float32, each row from a model that did not see it.
      target: (N,) int64, some wrong.
      true: (N,) int64.
    """

    data: str
    model: str
    noise: str
    rate: float
    seed: int
    logits: np.ndarray
    target: np.ndarray
    true: np.ndarray

    @property
    def wrong(self) -> np.ndarray:
        """Which labels are wrong."""
        return self.target != self.true


@dataclass(frozen=True)
class Plan:
    """Which sets are made.

    Attributes:
      data, models, rates: every one with every other, and with every noise.
      seeds: of small data, which are measured several times; of the others the first alone.
    """

    data: tuple[str, ...]
    models: tuple[str, ...]
    rates: tuple[float, ...]
    seeds: tuple[int, ...]

    def dumps(self) -> Iterator[NoisyDump]:
        """All of them."""
        for data in self.data:
            features, true = data_of(data)
            for seed in self.seeds if data in SMALL else self.seeds[:1]:
                for noise in NOISES:
                    for rate in self.rates:
                        target = noisy(features, true, noise, rate, seed)
                        for model in self.models:
                            logits = _out_of_fold(features, target, model, seed).astype(np.float32)
                            yield NoisyDump(data, model, noise, rate, seed, logits, target, true)


# none of these was looked at before the ranking was final
ASIDE = Plan(
    (
        *("wine", "breast cancer", "iris", "diabetes in 4", "rings of 3", "digits"),
        *("blobs of 8", "mixture of 6, uneven", "mixture of 10", "blobs of 40"),
    ),
    ("logistic", "8 neighbours", "network", "network, overtrained"),
    (0.1, 0.25),
    (300, 301),
)


def data_of(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Features, and true labels."""
    mixture = datasets.make_classification
    match name:
        case "digits" | "wine" | "breast cancer" | "iris":
            found = getattr(datasets, "load_" + name.replace(" ", "_"))()
            return found.data, found.target
        case "diabetes in 4":
            found = datasets.load_diabetes()
            return found.data, np.digitize(found.target, np.quantile(found.target, [0.25, 0.5, 0.75]))
        case "rings of 3":
            return datasets.make_gaussian_quantiles(n_samples=1000, n_features=4, n_classes=3, random_state=24)
        case "mixture of 10":
            return mixture(2000, 25, n_informative=10, n_redundant=5, n_classes=10, class_sep=1.6, random_state=25)
        case "mixture of 6, uneven":
            weights = [0.5, 0.2, 0.12, 0.08, 0.06, 0.04]
            options = {"n_clusters_per_class": 1, "class_sep": 1.3, "flip_y": 0, "random_state": 22}
            return mixture(2000, 14, n_informative=9, n_classes=6, weights=weights, **options)
    seed, classes, rows, dimensions, spread = {
        "blobs of 8": (21, 8, 1600, 6, 1.1),
        "blobs of 40": (23, 40, 3200, 15, 0.9),
    }[name]
    chance = np.random.default_rng(seed)
    true = chance.integers(0, classes, rows)
    return chance.normal(size=(classes, dimensions))[true] * spread + chance.normal(size=(rows, dimensions)), true


def noisy(features: np.ndarray, true: np.ndarray, noise: str, rate: float, seed: int) -> np.ndarray:
    """The labels with this share of them changed."""
    chance = np.random.default_rng(1000 + seed)
    classes, rows = int(true.max()) + 1, len(true)
    target, every = true.copy(), np.arange(rows)
    chosen = chance.choice(rows, round(rate * rows), replace=False)
    if noise == "uniform":
        target[chosen] = (true[chosen] + chance.integers(1, classes, len(chosen))) % classes
    elif noise == "pairwise":
        target[chosen] = (true[chosen] + 1) % classes
    elif noise == "by feature":  # whither, and how often, depends on the row, as in Xia et al. 2020
        towards = np.einsum("nd,ndc->nc", features, chance.normal(size=(classes, features.shape[1], classes))[true])
        towards[every, true] = -np.inf
        towards /= towards[np.isfinite(towards)].std()
        share = _softmax(towards)
        changed = chance.random(rows) < np.clip(chance.normal(rate, 0.1, rows), 0.001, 0.6)
        for row in np.flatnonzero(changed):
            target[row] = chance.choice(classes, p=share[row])
    else:  # the rows of which a model of the true labels is least sure, to the class it likes second
        share = _softmax(_out_of_fold(features, true, "logistic", 7 + seed))
        doubt = 1 - share[every, true] + 0.02
        chosen = chance.choice(rows, round(rate * rows), replace=False, p=doubt / doubt.sum())
        share[every, true] = -1
        target[chosen] = share.argmax(1)[chosen]
    return target


def _out_of_fold(features: np.ndarray, target: np.ndarray, model: str, seed: int) -> np.ndarray:
    classes = int(target.max()) + 1
    logits = np.empty((len(target), classes))
    for train, held_out in KFold(FOLDS, shuffle=True, random_state=seed).split(features):
        scaler = StandardScaler().fit(features[train])
        seen, judged = scaler.transform(features[train]), scaler.transform(features[held_out])
        logits[held_out] = _logits(model, seen, target[train], judged, classes, seed)
    return logits


def _logits(
    model: str, seen: np.ndarray, target: np.ndarray, judged: np.ndarray, classes: int, seed: int
) -> np.ndarray:
    if model.startswith("network"):
        return _of_network(seen, target, judged, classes, seed, 400 if "overtrained" in model else 120)
    fitted = LogisticRegression(max_iter=60, tol=1e-3) if model == "logistic" else KNeighborsClassifier(NEIGHBOURS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted.fit(seen, target)
    probs = np.zeros((len(judged), classes))
    probs[:, fitted.classes_] = fitted.predict_proba(judged)
    if model == "logistic":
        return np.log(np.maximum(probs, 1e-13))
    return np.log((NEIGHBOURS * probs + 0.5) / (NEIGHBOURS + 0.5 * classes))  # half a neighbour more of each class


def _of_network(
    seen: np.ndarray, target: np.ndarray, judged: np.ndarray, classes: int, seed: int, steps: int
) -> np.ndarray:
    torch.manual_seed(seed)
    network = torch.nn.Sequential(
        torch.nn.Linear(seen.shape[1], HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, classes)
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    images, label = torch.tensor(seen).float(), torch.tensor(target)
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(network(images), label).backward()
        optimizer.step()
    with torch.no_grad():
        return network(torch.tensor(judged).float()).double().numpy()


def _softmax(logits: np.ndarray) -> np.ndarray:
    return torch.tensor(logits).softmax(1).numpy()
