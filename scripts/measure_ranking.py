"""Write docs/ranking.json: how well rankings find wrong labels, ours beside cleanlab's, and how many there seem to be.

Run it from the root of the repository, with scikit-learn and cleanlab installed: python -m scripts.measure_ranking
docs/ranking.md says what the numbers mean; `python -m scripts.ranking_tables` writes its tables from them.
"""

import argparse
import json
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import cleanlab
import numpy as np
import pyarrow.parquet as pq
import torch
from cleanlab.count import num_label_issues
from cleanlab.rank import get_label_quality_scores
from sklearn.metrics import average_precision_score

from scripts.ranking_sets import ASIDE, NoisyDump, Plan
from xent_core.dump import DumpSummary, analyse

PATH = Path(__file__).parents[1] / "docs" / "ranking.json"
SAMPLE = Path(__file__).parents[1] / "tests" / "data" / "ranking_sets.npz"
# how many labels are wrong is measured on these: of ASIDE one set for each data, noise and rate, the models in turn
COUNTED = replace(ASIDE, seeds=ASIDE.seeds[:1], turns=len(ASIDE.models))
SAMPLED = Plan(("wine", "iris"), ("network",), (0.25,), (300,))
OURS = "suspicion"
CLEANLAB = ("self_confidence", "normalized_margin", "confidence_weighted_entropy")
RELIABILITY_BINS = 10


def measured(dump: NoisyDump) -> dict[str, Any] | None:
    """The average precision of every ranking, how many wrong labels are expected, and how reliable that is.

    None where the model is wrong in most rows, so that nothing is said.
    """
    probs = torch.tensor(dump.logits).double().softmax(1).numpy()
    summary, suspects = analysed(dump)
    found = summary.wrong_labels
    if found is None:
        return None
    wrong = dump.wrong
    suspicion = {name: suspects[name] for name in (OURS, "loss", "el2n")} | {"margin": -suspects["margin"]}
    for method in CLEANLAB:
        for adjusted in (False, True):
            if method == "confidence_weighted_entropy" and adjusted:
                continue  # cleanlab refuses it
            quality = get_label_quality_scores(dump.target, probs, method=method, adjust_pred_probs=adjusted)
            suspicion[f"cleanlab {method}{', adjusted' if adjusted else ''}"] = -quality
    p_wrong = suspects["p_wrong"]
    bins = np.minimum((p_wrong * RELIABILITY_BINS).astype(int), RELIABILITY_BINS - 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        counted = num_label_issues(dump.target, probs, estimation_method="off_diagonal")
    return {
        "data": dump.data,
        "model": dump.model,
        "noise": dump.noise,
        "rate": dump.rate,
        "seed": dump.seed,
        "rows": len(wrong),
        "wrong": int(wrong.sum()),
        "precision": {
            name: round(float(average_precision_score(wrong, values)), 5) for name, values in suspicion.items()
        },
        "expected": round(found.expected, 2),
        "interval": [round(found.low, 2), round(found.high, 2)],
        "cleanlab_expected": int(counted),
        "bins": [
            [round(float(part), 4) for part in (np.sum(bins == i), p_wrong[bins == i].sum(), wrong[bins == i].sum())]
            for i in range(RELIABILITY_BINS)
        ],
    }


def analysed(dump: NoisyDump) -> tuple[DumpSummary, dict[str, np.ndarray]]:
    """The summary, and the columns of the table of scores."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scores.parquet"
        summary = analyse(dump.logits, dump.target, scores=path, fit_temperature=False, device="cpu")
        table = pq.read_table(path)
    return summary, {name: table[name].to_numpy() for name in table.column_names}


def write_sample() -> None:
    """A few of the sets, and what cleanlab makes of them, for the tests."""
    arrays: dict[str, Any] = {}
    for number, dump in enumerate(SAMPLED.dumps()):
        arrays |= {f"logits{number}": dump.logits, f"target{number}": dump.target.astype(np.uint8)}
        arrays[f"wrong{number}"] = dump.wrong
        if (found := measured(dump)) is not None:
            precision = found["precision"]
            arrays[f"cleanlab{number}"] = np.array([precision[f"cleanlab {method}"] for method in CLEANLAB])
    np.savez_compressed(SAMPLE, **arrays)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", action="store_true", help="write tests/data/ranking_sets.npz alone")
    parser.add_argument(
        "--counts", action="store_true", help="measure how many labels are wrong alone, not the rankings"
    )
    arguments = parser.parse_args()
    if arguments.sample:
        write_sample()
        return
    torch.set_num_threads(1)  # in so small a network a second thread only waits for the first
    found = json.loads(PATH.read_text("utf-8"))
    plans = {"counted": COUNTED} if arguments.counts else {"sets": ASIDE, "counted": COUNTED}
    for name, plan in plans.items():
        found[name] = []
        for dump in plan.dumps():
            if (one := measured(dump)) is not None:
                found[name].append(one)
            print(f"{len(found[name])} sets, {dump.data}", end="\r", flush=True)
        write(found | {"cleanlab": cleanlab.__version__})


def write(found: dict[str, Any]) -> None:
    """The file, a set on each line."""
    parts = {name: ",\n".join(json.dumps(one) for one in found[name]) for name in ("sets", "counted")}
    lists = ", ".join(f'"{name}": [\n{lines}\n]' for name, lines in parts.items())
    PATH.write_text(f'{{"cleanlab": "{found["cleanlab"]}", {lists}}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
