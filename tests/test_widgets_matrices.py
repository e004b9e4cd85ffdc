"""Where the target lies in a heatmap."""

from xent_core import Problem, evaluate
from xent_ui.figures.heatmap import Cell
from xent_ui.widgets.matrices import target_cells

ROWS = [[1.0, 2, 3], [1, 2, 3]]


def test_labels_are_whole_cells_and_ignored_rows_have_none() -> None:
    assert target_cells(evaluate(Problem(ROWS, [2, -100]))) == [(Cell(0, 2), 1.0)]


def test_probabilities_are_cells_with_their_shares() -> None:
    cells = target_cells(evaluate(Problem(ROWS, [[0.0, 0.25, 0.75], [1.0, 0.0, 0.0]])))

    assert cells == [(Cell(0, 1), 0.25), (Cell(0, 2), 0.75), (Cell(1, 0), 1.0)]
