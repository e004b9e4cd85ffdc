"""What labels, weights and temperature do to the row that is tried out: one thing varied, the rest held."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd
import streamlit as st
from torch import Tensor

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
from xent_ui import glossary
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


def section(sheet: Sheet) -> None:
    """The experiments on the row of a Sheet of one; only the chosen one is computed."""
    shown: dict[str, tuple[str, Callable[[Sheet, Problem], None]]] = {
        "smoothing": (_("Label smoothing"), _smoothing),
        "mix": (_("Mix two labels"), _mix),
        "flip": (_("Flip the label"), _flip),
        "weight": (_("Class weight"), _weight),
        "temperature": (_("Temperature"), _temperature),
    }
    titles = {name: title for name, (title, _show) in shown.items()}
    choice = segmented_choice(_("Experiment"), titles, EXPERIMENT, wrap=True)
    with st.container(key="experiment_result"):
        shown[choice][1](sheet, sheet.to_problem())


def _smoothing(sheet: Sheet, problem: Problem) -> None:
    sweep = sweep_label_smoothing(problem)
    epsilon = problem.smoothing or USUAL_SMOOTHING
    st.markdown(
        _(
            "Loss and gradient are straight lines in ε. The floor, the entropy of the smoothed target, bends: "
            "the loss cannot fall below it, however good the logits are."
        )
    )
    if is_flat(sweep.loss):
        st.info(
            _(
                "The loss is {loss} for every ε here, by coincidence: it is just the mean of the losses "
                "that the row would have under each label. The gradient does change. Move a logit, and the line tilts."
            ).format(loss=number(float(sweep.loss[0]), decimals())),
            icon=":material/info:",
        )
    if not problem.has_probabilities and problem.weight is None and problem.num_classes > 1:
        gap = equilibrium_gap(problem.num_classes, epsilon, problem.temperature)
        st.markdown(
            _("With ε = {epsilon} the row is at rest when its label's logit lies {gap} above each other one:").format(
                epsilon=short(epsilon), gap=number(gap, decimals())
            )
        )
        formula = r"z_y - z_c = T\,\ln\left(1 + \frac{(1 - \varepsilon)\,C}{\varepsilon}\right)"
        st.latex(formula, help=glossary.explained_letters(formula))
    loss = [Line(_("loss"), _floats(sweep.loss.tolist())), Line(_("floor"), _floats(sweep.floor.tolist()))]
    _show(sweep, sheet, x_name="ε", here=problem.smoothing, loss=loss)


def is_flat(losses: Tensor) -> bool:
    """Whether a line of losses neither rises nor falls, but for the rounding of float32."""
    values = losses.double()
    return bool(values.isfinite().all()) and float(values.max() - values.min()) <= 1e-6 * (
        1 + float(values.abs().max())
    )


def _mix(sheet: Sheet, problem: Problem) -> None:
    label, other = _label_and_other(problem)
    first, second = _two_classes(sheet, label, other)
    sweep = mix_labels(problem, 0, first, second)
    st.markdown(
        _(
            "The target of the row is λ of the first class and 1 − λ of the second. Loss and gradient are the same "
            "mixture of their two ends: straight lines, which is why mixup may mix the losses or the labels."
        )
    )
    _show(sweep, sheet, x_name="λ", here=None)


def _flip(sheet: Sheet, problem: Problem) -> None:
    _label, other = _label_and_other(problem)
    chosen = _class_chooser(sheet, FLIPPED_TO, _("its label becomes"), other)
    flip = flip_label(problem, 0, chosen)
    digits = decimals()
    with st.container(horizontal=True, gap="medium"):
        st.metric(_("loss"), number(float(flip.after.loss.sum()), digits), width="content")
        st.metric(_("change of the loss"), number(flip.loss_change, digits, sign=True), width="content")
    st.markdown(
        _("The probabilities stay: the gradient rises where the target was, and falls where it is now. **Its change:**")
    )
    st.plotly_chart(
        heatmap.matrix(
            flip.grad_change,
            theme.GRADIENT,
            row_names=short_names(sheet.row_names),
            class_names=short_names(sheet.class_names),
            bound=2 * max(flip.before.gradient_bound, flip.after.gradient_bound),
            decimals=digits,
        ),
        key="flip_gradient",
        config=CHART_CONFIG,
        alt=_("Change of the gradient; the numbers are in the table below"),
    )
    opened = st.expander(_("The numbers, as a table"), key="flip_table", on_change="rerun")
    if opened.open:
        with opened:
            number_tables.matrix_table(
                flip.grad_change, sheet, title=_("change of the gradient"), file_name="change_of_gradient.csv"
            )


def _weight(sheet: Sheet, problem: Problem) -> None:
    label, _other = _label_and_other(problem)
    chosen = _class_chooser(sheet, WEIGHTED, _("class"), label)
    sweep = sweep_weight(problem, chosen)
    st.markdown(
        _(
            "A weight multiplies what its class adds to the loss of the row, so that loss and gradient are straight "
            "lines in it. In the mean of a batch the loss is divided by the weights as well."
        )
    )
    here = 1.0 if problem.weight is None else float(problem.weight[chosen])
    _show(sweep, sheet, x_name="w", here=here)


def _temperature(sheet: Sheet, problem: Problem) -> None:
    sweep = sweep_temperature(problem)
    st.markdown(
        _(
            "The logits are divided by the temperature T, so the gradient carries a factor 1/T. Multiplied by T it "
            "tends to the dotted lines, where all C probabilities are 1/C: (1/C − target) for a target that sums to 1. "
            "So it falls as 1/T where T is large, and distillation multiplies its loss by T²."
        )
    )
    _show(
        sweep,
        sheet,
        x_name="T",
        here=problem.temperature,
        log_x=True,
        factors=sweep.values,
        limits=hot_gradient(evaluate(problem))[0].tolist(),
    )


def _show(
    sweep: Sweep,
    sheet: Sheet,
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
        for k, grads in enumerate(sweep.grad_logits[:, 0].double().T.tolist())
    ]
    drawn: list[Line] = []
    for k in _shown_classes(sweep.evaluations[0]):
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


def _shown_classes(evaluation: Evaluation) -> list[int]:
    """The classes that get a line: all of a few; of many the wanted ones, then the most probable."""
    wanted = evaluation.effective_target[0].double() + evaluation.probs[0].double().nan_to_num(0.0) / 10
    return sorted(wanted.argsort(descending=True, stable=True).tolist()[:MAX_SHOWN])


def _label_and_other(problem: Problem) -> tuple[int, int]:
    """The class that the row wants most, and the most probable of the others."""
    evaluation = evaluate(problem)
    label = int(evaluation.effective_target[0].double().nan_to_num(0.0).argmax())
    ranked = evaluation.probs[0].double().nan_to_num(0.0).argsort(descending=True, stable=True).tolist()
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
