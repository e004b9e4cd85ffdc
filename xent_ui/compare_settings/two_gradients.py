"""Two gradients beside each other: how they differ in words, as heatmaps, by row and class, and in numbers."""

from __future__ import annotations

import math

import pandas as pd
import streamlit as st
import torch
from torch import Tensor

from xent_core.cross_entropy import Evaluation
from xent_core.distance import largest_finite
from xent_core.problem import DTYPES
from xent_core.settings_comparison import GradientPair
from xent_ui.figures import heatmap
from xent_ui.state.sheet import Sheet
from xent_ui.table.options import decimals
from xent_ui.text import _, markdown_escaped, number, short
from xent_ui.widgets import matrices, number_tables

MAX_CLASSES_BESIDE = 5  # of each matrix, for three in a row
MAX_TABLE_ROWS = 12  # on screen without scrolling
TABLE_BORDER = 2  # pixels
ROUNDING_IN_EPS = 8  # what a factor of 1 may be off by, in units of the dtype's eps
SAME_PULL = 1e-6  # relative: a smaller change of a pull is rounding


def gradient_words(pair: GradientPair, sheet: Sheet) -> list[str]:
    """How two gradients differ, and on which class and row the most, in sentences of Markdown."""
    broken = [
        _("{count} entries of {name}'s gradient are not finite.").format(count=count, name=name)
        for name, values in (("A", pair.a), ("B", pair.b))
        if (count := int((~values.isfinite()).sum()))
    ]
    if broken:
        return broken
    coarser = max(pair.a.dtype, pair.b.dtype, key=lambda dtype: torch.finfo(dtype).eps)
    if pair.factor is not None:
        if abs(pair.factor - 1) <= ROUNDING_IN_EPS * torch.finfo(coarser).eps:
            dtype = next(name for name, one in DTYPES.items() if one == coarser)
            return [_("The gradients are the same, within the rounding of {dtype}.").format(dtype=dtype)]
        return [
            _(
                "Every entry of {b}'s gradient is {factor} times that of A: the same direction, another length. "
                "With SGD, a learning rate divided by {factor} would undo it."
            ).format(b="B", factor=short(pair.factor))
        ]
    length = _change_words(*pair.norms)
    lines = []
    if length:
        lines.append(
            _("{b}'s gradient is {change} and points {degrees}° away from A's.").format(
                b="B", change=length, degrees=short(pair.degrees, 1)
            )
        )
    lines += _most_changed(pair.class_pulls, sheet.class_names)
    return lines + _most_changed(pair.row_pulls, sheet.row_names)


def _change_words(a: float, b: float) -> str:
    """By how much a length changes."""
    if not a or not b:
        return ""
    ratio = b / a
    if ratio >= 2:
        return _("{ratio} times as long").format(ratio=short(ratio, 2))
    percent = short(abs(ratio - 1) * 100, 1)
    return (_("{percent} % shorter") if ratio < 1 else _("{percent} % longer")).format(percent=percent)


def _most_changed(pulls: tuple[Tensor, Tensor], names: tuple[str, ...]) -> list[str]:
    """The names on which the pull falls and rises the most, each with its change."""
    before, after = pulls
    lines = []
    change = after - before
    least, most = int(change.argmin()), int(change.argmax())
    for index, rises in ((least, False), (most, True)):
        old, new = float(before[index]), float(after[index])
        if (new > old) != rises or new == old or abs(new - old) <= SAME_PULL * max(old, new):
            continue
        name = markdown_escaped(names[index])
        if not old:
            lines.append(_("{b} pulls on **{name}**, A does not.").format(b="B", name=name))
        elif not new:
            lines.append(_("{b} no longer pulls on **{name}**.").format(b="B", name=name))
        elif new / old >= 2:
            lines.append(
                _("{b} pulls **{ratio} times as hard on {name}**.").format(b="B", ratio=short(new / old, 2), name=name)
            )
        else:
            words = (
                _("{b} pulls **{percent} % more on {name}**.")
                if rises
                else _("{b} pulls **{percent} % less on {name}**.")
            )
            lines.append(words.format(b="B", percent=short(abs(new / old - 1) * 100, 1), name=name))
    return lines


