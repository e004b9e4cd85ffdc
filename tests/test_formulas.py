"""The formulas with the numbers of a cell in them."""

import math

from xent_core import Problem, evaluate
from xent_core.cell import cell_arithmetic
from xent_ui.figures.heatmap import Cell
from xent_ui.widgets import formulas


def test_the_softmax_of_a_cell_divides_each_logit_by_the_temperature() -> None:
    """T = 2: m = 3/2, e^(1/2 - 3/2) = 0.3679, and the sum is e^-1 + e^-1/2 + 1 = 1.9744."""
    evaluation = evaluate(Problem([[1.0, 2, 3]], [0], temperature=2.0))
    total = math.exp(-1) + math.exp(-0.5) + 1

    text = formulas.probability_latex(cell_arithmetic(evaluation, 0, 0), Cell(0, 0))

    assert r"\frac{e^{z_{0,0}/T - m}}{\sum_j e^{z_{0,j}/T - m}}" in text
    assert rf"\frac{{e^{{1/2 - 1.5}}}}{{{total:.4f}}}" in text
    assert rf"\frac{{0.3679}}{{{total:.4f}}} = {math.exp(-1) / total:.4f}" in text


def test_without_a_temperature_the_logits_stand_alone() -> None:
    evaluation = evaluate(Problem([[1.0, 2, 3]], [0]))

    text = formulas.probability_latex(cell_arithmetic(evaluation, 0, 2), Cell(0, 2))

    assert r"p_{0,2} &= \frac{e^{z_{0,2} - m}}{\sum_j e^{z_{0,j} - m}}" in text
