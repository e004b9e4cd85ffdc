"""Why this number? One cell of the batch page's heatmaps: how it is chosen, and the formula with its own numbers."""

from __future__ import annotations

import math

import streamlit as st

from xent_core import Evaluation
from xent_core.cell import CellArithmetic, cell_arithmetic
from xent_ui import glossary
from xent_ui.batch.fragments import ANSWER, WHY
from xent_ui.batch.state import CLASS, CLICKS, QUANTITY, ROW, SELECTED
from xent_ui.figures.heatmap import Cell
from xent_ui.state import session
from xent_ui.state.rest import run_again
from xent_ui.state.sheet import PROBABILITIES, Sheet
from xent_ui.table.options import decimals
from xent_ui.text import _, markdown_escaped, number, short
from xent_ui.widgets.formulas import (
    denominator_help,
    gradient_latex,
    loss_latex,
    names_v,
    probability_latex,
    row_loss_latex,
)


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
    """Why a number is what it is: the reason in a sentence, what its letters are, and the formula with its numbers."""
    quantity, cell = selected_cell(evaluation)
    _fill_boxes(quantity, cell)
    st.markdown(
        f"**{_('Why this number?')}** " + _("Click a cell of a heatmap, or choose any number here."),
        help=glossary.explained("pull"),
    )
    choices = st.columns([1.2, 1, 1, 2.4])
    names = {
        "gradient": _("gradient"),
        "probability": _("probability"),
        "row loss": _("row loss"),
        "loss": _("loss"),
    }
    choices[0].selectbox(
        _("quantity"), list(names), format_func=names.__getitem__, key=QUANTITY.name, on_change=_take_choice
    )
    if quantity != "loss":
        rows = range(sheet.num_rows)
        choices[1].selectbox(
            _("row"), rows, format_func=sheet.row_names.__getitem__, key=ROW.name, on_change=_take_choice
        )
    if quantity in ("gradient", "probability"):
        classes = range(sheet.num_classes)
        choices[2].selectbox(
            _("class"), classes, format_func=sheet.class_names.__getitem__, key=CLASS.name, on_change=_take_choice
        )
    arithmetic = cell_arithmetic(evaluation, cell.row, cell.label)
    lines: list[str] = []
    formulas: list[str] = []
    if quantity == "gradient":
        reason = gradient_reason(arithmetic, sheet, cell)
        lines = _origins(arithmetic, evaluation, sheet, cell)
        formulas = [gradient_latex(arithmetic, cell, decimals()), probability_latex(arithmetic, cell, decimals())]
    elif quantity == "probability":
        reason = _probability_reason(arithmetic, sheet, cell)
        lines = [_logit_words(arithmetic, sheet, cell)]
        formulas = [probability_latex(arithmetic, cell, decimals())]
    elif quantity == "row loss":
        reason = row_loss_reason(evaluation, sheet, cell.row)
        formulas = [row_loss_latex(evaluation, cell.row, decimals())]
    else:
        reason = loss_reason(evaluation)
        formulas = [loss_latex(evaluation, decimals())]
    st.markdown("\n".join([reason, "", *(f"- {line}" for line in lines)]))
    for formula in formulas:
        st.latex(formula)


def gradient_reason(a: CellArithmetic, sheet: Sheet, cell: Cell) -> str:
    """Why an entry of the gradient has its sign and its size, in a sentence."""
    row, name = markdown_escaped(sheet.row_names[cell.row]), markdown_escaped(sheet.class_names[cell.label])
    if not a.kept:
        return _("{row} is ignored: its loss is 0, and nothing moves its logits.").format(row=row)
    given = _("The model gives {name} a probability of {p}").format(name=name, p=short(a.prob, decimals()))
    is_hard = sheet.target_kind != PROBABILITIES and sheet.label_smoothing == 0 and sheet.weight is None
    if is_hard and sheet.labels[cell.row] == cell.label:
        asked = _(", and {name} is the label of {row}").format(name=name, row=row)
    elif is_hard:
        asked = _(", and {name} is not the label of {row}").format(name=name, row=row)
    elif a.mass == 1:
        asked = _(", and the target of {row} asks for {v}").format(row=row, v=short(a.target, decimals()))
    else:
        words = _(", which counts S = {mass} times, and the target of {row} asks for {v}")
        asked = words.format(row=row, v=short(a.target, decimals()), mass=short(a.mass, decimals()))
    difference = f"{short(abs(a.mass * a.prob - a.target), decimals())}"
    below = [short(x, decimals()) for x in (a.denominator, a.temperature) if x != 1]
    size = difference + (f"/{below[0]}" if len(below) == 1 else f"/({'·'.join(below)})" if below else "")
    if math.isnan(a.grad):
        moves = _(": no number comes of that, so the gradient is NaN.")
    elif a.grad == 0:
        moves = _(": there is nothing between the two, so the gradient leaves its logit.")
    elif a.grad < 0:
        moves = _(": that is too little, so the gradient pulls its logit up, by {size}.").format(size=size)
    else:
        moves = _(": that is too much, so the gradient pulls its logit down, by {size}.").format(size=size)
    return given + asked + moves


