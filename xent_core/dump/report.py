"""The report: a DumpSummary as one HTML file with tables and drawings, without scripts and without anything fetched."""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Iterable, Sequence

import numpy as np

from xent_core.dump.calibration_words import (
    brier_parts,
    calibration_error_name,
    calibration_verdict,
    main_calibration_numbers,
    value_of,
    why_calibration_errors_differ,
)
from xent_core.dump.epochs import Epochs
from xent_core.dump.examples import shown_text
from xent_core.dump.leading import leading_pairs
from xent_core.dump.summary import QUANTILES, DumpSummary
from xent_core.dump.temperature import HIGHEST, LOWEST
from xent_core.language import _
from xent_core.outputs import GENERATOR

SHOWN_SUSPECTS = 100
SHOWN_PAIRS = 40
SHOWN_CLASSES = 200
MATRIX_CLASSES = 40
MAP_CELLS = 40

_STYLE = """
:root { color-scheme: light dark; --line: #8886; --bar: #2a6f97; --other: #b35900; }
@media (prefers-color-scheme: dark) { :root { --bar: #61a5c2; --other: #e09f5a; } }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; padding: 0 1rem; max-width: 62rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding: .3rem 0; }
th, td { padding: .15rem .6rem; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child { text-align: left; }
th.words, td.words { text-align: left; }
td.words div { width: max-content; max-width: min(20rem, 60vw); max-height: 6lh; overflow: auto; }
td img { display: block; max-height: 4.5rem; max-width: 6rem; }
.scroll { overflow-x: auto; }
.matrix td { min-width: 2.6rem; padding: .15rem .3rem; border: 1px solid var(--line); font-size: .75rem; }
svg { max-width: 100%; height: auto; } svg text { fill: currentColor; font-size: 12px; }
rect { fill: var(--bar); } polyline { fill: none; stroke: var(--bar); stroke-width: 2; }
.even { stroke: currentColor; stroke-dasharray: 4 4; stroke-width: 1; } circle { fill: var(--other); }
rect.frame { fill: none; stroke: var(--line); }
.numbers { display: flex; flex-wrap: wrap; gap: .8rem 2rem; } .numbers b { display: block; font-size: 1.4rem; }
"""


def report_html(summary: DumpSummary, *, title: str) -> str:
    """The whole report; every name in it is escaped."""
    parts = [
        _numbers(summary),
        _budget(summary),
        _histogram(summary, "loss"),
        _histogram(summary, "grad_norm"),
        _calibration(summary),
        _classes(summary),
        _pairs(summary),
        _matrix(summary),
        _noise(summary),
        _epochs(summary),
        _suspects(summary),
    ]
    partial = ""
    if not summary.complete:
        partial = _tag(
            "p",
            _("Stopped early: the first {rows} of {total} rows.").format(rows=summary.rows, total=summary.total_rows),
        )
    elif summary.stopped is not None:
        partial = _tag("p", _("Stopped early: the best temperature is missing, all else is of every row."))
    head = (
        '<!doctype html><html><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<meta name="generator" content="{GENERATOR}">{_tag("title", title)}<style>{_STYLE}</style></head><body>'
    )
    return head + _tag("h1", title) + partial + "".join(parts) + "</body></html>\n"


def _numbers(summary: DumpSummary) -> str:
    entries = [
        (_("rows"), f"{summary.rows}"),
        (_("kept"), f"{summary.kept}"),
        (_("classes"), f"{summary.classes}"),
        (_("loss"), _number(summary.loss)),
        (_("accuracy"), f"{summary.accuracy:.2%}"),
        (_("calibration error"), _number(summary.expected_calibration_error)),
        *(() if summary.calibration.brier is None else ((_("Brier score"), _number(summary.calibration.brier.score)),)),
        (_("rows without a finite gradient"), f"{summary.nonfinite}"),
    ]
    wrong = summary.wrong_labels
    if wrong is not None:
        entries.append((_("wrong labels, estimated"), f"{wrong.low:.0f} … {wrong.high:.0f}"))
    if summary.best:
        entries.append((_("best temperature"), _number(summary.best_temperature) + end_of_search(summary)))
        entries.append((_("loss lower by"), _number(summary.temperature_gain)))
    body = "".join(f"<div>{html.escape(name)}<b>{html.escape(value)}</b></div>" for name, value in entries)
    return f'<div class="numbers">{body}</div>'


