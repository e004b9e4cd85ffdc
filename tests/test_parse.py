import csv
import dataclasses
import io
import math
import re
import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import assume, example, given
from hypothesis import strategies as st

from xent_core.parse import NUMBER, InvalidText, TextMatrix, TextTensor, parse_matrix, parse_number, parse_tensor


def parse(text: str) -> TextMatrix:
    return parse_matrix(text, max_rows=200, max_columns=50)


def numbers(matrix: TextMatrix) -> list[list[float]]:
    return [[parse_number(cell) for cell in row] for row in matrix.cells]


def assert_same_bits(actual: list[list[float]], expected: list[list[float]]) -> None:
    """NaN equals NaN, and −0.0 does not equal 0.0."""
    assert [[repr(number) for number in row] for row in actual] == [
        [repr(number) for number in row] for row in expected
    ]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("3", 3.0),
        ("+3", 3.0),
        ("-3.25", -3.25),
        ("\u22123.25", -3.25),
        (".5", 0.5),
        ("5.", 5.0),
        ("-.5", -0.5),
        ("1e-3", 0.001),
        ("1E+3", 1000.0),
        ("1e\u22123", 0.001),
        ("0.10", 0.1),
        ("  7\t\n", 7.0),
        ("007", 7.0),
        ("1e308", 1e308),
        ("inf", math.inf),
        ("-inf", -math.inf),
        ("+Infinity", math.inf),
        ("\u2212INF", -math.inf),
        ("1" * 64, float("1" * 64)),
    ],
)
def test_a_number_is_the_float64_that_its_text_says(text, number):
    assert parse_number(text) == number


@pytest.mark.parametrize("text", ["nan", "NaN", "-nan", " NAN "])
def test_nan_is_a_number_to_parse(text):
    assert math.isnan(parse_number(text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty, expected a number"),
        (" \n", "empty, expected a number"),
        ("7,5", "use a point: 7.5"),
        ("-7,5e3", "use a point: -7.5e3"),
        ("7,500", "for thousands, no separator: 7500"),
        ("1,234,567.8", "no separator: 1234567.8"),
        ("abc", "'abc' is not a number"),
        ("1_000", "without underscores: 1000"),
        ("1_000x", "Write digits with a point"),
        ("0x10", "decimal digits"),
        ("\uff11\uff12", "Write its digits as 0 to 9"),
        ("\u0663", "Write its digits as 0 to 9"),
        ("\u221e", "Write inf"),
        ("NA", "Write nan"),
        ("#DIV/0!", "Write nan"),
        ("\u0131nf", "not a number"),
        ("1e400", "write inf"),
        ("-1e400", "overflows float64"),
        ("1" * 65, "65 characters"),
        ("1 2", "not a number"),
        ("--1", "not a number"),
        ("e5", "not a number"),
        (".", "not a number"),
        ("1e", "not a number"),
        ("1j", "not a number"),
        ("5%", "not a number"),
        (None, "NoneType"),
        (7.5, "float"),
        (b"7", "bytes"),
        (True, "bool"),
    ],
)
def test_what_is_not_a_number_is_refused_with_advice(text, message):
    with pytest.raises(InvalidText, match=re.escape(message)):
        parse_number(text)


def test_a_message_quotes_at_most_forty_characters_and_only_printable_ones():
    with pytest.raises(InvalidText) as caught:
        parse_number("a\n\x1b\u202e" + "b" * 10_000)

    message = str(caught.value)
    assert message.isprintable()
    assert "b" * 30 in message
    assert "b" * 41 not in message


@given(st.text(alphabet="0123456789+-.eEinfatyNIF_, x\u2212\uff11\n", max_size=8))
def test_the_number_grammar_is_what_parse_number_takes(text):
    try:
        parse_number(text)
        is_taken = True
    except InvalidText as error:
        is_taken = "overflows" in str(error)

    assert bool(NUMBER.fullmatch(text.strip())) == is_taken


