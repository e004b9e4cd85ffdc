"""The options of the loss: those of torch.nn.functional.cross_entropy, the temperature and the dtype."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import streamlit as st

from xent_core import DTYPES, PRESETS, REDUCTIONS
from xent_core.parse import InvalidText, parse_number
from xent_ui.state import session
from xent_ui.state.sheet import OPTION_RANGES, PROBABILITIES, TARGET_KINDS, InvalidSheet, Sheet
from xent_ui.text import _

DECIMALS = "decimals"
PRESET = "preset_choice"
CLASS_COLUMN, WEIGHT_COLUMN = "class", "weight"


def option_bar() -> None:
    """Preset, reduction, form of the target, and the rarer options behind a button."""
    take_weights()
    if not _is_shown():
        return
    preset, reduction, target, more = st.columns([1.5, 1, 1.1, 1], vertical_alignment="bottom")
    if not session.is_hidden("presets"):
        with preset:
            _preset_choice()
    if session.is_hidden("options"):
        return
    with reduction:
        _choice("reduction", _("reduction"), REDUCTIONS)
    with target:
        _choice("target_kind", _("target"), TARGET_KINDS)
    with more, st.popover(_("More options"), width="stretch"):
        _rare_options()


def folded_option_bar(label: str) -> None:
    """The same behind a line of text, for pages that are about something else."""
    if _is_shown():
        with st.expander(label, icon=":material/tune:"):
            option_bar()


def _is_shown() -> bool:
    return not (session.is_hidden("presets") and session.is_hidden("options"))


def decimals() -> int:
    """How many decimals the pictures print."""
    return int(session.kept(DECIMALS, 4))


def _preset_choice() -> None:
    current = session.visit()
    session.keep(PRESET, current.preset or None)
    st.selectbox(
        _("Preset"),
        list(PRESETS),
        index=0 if current.preset else None,
        placeholder=_("From elsewhere: choose a preset"),
        format_func=lambda name: _(PRESETS[name].title),
        key=PRESET,
        on_change=_take_preset,
        disabled=session.is_locked("presets"),
    )


def _take_preset() -> None:
    name = session.kept(PRESET)
    if name in PRESETS:
        session.open_preset(str(name))


def _choice(name: str, label: str, choices: Sequence[str], help: str | None = None) -> None:
    key = _option_key(name)
    st.selectbox(
        label, choices, key=key, on_change=_take_option, args=(name, key), help=help,
        disabled=session.is_locked("options"),
    )  # fmt: skip


def _option_key(name: str) -> str:
    key = session.option_key(name)
    session.begin(key, getattr(session.visit().sheet, name))
    return key


def _take_option(name: str, key: str) -> None:
    current = session.visit().sheet
    value = session.kept(key)
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
    """Put the target into another form, and say what the form cannot hold."""
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


def _rare_options() -> None:
    locked = session.is_locked("options")
    smoothing, temperature = _option_key("label_smoothing"), _option_key("temperature")
    st.slider(
        _("label_smoothing ε"), *OPTION_RANGES["label_smoothing"], step=0.01, key=smoothing, on_change=_take_option,
        args=("label_smoothing", smoothing), help=_("y' = (1 − ε)·y + ε/C"), disabled=locked,
    )  # fmt: skip
    st.number_input(
        _("temperature T"), *OPTION_RANGES["temperature"], step=0.1, format="%g", key=temperature,
        on_change=_take_option, args=("temperature", temperature), disabled=locked,
        help=_("The loss is of logits / T."),
    )  # fmt: skip
    _choice("dtype", _("dtype"), list(DTYPES))
    key = _option_key("ignore_index")
    least, largest = OPTION_RANGES["ignore_index"]
    st.number_input(
        "ignore_index",
        min_value=least,
        max_value=-1 if session.visit().sheet.target_kind == PROBABILITIES else largest,
        key=key,
        on_change=_take_option,
        args=("ignore_index", key),
        help=_("Rows with this target count neither in the loss nor in the mean."),
        disabled=locked,
    )
    _weight_choice()
    session.begin(DECIMALS, 4)
    st.slider(_("Decimals"), 0, 10, key=DECIMALS, persist_state="session")


def _weight_choice() -> None:
    current = session.visit().sheet
    key = session.option_key("has_weight")
    locked = session.is_locked("options")
    session.begin(key, current.weight is not None)
    st.toggle(_("weight per class"), key=key, on_change=_take_weight_switch, args=(key,), disabled=locked)
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


def _take_weight_switch(key: str) -> None:
    current = session.visit().sheet
    session.edit(replace(current, weight=("1",) * current.num_classes if session.kept(key) else None))
    session.redraw("options")


def take_weights() -> None:
    """Take what was typed into the table of the class weights, or refuse it by name.

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
    """The options in use, in a line."""
    used = [sheet.reduction, sheet.dtype]
    used += [f"T = {sheet.temperature:g}"] if sheet.temperature != 1 else []
    used += [f"ε = {sheet.label_smoothing:g}"] if sheet.label_smoothing else []
    used += ["weight"] if sheet.weight else []
    return " · ".join([_("Preset and options"), *used])
