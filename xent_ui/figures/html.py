"""As HTML: the loss between its marks on a line, bars, tables, and data for a component, which nobody sees."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from xent_ui.figures.theme import (
    APP_GROUND,
    BLUE,
    GREEN,
    GREY,
    GRID,
    GRID_OF_SIMPLEX,
    LINE,
    NEGATIVE,
    OUTLINE,
    POSITIVE,
    RED,
    TRANSPARENT,
    USED,
)
from xent_ui.text import number


@dataclass(frozen=True)
class _Label:
    """Words on the gauge; `x` is where, in percent of its width, which at its usual 320 pixels holds 53 letters."""

    x: float
    words: str

    @property
    def shift(self) -> int:
        """How much of the words lies left of x, in percent."""
        return 0 if self.x < 25 else 100 if self.x > 75 else 50

    def overlaps(self, other: _Label) -> bool:
        (left, right), (other_left, other_right) = self._span(), other._span()
        return left < other_right and other_left < right

    def _span(self) -> tuple[float, float]:
        width = 100 / 53 * len(self.words)
        left = self.x - width * self.shift / 100
        return left, left + width


def loss_gauge(loss: float, marks: Sequence[tuple[str, float]], *, label: str) -> str:
    """The loss on a line, between the losses that one compares it with, as HTML.

    Args:
      marks: names and values, in the unit of the loss.
      label: the same in words, for who does not see it.
    """
    finite = [value for value in (loss, *(value for _name, value in marks)) if math.isfinite(value)]
    low, high = min([0.0, *finite]), max([0.0, *finite])
    width = (high - low) or 1.0

    def position(value: float) -> float:
        return 2 + 96 * ((value - low) / width)

    parts = [
        '<div style="position:absolute;left:0;right:0;top:31px;height:2px;background:currentColor;opacity:.4"></div>'
    ]
    lines: list[list[_Label]] = [[], []]  # above and below
    for index, (name, value) in enumerate(marks):
        if not math.isfinite(value):
            continue
        label_here = _Label(position(value), f"{name} {number(value)}")
        parts.append(
            f'<div style="position:absolute;left:{label_here.x:.2f}%;top:22px;width:1px;height:20px;'
            'background:currentColor"></div>'
        )
        line = lines[index % 2]
        if line and line[-1].overlaps(label_here):
            line[-1] = _Label(line[-1].x, f"{line[-1].words} · {label_here.words}")
        else:
            line.append(label_here)
    for line, top in zip(lines, (0, 44), strict=True):
        parts += [
            f'<div style="position:absolute;left:{one.x:.2f}%;top:{top}px;transform:translateX({-one.shift}%);'
            f'font-size:12px;line-height:18px;white-space:nowrap">{html.escape(one.words)}</div>'
            for one in line
        ]
    if math.isfinite(loss):
        parts.append(
            f'<div style="position:absolute;left:{position(loss):.2f}%;top:26px;width:12px;height:12px;'
            f'background:{OUTLINE};transform:translateX(-50%) rotate(45deg)"></div>'
        )
    return (
        f'<div role="img" aria-label="{html.escape(label, quote=True)}" style="position:relative;height:64px">'
        f"{''.join(parts)}</div>"
    )


def signed_bars(values: Sequence[float], names: Sequence[str], *, selected: int, decimals: int, label: str) -> str:
    """A bar to the left or to the right for each class, with its number, as HTML.

    Args:
      selected: position of the class whose name is emphasised.
      label: what the bars are, for who does not see them.
    """
    longest = max((abs(value) for value in values if math.isfinite(value)), default=0.0) or 1.0
    words = [number(value, decimals, sign=True) for value in values]
    rows = []
    for k, (value, name) in enumerate(zip(values, names, strict=True)):
        length = 50 * abs(value) / longest if math.isfinite(value) else 0.0
        colour, side = (POSITIVE, "left") if value > 0 else (NEGATIVE, "right")
        edge = f"3px solid {USED};font-weight:600" if k == selected else f"3px solid {TRANSPARENT}"
        rows.append(
            f'<div style="overflow:hidden;text-overflow:ellipsis;padding-left:6px;border-left:{edge}">'
            f"{html.escape(name)}</div>"
            '<div style="position:relative;height:18px">'
            f'<div style="position:absolute;left:50%;top:0;bottom:0;width:1px;background:{LINE}"></div>'
            f'<div style="position:absolute;{side}:50%;top:2px;bottom:2px;width:{length:.2f}%;'
            f'background:{colour}"></div></div>'
            f'<div style="text-align:right">{words[k]}</div>'
        )
    style = "display:grid;grid-template-columns:minmax(2rem,max-content) 1fr max-content;gap:6px 8px;font-size:14px"
    told = f"{label}: " + ", ".join(f"{name} {word}" for name, word in zip(names, words, strict=True))
    return (
        f'<div role="img" aria-label="{html.escape(told, quote=True)}" style="{style};line-height:18px;'
        f'white-space:nowrap;font-variant-numeric:tabular-nums">{"".join(rows)}</div>'
    )


@dataclass(frozen=True)
class Marked:
    """The text of a cell that is more than a number: right or wrong, made or used by a step, or not there yet."""

    text: str
    tone: Literal["right", "wrong", "made", "used", "pale"]


Lines = Sequence[Sequence[str | Marked]]  # of a table

_MIXED = "color:color-mix(in srgb,{} 70%,currentColor)"  # darker on a light ground, lighter on a dark one
_GROUND = "background:color-mix(in srgb,{} 25%,transparent)"
_TONES = {
    "right": _MIXED.format(GREEN),
    "wrong": _MIXED.format(RED),
    "made": _GROUND.format(BLUE),
    "used": _GROUND.format(GREY),
    "pale": "opacity:.6",
}


# what lies to the right of a table's edge shows as a shadow there, until one has scrolled to it
_SHADOW = (
    f"background:linear-gradient(to left,{APP_GROUND} 40%,transparent) right/2.5rem 100% no-repeat local,"
    f"linear-gradient(to left,{GRID_OF_SIMPLEX},transparent) right/.9rem 100% no-repeat scroll"
)
# the widest a name gets before it breaks into lines, by the room there is: on a telephone the numbers need theirs
_NAME = "width:max-content;max-width:clamp(6.5rem,30cqi,26rem)"


def table(header: Sequence[str], rows: Lines, *, label: str) -> str:
    """Texts in lines and columns, the first of each line its name, as HTML; numbers stand below each other.

    Where it is wider than the page, it scrolls below its names. Its columns are as wide as their texts, and in a place
    of the same width it keeps its own.
    Streamlit's own table reads every cell as Markdown, which takes a browser longer than a picture.

    Args: label: what the table is, for who does not see it.
    """
    return f'<div style="container-type:inline-size">{_scrolled(header, rows, label, "min(100%,44rem)")}</div>'


def table_pair(
    parts: Sequence[tuple[Sequence[str], Sequence[Sequence[str | Marked]], str]], *, width_rem: float
) -> str:
    """Tables beside each other, or one below the other where they have no room; each as in `table`.

    Args:
      parts: header, rows and label of each.
      width_rem: how wide each is at least where they stand beside each other, whatever its numbers are, so that another
        number does not move them.
    """
    tables = "".join(
        f'<div style="flex:1 1 {width_rem:.2f}rem;min-width:0;max-width:100%">{_scrolled(*part, "100%")}</div>'
        for part in parts
    )
    return (
        '<div style="container-type:inline-size">'
        f'<div style="display:flex;flex-wrap:wrap;gap:12px 16px">{tables}</div></div>'
    )


def _scrolled(header: Sequence[str], rows: Lines, label: str, min_width: str) -> str:
    head = "".join(f'<th scope="col" style="{_edge(k)}">{html.escape(name)}</th>' for k, name in enumerate(header))
    lines = "".join(f"<tr>{''.join(map(_cell, row, range(len(row))))}</tr>" for row in rows)
    return (
        f'<div tabindex="0" style="overflow-x:auto;{_SHADOW}">'
        f'<table style="min-width:{min_width};border-collapse:separate;border-spacing:0;'
        "font-size:clamp(12px,2.4cqi,14px);"
        f'white-space:nowrap;font-variant-numeric:tabular-nums" aria-label="{html.escape(label, quote=True)}">'
        f"<thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>"
    )


def _cell(cell: str | Marked, column: int) -> str:
    if isinstance(cell, Marked):
        tag = "strong" if cell.tone == "made" else "span"
        words = f'<{tag} style="{_TONES[cell.tone]}">{html.escape(cell.text)}</{tag}>'
    else:
        words = html.escape(cell)
    if column == 0:
        return f'<th scope="row" style="{_edge(column)}"><div style="{_NAME}">{words}</div></th>'
    return f'<td style="{_edge(column)}">{words}</td>'


def _edge(column: int) -> str:
    # a name stays where it is while its line is scrolled, so it has the ground of the page
    side = f"left;white-space:normal;position:sticky;left:0;background:{APP_GROUND}" if column == 0 else "right"
    padding = "4px clamp(3px,1.1cqi,8px)"
    return f"padding:{padding};border-bottom:1px solid {GRID};text-align:{side};font-weight:400"


def one_of(texts: Sequence[str], shown: int) -> str:
    """One of several texts, in the room that the longest of them takes, as HTML: what lies below it keeps its place."""
    lines = "".join(
        f'<div style="grid-area:1/1;visibility:{"visible" if k == shown else "hidden"}">{html.escape(text)}</div>'
        for k, text in enumerate(texts)
    )
    return (
        '<div style="display:grid;font-size:.875rem;line-height:1.6;'
        f'color:color-mix(in srgb,currentColor 60%,transparent)">{lines}</div>'
    )


def hidden_json(data: Mapping[str, Any]) -> str:
    """JSON in a hidden paragraph of HTML, in which nothing can be taken for markup.

    It is on the page as soon as Streamlit has drawn it; the `data` of a component arrives a frame of the screen later.
    """
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    for mark in "<>&":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return f"<p hidden>{text}</p>"
