"""Write docs/ranking.md: how well rankings find flipped labels of digits, ours beside cleanlab's scores.

Run it from the root of the repository, with scikit-learn and cleanlab installed: python -m scripts.measure_ranking
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from cleanlab.rank import get_label_quality_scores
from sklearn.metrics import average_precision_score

from scripts.make_digits_dump import DigitsDump, make
from xent_core.dump import LossOptions, open_dump, scores_of_rows

PATH = Path(__file__).parents[1] / "docs" / "ranking.md"
RATES = (0.1, 0.2)
STEPS = (100, 600)  # of training: fitted, and fitted until the flipped labels are learnt too
SEEDS = range(5)
CLEANLAB = ("self_confidence", "normalized_margin", "confidence_weighted_entropy")
OURS = "margin of the logits (the default ranking)"

TEXT = """# Which rows come first

The table of suspects is ranked by the margin of the logits, (z_y − max z_k)/T over the other classes k:
the smallest first.
It says by how many nats the model prefers another class to the label.
Below is how well it finds labels that were flipped on purpose, beside the scores of cleanlab {version}.

Data: the {rows} digits of scikit-learn, {rates} of the labels flipped to another class at random,
logits of five networks each of which did not see the fifth that it judges, {seeds} seeds.
Numbers: average precision, the mean over the seeds; 1 if every flipped label comes before every other row.
Made by `python -m scripts.measure_ranking`.

{table}

The margin beats the probability of the label (the loss ranks the same) since a row is suspicious
if one other class is clearly preferred, not if the model spreads its doubt over many.
EL2N, the gradient norm of the plain loss, saturates at √2 where the model is sure of another class:
among the very worst rows it can no longer tell which is worst.
A network that has learnt the flipped labels too ({most} steps) ranks worse by every score:
logits should be out of sample, and of a model that stopped in time.
"""


def precisions(dump: DigitsDump) -> dict[str, float]:
    """The average precision of every ranking."""
    with open_dump(dump.logits, dump.target) as opened:
        scores = scores_of_rows(opened, list(range(len(dump.target))), LossOptions())
    probs = torch.tensor(dump.logits).double().softmax(1).numpy()
    suspicion = {
        OURS: -scores.margin.numpy(),
        "loss": scores.loss.numpy(),
        "EL2N": scores.el2n.numpy(),
        "entropy": scores.entropy.numpy(),
    }
    for method in CLEANLAB:
        for adjusted in (False, True):
            if method == "confidence_weighted_entropy" and adjusted:
                continue  # cleanlab refuses it
            quality = get_label_quality_scores(dump.target, probs, method=method, adjust_pred_probs=adjusted)
            suspicion[f"cleanlab {method}{', adjusted' if adjusted else ''}"] = -quality
    return {name: float(average_precision_score(dump.flipped, values)) for name, values in suspicion.items()}


def measured() -> dict[str, list[float]]:
    """Every ranking's mean over the seeds, for each number of steps and each rate."""
    columns: dict[str, list[float]] = {}
    for steps in STEPS:
        for rate in RATES:
            runs = [precisions(make(rate, seed, steps=steps)) for seed in SEEDS]
            for name in runs[0]:
                columns.setdefault(name, []).append(float(np.mean([run[name] for run in runs])))
    return columns


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    import cleanlab
    from sklearn.datasets import load_digits

    settings = [f"{rate:.0%}, {steps} steps" for steps in STEPS for rate in RATES]
    lines = [f"| ranking | {' | '.join(settings)} | mean |", f"|---|{'---:|' * (len(settings) + 1)}"]
    columns = measured()
    for name in sorted(columns, key=lambda name: -np.mean(columns[name])):
        numbers = [f"{value:.4f}" for value in (*columns[name], float(np.mean(columns[name])))]
        lines.append(f"| {name} | {' | '.join(numbers)} |")
    text = TEXT.format(
        version=cleanlab.__version__,
        rows=len(load_digits().target),
        rates=" or ".join(f"{rate:.0%}" for rate in RATES),
        seeds=len(SEEDS),
        table="\n".join(lines),
        most=max(STEPS),
    )
    PATH.write_text(text, encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
