"""What the page Implementations keeps between runs."""

from xent_ui.state.kept import Kept

SCALES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
SCALE = Kept[int]("logit_scale", 1)  # the factor on all logits, one of SCALES
ROUTE = Kept[int]("implementation", 0)  # its index among the implementations
WORKED_ROW = Kept[int]("worked_row", 0)  # the row that is worked by hand
