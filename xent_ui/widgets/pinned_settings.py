"""The pinned settings, A of the page Compare settings: every page reads and pins them here."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import streamlit as st

from xent_core.loss_options import LossOptions
from xent_ui.state import session
from xent_ui.state.sheet import ONE_HOT, PROBABILITIES, Sheet
from xent_ui.text import _

INDICES = "class indices"


@dataclass(frozen=True)
class Settings:
    """The options of a Sheet without its numbers, and whether its target is taken as probabilities."""

    form: str = INDICES
    reduction: str = LossOptions.reduction
    label_smoothing: float = LossOptions.label_smoothing
    weight: tuple[str, ...] | None = None
    ignore_index: int = LossOptions.ignore_index
    temperature: float = LossOptions.temperature
    dtype: str = "float32"


SHARED_WITH_SHEET = tuple(field.name for field in fields(Settings) if field.name != "form")


def settings_of(sheet: Sheet) -> Settings:
    """The settings of a Sheet."""
    form = PROBABILITIES if sheet.target_kind == PROBABILITIES else INDICES
    return Settings(form=form, **{name: getattr(sheet, name) for name in SHARED_WITH_SHEET})


def with_settings(sheet: Sheet, settings: Settings) -> Sheet:
    """The numbers of a Sheet under these settings; weights are cut, or filled with 1, to its classes."""
    taken: dict[str, Any] = {name: getattr(settings, name) for name in SHARED_WITH_SHEET}
    if settings.weight is not None:
        taken["weight"] = (*settings.weight, *("1",) * sheet.num_classes)[: sheet.num_classes]
    as_probabilities = settings.form == PROBABILITIES
    if as_probabilities and settings.ignore_index >= 0:
        taken["ignore_index"] = (
            LossOptions.ignore_index
        )  # PyTorch refuses to ignore a class where the target holds probabilities
    changed = replace(sheet, **taken)
    if as_probabilities == (sheet.target_kind == PROBABILITIES):
        return changed
    return changed.with_target_kind(PROBABILITIES if as_probabilities else ONE_HOT)


def pinned() -> Settings:
    """The pinned settings; before any are, PyTorch's defaults in the dtype and the form of the table."""
    current = session.visit()
    if current.pinned is None:
        return Settings(form=settings_of(current.sheet).form, dtype=current.sheet.dtype)
    return settings_of(current.pinned)


def keep_pinned(settings: Settings) -> None:
    """Pin these settings, as a table with the present numbers, since the browser's tab keeps tables."""
    current = session.visit()
    current.pinned = with_settings(current.sheet, settings)


def pin_button() -> None:
    """A button that pins the settings on screen as A."""
    st.button(
        _("Pin as A"),
        icon=":material/keep:",
        on_click=pin,
        width="stretch",
        help=_("Keeps the options that are on screen. Compare settings shows them beside what you do next."),
    )


def pin() -> None:
    keep_pinned(settings_of(session.visit().sheet))
    st.toast(_("Pinned as A. Change an option, then open Compare settings."), icon=":material/keep:")
