"""Text on screen: translation, number formats, and a user's text escaped for Markdown, LaTeX and Plotly."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import TypeVar

from xent_core.language import N_, _, ngettext, use_catalogue, use_language

__all__ = [
    "MINUS",
    "N_",
    "WORD_JOINER",
    "_",
    "difference",
    "in_this_language",
    "latex",
    "markdown_escaped",
    "ngettext",
    "number",
    "plotly_escaped",
    "plotly_indexed",
    "power_of_ten",
    "short",
    "use_catalogue",
    "use_language",
]

T = TypeVar("T")

MINUS = "−"
WORD_JOINER = "\u2060"


def in_this_language(work: Callable[[], T]) -> Callable[[], T]:
    """The same work for another thread to do, its sentences in the language of this one."""
    context = copy_context()
    return lambda: context.copy().run(work)


def number(value: float, decimals: int = 4, *, sign: bool = False) -> str:
    """A number to read: 4 decimals, but never 0.0000 for what is not zero.

    Example:
      >>> number(-0.30326), number(0.0000031), number(-math.inf)
      ('−0.3033', '3.1e−06', '−inf')
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "inf" if value > 0 else f"{MINUS}inf"
    text = f"{value:{'+' if sign else ''}.{decimals}f}"
    if (value and float(text) == 0) or abs(value) >= 1e7:
        text = f"{value:{'+' if sign else ''}.1e}"
    elif float(text) == 0:
        text = text.lstrip("+-")
    return text.replace("-", MINUS)


def difference(before: float, after: float, decimals: int = 4) -> str:
    """By how much a number changes, as the two of `number` differ; where those look alike, the true difference.

    Example:
      >>> difference(85.643, 85.906, 2), difference(0.5, 0.500003)
      ('+0.27', '+3.0e−06')
    """
    shown = round(after, decimals) - round(before, decimals) if math.isfinite(after - before) else after - before
    return number(shown or after - before, decimals, sign=True)


def short(value: float, decimals: int = 4) -> str:
    """As `number`, without the zeros behind the point: "1", "0.9333"."""
    text = number(value, decimals)
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def power_of_ten(value: float) -> str:
    """One digit and a power of ten: 3·10⁻⁹; 0 is 0."""
    if value == 0 or not math.isfinite(value):
        return short(value)
    mantissa, exponent = f"{value:.0e}".split("e")
    superscript = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
    return f"{mantissa}·10{str(int(exponent)).translate(superscript)}"


def latex(value: float, decimals: int = 4) -> str:
    """A number inside a formula."""
    text = short(value, decimals).replace(MINUS, "-")
    if "e" in text:
        mantissa, exponent = text.split("e")
        return rf"{mantissa}\cdot 10^{{{int(exponent)}}}"
    return {"NaN": r"\mathrm{NaN}", "inf": r"\infty", "-inf": r"-\infty"}.get(text, text)


def latex_digits(value: float, decimals: int = 4) -> str:
    """A number inside a formula, with its zeros behind the point: 0.0900."""
    text = number(value, decimals).replace(MINUS, "-")
    return latex(value, decimals) if "e" in text or not math.isfinite(value) else text


# what is looked for once the escapes are gone: addresses, :icon: and :emoji:, and signs that stand alone
_FOUND_LATE = re.compile(
    r"(?<=:)(?=//)|(?<=www)(?=\.)|(?=@)|(?<=:)(?=[\w+\-/]+:)|(?<!\S)(?=(?:<->|->|<-|--|>=|<=|~=)(?!\S))", re.IGNORECASE
)


def markdown_escaped(text: str) -> str:
    """Text that Markdown shows as it is: no markup, picture, icon or formula, and no address turned into a link."""
    parted = _FOUND_LATE.sub(WORD_JOINER, text)  # an invisible character
    return re.sub(r"([\\`*_{}\[\]()<>#+\-.!|$~:&])", r"\\\1", parted)


def plotly_escaped(text: str) -> str:
    """Text that Plotly shows as it is; its labels know a little HTML."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def plotly_indexed(symbol: str, name: str) -> str:
    """A quantity of one class in a picture: the class is its index, as in formulas; in a sentence it is "p of class 2".

    Args: name: as `plotly_escaped` gives it.
    Example:
      >>> plotly_indexed("p", "2")
      'p<sub>2</sub>'
    """
    return f"{symbol}<sub>{name}</sub>"


def short_names(names: Sequence[str]) -> list[str]:
    """Names for narrow columns: what all of them begin with is left out where numbers remain, "class 2" is "2"."""
    prefix = names[0].rpartition(" ")[0] + " "
    rest = [name.removeprefix(prefix) for name in names]
    return rest if all(name.startswith(prefix) for name in names) and all(map(str.isdigit, rest)) else list(names)


def size_words(size: float) -> str:
    """A difference or an error: digits while it is large enough to have some, else a power of ten."""
    return short(size) if size >= 0.001 else power_of_ten(size)
