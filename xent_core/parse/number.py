"""parse_number: one number as people type it, or words that say why the text is none."""

import math
import re

from xent_core.language import N_, _

MAX_NUMBER_CHARACTERS = 64
SIGN = r"[+\-\u2212]"  # U+2212 is the minus of typeset text
_FINITE = rf"(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE]{SIGN}?[0-9]++)?"
_INFINITY = r"[iI][nN][fF](?:[iI][nN][iI][tT][yY])?"
_NAN = r"[nN][aA][nN]"
NUMBER: re.Pattern[str] = re.compile(rf"^{SIGN}?(?:{_FINITE}|{_INFINITY}|{_NAN})$")
_POINT_OR_THOUSANDS = re.compile(rf"{SIGN}?\d++,\d{{3}}")
_THOUSANDS = re.compile(rf"{SIGN}?\d{{1,3}}(?:,\d{{3}})+(?:\.\d*+)?")
_COMMA_FOR_POINT = re.compile(rf"{SIGN}?\d*+,\d++(?:[eE]{SIGN}?\d++)?")
_OTHER_BASE = re.compile(rf"{SIGN}?0[xXoObB]")
HOW_TO_WRITE = N_("Write digits with a point, such as -3.25 or 1e-3, or inf, -inf or nan.")
# what spreadsheets and pandas write where a number is missing
MISSING = re.compile(r"#(?:DIV/0!|N/A|NAME\?|NULL!|NUM!|REF!|VALUE!)|NA|N/A|n/a|<NA>|NULL|null")


class InvalidText(ValueError):
    """Text that is not a number or a matrix; one sentence says what came and how to write it."""


def parse_number(text: str) -> float:
    """The float64 that one piece of text stands for.

    Taken: an optional sign (+, -, or the typographic minus), then digits with a point and an exponent,
    inf, infinity or nan, whatever the case of their letters.
    Raises: InvalidText for everything else, text beyond 64 characters and finite text beyond float64 among it.
    Example:
      >>> parse_number(" -3.25 ")
      -3.25
      >>> parse_number("7,5")
      Traceback (most recent call last):
      xent_core.parse.number.InvalidText: '7,5' is not a number. For decimals, use a point: 7.5.
    """
    if not isinstance(text, str):
        raise InvalidText(
            _("a value of type {type}, expected the text of a number. {how_to_write}").format(
                type=type(text).__name__, how_to_write=_(HOW_TO_WRITE)
            )
        )
    stripped = text.strip()
    if not stripped:
        raise InvalidText(_("empty, expected a number. {how_to_write}").format(how_to_write=_(HOW_TO_WRITE)))
    if len(stripped) > MAX_NUMBER_CHARACTERS:
        raise InvalidText(
            _(
                "{text} has {count} characters, expected a number of at most {most}. Round it: float64 holds 17 digits."
            ).format(text=quoted(stripped), count=len(stripped), most=MAX_NUMBER_CHARACTERS)
        )
    if not NUMBER.fullmatch(stripped):
        raise InvalidText(_("{text} is not a number. {advice}").format(text=quoted(stripped), advice=_advice(stripped)))
    value = float(stripped.replace("\u2212", "-"))
    if math.isinf(value) and "inf" not in stripped.lower():
        raise InvalidText(
            _(
                "{text} overflows float64, expected at most about 1.8e308 in size. If infinity is meant, write "
                "inf or -inf."
            ).format(text=quoted(stripped))
        )
    return value


def quoted(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:39] + "\u2026")


def _advice(text: str) -> str:
    """What to write in place of text that is almost a number."""
    if any(character.isdigit() and not character.isascii() for character in text):
        return _("Write its digits as 0 to 9.")
    pointed, joined = text.replace(",", "."), text.replace(",", "")
    if _POINT_OR_THOUSANDS.fullmatch(text):
        return _("For decimals, use a point: {pointed}; for thousands, no separator: {joined}.").format(
            pointed=pointed, joined=joined
        )
    if _THOUSANDS.fullmatch(text):
        return _("For thousands, use no separator: {joined}.").format(joined=joined)
    if _COMMA_FOR_POINT.fullmatch(text):
        return _("For decimals, use a point: {pointed}.").format(pointed=pointed)
    if "_" in text and NUMBER.fullmatch(text.replace("_", "")):
        return _("Write it without underscores: {number}.").format(number=text.replace("_", ""))
    if _OTHER_BASE.match(text):
        return _("Write it in decimal digits, such as 16 for 0x10.")
    if MISSING.fullmatch(text):
        return _("Write nan where a number is missing.")
    if "\u221e" in text:
        return _("Write inf or -inf.")
    return _(HOW_TO_WRITE)
