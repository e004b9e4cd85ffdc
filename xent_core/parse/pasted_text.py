"""parse_matrix and parse_tensor: the numbers in pasted text, be it a table or a literal such as tensor([[1., 2.]])."""

from xent_core.language import _
from xent_core.parse.matrices import Limits, TextMatrix, TextTensor
from xent_core.parse.nested_lists import MAX_NESTING, NestedListReader, flat_numbers, literal_in, parse_nested_lists
from xent_core.parse.number import InvalidText
from xent_core.parse.tables import parse_table

MAX_TEXT_CHARACTERS = 1_000_000


def parse_matrix(text: str, *, max_rows: int, max_columns: int) -> TextMatrix:
    r"""The matrix in pasted text: a table with separators, or what Python, NumPy and PyTorch write and print.

    A table is separated by tabs, else semicolons, else commas, else spaces; quotes work as in CSV.
    Its first row holds column names, and its first column row names, if they are words throughout (but for the corner).
    A name has a letter in it and does not begin like a number, so that no number is ever taken for a name.

    A literal is nested lists or tuples, tensor(…) or array(…); dtype, device and the like are passed over:
    the numbers are taken as they are written. A flat list is one row.

    Raises: InvalidText; rows and columns in its message count the numbers from 0, names left out.
    Example:
      >>> parse_matrix("\tcat\tdog\nimage 7\t1\t2.50", max_rows=9, max_columns=9)
      TextMatrix(cells=(('1', '2.50'),), column_names=('cat', 'dog'), row_names=('image 7',))
    """
    lines = _normalised_line_ends(text)
    limits = Limits(max_rows, max_columns)
    literal = literal_in(lines)
    return parse_table(lines, limits) if literal is None else parse_nested_lists(literal, limits)


def parse_tensor(text: str, *, max_characters: int = MAX_TEXT_CHARACTERS) -> TextTensor:
    """The numbers in pasted text with their shape: a table as `parse_matrix` reads it, or a literal of any depth.

    Raises: InvalidText.
    Example:
      >>> parse_tensor("tensor([[[1., 2.]]])")
      TextTensor(numbers=('1.', '2.'), shape=(1, 1, 2), is_table=False)
      >>> parse_tensor("tensor(3)").shape
      ()
      >>> parse_tensor("1, 2")
      TextTensor(numbers=('1', '2'), shape=(1, 2), is_table=True)
    """
    lines = _normalised_line_ends(text, max_characters)
    literal = literal_in(lines)
    if literal is None:
        cells = parse_table(lines, Limits(MAX_TEXT_CHARACTERS, MAX_TEXT_CHARACTERS)).cells
        return TextTensor(tuple(cell for row in cells for cell in row), (len(cells), len(cells[0])), is_table=True)
    numbers, shape = flat_numbers(NestedListReader(literal, max_depth=MAX_NESTING).node())
    if not numbers:
        raise InvalidText(_("The list is empty, expected at least one number. Write a list such as [[1, 2], [3, 4]]."))
    return TextTensor(tuple(numbers), shape, is_table=False)


def _normalised_line_ends(text: str, max_characters: int = MAX_TEXT_CHARACTERS) -> str:
    """The text with \\n at the end of each line. Raises: InvalidText if it is empty or too long."""
    if not isinstance(text, str):
        raise InvalidText(
            _("a value of type {type}, expected the text of a matrix. Paste rows of numbers.").format(
                type=type(text).__name__
            )
        )
    if len(text) > max_characters:
        raise InvalidText(
            _("The text has {count:,} characters, expected at most {most:,}. Paste fewer rows.").format(
                count=len(text), most=max_characters
            )
        )
    lines = "\n".join(text.lstrip("\ufeff").splitlines())  # every kind of line end becomes \n
    if not lines.strip():
        raise InvalidText(
            _("The text is empty, expected a matrix. Paste rows of numbers, or a list such as [[1, 2], [3, 4]].")
        )
    return lines