def end_of_search(summary: DumpSummary) -> str:
    """What follows the best temperature where it is only the end of what was searched; else empty."""
    if summary.best is None or not summary.best.at_bound:
        return ""
    return _(" (the end of the search, {low:g} to {high:g}: the loss still falls there)").format(
        low=LOWEST, high=HIGHEST
    )


def _budget(summary: DumpSummary) -> str:
    curve = summary.lorenz
    points = " ".join(
        f"{200 * x + 30:.1f},{210 - 200 * y:.1f}"
        for x, y in zip(*_thinned(curve.examples, curve.gradient), strict=True)
    )
    shares = [(f"{share:.1%}", f"{curve.carried_by(share):.1%}") for share in (0.001, 0.01, 0.05, 0.1, 0.25, 0.5)]
    sentence = _("The largest 1 % of the examples carry {share:.1%} of the gradient.").format(
        share=curve.carried_by(0.01)
    )
    drawing = (
        f'<svg viewBox="0 0 240 235" width="320" role="img" aria-label="{html.escape(sentence)}">'
        f'<polyline class="even" points="30,210 230,10"/><polyline points="{points}"/>'
        f'<text x="30" y="228">{html.escape(_("share of the examples, largest first"))}</text></svg>'
    )
    return (
        _tag("h2", _("Gradient budget"))
        + _tag("p", sentence)
        + _tag("p", _("A large norm means a hard example or a wrong label. Use logits of examples held out."))
        + drawing
        + _table([_("examples"), _("share of the gradient")], shares)
    )


def _histogram(summary: DumpSummary, name: str) -> str:
    title = {"loss": _("Loss of the rows"), "grad_norm": _("Gradient norm of the rows")}[name]
    histogram = {"loss": summary.loss_histogram, "grad_norm": summary.grad_norm_histogram}[name]
    edges, counts = histogram.coarser(40)
    tallest = max(int(counts.max()), 1)
    bars = "".join(
        f'<rect x="{12 * i}" y="{100 - 100 * count / tallest:.1f}" width="11" height="{100 * count / tallest:.1f}">'
        f"<title>{_number(edges[i])} … {_number(edges[i + 1])}: {count}</title></rect>"
        for i, count in enumerate(counts.tolist())
    )
    drawing = (
        f'<svg viewBox="0 0 {12 * len(counts)} 120" width="600" role="img" aria-label="{html.escape(title)}">{bars}'
        f'<text x="0" y="116">{_number(edges[0])}</text>'
        f'<text x="{12 * len(counts)}" y="116" text-anchor="end">{_number(edges[-1])}</text></svg>'
    )
    quantiles = [(f"{share:.1%}", _number(histogram.quantile(share))) for share in QUANTILES]
    return _tag("h2", title) + drawing + _table([_("share of the rows"), _("at most")], quantiles)


def _calibration(summary: DumpSummary) -> str:
    reliability = summary.calibration.reliability
    marks, rows = [], []
    for i, count in enumerate(reliability.counts.tolist()):
        low, high = reliability.edges[i], reliability.edges[i + 1]
        confidence, accuracy = reliability.confidence[i], reliability.accuracy[i]
        if count:
            x, ends = f"{30 + 200 * confidence:.1f}", (reliability.low[i], reliability.high[i])
            upright = " ".join(f"{x},{210 - 200 * end:.1f}" for end in ends)
            marks.append(f'<polyline points="{upright}"/>')
            marks.append(f'<circle cx="{30 + 200 * confidence:.1f}" cy="{210 - 200 * accuracy:.1f}" r="4"/>')
            between = " … ".join(_number(end) for end in ends)
            rows.append((f"{low:.2f} … {high:.2f}", f"{count}", _number(confidence), _number(accuracy), between))
    drawing = (
        f'<svg viewBox="0 0 240 235" width="320" role="img" aria-label="{html.escape(_("reliability diagram"))}">'
        f'<polyline class="even" points="30,210 230,10"/>{"".join(marks)}'
        f'<text x="30" y="228">{html.escape(_("confidence; accuracy upwards"))}</text></svg>'
    )
    return (
        _tag("h2", _("Calibration"))
        + f"<p><b>{html.escape(calibration_verdict(summary))}</b></p>"
        + _table(["", _("value"), _("9 times in 10 within")], main_calibration_numbers(summary))
        + drawing
        + _table([_("confidence"), _("rows"), _("mean confidence"), _("accuracy"), _("9 times in 10 within")], rows)
        + _table(
            [_("calibration error"), _("value"), _("9 times in 10 within")],
            [
                (calibration_error_name(error), value_of(error), f"{_number(error.low)} … {_number(error.high)}")
                for error in summary.calibration.errors
            ],
        )
        + _tag("p", why_calibration_errors_differ(summary))
        + _table([_("Brier score and its parts"), ""], [(name, _number(value)) for name, value in brier_parts(summary)])
    )


