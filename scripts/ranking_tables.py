"""Write the tables of docs/ranking.md from docs/ranking.json, which `python -m scripts.measure_ranking` makes.

Run it from the root of the repository: python -m scripts.ranking_tables
"""

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parents[1] / "docs"
BEGIN, END = "<!-- tables of scripts.ranking_tables -->", "<!-- end of the tables -->"
OURS, MARGIN = "suspicion", "margin"


def tables(found: dict[str, Any]) -> str:
    """All tables, in Markdown."""
    sets = found["sets"]
    names = sorted(sets[0]["precision"], key=lambda name: -mean_precision(sets, name))
    best = next(name for name in names if name.startswith("cleanlab"))
    kinds = list(dict.fromkeys(one["data"] for one in sets))
    parts = [
        f"{len(sets)} sets of {len(kinds)} data sets, cleanlab {found['cleanlab']}.",
        "Mean average precision of every ranking, the mean over the data sets:",
        table(["ranking", "mean", *noises(sets)], (precision_row(sets, name) for name in names)),
        "The same for each data set, ours beside the margin and the best single score of cleanlab, "
        f"{best.removeprefix('cleanlab ')}:",
    ]
    for word, of in (("data", lambda one: one["data"]), ("noise", lambda one: one["noise"])):
        parts.append(table([word, "ours", "margin", "cleanlab", "difference"], compared(sets, of, best)))
    parts.append("And for each model:")
    parts.append(table(["model", "ours", "margin", "cleanlab", "difference"], compared(sets, by_model, best)))
    pairs = compared(sets, lambda one: f"{one['data']}, {one['noise']}", best)
    worst = min(pairs, key=lambda row: float(row[-1].replace("−", "-")))
    parts.append(f"Of data and noise the worst: {worst[0]}, {worst[-1]}.")
    single = np.array([one["precision"][OURS] - one["precision"][best] for one in sets])
    parts.append(
        f"Of the {len(sets)} single sets, which chance moves most, {int((single > 0.01).sum())} are more than 0.01 "
        f"above that score and {int((single < -0.01).sum())} more than 0.01 below it; "
        f"the worst by {-single.min():.3f}: {_words_of(sets[int(single.argmin())])}."
    )
    counts = found["counted"]
    parts.append(
        f"On {len(counts)} of these sets, one for each data, noise and rate, with the models in turn: "
        "how many labels are wrong, the estimate over the truth (geometric mean), and how often the interval holds it:"
    )
    parts.append(
        table(
            ["noise", "estimate/truth", "cleanlab/truth", "interval holds", "its width, of the rows (median)"],
            counted(counts),
        )
    )
    parts.append("Reliability: rows by their probability, and the share of them whose label is wrong:")
    parts.append(reliability(counts))
    return "\n\n".join(parts)


def _words_of(one: dict[str, Any]) -> str:
    return f"{one['data']}, {one['model']}, {one['noise']}, {one['rate']:.0%}"


def by_model(one: dict[str, Any]) -> str:
    return str(one["model"])


def noises(sets: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(one["noise"] for one in sets))


def mean_precision(sets: Iterable[dict[str, Any]], name: str) -> float:
    """The mean over the data sets of the mean over the sets of each."""
    by_data: dict[str, list[float]] = {}
    for one in sets:
        by_data.setdefault(one["data"], []).append(one["precision"][name])
    return float(np.mean([np.mean(values) for values in by_data.values()]))


def precision_row(sets: list[dict[str, Any]], name: str) -> list[str]:
    parts = [[one for one in sets if one["noise"] == noise] for noise in noises(sets)]
    words = {OURS: "**suspicion (the default ranking)**"}.get(name, name)
    return [words, *(f"{mean_precision(part, name):.4f}" for part in (sets, *parts))]


def compared(sets: list[dict[str, Any]], of: Callable[[dict[str, Any]], str], best: str) -> list[list[str]]:
    """A row for each kind of set."""
    rows = []
    for kind in dict.fromkeys(of(one) for one in sets):
        ours, margin, theirs = (
            mean_precision([one for one in sets if of(one) == kind], name) for name in (OURS, MARGIN, best)
        )
        difference = f"{ours - theirs:+.4f}".replace("-", "−")
        rows.append([kind, f"{ours:.4f}", f"{margin:.4f}", f"{theirs:.4f}", difference])
    return rows


def counted(sets: list[dict[str, Any]]) -> list[list[str]]:
    rows = []
    for noise in (*noises(sets), "all"):
        part = [one for one in sets if noise in (one["noise"], "all")]
        ours, theirs = (
            float(np.exp(np.mean([np.log((one[name] + 0.5) / one["wrong"]) for one in part])))
            for name in ("expected", "cleanlab_expected")
        )
        holds = np.mean([one["interval"][0] <= one["wrong"] <= one["interval"][1] for one in part])
        width = np.median(
            [one["interval"][1] - one["interval"][0] for one in part] / np.array([one["rows"] for one in part])
        )
        rows.append([noise, f"{ours:.2f}", f"{theirs:.2f}", f"{holds:.0%}", f"{width:.0%}"])
    return rows


def reliability(sets: list[dict[str, Any]]) -> str:
    """A column for each kind of data: real ones, of which people would say what is what, and made ones that overlap."""
    real = ("wine", "breast cancer", "iris", "digits")
    kinds = [
        ("digits, wine, iris, breast cancer", [one for one in sets if one["data"] in real]),
        ("made to overlap", [one for one in sets if one["data"] not in real]),
    ]
    sums = [np.sum([one["bins"] for one in part], axis=0) for _words, part in kinds if part]
    rows = []
    for i in range(len(sums[0])):
        cells = []
        for rows_in, probability, wrong in (part[i] for part in sums):
            cells += [f"{probability / rows_in:.2f}", f"{wrong / rows_in:.2f}"] if rows_in else ["", ""]
        rows.append([f"{i / 10:.1f} … {(i + 1) / 10:.1f}", *cells])
    columns = [word for words, part in kinds if part for word in (f"said, {words}", "wrong")]
    return table(["probability", *columns], rows)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(columns)} |", f"|---|{'---:|' * (len(columns) - 1)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    path = FOLDER / "ranking.md"
    before, _begin, rest = path.read_text("utf-8").partition(BEGIN)
    _old, _end, after = rest.partition(END)
    found = json.loads((FOLDER / "ranking.json").read_text("utf-8"))
    path.write_text(f"{before}{BEGIN}\n\n{tables(found)}\n\n{END}{after}", "utf-8")


if __name__ == "__main__":
    main()
