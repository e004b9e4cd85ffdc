"""What a page shows of an Evaluation: the loss, the matrices, why a number is what it is, the check, the tables."""

from __future__ import annotations

import math

import streamlit as st

from xent_core import (
    CellArithmetic,
    Evaluation,
    GradientCheck,
    cell_arithmetic,
    gradient_check,
    reference_losses,
)
from xent_core.parse import parse_number
from xent_ui.figures import heatmap, html, theme
from xent_ui.figures.heatmap import Cell
from xent_ui.state import session
from xent_ui.state.sheet import PROBABILITIES, Sheet
from xent_ui.table.options import decimals, option_words
from xent_ui.text import _, markdown_escaped, number, power_of_ten, short, short_names
from xent_ui.widgets.formulas import denominator_help, denominator_words, gradient_latex, hover_texts, probability_latex
from xent_ui.widgets.matrices import CHART_CONFIG, target_cells
from xent_ui.widgets.number_tables import number_tabs

SELECTED = "selected_cell"


def loss_readout(evaluation: Evaluation) -> None:
    """The loss as a metric."""
    problem, places = evaluation.problem, decimals()
    if problem.reduction == "none":
        st.metric(
            _("sum of the row losses (nats)"),
            number(float(evaluation.loss.sum()), places),
            help=_("reduction='none' gives one loss per row; the gradient is that of their sum."),
        )
        return
    st.metric(_("loss (nats)"), number(float(evaluation.loss), places))


def summary(evaluation: Evaluation) -> None:
    """The loss, the same in other units, what it is divided by, the accuracy, and its marks."""
    loss, others, marks = st.columns([1, 2.8, 1.8])
    with loss, st.container(key="loss"):
        loss_readout(evaluation)
    with others:
        other_readouts(evaluation)
    with marks:
        gauge(evaluation)


def other_readouts(evaluation: Evaluation) -> None:
    """The same loss in bits and as perplexity, what it is divided by, and the accuracy."""
    loss = float(evaluation.loss.sum())
    with st.container(horizontal=True, gap="medium"):
        st.metric(_("in bits"), number(loss / math.log(2), decimals()), width="content")
        if evaluation.problem.reduction == "mean":
            perplexity = float(evaluation.loss.double().exp())
            st.metric(_("perplexity"), number(perplexity, decimals()), width="content", help=_("e to the loss"))
        st.metric(_("divides by"), denominator_words(evaluation), width="content", help=denominator_help(evaluation))
        right, kept = int(evaluation.correct.sum()), int(evaluation.problem.kept().sum())
        st.metric(_("accuracy"), _("{right} of {kept}").format(right=right, kept=kept), width="content")


def gauge(evaluation: Evaluation) -> None:
    """The loss between the losses that one compares it with."""
    names = {
        "uniform": _("uniform guess"),
        "floor": _("floor"),
        "double softmax": _("softmax twice, at best"),
    }
    loss = float(evaluation.loss.sum())
    marks = [(names[mark.name], mark.value) for mark in reference_losses(evaluation)]
    words = ", ".join(f"{name} {number(value)}" for name, value in marks)
    label = _("Loss {loss} on a line with its marks: {marks}").format(loss=number(loss), marks=words)
    st.html(html.loss_gauge(loss, marks, label=label))


def matrix(evaluation: Evaluation, sheet: Sheet, quantity: str) -> None:
    """The probabilities or the gradient as a heatmap; a click on a cell asks why."""
    is_gradient = quantity == "gradient"
    values = evaluation.grad_logits if is_gradient else evaluation.probs
    hover = None
    if heatmap.prints_numbers(sheet.num_rows, sheet.num_classes):
        hover = hover_texts(evaluation, sheet, is_gradient)
    rows, classes = short_names(sheet.row_names), short_names(sheet.class_names)
    key = f"{quantity}_matrix"
    selected = selected_cell(evaluation)
    figure = heatmap.matrix(
        values,
        theme.GRADIENT if is_gradient else theme.PROBABILITY,
        row_names=rows,
        class_names=classes,
        bound=evaluation.gradient_bound if is_gradient else 1.0,
        outlines=target_cells(evaluation),
        selected=selected[1] if selected[0] == quantity else None,
        hover=hover,
        decimals=decimals(),
    )
    name = _("Gradient of the loss by the logits") if is_gradient else _("Softmax probabilities")
    st.plotly_chart(
        figure,
        key=key,
        config=CHART_CONFIG,
        on_select=lambda: _select(quantity, key),
        selection_mode="points",
        alt=_("{name}, {n} rows by {c} classes; the numbers are in the tables below").format(
            name=name, n=sheet.num_rows, c=sheet.num_classes
        ),
    )


