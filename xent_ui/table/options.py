"""The option bar of the table: preset, the options of the loss, class weights, dtype, and decimals on screen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd
import streamlit as st

from xent_core.parse import InvalidText, parse_number
from xent_core.presets import PRESETS
from xent_ui.state import session
from xent_ui.state.kept import Kept
from xent_ui.state.sheet import PROBABILITIES, TARGET_KINDS, InvalidSheet, Sheet
from xent_ui.table.loss_options_form import LossOptionsForm
from xent_ui.text import _

DECIMALS = Kept[int]("decimals", 4)
PRESET = Kept[str | None]("preset_choice", None)
# None before the widget has its first value, which is that of the table
OPTION_ENTRIES = {
    name: Kept[Any](name, None)
    for name in ("reduction", "target_kind", "label_smoothing", "temperature", "dtype", "ignore_index")
}
HAS_WEIGHT = Kept[bool]("has_weight", False)
CLASS_COLUMN, WEIGHT_COLUMN = "class", "weight"


def option_bar() -> None:
    """Preset, reduction and kind of target in a row; all other options behind a button."""
    take_weights()
    if not _is_shown():
        return
    preset, reduction, target, more = st.columns([1.5, 1, 1.1, 1], vertical_alignment="bottom")
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
    with more, st.popover(_("More options"), width="stretch"):
        _more_options(form)


def folded_option_bar(label: str) -> None:
    """The option bar inside an expander, for pages that are about something else."""
    if _is_shown():
        with st.expander(label, icon=":material/tune:"):
            option_bar()


def _is_shown() -> bool:
    return not (session.is_hidden("presets") and session.is_hidden("options"))


def decimals() -> int:
    """How many decimals are printed on every page."""
    return int(session.kept(DECIMALS))


def _preset_choice() -> None:
    current = session.visit()
    session.keep(PRESET, current.preset or None)
    st.selectbox(
        _("Preset"),
        list(PRESETS),
        index=0 if current.preset else None,
        placeholder=_("From elsewhere: choose a preset"),
        format_func=lambda name: _(PRESETS[name].title),
        key=PRESET.name,
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
        session.begin(entry, getattr(session.visit().sheet, name))
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


def _more_options(form: LossOptionsForm) -> None:
    form.smoothing_slider(_("label_smoothing ε"), help=_("y' = (1 − ε)·y + ε/C"))
    form.temperature(help=_("The loss is of logits / T."))
    form.dtype()
    form.ignore_index(
        has_probabilities=session.visit().sheet.target_kind == PROBABILITIES,
        help=_("Rows with this target count neither in the loss nor in the mean."),
    )
    _weight_choice(form.disabled)
    session.begin(DECIMALS)
    st.slider(_("Decimals"), 0, 10, key=DECIMALS.name, persist_state="session")


def _weight_choice(locked: bool) -> None:
    current = session.visit().sheet
    switch = session.in_revision(HAS_WEIGHT)
    session.begin(switch, current.weight is not None)
    st.toggle(_("weight per class"), key=switch.name, on_change=_take_weight_switch, args=(switch,), disabled=locked)
    if current.weight is not None:
        base = session.editor_base("options")
        table = pd.DataFrame({CLASS_COLUMN: list(base.class_names), WEIGHT_COLUMN: list(base.weight or current.weight)})
        columns = {
            CLASS_COLUMN: st.column_config.TextColumn(_("class")),
            WEIGHT_COLUMN: st.column_config.TextColumn(_("weight"), alignment="right", required=True),
        }
        st.data_editor(
            table,
            key=session.editor_key("options"),
            hide_index=True,
            disabled=locked or [CLASS_COLUMN],
            column_config=columns,
        )


def _take_weight_switch(switch: Kept[bool]) -> None:
    current = session.visit().sheet
    session.edit(replace(current, weight=("1",) * current.num_classes if session.kept(switch) else None))
    session.redraw("options")


def take_weights() -> None:
    """Apply to the sheet the weights that were typed into their table, and refuse bad ones by the name of the class.

    A page that computes before it draws the options calls this first.
    """
    current = session.visit().sheet
    if current.weight is None:
        return
    edits = session.cell_edits("options", rows=len(current.weight), columns={WEIGHT_COLUMN})
    if edits is None:
        return
    weight = list(session.editor_base("options").weight or current.weight)
    refusals = []
    for row, _column, value in edits:
        text = str(value if value is not None else "").strip()
        try:
            parse_number(text)
            weight[row] = text
        except InvalidText as error:
            weight[row] = current.weight[row]
            refusals.append(
                _("weight of {name}: {error} It stays {kept}.").format(
                    name=current.class_names[row], error=error, kept=current.weight[row]
                )
            )
    session.edit(replace(current, weight=tuple(weight)))
    for message in refusals:
        session.refuse(message)
    if refusals:
        session.redraw("options")


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
