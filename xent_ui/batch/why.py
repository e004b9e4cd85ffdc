"""Why this number? One cell of the batch page's heatmaps: how it is chosen, and the formula with its own numbers."""

from __future__ import annotations

import streamlit as st

from xent_core import Evaluation
from xent_core.cell import CellArithmetic, cell_arithmetic
from xent_ui.batch.fragments import ANSWER, WHY
from xent_ui.batch.state import CLASS, CLICKS, QUANTITY, ROW, SELECTED
from xent_ui.figures.heatmap import Cell
from xent_ui.state import session
from xent_ui.state.rest import run_again
from xent_ui.state.sheet import PROBABILITIES, Sheet
from xent_ui.table.options import decimals
from xent_ui.text import _, markdown_escaped, short
from xent_ui.widgets.formulas import denominator_help, gradient_latex, probability_latex


def selected_cell(evaluation: Evaluation) -> tuple[str, Cell]:
    """The cell that is being asked about: the one chosen, or the largest entry of the gradient."""
    n, c = evaluation.probs.shape
    chosen = session.kept(SELECTED)
    if chosen is not None and chosen[1].row in range(n) and chosen[1].label in range(c):
        return chosen
    largest = int(evaluation.grad_logits.double().nan_to_num(0.0).abs().argmax())
    return "gradient", Cell(largest // c, largest % c)


def select_clicked(quantity: str) -> None:
    """Ask about the cell that was clicked in a matrix."""
    chosen = session.kept(CLICKS[quantity]).get("chosen")
    if not isinstance(chosen, dict):
        return
    row, label = chosen.get("row"), chosen.get("label")
    sheet = session.visit().sheet
    if type(row) is int and type(label) is int and row in range(sheet.num_rows) and label in range(sheet.num_classes):
        cell = Cell(row=row, label=label)
        session.keep(SELECTED, (quantity, cell))
        _fill_boxes(quantity, cell)


def _fill_boxes(quantity: str, cell: Cell) -> None:
    session.keep(QUANTITY, quantity)
    session.keep(ROW, cell.row)
    session.keep(CLASS, cell.label)


def _take_choice() -> None:
    quantity, row, label = session.kept(QUANTITY), session.kept(ROW), session.kept(CLASS)
    if quantity is not None and row is not None and label is not None:
        session.keep(SELECTED, (quantity, Cell(row, label)))
    run_again(ANSWER, WHY)  # the matrices mark the cell


def explanation(evaluation: Evaluation, sheet: Sheet) -> None:
    """Why a cell holds its number: the formula with the cell's own numbers in it."""
    quantity, cell = selected_cell(evaluation)
    _fill_boxes(quantity, cell)
    st.markdown(f"**{_('Why this number?')}** " + _("Click a cell of a heatmap, or choose it here."))
    choices = st.columns([1.2, 1, 1, 2.4])
    names = {"gradient": _("gradient"), "probability": _("probability")}
    choices[0].selectbox(
        _("quantity"), list(names), format_func=names.__getitem__, key=QUANTITY.name, on_change=_take_choice
    )
    choices[1].selectbox(
        _("row"), range(sheet.num_rows), format_func=sheet.row_names.__getitem__, key=ROW.name, on_change=_take_choice
    )
    choices[2].selectbox(
        _("class"),
        range(sheet.num_classes),
        format_func=sheet.class_names.__getitem__,
        key=CLASS.name,
        on_change=_take_choice,
    )
    arithmetic = cell_arithmetic(evaluation, cell.row, cell.label)
    if quantity == "gradient":
        st.latex(gradient_latex(arithmetic, cell, decimals()))
    st.latex(probability_latex(arithmetic, cell, decimals()))
    st.markdown("\n".join(f"- {line}" for line in _origins(arithmetic, evaluation, sheet, cell, quantity)))


def _origins(a: CellArithmetic, evaluation: Evaluation, sheet: Sheet, cell: Cell, quantity: str) -> list[str]:
    """Where each number of the formula comes from."""
    problem = evaluation.problem
    row, name = markdown_escaped(sheet.row_names[cell.row]), markdown_escaped(sheet.class_names[cell.label])
    logit = _(
        "z = {z} is the logit of {name} in {row}; m = {peak} is the row's largest, so that no exponential overflows."
    )
    lines = [logit.format(z=short(a.logit), name=name, row=row, peak=short(a.peak))]
    if quantity != "gradient":
        return lines
    if not a.kept:
        lines.append(_("The row is ignored, so its loss is 0 and nothing pulls on its logits."))
        return lines
    lines.append(target_words(a, problem.smoothing, sheet, cell))
    if a.mass != 1:
        lines.append(_("S = {mass} is the sum of v over the row.").format(mass=short(a.mass)))
    lines.append(f"D = {short(a.denominator)}: " + markdown_escaped(denominator_help(evaluation)))
    return lines


def target_words(a: CellArithmetic, smoothing: float, sheet: Sheet, cell: Cell) -> str:
    """Where the target of one cell comes from."""
    name = markdown_escaped(sheet.class_names[cell.label])
    if sheet.target_kind == PROBABILITIES:
        origin = _("the target gives {name} {y}").format(name=name, y=sheet.probabilities[cell.row][cell.label])
    elif sheet.labels[cell.row] == cell.label:
        origin = _("{name} is the label of the row: y = 1").format(name=name)
    else:
        origin = _("{name} is not the label of the row: y = 0").format(name=name)
    if smoothing:
        origin += _(", smoothed to (1 − ε)·y + ε/C with ε = {smoothing}").format(smoothing=short(smoothing))
    if sheet.weight is not None:
        origin += _(", times its weight {weight}").format(weight=sheet.weight[cell.label])
    return _("v = {target}: {origin}.").format(target=short(a.target), origin=origin)
