"""Write xent_core/data/digits.json: logits that a small network gives to ten held-out handwritten digits.

Run it from the root of the repository, with scikit-learn installed: python scripts/make_digits.py
"""

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn

PATH = Path(__file__).parents[1] / "xent_core" / "data" / "digits.json"
N_TRAIN = 1000
N_HIDDEN = 32
N_STEPS = 80
N_RIGHT = 7
N_WRONG = 3
DECIMALS = 3
SOURCE = (
    f"Logits of a network with one hidden layer of {N_HIDDEN}, trained for {N_STEPS} steps on {N_TRAIN} images of "
    f"scikit-learn's digits, for {N_RIGHT + N_WRONG} images held out, {N_WRONG} of which it gets wrong."
)


def train(images: Tensor, target: Tensor) -> nn.Module:
    """A network trained so briefly that its probabilities are not all near 0 and 1.

    In float64: the number of threads does not reach the decimals that are kept.
    """
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(images.shape[1], N_HIDDEN), nn.ReLU(), nn.Linear(N_HIDDEN, 10)).double()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(N_STEPS):
        optimizer.zero_grad()
        F.cross_entropy(model(images), target).backward()
        optimizer.step()
    return model


def pick(logits: Tensor, target: Tensor) -> list[int]:
    """Rows in their order: the first right one of each of seven digits, and the first three wrong ones."""
    is_right = logits.argmax(dim=1) == target
    right: dict[int, int] = {}
    wrong: list[int] = []
    for row, label in enumerate(target.tolist()):
        if not is_right[row]:
            wrong.append(row)
        elif label not in right:
            right[label] = row
    return sorted(list(right.values())[:N_RIGHT] + wrong[:N_WRONG])


def main() -> None:
    digits = load_digits()
    images = torch.tensor(digits.data, dtype=torch.float64) / 16  # pixels are 0 to 16
    target = torch.tensor(digits.target)
    torch.manual_seed(0)
    order = torch.randperm(len(images))
    held_out = order[N_TRAIN:].sort().values
    model = train(images[order[:N_TRAIN]], target[order[:N_TRAIN]])
    with torch.no_grad():
        logits = model(images[held_out])
    rows = pick(logits, target[held_out])

    matrix = [[round(value, DECIMALS) for value in logits[row].tolist()] for row in rows]
    labels = target[held_out][rows].tolist()
    fields = {
        "source": json.dumps(SOURCE),
        "class_names": json.dumps([f"digit {digit}" for digit in range(10)]),
        "row_names": json.dumps([f"image {held_out[row]}" for row in rows]),
        "logits": "[\n    " + ",\n    ".join(map(json.dumps, matrix)) + "\n  ]",  # one row a line, for diffs
        "target": json.dumps(labels),
    }
    text = "{\n" + ",\n".join(f'  "{name}": {value}' for name, value in fields.items()) + "\n}\n"
    PATH.write_text(text, encoding="utf-8")

    losses = F.cross_entropy(torch.tensor(matrix, dtype=torch.float64), torch.tensor(labels), reduction="none")
    accuracy = (logits.argmax(dim=1) == target[held_out]).float().mean()
    print(f"held-out accuracy {accuracy:.3f}; losses of the ten rows: {[round(loss, 3) for loss in losses.tolist()]}")


if __name__ == "__main__":
    main()
