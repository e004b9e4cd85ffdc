"""What the page Implementations keeps between runs."""

from xent_ui.state.kept import Kept

SCALES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
SCALE = Kept[int]("logit_scale", 100)  # the factor on all logits, one of SCALES; the first, where routes part
# index among the implementations; None before the page chooses one that fails
ROUTE = Kept[int | None]("implementation", None)
WORKED_ROW = Kept[int]("worked_row", 0)  # the row that is worked by hand
