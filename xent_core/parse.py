"""Numbers and matrices out of text that people type or paste: parsed, never evaluated."""

import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, NoReturn, TypeAlias, cast

from xent_core.language import N_, _

_MAX_NUMBER_CHARACTERS = 64
_MAX_TEXT_CHARACTERS = 1_000_000
_MAX_NESTING = 16

_SIGN = r"[+\-\u2212]"  # U+2212 is the minus of typeset text
_FINITE = rf"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE]{_SIGN}?[0-9]+)?"
_INFINITY = r"[iI][nN][fF](?:[iI][nN][iI][tT][yY])?"
_NAN = r"[nN][aA][nN]"
NUMBER: re.Pattern[str] = re.compile(rf"^{_SIGN}?(?:{_FINITE}|{_INFINITY}|{_NAN})$")

_HOW_TO_WRITE = N_("Write digits with a point, such as -3.25 or 1e-3, or inf, -inf or nan.")
_SHORTENED = N_(
    "The text holds '...': it is a shortened printout, expected every number. Print it whole: "
    'torch.set_printoptions(profile="full") or np.set_printoptions(threshold=sys.maxsize).'
)
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
# As spreadsheets and pandas write that there is no number.
_MISSING = re.compile(r"#(?:DIV/0!|N/A|NAME\?|NULL!|NUM!|REF!|VALUE!)|NA|N/A|n/a|<NA>|NULL|null")


class InvalidText(ValueError):
    """Text that is not a number or a matrix: what came, what was expected, what to do."""


@dataclass(frozen=True)
class TextMatrix:
    """A matrix as it was typed: "0.10" stays "0.10", and every cell is valid for parse_number."""

    cells: tuple[tuple[str, ...], ...]
    column_names: tuple[str, ...] | None
    row_names: tuple[str, ...] | None


@dataclass(frozen=True)
class TextTensor:
    """Numbers as they were typed, in the order of the rows; of a literal, its shape is exact, a table has two axes."""

    numbers: tuple[str, ...]
    shape: tuple[int, ...]
    is_table: bool


def parse_number(text: str) -> float:
    """The float64 that one piece of text stands for.

    Taken: an optional sign (+, -, or the typographic minus), then digits with a point and an exponent,
    inf, infinity or nan, whatever the case of their letters.
    Raises: InvalidText for everything else, text beyond 64 characters and finite text beyond float64 among it.
    Example: " -3.25 " → -3.25; "7,5" is refused: "use a point: 7.5".
    """
    if not isinstance(text, str):
        raise InvalidText(
            _("a value of type {type}, expected the text of a number. {how_to_write}").format(
                type=type(text).__name__, how_to_write=_(_HOW_TO_WRITE)
            )
        )
    stripped = text.strip()
    if not stripped:
        raise InvalidText(_("empty, expected a number. {how_to_write}").format(how_to_write=_(_HOW_TO_WRITE)))
    if len(stripped) > _MAX_NUMBER_CHARACTERS:
        raise InvalidText(
            _(
                "{text} has {count} characters, expected a number of at most {most}. Round it: float64 holds 17 digits."
            ).format(text=_quoted(stripped), count=len(stripped), most=_MAX_NUMBER_CHARACTERS)
        )
    if not NUMBER.fullmatch(stripped):
        raise InvalidText(
            _("{text} is not a number. {advice}").format(text=_quoted(stripped), advice=_advice(stripped))
        )
    value = float(stripped.replace("\u2212", "-"))
    if math.isinf(value) and "inf" not in stripped.lower():
        raise InvalidText(
            _(
                "{text} overflows float64, expected at most about 1.8e308 in size. If infinity is meant, write "
                "inf or -inf."
            ).format(text=_quoted(stripped))
        )
    return value


