"""Formulas of the softmax, the gradient and the divisor of the loss, with the numbers of a cell put in."""

from __future__ import annotations

from xent_core import Evaluation, Problem
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


def row_loss_formula(problem: Problem) -> str:
    """The formula of a row's loss in the form that holds here."""
    plain = problem.weight is None and problem.smoothing == 0 and not problem.has_probabilities
    return "−log p(label)" if plain else "−Σ v·log p"


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


MAX_TERMS = 4  # of a sum with numbers in it


def row_loss_latex(evaluation: Evaluation, row: int, decimals: int = 4) -> str:
    """The loss of one row with its numbers: −log 0.0900 = 2.4076; of a shared target the terms of its classes."""
    problem = evaluation.problem
    result = latex_digits(float(evaluation.row_loss[row]), decimals)
    if not bool(problem.kept()[row]):
        return rf"\ell_{{{row}}} = {result}"
    probs, target = evaluation.probs[row].tolist(), evaluation.effective_target[row].tolist()
    if not problem.has_probabilities and problem.smoothing == 0:
        label = int(problem.target[row])
        factor = "" if target[label] == 1 else rf"{latex(target[label], decimals)} \cdot "
        log = rf"\log {latex_digits(probs[label], decimals)}"
        return rf"\ell_{{{row}}} = -\log p_{{{row},{label}}}{' w' if factor else ''} = -{factor}{log} = {result}"
    terms = [rf"{latex(v, decimals)} \log {latex_digits(p, decimals)}" for v, p in zip(target, probs, strict=True) if v]
    added = " + ".join(terms[:MAX_TERMS]) + (r" + \cdots" if len(terms) > MAX_TERMS else "")
    return rf"\ell_{{{row}}} = -\sum_c v_c \log p_c = -\big({added}\big) = {result}"


def loss_latex(evaluation: Evaluation, decimals: int = 4) -> str:
    """The loss with the row losses in it: (0.4076 + 1.4076 + 2.4076)/3 = 1.4076."""
    losses = [latex_digits(value, decimals) for value in evaluation.row_loss.tolist()]
    added = " + ".join(losses[:MAX_TERMS]) + (r" + \cdots" if len(losses) > MAX_TERMS else "")
    result = latex_digits(float(evaluation.loss.double().sum()), decimals)
    if float(evaluation.denominator) == 1:
        return rf"L = {added} = {result}" if len(losses) > 1 else f"L = {result}"
    return rf"L = \frac{{{added}}}{{{latex(float(evaluation.denominator), decimals)}}} = {result}"


def names_v(a: CellArithmetic) -> bool:
    """Whether the formula of the gradient names the effective target v: it is y where y is a hard label."""
    return a.mass != 1 or a.target not in (0, 1)


def row_sum_words(evaluation: Evaluation) -> str:
    """Why each row of the gradient sums to 0, and which of its entries are negative; or why a row has no sum."""
    problem, axis = evaluation.problem, evaluation.problem.class_axis
    kept = problem.kept()
    grad = evaluation.grad_logits.double()
    if not bool(kept.any()):
        return _("Every row is ignored, so the gradient is 0 everywhere.")
    if bool(grad.isnan().any()):
        if float(evaluation.denominator) == 0:
            return _("D = 0: nothing counts in the mean, and 0/0 is NaN.")
        return _(
            "A row with NaN sums to nothing: its p are no numbers, since all its logits are −inf, or one is NaN or inf."
        )
    mass = evaluation.row_mass.squeeze(axis)[kept]
    if not bool(grad.isfinite().all()):
        return _("An entry is infinite, so its row has no sum.")
    is_hard = not problem.has_probabilities and problem.smoothing == 0
    target = "y" if is_hard and problem.weight is None else "v"
    if bool((mass - 1).abs().lt(1e-6).all()):
        words = _("Each row sums to 0, since p and {target} both sum to 1.").format(target=target)
        product = "p"
    else:
        words = _("Each row sums to 0, since v sums to S, which is not 1 here, and p counts S times.")
        product = "S·p"
    if is_hard and bool((mass > 0).all()):
        return words + " " + _("Only the label's entry is negative: its logit should rise, the others fall.")
    count = int((grad < 0).sum())
    return (
        words
        + " "
        + _("Negative is where {p} lies below {target}, the class gets too little: {count} of {all}.").format(
            p=product, target=target, count=count, all=grad.numel()
        )
    )


def gradient_latex(a: CellArithmetic, cell: Cell, decimals: int = 4) -> str:
    """The gradient of one cell with its numbers: (0.0900 − 1)/3 = −0.3033."""
    name = rf"\frac{{\partial L}}{{\partial z_{{{cell.row},{cell.label}}}}}"
    result = latex_digits(a.grad, decimals)
    if not a.kept:
        return rf"{name} = 0 \cdot p = {result}"
    symbols = "p - y" if not names_v(a) else r"S \cdot p - v" if a.mass != 1 else "p - v"
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