@pytest.mark.parametrize(
    "text",
    [
        "1\t2.50\n\u22123\tinf",
        "1,2.50\n\u22123,inf",
        "1 , 2.50\n \u22123,  inf",
        "1;2.50\n\u22123;inf",
        "1 2.50\n\u22123   inf",
        "  1\u00a02.50  \n\n\n\u22123 inf\n\n",
        "\ufeff1,2.50\r\n\u22123,inf\r\n",
        "1\t2.50\r\u22123\tinf",
        "\t1, 2.50\n\t\u22123, inf",
        "\t\n1\t2.50\n\t\n\u22123\tinf\n\t\n",
        ",\n1,2.50\n\u22123,inf\n,",
        '"1","2.50"\n"\u22123","inf"',
        "[[1, 2.50], [\u22123, inf]]",
        "[[1, 2.50,], [\u22123, inf,],]",
        "((1, 2.50), (\u22123, inf))",
        "[(1, 2.50), (\u22123, inf)]",
        "([[1, (2.50)], [\u22123, (inf)]])",
        "[1, 2.50], [\u22123, inf]",
        "[1, 2.50],\n[\u22123, inf],\n",
        "[1 2.50]\n[\u22123 inf]",
        "[[1 2.50]\n [\u22123 inf]]",
        "[[1,\n  2.50],  # the first row\n [\u22123, inf]]  # the second row",
        "tensor([[1, 2.50], [\u22123, inf]])",
        "tensor([1, 2.50])\ntensor([\u22123, inf])",
        "[tensor([1, 2.50]), tensor([\u22123, inf])]",
        "tensor([[1, 2.50], [\u22123, inf]], device='cuda:0', dtype=torch.bfloat16, grad_fn=<AddmmBackward0>)",
        "torch.tensor([[1, 2.50], [\u22123, inf]], requires_grad=True, device=torch.device('cuda', 0))",
        "torch.FloatTensor([[1, 2.50], [\u22123, inf]])",
        "torch.tensor(np.array([[1, 2.50], [\u22123, inf]]), dtype=torch.float32,)",
        "Parameter containing:\ntensor([[1, 2.50],\n        [\u22123, inf]], requires_grad=True)",
        "np.array([[1, 2.50], [\u22123, inf]])",
        "np.array([[1, 2.50], [\u22123, inf]], np.float32)",
        "numpy.array([[1, 2.50], [\u22123, inf]], dtype='<f4')",
        "array([[1, 2.50],\n       [\u22123, inf]], dtype=float32)",
        "x = torch.tensor([[1, 2.50], [\u22123, inf]])",
        "self.logits = z = [[1, 2.50], [\u22123, inf]];",
        ">>> x = [[1, 2.50], [\u22123, inf]]",
        "Out[12]: array([[1, 2.50], [\u22123, inf]])",
        "[[1, np.float32(2.50)], [np.float64('\u22123'), float('inf')]]",
    ],
)
def test_every_way_to_write_a_matrix_gives_its_cells_as_typed(text):
    expected = TextMatrix(cells=(("1", "2.50"), ("\u22123", "inf")), column_names=None, row_names=None)

    assert parse(text) == expected


@pytest.mark.parametrize("text", ["[1, 2, 3]", "(1, 2, 3)", "1,2,3", "1 2 3", "[1 2 3]", "[tensor(1), tensor(2), 3]"])
def test_one_flat_list_is_one_row(text):
    assert parse(text).cells == (("1", "2", "3"),)


@pytest.mark.parametrize("text", ["1\n2\n3", "[[1], [2], [3]]", "[[1]\n [2]\n [3]]", "[1], [2], [3]", "[1] [2] [3]"])
def test_one_number_a_row_is_one_column(text):
    assert parse(text).cells == (("1",), ("2",), ("3",))


