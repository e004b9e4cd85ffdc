"""The settings that are pinned as A, which Compare settings shows beside those on screen; any page may pin them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import streamlit as st

from xent_ui.state import session
from xent_ui.state.sheet import ONE_HOT, PROBABILITIES, Sheet
from xent_ui.text import _

INDICES = "class indices"


@dataclass(frozen=True)
class Settings:
    """The options of a Sheet without its numbers, and whether its target is taken as probabilities."""

    form: str = INDICES
    reduction: str = "mean"
    label_smoothing: float = 0.0
    weight: tuple[str, ...] | None = None
    ignore_index: int = -100
    temperature: float = 1.0
    dtype: str = "float32"


def settings_of(sheet: Sheet) -> Settings:
    """What a Sheet is set to."""
    return Settings(
        form=PROBABILITIES if sheet.target_kind == PROBABILITIES else INDICES,
        reduction=sheet.reduction,
        label_smoothing=sheet.label_smoothing,
        weight=sheet.weight,
        ignore_index=sheet.ignore_index,
        temperature=sheet.temperature,
        dtype=sheet.dtype,
    )


def with_settings(sheet: Sheet, settings: Settings) -> Sheet:
    """The numbers of a Sheet under these settings; weights are cut, or filled with 1, to its classes."""
    weight = settings.weight
    if weight is not None:
        weight = (*weight[: sheet.num_classes], *("1",) * (sheet.num_classes - len(weight)))
    as_probabilities = settings.form == PROBABILITIES
    # PyTorch refuses to ignore a class where the target holds probabilities
    ignore_index = -100 if as_probabilities and settings.ignore_index >= 0 else settings.ignore_index
    changed = replace(
        sheet,
        reduction=settings.reduction,
        label_smoothing=settings.label_smoothing,
        weight=weight,
        ignore_index=ignore_index,
        temperature=settings.temperature,
        dtype=settings.dtype,
    )
    if as_probabilities == (sheet.target_kind == PROBABILITIES):
        return changed
    return changed.with_target_kind(PROBABILITIES if as_probabilities else ONE_HOT)


def pinned() -> Settings:
    """A: what was pinned; before that, PyTorch's defaults in the dtype and the form of the table."""
    current = session.visit()
    if current.pinned is None:
        return Settings(form=settings_of(current.sheet).form, dtype=current.sheet.dtype)
    return settings_of(current.pinned)


def keep_pinned(settings: Settings) -> None:
    """Let these settings be A, on the numbers of the table: what the tab keeps is a table."""
    current = session.visit()
    current.pinned = with_settings(current.sheet, settings)


def pin_button() -> None:
    """Pin what is on screen as A, with one click."""
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
