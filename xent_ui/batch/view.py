"""The page Batch but its editors: loss, matrices, rows, what is folded below them, notes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import streamlit as st
import torch
from streamlit.delta_generator import DeltaGenerator

from xent_core import Evaluation, evaluate, gradient_check
from xent_core.cross_entropy import GradientCheck
from xent_core.distance import largest_finite
from xent_core.parse import parse_number
from xent_core.reference_losses import reference_losses
from xent_ui import glossary
from xent_ui.batch import why
from xent_ui.batch.state import CLICKS, FOLDS, FRAME, IS_OPEN, ROW_LOSSES
from xent_ui.figures import drawn_matrix, heatmap, html, theme
from xent_ui.state import session
from xent_ui.state.sheet import PROBABILITIES, Sheet
from xent_ui.table.options import decimals, option_words
from xent_ui.text import _, markdown_escaped, number, power_of_ten, short, short_names
from xent_ui.widgets import doctor_warnings, matrix_component
from xent_ui.widgets.formulas import denominator_help, denominator_words, hover_texts, row_loss_formula, row_sum_words
from xent_ui.widgets.matrices import one_matrix, target_cells
from xent_ui.widgets.number_tables import number_tabs

MAX_FLOOR_ROWS = 6  # that are named


def guide() -> str:
    """What the page is, and what to do on it, in a sentence."""
    return _(
        "Each row is one example: softmax turns its logits into probabilities, the loss is small where the ticked "
        "class gets most of them, and every number follows when you type another logit or tick another class."
    )


def heading(name: str, formula: str, *terms: str) -> None:
    """The heading of a panel: its name, its formula, and in a tooltip what the letters are, and these terms."""
    st.markdown(f"**{name}** {formula}", help=glossary.explained_letters(formula, *terms))


def loss_readout(evaluation: Evaluation) -> None:
    """The loss as a metric."""
    problem = evaluation.problem
    words = glossary.explained("loss", "nats")
    if problem.reduction == "none":
        st.metric(
            _("sum of the row losses (nats)"),
            number(float(evaluation.loss.sum()), decimals()),
            help=_("reduction='none' gives one loss per row; the gradient is that of their sum.") + f"\n\n{words}",
        )
        return
    st.metric(_("loss (nats)"), number(float(evaluation.loss), decimals()), help=words)


def summary(evaluation: Evaluation) -> None:
    """The numbers above the tables: loss, divisor, accuracy; until something is changed, what this page is."""
    loss, others, words = st.columns([1, 1.5, 3.1], vertical_alignment="center")
    with loss, st.container(key="loss"):
        loss_readout(evaluation)
    with others, st.container(horizontal=True, gap="medium"):
        st.metric(
            _("divides by"),
            denominator_words(evaluation),
            width="content",
            help=f"{denominator_help(evaluation)}\n\n{glossary.explained('rows', 'divisor')}",
        )
        right, kept = int(evaluation.correct.sum()), int(evaluation.problem.kept().sum())
        st.metric(
            _("accuracy"),
            _("{right} of {kept}").format(right=right, kept=kept),
            width="content",
            help=glossary.explained("accuracy"),
        )
    if not session.was_changed():
        with words, st.container(key="guide"):
            st.markdown(guide())


def more(evaluation: Evaluation, sheet: Sheet) -> None:
    """Folded: the loss in bits and as perplexity, and a line with reference losses."""
    opened = folded("more_of_the_loss", _("More about this loss: bits, perplexity, the least that is possible"))
    if opened is None:
        return
    with opened:
        numbers, marks = st.columns([1, 1.8], gap="medium")
        with numbers:
            other_readouts(evaluation)
        with marks:
            gauge(evaluation)
        if words := floor_words(evaluation, sheet):
            st.caption(words)


def folded(key: str, label: str, *, icon: str | None = None) -> DeltaGenerator | None:
    """A folded part of the page, which stays as it was left, whatever happens meanwhile; None while it is closed."""
    widget, is_open = FOLDS[key], IS_OPEN[key]
    session.keep(widget, session.kept(is_open))
    part = st.expander(label, icon=icon, key=key, on_change=lambda: session.keep(is_open, bool(session.kept(widget))))
    return part if session.kept(is_open) else None


def other_readouts(evaluation: Evaluation) -> None:
    """The same loss in bits and as perplexity."""
    loss = float(evaluation.loss.sum())
    with st.container(horizontal=True, gap="medium"):
        bits = number(loss / math.log(2), decimals())
        st.metric(_("in bits"), bits, width="content", help=glossary.explained("bits"))
        if evaluation.problem.reduction == "mean":
            perplexity = number(float(evaluation.loss.double().exp()), decimals())
            st.metric(_("perplexity"), perplexity, width="content", help=glossary.explained("perplexity"))


def floor_words(evaluation: Evaluation, sheet: Sheet) -> str:
    """Why no logits bring the loss below its floor: which rows keep how much; "" where the floor is 0, or none."""
    floor = next((mark.value for mark in reference_losses(evaluation) if mark.name == "floor"), 0.0)
    if not floor:
        return ""
    target = evaluation.effective_target.double()
    mass = target.sum(1)
    left = (mass.xlogy(mass) - target.xlogy(target).sum(1)).tolist()
    rows = [(name, value) for name, value in zip(sheet.row_names, left, strict=True) if value > 0]
    named = ", ".join(f"{markdown_escaped(name)} {number(value)}" for name, value in rows[:MAX_FLOOR_ROWS])
    return _(
        "The floor is {floor}: a row whose target is shared between classes keeps a loss even where p is just that "
        "target, for no class can be sure. Left of each: {rows}. Added, and divided by {d}, that is the floor."
    ).format(
        floor=number(floor),
        rows=named + (", …" if len(rows) > MAX_FLOOR_ROWS else ""),
        d=short(float(evaluation.denominator)),
    )


def gauge(evaluation: Evaluation) -> None:
    """The loss on a line with reference losses: a uniform guess, the lowest possible, softmax applied twice."""
    names = {
        "uniform": _("uniform guess"),
        "floor": _("floor"),
        "double softmax": _("softmax twice, at best"),
    }
    loss = float(evaluation.loss.sum())
    marks = [(names[mark.name], mark.value) for mark in reference_losses(evaluation)]
    st.caption(
        _("The loss on a line with its marks"), help=glossary.explained("floor", "uniform guess", "softmax twice")
    )
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
                note=_gradient_note(evaluation) if quantity == "gradient" else "",
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


def _gradient_note(evaluation: Evaluation) -> str:
    words = row_sum_words(evaluation)
    if evaluation.problem.num_classes > heatmap.MAX_SIGNED_CLASSES:
        words += " " + _("Numbers without a sign are above 0.")
    return words


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
        heading(_("effective target"), f"v = {formula}", "row loss", "target sum", "divisor", "temperature")
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
    columns = {row_loss_formula(evaluation.problem): [number(loss, decimals()) for loss in losses]}
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
    opened = folded("check_details", label, icon=icon)
    if opened is not None:
        with opened:
            _differences(result, sheet)


def check_words(result: GradientCheck) -> str:
    """Whether the three gradients agree, in a line, with their largest difference."""
    if bool(result.uncheckable.all()):
        return _("No finite loss: nothing to check")
    words = _("Checked: three ways to the gradient agree") if result.agrees else _("The three gradients DISAGREE")
    words += _(", largest difference {largest}").format(largest=power_of_ten(result.largest))
    left_out = int(result.uncheckable.sum())
    return words + (_(" ({count} cells not checkable)").format(count=left_out) if left_out else "")


def _differences(result: GradientCheck, sheet: Sheet) -> None:
    st.caption(
        _(
            "Autograd is PyTorch's backward(). The closed form is (S·p − v)/(D·T). Finite differences move each logit "
            "a little up and down and look at the loss, in float64."
        ),
        help=glossary.explained_letters("(S·p − v)/(D·T)"),
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
    opened = folded("tables", _("Exact numbers, as tables and CSV"))
    if opened is None:
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


def _smoothing_moves_no_loss(evaluation: Evaluation) -> bool:
    problem = evaluation.problem
    if problem.smoothing == 0 or problem.num_classes == 1:
        return False
    plain = float(evaluate(replace(problem, label_smoothing=0.0)).loss.sum())
    loss = float(evaluation.loss.sum())
    return math.isfinite(loss) and abs(loss - plain) <= 4 * torch.finfo(problem.logits.dtype).eps * abs(plain)


def notes(sheet: Sheet, evaluation: Evaluation) -> list[str]:
    """What the options in use do to the loss, where it may surprise."""
    problem = evaluation.problem
    found = []
    if words := option_words(sheet):
        found.append(_("In use: {options}.").format(options=", ".join(words)))
    if _smoothing_moves_no_loss(evaluation):
        found.append(
            _(
                "By coincidence smoothing leaves the loss of this batch at {loss}, whatever ε is: what some rows lose "
                "by it, others gain. The row losses and the gradient do change. Edit a logit, and the loss moves too."
            ).format(loss=number(float(evaluation.loss.sum())))
        )
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
