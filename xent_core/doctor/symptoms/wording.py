"""How a finding writes numbers, positions and dtypes."""

from __future__ import annotations

from torch import Tensor


def index_text(where: list[int]) -> str:
    """2, or [2, 0] where there are several axes."""
    return str(where[0]) if len(where) == 1 else f"[{', '.join(map(str, where))}]"


def integer_text(value: int) -> str:
    """With a typographic minus."""
    return str(value).replace("-", "−")


def number_text(value: Tensor | float) -> str:
    """Four digits, as PyTorch's own NaN and infinities are written."""
    return f"{float(value):.4g}".replace("-", "−")
