"""The buttons of the examples: each sets A and B, or the micro-batches, to something worth seeing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import streamlit as st

from xent_core.settings_comparison import TOKENS
from xent_ui.compare_settings.state import MICRO_BATCHES, NUM_MICRO_BATCHES, SETTINGS, VIEW
from xent_ui.state import session
from xent_ui.state.sheet import PROBABILITIES, sheet_of_preset
from xent_ui.text import N_, _
from xent_ui.widgets.pinned_settings import INDICES, Settings, keep_pinned, settings_of, with_settings


def _compare(a: Settings, b: Settings, title: str) -> None:
    session.keep(VIEW, SETTINGS)
    keep_pinned(a)
    session.demonstrate(with_settings(session.visit().sheet, b), title)


def _encodings(title: str) -> None:
    sheet = session.visit().sheet
    now = settings_of(sheet)
    weight = now.weight or tuple(str(c + 1) for c in range(sheet.num_classes))
    both = replace(now, weight=weight, reduction="mean", label_smoothing=0.0)
    _compare(replace(both, form=INDICES), replace(both, form=PROBABILITIES), title)


def _smoothing(title: str) -> None:
    now = settings_of(session.visit().sheet)
    _compare(replace(now, label_smoothing=0.0), replace(now, label_smoothing=0.1), title)


def _reductions(title: str) -> None:
    now = settings_of(session.visit().sheet)
    _compare(replace(now, reduction="mean"), replace(now, reduction="sum"), title)


def _dtypes(title: str) -> None:
    now = settings_of(session.visit().sheet)
    _compare(replace(now, dtype="float32"), replace(now, dtype="float16"), title)


def _micro_batches(title: str) -> None:
    session.keep(VIEW, MICRO_BATCHES)
    session.keep(NUM_MICRO_BATCHES, NUM_MICRO_BATCHES.default)
    session.open_sheet(sheet_of_preset(TOKENS), title)


EXAMPLES: dict[str, tuple[str, Callable[[str], None]]] = {
    "encodings": (N_("Class indices against probabilities, weighted"), _encodings),
    "smoothing": (N_("Smoothing 0 against 0.1"), _smoothing),
    "reductions": (N_("Mean against sum"), _reductions),
    "dtypes": (N_("float32 against float16"), _dtypes),
    "micro-batches": (N_("Micro-batches with ignored tokens"), _micro_batches),
}


def example_buttons() -> None:
    """A button for each example; all but the last keep the numbers that are on the table, and each offers it back."""
    with st.container(horizontal=True, gap="small"):
        for name, (title, show) in EXAMPLES.items():
            st.button(_(title), key=f"example_{name}", on_click=show, args=(_(title),))