def _classes(summary: DumpSummary) -> str:
    order = np.argsort(-np.nan_to_num(summary.class_share), kind="stable")[:SHOWN_CLASSES]
    rows = [
        (
            summary.name_of(int(c)),
            f"{summary.support[c]}",
            f"{summary.correct[c]}",
            f"{summary.predicted[c]}",
            _number(summary.class_loss[c]),
            f"{summary.class_share[c]:.2%}",
            _number(summary.net_push[c]),
        )
        for c in order
    ]
    columns = [_("class"), _("rows"), _("right"), _("predicted"), _("mean loss"), _("gradient share"), _("net push")]
    return _tag("h2", _("Classes")) + _table(columns, rows, caption=_counted(len(rows), summary.classes))


def _pairs(summary: DumpSummary) -> str:
    rows = [
        (pair["label"], pair["prediction"], f"{pair['rows']}", f"{pair['gradient_share']:.2%}")
        for pair in leading_pairs(summary, SHOWN_PAIRS)
    ]
    columns = [_("label"), _("prediction"), _("rows"), _("gradient share")]
    return _tag("h2", _("Pairs of classes")) + _table(columns, rows)


def _matrix(summary: DumpSummary) -> str:
    """The mean gradient as a coloured table, for as many classes as one can look at."""
    values = summary.mean_gradient
    if len(values) > MATRIX_CLASSES:
        return ""
    largest = float(np.nanmax(np.abs(values), initial=0.0)) or 1.0
    names = [html.escape(summary.name_of_group(i)) for i in range(len(values))]
    head = "".join(f"<th>{name}</th>" for name in names)
    body = "".join(
        f"<tr><th>{names[i]}</th>" + "".join(_cell(value, largest) for value in row) + "</tr>"
        for i, row in enumerate(values.tolist())
    )
    title = _tag("h2", _("Mean gradient: examples of a class (rows) on each logit (columns)"))
    return f'{title}<div class="scroll"><table class="matrix"><tr><th></th>{head}</tr>{body}</table></div>'


def _noise(summary: DumpSummary) -> str:
    """How often each class is labelled as another, as tables, for as many classes as one can look at."""
    if not 2 <= summary.classes <= MATRIX_CLASSES:
        return ""
    parts = [
        _tag("h3", title) + _tag("p", words) + _noise_table(matrix, summary)
        for title, words, matrix in noise_matrices(summary)
    ]
    return _tag("h2", _("Estimated label noise")) + _tag("p", noise_matrix_axes()) + "".join(parts) if parts else ""


def _noise_table(matrix: np.ndarray, summary: DumpSummary) -> str:
    names = [summary.name_of(c) for c in range(len(matrix))]
    rows = [(name, *(f"{100 * share:.1f}" for share in row)) for name, row in zip(names, matrix.tolist(), strict=True)]
    return _table(["", *names], rows)


def noise_matrix_axes() -> str:
    """What the rows and columns of a noise matrix are."""
    return _("Row: the class that examples seem to be. Column: the label they have, in percent of the row.")


def noise_matrices(summary: DumpSummary) -> list[tuple[str, str, np.ndarray]]:
    """The noise matrices that are known: whose it is, how it is counted in a line, and the matrix."""
    found = [
        (
            _("Ours"),
            _("Counts another label only in the half of the rows that looks least like it: overlap hardly counts."),
            summary.noise_matrix,
        ),
        (
            "cleanlab",
            _("Counts every row as sure of a class as rows labelled so are on average: overlap counts as noise."),
            summary.cleanlab_noise_matrix,
        ),
    ]
    return [(title, words, matrix) for title, words, matrix in found if matrix is not None]