def parse_matrix(text: str, *, max_rows: int, max_columns: int) -> TextMatrix:
    r"""The matrix in pasted text: a table with separators, or what Python, NumPy and PyTorch write and print.

    A table is separated by tabs, else semicolons, else commas, else spaces; quotes work as in CSV.
    Its first row holds column names, and its first column row names, if they are words throughout (but for the corner).
    A name has a letter in it and does not begin like a number, so that no number is ever taken for a name.

    A literal is nested lists or tuples, tensor(…) or array(…); dtype, device and the like are passed over:
    the numbers are taken as they are written. A flat list is one row.

    Raises: InvalidText; rows and columns in its message count the numbers from 0, names left out.
    Example: "\tcat\tdog\nimage 7\t1\t2.50" → cells (("1", "2.50"),), column_names ("cat", "dog"),
      row_names ("image 7",).
    """
    lines = _lines_of(text)
    limits = _Limits(max_rows, max_columns)
    literal = _literal_in(lines)
    return _parse_table(lines, limits) if literal is None else _parse_literal(literal, limits)


def parse_tensor(text: str) -> TextTensor:
    """The numbers in pasted text with their shape: a table as `parse_matrix` reads it, or a literal of any depth.

    Raises: InvalidText.
    Example: "tensor([[[1., 2.]]])" → shape (1, 1, 2); "tensor(3)" → shape (); "1, 2" → a table of shape (1, 2).
    """
    lines = _lines_of(text)
    literal = _literal_in(lines)
    if literal is None:
        cells = _parse_table(lines, _Limits(_MAX_TEXT_CHARACTERS, _MAX_TEXT_CHARACTERS)).cells
        return TextTensor(tuple(cell for row in cells for cell in row), (len(cells), len(cells[0])), is_table=True)
    numbers, shape = _flat(_Literal(literal, max_depth=_MAX_NESTING).node())
    if not numbers:
        raise InvalidText(_("The list is empty, expected at least one number. Write a list such as [[1, 2], [3, 4]]."))
    return TextTensor(tuple(numbers), shape, is_table=False)


def _lines_of(text: str) -> str:
    """The text, if it is one that can be read, under one kind of line end."""
    if not isinstance(text, str):
        raise InvalidText(
            _("a value of type {type}, expected the text of a matrix. Paste rows of numbers.").format(
                type=type(text).__name__
            )
        )
    if len(text) > _MAX_TEXT_CHARACTERS:
        raise InvalidText(
            _("The text has {count:,} characters, expected at most {most:,}. Paste fewer rows.").format(
                count=len(text), most=_MAX_TEXT_CHARACTERS
            )
        )
    lines = "\n".join(text.lstrip("\ufeff").splitlines())  # every kind of line end becomes \n
    if not lines.strip():
        raise InvalidText(
            _("The text is empty, expected a matrix. Paste rows of numbers, or a list such as [[1, 2], [3, 4]].")
        )
    return lines


class _Limits(NamedTuple):
    rows: int
    columns: int


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:39] + "\u2026")


def _advice(text: str) -> str:
    """What to write in place of text that is almost a number."""
    if any(character.isdigit() and not character.isascii() for character in text):
        return _("Write its digits as 0 to 9.")
    pointed, joined = text.replace(",", "."), text.replace(",", "")
    if re.fullmatch(rf"{_SIGN}?\d+,\d{{3}}", text):
        return _("For decimals, use a point: {pointed}; for thousands, no separator: {joined}.").format(
            pointed=pointed, joined=joined
        )
    if re.fullmatch(rf"{_SIGN}?\d{{1,3}}(?:,\d{{3}})+(?:\.\d*)?", text):
        return _("For thousands, use no separator: {joined}.").format(joined=joined)
    if re.fullmatch(rf"{_SIGN}?\d*,\d+(?:[eE]{_SIGN}?\d+)?", text):
        return _("For decimals, use a point: {pointed}.").format(pointed=pointed)
    if "_" in text and NUMBER.fullmatch(text.replace("_", "")):
        return _("Write it without underscores: {number}.").format(number=text.replace("_", ""))
    if re.match(rf"{_SIGN}?0[xXoObB]", text):
        return _("Write it in decimal digits, such as 16 for 0x10.")
    if _MISSING.fullmatch(text):
        return _("Write nan where a number is missing.")
    if "\u221e" in text:
        return _("Write inf or -inf.")
    return _(_HOW_TO_WRITE)


def _checked_cell(text: str, where: str) -> str:
    """The text of a cell, stripped; where goes before what parse_number says against it."""
    try:
        parse_number(text)
    except InvalidText as error:
        raise InvalidText(f"{where}{error}") from None
    return text.strip()


