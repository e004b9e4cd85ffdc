"""The formula of a step, forward or backward, with the numbers of one class in it, as LaTeX."""

from __future__ import annotations

from collections.abc import Sequence

from xent_core.row_trace import Step, Trace
from xent_ui.step_by_step.stage import MAX_SHOWN, floats, shown_classes
from xent_ui.table.options import decimals
from xent_ui.text import latex, latex_digits

MAX_TERMS = 4  # of a sum with numbers in it


def step_formula(trace: Trace, step: Step, k: int, *, backward: bool) -> str:
    """What the step makes of the numbers of class k: its value, or on the way back its gradient."""
    return _backward(trace, step, k) if backward else _forward(trace, step, k)


def _forward(trace: Trace, step: Step, k: int) -> str:
    def value(name: str) -> str:
        return _digits(_at(trace[name], k))

    made = _digits(_at(step, k))
    symbol = _symbol(step, k)
    match step.name:
        case "logits":
            return rf"{symbol} = {latex(_at(step, k))}"
        case "scaled":
            return rf"{symbol} = \frac{{{latex(_at(trace['logits'], k))}}}{{{latex(trace.temperature)}}} = {made}"
        case "max":
            return rf"m = \max({_listed(trace['scaled'])}) = {made}"
        case "shifted":
            return rf"{symbol} = {value('scaled')} - {_bracketed(_at(trace['max']))} = {made}"
        case "exp":
            return rf"{symbol} = e^{{{value('shifted')}}} = {made}"
        case "sum":
            return rf"\Sigma = {_added(trace, [_digits(x) for x in floats(trace['exp'])])} = {made}"
        case "softmax":
            return rf"{symbol} = \frac{{{value('exp')}}}{{{value('sum')}}} = {made}"
        case "log":
            return rf"{symbol} = \ln {value('softmax')} = {made}"
        case "weighted":
            return rf"{symbol} = {latex(float(trace.target[k]))} \cdot {_bracketed(_at(trace['log'], k))} = {made}"
        case "row_loss":
            return rf"\ell = -\big({_added(trace, [_bracketed(x) for x in floats(trace['weighted'])])}\big) = {made}"
        case _other:
            return rf"c = \frac{{{value('row_loss')}}}{{{latex(trace.denominator)}}} = {made}"


def _backward(trace: Trace, step: Step, k: int) -> str:
    def slope(name: str) -> str:
        return _bracketed(_at(trace[name], k, gradient=True))

    def value(name: str) -> str:
        return _bracketed(_at(trace[name], k))

    made = _digits(_at(step, k, gradient=True))
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
            slopes, exps = floats(trace["softmax"], gradient=True), floats(trace["exp"])
            # what is not the target's adds nothing
            terms = [rf"{_bracketed(g)} \cdot {_digits(e)}" for g, e in zip(slopes, exps, strict=True) if g != 0]
            added = _added(trace, terms, every_class=False) if terms else "0"
            return rf"{left} = -\frac{{{added}}}{{{value('sum')}^2}} = {made}"
        case "exp":
            return rf"{left} = \frac{{{slope('softmax')}}}{{{value('sum')}}} + {slope('sum')} = {made}"
        case "shifted":
            return rf"{left} = {slope('exp')} \cdot {value('exp')} = {made}"
        case "max":
            added = _added(trace, [_bracketed(x) for x in floats(trace["shifted"], gradient=True)])
            return rf"{left} = -\big({added}\big) = {made}"
        case "scaled":
            through_max = rf" + {slope('max')}" if _at(trace["scaled"], k) == _at(trace["max"]) else ""
            return rf"{left} = {slope('shifted')}{through_max} = {made}"
        case _other:
            divided = rf"\frac{{{slope('scaled')}}}{{{latex(trace.temperature)}}}"
            factor = "" if trace.mass == 1 else rf"{latex(trace.mass)} \cdot "
            top = rf"{factor}{value('softmax')} - {_short_bracketed(float(trace.target[k]))}"
            below = rf"{latex(trace.denominator)} \cdot {latex(trace.temperature)}"
            return rf"{left} = {divided} = \frac{{{top}}}{{{below}}} = {made}"


def _symbol(step: Step, k: int) -> str:
    return step.symbol.replace("_k", f"_{{{k}}}")


def _at(step: Step, k: int = 0, *, gradient: bool = False) -> float:
    tensor = step.gradient if gradient else step.value
    return float(tensor if step.is_scalar else tensor[k])


def _digits(value: float) -> str:
    return latex_digits(value, decimals())


def _bracketed(value: float) -> str:
    return f"({_digits(value)})" if value < 0 else _digits(value)


def _short_bracketed(value: float) -> str:
    return f"({latex(value)})" if value < 0 else latex(value)


def _added(trace: Trace, terms: Sequence[str], *, every_class: bool = True) -> str:
    if len(terms) <= MAX_TERMS:
        return " + ".join(terms)
    shown = [terms[k] for k in shown_classes(trace)] if every_class and len(terms) > MAX_SHOWN else list(terms)
    return " + ".join(shown[:MAX_TERMS]) + r" + \cdots"


def _listed(step: Step) -> str:
    values = floats(step)
    shown = sorted(values, reverse=True)[:MAX_TERMS] if len(values) > MAX_TERMS else values
    return ", ".join(map(_digits, shown)) + (r", \ldots" if len(values) > len(shown) else "")