def _cell(value: float, largest: float) -> str:
    strength = 0 if np.isnan(value) else round(60 * abs(value) / largest)
    colour = "var(--other)" if value > 0 else "var(--bar)"
    style = f"background: color-mix(in srgb, {colour} {strength}%, transparent)"
    return f'<td style="{style}">{_number(value)}</td>'


def not_looked_for() -> str:
    """Why nothing is said of wrong labels, and how to get it."""
    return _(
        "Wrong labels were not looked for, since that reads a dump of more than 4 million logits once more: "
        '--rank-by suspicion (in Python rank_by="suspicion") asks for it.'
    )


def wrong_labels_words(summary: DumpSummary) -> str:
    """How many labels are wrong as far as one can tell, and how far that is; or why nothing is said."""
    if not summary.looked_for_wrong_labels:
        return not_looked_for()
    wrong = summary.wrong_labels
    if wrong is None:
        return _("How many labels are wrong cannot be told: there are too few rows, or the model is wrong in most.")
    words = _(
        "Wrong labels, estimated: about {expected:.0f} of {rows}, from {low:.0f} to {high:.0f}. Honest doubt is "
        "counted too: where classes overlap, no label need be wrong. The range is wide, for the two look alike: it "
        "held the true number in all of 56 test sets with wrong labels, and 86 times in 100 where no label was wrong. "
        "Of labels said to be wrong with 90 % or more, 94 % were; of those said so with 30 to 80 %, more were than it "
        "says."
    ).format(expected=wrong.expected, rows=summary.kept, low=wrong.low, high=wrong.high)
    if summary.epochs is None:
        return words
    return words + _(
        " If these are rows that the model has learnt from, the number is too low, often by more than half: it learns "
        "wrong labels too. The order is still good."
    )


def epoch_columns() -> dict[str, str]:
    """What the columns of several epochs are called, by the names of EPOCH_FIELDS."""
    return {
        "aum": "AUM",
        "forgetting": _("forgotten, times"),
        "confidence": _("confidence over epochs"),
        "variability": _("variability"),
        "correctness": _("share of epochs right"),
    }


def epoch_lines(epochs: Epochs) -> list[tuple[str, str]]:
    """How the rows were learnt, as names and values."""
    counts = _("{never} never learnt, {forgotten} learnt and forgotten, {stayed} learnt for good").format(
        never=epochs.never_learnt, forgotten=epochs.forgotten, stayed=epochs.never_forgotten
    )
    middle = {name: _number(epochs.quantile(name, 0.5)) for name in ("aum", "confidence", "variability")}
    medians = _("AUM {aum}, confidence {confidence}, variability {variability}").format(**middle)
    return [(_("rows over {count} epochs").format(count=len(epochs.names)), counts), (_("medians of these"), medians)]


def _epochs(summary: DumpSummary) -> str:
    epochs = summary.epochs
    if epochs is None:
        return ""
    known = ~np.isnan(epochs.confidence)
    counts, _across, _up = np.histogram2d(
        epochs.variability[known], epochs.confidence[known], bins=MAP_CELLS, range=[[0, 0.5], [0, 1]]
    )
    tallest = max(float(counts.max()), 1.0)
    size = 200 / MAP_CELLS
    cells = "".join(
        f'<rect x="{30 + size * x:.1f}" y="{210 - size * (y + 1):.1f}" width="{size:.1f}" height="{size:.1f}" '
        f'opacity="{0.15 + 0.85 * math.sqrt(counts[x, y] / tallest):.2f}"><title>{int(counts[x, y])}</title></rect>'
        for x, y in np.argwhere(counts)
    )
    drawing = (
        f'<svg viewBox="0 0 330 235" width="440" role="img" aria-label="{html.escape(_("data map"))}">{cells}'
        f'<rect class="frame" x="30" y="10" width="200" height="200"/>'
        f'<text x="30" y="228">{html.escape(_("variability 0 … 0.5; confidence 0 … 1 upwards"))}</text></svg>'
    )
    words = _(
        "Each row by the mean and the standard deviation of the probability of its label over the epochs: learnt early "
        "on top, hard or wrong labels at the bottom, ambiguous ones to the right."
    )
    return _tag("h2", _("Data map")) + _tag("p", words) + drawing + _table(["", ""], epoch_lines(epochs))


