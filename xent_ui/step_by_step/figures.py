"""The computational graph of the chain, a box for each step, as a Plotly figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from xent_ui.figures.theme import GREY, LINE, MADE, NO_AXIS, figure, layout
from xent_ui.text import plotly_escaped

ROW_PITCH = 88
BOX_HEIGHT = 66


@dataclass(frozen=True)
class Node:
    """A box of the graph: one step.

    Attributes:
      title: its formula, as plain text.
      values, gradients: its numbers, as plain text.
      level: the row it stands in, from 0 at the top; may end half way between two rows.
      side: whether it stands beside the main column.
      levels: how many rows high it is.
      role: "made", "used" or "".
    """

    name: str
    title: str
    values: str
    gradients: str
    level: float
    side: bool = False
    levels: float = 1
    role: str = ""


def graph(nodes: Sequence[Node], edges: Sequence[tuple[str, str]], *, backward: bool, levels: int) -> go.Figure:
    """The computational graph, top to bottom: in each box its formula, its value, and ∂L/∂ of it.

    Args:
      edges: pairs of names, from what is used to what is made of it; a box without a level in between is fine.
      backward: the arrows point the way of the gradients.
      levels: height of the picture in rows, so that two graphs line up.
    """
    by_name = {node.name: node for node in nodes}
    has_side = any(node.side for node in nodes)
    arrows = [_arrow(by_name[start], by_name[end], has_side, backward) for start, end in edges]
    boxes: list[dict[str, Any]] = []
    texts: list[dict[str, Any]] = []
    for node in nodes:
        left, right = _extent(node, has_side)
        top, bottom = _top(node), _bottom(node)
        colour, width = {"made": (MADE, 3), "used": (GREY, 3)}.get(node.role, (LINE, 1))
        corners = {"x0": left, "x1": right, "y0": top, "y1": bottom}
        boxes.append({"type": "rect", **corners, "line": {"color": colour, "width": width}, "layer": "below"})
        mark = {"made": "▶ ", "used": "• "}.get(node.role, "")
        lines = [
            f"<b>{mark}{plotly_escaped(node.title)}</b>",
            plotly_escaped(node.values),
            plotly_escaped(node.gradients),
        ]
        middle = {"x": (left + right) / 2, "y": (top + bottom) / 2}
        texts.append({**middle, "text": "<br>".join(lines), "showarrow": False, "font": {"size": 12.5}})
    height = ROW_PITCH * levels
    return figure(
        [],
        layout(
            height,
            left=2,
            right=2,
            top=2,
            bottom=2,
            showlegend=False,
            xaxis={**NO_AXIS, "range": [0, 1]},
            yaxis={**NO_AXIS, "range": [height, 0]},
            shapes=boxes,
            annotations=arrows + texts,
        ),
    )


def _extent(node: Node, has_side: bool) -> tuple[float, float]:
    if not has_side:
        return 0.12, 0.88
    return (0.68, 0.99) if node.side else (0.01, 0.6)


def _top(node: Node) -> float:
    return node.level * ROW_PITCH + (ROW_PITCH - BOX_HEIGHT) / 2


def _bottom(node: Node) -> float:
    return _top(node) + (node.levels - 1) * ROW_PITCH + BOX_HEIGHT


def _arrow(start: Node, end: Node, has_side: bool, backward: bool) -> dict[str, Any]:
    (left_a, right_a), (left_b, right_b) = _extent(start, has_side), _extent(end, has_side)
    middle = (0.01 + 0.6) / 2 if has_side else 0.5
    if start.side == end.side:
        tail, head = (middle, _bottom(start)), (middle, _top(end))
    elif end.side:
        tail, head = (right_a, (_top(start) + _bottom(start)) / 2), ((left_b + right_b) / 2, _top(end))
    else:
        tail, head = ((left_a + right_a) / 2, _bottom(start)), (right_b, (_top(end) + _bottom(end)) / 2)
    if backward:
        tail, head = head, tail
    return {
        "x": head[0],
        "y": head[1],
        "ax": tail[0],
        "ay": tail[1],
        "xref": "x",
        "yref": "y",
        "axref": "x",
        "ayref": "y",
        "text": "",
        "showarrow": True,
        "arrowhead": 2,
        "arrowsize": 1.1,
        "arrowwidth": 1.4,
        "arrowcolor": LINE,
    }
