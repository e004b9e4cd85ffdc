"""Write the table of epochs in docs/ranking.md: how well rankings find wrong labels in logits of every epoch.

How many wrong labels are expected of small data, beside the truth, is printed.

A network of 48 hidden units learns noisy labels, and after each of 30 epochs gives the logits of rows:
of those it learns from, and of rows that are held out, by five folds.
Run it from the root of the repository, with scikit-learn installed (three minutes): python -m scripts.measure_epochs
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.metrics import average_precision_score
from sklearn.model_selection import KFold
from sklearn.preprocessing import StandardScaler

from scripts.ranking_sets import HIDDEN, NOISES, SMALL, data_of, noisy
from xent_core.dump import analyse
from xent_core.dump.label_model import count_labels, usual_gaps

PATH = Path(__file__).parents[1] / "docs" / "ranking.md"
BEGIN, END = "<!-- table of scripts.measure_epochs -->", "<!-- end of the table of epochs -->"
DATA = ("wine", "breast cancer", "digits", "blobs of 8")
RATES, SEEDS = (0.1, 0.25), (500, 501)
EPOCHS, BATCH_ROWS, FOLDS = 30, 64, 5
TRAINED, HELD_OUT = "learnt from", "held out"


def logs() -> Iterator[tuple[str, str, np.ndarray, np.ndarray, np.ndarray]]:
    """Data, which rows, logits of every epoch (E, N, C), labels, and which of them are wrong."""
    for data in DATA:
        features, true = data_of(data)
        for seed in SEEDS:
            for noise in NOISES:
                for rate in RATES:
                    target = noisy(features, true, noise, rate, seed)
                    scaled = StandardScaler().fit_transform(features)
                    yield data, TRAINED, epochs_of(scaled, target, scaled, seed), target, target != true
                    held_out = np.empty((EPOCHS, len(true), int(true.max()) + 1), np.float32)
                    for learnt, judged in KFold(FOLDS, shuffle=True, random_state=seed).split(features):
                        scaler = StandardScaler().fit(features[learnt])
                        seen, unseen = scaler.transform(features[learnt]), scaler.transform(features[judged])
                        held_out[:, judged] = epochs_of(seen, target[learnt], unseen, seed, int(true.max()) + 1)
                    yield data, HELD_OUT, held_out, target, target != true


def epochs_of(
    seen: np.ndarray, target: np.ndarray, judged: np.ndarray, seed: int, classes: int | None = None
) -> np.ndarray:
    """The logits of the rows that are judged after each epoch, (E, N, C) float32."""
    torch.manual_seed(seed)
    classes = classes or int(target.max()) + 1
    network = torch.nn.Sequential(
        torch.nn.Linear(seen.shape[1], HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, classes)
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=0.005)
    rows, label, asked = torch.tensor(seen).float(), torch.tensor(target), torch.tensor(judged).float()
    found = []
    for _epoch in range(EPOCHS):
        for batch in torch.randperm(len(rows)).split(BATCH_ROWS):
            optimizer.zero_grad()
            F.cross_entropy(network(rows[batch]), label[batch]).backward()
            optimizer.step()
        with torch.no_grad():
            found.append(network(asked).numpy())
    return np.stack(found)


def rankings(logits: np.ndarray, target: np.ndarray) -> dict[str, np.ndarray]:
    """What the rows are ranked by, the largest first, by its name."""
    log_probs = F.log_softmax(torch.tensor(logits).double(), -1).numpy()
    every = np.arange(len(target))
    own = log_probs[:, every, target]
    others = np.array(logits, dtype=np.float64)
    margins = others[:, every, target].copy()
    others[:, every, target] = -np.inf
    margins -= others.max(-1)
    single = np.stack([suspicion(one, target) for one in logits])
    right = margins > 0
    return {
        "suspicion, last epoch": single[-1],
        "margin, last epoch": -margins[-1],
        "AUM: mean margin": -margins.mean(0),
        "mean suspicion": single.mean(0),
        "suspicion of the mean logits": suspicion(log_probs.mean(0), target),
        "suspicion of the mean probabilities": suspicion(np.log(np.exp(log_probs).mean(0)), target),
        "mean loss": -own.mean(0),
        "1 − confidence": -np.exp(own).mean(0),
        "variability": np.exp(own).std(0),
        "1 − correctness": -right.mean(0),
        "forgetting": np.where(right.any(0), (right[:-1] & ~right[1:]).sum(0), EPOCHS),
    }


def suspicion(logits: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The default ranking's, of one dump."""
    rows, label = torch.tensor(logits), torch.tensor(target)
    known = count_labels(rows, label, 1.0, usual_gaps(rows)).model()
    return known.suspicion(rows.log_softmax(1), rows.softmax(1), label).numpy()


def expected(logits: np.ndarray, target: np.ndarray) -> tuple[float, float, float] | None:
    """How many labels are wrong by all epochs, and from where to where; None if that is not known."""
    summary = analyse(list(logits), target, epochs=True, fit_temperature=False, device="cpu")
    wrong = summary.wrong_labels
    return None if wrong is None else (wrong.low, wrong.expected, wrong.high)


def table(found: dict[tuple[str, str], list[dict[str, float]]]) -> str:
    """Mean average precision over the sets, by data and rows, and the mean over the data."""
    kinds = [(rows, data) for rows in (TRAINED, HELD_OUT) for data in DATA]
    names = next(iter(found.values()))[0]
    means = {
        name: {kind: float(np.mean([one[name] for one in found[kind[1], kind[0]]])) for kind in kinds} for name in names
    }
    heads = [f"{rows}: mean" for rows in (TRAINED, HELD_OUT)]
    heads += [f"{rows}: {data}" if data == DATA[0] else data for rows, data in kinds]
    lines = [f"| ranking | {' | '.join(heads)} |"]
    lines.append("|---|" + "---:|" * (2 + len(kinds)))
    for name, of in sorted(means.items(), key=lambda entry: -sum(entry[1].values())):
        whole = [np.mean([of[rows, data] for data in DATA]) for rows in (TRAINED, HELD_OUT)]
        lines.append(f"| {name} | " + " | ".join(f"{value:.3f}" for value in (*whole, *of.values())) + " |")
    return "\n".join(lines)


def main() -> None:
    torch.set_num_threads(1)  # in so small a network a second thread only waits for the first
    found: dict[tuple[str, str], list[dict[str, float]]] = {}
    for number, (data, rows, logits, target, wrong) in enumerate(logs(), 1):
        precision = {
            name: float(average_precision_score(wrong, np.nan_to_num(values)))
            for name, values in rankings(logits, target).items()
        }
        found.setdefault((data, rows), []).append(precision)
        if data in SMALL:
            print(f"{data}, {rows}: {int(wrong.sum())} wrong, expected {expected(logits, target)}")
        print(f"{number} logs, {data}", end="\r", flush=True)
    sets = sum(map(len, found.values()))
    words = f"{sets} logs of {EPOCHS} epochs: {len(NOISES)} kinds of noise, 10 % and 25 %, two seeds."
    begin, _old, end = _parts(PATH.read_text("utf-8"))
    PATH.write_text(f"{begin}\n\n{words}\n\n{table(found)}\n\n{end}", encoding="utf-8")


def _parts(text: str) -> tuple[str, str, str]:
    begin, rest = text.split(BEGIN)
    old, end = rest.split(END)
    return begin + BEGIN, old, END + end


if __name__ == "__main__":
    main()