def _require_rectangle(rows: Sequence[Sequence[str]]) -> None:
    width = len(rows[0])
    for index, row in enumerate(rows):
        if len(row) != width:
            raise InvalidText(
                _(
                    "row {row}, column {column}: this row has length {length}, expected length {expected}, as row 0 "
                    "has. Give every row the same length."
                ).format(row=index, column=min(len(row), width), length=len(row), expected=width)
            )


def _require_size(rows: Sequence[Sequence[str]], limits: _Limits) -> None:
    if len(rows) > limits.rows or len(rows[0]) > limits.columns:
        raise InvalidText(
            _(
                "The matrix has {rows} rows and {columns} columns, expected at most {most_rows} rows and "
                "{most_columns} columns. Paste a part of it."
            ).format(rows=len(rows), columns=len(rows[0]), most_rows=limits.rows, most_columns=limits.columns)
        )


def _parse_table(text: str, limits: _Limits) -> TextMatrix:
    rows = _table_rows(text)
    if any(cell in _ELLIPSES for row in rows for cell in row):
        raise InvalidText(_(_SHORTENED))
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
            ).format(names=_quoted(", ".join(column_names or ())))
        )
    _require_size(rows, limits)
    cells = tuple(
        tuple(
            _checked_cell(cell, _("row {row}, column {column}: ").format(row=index, column=column))
            for column, cell in enumerate(row)
        )
        for index, row in enumerate(rows)
    )
    return TextMatrix(cells=cells, column_names=column_names, row_names=row_names)


def _table_rows(text: str) -> list[list[str]]:
    """The stripped fields of each row; rows without any text are left out."""
    unquoted = re.sub(r'"(?:[^"]|"")*"', "", text)
    if any("\t" in line.strip() for line in unquoted.split("\n")):
        separator = "\t"
    elif ";" in unquoted:
        separator = ";"
    elif "," in unquoted:
        separator = ","
    else:
        separator = " "
        text = "\n".join(" ".join(line.split()) for line in text.split("\n"))
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


def _is_name(text: str) -> bool:
    """Whether text is a word that nobody can have meant as a number, or as a number that is missing."""
    is_like_a_number = re.match(rf"{_SIGN}|[.,]?\d", text) or NUMBER.fullmatch(text)
    return not is_like_a_number and not _MISSING.fullmatch(text) and any(map(str.isalpha, text))


def _are_names(entries: Sequence[str]) -> bool:
    """Whether entries are names, perhaps with gaps, which _checked_names reports."""
    return any(entries) and all(not entry or _is_name(entry) for entry in entries)


def _square_up(rows: list[list[str]]) -> None:
    """Give a row of column names the empty corner that it lacks above row names; refuse rows of other lengths."""
    header, *body = rows
    if not body or not _are_names(header[1:] or header):
        _require_rectangle(rows)
        return
    _require_rectangle(body)
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
            ).format(text=_quoted(corner))
        )
    return True, True


def _checked_names(names: Sequence[str], axis: str) -> tuple[str, ...]:
    first_index: dict[str, int] = {}
    for index, name in enumerate(names):
        if not name:
            raise InvalidText(_(_NAMELESS[axis]).format(index=index))
        if name in first_index:
            raise InvalidText(_(_NAMED_TWICE[axis]).format(first=first_index[name], second=index, name=_quoted(name)))
        first_index[name] = index
    return tuple(names)


class _Token(NamedTuple):
    kind: str
    text: str
    is_spaced: bool  # whether space comes before it


_TOKEN = re.compile(
    rf"""
      (?P<space>    (?: \s | \#[^\n]* )+ )
    | (?P<ellipsis> \.\.\. | \u2026 )
    | (?P<string>   '[^'\n]*' | "[^"\n]*" )
    | (?P<angle>    <[^<>\n]*> )
    | (?P<number>   {_SIGN}?\.?\d (?: [eE]{_SIGN} | [\w.] )* )
    | (?P<name>     {_SIGN}?[^\W\d]\w* (?: \.[^\W\d]\w* )* )
    | (?P<mark>     [\[\](),=] )
    | (?P<other>    . )
    """,
    re.VERBOSE | re.DOTALL,
)
_END = _Token("end", "", True)
_CLOSING = {"[": "]", "(": ")"}

