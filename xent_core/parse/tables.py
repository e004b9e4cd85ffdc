"""Tables in pasted text: cells between tabs, semicolons, commas or spaces; rows and columns may have names."""

import csv
import io
import re
from collections.abc import Sequence

from xent_core.language import N_, _
from xent_core.parse.matrices import (
    MAX_PASTED_NUMBERS,
    SHORTENED,
    Limits,
    TextMatrix,
    require_rectangle,
    require_size,
    too_many_numbers,
)
from xent_core.parse.number import MISSING, NUMBER, SIGN, InvalidText, parse_number, quoted

CELLS_PER_NUMBER = 4  # names, empty cells and empty lines; and a table that is a little too large is told its size
_QUOTED_FIELD = re.compile(r'"[^"]*+"')  # a doubled quote inside parts it into two, which changes nothing here
_NUMBER_START = re.compile(rf"{SIGN}|[.,]?\d")
_ELLIPSES = ("...", "\u2026")
_NAMELESS = {
    "row": N_(
        "row {index} has no name, expected a name for each row. "
        "Give it one, remove the row if it holds no logits, or remove all row names."
    ),
    "column": N_(
        "column {index} has no name, expected a name for each column. "
        "Give it one, remove the column if it holds no logits, or remove all column names."
    ),
}
_NAMED_TWICE = {
    "row": N_("rows {first} and {second} are both named {name}, expected different names. Rename one."),
    "column": N_("columns {first} and {second} are both named {name}, expected different names. Rename one."),
}


def parse_table(text: str, limits: Limits) -> TextMatrix:
    """The matrix in a table, with the names of its rows and columns if it has any."""
    rows = _table_rows(text, limits)
    if any(cell in _ELLIPSES for row in rows for cell in row):
        raise InvalidText(_(SHORTENED))
    _square_up(rows)
    has_column_names, has_row_names = _where_names_are(rows)
    column_names = row_names = None
    if has_column_names:
        column_names = _checked_names(rows.pop(0)[has_row_names:], "column")
    if has_row_names:
        row_names = _checked_names([row[0] for row in rows], "row")
        rows = [row[1:] for row in rows]
    if not rows:
        raise InvalidText(
            _(
                "The text has names ({names}) and no numbers, expected a matrix. Paste the rows of numbers "
                "below the names."
            ).format(names=quoted(", ".join(column_names or ())))
        )
    require_size(rows, limits)
    for index, row in enumerate(rows):
        for column, cell in enumerate(row):
            try:
                parse_number(cell)
            except InvalidText as error:
                where = _("row {row}, column {column}: ").format(row=index, column=column)
                raise InvalidText(f"{where}{error}") from None
    return TextMatrix(cells=tuple(map(tuple, rows)), column_names=column_names, row_names=row_names)


def _table_rows(text: str, limits: Limits) -> list[list[str]]:
    """The stripped fields of each row; rows without any text are left out."""
    _require_few_cells(text.count("\n"), limits)
    unquoted = _QUOTED_FIELD.sub("", text)
    if "\t" in unquoted and any("\t" in line.strip() for line in unquoted.split("\n")):
        separator = "\t"
    elif ";" in unquoted:
        separator = ";"
    elif "," in unquoted:
        separator = ","
    else:
        separator = " "
        text = "\n".join(" ".join(line.split()) for line in text.split("\n"))
    _require_few_cells(text.count(separator) + text.count("\n"), limits)
    # csv skips spaces, and only spaces, before a quoted field
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True)
    try:
        rows = [[" ".join(field.split()) for field in row] for row in reader]
    except csv.Error as error:
        raise InvalidText(
            _(
                "line {line} of the text cannot be split into cells ({error}), expected a table. Close every "
                "quote, and double a quote inside quotes."
            ).format(line=reader.line_num, error=error)
        ) from None
    rows = [row for row in rows if any(row)]
    if not rows:
        raise InvalidText(_("The text has separators and no numbers, expected a matrix. Paste rows of numbers."))
    return rows


def _require_few_cells(separators: int, limits: Limits) -> None:
    """Raises: InvalidText if a text with so many separators is not worth being split. It costs next to nothing."""
    if separators >= min(CELLS_PER_NUMBER * limits.numbers, 2 * MAX_PASTED_NUMBERS):
        raise too_many_numbers(limits.numbers)


def _is_name(text: str) -> bool:
    """Whether text is a word that nobody can have meant as a number, or as a number that is missing."""
    is_like_a_number = _NUMBER_START.match(text) or NUMBER.fullmatch(text)
    return not is_like_a_number and not MISSING.fullmatch(text) and any(map(str.isalpha, text))


def _are_names(entries: Sequence[str]) -> bool:
    """Whether entries are names, perhaps with gaps, which _checked_names reports."""
    return any(entries) and all(not entry or _is_name(entry) for entry in entries)


def _square_up(rows: list[list[str]]) -> None:
    """Give a row of column names the empty corner that it lacks above row names; refuse rows of other lengths."""
    header, *body = rows
    if not body or not _are_names(header[1:] or header):
        require_rectangle(rows)
        return
    require_rectangle(body)
    if len(header) == len(body[0]) - 1 and _are_names(header) and _are_names([row[0] for row in body]):
        header.insert(0, "")
    if len(header) != len(body[0]):
        raise InvalidText(
            _(
                "The row of names has length {length}, expected length {expected}, as row 0 below it has. Name "
                "every column of numbers; a column that numbers the rows must go."
            ).format(length=len(header), expected=len(body[0]))
        )


def _where_names_are(rows: Sequence[Sequence[str]]) -> tuple[bool, bool]:
    """Whether the first row holds column names, and whether the first column holds row names."""
    corner = rows[0][0]
    if len(rows[0]) == 1:
        return _is_name(corner), False
    if not _are_names(rows[0][1:]):
        return False, _are_names([row[0] for row in rows])
    if not _are_names([row[0] for row in rows[1:]]):
        return _are_names([corner]) or not corner, False
    if corner and not _is_name(corner):
        raise InvalidText(
            _(
                "The corner above the row names holds {text}, expected a word or nothing. Empty it, or remove "
                "the names."
            ).format(text=quoted(corner))
        )
    return True, True


def _checked_names(names: Sequence[str], axis: str) -> tuple[str, ...]:
    first_index: dict[str, int] = {}
    for index, name in enumerate(names):
        if not name:
            raise InvalidText(_(_NAMELESS[axis]).format(index=index))
        if name in first_index:
            raise InvalidText(_(_NAMED_TWICE[axis]).format(first=first_index[name], second=index, name=quoted(name)))
        first_index[name] = index
    return tuple(names)
