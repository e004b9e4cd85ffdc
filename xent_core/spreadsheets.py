"""Texts for a CSV file that a spreadsheet would otherwise run as formulas (CSV injection)."""

from __future__ import annotations

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def is_formula(text: str) -> bool:
    """Whether a spreadsheet would compute a cell with this text."""
    return text.startswith(FORMULA_STARTS)


def harmless(text: str) -> str:
    """The text, behind an apostrophe if a spreadsheet would run it as a formula."""
    return f"'{text}" if is_formula(text) else text