# A console's or an assignment's words before the literal.
_PREFIX = re.compile(r"(?:\s|>>>|Out\[\d+\]:|Parameter containing:|[^\W\d][\w.]*\s*=(?!=))*")
_MATRIX_CALL = re.compile(
    r"(?:torch\.)?(?:tensor|as_tensor|from_numpy)"
    r"|(?:torch\.(?:cuda\.)?)?(?:Float|Double|Half|BFloat16)?Tensor"
    r"|(?:(?:torch\.)?nn\.)?Parameter"
    r"|(?:(?:np|numpy)\.)?(?:array|asarray|matrix)"
)
_DTYPE = r"float(?:16|32|64)?|double|single|half|longdouble|u?int(?:8|16|32|64)?"
_NUMBER_CALL = re.compile(rf"float|int|(?:np|numpy)\.(?:{_DTYPE})")
_POSITIONAL_DTYPE = re.compile(rf"(?:(?:np|numpy|torch)\.)?(?:bfloat16|{_DTYPE})")
_CONSTANT_MODULE = re.compile(r"(?:np|numpy|math|torch)\.")
_PASSED_OVER = frozenset(
    {"dtype", "device", "requires_grad", "grad_fn", "pin_memory", "layout", "copy", "order", "size", "shape"}
)
_LITERALS = N_("Expected nested lists, torch.tensor(…) or np.array(…) with numbers in them.")

_Node: TypeAlias = "str | list[_Node]"


def _literal_in(text: str) -> str | None:
    """The literal in text, without the words before and the commas after it; None if text is a table."""
    body = _PREFIX.sub("", text, count=1).rstrip(" \t\n,;")
    starts_a_list = re.match(rf"[\[(]\s*(?:[\[(]|{_SIGN}|\.?\d)", body)
    may_start_one = re.match(r"[\[(]|[+\-\u2212]?[^\W\d][\w.]*\s*\(", body)
    if starts_a_list or (may_start_one and body[-1] in "])") or re.search(r"(?:tensor|array)\s*\(\s*\[", body):
        return body
    return None


def _parse_literal(text: str, limits: _Limits) -> TextMatrix:
    rows = _Literal(text, max_depth=2).rows()
    if not rows or not any(rows):
        raise InvalidText(
            _("The matrix is empty, expected at least one number. Write a list such as [[1, 2], [3, 4]].")
        )
    _require_rectangle(rows)
    _require_size(rows, limits)
    return TextMatrix(cells=tuple(map(tuple, rows)), column_names=None, row_names=None)


def _flat(node: _Node) -> tuple[list[str], tuple[int, ...]]:
    """The numbers in nested lists, and the shape of these."""
    if isinstance(node, str):
        return [node], ()
    parts = [_flat(item) for item in node]
    shapes = list(dict.fromkeys(shape for _numbers, shape in parts))
    if len(shapes) > 1:
        raise InvalidText(
            _("Parts of shape {first} and of shape {second} stand side by side, expected one shape.").format(
                first=shapes[0], second=shapes[1]
            )
            + " "
            + _("Give every list of one level the same length.")
        )
    return [number for numbers, _shape in parts for number in numbers], (len(parts), *(shapes[0] if shapes else ()))


def _tokens(text: str) -> list[_Token]:
    tokens = []
    is_spaced = True
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or "other"
        if kind == "ellipsis":
            raise InvalidText(_(_SHORTENED))
        if kind != "space":
            tokens.append(_Token(kind, match.group(), is_spaced))
        is_spaced = kind == "space"
    return tokens


def _starts_a_value(token: _Token) -> bool:
    """Whether space, and no comma, may separate token from the value before it."""
    return token.is_spaced and (token.kind in ("number", "name") or token.text in _CLOSING)


