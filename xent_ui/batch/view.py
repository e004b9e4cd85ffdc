"""What a page shows of an Evaluation: the loss, the matrices, why a number is what it is, the check, the tables."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence

import pandas as pd
import streamlit as st
from torch import Tensor

from xent_core import (
    CellArithmetic,
    Evaluation,
    GradientCheck,
    all_cells,
    cell_arithmetic,
    gradient_check,
    reference_losses,
)
from xent_core.parse import parse_number
from xent_core.spreadsheets import harmless
from xent_ui.figures import heatmap
from xent_ui.figures.heatmap import Cell
from xent_ui.state import session
from xent_ui.state.sheet import PROBABILITIES, Sheet, number_texts
from xent_ui.table.editors import short_names
from xent_ui.table.options import decimals, option_words
from xent_ui.text import MINUS, _, latex, markdown_escaped, number, power_of_ten, short

SELECTED = "selected_cell"
CHART_CONFIG = {"displayModeBar": False}


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


def denominator_words(evaluation: Evaluation) -> str:
    """What the reduction divides by: "N = 3", "Σw = 2.5", "1 (sum)"."""
    problem = evaluation.problem
    value = short(float(evaluation.denominator))
    if problem.reduction != "mean":
        return _("1 ({reduction})").format(reduction=problem.reduction)
    if problem.has_probabilities:
        return f"N = {value}"
    if problem.weight is not None:
        return f"Σw = {value}"
    return f"N = {value}" if bool(problem.kept().all()) else _("kept = {count}").format(count=value)


def denominator_help(evaluation: Evaluation) -> str:
    """What the reduction divides by, in a sentence."""
    problem = evaluation.problem
    value = short(float(evaluation.denominator))
    if problem.reduction != "mean":
        return _("'{reduction}' does not divide.").format(reduction=problem.reduction)
    if problem.has_probabilities:
        return _("With probabilities, mean divides by the number of rows N = {value}, never by the weights.").format(
            value=value
        )
    if problem.weight is not None:
        return _("Mean divides by Σw = {value}: the weights of the labels of the kept rows.").format(value=value)
    return _("Mean divides by the number of rows that are not ignored: {value}.").format(value=value)


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
    st.html(heatmap.loss_gauge(loss, marks, label=label))


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
        heatmap.GRADIENT if is_gradient else heatmap.PROBABILITY,
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


def gradient_heatmap(
    values: Tensor,
    sheet: Sheet,
    key: str,
    *,
    bound: float,
    alt: str,
    outlines: Sequence[tuple[Cell, float]] = (),
) -> None:
    """A gradient, or a difference of gradients, as a heatmap under the sheet's names."""
    figure = heatmap.matrix(
        values,
        heatmap.GRADIENT,
        row_names=short_names(sheet.row_names),
        class_names=short_names(sheet.class_names),
        bound=bound,
        outlines=outlines,
        decimals=decimals(),
    )
    st.plotly_chart(figure, key=key, config=CHART_CONFIG, alt=alt)


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
                heatmap.PROBABILITY,
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


def gradient_formula(evaluation: Evaluation) -> str:
    """The formula of the gradient in the form that holds here: "(p − y)/3"."""
    problem = evaluation.problem
    plain = problem.weight is None and problem.smoothing == 0 and not problem.has_probabilities
    top = "p − y" if plain else "S·p − v"
    below = [] if float(evaluation.denominator) == 1 else [short(float(evaluation.denominator))]
    below += [] if problem.temperature == 1 else [short(problem.temperature)]
    if not below:
        return top
    return f"({top})/{below[0]}" if len(below) == 1 else f"({top})/({'·'.join(below)})"


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
    st.html(heatmap.aligned_table(columns, row_names=sheet.row_names, label=_("Loss and prediction of each row")))


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


def probability_latex(a: CellArithmetic, cell: Cell, places: int = 4) -> str:
    """The softmax of one cell, with its numbers on a second line."""
    z = "z" if a.temperature == 1 else "z/T"
    i, k = cell.row, cell.label
    scaled = (
        latex(a.logit, places) if a.temperature == 1 else rf"{latex(a.logit, places)}/{latex(a.temperature, places)}"
    )
    peak = rf"- {latex(a.peak, places)}" if a.peak >= 0 else rf"+ {latex(-a.peak, places)}"
    return (
        rf"\begin{{aligned}} p_{{{i},{k}}} &= \frac{{e^{{{z}_{{{i},{k}}} - m}}}}{{\sum_j e^{{{z}_{{{i},j}} - m}}}}"
        rf" = \frac{{e^{{{scaled} {peak}}}}}{{{_fixed(a.total, places)}}} \\[4pt]"
        rf" &= \frac{{{_fixed(a.exp, places)}}}{{{_fixed(a.total, places)}}} = {_fixed(a.prob, places)} \end{{aligned}}"
    )


