"""The formulas of the loss and of a gradient with the numbers of a row or a cell in them, as LaTeX or in a line."""

from __future__ import annotations

import math

from xent_core import (
    CellArithmetic,
    Evaluation,
    all_cells,
)
from xent_ui.figures.heatmap import Cell
from xent_ui.state.sheet import Sheet, number_texts
from xent_ui.table.options import decimals
from xent_ui.text import MINUS, _, latex, number, short


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
