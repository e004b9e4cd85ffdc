"""Texts for a CSV file that a spreadsheet would otherwise run as formulas (CSV injection)."""

from __future__ import annotations

import re

# the last four are the full-width signs of East Asian keyboards, which Excel takes for the others
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
_SIGNS = "[=+\\-@\t\r＝＋－＠]"
# where commas are decimal, a spreadsheet parts cells at semicolons, be they quoted for a reader of commas or not
_INNER = re.compile(f";(?={_SIGNS})")
_INNER_GUARDABLE = re.compile(f";(?='*{_SIGNS})")
_INNER_GUARDED = re.compile(f";'(?='*{_SIGNS})")


def is_formula(text: str) -> bool:
    """Whether a spreadsheet would compute a cell with this text."""
    return text.startswith(FORMULA_STARTS)


def harmless(text: str) -> str:
    """The text, with an apostrophe wherever a spreadsheet would begin a formula."""
    text = _INNER.sub(";'", text)
    return f"'{text}" if is_formula(text) else text


def guarded_inside(text: str) -> str:
    """The text with one more apostrophe after each semicolon before a formula; `unguarded_inside` gives it back."""
    return _INNER_GUARDABLE.sub(";'", text)


def unguarded_inside(text: str) -> str:
    """The text that `guarded_inside` was given."""
    return _INNER_GUARDED.sub(";", text)
