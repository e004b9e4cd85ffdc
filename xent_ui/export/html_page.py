"""The whole screen as one HTML file that opens without a server and sends no request."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from html import escape

from torch import Tensor

from xent_core import Evaluation
from xent_core.codec import to_script
from xent_ui.export import figures
from xent_ui.figures import theme
from xent_ui.figures.heatmap import Cell
from xent_ui.server.run_lock import RUN_LOCK
from xent_ui.state.sheet import Sheet, number_text
from xent_ui.text import _, number
from xent_ui.widgets import formulas
from xent_ui.widgets.matrices import target_cells

STYLE = f"""
:root {{ color-scheme: light; }}
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 68rem; padding: 0 1rem;
  color: {theme.PAGE_INK}; }}
h1 {{ font-size: 1.5rem; }} h2 {{ font-size: 1.1rem; margin-top: 2rem; }}
.loss {{ font-size: 2.2rem; }} .side {{ display: flex; flex-wrap: wrap; gap: 1.5rem; }}
.wide {{ overflow-x: auto; }} .picture {{ min-width: 20rem; flex: 1; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ border: 1px solid {theme.PAGE_LINE}; padding: .2rem .6rem; text-align: right; white-space: nowrap; }}
th {{ background: {theme.PAGE_SHADE}; font-weight: 600; }}
td.target {{ outline: 2px solid {theme.OUTLINE}; outline-offset: -2px; }}
pre {{ background: {theme.PAGE_SHADE}; padding: 1rem; overflow-x: auto; }} a {{ overflow-wrap: anywhere; }}
"""
# the figures are drawn from the texts of elements, which no script runs
DRAW = """
for (const element of document.querySelectorAll(".figure")) {
  const {data, layout} = JSON.parse(element.nextElementSibling.textContent);
  const save = format => ({
    name: format, title: format.toUpperCase(), icon: Plotly.Icons.camera,
    click: plot => Plotly.downloadImage(plot, {format, filename: element.id, scale: 3}),
  });
  Plotly.newPlot(element, data, layout, {
    responsive: true, displaylogo: false, displayModeBar: true, modeBarButtons: [[save("png"), save("svg")]],
  });
}
"""


def html_page(evaluation: Evaluation, sheet: Sheet, *, link: str = "", decimals: int = 4) -> str:
    """Loss, options, matrices as tables and as pictures with hover, the program, and the link back.

    A policy in the file allows only its own two scripts, and no request.

    Args:
      evaluation: of the sheet's Problem.
      link: the address that opens the same table; left out if there is none.
    """
    problem = evaluation.problem
    library = figures.plotly_library()
    policy = (
        f"default-src 'none'; script-src {_digest(library)} {_digest(DRAW)}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    title = _("Cross-entropy of a batch")
    rows, classes = list(sheet.row_names), list(sheet.class_names)
    labels = {cell for cell, _share in target_cells(evaluation)}
    matrices = [
        (_("logits"), problem.logits),
        (_("probabilities"), evaluation.probs),
        (_("gradient"), evaluation.grad_logits),
        (_("log-probabilities"), evaluation.log_probs),
        (_("effective target v"), evaluation.effective_target),
    ]
    loss = float(evaluation.loss.sum())
    name = _("sum of the row losses (nats)") if problem.reduction == "none" else _("loss (nats)")
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p>{escape(name)}<br><span class="loss" title="{number_text(loss)}">{number(loss, decimals)}</span></p>',
        f"<p>{escape(formulas.denominator_help(evaluation))}</p>",
        _options(sheet),
        '<div class="side">',
        _figure("probabilities", "probability", evaluation, sheet, decimals),
        _figure("gradient", "gradient", evaluation, sheet, decimals),
        "</div>",
        _table(_("row losses"), rows, [_("loss")], evaluation.row_loss.unsqueeze(1), decimals),
        *(_table(heading, rows, classes, values, decimals, labels) for heading, values in matrices),
        f"<h2>{escape(_('The same in PyTorch'))}</h2><pre>{escape(to_script(problem))}</pre>",
    ]
    if link:
        parts.append(f'<h2>{escape(_("Open it again"))}</h2><p><a href="{escape(link)}">{escape(link)}</a></p>')
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width"><meta name="referrer" content="no-referrer">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>\n"
        + "\n".join(parts)
        + f"\n<script>{library}</script>\n<script>{DRAW}</script>\n</body></html>\n"
    )


@cache
def _digest(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _options(sheet: Sheet) -> str:
    options = {
        "reduction": sheet.reduction,
        "target": sheet.target_kind,
        "label_smoothing": number_text(sheet.label_smoothing),
        "temperature": number_text(sheet.temperature),
        "ignore_index": str(sheet.ignore_index),
        "weight": "None" if sheet.weight is None else ", ".join(sheet.weight),
        "dtype": sheet.dtype,
    }
    heads = "".join(f"<th>{escape(name)}</th>" for name in options)
    cells = "".join(f"<td>{escape(value)}</td>" for value in options.values())
    return f'<div class="wide"><table id="options"><tr>{heads}</tr><tr>{cells}</tr></table></div>'


def _figure(key: str, quantity: str, evaluation: Evaluation, sheet: Sheet, decimals: int) -> str:
    figure = figures.picture(
        evaluation,
        sheet,
        quantity,
        outlines=target_cells(evaluation),
        hover=formulas.hover_texts(evaluation, sheet, quantity, decimals),
        decimals=decimals,
    )
    RUN_LOCK.pause_for_others()
    # in an element that no script runs, so < is the only character that could end it
    spec = figure.to_json().replace("<", "\\u003c")
    return (
        f'<div class="picture"><div class="figure" id="{key}"></div>'
        f'<script type="application/json">{spec}</script></div>'
    )


def _table(
    heading: str,
    rows: Sequence[str],
    columns: Sequence[str],
    values: Tensor,
    decimals: int,
    outlined: set[Cell] | None = None,
) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    lines = []
    for i, (name, row) in enumerate(zip(rows, values.tolist(), strict=True)):
        RUN_LOCK.pause_for_others()
        cells = "".join(
            f'<td{_mark(outlined, i, c)} title="{number_text(value, values.dtype)}">{number(value, decimals)}</td>'
            for c, value in enumerate(row)
        )
        lines.append(f"<tr><th>{escape(name)}</th>{cells}</tr>")
    return f'<h2>{escape(heading)}</h2><div class="wide"><table><tr><th></th>{head}</tr>{"".join(lines)}</table></div>'


def _mark(outlined: set[Cell] | None, row: int, label: int) -> str:
    return ' class="target"' if outlined and Cell(row, label) in outlined else ""