def _probability_reason(a: CellArithmetic, sheet: Sheet, cell: Cell) -> str:
    row, name = markdown_escaped(sheet.row_names[cell.row]), markdown_escaped(sheet.class_names[cell.label])
    return _(
        "Softmax takes e to the power of each logit and shares 1 in these proportions: {name} has {own} of the "
        "{total} that the classes of {row} have together."
    ).format(name=name, row=row, own=short(a.exp, decimals()), total=short(a.total, decimals()))


def row_loss_reason(evaluation: Evaluation, sheet: Sheet, row: int) -> str:
    """Why a row has its loss, in a sentence."""
    name, problem = markdown_escaped(sheet.row_names[row]), evaluation.problem
    if not bool(problem.kept()[row]):
        return _("{row} is ignored: its loss is 0, and it does not count in the mean.").format(row=name)
    if not problem.has_probabilities and problem.smoothing == 0:
        label = int(problem.target[row])
        words = _(
            "The model gives the label of {row}, {label}, a probability of {p}. The loss is −log of that: 0 where it "
            "were 1, and the larger the less it is."
        ).format(
            row=name,
            label=markdown_escaped(sheet.class_names[label]),
            p=number(float(evaluation.probs[row, label]), decimals()),
        )
        if problem.weight is not None:
            words += " " + _("It is multiplied by the weight of the label.")
        return words
    return _(
        "The target of {row} is shared between classes: the loss takes −log p of each class as often as the target v "
        "asks for it."
    ).format(row=name)


def loss_reason(evaluation: Evaluation) -> str:
    """Why the loss is what it is, in a sentence."""
    total = number(float(evaluation.row_loss.double().sum()), decimals())
    if evaluation.problem.reduction != "mean":
        return _("The row losses add up to {total}, and nothing divides them.").format(total=total)
    return (
        _("The row losses add up to {total}, and the mean divides them by {d}.").format(
            total=total, d=short(float(evaluation.denominator))
        )
        + f" {markdown_escaped(denominator_help(evaluation))}"
    )


def _logit_words(a: CellArithmetic, sheet: Sheet, cell: Cell) -> str:
    return _(
        "z = {z} is the logit of {name} in {row}; m = {peak} is the row's largest, taken off so that no exponential "
        "overflows."
    ).format(
        z=short(a.logit),
        name=markdown_escaped(sheet.class_names[cell.label]),
        row=markdown_escaped(sheet.row_names[cell.row]),
        peak=short(a.peak),
    )


def _origins(a: CellArithmetic, evaluation: Evaluation, sheet: Sheet, cell: Cell) -> list[str]:
    """Where each number in the formula of the gradient comes from."""
    lines = [_logit_words(a, sheet, cell)]
    if not a.kept:
        return lines
    lines.append(target_words(a, evaluation.problem.smoothing, sheet, cell))
    if a.mass != 1:
        lines.append(_("S = {mass} is the sum of v over the row.").format(mass=short(a.mass)))
    if a.denominator != 1:
        lines.append(f"D = {short(a.denominator)}: " + markdown_escaped(denominator_help(evaluation)))
    if a.temperature != 1:
        lines.append(_("T = {t} is the temperature, by which the logits are divided.").format(t=short(a.temperature)))
    return lines


def target_words(a: CellArithmetic, smoothing: float, sheet: Sheet, cell: Cell) -> str:
    """Where the target of one cell comes from."""
    name = markdown_escaped(sheet.class_names[cell.label])
    if sheet.target_kind == PROBABILITIES:
        origin = _("the target gives {name} {y}").format(name=name, y=sheet.probabilities[cell.row][cell.label])
    elif sheet.labels[cell.row] == cell.label:
        origin = _("{name} is the label of the row").format(name=name)
    else:
        origin = _("{name} is not the label of the row").format(name=name)
    if smoothing:
        origin += _(", smoothed to (1 − ε)·y + ε/C with ε = {smoothing}").format(smoothing=short(smoothing))
    if sheet.weight is not None:
        origin += _(", times its weight {weight}").format(weight=sheet.weight[cell.label])
    letter = "v" if names_v(a) else "y"
    return _("{letter} = {target}: {origin}.").format(letter=letter, target=short(a.target), origin=origin)