def gradient_latex(a: CellArithmetic, evaluation: Evaluation, cell: Cell, places: int = 4) -> str:
    """The gradient of one cell with its numbers: (0.0900 − 1)/3 = −0.3033."""
    name = rf"\frac{{\partial L}}{{\partial z_{{{cell.row},{cell.label}}}}}"
    result = _fixed(a.grad, places)
    if not a.kept:
        return rf"{name} = 0 \cdot p = {result}"
    symbols = r"S \cdot p - v" if a.mass != 1 or a.target not in (0, 1) else "p - y"
    factor = "" if a.mass == 1 else rf"{latex(a.mass, places)} \cdot "
    value = f"({latex(a.target, places)})" if a.target < 0 else latex(a.target, places)
    top = rf"{factor}{_fixed(a.prob, places)} - {value}"
    below = [(letter, x) for letter, x in (("D", a.denominator), ("T", a.temperature)) if x != 1]
    if not below:
        return rf"{name} = {symbols} = {top} = {result}"
    letters = r" \cdot ".join(letter for letter, _x in below)
    numbers = r" \cdot ".join(latex(x, places) for _letter, x in below)
    return rf"{name} = \frac{{{symbols}}}{{{letters}}} = \frac{{{top}}}{{{numbers}}} = {result}"


def gradient_sum(a: CellArithmetic, places: int = 4) -> str:
    """The gradient of one cell in a line of text: "(0.0900 − 1)/3 = −0.3033"."""
    result = number(a.grad, places)
    if not a.kept:
        return f"0 · p = {result}"
    factor = "" if a.mass == 1 else f"{short(a.mass, places)}·"
    value = f"({short(a.target, places)})" if a.target < 0 else short(a.target, places)
    top = f"{factor}{number(a.prob, places)} {MINUS} {value}"
    below = [short(x, places) for x in (a.denominator, a.temperature) if x != 1]
    if not below:
        return f"{top} = {result}"
    return f"({top})/{below[0]} = {result}" if len(below) == 1 else f"({top})/({'·'.join(below)}) = {result}"


def _fixed(value: float, places: int) -> str:
    text = number(value, places).replace(MINUS, "-")
    return latex(value, places) if "e" in text or not math.isfinite(value) else text


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
            heatmap.matrix(shown, heatmap.GRADIENT, row_names=rows, class_names=classes, bound=bound),
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


def number_tabs(matrices: dict[str, tuple[str, Tensor]], sheet: Sheet) -> None:
    """Matrices of the sheet's rows as tables with exact numbers, a tab and a CSV file for each.

    Args: matrices: title and values by the name of the file; row_loss has one column, of losses.
    """
    for tab, (name, (title, values)) in zip(
        st.tabs([title for title, _values in matrices.values()]), matrices.items(), strict=True
    ):
        with tab:
            matrix_table(
                values,
                sheet,
                title=title,
                file_name=f"{name}.csv",
                header=[_("loss")] if name == "row_loss" else sheet.class_names,
            )


def matrix_table(
    values: Tensor, sheet: Sheet, *, title: str, file_name: str, header: Sequence[str] | None = None
) -> None:
    """A matrix as a table with its exact numbers, and as CSV; its columns are the classes unless named otherwise."""
    names = list(sheet.class_names if header is None else header)
    texts = number_texts(values)
    st.dataframe(
        pd.DataFrame(texts, columns=names).assign(**{"": sheet.row_names}).set_index(""),
        column_config={name: st.column_config.TextColumn(alignment="right") for name in names},
        alt=title,
    )
    st.download_button(
        _("{title} as CSV").format(title=title),
        csv_text(sheet.row_names, names, texts),
        file_name=file_name,
        mime="text/csv",
        on_click="ignore",
    )


def csv_text(
    row_names: Sequence[str], header: Sequence[str], texts: Sequence[Sequence[str]], *, corner: str = "row"
) -> str:
    """A table as CSV; a name that a spreadsheet would run as a formula gets an apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([corner, *map(harmless, header)])
    for name, row in zip(row_names, texts, strict=True):
        writer.writerow([harmless(name), *row])
    return out.getvalue()


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


def hover_texts(evaluation: Evaluation, sheet: Sheet, is_gradient: bool) -> list[list[str]]:
    """What each cell says under the pointer: where it is, how its number comes about, and the number in full."""
    places = decimals()
    exact = number_texts(evaluation.grad_logits if is_gradient else evaluation.probs)

    def arithmetic(a: CellArithmetic) -> str:
        if is_gradient:
            return gradient_sum(a, places)
        return f"{number(a.exp, places)}/{number(a.total, places)} = {number(a.prob, places)}"

    return [
        [
            f"{row}, {name}\n{arithmetic(a)}\n{text}"
            for a, name, text in zip(cells, sheet.class_names, texts, strict=True)
        ]
        for cells, row, texts in zip(all_cells(evaluation), sheet.row_names, exact, strict=True)
    ]


def target_cells(evaluation: Evaluation) -> list[tuple[Cell, float]]:
    """Where the target lies, with its share of the row; for many cells only the largest of each row."""
    target, kept = evaluation.problem.target, evaluation.problem.kept().tolist()
    if not evaluation.problem.has_probabilities:
        return [(Cell(i, label), 1.0) for i, label in enumerate(target.tolist()) if kept[i]]
    shares = target.double()
    if target.numel() > heatmap.MAX_PRINTED_CELLS:
        return [(Cell(i, label), 1.0) for i, label in enumerate(shares.argmax(1).tolist())]
    return [
        (Cell(i, k), min(share, 1.0))
        for i, row in enumerate(shares.tolist())
        for k, share in enumerate(row)
        if share > 0
    ]
