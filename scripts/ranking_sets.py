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
      clean: the labels as they are, too.
      turns: each model takes but one in so many sets of labels, in turn.
    """

    data: tuple[str, ...]
    models: tuple[str, ...]
    rates: tuple[float, ...]
    seeds: tuple[int, ...]
    clean: bool = False
    turns: int = 1

    def dumps(self) -> Iterator[NoisyDump]:
        """All of them."""
        for number, data in enumerate(self.data):
            features, true = data_of(data)
            for turn, (seed, noise, rate) in enumerate(self._labels(data)):
                target = noisy(features, true, noise, rate, seed)
                # moved on with the noise and with the data, or a rate would always have the same model
                for model in self.models[(number + turn + turn // len(self.rates)) % self.turns :: self.turns]:
                    logits = _out_of_fold(features, target, model, seed).astype(np.float32)
                    yield NoisyDump(data, model, noise, rate, seed, logits, target, true)

    def _labels(self, data: str) -> Iterator[tuple[int, str, float]]:
        """Seed, noise and rate of every set of labels of these data."""
        for seed in self.seeds if data in SMALL else self.seeds[:1]:
            for noise in NOISES:
                for rate in self.rates:
                    yield seed, noise, rate
            for _ in range(self.turns if self.clean else 0):
                yield seed, NOISES[0], 0.0


# what the probabilities and the interval are fitted on
FITTED = Plan(
    (
        *("wine", "breast cancer", "iris", "digits", "wine, 3 columns", "breast cancer, 3 columns"),
        *("digits, 16 pixels", "diabetes in 3", "moons", "rings of 5", "blobs of 3", "blobs of 5", "blobs of 30"),
        *("mixture of 4, uneven", "mixture of 12"),
    ),
    ("logistic", "network", "8 neighbours", "network, overtrained"),
    (0.02, 0.06, 0.15, 0.35),
    (400,),
    clean=True,
    turns=4,
)
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
        case "wine, 3 columns" | "breast cancer, 3 columns":
            features, true = data_of(name.partition(",")[0])
            return features[:, :3], true
        case "digits, 16 pixels":
            features, true = data_of("digits")
            return features.reshape(-1, 4, 2, 4, 2).mean((2, 4)).reshape(-1, 16), true
        case "diabetes in 4" | "diabetes in 3":
            found = datasets.load_diabetes()
            parts = int(name[-1])
            return found.data, np.digitize(found.target, np.quantile(found.target, np.arange(1, parts) / parts))
        case "moons":
            return datasets.make_moons(900, noise=0.3, random_state=31)
        case "rings of 3":
            return datasets.make_gaussian_quantiles(n_samples=1000, n_features=4, n_classes=3, random_state=24)
        case "rings of 5":
            return datasets.make_gaussian_quantiles(n_samples=1500, n_features=3, n_classes=5, random_state=32)
        case "mixture of 12":
            return mixture(1500, 20, n_informative=12, n_classes=12, class_sep=2.2, random_state=33)
        case "mixture of 4, uneven":
            weights = [0.6, 0.25, 0.1, 0.05]
            return mixture(1200, 10, n_informative=6, n_classes=4, weights=weights, class_sep=1.2, random_state=34)
        case "mixture of 10":
            return mixture(2000, 25, n_informative=10, n_redundant=5, n_classes=10, class_sep=1.6, random_state=25)
        case "mixture of 6, uneven":
            weights = [0.5, 0.2, 0.12, 0.08, 0.06, 0.04]
            options = {"n_clusters_per_class": 1, "class_sep": 1.3, "flip_y": 0, "random_state": 22}
            return mixture(2000, 14, n_informative=9, n_classes=6, weights=weights, **options)
    seed, classes, rows, dimensions, spread = {
        "blobs of 3": (35, 3, 600, 2, 1.8),
        "blobs of 5": (36, 5, 1000, 5, 2.2),
        "blobs of 8": (21, 8, 1600, 6, 1.1),
        "blobs of 30": (37, 30, 1800, 12, 1.2),
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
