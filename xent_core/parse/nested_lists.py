"""Nested lists, tensor(…) and array(…) as Python, NumPy and PyTorch write and print them: read, never evaluated."""

import re
from typing import NoReturn, TypeAlias, cast

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
from xent_core.parse.number import HOW_TO_WRITE, NUMBER, SIGN, InvalidText, parse_number, quoted

MAX_NESTING = 16
TOKENS_PER_NUMBER = 8  # as one column, [[np.float64(1.0)], takes seven
MAX_TOKENS = 4 * MAX_PASTED_NUMBERS

_TOKEN_PATTERN = re.compile(
    rf"""
    \s*+
    (?:
      (?P<comment>  \#[^\n]*+ )
    | (?P<ellipsis> \.\.\. | \u2026 )
    | (?P<string>   '[^'\n]*' | "[^"\n]*" )
    | (?P<angle>    <[^<>\n]*> )
    | (?P<number>   {SIGN}?\.?\d[\w.]*+ (?: (?<=[eE]){SIGN}[\w.]*+ ){{0,9}} )
    | (?P<name>     {SIGN}?[^\W\d]\w*+ (?: \.[^\W\d]\w*+ ){{0,9}} )
    | (?P<mark>     [\[\](),=] )
    | (?P<other>    . )
    | (?P<end>      \Z )
    )
    """,
    re.VERBOSE | re.DOTALL,
)
END = "end"
_CLOSING = {"[": "]", "(": ")"}
_CLOSERS = frozenset(_CLOSING.values())
# what a console or an assignment writes before the value: >>> logits =
_PREFIX = re.compile(r"(?:\s++|>>>|Out\[\d++\]:|Parameter containing:|[^\W\d][\w.]*+\s*+=(?!=)){0,20}")
_LIST_START = re.compile(rf"[\[(]\s*+(?:[\[(]|{SIGN}|\.?\d)")
_LIST_OR_CALL_START = re.compile(r"[\[(]|[+\-\u2212]?[^\W\d][\w.]*+\s*+\(")
_CALL_OF_LIST = re.compile(r"(?:tensor|array)\s*+\(\s*+\[")
_MATRIX_CALL = re.compile(
    r"(?:torch\.)?(?:tensor|as_tensor|from_numpy)"
    r"|(?:torch\.(?:cuda\.)?)?(?:Float|Double|Half|BFloat16)?Tensor"
    r"|(?:(?:torch\.)?nn\.)?Parameter"
    r"|(?:(?:np|numpy)\.)?(?:array|asarray|matrix)"
)
_DTYPE = r"float(?:16|32|64)?|double|single|half|longdouble|u?int(?:8|16|32|64)?"
_NUMBER_CALL = re.compile(rf"float|int|(?:np|numpy)\.(?:{_DTYPE})")
_POSITIONAL_DTYPE = re.compile(rf"(?:(?:np|numpy|torch)\.)?(?:bfloat16|{_DTYPE})")
_WHOLE_NUMBER = re.compile(rf"{SIGN}?[0-9]+")
_CONSTANT_MODULE = re.compile(r"(?:np|numpy|math|torch)\.")
_PASSED_OVER = frozenset(
    {"dtype", "device", "requires_grad", "grad_fn", "pin_memory", "layout", "copy", "order", "size", "shape"}
)
_EXPECTED = N_("Expected nested lists, torch.tensor(…) or np.array(…) with numbers in them.")
Node: TypeAlias = "str | list[Node]"


def literal_in(text: str) -> str | None:
    """The lists or the call in text, without the words before and the commas after; None if text is a table."""
    prefix = _PREFIX.match(text)
    body = text[prefix.end() if prefix else 0 :].rstrip(" \t\n,;")
    may_be_one = _LIST_OR_CALL_START.match(body) and body[-1] in "])"
    if _LIST_START.match(body) or may_be_one or _CALL_OF_LIST.search(body):
        return body
    return None


