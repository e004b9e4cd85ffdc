"""What the page Step by step keeps between runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xent_ui.state.kept import Kept

STAGE = Kept[int]("traced_stage", 0)  # where the stepper stands, counted from the logits forward and back again
PLAYING = Kept[bool]("trace_plays", False)
HAS_TICKED = Kept[bool]("trace_has_ticked", False)  # whether the clock has run once since the page was drawn
CLASS_BOX = Kept[int]("trace_class", 0)  # the box that chooses the class in the formula
CELL_IS_GRADIENT = Kept[bool]("sum_side", False)  # which side of the chain's table the opened formula belongs to
CHOSEN_BAR = Kept[Mapping[str, Any]]("step_bars", {})  # Plotly's selection in the bars of the step
