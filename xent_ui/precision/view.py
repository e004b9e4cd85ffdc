"""The page Precision: one problem in four dtypes, what each loses, and how that grows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache, lru_cache

import pandas as pd
import streamlit as st
import torch

from xent_core import Problem
from xent_core.distance import largest, largest_finite
from xent_core.precision import (
    LOG_OF_SOFTMAX,
    MEAN_IN_FLOAT32,
    PRECISION_PRESETS,
    ErrorLine,
    InDtype,
    Rounded,
    in_every_dtype,
    row_sweep,
    scale_sweep,
    ulp,
)
from xent_ui.figures import heatmap, theme
from xent_ui.precision.figures import Curve, error_curves
from xent_ui.precision.state import PROBLEM, QUANTITY, YOUR_BATCH
from xent_ui.server.run_lock import RUN_LOCK
from xent_ui.state.sheet import MAX_CLASSES, MAX_ROWS, Sheet, number_text
from xent_ui.table.options import decimals
from xent_ui.text import MINUS, _, latex, number, power_of_ten, short, short_names, size_words
from xent_ui.widgets.matrices import CHART_CONFIG
from xent_ui.widgets.number_tables import text_table
from xent_ui.widgets.segments import segmented_choice

MAX_DECIMALS = 10
Runs = dict[str, InDtype]


def preset_chooser() -> str:
    """Your own batch, or a problem that one dtype cannot hold."""
    titles = {
        YOUR_BATCH: _("Your batch"),
        **{name: _(preset.title) for name, preset in PRECISION_PRESETS.items()},
    }
    return segmented_choice(_("Numbers"), titles, PROBLEM, wrap=True)


def runs_of(choice: str, sheet: Sheet) -> Runs:
    """The chosen problem in every dtype; your own batch as typed, before any dtype has rounded it."""
    return _preset_runs(choice) if choice in PRECISION_PRESETS else in_every_dtype(problem_of(choice, sheet))


def problem_of(choice: str, sheet: Sheet) -> Problem:
    """The chosen problem in float64."""
    if choice in PRECISION_PRESETS:
        return PRECISION_PRESETS[choice].problem
    return replace(sheet, dtype="float64").to_problem()


@cache
def _preset_runs(name: str) -> Runs:
    return in_every_dtype(PRECISION_PRESETS[name].problem)


def table(runs: Runs) -> None:
    """Loss, gradient and what became of them, a column for each dtype."""
    reduction = runs["float64"].evaluation.problem.reduction
    rows: dict[str, Callable[[InDtype], str]] = {
        _("loss") if reduction != "none" else _("sum of the row losses"): lambda run: _loss(run.loss),
        _("loss: error"): lambda run: _error(run, run.loss.largest_error),
        _("loss: error in ulp"): lambda run: _error(run, run.loss.largest_ulps, in_ulps=True),
        _("one ulp of the loss"): lambda run: size_words(largest(ulp(run.loss.exact, run.dtype))),
        _("loss by log(softmax)"): lambda run: _loss(run.by_log_of_softmax),
        _("gradient: error"): lambda run: _error(run, run.grad_logits.largest_error),
        _("gradient: error in ulp"): lambda run: _error(run, run.grad_logits.largest_ulps, in_ulps=True),
        _("gradient by log(softmax): error"): lambda run: size_words(run.grad_by_log_of_softmax.largest_error),
        _("gradient: largest row sum"): lambda run: size_words(largest(run.grad_row_sums.abs())),
        _("probabilities: cells that became 0"): lambda run: _count(run.probs.became_zero),
        _("gradient: cells that became 0"): lambda run: _count(run.grad_logits.became_zero),
        _("gradient: cells that became NaN or inf"): lambda run: _count(run.grad_logits.became_infinite),
        _("eps, the step above 1"): lambda run: power_of_ten(torch.finfo(run.dtype).eps),
        _("largest number"): lambda run: power_of_ten(torch.finfo(run.dtype).max),
    }
    columns = {name: [words(run) for words in rows.values()] for name, run in runs.items()}
    text_table(list(rows), columns, label=_("Loss and gradient in each dtype"))


def _loss(loss: Rounded) -> str:
    return _digits(float(loss.values.sum()))


def _digits(value: float) -> str:
    """A number with four digits that are not leading zeros, so that the dtypes can be told apart."""
    return number(value, _decimals_for(abs(value))) if not 0 < abs(value) < 1e-6 else f"{value:.3e}".replace("-", MINUS)


def _decimals_for(size: float) -> int:
    """The decimals that numbers of this size need."""
    leading_zeros = -math.floor(math.log10(size)) - 1 if 0 < size < 0.1 else 0
    return min(decimals() + leading_zeros, MAX_DECIMALS)


def _error(run: InDtype, error: float, *, in_ulps: bool = False) -> str:
    if run.dtype == torch.float64:
        return "–"
    if in_ulps:
        return short(error, 1) if error < 1e4 else power_of_ten(error)
    return size_words(error)


def _count(cells: torch.Tensor) -> str:
    count = int(cells.sum())
    return f"{count} / {cells.numel()}" if count else "0"


def findings(runs: Runs) -> None:
    """What each dtype loses here, in a sentence each."""
    lines = [line for run in runs.values() for line in _losses(run)] + _failures(runs)
    worst = max(runs.values(), key=lambda run: run.loss.largest_error)
    if not bool(runs["float64"].loss.exact.isfinite().all()):
        lines.insert(0, _("The loss is not finite, not even in float64. The page Doctor says why."))
    if not lines:
        error = worst.loss.largest_error
        words = _("The largest error of the loss is {error}, in {dtype}.") if error else _("None rounds the loss.")
        words = words.format(error=size_words(error), dtype=worst.name)
        st.success(f"{_('Every dtype holds here.')} {words}", icon=":material/check_circle:")
    else:
        st.warning("  \n".join(lines), icon=":material/warning:")


def _losses(run: InDtype) -> list[str]:
    """What became infinite or zero in one dtype by the route of F.cross_entropy."""
    lines = []
    problem = run.exact.problem
    if bool(run.loss.became_infinite.any()):
        total, limit = float(run.exact.row_loss.sum()), torch.finfo(run.dtype).max
        if problem.reduction == "mean" and limit < total < math.inf:
            lines.append(
                _(
                    "{dtype}: mean adds up {rows} row losses before it divides. Their sum is {total}, "
                    "and {dtype} ends at {limit}: {loss}. Cast the logits to float32 first."
                ).format(
                    dtype=run.name,
                    rows=problem.num_rows,
                    total=short(total, 0),
                    limit=short(limit, 0),
                    loss=_loss(run.loss),
                )
            )
        else:
            lines.append(
                _("{dtype}: the loss is {loss}, in float64 {exact}.").format(
                    dtype=run.name, loss=_loss(run.loss), exact=_digits(float(run.exact.loss.sum()))
                )
            )
    # what float32 would round to 0 as well is too small to matter
    lost = run.grad_logits.became_zero & (run.exact.grad_logits.abs() > torch.finfo(torch.float32).tiny)
    if bool(lost.any()):
        largest = int(run.exact.grad_logits.abs().masked_fill(~lost, 0.0).argmax())
        grad, exact_prob = (values.flatten()[largest] for values in (run.exact.grad_logits, run.exact.probs))
        prob = run.evaluation.probs.flatten()[largest]
        line = _("{dtype}: cells of the gradient that became 0: {count}, the largest {grad}.").format(
            dtype=run.name, count=int(lost.sum()), grad=_digits(float(grad))
        )
        exact, rounded = _probability(float(exact_prob)), _probability(float(prob))
        if exact != rounded:
            line += " " + _("Its p is {exact}, rounded to {prob}.").format(exact=exact, prob=rounded)
        lines.append(line)
    return lines


def _probability(value: float) -> str:
    """A probability by how far it is from the nearer end: "1 − 3.1e−14"."""
    return f"1 {MINUS} {_digits(1 - value)}" if 0.5 < value < 1 else short(value)


def _failures(runs: Runs) -> list[str]:
    """Where only the route through log of softmax fails."""
    names = [
        name
        for name, run in runs.items()
        if bool((run.by_log_of_softmax.became_infinite & ~run.loss.became_infinite).any())
    ]
    if not names:
        return []
    values = ", ".join(dict.fromkeys(_loss(runs[name].by_log_of_softmax) for name in names))
    return [
        _("log(softmax) gives {values} in {dtypes}, where log_softmax gives {loss}.").format(
            values=values, dtypes=", ".join(names), loss=_loss(runs[names[0]].loss)
        )
    ]


def ulp_formula(runs: Runs) -> None:
    """What an ulp is, with the numbers of this loss."""
    st.caption(_("An ulp, a unit in the last place, is the gap between a number and the next that its dtype can hold:"))
    exact = float(runs["float64"].loss.exact.sum())
    if not math.isfinite(exact) or exact == 0:
        st.latex(r"\mathrm{ulp}(x) = 2^{\lfloor \log_2 |x| \rfloor}\, \mathrm{eps}")
        return
    size = latex(abs(exact), _decimals_for(abs(exact)))
    exponent = math.floor(math.log2(abs(exact)))
    eps = r"\, \mathrm{eps}"
    st.latex(rf"\mathrm{{ulp}}({size}) = 2^{{\lfloor \log_2 {size} \rfloor}}{eps} = 2^{{{exponent}}}{eps}")


def is_shown_as_matrix(problem: Problem) -> bool:
    """Whether its cells are few enough to be drawn."""
    return problem.num_rows <= MAX_ROWS and problem.num_classes <= MAX_CLASSES


def matrices(runs: Runs, choice: str, sheet: Sheet) -> None:
    """The error of every cell, a matrix for each dtype below float64."""
    titles = {
        "error": _("gradient error"),
        "ulps": _("gradient error in ulp"),
        "gradient": _("gradient"),
        "probability": _("probabilities"),
    }
    quantity = segmented_choice(_("Matrix"), titles, QUANTITY)
    problem = runs["float64"].evaluation.problem
    if choice == YOUR_BATCH:
        rows, classes = short_names(sheet.row_names), short_names(sheet.class_names)
    else:
        rows, classes = list(map(str, range(problem.num_rows))), list(map(str, range(problem.num_classes)))
    below = [run for name, run in runs.items() if name != "float64" or quantity in ("gradient", "probability")]
    digits = (
        _decimals_for(largest_finite(runs["float64"].evaluation.grad_logits)) if quantity == "gradient" else decimals()
    )
    columns = st.columns(len(below)) if problem.num_classes <= 5 else st.columns(1) * len(below)
    for column, run in zip(columns, below, strict=True):
        values, scale, bound = _matrix_of(run, quantity)
        figure = heatmap.matrix(values, scale, row_names=rows, class_names=classes, bound=bound, decimals=digits)
        with column:
            st.markdown(f"**{run.name}**")
            st.plotly_chart(
                figure, key=f"precision_{run.name}", config=CHART_CONFIG, alt=f"{titles[quantity]}, {run.name}"
            )


def _matrix_of(run: InDtype, quantity: str) -> tuple[torch.Tensor, theme.Scale, float]:
    if quantity == "probability":
        return run.evaluation.probs, theme.PROBABILITY, 1.0
    if quantity == "gradient":
        return run.evaluation.grad_logits, theme.GRADIENT, run.exact.gradient_bound
    signed = run.grad_logits.signed_error
    values = signed if quantity == "error" else run.grad_logits.ulps * signed.sign()
    return values, theme.GRADIENT, largest_finite(values) if values.numel() else 1.0


def curves(choice: str, sheet: Sheet) -> None:
    """How the errors grow with the size of the logits; for the mean that overflows, with the number of rows."""
    loss, gradient = _("error of the loss"), _("error of the gradient")
    if choice in PRECISION_PRESETS and not is_shown_as_matrix(PRECISION_PRESETS[choice].problem):
        st.markdown(f"## {_('Error of the mean, by the number of rows')}")
        st.caption(
            _("The first row repeated. Solid: reduction='mean'. Dotted: reduction='none', then .float().mean().")
        )
        lines = _preset_row_sweep(choice)
        _chart(_curves(lines, [line.loss_errors for line in lines]), "loss", _("rows"), loss)
        return
    st.markdown(f"## {_('Errors, by the size of the logits')}")
    st.caption(
        _("All logits times a factor. Solid: log_softmax. Dotted: log(softmax). Crosses on top: NaN or infinity.")
    )
    lines = _scale_sweep(problem_of(choice, sheet))
    RUN_LOCK.pause_for_others()
    left, right = st.columns(2)
    with left:
        _chart(_curves(lines, [line.loss_errors for line in lines]), "loss", _("logits ×"), loss)
    with right:
        _chart(_curves(lines, [line.grad_errors for line in lines]), "gradient", _("logits ×"), gradient)


@lru_cache(maxsize=16)
def _scale_sweep(problem: Problem) -> list[ErrorLine]:
    """Remembered, since it takes longer than the rest of the page and only another table changes it."""
    return scale_sweep(problem)


@cache
def _preset_row_sweep(name: str) -> list[ErrorLine]:
    return row_sweep(PRECISION_PRESETS[name].problem)


def _curves(lines: list[ErrorLine], errors: list[tuple[float, ...]]) -> list[Curve]:
    return [
        Curve(
            name=f"{line.dtype}, {_(line.route)}",
            dtype=line.dtype,
            dash=int(line.route in (LOG_OF_SOFTMAX, MEAN_IN_FLOAT32)),
            x=line.x,
            y=y,
        )
        for line, y in zip(lines, errors, strict=True)
    ]


def _chart(lines: list[Curve], name: str, x_title: str, y_title: str) -> None:
    """The curves, and their numbers as a table that is made when it is opened."""
    figure = error_curves(lines, zero="0", broken=_("NaN, inf"))
    RUN_LOCK.pause_for_others()
    title = _("{y}, by {x}").format(x=x_title, y=y_title)
    st.markdown(f"**{title}**")
    st.plotly_chart(figure, key=f"sweep_{name}", config=CHART_CONFIG, alt=title)
    opened = st.expander(_("The numbers, as a table"), key=f"sweep_{name}_table", on_change="rerun")
    if opened.open:
        texts = {curve.name: [number_text(error) for error in curve.y] for curve in lines}
        table = pd.DataFrame({x_title: [short(x) for x in lines[0].x], **texts})
        opened.dataframe(table, hide_index=True, alt=title)