def parse_nested_lists(text: str, limits: Limits) -> TextMatrix:
    """The matrix in lists of lists; a flat list is one row."""
    rows = NestedListReader(text, max_depth=2, max_numbers=limits.numbers).rows()
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

    def __init__(self, text: str, *, max_depth: int, max_numbers: int = MAX_PASTED_NUMBERS) -> None:
        self._max_depth = max_depth
        tokens = _Tokens(text, max_numbers=max_numbers)
        self._tokens, self._kinds, self._texts = tokens, tokens.kinds, tokens.texts
        self._sequence_openings = tokens.sequence_openings()
        self._position = 0
        self._filling: list[list[Node]] = []  # the lists being filled, outermost first

    def node(self) -> Node:
        """The number, or the nested lists of numbers."""
        node = self._sequence("") if -1 in self._sequence_openings else self._value()
        if self._kinds[self._position] != END:
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

    def _next(self) -> str:
        """The text of the next token."""
        return self._texts[self._position]

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
        text = quoted(self._next())
        if self._kinds[self._position] == "string":
            self._refuse(_("{text} is a string beside a value, expected a comma between values.").format(text=text))
        self._refuse(
            _(
                "{text} follows a value. Expected a comma or the end: arithmetic, indexing and methods are not "
                "evaluated. Paste the result itself."
            ).format(text=text)
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
        while self._next() != closing:
            item = self._value()
            if items and isinstance(item, str) != isinstance(items[0], str):
                self._refuse(_("numbers and lists are mixed, expected one list per row. Put each row in brackets."))
            after = self._next()
            if after != closing:
                is_comma = after == ","
                if not is_comma and not self._tokens.starts_a_value(self._position):
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
        kind, text = self._kinds[position], self._texts[position]
        self._position += 1
        if kind == "number":
            return self._number(text)
        if kind == "name":
            return self._call(text) if self._next() == "(" else self._constant(text)
        if kind == "string":
            self._refuse(_("{text} is a string, expected a number. Remove the quotes.").format(text=quoted(text)))
        if text in _CLOSING:
            if position in self._sequence_openings:
                return self._sequence(_CLOSING[text])
            inner = self._value()
            self._close()
            return inner
        if text in (",", ")", "]", ""):
            self._refuse(_("empty, expected a number. {how_to_write}").format(how_to_write=_(HOW_TO_WRITE)))
        self._refuse(
            _("{text} is not part of a number. {literals} Arithmetic is not evaluated.").format(
                text=quoted(text), literals=_(_EXPECTED)
            )
        )

    def _number(self, text: str) -> str:
        try:
            parse_number(text)
        except InvalidText as error:
            self._refuse(str(error))
        return text.strip()

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
        while self._next() == ",":
            self._position += 1
            if self._next() != ")":
                self._pass_over_argument()
        self._close()
        return value

    def _number_call(self, sign: str, function: str) -> str:
        self._position += 1
        if self._kinds[self._position] == "string":
            number: Node = self._number(self._next()[1:-1])
            self._position += 1
        else:
            number = self._value()
        if not isinstance(number, str):
            self._refuse(_("{function}(…) holds a list, expected one number.").format(function=function))
        if "int" in function and not _WHOLE_NUMBER.fullmatch(number):
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
        kind, text = self._kinds[self._position], self._next()
        self._position += 1
        if kind == "name" and self._next() != "=" and _POSITIONAL_DTYPE.fullmatch(text):
            return
        if self._next() != "=" or text not in _PASSED_OVER:
            self._refuse(
                _("{text} is a second argument, expected one matrix and then at most {options}. Remove it.").format(
                    text=quoted(text), options=", ".join(sorted(_PASSED_OVER))
                )
            )
        depth = 0
        while depth or self._next() not in (",", ")"):
            text = self._next()
            depth += (text in _CLOSING) - (text in _CLOSERS)
            self._position += 1

    def _close(self) -> None:
        if self._next() != ")":
            self._refuse_text_after_value()
        self._position += 1


class _Tokens:
    """The tokens of a text, the parts of them each in a list of its own: that is several times as quick as objects.

    Attributes:
      kinds, texts: of each token; after the last come two of the kind END, which have no text.
    """

    def __init__(self, text: str, *, max_numbers: int) -> None:
        """Raises: InvalidText for a shortened printout, and as soon as there is too much, or brackets are too deep."""
        self.kinds: list[str] = []
        self.texts: list[str] = []
        self._spaced: list[bool] = []  # whether space comes before it
        depth = 0
        most = min(TOKENS_PER_NUMBER * max_numbers, MAX_TOKENS)
        for count, match in enumerate(_TOKEN_PATTERN.finditer(text)):
            if count > most:
                raise too_many_numbers(max_numbers)
            kind = cast(str, match.lastgroup)
            token = match[kind]
            if kind == "comment":
                continue
            if kind == "ellipsis":
                raise InvalidText(_(SHORTENED))
            if kind == END:
                break
            self.kinds.append(kind)
            self.texts.append(token)
            self._spaced.append(match.end() - match.start() > len(token))
            if kind == "mark":
                depth += (token in _CLOSING) - (token in _CLOSERS)
            if depth >= MAX_NESTING:
                raise InvalidText(
                    _(
                        "The brackets are nested more than {most} deep, expected the two levels of a matrix. Take one "
                        "slice, such as logits[0]."
                    ).format(most=MAX_NESTING)
                )
        self.kinds += [END, END]
        self.texts += ["", ""]
        self._spaced += [True, True]

    def starts_a_value(self, index: int) -> bool:
        """Whether space, and no comma, may separate a token from the value before it."""
        return self._spaced[index] and (self.kinds[index] in ("number", "name") or self.texts[index] in _CLOSING)

    def sequence_openings(self) -> set[int]:
        """Where a bracket opens a sequence: each "[", and a "(" with values apart by a comma, or by space after one.

        The text as a whole counts as such a "(", at index -1. What other "(" do is group, or call.
        """
        openings = set()
        stack = [[-1, 0]]  # index of an opening bracket, number of separators in it
        before = ""
        for index, text in enumerate(self.texts):
            stack[-1][1] += text == "," or (before in _CLOSERS and self.starts_a_value(index))
            before = text
            if text in _CLOSING:
                stack.append([index, 0])
            elif text in _CLOSERS:
                opening, separators = stack.pop()
                if opening < 0 or _CLOSING[self.texts[opening]] != text:
                    raise InvalidText(
                        _("A {bracket!r} closes nothing, expected matching brackets. Add or remove a bracket.").format(
                            bracket=text
                        )
                    )
                if self.texts[opening] == "[" or separators:
                    openings.add(opening)
        if len(stack) > 1:
            raise InvalidText(
                _(
                    "A {bracket!r} is never closed, expected matching brackets. Close it, or paste the end of the "
                    "text as well."
                ).format(bracket=self.texts[stack[-1][0]])
            )
        if stack[0][1]:
            openings.add(-1)
        return openings


def _split_sign(text: str) -> tuple[str, str]:
    return (text[0], text[1:]) if text[0] in "+-\u2212" else ("", text)