def effective_target(evaluation: Evaluation, sheet: Sheet) -> None:
    """What the loss really compares with, where weights or smoothing make it differ from the target."""
    problem = evaluation.problem
    if problem.weight is None and problem.smoothing == 0:
        return
    smoothed = f"(1 − ε)·y + ε/C, ε = {short(problem.smoothing)}" if problem.smoothing else "y"
    formula = smoothed if problem.weight is None else f"w · ({smoothed})" if problem.smoothing else "w · y"
    picture, words = st.columns([1, 1], gap="small")
    values = evaluation.effective_target
    largest = float(values.double().nan_to_num(0.0, 0.0, 0.0).abs().max())
    with picture:
        st.markdown(f"**{_('effective target')}** v = {formula}")
        st.plotly_chart(
            heatmap.matrix(
                values,
                theme.PROBABILITY,
                row_names=short_names(sheet.row_names),
                class_names=short_names(sheet.class_names),
                bound=max(1.0, largest),
                outlines=target_cells(evaluation),
                decimals=decimals(),
            ),
            key="effective_target_matrix",
            config=CHART_CONFIG,
            alt=_("Effective target; the numbers are in the tables below"),
        )
    with words:
        st.latex(
            r"\ell_i = -\sum_c v_{ic} \log p_{ic}, \qquad \frac{\partial L}{\partial z_i} = \frac{S_i p_i - v_i}{D\,T}"
        )
        st.caption(
            _("The loss compares p with v, and S is the sum of a row of v. Ignored rows are 0. {denominator}").format(
                denominator=markdown_escaped(denominator_help(evaluation))
            )
        )


def row_table(evaluation: Evaluation, sheet: Sheet) -> None:
    """The loss and the prediction of every row; the sum of the row for probabilities."""
    places = decimals()
    kept = evaluation.problem.kept().tolist()
    columns = {_("loss"): [number(loss, places) for loss in heatmap.as_array(evaluation.row_loss).tolist()]}
    classes = short_names(sheet.class_names)
    predicted = []
    for row, (label, right) in enumerate(
        zip(evaluation.predictions.tolist(), evaluation.correct.tolist(), strict=True)
    ):
        mark = "–" if not kept[row] else "✓" if right else "✗"
        predicted.append(f"{classes[label] if label >= 0 else '?'} {mark}")
    columns[_("argmax")] = predicted
    if sheet.target_kind == PROBABILITIES:
        columns[_("Σy")] = [short(total) for total in evaluation.problem.target.double().sum(1).tolist()]
    st.html(html.aligned_table(columns, row_names=sheet.row_names, label=_("Loss and prediction of each row")))