@pytest.mark.parametrize(
    ("element", "cell"),
    [
        ("float('inf')", "inf"),
        ('float("-inf")', "-inf"),
        ("-float('inf')", "-inf"),
        ("-float('-inf')", "inf"),
        ("float(' nan ')", "nan"),
        ("float(1.50)", "1.50"),
        ("np.inf", "inf"),
        ("-np.inf", "-inf"),
        ("math.inf", "inf"),
        ("numpy.nan", "nan"),
        ("torch.nan", "nan"),
        ("Infinity", "Infinity"),
        ("np.float32(1.5)", "1.5"),
        ("np.float64(-inf)", "-inf"),
        ("np.int64(7)", "7"),
        ("tensor(1.5000)", "1.5000"),
        ("-0.", "-0."),
        ("+.5", "+.5"),
    ],
)
def test_what_python_numpy_and_pytorch_call_a_number_is_one(element, cell):
    assert parse(f"[[0, {element}]]").cells == (("0", cell),)


@pytest.mark.parametrize(
    ("text", "column_names", "row_names"),
    [
        ("cat\tdog\n1\t2\n3\t4", ("cat", "dog"), None),
        ("cat,dog\n1,2\n3,4", ("cat", "dog"), None),
        ("cat dog\n1 2\n3 4", ("cat", "dog"), None),
        ("a\t1\t2\nb\t3\t4", None, ("a", "b")),
        ("\tcat\tdog\na\t1\t2\nb\t3\t4", ("cat", "dog"), ("a", "b")),
        ("name,cat,dog\na,1,2\nb,3,4", ("cat", "dog"), ("a", "b")),
        ("cat dog\na 1 2\nb 3 4", ("cat", "dog"), ("a", "b")),
        ('"big, cat","the ""dog"""\n1,2\n3,4', ("big, cat", 'the "dog"'), None),
        ('"big  cat" dog\n1 2\n3 4', ("big cat", "dog"), None),
        ("image 7;1;2\nimage 9;3;4", None, ("image 7", "image 9")),
        ('"cat", "dog"\n1, 2\n3, 4', ("cat", "dog"), None),
        ("#cat,Na\n1,2\n3,4", ("#cat", "Na"), None),
        ("[CLS],[SEP]\n1,2\n3,4", ("[CLS]", "[SEP]"), None),
        ("p(cat),p(dog)\n1,2\n3,4", ("p(cat)", "p(dog)"), None),
        ("lr=1,lr=2\n1,2\n3,4", ("lr=1", "lr=2"), None),
        ("猫,犬\n1,2\n3,4", ("猫", "犬"), None),
    ],
)
def test_a_row_or_column_of_words_holds_names(text, column_names, row_names):
    expected = TextMatrix(cells=(("1", "2"), ("3", "4")), column_names=column_names, row_names=row_names)

    assert parse(text) == expected


