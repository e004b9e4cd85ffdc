"""What the browser needs to draw a matrix by itself: exact numbers, texts, the cells to outline; as JSON.

The numbers travel as float64 in base64: half as long as decimals, and NaN and infinities need no words of their own.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from xent_ui.figures.heatmap import DARK_FROM, ROW_HEIGHT, Cell, cell_texts, scale_end
from xent_ui.figures.html import hidden_json
from xent_ui.figures.theme import DARK_INK, LIGHT_INK, OUTLINE, SELECTION, Scale, stops

MAX_NUMBERED = 20  # rows or classes; a larger matrix is drawn without a text in each cell
NAME_LETTER, NAME_EDGE, WIDEST_NAME = 7, 8, 92  # pixels of the names of rows


def drawing(scale: Scale, row_height: int = ROW_HEIGHT) -> dict[str, Any]:
    """What stays the same while the numbers change: colours, and the height of a row in pixels."""
    return {
        "colours": stops(scale),
        "symmetric": scale.symmetric,
        "dark_from": DARK_FROM,
        "row_height": row_height,
        "inks": {"outline": OUTLINE, "selection": SELECTION, "dark": DARK_INK, "light": LIGHT_INK},
    }


def matrix(
    values: Tensor,
    scale: Scale,
    *,
    label: str,
    bound: float = 1.0,
    outlines: Sequence[tuple[Cell, float]] = (),
    hover: Sequence[Sequence[str]] | None = None,
    decimals: int = 4,
    note: str = "",
) -> dict[str, Any]:
    """One matrix of a frame.

    Args:
      values: shape (N, C).
      label: what the matrix is, for who does not see it.
      bound: the value at the end of the scale; it should not depend on what is being edited.
      outlines: target cells, each with the share of the target it holds, in [0, 1].
      hover: what a cell says under the pointer, N rows of C plain texts; None for its names and its number.
      note: plain text below the matrix.
    """
    exact = np.ascontiguousarray(values.double().numpy(), dtype="<f8")
    return {
        "shape": list(exact.shape),
        "numbers": base64.b64encode(exact.tobytes()).decode(),
        "texts": cell_texts(exact, scale, decimals) if max(exact.shape) <= MAX_NUMBERED else None,
        "hover": hover,
        "label": label,
        "note": note,
        "bound": scale_end(bound),
        "outlines": [[cell.row, cell.label, share] for cell, share in outlines],
    }


def frame(
    matrices: Mapping[str, Mapping[str, Any]],
    *,
    row_names: Sequence[str],
    class_names: Sequence[str],
    chosen: tuple[str, Cell] | None = None,
    **more: Any,
) -> str:
    """Matrices of the same rows and classes, drawn at once, as hidden HTML in which nothing can be taken for markup.

    Args:
      matrices: what `matrix` gives, by name.
      chosen: the matrix and the cell that is being asked about.
      more: whatever else the same frame of the screen is to show.
    """
    widest = max(map(len, row_names), default=0)
    return hidden_json(
        {
            "rows": list(row_names),
            "classes": list(class_names),
            "rows_width": min(NAME_EDGE + NAME_LETTER * widest, WIDEST_NAME),
            "matrices": dict(matrices),
            "chosen": None if chosen is None else {"name": chosen[0], "row": chosen[1].row, "label": chosen[1].label},
            **more,
        }
    )


def numbers_of(matrix: Mapping[str, Any]) -> np.ndarray:
    """The numbers of one matrix of a frame, as the browser reads them: float64, shape (N, C)."""
    return np.frombuffer(base64.b64decode(matrix["numbers"]), dtype="<f8").reshape(matrix["shape"])
