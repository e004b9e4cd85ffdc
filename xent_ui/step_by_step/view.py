"""The step by step page: which row and which step, the step itself, the whole chain, and what it comes to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from xent_core import Step, Trace
from xent_ui.figures import bars, heatmap, theme
from xent_ui.figures.bars import Node
from xent_ui.figures.heatmap import Cell
from xent_ui.state import session
from xent_ui.state.sheet import Sheet
from xent_ui.table.options import decimals
from xent_ui.text import MINUS, _, latex, markdown_escaped, number, power_of_ten, short, short_names
from xent_ui.widgets.matrices import CHART_CONFIG
from xent_ui.widgets.row_chooser import CLASS

STAGE, PLAYING, TICKED = "traced_stage", "trace_plays", "trace_has_ticked"
SECONDS_PER_STEP = 1.6
MAX_SHOWN = 10  # classes; of more, the label and the most probable ones
MAX_BESIDE = 3  # classes whose values and gradients fit beside the step
MAX_BOTH = 6  # classes whose values and gradients fit side by side
MAX_TERMS = 4  # of a sum with numbers in it
STRUT = r"\rule[-1.1em]{0em}{2.5em}"  # a formula's upper edge would be cut off, and its height would vary
FUSED = ("max", "shifted", "exp", "sum", "softmax", "log")  # what log_softmax does in one step
LINE_NAMES = {
    "logits": "z",
    "scaled": "a = z/T",
    "max": "m = max a",
    "shifted": f"s = a {MINUS} m",
    "exp": "e = exp s",
    "sum": "Σ = sum of e",
    "softmax": "p = e/Σ",
    "log": "log p",
    "log_softmax": "log p = log_softmax a",
    "weighted": "t = v · log p",
    "row_loss": f"ℓ = {MINUS}sum of t",
    "contribution": "c = ℓ/D",
}


@dataclass(frozen=True)
class Stage:
    """Where the stepper stands: a step of the chain, on the way forward or on the way back."""

    index: int
    count: int
    step: Step
    backward: bool

    @property
    def used_values(self) -> tuple[str, ...]:
        """Names of the steps whose values this stage takes."""
        return self.step.gradient_values if self.backward else self.step.uses

    @property
    def used_gradients(self) -> tuple[str, ...]:
        """Names of the steps whose gradients this stage takes."""
        return self.step.gradient_uses if self.backward else ()

    @property
    def numbers(self) -> list[float]:
        """What the stage makes, one number per class or a single one."""
        return _floats(self.step, gradient=self.backward)


def title_of(step: Step) -> str:
    """What a step is called."""
    return {
        "logits": _("logits"),
        "scaled": _("divide by the temperature"),
        "max": _("the largest"),
        "shifted": _("take off the largest"),
        "exp": _("exponential"),
        "sum": _("sum"),
        "softmax": _("softmax"),
        "log": _("logarithm"),
        "log_softmax": _("log_softmax"),
        "weighted": _("times the target"),
        "row_loss": _("loss of the row"),
        "contribution": _("its share of the loss"),
    }[step.name]


def stepper(trace: Trace) -> Stage:
    """Buttons and keys that walk along the chain and back; gives where they stand."""
    count = 2 * len(trace)
    index = min(int(session.kept(STAGE, 0)), count - 1)
    playing = bool(session.kept(PLAYING, False)) and index < count - 1
    session.keep(PLAYING, playing)
    last = index == count - 1
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button(
            _("Start"), icon=":material/first_page:", key="step_first", on_click=_go, args=(0,), disabled=index == 0
        )
        st.button(
            _("Back"), icon=":material/chevron_left:", key="step_back", shortcut="Left", on_click=_move,
            args=(-1, count), disabled=index == 0,
        )  # fmt: skip
        st.button(
            _("Next"), icon=":material/chevron_right:", key="step_next", shortcut="Right",
            on_click=_move, args=(1, count), disabled=last,
        )  # fmt: skip
        st.button(
            _("Pause") if playing else _("Play"),
            icon=":material/pause:" if playing else ":material/play_arrow:",
            key="step_play", shortcut="P", on_click=_play, args=(not playing, 0 if last else index),
        )  # fmt: skip
        st.button(
            _("End"), icon=":material/last_page:", key="step_last", on_click=_go, args=(count - 1,), disabled=last
        )
    stage = stage_at(trace, index)
    way = _("backward") if stage.backward else _("forward")
    place = index % len(trace) + 1
    st.progress(
        (index + 1) / count, text=_("step {index} of {count} · {way} {place} of {half}").format(
            index=index + 1, count=count, way=way, place=place, half=len(trace)
        ),
    )  # fmt: skip
    # the browser asks for the next step, so that no thread of the server waits
    session.keep(TICKED, False)
    st.fragment(_tick, run_every=SECONDS_PER_STEP if playing else None)(index + 1)
    return stage


def stage_at(trace: Trace, index: int) -> Stage:
    """The stage of that number: first the steps forward, then the same steps backward."""
    backward = index >= len(trace)
    place = 2 * len(trace) - 1 - index if backward else index
    return Stage(index, 2 * len(trace), trace.steps[place], backward)


def _go(index: int) -> None:
    session.keep(STAGE, index)
    session.keep(PLAYING, False)


def _move(steps: int, count: int) -> None:
    # counted from where the stepper is by now, so that fast presses add up
    _go(min(max(int(session.kept(STAGE, 0)) + steps, 0), count - 1))


def _play(playing: bool, index: int) -> None:
    session.keep(STAGE, index)
    session.keep(PLAYING, playing)


def _tick(following: int) -> None:
    # it also runs once with the page, which is not a tick
    if session.kept(TICKED) and session.kept(PLAYING):
        session.keep(STAGE, following)
        st.rerun()
    session.keep(TICKED, True)


def shown_classes(trace: Trace) -> list[int]:
    """The classes that have room: all of a few; of many the label and the most probable ones."""
    probs = trace["softmax"].value.double().nan_to_num(0.0)
    if len(probs) <= MAX_SHOWN:
        return list(range(len(probs)))
    most = probs.argsort(descending=True, stable=True).tolist()
    first = [] if trace.label is None else [trace.label]
    return sorted((first + [k for k in most if k != trace.label])[:MAX_SHOWN])


def chosen_class(trace: Trace) -> int:
    """The class whose numbers are put into the formulas: the one chosen, or the label, or the most probable one."""
    kept = session.kept(CLASS)
    if kept is not None and kept < len(trace.target):
        return int(kept)
    if trace.label is not None:
        return trace.label
    weights = trace.target if trace.kept else trace["softmax"].value
    return int(weights.double().nan_to_num(0.0).argmax())


def current_step(trace: Trace, stage: Stage, sheet: Sheet) -> None:
    """The step at hand: its formula, the same with numbers, and its numbers as bars."""
    step = stage.step
    k = chosen_class(trace)
    formulas, picture = (st.container(), st.container()) if fits_beside(sheet) else st.columns(2, gap="medium")
    with formulas:
        badge = f":orange-badge[↑ {_('backward')}]" if stage.backward else f":blue-badge[↓ {_('forward')}]"
        title = f"∂L/∂ {title_of(step)}" if stage.backward else title_of(step)
        st.markdown(f"{badge} **{stage.index % len(trace) + 1} · {title}**")
        st.caption(_(step.rule) if stage.backward else _forward_words(trace, stage))
        formula = step.gradient_formula if stage.backward else step.formula
        st.latex(rf"\begin{{gathered}}{STRUT}{formula}\\[0.6em]{STRUT}{numbers_in(trace, stage, k)}\end{{gathered}}")
    with picture:
        _bars(trace, stage, sheet, k)
        if not step.is_scalar and len(trace.target) > 1:
            _class_chooser(trace, sheet, k)


def fits_beside(sheet: Sheet) -> bool:
    """Whether the chain has room beside the step."""
    return sheet.num_classes <= MAX_BESIDE


def _bars(trace: Trace, stage: Stage, sheet: Sheet, k: int) -> None:
    shown = shown_classes(trace)
    names = short_names(sheet.class_names)
    if stage.step.is_scalar:
        st.metric(
            LINE_NAMES[stage.step.name] if not stage.backward else f"∂L/∂{LINE_NAMES[stage.step.name][0]}",
            number(stage.numbers[0], decimals()),
            border=True,
        )
        return
    key = "step_bars"
    st.plotly_chart(
        bars.bars(
            [stage.numbers[c] for c in shown],
            [names[c] for c in shown],
            is_gradient=stage.backward,
            selected=shown.index(k) if k in shown else None,
            decimals=decimals(),
        ),
        key=key,
        config=CHART_CONFIG,
        on_select=lambda: _take_bar(key, shown),
        selection_mode="points",
        alt=_("The numbers of this step, a bar per class; they also stand in the table of the chain"),
    )


def _take_bar(key: str, shown: Sequence[int]) -> None:
    points = session.kept(key, {}).get("selection", {}).get("points", [])
    if points and 0 <= int(points[0]["x"]) < len(shown):
        session.keep(CLASS, shown[int(points[0]["x"])])


def _class_chooser(trace: Trace, sheet: Sheet, k: int) -> None:
    session.keep("trace_class", k)
    st.selectbox(
        _("class in the formula"),
        range(sheet.num_classes),
        format_func=sheet.class_names.__getitem__,
        key="trace_class",
        on_change=lambda: session.keep(CLASS, session.kept("trace_class")),
    )


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
            shown = shown_classes(trace)[:MAX_TERMS]
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


def numbers_in(trace: Trace, stage: Stage, k: int) -> str:
    """The formula of a stage with the numbers of class k in it, as LaTeX."""
    return _backward_sum(trace, stage.step, k) if stage.backward else _forward_sum(trace, stage.step, k)


def _forward_sum(trace: Trace, step: Step, k: int) -> str:
    def value(name: str) -> str:
        return _made(_at(trace[name], k))

    made = _made(_at(step, k))
    symbol = _symbol(step, k)
    match step.name:
        case "logits":
            return rf"{symbol} = {latex(_at(step, k))}"
        case "scaled":
            return rf"{symbol} = \frac{{{latex(_at(trace['logits'], k))}}}{{{latex(trace.temperature)}}} = {made}"
        case "max":
            return rf"m = \max({_listed(trace, trace['scaled'])}) = {made}"
        case "shifted":
            return rf"{symbol} = {value('scaled')} - {_bracketed(_at(trace['max']))} = {made}"
        case "exp":
            return rf"{symbol} = e^{{{value('shifted')}}} = {made}"
        case "sum":
            return rf"\Sigma = {_added(trace, [_made(x) for x in _floats(trace['exp'])])} = {made}"
        case "softmax":
            return rf"{symbol} = \frac{{{value('exp')}}}{{{value('sum')}}} = {made}"
        case "log":
            return rf"{symbol} = \ln {value('softmax')} = {made}"
        case "weighted":
            return rf"{symbol} = {latex(float(trace.target[k]))} \cdot {_bracketed(_at(trace['log'], k))} = {made}"
        case "row_loss":
            return rf"\ell = -\big({_added(trace, [_bracketed(x) for x in _floats(trace['weighted'])])}\big) = {made}"
        case _other:
            return rf"c = \frac{{{value('row_loss')}}}{{{latex(trace.denominator)}}} = {made}"


def _backward_sum(trace: Trace, step: Step, k: int) -> str:
    def slope(name: str) -> str:
        return _bracketed(_at(trace[name], k, gradient=True))

    def value(name: str) -> str:
        return _bracketed(_at(trace[name], k))

    made = _made(_at(step, k, gradient=True))
    symbol = _symbol(step, k)
    left = rf"\frac{{\partial L}}{{\partial {symbol}}}"
    match step.name:
        case "contribution":
            return rf"{left} = {made}"
        case "row_loss":
            return rf"{left} = \frac{{1}}{{{latex(trace.denominator)}}} \cdot {slope('contribution')} = {made}"
        case "weighted":
            return rf"{left} = -1 \cdot {slope('row_loss')} = {made}"
        case "log":
            return rf"{left} = {latex(float(trace.target[k]))} \cdot {slope('weighted')} = {made}"
        case "softmax":
            return rf"{left} = \frac{{{slope('log')}}}{{{value('softmax')}}} = {made}"
        case "sum":
            slopes, exps = _floats(trace["softmax"], gradient=True), _floats(trace["exp"])
            # what is not the target's adds nothing
            terms = [rf"{_bracketed(g)} \cdot {_made(e)}" for g, e in zip(slopes, exps, strict=True) if g != 0]
            added = _added(trace, terms, every_class=False) if terms else "0"
            return rf"{left} = -\frac{{{added}}}{{{value('sum')}^2}} = {made}"
        case "exp":
            return rf"{left} = \frac{{{slope('softmax')}}}{{{value('sum')}}} + {slope('sum')} = {made}"
        case "shifted":
            return rf"{left} = {slope('exp')} \cdot {value('exp')} = {made}"
        case "max":
            added = _added(trace, [_bracketed(x) for x in _floats(trace["shifted"], gradient=True)])
            return rf"{left} = -\big({added}\big) = {made}"
        case "scaled":
            through_max = rf" + {slope('max')}" if _at(trace["scaled"], k) == _at(trace["max"]) else ""
            return rf"{left} = {slope('shifted')}{through_max} = {made}"
        case _other:
            divided = rf"\frac{{{slope('scaled')}}}{{{latex(trace.temperature)}}}"
            factor = "" if trace.mass == 1 else rf"{latex(trace.mass)} \cdot "
            top = rf"{factor}{value('softmax')} - {_shortly_bracketed(float(trace.target[k]))}"
            below = rf"{latex(trace.denominator)} \cdot {latex(trace.temperature)}"
            return rf"{left} = {divided} = \frac{{{top}}}{{{below}}} = {made}"


def _symbol(step: Step, k: int) -> str:
    return step.symbol.replace("_k", f"_{{{k}}}")


def _at(step: Step, k: int = 0, *, gradient: bool = False) -> float:
    tensor = step.gradient if gradient else step.value
    return float(tensor if step.is_scalar else tensor[k])


def _floats(step: Step, *, gradient: bool = False) -> list[float]:
    tensor = step.gradient if gradient else step.value
    return [float(x) for x in tensor.reshape(-1).tolist()]


def _made(value: float) -> str:
    """A number inside a formula, with its zeros behind the point: 0.0900."""
    text = number(value, decimals()).replace(MINUS, "-")
    return latex(value, decimals()) if "e" in text or not math.isfinite(value) else text


def _bracketed(value: float) -> str:
    return f"({_made(value)})" if value < 0 else _made(value)


def _shortly_bracketed(value: float) -> str:
    return f"({latex(value)})" if value < 0 else latex(value)


def _added(trace: Trace, terms: Sequence[str], *, every_class: bool = True) -> str:
    if len(terms) <= MAX_TERMS:
        return " + ".join(terms)
    shown = [terms[k] for k in shown_classes(trace)] if every_class and len(terms) > MAX_SHOWN else list(terms)
    return " + ".join(shown[:MAX_TERMS]) + r" + \cdots"


def _listed(trace: Trace, step: Step) -> str:
    values = _floats(step)
    shown = sorted(values, reverse=True)[:MAX_TERMS] if len(values) > MAX_TERMS else values
    return ", ".join(map(_made, shown)) + (r", \ldots" if len(values) > len(shown) else "")


def chain(trace: Trace, stage: Stage, sheet: Sheet) -> None:
    """Every number of the chain: values down, gradients up; what the stage uses and what it makes are marked."""
    shown = shown_classes(trace)
    sides = [False, True] if len(shown) <= MAX_BOTH else [stage.backward]
    header: list[str] = []
    rows: list[list[str]] = [[] for _step in trace]
    for side, gradient in enumerate(sides):
        # a table has no two columns of one name, and no class has this space in its name
        apart = "\u200b" * side
        header += [
            (_("gradient ↑") if gradient else _("value ↓")) + "\u200b\u200b",
            *(h + apart for h in _headers(trace, sheet)),
        ]
        for row, step in zip(rows, trace, strict=True):
            mark = "▶\u00a0" if step.name == stage.step.name and gradient == stage.backward else ""
            row.append(mark + (_nowrap(LINE_NAMES[step.name]) if side == 0 else ""))
            row += _cells(trace, stage, step, gradient, shown)
    st.table(pd.DataFrame(rows, columns=header), hide_index=True, border="horizontal", alt=_("The chain of steps"))
    legend = [f":orange-background[{_('used')}] → :blue-background[**{_('made')}**]"]
    if len(shown) < sheet.num_classes:
        legend.append(
            _("{shown} of {count} classes; the sums run over all").format(shown=len(shown), count=sheet.num_classes)
        )
    st.caption(" · ".join(legend))
    target = "[" + ", ".join(short(float(trace.target[c])) for c in shown) + "]"
    st.caption(
        _("v = {target} is the target, smoothed and weighted. S = {mass} is its sum.").format(
            target=markdown_escaped(target), mass=short(trace.mass)
        )
        + " "
        + _("D = {denominator} is what the reduction divides by, T = {temperature} the temperature.").format(
            denominator=short(trace.denominator), temperature=short(trace.temperature)
        )
    )
    _any_sum(trace, sheet)


def _any_sum(trace: Trace, sheet: Sheet) -> None:
    """The little sum behind any cell of the table, wherever the stepper stands."""
    with st.popover(_("Why this number?"), icon=":material/function:", key="any_sum"):
        sides = {False: _("value ↓"), True: _("gradient ↑")}
        session.begin("sum_side", False)
        gradient = bool(
            st.segmented_control(
                _("which side"), list(sides), format_func=sides.__getitem__, required=True, key="sum_side",
                label_visibility="collapsed",
            )
        )  # fmt: skip
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
        st.latex(_backward_sum(trace, step, k) if gradient else _forward_sum(trace, step, k))
        st.caption(_(step.rule) if gradient else title_of(step))


def _headers(trace: Trace, sheet: Sheet) -> list[str]:
    names = short_names(sheet.class_names)
    return [_nowrap(names[c] + (" = y" if c == trace.label else "")) for c in shown_classes(trace)]


def _cells(trace: Trace, stage: Stage, step: Step, gradient: bool, shown: Sequence[int]) -> list[str]:
    """The numbers of one side of one step; a single one stands in the middle, with lines to both sides."""
    style = _style(trace, stage, step, gradient=gradient)
    numbers = _floats(step, gradient=gradient)
    if not step.is_scalar:
        return [style.format(number(numbers[c], decimals())) for c in shown]
    cells = [":gray[──]"] * len(shown)
    cells[(len(shown) - 1) // 2] = style.format(number(numbers[0], decimals()))
    return cells


def _nowrap(text: str) -> str:
    return markdown_escaped(text).replace(" ", "\u00a0")


def _style(trace: Trace, stage: Stage, step: Step, *, gradient: bool) -> str:
    """Markdown around a number: made, used, already there, or yet to come."""
    if step.name == stage.step.name and gradient == stage.backward:
        return ":blue-background[**{}**]"
    if step.name in (stage.used_gradients if gradient else stage.used_values):
        return ":orange-background[{}]"
    place = [one.name for one in trace].index(step.name)
    when = 2 * len(trace) - 1 - place if gradient else place
    return "{}" if when < stage.index else ":gray[{}]"


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
    """The gradient by both routes, and how the quotient and the Jacobian cancel."""
    st.latex(
        r"\underbrace{\big(\mathrm{diag}(p) - p\,p^\top\big)}_{J,\ \text{softmax}}"
        r"\ \underbrace{\Big(-\frac{v}{D\,p}\Big)}_{\text{log and loss}} = \frac{S\,p - v}{D}"
    )
    fused = {step.name: step for step in trace.fused_steps}
    shown = shown_classes(trace)
    slopes, unfused = _floats(trace["softmax"], gradient=True), _floats(trace["scaled"], gradient=True)
    rows = {
        "−v/(D·p) = ∂L/∂p": slopes,
        _("J times that"): trace.jacobian_product.tolist(),
        _("∂L/∂a, unfused"): unfused,
        _("∂L/∂a, fused"): _floats(fused["scaled"], gradient=True),
        _("∂L/∂z = ∂L/∂a / T"): _floats(fused["logits"], gradient=True),
    }
    table = [[_nowrap(name), *(number(values[c], decimals()) for c in shown)] for name, values in rows.items()]
    header = ["\u200b", *_headers(trace, sheet)]
    st.table(
        pd.DataFrame(table, columns=header), hide_index=True, border="horizontal", alt=_("The gradient by both routes")
    )
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
            outlines=[
                (Cell(place, shown.index(k)), 1.0 if k == trace.label else 0.0) for place, k in enumerate(labels)
            ],
            decimals=decimals(),
        ),
        key="label_matrix",
        config=CHART_CONFIG,
        alt=_("Gradient of the row loss for each possible label"),
    )
    divisor = trace.denominator * trace.temperature
    st.caption(_("Row: if that were the label. ÷ D·T = {divisor} it is ∂L/∂z.").format(divisor=short(divisor)))


def graphs(trace: Trace, stage: Stage) -> None:
    """The computational graph of both routes, a box per step with its value and its gradient."""
    unfused, fused = st.columns(2)
    levels = {
        "logits": 0.0, "scaled": 1.0, "max": 1.5, "shifted": 2.0, "exp": 3.0, "sum": 3.5, "softmax": 4.0,
        "log": 5.0, "log_softmax": 2.0, "weighted": 6.0, "row_loss": 7.0, "contribution": 8.0,
    }  # fmt: skip
    for column, steps, key, title in (
        (unfused, trace.steps, "graph_unfused", _("**Unfused**: softmax, then log")),
        (fused, trace.fused_steps, "graph_fused", _("**Fused**: log_softmax, as PyTorch does it")),
    ):
        nodes = [
            Node(
                name=step.name,
                title=LINE_NAMES[step.name],
                values=_vector(_floats(step), step.is_scalar),
                gradients="grad " + _vector(_floats(step, gradient=True), step.is_scalar),
                level=levels[step.name],
                side=step.name in ("max", "sum"),
                levels=4 if step.name == "log_softmax" else 1,
                role=_role(stage, step),
            )
            for step in steps
        ]
        edges = [(used, step.name) for step in steps for used in step.uses]
        with column:
            st.markdown(title)
            st.plotly_chart(
                bars.graph(nodes, edges, backward=stage.backward, levels=9),
                key=key,
                config=CHART_CONFIG,
                alt=_("Computational graph; the numbers are in the table of the chain"),
            )


def _role(stage: Stage, step: Step) -> str:
    if step.name == stage.step.name or (step.name == "log_softmax" and stage.step.name in FUSED):
        return "made"
    return "used" if step.name in (*stage.used_values, *stage.used_gradients) else ""


def _vector(values: Sequence[float], is_scalar: bool) -> str:
    places = min(decimals(), 4)
    if is_scalar:
        return number(values[0], places)
    shown = [number(value, places) for value in values[:3]]
    return "[" + ", ".join(shown) + (f", … {len(values) - 3}" if len(values) > 3 else "") + "]"