def test_a_single_column_can_have_a_name():
    assert parse("cat\n1\n2") == TextMatrix(cells=(("1",), ("2",)), column_names=("cat",), row_names=None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cat,cat\n1,2", "columns 0 and 1 are both named 'cat'"),
        ("a,1\na,2", "rows 0 and 1 are both named 'a'"),
        ("cat,,dog\n1,2,3", "column 1 has no name"),
        (",cat,dog\n0,1,2", "column 0 has no name"),
        ("a,1\n,2", "row 1 has no name"),
        ("cat dog\n0 1 2\n1 3 4", "row of names has length 2, expected length 3"),
        ("5,cat\na,1", "corner above the row names holds '5'"),
        ("abc", "'abc'"),
        ("cat,dog", "no numbers"),
    ],
)
def test_names_that_are_missing_doubled_or_alone_are_refused(text, message):
    with pytest.raises(InvalidText, match=re.escape(message)):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "7,5\t8,5\n1\t2",
        "1_0;2_0\n1;2",
        "0x1 0x2\n1 2",
        "1e400,2e400\n1,2",
        "5%,6%\n1,2",
        "\uff11 \uff12\n1 2",
        "NA\t1\t2",
    ],
)
def test_what_may_be_meant_as_a_number_is_never_taken_for_a_name(text):
    with pytest.raises(InvalidText, match=r"^row 0, column 0: "):
        parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "text is empty"),
        ("\ufeff \n\t\n", "text is empty"),
        (",,\n,,", "no numbers"),
        ("[]", "matrix is empty"),
        ("[[], []]", "matrix is empty"),
        ("tensor([], size=(0, 3))", "matrix is empty"),
        ("1\t7,5\n2\t3", "row 0, column 1: '7,5' is not a number. For decimals, use a point: 7.5"),
        ("a;b\n1;2\n3;7,5", "row 1, column 1: '7,5'"),
        ("1,2\n3,x", "row 1, column 1: 'x' is not a number"),
        ("1,cat\n2,3", "row 0, column 1: 'cat' is not a number"),
        ("1,2,\n3,4,", "row 0, column 2: empty"),
        ("1,2\n3", "row 1, column 1: this row has length 1, expected length 2"),
        ("cat,dog\n1,2\n3,4,5", "row 1, column 2: this row has length 3, expected length 2"),
        ("1,2\n3,1e400", "row 1, column 1: '1e400' overflows"),
        ('1,"2', "Close every quote"),
        ("1 ... 3", "set_printoptions"),
        ("1,\u2026,3", "set_printoptions"),
        ("[[1, ..., 3]]", 'torch.set_printoptions(profile="full")'),
        ("[[1 2 3]\n ...\n [4 5 6]]", "np.set_printoptions(threshold=sys.maxsize)"),
        ("[[1, 2], [3]]", "row 1, column 1: this row has length 1"),
        ("[[1, 2], [3, True]]", "row 1, column 1: True is a boolean"),
        ("[[1, 2], [3, 4j]]", "row 1, column 1: '4j' is not a number"),
        ("[[1, 2], [3, '4']]", "row 1, column 1: \"'4'\" is a string"),
        ("[[1, 2], [3, None]]", "row 1, column 1: 'None' is a name"),
        ("[[1, 2], [3, x]]", "row 1, column 1: 'x' is a name"),
        ("[[1, 2], [3, f(4)]]", "row 1, column 1: 'f(…)' is not evaluated"),
        ("[[1, 2], [3, 7_5]]", "row 1, column 1: '7_5' is not a number"),
        ("[[1, 2], [3, [4]]]", "row 1, column 1: a list"),
        ("[[[1, 2]]]", "row 0, column 0: a list, expected a number"),
        ("[[1, 2], 3]", "row 1: numbers and lists are mixed"),
        ("[1, [2]]", "row 0, column 1: numbers and lists are mixed"),
        ("[1, x]", "row 0, column 1: 'x' is a name"),
        ("[1,, 2]", "row 0, column 1: empty"),
        ("[1 2, 3]", "row 0, column 1: a comma is missing"),
        ("[3-2]", "row 0, column 0: '-2' follows a value"),
        ("[3 - 2]", "row 0, column 0: '-' follows a value"),
        ("[[1/3, 2]]", "row 0, column 0: '/' follows a value"),
        ("[[1, 2**3]]", "row 0, column 1: '*' follows a value"),
        ("[1, 2; 3, 4]", "row 0, column 1: ';' follows a value"),
        ("[1'2']", "row 0, column 0: \"'2'\" is a string"),
        ("[float([1])]", "row 0, column 0: float(…) holds a list"),
        ("[np.int64(3.5)]", "np.int64(3.5) does not hold an integer"),
        ("1e3 *\n tensor([[1, 2]])", "'*' follows a value"),
        ("tensor(1e3 *\n [[1, 2]])", "'*' follows a value"),
        ("[[1, 2]] * 3", "'*' follows a value"),
        ("-torch.tensor([1])", "'-torch.tensor(…)' is not evaluated"),
        ("torch.randn(3, 4)", "'torch.randn(…)' is not evaluated"),
        ("__import__('os').system('true')", "'__import__(…)' is not evaluated"),
        ("[__import__('os').system('true')]", "row 0, column 0: '__import__(…)' is not evaluated"),
        ("tensor([[1, 2]]).T", "'.' follows a value"),
        ("[[1, 2], [3, 4]][0]", "'[' follows a value"),
        ("np.array([1], [2])", "'[' is a second argument"),
        ("np.array([1], ndmin=3)", "'ndmin' is a second argument"),
        ("tensor(1.5)", "'1.5' is a single number"),
        ("[[1, 2], [3, 4", "'[' is never closed"),
        ("[[1, 2)]", "')' closes nothing"),
        ("[[1, 2]]]", "']' closes nothing"),
        ("[" * 100_000, "nested more than 16 deep"),
        ("(" * 20 + "1" + ")" * 20, "nested more than 16 deep"),
        ("1," * 500_001, "1,000,002 characters, expected at most 1,000,000"),
        (None, "NoneType"),
        (b"1,2", "bytes"),
    ],
)
def test_what_is_not_a_matrix_is_refused_with_its_place(text, message):
    with pytest.raises(InvalidText, match=re.escape(message)):
        parse(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1,2\n3,4\n5,6", "3 rows and 2 columns"),
        ("[[1, 2, 3, 4]]", "1 rows and 4 columns"),
    ],
)
def test_a_matrix_beyond_the_limits_is_refused_with_both_sizes(text, size):
    with pytest.raises(InvalidText, match=f"{size}, expected at most 2 rows and 3 columns"):
        parse_matrix(text, max_rows=2, max_columns=3)


