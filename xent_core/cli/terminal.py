"""Text for a terminal: an Evaluation as aligned tables, findings of the doctor as paragraphs, what went wrong."""

from __future__ import annotations

import contextlib
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from xent_core.codec.document import Document
from xent_core.cross_entropy import evaluate
from xent_core.doctor.findings import Finding
from xent_core.language import _, ngettext

MAX_ROWS_SHOWN = 1_000


def program_name() -> str:
    """What the user typed to run this: xent, or python -m xent_core."""
    return "xent" if Path(sys.argv[0]).stem == "xent" else "python -m xent_core"


def complain(words: str) -> None:
    """Says on stderr, if there is one, what went wrong."""
    complain_more(f"{program_name()}: {words}")


def complain_more(line: str) -> None:
    """A further line of the same."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError):  # whoever has closed it does not want to know
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()


def evaluation_text(document: Document) -> str:
    """Logits, target, probabilities, gradient, row losses, loss and denominator; a table each, a row on each line.

    Rows of (N, C, d1, …) are those of the row losses, flattened.
    """
    problem = document.problem
    result = evaluate(problem)
    rows = list(document.row_names) or [str(index) for index in range(problem.num_rows)]
    classes = list(document.class_names) or [str(index) for index in range(problem.num_classes)]

    def matrix(values: Tensor) -> list[list[str]]:
        return [[_number(value) for value in row] for row in _rows_of(values, problem.class_axis).tolist()]

    if problem.has_probabilities:
        target = table(_("target"), classes, rows, matrix(problem.target))
    else:
        labels = problem.target.reshape(-1).tolist()
        kept = problem.kept().reshape(-1).tolist()
        cells = [
            [classes[label] if is_kept else _("{label} (ignored)").format(label=label)]
            for label, is_kept in zip(labels, kept, strict=True)
        ]
        target = table(_("target"), [_("label")], rows, cells)
    row_losses = [[_number(value)] for value in result.row_loss.reshape(-1).tolist()]
    loss = (
        _("one per row, as above") if problem.reduction == "none" and result.loss.dim() else _number(result.loss.item())
    )
    parts = [
        table(_("logits"), classes, rows, matrix(problem.logits)),
        target,
        table(_("probabilities"), classes, rows, matrix(result.probs)),
        table(_("gradient"), classes, rows, matrix(result.grad_logits)),
        table(_("row losses"), [_("loss")], rows, row_losses),
        "\n".join(
            [
                _("loss         {loss}").format(loss=loss),
                _("denominator  {denominator}").format(denominator=_number(result.denominator.item())),
                _("options      {options}").format(options=_options(document)),
            ]
        ),
    ]
    if document.reading:
        parts.insert(0, _("read  {reading}").format(reading=document.reading))
    return "\n\n".join(parts) + "\n"


def findings_text(findings: Sequence[Finding]) -> str:
    """Each finding with its severity, code, title, explanation and fix; one line if there is none."""
    if not findings:
        return _("Nothing found: PyTorch takes it, and nothing looks unintended.")
    severities = {"error": _("error"), "warning": _("warning"), "note": _("note")}
    parts = [
        "\n".join(
            [
                f"{severities[one.severity]} {one.code}: {one.title}",
                *textwrap.wrap(one.explanation, 100, initial_indent="  ", subsequent_indent="  "),
                textwrap.indent(one.fix, "    >>> "),
            ]
        )
        for one in findings
    ]
    return "\n\n".join(parts)


def _options(document: Document) -> str:
    problem = document.problem
    options = [str(problem.logits.dtype).removeprefix("torch."), f"reduction={problem.reduction}"]
    if problem.weight is not None:
        options.append(f"weight=[{', '.join(map(_number, problem.weight.tolist()))}]")
    if problem.ignore_index != -100:
        options.append(f"ignore_index={problem.ignore_index}")
    if problem.smoothing:
        options.append(f"label_smoothing={problem.label_smoothing!r}")
    if problem.temperature != 1:
        options.append(f"temperature={problem.temperature!r}")
    return ", ".join(options)


def _rows_of(values: Tensor, class_axis: int) -> Tensor:
    """(N, C, d1, …) -> (N·d1·…, C)"""
    return values.movedim(class_axis, -1).reshape(-1, values.shape[class_axis])


def _number(value: float) -> str:
    """Four decimals; what is not zero never reads 0.0000."""
    if value == 0 or 5e-5 <= abs(value) < 1e7 or value != value:
        return f"{value:.4f}"
    return f"{value:.1e}" if abs(value) < 5e-5 else f"{value:.4e}"


def table(title: str, columns: Sequence[str], rows: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """A title, the names of the columns, and a line for each row that begins with its name."""
    shown = list(zip(rows, cells, strict=True))[:MAX_ROWS_SHOWN]
    first = max((len(name) for name, _cells in shown), default=0)
    widths = [max([len(column), *(len(row[index]) for _name, row in shown)]) for index, column in enumerate(columns)]
    lines = [title, "  ".join([" " * first, *(c.rjust(w) for c, w in zip(columns, widths, strict=True))])]
    for name, row in shown:
        lines.append("  ".join([name.ljust(first), *(cell.rjust(w) for cell, w in zip(row, widths, strict=True))]))
    if len(rows) > len(shown):
        more = len(rows) - len(shown)
        lines.append(ngettext("… and {count} more row", "… and {count} more rows", more).format(count=more))
    return "\n".join(lines)
