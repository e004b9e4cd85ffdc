"""The formulas with the numbers of a cell in them."""

import math

import pytest

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


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (Problem([[1, 2, 3]], [0]), "p and y both sum to 1. Only the label's entry is negative"),
        # v = 0.9333, 0.0333, 0.0333: p of 0.0900, 0.2447, 0.6652 lies below it in the first alone
        (Problem([[1, 2, 3]], [0], label_smoothing=0.1), "p and v both sum to 1. Negative is where p lies below v"),
        (Problem([[1, 2, 3]], [0], label_smoothing=0.1), "1 of 3."),
        (Problem([[1, 2, 3]], [[0.5, 0.5, 0.0]]), "p and v both sum to 1. Negative is where p lies below v"),
        (Problem([[1, 2, 3]], [[0.5, 0.5, 0.0]]), "2 of 3."),
        # S = 0.4: 0.4·p is 0.0360, 0.0979, 0.2661
        (
            Problem([[1, 2, 3]], [[0.2, 0.2, 0.0]]),
            "not 1 here, and p counts S times. Negative is where S·p lies below v",
        ),
        (Problem([[1, 2, 3]], [[0.2, 0.2, 0.0]]), "2 of 3."),
        (Problem([[1, 2, 3]], [0], weight=[2.0, 1, 1]), "S times. Only the label's entry is negative"),
        (Problem([[-math.inf] * 3], [0]), "sums to nothing: its p are no numbers"),
        (Problem([[1, 2, 3]], [-100]), "Every row is ignored"),
        (Problem([[1, 2, 3]], [0], weight=[0.0, 1, 1]), "D = 0"),
    ],
)
def test_the_sum_of_a_row_of_the_gradient_is_explained(problem: Problem, words: str) -> None:
    assert words in formulas.row_sum_words(evaluate(problem))
