"""Nested lists, tensor(…) and array(…) as Python, NumPy and PyTorch write and print them: read, never evaluated."""

import re
from collections.abc import Sequence
from typing import NamedTuple, NoReturn, TypeAlias, cast

from xent_core.language import N_, _
from xent_core.parse.matrices import SHORTENED, Limits, TextMatrix, require_rectangle, require_size
from xent_core.parse.number import HOW_TO_WRITE, NUMBER, SIGN, InvalidText, checked_cell, quoted

MAX_NESTING = 16


class _Token(NamedTuple):
    kind: str
    text: str
    is_spaced: bool  # whether space comes before it


_TOKEN_PATTERN = re.compile(
    rf"""
      (?P<space>    (?: \s | \#[^\n]* )+ )
    | (?P<ellipsis> \.\.\. | \u2026 )
    | (?P<string>   '[^'\n]*' | "[^"\n]*" )
    | (?P<angle>    <[^<>\n]*> )
    | (?P<number>   {SIGN}?\.?\d (?: [eE]{SIGN} | [\w.] )* )
    | (?P<name>     {SIGN}?[^\W\d]\w* (?: \.[^\W\d]\w* )* )
    | (?P<mark>     [\[\](),=] )
    | (?P<other>    . )
    """,
    re.VERBOSE | re.DOTALL,
)
_END_OF_TEXT = _Token("end", "", True)
_CLOSING = {"[": "]", "(": ")"}
# what a console or an assignment writes before the value: >>> logits =
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
_EXPECTED = N_("Expected nested lists, torch.tensor(…) or np.array(…) with numbers in them.")
Node: TypeAlias = "str | list[Node]"


def literal_in(text: str) -> str | None:
    """The lists or the call in text, without the words before and the commas after; None if text is a table."""
    body = _PREFIX.sub("", text, count=1).rstrip(" \t\n,;")
    starts_a_list = re.match(rf"[\[(]\s*(?:[\[(]|{SIGN}|\.?\d)", body)
    may_start_one = re.match(r"[\[(]|[+\-\u2212]?[^\W\d][\w.]*\s*\(", body)
    if starts_a_list or (may_start_one and body[-1] in "])") or re.search(r"(?:tensor|array)\s*\(\s*\[", body):
        return body
    return None


def parse_nested_lists(text: str, limits: Limits) -> TextMatrix:
    """The matrix in lists of lists; a flat list is one row."""
    rows = NestedListReader(text, max_depth=2).rows()
    if not rows or not any(rows):
        raise InvalidText(
            _("The matrix is empty, expected at least one number. Write a list such as [[1, 2], [3, 4]].")
        )
    require_rectangle(rows)
    require_size(rows, limits)
    return TextMatrix(cells=tuple(map(tuple, rows)), column_names=None, row_names=None)


def flat_numbers(node: Node) -> tuple[list[str], tuple[int, ...]]:
    """The numbers in nested lists, and the shape of these."""
    if isinstance(node, str):
        return [node], ()
    parts = [flat_numbers(item) for item in node]
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


class NestedListReader:
    """Reads the numbers of one list, tensor(…) or array(…), token by token."""

    def __init__(self, text: str, *, max_depth: int) -> None:
        self._max_depth = max_depth
        self._tokens = _tokens(text)
        self._sequence_openings = _sequence_openings(self._tokens)
        self._position = 0
        self._filling: list[list[Node]] = []  # the lists being filled, outermost first

    def node(self) -> Node:
        """The number, or the nested lists of numbers."""
        node = self._sequence("") if -1 in self._sequence_openings else self._value()
        if self._next_token() is not _END_OF_TEXT:
            self._refuse_text_after_value()
        return node

    def rows(self) -> list[list[str]]:
        """The lists as rows of a matrix; max_depth must be 2."""
        node = self.node()
        if isinstance(node, str):
            raise InvalidText(
                _("{text} is a single number, expected a matrix. Write [[{node}]].").format(
                    text=quoted(node), node=node
                )
            )
        if all(isinstance(item, str) for item in node):
            node = [node]
        return cast("list[list[str]]", node)  # _sequence lets no deeper nesting and no mixture through

    def _next_token(self) -> _Token:
        return self._tokens[self._position] if self._position < len(self._tokens) else _END_OF_TEXT

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
                _("{text} is a string beside a value, expected a comma between values.").format(text=quoted(token.text))
            )
        self._refuse(
            _(
                "{text} follows a value. Expected a comma or the end: arithmetic, indexing and methods are not "
                "evaluated. Paste the result itself."
            ).format(text=quoted(token.text))
        )

    def _sequence(self, closing: str) -> Node:
        """The items up to the closing bracket, which is taken; either all or none of them have commas between."""
        if len(self._filling) == self._max_depth:
            self._refuse(
                _(
                    "a list, expected a number. A matrix has two levels of brackets, this has more. Take one slice, "
                    "such as logits[0]."
                )
            )
        items: list[Node] = []
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

    def _value(self) -> Node:
        position = self._position
        token = self._take()
        if token.kind == "number":
            return checked_cell(token.text, self._where())
        if token.kind == "name":
            return self._call(token.text) if self._next_token().text == "(" else self._constant(token.text)
        if token.kind == "string":
            self._refuse(_("{text} is a string, expected a number. Remove the quotes.").format(text=quoted(token.text)))
        if token.text in _CLOSING:
            if position in self._sequence_openings:
                return self._sequence(_CLOSING[token.text])
            inner = self._value()
            self._close()
            return inner
        if token.text in (",", ")", "]", ""):
            self._refuse(_("empty, expected a number. {how_to_write}").format(how_to_write=_(HOW_TO_WRITE)))
        self._refuse(
            _("{text} is not part of a number. {literals} Arithmetic is not evaluated.").format(
                text=quoted(token.text), literals=_(_EXPECTED)
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
                text=quoted(name)
            )
        )

    def _call(self, name: str) -> Node:
        sign, function = _split_sign(name)
        if _NUMBER_CALL.fullmatch(function):
            return self._number_call(sign, function)
        if sign or not _MATRIX_CALL.fullmatch(function):
            self._refuse(
                _("{text} is not evaluated. {literals} Paste the result of the call.").format(
                    text=quoted(name + "(…)"), literals=_(_EXPECTED)
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
            number: Node = checked_cell(token.text[1:-1], self._where())
        else:
            number = self._value()
        if not isinstance(number, str):
            self._refuse(_("{function}(…) holds a list, expected one number.").format(function=function))
        if "int" in function and not re.fullmatch(rf"{SIGN}?[0-9]+", number):
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
                    text=quoted(token.text), options=", ".join(sorted(_PASSED_OVER))
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


def _tokens(text: str) -> list[_Token]:
    tokens = []
    is_spaced = True
    for match in _TOKEN_PATTERN.finditer(text):
        kind = match.lastgroup or "other"
        if kind == "ellipsis":
            raise InvalidText(_(SHORTENED))
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
            if len(stack) > MAX_NESTING:
                raise InvalidText(
                    _(
                        "The brackets are nested more than {most} deep, expected the two levels of a matrix. Take one "
                        "slice, such as logits[0]."
                    ).format(most=MAX_NESTING)
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


def _split_sign(text: str) -> tuple[str, str]:
    return (text[0], text[1:]) if text[0] in "+-\u2212" else ("", text)
