"""No text makes the program wait: whatever reads text takes a time that grows as the text does, and no faster.

Every regular expression is found in the syntax trees, and timed on texts that grow against it.
"""

import ast
import base64
import contextlib
import re
import time
import zlib
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, NamedTuple

import pytest

import xent_core.parse.nested_lists
import xent_core.parse.tables
from tests.growth import Attack, attacks_on, growth
from tests.program import ROOT, Source, imports, sources
from xent_core import Problem
from xent_core.codec import Document, InvalidFile, InvalidToken, from_json, from_token
from xent_core.codec.csv_table import read_csv
from xent_core.codec.tokens import VERSION
from xent_core.doctor.torch_messages import PATTERNS, recognise
from xent_core.parse import InvalidText, TextMatrix, parse_matrix, parse_number, parse_tensor
from xent_core.parse.matrices import MAX_PASTED_NUMBERS
from xent_core.parse.number import MAX_NUMBER_CHARACTERS
from xent_host.widget_filter import _is_json, _is_selection
from xent_ui.state.link import link_of_query, opening_of
from xent_ui.state.sheet import MAX_CLASSES, MAX_ROWS, InvalidSheet, Sheet

IMPORTABLE = ("xent_core", "xent_host", "xent_ui")
ANCHORED = ("match", "fullmatch")
EVERYWHERE = ("search", "sub", "subn", "split", "findall", "finditer")
# what reads nothing but files that were installed with the program, each with its reason
NO_VISITORS_TEXT = {
    "<script>(.*?)</script>": "Streamlit's own page",
    r"<script\b(?![^>]*\bsrc=)": "Streamlit's own page",
    r'"\./static/js/([\w.\-]+\.js)"': "Streamlit's own page",
    r'(?:from|import)"\./([\w.\-]+\.js)"': "Streamlit's own scripts",
    r'<script type="module"[^>]*\bsrc="[^"]*static/js/': "Streamlit's own page",
}


class Pattern(NamedTuple):
    """A regular expression of the program, and how it is used."""

    place: str
    text: str
    flags: int
    method: str  # of EVERYWHERE or ANCHORED

    def run(self, text: str) -> None:
        """What the program does with it, its results thrown away."""
        compiled = re.compile(self.text, self.flags)
        if isinstance(self.text, bytes):
            text = text.encode("utf-8", "surrogatepass")  # type: ignore[assignment]  # as the pattern is
        if self.method in ANCHORED:
            getattr(compiled, self.method)(text)
        elif self.method == "search":
            compiled.search(text)
        else:
            compiled.sub(self.text[:0], text)  # finds them all, and does nothing else


def patterns_of(source: Source, namespace: dict[str, Any]) -> Iterator[Pattern]:
    """Every pattern in a module: where `re` is called, and the compiled ones that its variables hold, in tables too.

    Raises: AssertionError for one that cannot be told from the syntax: it must be a constant of its module.
    """
    if any(name == "regex" or name.startswith("re.") for _line, name in imports(source)):
        raise AssertionError(f"{source.path}: write import re, and re.compile(…)")
    assigned = {
        id(node) for one in source.tree.body if isinstance(one, ast.Assign | ast.AnnAssign) for node in ast.walk(one)
    }
    for node in ast.walk(source.tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="re"), attr=method), args=[pattern, *_]) if method in (
                *ANCHORED,
                *EVERYWHERE,
                "compile",
            ):
                if method == "compile" and id(node) in assigned:
                    continue  # found in the variable
                place = f"{source.path}:{node.lineno}"
                text, flags = _value(pattern, namespace, place), 0
                for keyword in node.keywords:
                    flags = _value(keyword.value, namespace, place) if keyword.arg == "flags" else flags
                where_flags_are = {"compile": 1, "sub": 4, "subn": 4, "split": 3}.get(method, 2)
                if len(node.args) > where_flags_are:
                    flags = _value(node.args[where_flags_are], namespace, place)
                yield Pattern(place, text, int(flags), "search" if method == "compile" else method)
    for name, value in namespace.items():
        for compiled in _compiled_in(value):
            for method in _methods(source, name) or ("search",):
                yield Pattern(f"{source.path}: {name}", compiled.pattern, compiled.flags, method)


def _value(node: ast.expr, namespace: dict[str, Any], place: str) -> Any:
    try:
        return eval(compile(ast.Expression(node), place, "eval"), dict(namespace))
    except NameError as error:
        raise AssertionError(f"{place}: {error}; a pattern is a constant of its module") from error


