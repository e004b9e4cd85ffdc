"""Formulas of the softmax, the gradient and the divisor of the loss, with the numbers of a cell put in."""

from __future__ import annotations

from xent_core import Evaluation
from xent_core.cell import CellArithmetic, all_cells
from xent_ui.figures import heatmap
from xent_ui.figures.heatmap import Cell
from xent_ui.state.sheet import Sheet, number_texts
from xent_ui.text import MINUS, _, latex, latex_digits, number, short


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


def probability_latex(a: CellArithmetic, cell: Cell, decimals: int = 4) -> str:
    """The softmax of one cell, with its numbers on a second line."""
    i, k = cell.row, cell.label
    over_t = "" if a.temperature == 1 else "/T"
    scaled = (
        latex(a.logit, decimals)
        if a.temperature == 1
        else rf"{latex(a.logit, decimals)}/{latex(a.temperature, decimals)}"
    )
    peak = rf"- {latex(a.peak, decimals)}" if a.peak >= 0 else rf"+ {latex(-a.peak, decimals)}"
    exp, total, prob = (latex_digits(value, decimals) for value in (a.exp, a.total, a.prob))
    top, bottom = (f"e^{{z_{{{i},{column}}}{over_t} - m}}" for column in (k, "j"))
    return (
        rf"\begin{{aligned}} p_{{{i},{k}}} &= \frac{{{top}}}{{\sum_j {bottom}}}"
        rf" = \frac{{e^{{{scaled} {peak}}}}}{{{total}}} \\[4pt]"
        rf" &= \frac{{{exp}}}{{{total}}} = {prob} \end{{aligned}}"
    )


def gradient_latex(a: CellArithmetic, cell: Cell, decimals: int = 4) -> str:
    """The gradient of one cell with its numbers: (0.0900 − 1)/3 = −0.3033."""
    name = rf"\frac{{\partial L}}{{\partial z_{{{cell.row},{cell.label}}}}}"
    result = latex_digits(a.grad, decimals)
    if not a.kept:
        return rf"{name} = 0 \cdot p = {result}"
    symbols = r"S \cdot p - v" if a.mass != 1 or a.target not in (0, 1) else "p - y"
    factor = "" if a.mass == 1 else rf"{latex(a.mass, decimals)} \cdot "
    value = f"({latex(a.target, decimals)})" if a.target < 0 else latex(a.target, decimals)
    top = rf"{factor}{latex_digits(a.prob, decimals)} - {value}"
    below = [(letter, x) for letter, x in (("D", a.denominator), ("T", a.temperature)) if x != 1]
    if not below:
        return rf"{name} = {symbols} = {top} = {result}"
    letters = r" \cdot ".join(letter for letter, _x in below)
    numbers = r" \cdot ".join(latex(x, decimals) for _letter, x in below)
    return rf"{name} = \frac{{{symbols}}}{{{letters}}} = \frac{{{top}}}{{{numbers}}} = {result}"


def gradient_sum(a: CellArithmetic, decimals: int = 4) -> str:
    """The gradient of one cell in a line of text: "(0.0900 − 1)/3 = −0.3033"."""
    result = number(a.grad, decimals)
    if not a.kept:
        return f"0 · p = {result}"
    factor = "" if a.mass == 1 else f"{short(a.mass, decimals)}·"
    value = f"({short(a.target, decimals)})" if a.target < 0 else short(a.target, decimals)
    top = f"{factor}{number(a.prob, decimals)} {MINUS} {value}"
    below = [short(x, decimals) for x in (a.denominator, a.temperature) if x != 1]
    if not below:
        return f"{top} = {result}"
    return f"({top})/{below[0]} = {result}" if len(below) == 1 else f"({top})/({'·'.join(below)}) = {result}"


def hover_texts(evaluation: Evaluation, sheet: Sheet, quantity: str, decimals: int) -> list[list[str]] | None:
    """The tooltip of each cell: names, arithmetic and exact number; None where the cells are too many for it."""
    if not heatmap.prints_numbers(sheet.num_rows, sheet.num_classes):
        return None
    is_gradient = quantity == "gradient"
    exact = number_texts(evaluation.grad_logits if is_gradient else evaluation.probs)

    def arithmetic(a: CellArithmetic) -> str:
        if is_gradient:
            return gradient_sum(a, decimals)
        return f"{number(a.exp, decimals)}/{number(a.total, decimals)} = {number(a.prob, decimals)}"

    return [
        [
            f"{row}, {name}\n{arithmetic(a)}\n{text}"
            for a, name, text in zip(cells, sheet.class_names, texts, strict=True)
        ]
        for cells, row, texts in zip(all_cells(evaluation), sheet.row_names, exact, strict=True)
    ]
