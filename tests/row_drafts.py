"""Drafts of a row of One example, and the messages that its component sends."""

import json
from dataclasses import replace
from typing import Any

from xent_core.presets import PRESETS
from xent_ui.one_example import live, row_draft
from xent_ui.one_example.row_draft import Draft
from xent_ui.state.sheet import sheet_of_preset


def draft_of(preset: str = "worked-row-0", row: int = 0, **changes: Any) -> Draft:
    return row_draft.begin(replace(sheet_of_preset(PRESETS[preset]).only_row(row), **changes))


def message(draft: Draft, **changes: Any) -> dict[str, Any]:
    """What the browser sends when a hand has made these changes to what it was shown."""
    state = live.frame(draft)["state"]
    del state["share_values"]
    sent = {"generation": draft.generation, "sequence": draft.sequence + 1, "moved": None, "share": "0", **state}
    return json.loads(json.dumps({**sent, **changes}))


def after(draft: Draft, **changes: Any) -> Draft:
    return row_draft.take(draft, message(draft, **changes))