def _compiled_in(value: object) -> Iterator[re.Pattern[str]]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, tuple | list | set | frozenset):
        for one in value:
            yield from _compiled_in(one)
    elif isinstance(value, dict):
        yield from _compiled_in(list(value.values()))


def _methods(source: Source, name: str) -> tuple[str, ...]:
    """How the module uses a compiled pattern of this name."""
    used = [
        node.attr
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == name
    ]
    return tuple(dict.fromkeys(method for method in used if method in (*ANCHORED, *EVERYWHERE)))


def _all_patterns() -> list[Pattern]:
    """Those of the whole program, each once for each way in which it is used."""
    found: dict[tuple[str, int, str], Pattern] = {}
    for source in sources(ROOT):
        if any(name in ("re", "regex") or name.startswith("re.") for _line, name in imports(source)):
            namespace = vars(import_module(source.module)) if source.under(*IMPORTABLE) else {"re": re}
            for pattern in patterns_of(source, namespace):
                found.setdefault(pattern[1:], pattern)
    return list(found.values())


ALL_PATTERNS = _all_patterns()


def growths(pattern: Pattern) -> Iterator[str]:
    """The texts on which a pattern's time grows faster than the text, and how."""
    for attack in attacks_on(pattern.text, pattern.flags):
        if how := growth(pattern.run, attack):
            yield f"{pattern.place}: {pattern.method} {pattern.text!r} on {attack}: {how}"


@pytest.mark.parametrize(
    "pattern",
    [one for one in ALL_PATTERNS if one.text not in NO_VISITORS_TEXT],
    ids=lambda one: f"{one.place} {one.method}",
)
def test_no_pattern_takes_longer_than_the_text_grows(pattern: Pattern) -> None:
    assert next(growths(pattern), None) is None


def test_every_pattern_is_found() -> None:
    found = {pattern.text for pattern in ALL_PATTERNS}

    assert {pattern.pattern for pattern, _codes in PATTERNS} <= found
    assert set(NO_VISITORS_TEXT) <= found
    assert len(found) > 60


@pytest.mark.long
@pytest.mark.parametrize(
    ("pattern", "method"),
    [
        (r"nll_loss\w*_(index|out_frame)\S* not implemented for '(Int|Short|Char|Bool)'", "search"),
        (r"nll_loss\w* (not implemented|is not implemented) for '(Int|Short|Char|Bool)'", "search"),
        (r"index out of bounds.*assert|assert.*index out of bounds", "search"),
        (r"log_softmax\w*\"? not implemented for|'aten::_log_softmax'", "search"),
        (r"(a+)+$", "match"),
        (r"(a|a)*b", "match"),
        (r"\s+$", "search"),
        (r"<(.*?)>", "sub"),
        (r"(\w+\s?)*x", "fullmatch"),
        (r"x*y*x*z", "match"),
    ],
)
def test_a_pattern_that_backtracks_is_noticed(pattern: str, method: str) -> None:
    assert next(growths(Pattern("here", pattern, 0, method)), None) is not None


def test_a_pattern_that_is_made_up_while_the_program_runs_is_noticed() -> None:
    source = Source("made_up.py", "", ast.parse("import re\ndef f(name, text): return re.search(name + '*', text)"))

    with pytest.raises(AssertionError, match="a constant of its module"):
        list(patterns_of(source, {"re": re}))


def test_the_code_for_the_browser_has_no_pattern() -> None:
    # a pattern there would hold up nobody but its own visitor; whoever needs one reads it, and names it here
    scripts = [path for folder in IMPORTABLE for path in (ROOT / folder).rglob("*.js")]
    uses = re.compile(r"\bRegExp\b|\.(?:match|matchAll|search|test|exec)\(|\.(?:replace|replaceAll|split)\(/")

    assert scripts
    assert [path.name for path in scripts if uses.search(path.read_text("utf-8"))] == []


# Whatever reads a visitor's text

UNITS = (
    *("1, 2, 3\n", "1\n", "1,", "1 ", "1\t", "\n", ";", "a,", '"', '""', '" ', '"a",', "x=", "a.", ">>>", "[", "[[1]]"),
    *(
        "()",
        "9",
        "#\n",
        "tensor(",
        "tensor (\n",
        "<a>",
        "'",
        "1_",
        ".",
        "1e+",
        "a = ",
        "\xa0",
        "é",
        '{"a":',
        "]",
        "&a=1",
    ),
    *("%41", "nll_loss_index", "assert ", "\ud800", "\x00", "1" * 65 + ",", "[[" + "1" * 5000),
)
NUMBERS = ("", "[[1, 2], [3, ")  # how a text begins that becomes a table, or a literal


