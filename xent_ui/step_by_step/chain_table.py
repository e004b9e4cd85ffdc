"""The table of the chain: every value down and every gradient up, and the formula behind each of its numbers."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from xent_core.row_trace import Step, Trace
from xent_ui import glossary
from xent_ui.figures import html
from xent_ui.figures.html import Marked
from xent_ui.state import session
from xent_ui.state.sheet import Sheet
from xent_ui.step_by_step.stage import (
    LINE_NAMES,
    Stage,
    chosen_class,
    floats,
    gradient_title,
    headers,
    quantity_of,
    shown_classes,
    symbol_of,
    title_of,
)
from xent_ui.step_by_step.state import CELL_IS_GRADIENT
from xent_ui.step_by_step.step_formulas import step_formula
from xent_ui.table.options import decimals
from xent_ui.text import _, markdown_escaped, number, short

MAX_BOTH = 6  # classes whose values and gradients fit side by side
# what a table is wide: its names, and in each column a sign, a digit and a point, and the decimals
NAME_REM, SIGN_REM, DIGIT_REM = 5.5, 1.9, 0.55
HERE, ELSEWHERE = "▶ ", "\u2002 "  # before a name, as wide as each other


def chain_table(trace: Trace, stage: Stage, sheet: Sheet) -> None:
    """Every number of the chain: values down, gradients up; what the stage uses and what it makes are marked."""
    shown = shown_classes(trace)
    st.caption(_letters(trace, shown), help=glossary.explained("effective target", "target sum", "divisor", "rows"))
    sides = [False, True] if len(shown) <= MAX_BOTH else [stage.backward]
    parts = [_side(trace, stage, sheet, gradient, shown) for gradient in sides]
    st.html(html.table_pair(parts, width_rem=NAME_REM + len(shown) * (SIGN_REM + DIGIT_REM * decimals())))
    legend = [f":gray-background[{_('used')}] → :blue-background[**{_('made')}**]"]
    if len(shown) < sheet.num_classes:
        legend.append(
            _("{shown} of {count} classes; the sums run over all").format(shown=len(shown), count=sheet.num_classes)
        )
    st.caption(" · ".join(legend))
    _formula_of_any_cell(trace, sheet)


def _letters(trace: Trace, shown: Sequence[int]) -> str:
    """What the letters of the table are, those of the steps first."""
    letters = ", ".join(f"**{symbol_of(step)}** {quantity_of(step)}" for step in trace if step.name != "log")
    target = "[" + ", ".join(short(float(trace.target[c])) for c in shown) + "]"
    return (
        _("From top to bottom: {letters}.").format(letters=letters)
        + " "
        + _("v = {target} is the target, smoothed and weighted. S = {mass} is its sum.").format(
            target=markdown_escaped(target), mass=short(trace.mass)
        )
        + " "
        + _("D = {denominator} is what the reduction divides by, T = {temperature} the temperature.").format(
            denominator=short(trace.denominator), temperature=short(trace.temperature)
        )
    )


def _formula_of_any_cell(trace: Trace, sheet: Sheet) -> None:
    """A button that opens the formula behind any cell of the table, wherever the stepper stands."""
    with st.popover(_("Why this number?"), icon=":material/function:", key="any_sum"):
        sides = {False: _("value ↓"), True: _("gradient ↑")}
        session.begin(CELL_IS_GRADIENT, False)
        gradient = bool(
            st.segmented_control(
                _("which side"),
                list(sides),
                format_func=sides.__getitem__,
                required=True,
                key=CELL_IS_GRADIENT.name,
                label_visibility="collapsed",
            )
        )
        line, label = st.columns(2)
        names = [step.name for step in trace]
        step = trace[line.selectbox(_("line"), names, format_func=LINE_NAMES.__getitem__, key="sum_line")]
        k = chosen_class(trace)
        if not step.is_scalar:
            k = label.selectbox(
                _("class"),
                range(sheet.num_classes),
                index=k,
                format_func=sheet.class_names.__getitem__,
                key="sum_class",
            )
        reason = f"**{gradient_title(step)}.** {_(step.rule)}" if gradient else f"**{title_of(step)}**"
        st.markdown(reason)
        st.latex(step_formula(trace, step, k, backward=gradient))


def _side(
    trace: Trace, stage: Stage, sheet: Sheet, gradient: bool, shown: Sequence[int]
) -> tuple[list[str], list[list[str | Marked]], str]:
    """Header, lines and label of the table of all values or of all gradients."""
    title = _("gradient ↑") if gradient else _("value ↓")
    lines: list[list[str | Marked]] = []
    for step in trace:
        is_here = step.name == stage.step.name and gradient == stage.backward
        name = f"∂L/∂{symbol_of(step)}" if gradient else LINE_NAMES[step.name]
        lines.append([(HERE if is_here else ELSEWHERE) + name, *_cells(trace, stage, step, gradient, shown)])
    label = _("The gradients of the chain") if gradient else _("The values of the chain")
    return [title, *headers(trace, sheet)], lines, label


def _cells(trace: Trace, stage: Stage, step: Step, gradient: bool, shown: Sequence[int]) -> list[str | Marked]:
    """The numbers of one side of one step; a single one stands in the middle, with lines to both sides."""
    numbers = floats(step, gradient=gradient)
    if not step.is_scalar:
        return [_marked(numbers[c], trace, stage, step, gradient=gradient) for c in shown]
    cells: list[str | Marked] = [Marked("──", "pale")] * len(shown)
    cells[(len(shown) - 1) // 2] = _marked(numbers[0], trace, stage, step, gradient=gradient)
    return cells


def _marked(value: float, trace: Trace, stage: Stage, step: Step, *, gradient: bool) -> str | Marked:
    """A number: made, used, already there, or yet to come."""
    text = number(value, decimals(), sign=gradient)
    if step.name == stage.step.name and gradient == stage.backward:
        return Marked(text, "made")
    if step.name in (stage.used_gradients if gradient else stage.used_values):
        return Marked(text, "used")
    index = [one.name for one in trace].index(step.name)
    made_at = 2 * len(trace) - 1 - index if gradient else index
    return text if made_at < stage.index else Marked(text, "pale")
