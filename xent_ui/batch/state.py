"""What the batch page keeps between runs: the cell that is explained, and the widgets that choose it."""

from __future__ import annotations

from typing import Any

from xent_ui.figures.heatmap import Cell
from xent_ui.state.kept import Kept

SELECTED = Kept[tuple[str, Cell] | None]("selected_cell", None)  # "gradient" or "probability", and the cell
# the boxes; None before they are drawn
QUANTITY = Kept[str | None]("why_quantity", None)
ROW, CLASS = Kept[int | None]("why_row", None), Kept[int | None]("why_class", None)
# what Streamlit says of a click in each heatmap
CLICKS = {quantity: Kept[dict[str, Any]](f"{quantity}_matrix", {}) for quantity in ("probability", "gradient")}
