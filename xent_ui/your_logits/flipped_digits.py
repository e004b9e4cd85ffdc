"""The example: digits of which a tenth of the labels was flipped, and how many of those a ranking has found."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

import xent_core
from xent_core.dump import DumpSummary, Suspects
from xent_ui.text import _

DIGITS = Path(xent_core.__file__).parent / "data" / "digits_dump.npz"
TRUE_LABELS = DIGITS.with_name("digits_true_labels.npy")


# Both files are our own, and arrays of numbers: no pickle is read.
@cache
def true_labels() -> np.ndarray:
    """(N,) uint8: the digit that each picture shows."""
    labels: np.ndarray = np.load(TRUE_LABELS, allow_pickle=False)
    return labels


@cache
def flipped() -> np.ndarray:
    """(N,) bool: which labels of the dump are not those."""
    with np.load(DIGITS, allow_pickle=False) as dump:
        is_other: np.ndarray = dump["target"] != true_labels()
    return is_other


def how_many_found(suspects: Suspects) -> None:
    """How many of the flipped labels stand among as many first rows of the ranking."""
    count = int(flipped().sum())
    first = suspects.row[:count]
    st.caption(
        _("Among the first {rows} of these rows stand {found} of the {count} labels that were flipped.").format(
            rows=len(first), found=int(flipped()[first].sum()), count=count
        )
    )


def with_truth(table: pd.DataFrame, summary: DumpSummary, suspects: Suspects) -> pd.DataFrame:
    """The table of these suspects with what each picture shows beside its label, and which labels were flipped."""
    shown = [summary.name_of(c) for c in true_labels()[suspects.row].tolist()]
    words = [
        _("{name}: flipped").format(name=name) if is_flipped else name
        for name, is_flipped in zip(shown, flipped()[suspects.row].tolist(), strict=True)
    ]
    table = table.copy()
    table.insert(list(table.columns).index(_("label")) + 1, _("truth"), words)
    return table