def selected_cell(evaluation: Evaluation) -> tuple[str, Cell]:
    """The cell that is being asked about: the one chosen, or the largest entry of the gradient."""
    n, c = evaluation.probs.shape
    chosen = session.kept(SELECTED)
    if chosen is not None and chosen[1].row in range(n) and chosen[1].label in range(c):
        result: tuple[str, Cell] = chosen
        return result
    place = int(evaluation.grad_logits.double().nan_to_num(0.0).abs().argmax())
    return "gradient", Cell(place // c, place % c)


def _select(quantity: str, key: str) -> None:
    points = session.kept(key, {}).get("selection", {}).get("points", [])
    if points:
        cell = Cell(row=int(points[0]["y"]), label=int(points[0]["x"]))
        session.keep(SELECTED, (quantity, cell))
        for name, value in (("why_quantity", quantity), ("why_row", cell.row), ("why_class", cell.label)):
            session.keep(name, value)


def _take_choice() -> None:
    quantity, row, label = (session.kept(name) for name in ("why_quantity", "why_row", "why_class"))
    if None not in (quantity, row, label):
        session.keep(SELECTED, (quantity, Cell(row, label)))


def why(evaluation: Evaluation, sheet: Sheet) -> None:
    """Why a cell holds its number: the formula with the cell's own numbers in it."""
    quantity, cell = selected_cell(evaluation)
    for name, value in (("why_quantity", quantity), ("why_row", cell.row), ("why_class", cell.label)):
        session.keep(name, value)
    st.markdown(f"**{_('Why this number?')}** " + _("Click a cell of a heatmap, or choose it here."))
    choices = st.columns([1.2, 1, 1, 2.4])
    names = {"gradient": _("gradient"), "probability": _("probability")}
    choices[0].selectbox(
        _("quantity"), list(names), format_func=names.__getitem__, key="why_quantity", on_change=_take_choice
    )
    choices[1].selectbox(
        _("row"), range(sheet.num_rows), format_func=sheet.row_names.__getitem__, key="why_row", on_change=_take_choice
    )
    choices[2].selectbox(
        _("class"), range(sheet.num_classes), format_func=sheet.class_names.__getitem__, key="why_class",
        on_change=_take_choice,
    )  # fmt: skip
    arithmetic = cell_arithmetic(evaluation, cell.row, cell.label)
    places = decimals()
    if quantity == "gradient":
        st.latex(gradient_latex(arithmetic, evaluation, cell, places))
    st.latex(probability_latex(arithmetic, cell, places))
    st.markdown("\n".join(f"- {line}" for line in _origins(arithmetic, evaluation, sheet, cell, quantity)))


def _origins(a: CellArithmetic, evaluation: Evaluation, sheet: Sheet, cell: Cell, quantity: str) -> list[str]:
    """Where each number of the formula comes from."""
    problem = evaluation.problem
    row, name = markdown_escaped(sheet.row_names[cell.row]), markdown_escaped(sheet.class_names[cell.label])
    lines = [
        _("z = {z} is the logit of {name} in {row}; m = {peak} is the row's largest, so that no exponential overflows.")
        .format(z=short(a.logit), name=name, row=row, peak=short(a.peak))
    ]  # fmt: skip
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


def check(evaluation: Evaluation, sheet: Sheet) -> None:
    """Whether autograd, the closed form and finite differences agree; opens to where they differ."""
    result = gradient_check(evaluation.problem, evaluation)
    label = check_words(result)
    icon = ":material/check_circle:" if result.agrees else ":material/error:"
    opened = st.expander(label, icon=icon, key="check_details", on_change="rerun")
    if opened.open:
        with opened:
            _differences(result, sheet)


def check_words(result: GradientCheck) -> str:
    """The verdict of the check in a line."""
    if bool(result.uncheckable.all()):
        return _("No finite loss: nothing to check")
    words = _("autograd = closed form = finite differences") if result.agrees else _("The three gradients DISAGREE")
    words += _(", largest difference {largest}").format(largest=power_of_ten(result.largest))
    left_out = int(result.uncheckable.sum())
    return words + (_(" ({count} cells not checkable)").format(count=left_out) if left_out else "")


def _differences(result: GradientCheck, sheet: Sheet) -> None:
    st.caption(
        _("Autograd is PyTorch's backward(); the closed form is (S·p − v)/(D·T); finite differences are in float64.")
    )
    rows, classes = short_names(sheet.row_names), short_names(sheet.class_names)
    pairs = [
        (_("autograd − closed form"), result.autograd.double() - result.closed_form.double()),
        (_("autograd − finite differences"), result.autograd.double() - result.finite_differences),
    ]
    for column, (name, difference) in zip(st.columns(2), pairs, strict=True):
        shown = difference.masked_fill(result.uncheckable, math.nan)
        bound = float(shown.abs().nan_to_num(0.0).max())
        column.markdown(f"**{name}**")
        column.plotly_chart(
            heatmap.matrix(shown, theme.GRADIENT, row_names=rows, class_names=classes, bound=bound),
            config=CHART_CONFIG,
            key=f"check_{name}",
            alt=name,
        )


def tables(evaluation: Evaluation, sheet: Sheet) -> None:
    """Every matrix as a table with its exact numbers, and as CSV."""
    opened = st.expander(_("Exact numbers, as tables and CSV"), key="tables", on_change="rerun")
    if not opened.open:
        return
    matrices = {
        "logits": (_("logits"), evaluation.problem.logits),
        "effective_target": (_("effective target v"), evaluation.effective_target),
        "log_probs": (_("log-probabilities"), evaluation.log_probs),
        "probs": (_("probabilities"), evaluation.probs),
        "grad_logits": (_("gradient"), evaluation.grad_logits),
        "row_loss": (_("row losses"), evaluation.row_loss.unsqueeze(1)),
    }
    with opened:
        number_tabs(matrices, sheet)


def findings(sheet: Sheet, evaluation: Evaluation) -> None:
    """What was refused, and what is worth knowing about the numbers in use."""
    for message in session.visit().refused:
        st.warning(markdown_escaped(message), icon=":material/edit_off:")
    for message in notes(sheet, evaluation):
        st.info(markdown_escaped(message), icon=":material/info:")


def notes(sheet: Sheet, evaluation: Evaluation) -> list[str]:
    """What the options in use do, where it may surprise."""
    problem = evaluation.problem
    found = []
    if words := option_words(sheet):
        found.append(_("In use: {options}.").format(options=", ".join(words)))
    # of a mean that divides by 0 the doctor warns
    divides = problem.reduction == "mean" and float(evaluation.denominator) != 0
    if divides and (problem.weight is not None or problem.has_probabilities):
        found.append(denominator_help(evaluation))
    if sheet.target_kind != PROBABILITIES and 0 <= sheet.ignore_index < sheet.num_classes:
        found.append(
            _("ignore_index is {index}, which is also a class: rows with that label are ignored.").format(
                index=sheet.ignore_index
            )
        )
    too_large = sum(
        math.isfinite(parse_number(text)) and not math.isfinite(value)
        for texts, values in zip(sheet.logits, problem.logits.tolist(), strict=True)
        for text, value in zip(texts, values, strict=True)
    )
    if too_large:
        found.append(
            _("{count} logits are too large for {dtype}, where they become inf.").format(
                count=too_large, dtype=sheet.dtype
            )
        )
    return found