def test_names_do_not_count_towards_the_limits():
    matrix = parse_matrix("\tcat\tdog\na\t1\t2\nb\t3\t4", max_rows=2, max_columns=2)

    assert len(matrix.cells) == 2


def test_a_text_matrix_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        parse("1,2").cells = ()


def test_pytorch_prints_of_computed_tensors_are_read():
    logits = torch.nn.functional.linear(torch.randn(3, 4), torch.randn(30, 4, requires_grad=True)).to(torch.bfloat16)
    printed = [[float(f"{number:.4f}") for number in row] for row in logits.tolist()]

    assert "grad_fn" in repr(logits)
    np.testing.assert_allclose(numbers(parse(repr(logits))), printed, atol=1e-4)


def _rows(elements):
    sizes = st.tuples(st.integers(1, 5), st.integers(1, 6))
    return sizes.flatmap(
        lambda size: st.lists(
            st.lists(elements, min_size=size[1], max_size=size[1]), min_size=size[0], max_size=size[0]
        )
    )


FLOATS = st.floats(allow_nan=True, allow_infinity=True).map(lambda number: math.nan if math.isnan(number) else number)


def _in_csv(rows, separator):
    file = io.StringIO()
    csv.writer(file, delimiter=separator).writerows([map(repr, row) for row in rows])
    return file.getvalue()


def _of_numpy(rows, form):
    with np.printoptions(threshold=sys.maxsize, precision=17, floatmode="unique"):
        return form(np.array(rows))


def _of_torch(rows):
    torch.set_printoptions(profile="full", precision=17, sci_mode=True)
    try:
        return repr(torch.tensor(rows, dtype=torch.float64))
    finally:
        torch.set_printoptions(profile="default")


WRITERS = {
    "list": repr,
    "list of numpy scalars": lambda rows: repr([list(row) for row in np.array(rows)]),
    "TSV": lambda rows: _in_csv(rows, "\t"),
    "CSV": lambda rows: _in_csv(rows, ","),
    "semicolons": lambda rows: _in_csv(rows, ";"),
    "spaces": lambda rows: _in_csv(rows, " "),
    "numpy str": lambda rows: _of_numpy(rows, str),
    "numpy repr": lambda rows: _of_numpy(rows, repr),
    "torch": _of_torch,
}


