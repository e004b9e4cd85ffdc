"""TextMatrix and TextTensor: numbers as they were typed, in rows of one length; and what checks such rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from xent_core.language import N_, _
from xent_core.parse.number import InvalidText

# in one text: sixteen of the largest tables, or a batch of 64 rows of ImageNet's 1000 classes
MAX_PASTED_NUMBERS = 2**16
SHORTENED = N_(
    "The text holds '...': it is a shortened printout, expected every number. Print it whole: "
    'torch.set_printoptions(profile="full") or np.set_printoptions(threshold=sys.maxsize).'
)


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


class Limits(NamedTuple):
    """The most rows and columns that a matrix may have."""

    rows: int
    columns: int

    @property
    def numbers(self) -> int:
        """The most numbers that a text is read for."""
        return min(self.rows * self.columns, MAX_PASTED_NUMBERS)


def require_rectangle(rows: Sequence[Sequence[str]]) -> None:
    """Raises: InvalidText if the rows have different lengths."""
    width = len(rows[0])
    for index, row in enumerate(rows):
        if len(row) != width:
            raise InvalidText(
                _(
                    "row {row}, column {column}: this row has length {length}, expected length {expected}, as row 0 "
                    "has. Give every row the same length."
                ).format(row=index, column=min(len(row), width), length=len(row), expected=width)
            )


def require_size(rows: Sequence[Sequence[str]], limits: Limits) -> None:
    """Raises: InvalidText if there are more rows or columns than the limits allow."""
    if len(rows) > limits.rows or len(rows[0]) > limits.columns:
        raise InvalidText(
            _(
                "The matrix has {rows} rows and {columns} columns, expected at most {most_rows} rows and "
                "{most_columns} columns. Paste a part of it."
            ).format(rows=len(rows), columns=len(rows[0]), most_rows=limits.rows, most_columns=limits.columns)
        )


def too_many_numbers(most: int) -> InvalidText:
    """The refusal of a text of so many numbers that they are not even read."""
    return InvalidText(
        _("The text has more than {most:,} numbers, expected no more. Paste a part of it.").format(most=most)
    )
