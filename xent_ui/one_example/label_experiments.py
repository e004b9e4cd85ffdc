"""What labels, weights and temperature do to the loss and to the gradient of a row: one thing varied, the rest held."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd
import streamlit as st

from xent_core import Evaluation, Problem, evaluate
from xent_core.experiments import (
    Sweep,
    equilibrium_gap,
    flip_label,
    hot_gradient,
    mix_labels,
    sweep_label_smoothing,
    sweep_temperature,
    sweep_weight,
)
from xent_ui.figures import heatmap, theme
from xent_ui.one_example import figures
from xent_ui.one_example.figures import Line
from xent_ui.one_example.state import EXPERIMENT, FLIPPED_TO, MIXED_FIRST, MIXED_SECOND, WEIGHTED
from xent_ui.state import session
from xent_ui.state.kept import Kept
from xent_ui.state.sheet import Sheet, number_text
from xent_ui.table.options import decimals
from xent_ui.text import _, number, short, short_names
from xent_ui.widgets import number_tables
from xent_ui.widgets.matrices import CHART_CONFIG
from xent_ui.widgets.segments import segmented_choice

MAX_SHOWN = 6  # classes with a line of their own
USUAL_SMOOTHING = 0.1


def section(sheet: Sheet, row: int) -> None:
    """The experiments on one row of the batch; only the chosen one is computed."""
    shown: dict[str, tuple[str, Callable[[Sheet, Problem, int], None]]] = {
        "smoothing": (_("Label smoothing"), _smoothing),
        "mix": (_("Mix two labels"), _mix),
        "flip": (_("Flip the label"), _flip),
        "weight": (_("Class weight"), _weight),
        "temperature": (_("Temperature"), _temperature),
    }
    titles = {name: title for name, (title, _show) in shown.items()}
    choice = segmented_choice(_("Experiment"), titles, EXPERIMENT, wrap=True)
    with st.container(key="experiment_result"):
        shown[choice][1](sheet, sheet.to_problem(), row)


def _smoothing(sheet: Sheet, problem: Problem, row: int) -> None:
    sweep = sweep_label_smoothing(problem)
    epsilon = problem.smoothing or USUAL_SMOOTHING
    st.markdown(
        _(
            "Loss and gradient are straight lines in ε. The floor, the entropy of the smoothed target, bends: "
            "the loss cannot fall below it, however good the logits are."
        )
    )
    if not problem.has_probabilities and problem.weight is None and problem.num_classes > 1:
        gap = equilibrium_gap(problem.num_classes, epsilon, problem.temperature)
        st.markdown(
            _("With ε = {epsilon} the row is at rest when its label's logit lies {gap} above each other one:").format(
                epsilon=short(epsilon), gap=number(gap, decimals())
            )
        )
        st.latex(r"z_y - z_c = T\,\ln\left(1 + \frac{(1 - \varepsilon)\,C}{\varepsilon}\right)")
    loss = [Line(_("loss"), _floats(sweep.loss.tolist())), Line(_("floor"), _floats(sweep.floor.tolist()))]
    _show(sweep, sheet, row, x_name="ε", here=problem.smoothing, loss=loss)


def _mix(sheet: Sheet, problem: Problem, row: int) -> None:
    label, other = _label_and_other(problem, row)
    first, second = _two_classes(sheet, label, other)
    sweep = mix_labels(problem, row, first, second)
    st.markdown(
        _(
            "The target of the row is λ of the first class and 1 − λ of the second. Loss and gradient are the same "
            "mixture of their two ends: straight lines, which is why mixup may mix the losses or the labels."
        )
    )
    if not problem.has_probabilities and problem.reduction == "mean" and problem.weight is not None:
        st.caption(_("A mixed label is a row of probabilities: mean divides by N here, and no longer by the weights."))
    _show(sweep, sheet, row, x_name="λ", here=None)


def _flip(sheet: Sheet, problem: Problem, row: int) -> None:
    _label, other = _label_and_other(problem, row)
    chosen = _class_chooser(sheet, FLIPPED_TO, _("its label becomes"), other)
    flip = flip_label(problem, row, chosen)
    before, after = float(flip.before.denominator), float(flip.after.denominator)
    digits = decimals()
    with st.container(horizontal=True, gap="medium"):
        st.metric(_("loss"), number(float(flip.after.loss.sum()), digits), width="content")
        st.metric(_("change of the loss"), number(flip.loss_change, digits, sign=True), width="content")
        st.metric(_("divides by"), f"{short(before)} → {short(after)}", width="content")
    if before != after:
        st.markdown(
            _("Mean divides by {after} instead of {before} now, so that every row moves, not only this one.").format(
                before=short(before), after=short(after)
            )
        )
    else:
        st.markdown(_("What the loss is divided by stays, so that only this row moves."))
    rows, classes = short_names(sheet.row_names), short_names(sheet.class_names)
    picture, shares = st.columns([3, 2], gap="medium")
    with picture:
        st.markdown(f"**{_('change of the gradient')}**")
        st.plotly_chart(
            heatmap.matrix(
                flip.grad_change,
                theme.GRADIENT,
                row_names=rows,
                class_names=classes,
                bound=2 * max(flip.before.gradient_bound, flip.after.gradient_bound),
                decimals=digits,
            ),
            key="flip_gradient",
            config=CHART_CONFIG,
            alt=_("Change of the gradient; the numbers are in the table below"),
        )
    with shares:
        st.markdown(f"**{_('change of each share ℓ/D in the loss')}**")
        st.dataframe(
            pd.DataFrame(
                {_("row"): list(sheet.row_names), _("change"): [number_text(v) for v in flip.row_change.tolist()]}
            ),
            hide_index=True,
            alt=_("Change of the share of each row in the loss"),
        )
    opened = st.expander(_("The numbers, as a table"), key="flip_table", on_change="rerun")
    if opened.open:
        with opened:
            number_tables.matrix_table(
                flip.grad_change, sheet, title=_("change of the gradient"), file_name="change_of_gradient.csv"
            )


def _weight(sheet: Sheet, problem: Problem, row: int) -> None:
    label, _other = _label_and_other(problem, row)
    chosen = _class_chooser(sheet, WEIGHTED, _("class"), label)
    sweep = sweep_weight(problem, chosen)
    if problem.reduction == "mean" and not problem.has_probabilities:
        st.markdown(
            _(
                "Mean divides by the weights of the labels. So a weight does not scale the loss: "
                "it moves the mean towards the rows of its class, and bends the lines. Other rows lose what these gain."
            )
        )
    else:
        st.markdown(
            _("Nothing here divides by the weights, so that loss and gradient are straight lines in the weight.")
        )
    here = 1.0 if problem.weight is None else float(problem.weight[chosen])
    _show(sweep, sheet, row, x_name="w", here=here)


def _temperature(sheet: Sheet, problem: Problem, row: int) -> None:
    sweep = sweep_temperature(problem)
    st.markdown(
        _(
            "The gradient carries a factor 1/T. Multiplied by T it tends to (S/C − v)/D, the dotted lines: "
            "so it falls as 1/T where T is large, and distillation multiplies its loss by T²."
        )
    )
    _show(
        sweep,
        sheet,
        row,
        x_name="T",
        here=problem.temperature,
        log_x=True,
        factors=sweep.values,
        limits=hot_gradient(evaluate(problem))[row].tolist(),
    )


def _show(
    sweep: Sweep,
    sheet: Sheet,
    row: int,
    *,
    x_name: str,
    here: float | None,
    loss: Sequence[Line] | None = None,
    log_x: bool = False,
    factors: Sequence[float] | None = None,
    limits: Sequence[float] | None = None,
) -> None:
    """Loss on the left and the gradient of the row on the right, and the numbers of both as a table.

    Args:
      factors: the gradient is shown times these, one for each value.
      limits: what these products tend to, one for each class.
    """
    x = sweep.values
    loss = loss or [Line(_("loss"), _floats(sweep.loss.tolist()))]
    times = [1.0] * len(x) if factors is None else factors
    gradient = [
        Line(sheet.class_names[k], tuple(g * t for g, t in zip(grads, times, strict=True)))
        for k, grads in enumerate(sweep.grad_logits[:, row].double().T.tolist())
    ]
    drawn: list[Line] = []
    for k in _shown_classes(sweep.evaluations[0], row):
        drawn.append(gradient[k])
        if limits is not None:
            drawn.append(Line(sheet.class_names[k], (limits[k],) * len(x), is_limit=True))
    grad_title = _("gradient of the row") if factors is None else _("T · gradient of the row")
    pictures = [(_("loss"), loss, "loss"), (grad_title, drawn, "gradient")]
    for column, (title, shown, name) in zip(st.columns(2, gap="medium"), pictures, strict=True):
        with column:
            st.markdown(f"**{_('{y}, by {x}').format(y=title, x=x_name)}**")
            st.plotly_chart(
                figures.sweep_lines(x, shown, here=here, log_x=log_x),
                key=f"experiment_{name}",
                config=CHART_CONFIG,
                alt=_("{y}, by {x}; the numbers are in the table below").format(y=title, x=x_name),
            )
    opened = st.expander(_("The numbers, as a table"), key="experiment_table", on_change="rerun")
    if opened.open:
        columns = {x_name: [number_text(value) for value in x]}
        columns |= {line.name: [number_text(value) for value in line.y] for line in loss}
        columns |= {f"∂/∂ {line.name}": [number_text(value) for value in line.y] for line in gradient}
        opened.dataframe(pd.DataFrame(columns), hide_index=True, alt=_("The sweep as a table"))


def _shown_classes(evaluation: Evaluation, row: int) -> list[int]:
    """The classes that get a line: all of a few; of many the wanted ones, then the most probable."""
    wanted = evaluation.effective_target[row].double() + evaluation.probs[row].double().nan_to_num(0.0) / 10
    return sorted(wanted.argsort(descending=True, stable=True).tolist()[:MAX_SHOWN])


def _label_and_other(problem: Problem, row: int) -> tuple[int, int]:
    """The class that the row wants most, and the most probable of the others."""
    evaluation = evaluate(problem)
    label = int(evaluation.effective_target[row].double().nan_to_num(0.0).argmax())
    ranked = evaluation.probs[row].double().nan_to_num(0.0).argsort(descending=True, stable=True).tolist()
    return label, next((k for k in ranked if k != label), label)


def _class_chooser(sheet: Sheet, entry: Kept[int], label: str, first: int) -> int:
    session.begin(entry, first)
    if session.kept(entry) >= sheet.num_classes:
        session.keep(entry, first)
    choices = range(sheet.num_classes)
    return int(
        st.selectbox(label, choices, format_func=sheet.class_names.__getitem__, key=entry.name, persist_state="session")
    )


def _two_classes(sheet: Sheet, first: int, second: int) -> tuple[int, int]:
    left, right = st.columns(2)
    with left:
        a = _class_chooser(sheet, MIXED_FIRST, _("λ of"), first)
    with right:
        b = _class_chooser(sheet, MIXED_SECOND, _("1 − λ of"), second)
    return a, b


def _floats(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(map(float, values))
