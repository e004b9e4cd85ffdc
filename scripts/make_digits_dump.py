"""Train a small network on handwritten digits, flip some labels, and write the logits of held-out images as a dump.

Run it from the root of the repository, with scikit-learn installed: python -m scripts.make_digits_dump digits.npz
Every image is held out once: five networks are trained, each without a fifth of the images.
"""

import argparse
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold
from torch import Tensor, nn

CLASSES = 10
HIDDEN = 32
FOLDS = 5


class DigitsDump(NamedTuple):
    """What is written, and which labels were flipped."""

    logits: np.ndarray  # (N, 10) float32, each row from the network that did not see it
    target: np.ndarray  # (N,) int64, some flipped
    features: np.ndarray  # (N, 32) float32, what the last layer saw
    flipped: np.ndarray  # (N,) bool
    images: np.ndarray  # (N, 8, 8) uint8, black on white


def make(rate: float, seed: int, *, steps: int = 100) -> DigitsDump:
    """Out-of-fold logits of the digits with this share of the labels flipped to another class."""
    digits = load_digits()
    images, true = digits.data / 16, digits.target.astype(np.int64)  # pixels are 0 to 16
    chance = np.random.default_rng(seed)
    target = true.copy()
    chosen = chance.choice(len(true), round(rate * len(true)), replace=False)
    target[chosen] = (target[chosen] + chance.integers(1, CLASSES, len(chosen))) % CLASSES

    logits = np.empty((len(true), CLASSES), np.float32)
    features = np.empty((len(true), HIDDEN), np.float32)
    for train, held_out in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(images, target):
        body, head = _trained(torch.tensor(images[train]), torch.tensor(target[train]), seed, steps)
        with torch.no_grad():
            seen = body(torch.tensor(images[held_out]))
            features[held_out], logits[held_out] = seen.numpy(), head(seen).numpy()
    drawn = 255 - np.rint(digits.images * (255 / 16)).astype(np.uint8)
    return DigitsDump(logits, target, features, target != true, drawn)


def _trained(images: Tensor, target: Tensor, seed: int, steps: int) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(seed)
    body = nn.Sequential(nn.Linear(images.shape[1], HIDDEN), nn.ReLU()).double()
    head = nn.Linear(HIDDEN, CLASSES).double()
    optimizer = torch.optim.Adam([*body.parameters(), *head.parameters()], lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(head(body(images)), target).backward()
        optimizer.step()
    return body, head


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", help="the .npz file to write")
    parser.add_argument("--rate", type=float, default=0.1, help="share of the labels that are flipped")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--true-labels", metavar="FILE", help="the .npy file for the labels before the flips")
    parser.add_argument("--small", action="store_true", help="packed, as xent_core/data/digits_dump.npz")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # in so small a network a second thread only waits for the first
    dump = make(arguments.rate, arguments.seed)
    names = np.array([f"digit {digit}" for digit in range(CLASSES)])
    shared = {"logits": dump.logits, "class_names": names, "images": dump.images}
    if arguments.small:
        np.savez_compressed(arguments.path, **shared, target=dump.target.astype(np.uint8))
    else:
        ids = np.array([f"image {row}" for row in range(len(dump.target))])
        np.savez(arguments.path, **shared, target=dump.target, features=dump.features, ids=ids)
    if arguments.true_labels:
        np.save(arguments.true_labels, load_digits().target.astype(np.uint8))
    print(f"{len(dump.target)} rows, {int(dump.flipped.sum())} labels flipped, written to {arguments.path}")


if __name__ == "__main__":
    main()
