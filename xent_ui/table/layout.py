"""Columns and widths of the batch page's panels, for a window of 1440 pixels; narrower ones stack them."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

MAX_SIDE_BY_SIDE = 5
MAX_WITH_ROW_LOSSES = 4
# pixels
PAGE, GAP = 1060, 16
NAME_WIDTH, IGNORE_WIDTH, ROW_LOSS_WIDTH, SUM_WIDTH = 64, 72, 152, 52
LOGIT_WIDTH, BOX_WIDTH = 45, 40
DIGIT_WIDTH, POINT_WIDTH, CELL_EDGE = 7, 4, 9
MIN_HEATMAP, HEATMAP_CELL, HEATMAP_EDGE = 200, 66, 20


@dataclass(frozen=True)
class Widths:
    """Pixels of the panels that share a row, and of the columns of the two editors."""

    logit: int
    box: int
    heatmap: int
    row_losses: int


def side_by_side(num_classes: int, *, has_boxes: bool) -> Widths:
    """Widths of the panels where all share a row; has_boxes: the target has a box that ignores the row."""
    c = num_classes
    row_losses = ROW_LOSS_WIDTH if has_boxes else ROW_LOSS_WIDTH + SUM_WIDTH
    beside = row_losses + GAP if c <= MAX_WITH_ROW_LOSSES else 0
    free = PAGE - 3 * GAP - beside - NAME_WIDTH - (IGNORE_WIDTH if has_boxes else 0)
    cells = (LOGIT_WIDTH + BOX_WIDTH) * c
    heatmap = max(MIN_HEATMAP, min(HEATMAP_CELL * c + HEATMAP_EDGE, (free - cells) // 2))
    share = (free - 2 * heatmap) // c
    logit = share * LOGIT_WIDTH // (LOGIT_WIDTH + BOX_WIDTH)
    return Widths(logit, share - logit, heatmap, row_losses)


def number_width(text: str) -> int:
    """Pixels that a cell needs for the whole number: a narrower one would cut off its sign and its first digits."""
    return CELL_EDGE + sum(POINT_WIDTH if sign in "-." else DIGIT_WIDTH for sign in text)


def title_and_tools() -> tuple[DeltaGenerator, DeltaGenerator]:
    """Two columns: the title of the page, and the tools beside it."""
    title, tools = st.columns([2, 3], vertical_alignment="bottom")
    return title, tools


def five_panels(num_classes: int, *, has_boxes: bool) -> tuple[DeltaGenerator, ...]:
    """Columns for logits, target, probabilities, gradient and row losses: one row, or two by two for many classes."""
    c = num_classes
    if c > MAX_SIDE_BY_SIDE:
        logits, target, rows = st.columns([10, 10, 3], gap="small")
        probs, grad, _beside = st.columns([10, 10, 3], gap="small")
        return logits, target, probs, grad, rows
    widths = side_by_side(c, has_boxes=has_boxes)
    editors = [NAME_WIDTH + widths.logit * c, (IGNORE_WIDTH if has_boxes else 0) + widths.box * c]
    last = [widths.row_losses] if c <= MAX_WITH_ROW_LOSSES else []
    panels = st.columns([*editors, widths.heatmap, widths.heatmap, *last], gap="small")
    rows = panels[4] if last else st.columns([1, 3], gap="small")[0]
    return (*panels[:4], rows)