@pytest.mark.parametrize("writer", WRITERS)
@given(rows=_rows(FLOATS))
@example(rows=[[-0.0, math.nan, math.inf, -math.inf, 5e-324, sys.float_info.max]])
def test_a_matrix_that_is_written_out_comes_back_bit_for_bit(writer, rows):
    assert_same_bits(numbers(parse(WRITERS[writer](rows))), rows)


PIECES = (
    *("1", "2.", "-3", "inf", "nan", "\u22125", "1_0", "...", "x", "True", "cat", "'inf'", '"', "<A>", "#"),
    *("[", "]", "(", ")", ",", ";", "\n", "\t", "=", "tensor(", "np.array(", "float(", "dtype=", ".T"),
)


@given(
    st.one_of(
        st.text(),
        st.text(alphabet="0123456789.,;\t\n \"'[]()-+*eEaxfnit=<>#\u2026\u2212\ufeff\r\x00", max_size=60),
        st.lists(
            st.sampled_from(PIECES),
            max_size=25,
        ).map(lambda parts: " ".join(parts)),
    )
)
@example("[" * 2000)
@example("(" * 2000 + ")" * 2000)
@example("tensor(" * 2000)
@example("\ud800")
@example('"' + "a" * 200_000 + '"')
def test_any_text_gives_a_matrix_of_numbers_or_invalid_text(text):
    try:
        matrix = parse(text)
    except InvalidText:
        return

    assert len({len(row) for row in matrix.cells}) == 1
    assert all(row for row in numbers(matrix))
    for names, length in ((matrix.column_names, len(matrix.cells[0])), (matrix.row_names, len(matrix.cells))):
        assert names is None or (len(names) == len(set(names)) == length and all(names))


# Tensors


SHAPES = st.lists(st.integers(1, 3), max_size=5).map(tuple)


@given(SHAPES, st.sampled_from([str, repr, lambda tensor: repr(tensor.numpy()), lambda tensor: str(tensor.tolist())]))
def test_a_printed_tensor_is_read_in_its_own_shape(
    shape: tuple[int, ...], printed: Callable[[torch.Tensor], str]
) -> None:
    values = torch.arange(math.prod(shape)).reshape(shape) - 2
    text = printed(values)
    assume("(" in text or "[" in text)  # a bare number is a table
    read = parse_tensor(text)

    assert read == TextTensor(tuple(map(str, values.flatten().tolist())), shape, is_table=False)


def test_numbers_apart_by_spaces_are_read_in_their_own_shape() -> None:
    values = np.arange(12.0).reshape(2, 3, 2)
    read = parse_tensor(str(values))

    assert read.shape == (2, 3, 2)
    assert list(map(float, read.numbers)) == values.flatten().tolist()


def test_a_table_has_two_axes() -> None:
    assert parse_tensor("a\tb\n1\t2\n3\t4") == TextTensor(("1", "2", "3", "4"), (2, 2), is_table=True)
    assert parse_tensor("7") == TextTensor(("7",), (1, 1), is_table=True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[[1, 2], [3]]]", "shape (2,) and of shape (1,)"),
        ("[[1, 2], [[3], [4]]]", "shape (2,) and of shape (2, 1)"),
        ("[1, [2]]", "mixed"),
        ("[[[]]]", "empty"),
        ("[[[1, x]]]", "[0, 0, 1]"),
        ("[" * 17 + "1" + "]" * 17, "nested"),
        ("tensor([[[1, 2], ..., [3, 4]]])", "shortened"),
        ("[[[__import__('os')]]]", "not evaluated"),
    ],
)
def test_what_is_no_tensor_is_refused(text: str, words: str) -> None:
    with pytest.raises(InvalidText) as caught:
        parse_tensor(text)

    assert words in str(caught.value)


def test_the_names_of_rows_do_not_count_as_numbers() -> None:
    rows = [f"row {number}\t1\t2\t3" for number in range(2**14)]  # 49 152 numbers, and as many separators as 65 536

    assert parse_tensor("\n".join(rows)).shape == (2**14, 3)
