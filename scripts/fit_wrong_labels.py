"""Print how well the constants of xent_core/dump/wrong_labels.py fit, and what would fit best: on sets made for that.

Run it from the root of the repository, with scikit-learn installed (an hour): python -m scripts.fit_wrong_labels
No set of `ASIDE`, on which docs/ranking.md says how well they hold, is among these; real data has other noise there.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize

from scripts.measure_ranking import analysed
from scripts.ranking_sets import FITTED, NoisyDump
from xent_core.dump import statistics
from xent_core.dump.wrong_labels import SUREST, SUSPICION_BINS, TAILS, _never_falling, suspicion_bins, wrong_labels


@dataclass(frozen=True, eq=False)
class Histograms:
    """Of one set: rows, pretended labels and wrong labels by the bin of the suspicion."""

    rows: np.ndarray
    pretended: np.ndarray
    wrong: np.ndarray

    @property
    def errors(self) -> float:
        """The share of predictions that are not the label."""
        return float(self.rows[SUSPICION_BINS // 2 :].sum() / self.rows.sum())


def histograms(dump: NoisyDump) -> Histograms:
    """What `wrong_labels` is given for this set, and what is true of it."""
    given: list[np.ndarray] = []
    original = statistics.wrong_labels
    statistics.wrong_labels = lambda rows, pretended: given.extend((rows, pretended)) or original(rows, pretended)
    try:
        _summary, columns = analysed(dump)
    finally:
        statistics.wrong_labels = original
    places = suspicion_bins(torch.tensor(columns["suspicion"][dump.wrong[columns["row"]]])).numpy()
    return Histograms(given[0], given[1], np.bincount(places, minlength=SUSPICION_BINS))


def density(one: Histograms) -> np.ndarray:
    """q by bin, as `wrong_labels` has it before it corrects it."""
    beyond, drawn_beyond = (part[::-1].cumsum()[::-1] for part in (one.rows, one.pretended))
    drawn = int(one.pretended.sum())
    bounds = [int(np.flatnonzero(drawn_beyond >= share * drawn)[-1]) for share in TAILS]
    counts = [beyond[bound] * drawn / drawn_beyond[bound] for bound in bounds]
    wrong = min(float(np.exp(np.mean([np.log(count + 0.5) for count in counts]))), float(one.rows.sum()))
    return _never_falling(one.pretended * (wrong / drawn), one.rows)


def fitted(sets: list[Histograms]) -> np.ndarray:
    """Offset, slope, and slope by the log odds of the errors, at which the labels are likeliest; each set counts 1."""
    features, shares, weights = [], [], []
    for one in sets:
        used = one.rows > 0
        q = np.clip(density(one), 1 - SUREST, SUREST)[used]
        errors = np.clip(one.errors, 1 - SUREST, 0.5)
        odds = np.log(q / (1 - q))
        features.append(np.stack([np.ones_like(odds), odds, odds * np.log(errors / (1 - errors))], 1))
        shares.append(one.wrong[used] / one.rows[used])
        weights.append(one.rows[used] / one.rows.sum() / len(sets))
    x, share, weight = (np.concatenate(part) for part in (features, shares, weights))

    def loss(constants: np.ndarray) -> float:
        z = x @ constants
        return float(weight @ (np.logaddexp(0, z) - share * z))

    return np.asarray(minimize(loss, np.zeros(3)).x)


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    torch.set_num_threads(1)
    sets = [histograms(dump) for dump in FITTED.dumps()]
    told = [(one, found) for one in sets if (found := wrong_labels(one.rows, one.pretended)) is not None]
    print(f"{len(sets)} sets, {len(told)} of which say something")
    print("offset, slope, slope by errors:", fitted([one for one, _found in told]).round(3))
    for words, holds in (
        ("low end", [found.low <= one.wrong.sum() for one, found in told]),
        ("high end", [found.high >= one.wrong.sum() for one, found in told]),
    ):
        print(f"{words} of the interval holds in {np.mean(holds):.1%}")


if __name__ == "__main__":
    main()
