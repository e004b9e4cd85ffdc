"""The widgets for the options of a loss: one form for every page that asks for them, and weights typed as text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from xent_core.loss_options import LossOptions
from xent_core.parse import InvalidText, parse_tensor
from xent_core.problem import DTYPES, REDUCTIONS
from xent_ui.state import session
from xent_ui.state.kept import Kept
from xent_ui.state.sheet import OPTION_RANGES
from xent_ui.text import _

MAX_WEIGHT_CHARACTERS = 100_000  # 4000 weights with all their digits, and ten times as many short ones
DEFAULTS: dict[str, Any] = {
    "reduction": LossOptions.reduction,
    "label_smoothing": LossOptions.label_smoothing,
    "temperature": LossOptions.temperature,
    "ignore_index": LossOptions.ignore_index,
    "weight": "",
}


def loss_option_entries(prefix: str, *options: str) -> dict[str, Kept[Any]]:
    """Where a page keeps the options that its visitor chooses, by option, PyTorch's defaults to begin with."""
    return {option: Kept(prefix + option, DEFAULTS[option]) for option in options}


@dataclass(frozen=True)
class LossOptionsForm:
    """One widget for each option; a page calls the methods of those that it shows, where it shows them.

    Attributes:
      entries: where the value of each widget is kept, by the name of the option.
      on_change: is called with the name of an option and its entry when its widget has changed.
      side: stands behind the labels, to tell two forms on a page apart.
      persists: whether the values outlive a visit to another page.
      disabled: whether the widgets are shown but cannot be used.
    """

    entries: Mapping[str, Kept[Any]]
    on_change: Callable[[str, Kept[Any]], None] | None = None
    side: str = ""
    persists: bool = False
    disabled: bool = False

    def begin(self) -> None:
        """Give every widget the default of its entry, if it has no value yet."""
        for entry in self.entries.values():
            session.begin(entry)

    def choice(self, option: str, label: str, choices: Sequence[str]) -> str:
        """An option that has one of several values; the label is shown with the side."""
        return str(st.selectbox(self._label(label), choices, **self._arguments(option)))

    def reduction(self) -> str:
        return self.choice("reduction", _("reduction"), REDUCTIONS)

    def dtype(self) -> str:
        return self.choice("dtype", _("dtype"), list(DTYPES))

    def label_smoothing(self, label: str = "label_smoothing", *, bounded: bool = True) -> float:
        """A box for label_smoothing; unbounded where values that PyTorch refuses are of interest too."""
        least, largest = OPTION_RANGES["label_smoothing"] if bounded else (None, None)
        arguments = self._arguments("label_smoothing")
        return float(st.number_input(self._label(label), least, largest, step=0.05, format="%g", **arguments))

    def smoothing_slider(self, label: str, *, help: str) -> float:
        """The same to be dragged, where every step is shown at once."""
        least, largest = OPTION_RANGES["label_smoothing"]
        arguments = self._arguments("label_smoothing") | {"help": help}
        return float(st.slider(self._label(label), least, largest, step=0.01, **arguments))

    def temperature(self, *, help: str | None = None) -> float:
        least, largest = OPTION_RANGES["temperature"]
        arguments = self._arguments("temperature") | {"help": help}
        label = self._label(_("temperature T"))
        return float(st.number_input(label, least, largest, step=0.1, format="%g", **arguments))

    def ignore_index(self, *, has_probabilities: bool = False, help: str | None = None) -> int:
        """A box for ignore_index: below 0 where the target holds probabilities, of which PyTorch ignores none."""
        least, largest = OPTION_RANGES["ignore_index"]
        arguments = self._arguments("ignore_index") | {"help": help}
        return int(st.number_input("ignore_index", least, -1 if has_probabilities else largest, step=1, **arguments))

    def weight(self, label: str, *, placeholder: str | None = None) -> str:
        """A line of text for the weights; `weights_of` reads it."""
        most = 2 * MAX_WEIGHT_CHARACTERS  # a little too much is answered in words; a browser takes no more than this
        return str(st.text_input(label, placeholder=placeholder, max_chars=most, **self._arguments("weight")) or "")

    def _label(self, label: str) -> str:
        return f"{label} {self.side}" if self.side else label

    def _arguments(self, option: str) -> dict[str, Any]:
        entry = self.entries[option]
        arguments: dict[str, Any] = {"key": entry.name, "disabled": self.disabled}
        if self.on_change is not None:
            arguments |= {"on_change": self.on_change, "args": (option, entry)}
        return arguments | ({"persist_state": "session"} if self.persists else {})


def weights_of(text: str, *, num_classes: int | None = None) -> tuple[str, ...] | None:
    """The weights in a line of text as they were typed, one per class; None for an empty line.

    Args: num_classes: how many are expected; None for any number.
    Raises: InvalidText for what is no list of numbers, or another number of them.
    Example:
      >>> weights_of("1, 2, 0.5")
      ('1', '2', '0.5')
      >>> weights_of("tensor([1., 2.])")
      ('1.', '2.')
    """
    if not text.strip():
        return None
    weights = parse_tensor(text, max_characters=MAX_WEIGHT_CHARACTERS).numbers
    if num_classes is not None and len(weights) != num_classes:
        raise InvalidText(
            _("{came} weights came, expected {count}, one per class.").format(came=len(weights), count=num_classes)
        )
    return weights
