"""What the batch page keeps between runs: the cell that is explained, and the widgets that choose it."""

from __future__ import annotations

from typing import Any

from xent_ui.figures.heatmap import Cell
from xent_ui.state.kept import Kept

SELECTED = Kept[tuple[str, Cell] | None]("selected_cell", None)  # "gradient" or "probability", and the cell
# the boxes; None before they are drawn
QUANTITY = Kept[str | None]("why_quantity", None)
ROW, CLASS = Kept[int | None]("why_row", None), Kept[int | None]("why_class", None)
# the cell that was clicked in each matrix, as its component tells it
CLICKS = {quantity: Kept[dict[str, Any]](f"{quantity}_matrix", {}) for quantity in ("probability", "gradient")}

# the folded parts of the page: their widgets, which another page forgets, and whether they are open
FOLDS = {name: Kept[bool](name, False) for name in ("more_of_the_loss", "check_details", "tables")}
IS_OPEN = {name: Kept[bool](f"{name}_is_open", False) for name in FOLDS}

FRAME = "frame"  # of the container with the numbers that the matrices are drawn from
ROW_LOSSES = "row_losses"  # of the table of texts in that frame
ASKED = Kept[int]("edit_asked", 0)  # the number of the request that is being answered
IS_REST_OLD = Kept[bool]("is_rest_old", False)  # whether an edit has come since the rest of the page was drawn
