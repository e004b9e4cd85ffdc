"""What the page One example keeps between runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xent_ui.one_example.row_draft import Draft
from xent_ui.state.kept import Kept
from xent_ui.widgets.row_chooser import FROM_BATCH

SOURCE_CHOICE = Kept[str]("example_source", FROM_BATCH)
FRESH_CLASSES = Kept[int | None]("fresh_classes", None)  # of a fresh row; None: as many as the batch has
FRESH_CLASSES_BOX = Kept[int]("example_classes", 2)
DRAFT = Kept[Draft | None]("one_example_draft", None)
LIVE_ROW = Kept[Mapping[str, Any]]("live_row", {})  # what the browser has sent of the row, to be checked
CURVE_CLASS = Kept[int]("curve_class", 0)  # along whose logit the loss is drawn
CURVE_CLASS_BOX = Kept[int]("curve_choice", 0)
# the experiments with labels: which one, and the classes chosen for it
EXPERIMENT = Kept[str]("experiment", "smoothing")
MIXED_FIRST = Kept[int]("mix_first", 0)
MIXED_SECOND = Kept[int]("mix_second", 0)
FLIPPED_TO = Kept[int]("flip_to", 0)
WEIGHTED = Kept[int]("weight_of", 0)
