"""The page Step by step: the step at hand, what is odd about the row, both routes to the gradient, and their graphs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import streamlit as st

from xent_core import evaluate
from xent_core.row_trace import Step, Trace
from xent_ui import glossary
from xent_ui.figures import bars, heatmap, html, theme
from xent_ui.figures.heatmap import Cell
from xent_ui.state import session
from xent_ui.state.sheet import Sheet
from xent_ui.step_by_step import figures
from xent_ui.step_by_step.stage import (
    FUSED,
    LINE_NAMES,
    MAX_SHOWN,
    Stage,
    chosen_class,
    floats,
    gradient_title,
    headers,
    shown_classes,
    stage_at,
    symbol_of,
    title_of,
)
from xent_ui.step_by_step.state import CHOSEN_BAR, CLASS_BOX
from xent_ui.step_by_step.step_formulas import step_formula
from xent_ui.table.options import decimals
from xent_ui.text import _, markdown_escaped, number, power_of_ten, short, short_names
from xent_ui.widgets.formulas import row_sum_words
from xent_ui.widgets.matrices import CHART_CONFIG
from xent_ui.widgets.row_chooser import CLASS

MAX_BESIDE = 3  # classes whose values and gradients fit beside the step
MAX_EXPONENTIALS = 4  # named in a sentence
STRUT = r"\rule[-1.4em]{0em}{3em}"  # a formula's upper edge would be cut off, and its height would vary


def current_step(trace: Trace, stage: Stage, sheet: Sheet) -> None:
    """The step at hand: its formula, the same with numbers, and its numbers as bars."""
    step = stage.step
    k = chosen_class(trace)
    formulas, picture = (st.container(), st.container()) if fits_beside(sheet) else st.columns(2, gap="medium")
    with formulas:
        badge = f":violet-badge[↑ {_('backward')}]" if stage.backward else f":blue-badge[↓ {_('forward')}]"
        title = gradient_title(step) if stage.backward else title_of(step)
        letters = glossary.explained_letters(step.gradient_formula if stage.backward else step.formula)
        st.markdown(f"{badge} **{stage.index % len(trace) + 1} · {title}**", help=letters or None)
        stages = [stage_at(trace, index) for index in range(2 * len(trace))]
        st.html(html.one_of([_words(trace, one) for one in stages], stage.index))
        formula = step.gradient_formula if stage.backward else step.formula
        with_numbers = step_formula(trace, step, k, backward=stage.backward)
        st.latex(rf"\begin{{gathered}}{STRUT}{formula}\\[0.6em]{STRUT}{with_numbers}\end{{gathered}}")
    with picture:
        _bars(trace, stage, sheet, k)
        if len(trace.target) > 1:
            _class_chooser(sheet, k, disabled=step.is_scalar)


def fits_beside(sheet: Sheet) -> bool:
    """Whether the chain has room beside the step."""
    return sheet.num_classes <= MAX_BESIDE


def _bars(trace: Trace, stage: Stage, sheet: Sheet, k: int) -> None:
    shown = shown_classes(trace)
    names = short_names(sheet.class_names)
    if stage.step.is_scalar:
        st.metric(
            f"∂L/∂{symbol_of(stage.step)}" if stage.backward else LINE_NAMES[stage.step.name],
            number(stage.numbers[0], decimals(), sign=stage.backward),
            border=True,
            height=bars.BAR_HEIGHT,
        )
        return
    st.plotly_chart(
        bars.bars(
            [stage.numbers[c] for c in shown],
            [names[c] for c in shown],
            is_gradient=stage.backward,
            selected=shown.index(k) if k in shown else None,
            decimals=decimals(),
        ),
        key=CHOSEN_BAR.name,
        config=CHART_CONFIG,
        on_select=lambda: _take_bar(shown),
        selection_mode="points",
        alt=_("The numbers of this step, a bar per class; they also stand in the table of the chain"),
    )


def _take_bar(shown: Sequence[int]) -> None:
    points = session.kept(CHOSEN_BAR).get("selection", {}).get("points", [])
    if points and 0 <= int(points[0]["x"]) < len(shown):
        session.keep(CLASS, shown[int(points[0]["x"])])


def _class_chooser(sheet: Sheet, k: int, *, disabled: bool) -> None:
    session.keep(CLASS_BOX, k)
    st.selectbox(
        _("class k in the formula"),
        range(sheet.num_classes),
        format_func=sheet.class_names.__getitem__,
        key=CLASS_BOX.name,
        help=_("k in the formula is this class, the one outlined above; a sum over j goes over all classes."),
        on_change=lambda: session.keep(CLASS, session.kept(CLASS_BOX)),
        disabled=disabled,
    )


def _words(trace: Trace, stage: Stage) -> str:
    return _(stage.step.rule) if stage.backward else _forward_words(trace, stage)


def _forward_words(trace: Trace, stage: Stage) -> str:
    unshifted = trace.unshifted_exp
    match stage.step.name:
        case "logits":
            return _("Where the row begins.")
        case "scaled":
            return _("T = {t}.").format(t=short(trace.temperature)) + (
                " " + _("So nothing changes.") if trace.temperature == 1 else ""
            )
        case "max":
            return _("It keeps the exponentials from overflowing.")
        case "shifted":
            return _("The largest is now 0. No probability changes by this.")
        case "exp" | "sum" | "softmax":
            shown = shown_classes(trace)[:MAX_EXPONENTIALS]
            numbers = ", ".join(number(float(unshifted[c]), decimals()) for c in shown)
            more = ", …" if len(unshifted) > len(shown) else ""
            return _(
                "Without taking off the largest: exp = [{numbers}], sum {total}; the same p, unless it overflows."
            ).format(numbers=numbers + more, total=number(float(unshifted.sum()), decimals()))
        case "log":
            return _("From 0 for a sure class down to −inf for an impossible one.")
        case "weighted":
            if not trace.kept:
                return _("The row is ignored, so nothing is taken.")
            return _("v is the target, smoothed and weighted. Only what the target names is left.")
        case "row_loss":
            return _("One number for the row: how surprised the model is by the target.")
        case _other:
            words = {"mean": _("The mean divides by D = {d}."), "sum": _("The sum divides by nothing: D = 1.")}
            return words.get(trace.evaluation.problem.reduction, _("Not reduced: D = 1.")).format(
                d=short(trace.denominator)
            )


def notes(trace: Trace, sheet: Sheet) -> None:
    """What was refused, and what is odd about this row, in a sentence each."""
    for message in session.visit().refused:
        st.warning(markdown_escaped(message), icon=":material/edit_off:")
    problem = trace.evaluation.problem
    if not trace.kept:
        st.info(_("This row is ignored: v = 0, its loss is 0, and no gradient comes back."), icon=":material/block:")
    if bool(trace["logits"].value.isnan().any() | (trace["logits"].value == math.inf).any()):
        st.warning(_("A logit is NaN or +inf, so every probability of the row is NaN, and so is its gradient."))
    if problem.reduction == "mean" and trace.denominator == 0:
        st.warning(_("D = 0: nothing counts in the mean, which is 0/0."))
    if sheet.num_classes == 1:
        st.info(_("With one class p is always 1, so the loss and the gradient are 0 whatever the logit is."))
    if trace.unfused_agrees:
        return
    names = sheet.class_names
    why = ""
    if bool(trace.underflowed.any()):
        why = _("p of {names} is too small for {dtype}, and the way back divides by it.").format(
            names=_names(trace.underflowed.nonzero().flatten().tolist(), names), dtype=sheet.dtype
        )
    elif bool(trace.masked.any()):
        why = _("p of {names} is 0, and the way back divides by it: 0/0.").format(
            names=_names(trace.masked.nonzero().flatten().tolist(), names)
        )
    st.warning(
        " ".join(
            [_("**Softmax, then log, breaks here.**"), why, _("log_softmax, which PyTorch uses, does not: see below.")]
        ),
        icon=":material/warning:",
    )


def _names(classes: Sequence[int], names: Sequence[str]) -> str:
    shown = ", ".join(markdown_escaped(names[c]) for c in classes[:4])
    return shown + (", …" if len(classes) > 4 else "")


def cancellation(trace: Trace, sheet: Sheet) -> None:
    """The gradient by both routes, and how the division of log and the Jacobian of softmax cancel."""
    st.latex(
        r"\underbrace{\big(\mathrm{diag}(p) - p\,p^\top\big)}_{J,\ \text{softmax}}"
        r"\ \underbrace{\Big(-\frac{v}{D\,p}\Big)}_{\text{log and loss}} = \frac{S\,p - v}{D}"
    )
    fused = {step.name: step for step in trace.fused_steps}
    shown = shown_classes(trace)
    slopes, unfused = floats(trace["softmax"], gradient=True), floats(trace["scaled"], gradient=True)
    rows = {
        "−v/(D·p) = ∂L/∂p": slopes,
        _("J times that"): trace.jacobian_product.tolist(),
        _("∂L/∂a by softmax, then log"): unfused,
        _("∂L/∂a by log_softmax"): floats(fused["scaled"], gradient=True),
        _("∂L/∂z = ∂L/∂a / T"): floats(fused["logits"], gradient=True),
    }
    lines = [[name, *(number(values[c], decimals(), sign=True) for c in shown)] for name, values in rows.items()]
    st.html(html.table(["", *headers(trace, sheet)], lines, label=_("The gradient by both routes")))
    alone = evaluate(sheet.only_row(trace.row).to_problem())
    st.caption(row_sum_words(alone))
    largest = float(trace.route_difference.max())
    if trace.unfused_agrees:
        words = _("Both routes agree. Largest difference: {difference}.")
        icon = ":material/check_circle:"
    else:
        words = _("The routes do not agree. Largest difference: {difference}.")
        icon = ":material/error:"
    st.caption(f"{icon} " + words.format(difference=power_of_ten(largest) if math.isfinite(largest) else "NaN"))


def jacobian(trace: Trace, sheet: Sheet) -> None:
    """The Jacobian of softmax as a heatmap, for up to MAX_SHOWN classes."""
    names = short_names(sheet.class_names)
    if sheet.num_classes > MAX_SHOWN:
        st.caption(_("Drawn for up to {count} classes.").format(count=MAX_SHOWN))
        return
    st.plotly_chart(
        heatmap.matrix(
            trace.jacobian,
            theme.GRADIENT,
            row_names=names,
            class_names=names,
            bound=0.25,  # no p(1 − p) is larger
            decimals=decimals(),
        ),
        key="jacobian_matrix",
        config=CHART_CONFIG,
        alt=_("Jacobian of softmax: p of the row's class by z of the column's"),
    )
    st.caption(_("Row: which p. Column: which logit moves. Every row adds up to 0."))


def label_formula(trace: Trace) -> str:
    """What the gradient of each possible label is."""
    problem = trace.evaluation.problem
    plain = problem.weight is None and not problem.smoothing
    return _("p − 1 there, p elsewhere") if plain else "S·p − v"


def label_gradients(trace: Trace, sheet: Sheet) -> None:
    """The gradient of the row if another class were its label."""
    names = short_names(sheet.class_names)
    by_label = trace.gradient_by_label
    labels = range(sheet.num_classes)
    if sheet.num_classes > MAX_SHOWN:
        if trace.label is None:
            st.caption(_("Drawn for up to {count} classes.").format(count=MAX_SHOWN))
            return
        labels = range(trace.label, trace.label + 1)
    shown = shown_classes(trace)
    bound = float(trace.evaluation.problem.weight.abs().max()) if trace.evaluation.problem.weight is not None else 1.0
    st.plotly_chart(
        heatmap.matrix(
            by_label[labels.start : labels.stop][:, shown],
            theme.GRADIENT,
            row_names=[names[k] for k in labels],
            class_names=[names[k] for k in shown],
            bound=bound,
            outlines=[(Cell(row, shown.index(k)), 1.0 if k == trace.label else 0.0) for row, k in enumerate(labels)],
            decimals=decimals(),
        ),
        key="label_matrix",
        config=CHART_CONFIG,
        alt=_("Gradient of the row loss for each possible label"),
    )
    divisor = trace.denominator * trace.temperature
    words = _("Row: if that were the label. This is of the row alone: divided by D·T = {divisor} it is ∂L/∂z.")
    st.caption(words.format(divisor=short(divisor)))


def graphs(trace: Trace, stage: Stage) -> None:
    """The computational graph of both routes, a box per step with its value and its gradient."""
    unfused, fused = st.columns(2)
    levels = {
        "logits": 0.0,
        "scaled": 1.0,
        "max": 1.5,
        "shifted": 2.0,
        "exp": 3.0,
        "sum": 3.5,
        "softmax": 4.0,
        "log": 5.0,
        "log_softmax": 2.0,
        "weighted": 6.0,
        "row_loss": 7.0,
        "contribution": 8.0,
    }
    for column, steps, key, title in (
        (unfused, trace.steps, "graph_unfused", _("**Unfused**: softmax, then log")),
        (fused, trace.fused_steps, "graph_fused", _("**Fused**: log_softmax, as PyTorch does it")),
    ):
        nodes = [
            figures.Node(
                name=step.name,
                title=LINE_NAMES[step.name],
                values=_vector(floats(step), step.is_scalar),
                gradients="grad " + _vector(floats(step, gradient=True), step.is_scalar, sign=True),
                level=levels[step.name],
                side=step.name in ("max", "sum"),
                levels=4 if step.name == "log_softmax" else 1,
                role=_role(stage, step),
            )
            for step in steps
        ]
        edges = [(used, step.name) for step in steps for used in step.uses]
        with column:
            st.markdown(title, help=glossary.explained("fused"))
            st.plotly_chart(
                figures.graph(nodes, edges, backward=stage.backward, levels=9),
                key=key,
                config=CHART_CONFIG,
                alt=_("Computational graph; the numbers are in the table of the chain"),
            )


def _role(stage: Stage, step: Step) -> str:
    if step.name == stage.step.name or (step.name == "log_softmax" and stage.step.name in FUSED):
        return "made"
    return "used" if step.name in (*stage.used_values, *stage.used_gradients) else ""


def _vector(values: Sequence[float], is_scalar: bool, *, sign: bool = False) -> str:
    digits = min(decimals(), 4)
    if is_scalar:
        return number(values[0], digits, sign=sign)
    shown = [number(value, digits, sign=sign) for value in values[:3]]
    return "[" + ", ".join(shown) + (f", … {len(values) - 3}" if len(values) > 3 else "") + "]"