def _sequence_openings(tokens: Sequence[_Token]) -> set[int]:
    """Where a bracket opens a sequence: each "[", and a "(" with values apart by a comma, or by space after a bracket.

    The text as a whole counts as such a "(", at index -1. What other "(" do is group, or call.
    """
    openings = set()
    stack = [[-1, 0]]  # index of an opening bracket, number of separators in it
    for index, token in enumerate(tokens):
        is_after_bracket = index > 0 and tokens[index - 1].text in _CLOSING.values()
        stack[-1][1] += token.text == "," or (is_after_bracket and _starts_a_value(token))
        if token.text in _CLOSING:
            stack.append([index, 0])
            if len(stack) > _MAX_NESTING:
                raise InvalidText(
                    _(
                        "The brackets are nested more than {most} deep, expected the two levels of a matrix. Take one "
                        "slice, such as logits[0]."
                    ).format(most=_MAX_NESTING)
                )
        elif token.text in _CLOSING.values():
            opening, separators = stack.pop()
            if opening < 0 or _CLOSING[tokens[opening].text] != token.text:
                raise InvalidText(
                    _("A {bracket!r} closes nothing, expected matching brackets. Add or remove a bracket.").format(
                        bracket=token.text
                    )
                )
            if tokens[opening].text == "[" or separators:
                openings.add(opening)
    if len(stack) > 1:
        raise InvalidText(
            _(
                "A {bracket!r} is never closed, expected matching brackets. Close it, or paste the end of the "
                "text as well."
            ).format(bracket=tokens[stack[-1][0]].text)
        )
    if stack[0][1]:
        openings.add(-1)
    return openings