class Words(str):
    """What somebody has written: it may be long, and begins on the left."""


Cell = str | Words | bytes  # bytes are a PNG


def _example_columns(summary: DumpSummary) -> dict[str, dict[int, Cell]]:
    """The columns of the suspects' pictures, names, texts and so on, where there are any: cells by row."""
    shown = summary.shown
    columns: dict[str, dict[int, Cell]] = {}
    if any(example.image or example.problem for example in shown):
        columns[_("picture")] = {example.row: example.image or Words(example.problem) for example in shown}
    if any(example.id != str(example.row) for example in shown):
        columns[_("example")] = {example.row: Words(shown_text(example.id)) for example in shown}
    if any(example.text is not None for example in shown):
        columns[_("text")] = {example.row: Words(example.text or "") for example in shown}
    for name in shown[0].columns if shown else ():
        columns[shown_text(name)] = {example.row: Words(example.columns[name]) for example in shown}
    return columns


def _suspects(summary: DumpSummary) -> str:
    suspects, p_wrong = summary.suspects, summary.suspects.p_wrong
    count = min(len(suspects), SHOWN_SUSPECTS)
    examples = _example_columns(summary)
    of_epochs = {} if suspects.aum is None else epoch_columns()
    rows: list[tuple[Cell, ...]] = [
        (
            f"{i + 1}",
            f"{suspects.row[i]}",
            *(cells.get(int(suspects.row[i]), "") for cells in examples.values()),
            summary.name_of(int(suspects.target[i])),
            summary.name_of(int(suspects.suggested[i])),
            _number(suspects.loss[i]),
            _number(suspects.grad_norm[i]),
            *(() if p_wrong is None else (f"{p_wrong[i]:.2%}",)),
            _number(suspects.margin[i]),
            _number(suspects.prob[i]),
            *(_number(getattr(suspects, name)[i]) for name in of_epochs),
        )
        for i in range(count)
    ]
    columns = [
        *(_("rank"), _("row"), *map(Words, examples), _("label"), _("suggested"), _("loss"), _("gradient norm")),
        *(() if p_wrong is None else (_("label wrong, estimated"),)),
        *(_("margin"), "p"),
        *of_epochs.values(),
    ]
    note = _tag("p", wrong_labels_words(summary))
    return _tag("h2", _("Suspects")) + note + _table(columns, rows, caption=_counted(count, summary.kept))


def _counted(shown: int, total: int) -> str:
    return _("the first {shown} of {total}").format(shown=shown, total=total) if shown < total else ""


def _thinned(x: np.ndarray, y: np.ndarray, points: int = 200) -> tuple[list[float], list[float]]:
    at = np.unique(np.linspace(0, len(x) - 1, points).round().astype(int))
    return x[at].tolist(), y[at].tolist()


def _table(columns: Sequence[str], rows: Iterable[Sequence[Cell]], *, caption: str = "") -> str:
    head = "".join(
        f'<th class="words">{html.escape(column)}</th>' if isinstance(column, Words) else _tag("th", column)
        for column in columns
    )
    body = "".join("<tr>" + "".join(_table_cell(cell) for cell in row) + "</tr>" for row in rows)
    return (
        f'<div class="scroll"><table>{_tag("caption", caption) if caption else ""}<tr>{head}</tr>{body}</table></div>'
    )


def _table_cell(cell: Cell) -> str:
    if isinstance(cell, bytes):
        return f'<td><img alt="" src="data:image/png;base64,{base64.b64encode(cell).decode()}"></td>'
    return f'<td class="words"><div>{html.escape(cell)}</div></td>' if isinstance(cell, Words) else _tag("td", cell)


def _tag(name: str, text: str) -> str:
    return f"<{name}>{html.escape(text)}</{name}>"


def _number(value: float) -> str:
    return f"{float(value):.4g}".replace("-", "−")
