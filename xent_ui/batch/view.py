"""The page Batch but its editors: loss, matrices, rows, the check of the gradient, exact tables, notes."""

from __future__ import annotations

import math
from collections.abc import Callable

import streamlit as st

from xent_core import Evaluation, gradient_check
from xent_core.cross_entropy import GradientCheck
from xent_core.distance import largest_finite
from xent_core.parse import parse_number
from xent_core.reference_losses import reference_losses
from xent_ui.batch import why
from xent_ui.batch.state import CLICKS, FRAME, ROW_LOSSES
from xent_ui.figures import drawn_matrix, heatmap, html, theme
from xent_ui.state import session
from xent_ui.state.sheet import PROBABILITIES, Sheet
from xent_ui.table.options import decimals, option_words
from xent_ui.text import _, markdown_escaped, number, power_of_ten, short, short_names
from xent_ui.widgets import doctor_warnings, matrix_component
from xent_ui.widgets.formulas import denominator_help, denominator_words, hover_texts
from xent_ui.widgets.matrices import one_matrix, target_cells
from xent_ui.widgets.number_tables import number_tabs


def loss_readout(evaluation: Evaluation) -> None:
    """The loss as a metric."""
    problem = evaluation.problem
    if problem.reduction == "none":
        st.metric(
            _("sum of the row losses (nats)"),
            number(float(evaluation.loss.sum()), decimals()),
            help=_("reduction='none' gives one loss per row; the gradient is that of their sum."),
        )
        return
    st.metric(_("loss (nats)"), number(float(evaluation.loss), decimals()))


def summary(evaluation: Evaluation) -> None:
    """The numbers above the tables: loss, bits, perplexity, divisor, accuracy, and a line with reference losses."""
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
    """The loss on a line with reference losses: a uniform guess, the lowest possible, softmax applied twice."""
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


def frame(evaluation: Evaluation, sheet: Sheet, *, asked: int, changed: bool) -> str:
    """All that follows an edit at once, for the components: both matrices and the row losses, as hidden HTML.

    Args:
      asked: the number of the request that this answers.
      changed: whether the rest of the page is older than these numbers.
    """
    chosen, cell = why.selected_cell(evaluation)
    quantities = {
        "probability": (evaluation.probs, theme.PROBABILITY, 1.0, _("Softmax probabilities")),
        "gradient": (
            evaluation.grad_logits,
            theme.GRADIENT,
            evaluation.gradient_bound,
            _("Gradient of the loss by the logits"),
        ),
    }
    outlines = target_cells(evaluation)
    return drawn_matrix.frame(
        {
            quantity: drawn_matrix.matrix(
                values,
                scale,
                label=_("{name}, {n} rows by {c} classes; the numbers are in the tables below").format(
                    name=name, n=sheet.num_rows, c=sheet.num_classes
                ),
                bound=bound,
                outlines=outlines,
                hover=hover_texts(evaluation, sheet, quantity, decimals()),
                decimals=decimals(),
            )
            for quantity, (values, scale, bound, name) in quantities.items()
        },
        row_names=short_names(sheet.row_names),
        class_names=short_names(sheet.class_names),
        chosen=(chosen, cell),
        texts={ROW_LOSSES: {"label": _("Loss and prediction of each row"), "columns": row_losses(evaluation, sheet)}},
        asked=asked,
        changed=changed,
    )


def matrix(quantity: str, *, on_chosen: Callable[[], None]) -> None:
    """The probabilities or the gradient, drawn from the frame; `on_chosen` is called when a cell is clicked."""
    scale = theme.GRADIENT if quantity == "gradient" else theme.PROBABILITY
    matrix_component.matrix(
        quantity,
        scale,
        source=FRAME,
        key=CLICKS[quantity].name,
        on_chosen=on_chosen,
    )


def row_losses_table() -> None:
    """The loss and the prediction of every row, from the frame."""
    matrix_component.texts(ROW_LOSSES, source=FRAME, key="row_losses")


def effective_target(evaluation: Evaluation, sheet: Sheet) -> None:
    """The target after label smoothing and class weights, where these change it."""
    problem = evaluation.problem
    if problem.weight is None and problem.smoothing == 0:
        return
    smoothed = f"(1 − ε)·y + ε/C, ε = {short(problem.smoothing)}" if problem.smoothing else "y"
    formula = smoothed if problem.weight is None else f"w · ({smoothed})" if problem.smoothing else "w · y"
    picture, words = st.columns([1, 1], gap="small")
    values = evaluation.effective_target
    largest = largest_finite(values)
    with picture:
        st.markdown(f"**{_('effective target')}** v = {formula}")
        one_matrix(
            "effective_target",
            values,
            theme.PROBABILITY,
            row_names=short_names(sheet.row_names),
            class_names=short_names(sheet.class_names),
            label=_("Effective target; the numbers are in the tables below"),
            bound=max(1.0, largest),
            outlines=target_cells(evaluation),
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


def row_losses(evaluation: Evaluation, sheet: Sheet) -> dict[str, list[str]]:
    """The loss and the prediction of every row, as texts by column; the sum of the row for probabilities."""
    kept = evaluation.problem.kept().tolist()
    losses = heatmap.as_array(evaluation.row_loss).tolist()
    columns = {_("loss"): [number(loss, decimals()) for loss in losses]}
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
    return columns


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
    """Whether the three gradients agree, in a line, with their largest difference."""
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
    pairs = [
        ("autograd_closed_form", _("autograd − closed form"), result.autograd.double() - result.closed_form.double()),
        (
            "autograd_finite_differences",
            _("autograd − finite differences"),
            result.autograd.double() - result.finite_differences,
        ),
    ]
    for column, (key, name, difference) in zip(st.columns(2), pairs, strict=True):
        shown = difference.masked_fill(result.uncheckable, math.nan)
        with column:
            st.markdown(f"**{name}**")
            one_matrix(
                f"check_{key}",
                shown,
                theme.GRADIENT,
                row_names=short_names(sheet.row_names),
                class_names=short_names(sheet.class_names),
                label=name,
                bound=float(shown.abs().nan_to_num(0.0).max()),
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


def findings(evaluation: Evaluation, sheet: Sheet) -> None:
    """Messages: inputs that were refused, what the options in use do, and what the doctor warns of."""
    for message in session.visit().refused:
        st.warning(markdown_escaped(message), icon=":material/edit_off:")
    for message in notes(sheet, evaluation):
        st.info(markdown_escaped(message), icon=":material/info:")
    doctor_warnings.warnings_line(evaluation.problem)


def notes(sheet: Sheet, evaluation: Evaluation) -> list[str]:
    """What the options in use do to the loss, where it may surprise."""
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