class _Literal:
    """The numbers of one literal, read token by token."""

    def __init__(self, text: str, *, max_depth: int) -> None:
        self._max_depth = max_depth
        self._tokens = _tokens(text)
        self._sequence_openings = _sequence_openings(self._tokens)
        self._position = 0
        self._filling: list[list[_Node]] = []  # the lists being filled, outermost first

    def node(self) -> _Node:
        node = self._sequence("") if -1 in self._sequence_openings else self._value()
        if self._next_token() is not _END:
            self._refuse_text_after_value()
        return node

    def rows(self) -> list[list[str]]:
        node = self.node()
        if isinstance(node, str):
            raise InvalidText(
                _("{text} is a single number, expected a matrix. Write [[{node}]].").format(
                    text=_quoted(node), node=node
                )
            )
        if all(isinstance(item, str) for item in node):
            node = [node]
        return cast("list[list[str]]", node)  # _sequence lets no deeper nesting and no mixture through

    def _next_token(self) -> _Token:
        return self._tokens[self._position] if self._position < len(self._tokens) else _END

    def _take(self) -> _Token:
        token = self._next_token()
        self._position += 1
        return token

    def _where(self) -> str:
        """The place of the value being read, for the start of a message."""
        if not self._filling:
            return ""
        outer = self._filling[0]
        if len(self._filling) > 2:
            return f"{[len(one) for one in self._filling]}: "
        if len(self._filling) > 1:
            return _("row {row}, column {column}: ").format(row=len(outer), column=len(self._filling[1]))
        return (
            _("row {row}: ").format(row=len(outer))
            if outer and isinstance(outer[0], list)
            else _("row 0, column {column}: ").format(column=len(outer))
        )

    def _refuse(self, message: str) -> NoReturn:
        raise InvalidText(self._where() + message)

    def _refuse_text_after_value(self) -> NoReturn:
        token = self._next_token()
        if token.kind == "string":
            self._refuse(
                _("{text} is a string beside a value, expected a comma between values.").format(
                    text=_quoted(token.text)
                )
            )
        self._refuse(
            _(
                "{text} follows a value. Expected a comma or the end: arithmetic, indexing and methods are not "
                "evaluated. Paste the result itself."
            ).format(text=_quoted(token.text))
        )

    def _sequence(self, closing: str) -> _Node:
        """The items up to the closing bracket, which is taken; either all or none of them have commas between."""
        if len(self._filling) == self._max_depth:
            self._refuse(
                _(
                    "a list, expected a number. A matrix has two levels of brackets, this has more. Take one slice, "
                    "such as logits[0]."
                )
            )
        items: list[_Node] = []
        self._filling.append(items)
        has_commas: bool | None = None
        while self._next_token().text != closing:
            item = self._value()
            if items and isinstance(item, str) != isinstance(items[0], str):
                self._refuse(_("numbers and lists are mixed, expected one list per row. Put each row in brackets."))
            token = self._next_token()
            if token.text != closing:
                is_comma = token.text == ","
                if not is_comma and not _starts_a_value(token):
                    self._refuse_text_after_value()
                if has_commas not in (None, is_comma):
                    self._refuse(
                        _("a comma is missing beside this value. Put a comma between all values, or between none.")
                    )
                has_commas = is_comma
                self._position += is_comma
            items.append(item)
        self._filling.pop()
        self._position += 1
        return items

    def _value(self) -> _Node:
        position = self._position
        token = self._take()
        if token.kind == "number":
            return _checked_cell(token.text, self._where())
        if token.kind == "name":
            return self._call(token.text) if self._next_token().text == "(" else self._constant(token.text)
        if token.kind == "string":
            self._refuse(
                _("{text} is a string, expected a number. Remove the quotes.").format(text=_quoted(token.text))
            )
        if token.text in _CLOSING:
            if position in self._sequence_openings:
                return self._sequence(_CLOSING[token.text])
            inner = self._value()
            self._close()
            return inner
        if token.text in (",", ")", "]", ""):
            self._refuse(_("empty, expected a number. {how_to_write}").format(how_to_write=_(_HOW_TO_WRITE)))
        self._refuse(
            _("{text} is not part of a number. {literals} Arithmetic is not evaluated.").format(
                text=_quoted(token.text), literals=_(_LITERALS)
            )
        )

    def _constant(self, name: str) -> str:
        sign, word = _split_sign(name)
        number = _CONSTANT_MODULE.sub("", word, count=1)
        if NUMBER.fullmatch(number):
            return sign + number
        if word in ("True", "False"):
            self._refuse(
                _("{word} is a boolean, expected a number. Write {number} if a number is meant.").format(
                    word=word, number=int(word == "True")
                )
            )
        self._refuse(
            _("{text} is a name, expected a number. Names are not looked up: paste the numbers.").format(
                text=_quoted(name)
            )
        )

    def _call(self, name: str) -> _Node:
        sign, function = _split_sign(name)
        if _NUMBER_CALL.fullmatch(function):
            return self._number_call(sign, function)
        if sign or not _MATRIX_CALL.fullmatch(function):
            self._refuse(
                _("{text} is not evaluated. {literals} Paste the result of the call.").format(
                    text=_quoted(name + "(…)"), literals=_(_LITERALS)
                )
            )
        self._position += 1
        value = self._value()
        while self._next_token().text == ",":
            self._position += 1
            if self._next_token().text != ")":
                self._pass_over_argument()
        self._close()
        return value

    def _number_call(self, sign: str, function: str) -> str:
        self._position += 1
        token = self._next_token()
        if token.kind == "string":
            self._position += 1
            number: _Node = _checked_cell(token.text[1:-1], self._where())
        else:
            number = self._value()
        if not isinstance(number, str):
            self._refuse(_("{function}(…) holds a list, expected one number.").format(function=function))
        if "int" in function and not re.fullmatch(rf"{_SIGN}?[0-9]+", number):
            self._refuse(
                _("{function}({number}) does not hold an integer. Write the number without {function}.").format(
                    function=function, number=number
                )
            )
        self._close()
        if sign not in ("-", "\u2212"):
            return number
        inner_sign, digits = _split_sign(number)
        return digits if inner_sign in ("-", "\u2212") else sign + digits

    def _pass_over_argument(self) -> None:
        """Skip what says how numbers are stored; refuse what may say which numbers they are."""
        token = self._take()
        if token.kind == "name" and self._next_token().text != "=" and _POSITIONAL_DTYPE.fullmatch(token.text):
            return
        if self._next_token().text != "=" or token.text not in _PASSED_OVER:
            self._refuse(
                _("{text} is a second argument, expected one matrix and then at most {options}. Remove it.").format(
                    text=_quoted(token.text), options=", ".join(sorted(_PASSED_OVER))
                )
            )
        depth = 0
        while depth or self._next_token().text not in (",", ")"):
            text = self._take().text
            depth += (text in _CLOSING) - (text in _CLOSING.values())

    def _close(self) -> None:
        if self._next_token().text != ")":
            self._refuse_text_after_value()
        self._position += 1


def _split_sign(text: str) -> tuple[str, str]:
    return (text[0], text[1:]) if text[0] in "+-\u2212" else ("", text)