def show_words(lines: list[str]) -> None:
    """Sentences, one below the other."""
    st.info("  \n".join(lines), icon=":material/compare_arrows:")


def heatmaps(
    pair: GradientPair, sheet: Sheet, titles: tuple[str, str, str], bound: float, evaluation: Evaluation
) -> None:
    """Both gradients on one scale, and their difference on its own.

    Args:
      titles: of a, b and b − a.
      bound: the end of the scale of both gradients.
      evaluation: whose labels are outlined.
    """
    outlines = matrices.target_cells(evaluation)
    largest = largest_finite(pair.difference)
    columns = st.columns(3, gap="small") if sheet.num_classes <= MAX_CLASSES_BESIDE else st.columns(1) * 3
    ends = (bound, bound, largest)
    for column, name, title, values, end in zip(
        columns, ("a", "b", "difference"), titles, (pair.a, pair.b, pair.difference), ends, strict=True
    ):
        with column, st.container(key=f"gradient_{name}"):
            st.markdown(f"**{title}**")
            matrices.gradient_heatmap(
                values,
                sheet,
                f"compare_{name}_matrix",
                bound=end,
                outlines=outlines,
                alt=_("{name}; the numbers are in the tables below").format(name=title),
            )


def gradient_bound(*evaluations: Evaluation) -> float:
    """The end of a scale that holds these gradients whatever the logits are."""
    return max((one.gradient_bound for one in evaluations if math.isfinite(one.gradient_bound)), default=1.0)


def by_row_and_class(pair: GradientPair, sheet: Sheet, losses: tuple[Tensor, Tensor] | None = None) -> None:
    """The pull on every row and on every class, for a, b and the difference."""
    rows, classes = st.columns([3, 2] if losses is not None else [1, 1], gap="medium")
    with rows, st.container(key="by_row"):
        st.markdown(f"**{_('By row')}** {_('pull: Σ |g| over the classes')}")
        columns = {}
        if losses is not None:
            columns = {_("loss A"): losses[0].double(), _("loss B"): losses[1].double()}
        _pull_table(sheet.row_names, pair.row_pulls, columns, "row")
    with classes, st.container(key="by_class"):
        st.markdown(f"**{_('By class')}** {_('pull: Σ |g| over the rows')}")
        _pull_table(sheet.class_names, pair.class_pulls, {}, "class")


def _pull_table(names: tuple[str, ...], pulls: tuple[Tensor, Tensor], first: dict[str, Tensor], kind: str) -> None:
    a, b = pulls
    columns = {**first, _("pull A"): a, _("pull B"): b}
    texts = {title: [number(value, decimals()) for value in values.tolist()] for title, values in columns.items()}
    texts["B − A"] = [number(value, decimals(), sign=True) for value in (b - a).tolist()]
    texts[_("change")] = [_percent(old, new) for old, new in zip(a.tolist(), b.tolist(), strict=True)]
    st.dataframe(
        pd.DataFrame({_("row") if kind == "row" else _("class"): list(names), **texts}),
        hide_index=True,
        row_height=heatmap.ROW_HEIGHT,
        height=table_height(len(names)),
        column_config={title: st.column_config.TextColumn(alignment="right") for title in texts},
        key=f"pull_by_{kind}",
        alt=_("Pull on each row") if kind == "row" else _("Pull on each class"),
    )


def table_height(num_rows: int) -> int:
    """Pixels of a table that shows its header and as many rows as fit without scrolling."""
    return heatmap.ROW_HEIGHT * (min(num_rows, MAX_TABLE_ROWS) + 1) + TABLE_BORDER


def _percent(old: float, new: float) -> str:
    if old == new:
        return "="
    return f"{number((new / old - 1) * 100, 1, sign=True)} %" if old else "–"


def numbers(pair: GradientPair, sheet: Sheet) -> None:
    """Both gradients and their difference as tables and CSV."""
    opened = st.expander(_("Exact numbers, as tables and CSV"), key="compare_tables", on_change="rerun")
    if opened.open:
        with opened:
            number_tables.number_tabs(
                {
                    "gradient_a": (_("gradient A"), pair.a),
                    "gradient_b": (_("gradient B"), pair.b),
                    "difference": ("B − A", pair.difference),
                },
                sheet,
            )
