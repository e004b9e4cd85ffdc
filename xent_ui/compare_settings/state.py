"""What the page Compare settings keeps between runs: the names, types and defaults."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from xent_ui.state.kept import Kept
from xent_ui.widgets.pinned_settings import Settings

SETTINGS, MICRO_BATCHES = ("settings", "micro-batches")
SIDES = ("A", "B")

VIEW = Kept[str]("compare_view", SETTINGS)
SWEPT_OPTION = Kept[str | None]("compare_option", None)
NUM_MICRO_BATCHES = Kept[int]("compare_parts", 2)
# the widgets of A and of B, by the names of the settings
SETTINGS_OF_SIDE = {
    side: {setting.name: Kept[Any](f"compare_{side}_{setting.name}", setting.default) for setting in fields(Settings)}
    for side in SIDES
}
# weights as they were typed, and why they were refused
REFUSED_WEIGHT = {side: Kept[tuple[str, str] | None](f"compare_{side}_refused", None) for side in SIDES}