def refusing(read: Callable[[str], object]) -> Callable[[str], None]:
    """The function, where what it refuses in words is an answer."""

    def reads(text: str) -> None:
        with contextlib.suppress(InvalidText, InvalidFile, InvalidToken, InvalidSheet):
            read(text)

    return reads


def _table(text: str) -> object:
    return parse_matrix(text, max_rows=MAX_ROWS, max_columns=MAX_CLASSES)


def _token_of(body: str) -> object:
    packed = base64.urlsafe_b64encode(zlib.compress(body.encode("ascii", "replace"))).decode("ascii")
    return from_token(VERSION + packed.rstrip("="))


READERS: dict[str, tuple[Callable[[str], object], tuple[str, ...]]] = {
    "a pasted table": (_table, NUMBERS),
    "pasted numbers of the doctor": (parse_tensor, NUMBERS),
    "a number in a cell": (parse_number, NUMBERS),
    "an error message": (recognise, ("",)),
    "a link": (lambda text: opening_of(link_of_query(text)), ("", "p=1", "preset=uniform&rows=a")),
    "the token of a link": (from_token, ("", "1")),
    "what is in the token of a link": (_token_of, ("", "f1,2:1,2;q:0;", "f2,2:", "f2,2/1x", "f1,2:1,2;q:0;w")),
    "the table kept in the tab": (Sheet.from_json, ("", '{"logits":[', '{"ignore_index":1')),
    "a file of JSON": (from_json, ("", '{"logits": {"dtype": "float32", "shape": [1, 1], "values": ')),
    "a file of CSV": (read_csv, ("", "a,b,label\n1,", "a,label\n1,0\n")),
    "what a component sends": (lambda text: _is_json(text, dict), ("", '{"a":')),
    "what a picture sends": (_is_selection, ("", '{"selection":{"points":[')),
}


@pytest.mark.parametrize("name", READERS)
def test_no_reader_takes_longer_than_the_text_grows(name: str) -> None:
    reader, heads = READERS[name]
    read = refusing(reader)
    attacks = [Attack(head, unit, "") for head in heads for unit in UNITS]

    assert [(attack, how) for attack in attacks if (how := growth(read, attack))] == []


def test_every_box_for_text_has_a_longest_text() -> None:
    boxes = [
        (f"{source.path}:{node.lineno}", {keyword.arg for keyword in node.keywords})
        for source in sources(ROOT)
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("text_area", "text_input", "chat_input")
    ]

    assert len(boxes) > 5
    assert [place for place, given in boxes if "max_chars" not in given] == []


@pytest.mark.parametrize("head", NUMBERS)
@pytest.mark.parametrize("unit", ["1\n", "1,", "1 ", "[1],", "nan,", "1,2,3\n", "1\t", '"1";', "float(1),", "1#\n"])
def test_of_a_text_beyond_the_largest_table_no_number_is_read(
    unit: str, head: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    for module in (xent_core.parse.nested_lists, xent_core.parse.tables):
        monkeypatch.setattr(module, "parse_number", read.append)
    text = head + unit * (500_000 // len(unit))
    with contextlib.suppress(InvalidText):
        parse_tensor(text)
    of_tensor = len(read)
    with contextlib.suppress(InvalidText):
        _table(text)

    assert of_tensor <= 2 * MAX_PASTED_NUMBERS  # so that the names of rows do not count
    assert len(read) - of_tensor <= 2 * MAX_ROWS * MAX_CLASSES


def test_the_largest_table_is_read_with_the_longest_numbers() -> None:
    rows = [["-1." + "3" * 56 + "e-12" for _label in range(MAX_CLASSES)] for _row in range(MAX_ROWS)]
    assert len(rows[0][0]) == MAX_NUMBER_CHARACTERS - 1

    for text in ("\n".join(map("\t".join, rows)), str(rows).replace("'", ""), f"tensor({rows})".replace("'", "")):
        assert _table(text) == TextMatrix(tuple(map(tuple, rows)), None, None)


def test_names_without_end_are_compared_once_each() -> None:
    names = [f"class {index}" for index in range(30_000)]
    names[-1] = names[-2]
    problem = Problem([[0.0] * len(names)], [0])
    start = time.thread_time()
    with pytest.raises(InvalidFile, match="29998"):
        Document(problem, tuple(names))
    with pytest.raises(InvalidFile, match="two columns"):
        read_csv(",".join(names[-15_000:]) + ",label\n" + "0," * 15_000 + "0\n")

    assert time.thread_time() - start < 1  # each with each, it takes 10 seconds
