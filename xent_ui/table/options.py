"""The option bar of the table: preset, the options of the loss, class weights, dtype, and decimals on screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from xent_core.parse import InvalidText
from xent_core.presets import PRESETS
from xent_ui import glossary
from xent_ui.state import session
from xent_ui.state.kept import Kept
from xent_ui.state.sheet import PROBABILITIES, TARGET_KINDS, InvalidSheet, Sheet
from xent_ui.table.loss_options_form import LossOptionsForm, weights_of
from xent_ui.text import _, markdown_escaped

DECIMALS = Kept[int]("decimals", 4)
PRESET = Kept[str | None]("preset_choice", None)
# None before the widget has its first value, which is that of the table
OPTION_ENTRIES = {
    name: Kept[Any](name, None)
    for name in ("reduction", "target_kind", "label_smoothing", "temperature", "dtype", "ignore_index", "weight")
}


def option_bar(*, is_folded: bool = False) -> None:
    """Preset, reduction and kind of target in a row; all other options behind a button.

    Args: is_folded: the bar itself is behind a click already, so that the other options stand below it.
    """
    if not _is_shown():
        return
    preset, reduction, target, *button = st.columns(
        [1.5, 1, 1.1] if is_folded else [1.5, 1, 1.1, 1], vertical_alignment="bottom"
    )
    if not session.is_hidden("presets"):
        with preset:
            _preset_choice()
    if session.is_hidden("options"):
        return
    form = _form()
    with reduction:
        form.reduction()
    with target:
        form.choice("target_kind", _("target"), TARGET_KINDS)
    if is_folded:
        _more_options(form, st.columns(3))
    else:
        _more_options(form, [button[0].popover(_("More options"), width="stretch")] * 3)


def folded_option_bar(label: str) -> None:
    """The option bar inside an expander, for pages that are about something else."""
    if _is_shown():
        with st.expander(label, icon=":material/tune:"):
            option_bar(is_folded=True)


def _is_shown() -> bool:
    return not (session.is_hidden("presets") and session.is_hidden("options"))


def decimals() -> int:
    """How many decimals are printed on every page."""
    return int(session.kept(DECIMALS))


def _preset_choice() -> None:
    preset, changed = session.untouched_preset(), session.visit().preset
    session.keep(PRESET, preset or None)
    elsewhere = _("From elsewhere: choose a preset")
    st.selectbox(
        _("Preset"),
        list(PRESETS),
        index=0 if preset else None,
        placeholder=_("{title}, changed").format(title=_(PRESETS[changed].title)) if changed else elsewhere,
        format_func=lambda name: _(PRESETS[name].title),
        key=PRESET.name,
        help=_("An example to begin with; Undo brings back what was there.")
        + f"\n\n{glossary.explained('classes', 'weight')}",
        on_change=_take_preset,
        disabled=session.is_locked("presets"),
    )


def _take_preset() -> None:
    name = session.kept(PRESET)
    if name in PRESETS:
        session.open_preset(str(name))


def _form() -> LossOptionsForm:
    entries = {name: session.in_revision(entry) for name, entry in OPTION_ENTRIES.items()}
    for name, entry in entries.items():
        value = getattr(session.visit().sheet, name)
        session.begin(entry, ", ".join(value or ()) if name == "weight" else value)
    return LossOptionsForm(entries, on_change=_take_option, disabled=session.is_locked("options"))


def _take_option(name: str, entry: Kept[Any]) -> None:
    current = session.visit().sheet
    value = session.kept(entry)
    if value is None:
        session.redraw("options")
        return
    try:
        if name == "target_kind":
            take_target_kind(current, str(value))
        elif name == "weight":
            _take_weights(current, str(value))
        else:
            session.edit(replace(current, **{name: value}))
    except InvalidSheet as error:  # a value that the widget does not offer
        session.refuse(str(error))
        session.redraw("options")


def take_target_kind(current: Sheet, kind: str) -> None:
    """Convert the target to one-hot, class index or probabilities, with a message if that loses something."""
    loses = kind != PROBABILITIES == current.target_kind and current.is_soft()
    ignored = kind == PROBABILITIES != current.target_kind and None in current.labels
    session.edit(current.with_target_kind(kind))
    session.redraw("target")
    if loses:
        session.refuse(_("Labels hold one class per row: soft rows became their largest class. Undo brings them back."))
    if ignored:
        session.refuse(
            _("Probabilities cannot be ignored: ignored rows became rows of zeros, which still count in the mean.")
        )


def _more_options(form: LossOptionsForm, places: Sequence[DeltaGenerator]) -> None:
    target, numbers, others = places
    with target:
        form.smoothing_slider(_("label_smoothing ε"), help=glossary.explained("smoothing", "classes"))
        form.temperature(help=glossary.explained("temperature"))
    with numbers:
        form.dtype()
        form.ignore_index(
            has_probabilities=session.visit().sheet.target_kind == PROBABILITIES,
            help=_("Rows with this target count neither in the loss nor in the mean."),
        )
    with others:
        _weights(form)
        session.begin(DECIMALS)
        st.slider(_("Decimals"), 0, 10, key=DECIMALS.name, persist_state="session")


def _take_weights(current: Sheet, text: str) -> None:
    session.visit().refused.clear()
    try:
        session.edit(replace(current, weight=weights_of(text, num_classes=current.num_classes)))
    except InvalidText:  # which stands below the box, where the text stays
        session.refuse(_("The weights could not be read: those of before still count. More options say why."))


def _weights(form: LossOptionsForm) -> None:
    current = session.visit().sheet
    text = form.weight(_("weight per class, such as 1, 2, 0.5; empty for none"))
    try:
        weights_of(text, num_classes=current.num_classes)
    except InvalidText as error:
        st.error(markdown_escaped(str(error)), icon=":material/edit_off:")


def option_words(sheet: Sheet) -> list[str]:
    """The options that are not at their default, as PyTorch's arguments."""
    words: list[str] = []
    defaults: dict[str, Any] = {"label_smoothing": 0.0, "temperature": 1.0, "ignore_index": -100, "dtype": "float32"}
    for name, default in defaults.items():
        value = getattr(sheet, name)
        if value != default:
            words.append(f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}")
    return words


def problem_words(sheet: Sheet) -> str:
    """The options in use in a line: the label of the folded option bar."""
    used = [sheet.reduction, sheet.dtype]
    used += [f"T = {sheet.temperature:g}"] if sheet.temperature != 1 else []
    used += [f"ε = {sheet.label_smoothing:g}"] if sheet.label_smoothing else []
    used += ["weight"] if sheet.weight else []
    return " · ".join([_("Preset and options"), *used])
