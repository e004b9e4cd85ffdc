"""How a text of separated values is laid out: delimiter, decimal comma, header line, and what each column holds."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from xent_core.column_names import PLAIN, plain_name
from xent_core.columns import Column, ColumnChoices, UnclearColumns, choices_of
from xent_core.language import _

DELIMITERS = "\t;|,"
ROWS_LOOKED_AT = 1000
ROWS_THAT_COUNT = 8  # fewer numbers may follow one another by chance
MISSING = frozenset(
    {"", "nan", "-nan", "na", "n/a", "#n/a", "null", "none", "<na>", "#na", "1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan"}
)

_SEPARATOR = re.compile(r'"?sep=([\t;,| ])"?')
_SPACES = re.compile(r"[ \t]+")
_LINE_ENDS = re.compile(r" ?\r?\n ?")
_NAME_AFTER = re.compile(r"[,;\t] ?#")
_DRESSED = re.compile(r"[+-]?[$€£]? ?\d{1,3}([,' ]\d{3})+([.,]\d+)?|[+-]?\d+([.,]\d+)? ?%", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}", re.ASCII)
_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True)
class CsvLayout:
    """Of one text; made by `layout_of`.

    Attributes:
      decimal: what stands before the fraction of a number, "." or ",".
      has_header: whether a line before the rows names the columns.
      preamble: how many lines stand before the table: `sep=;` as Excel has it, and comments behind "#".
      header_rows: how many rows of the table are no rows of numbers: 1 for a header that is no comment.
      columns: names, which are 0, 1, … without a header, and what the rows that were looked at hold.
      rows_seen: how many rows those were.
      lists: names of the columns whose cells hold lists as text, such as "[0.5, 2.0]".
      counting: names of the columns that count the rows that were looked at, 0, 1, 2, … or from another number on.
      whole: names of the columns that hold whole numbers alone, also such as 2.000e+00.
    """

    delimiter: str
    decimal: str
    has_header: bool
    columns: tuple[Column, ...]
    rows_seen: int
    preamble: int = 0
    header_rows: int = 0
    lists: tuple[str, ...] = ()
    counting: tuple[str, ...] = ()
    whole: tuple[str, ...] = ()

    @property
    def columns_to_decide(self) -> tuple[Column, ...]:
        """As `column_rule.decide` takes them: a column that counts the rows is no class."""
        return tuple(Column(name, "index" if name in self.counting else kind) for name, kind in self.columns)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the table should be told of it."""
        said = []
        if not self.has_header:
            said.append(_("no header line"))
        if self.decimal == ",":
            said.append(_("decimal commas"))
        return tuple(said)


def layout_of(sample: str, *, no_header: bool = False) -> CsvLayout:
    """The layout of a text that begins with these whole lines.

    A first line of numbers alone is a row, unless it counts 0, 1, …, C − 1, as pandas names columns.
    Raises: csv.Error for what cannot be split into cells.
    """
    sample, preamble, told, comment = _without_preamble(sample)
    delimiter = told or _delimiter(sample)
    if delimiter == " ":
        sample, comment = squeezed(sample), comment.replace(",", " ")
    rows = _rows(sample, delimiter, ROWS_LOOKED_AT + 1)
    if not rows:
        raise csv.Error(_("it holds no cell"))
    if _lacks_a_name(rows):  # as write.table of R has it, with the names of the rows in front
        rows[0] = ["", *rows[0]]
    first = [cell.strip() for cell in rows[0]]
    decimal = "," if _has_decimal_commas(rows, are_quoted=delimiter == ",") else "."
    are_numbers = [number_of(cell, decimal) is not None for cell in first]
    commented = [cell.strip() for row in _rows(comment, delimiter, 1) for cell in row]
    if delimiter == " ":
        commented = comment.split()
    is_commented = not no_header and len(commented) == len(first) and any(are_numbers)
    has_header_row = not no_header and not is_commented and (not all(are_numbers) or (len(rows) > 1 and _counts(first)))
    body = rows[1:] if has_header_row else rows
    names = commented if is_commented else first if has_header_row else [str(number) for number in range(len(first))]
    columns = tuple(
        Column(name, kind_of([row[position] for row in body if position < len(row)], decimal))
        for position, name in enumerate(names)
    )
    return CsvLayout(
        delimiter,
        decimal,
        is_commented or has_header_row,
        columns,
        len(body),
        preamble,
        int(has_header_row),
        lists=tuple(name for position, name in enumerate(names) if body and _is_list(body[0], position)),
        counting=tuple(name for place, name in enumerate(names) if _counts_rows(_numbers(body, place, decimal))),
        whole=tuple(name for place, name in enumerate(names) if _are_whole(_numbers(body, place, decimal))),
    )


def _numbers(rows: Sequence[Sequence[str]], position: int, decimal: str) -> Iterator[float | None]:
    """What is in a column, cell by cell; None for what is no number."""
    return (number_of(row[position], decimal) if position < len(row) else None for row in rows)


def _counts_rows(numbers: Iterator[float | None]) -> bool:
    first, rows = next(numbers, None), 1
    if first is None or not math.isfinite(first):
        return False
    for rows, number in enumerate(numbers, 2):
        if number != first + rows - 1:
            return False
    return rows >= ROWS_THAT_COUNT


def _are_whole(numbers: Iterator[float | None]) -> bool:
    return all(number is not None and math.isfinite(number) and number == round(number) for number in numbers)


def _is_list(row: Sequence[str], position: int) -> bool:
    return position < len(row) and row[position].strip().startswith("[") and row[position].strip().endswith("]")


def check_lists(layout: CsvLayout, choices: ColumnChoices, name: str) -> None:
    """Raises: UnclearColumns for a column of logits whose cells hold lists as text."""
    found = [column for column in layout.lists if plain_name(column) in PLAIN["logits"]] or list(layout.lists)
    if found and choices.classes is None and not any(kind == "number" for _name, kind in layout.columns):
        raise UnclearColumns(
            _("column {column} of {name} holds lists as text").format(column=found[0][:80], name=name),
            _("a number in each cell, and a column for each class"),
            _('Write them as lists: df.to_parquet("dump.parquet"), from before they became text.'),
        )


def choices_without_header(layout: CsvLayout, choices: ColumnChoices, name: str) -> ColumnChoices:
    """What is said of the columns, where only their order tells them apart.

    Args: name: of the file, for messages.
    Raises: UnclearColumns unless it is clear.
    """
    rest = [name for name in layout.whole if name not in layout.counting]
    whole = [name for name, kind in layout.columns if kind == "integer" and name in rest] or rest
    is_of_one_kind = len({column.kind for column in layout.columns}) == 1
    if choices.target is None and not choices.has_target and len(whole) == 1 < len(layout.columns):
        choices = replace(choices, target=whole[0])
    if choices.no_header or (choices.has_target and (is_of_one_kind or choices.classes is not None)):
        return choices
    last = str(len(layout.columns) - 1)
    labels = [choices.target] if choices.target is not None else list(reversed(rest))[:2] or [last]
    answers = (
        [{"no_header": "", "target": label} for label in labels] if not choices.has_target else [{"no_header": ""}]
    )
    raise UnclearColumns(
        _("{name} has no header line: its first line holds numbers alone").format(name=name),
        _("the names of the columns there"),
        _(
            "If it is so, say it, and where the labels are, counted from 0: {choice}; "
            "if all columns are classes, give the labels as a second file."
        ).format(choice=choices_of([{"no_header": "", "target": label} for label in labels])),
        answers,
    )


def squeezed(text: str) -> str:
    """A table between spaces with one space between two cells."""
    return _LINE_ENDS.sub("\n", _SPACES.sub(" ", text.strip(" ")))


def table_of(text: str, layout: CsvLayout) -> str:
    """The text without what stands before the table, with one space for many where spaces part its cells."""
    if layout.preamble:
        lines = iter(io.StringIO(text, newline=""))
        before = [next(line for line in lines if line.strip())]
        before += [next(lines) for _line in range(layout.preamble - 1)]
        text = "".join(lines)
    return squeezed(text) if layout.delimiter == " " else text


def _without_preamble(sample: str) -> tuple[str, int, str, str]:
    """The sample from the table on; how many lines stand before; the delimiter that is told there; the last comment."""
    lines = list(io.StringIO(sample, newline=""))
    start = next((place for place, line in enumerate(lines) if line.strip()), 0)
    place, delimiter, comment = start, "", ""
    if lines and (told := _SEPARATOR.fullmatch(lines[place].strip("\r\n "))):
        place, delimiter = place + 1, told[1]
    # #1,#2,#3 is no comment
    while place < len(lines) - 1 and lines[place].startswith("#") and _NAME_AFTER.search(lines[place]) is None:
        comment = lines[place][1:].strip("\r\n")
        place += 1
    if place == start:
        return sample, 0, "", ""
    return "".join(lines[place:]), place - start, delimiter, comment


def number_of(cell: str, decimal: str = ".") -> float | None:
    """The number in a cell; None for text, NaN for what is empty or missing in a column of numbers."""
    text = cell.strip()
    if decimal == ",":
        if "." in text:
            return None
        text = text.replace(",", ".")
    try:
        return float(text.replace("\u2212", "-")) if "_" not in text else None
    except ValueError:
        return None


def kind_of(cells: Sequence[str], decimal: str = ".") -> str:
    """What most cells of a column hold, as in `Column`: a few words among numbers are mistakes, and told as such."""
    texts = numbers = 0
    kind = "empty"
    for cell in cells:
        text = cell.strip()
        if text.lower() in MISSING:
            continue
        if number_of(text, decimal) is None:
            texts += _DRESSED.fullmatch(text) is None
            numbers += _DRESSED.fullmatch(text) is not None  # where it is read, it is told to be none
            kind = "number"
            continue
        numbers += 1
        if kind != "number":
            kind = "integer" if _INTEGER.fullmatch(text) else "number"
    if texts and texts < numbers:
        return "number"
    return "text" if texts else kind


def _delimiter(sample: str) -> str:
    """The one that parts the lines into equally many cells, most of them numbers."""
    lines = "\n".join([line for line in sample.splitlines() if line.strip()][:20])
    first = lines.partition("\n")[0]
    known = [delimiter for delimiter in DELIMITERS if delimiter in first]
    if not known:
        return " " if _is_between_spaces(lines) else ","

    def fitness(delimiter: str) -> tuple[bool, float, int]:
        rows = _rows(lines, delimiter, 20)
        cells = [cell for row in rows[1:] or rows for cell in row]
        numbers = sum(number_of(cell) is not None or _COMMA.fullmatch(cell.strip()) is not None for cell in cells)
        return (
            len({len(row) for row in rows}) == 1 or _lacks_a_name(rows),
            numbers / max(len(cells), 1),
            first.count(delimiter),
        )

    return max(known, key=fitness)


def _is_between_spaces(lines: str) -> bool:
    """Whether spaces part these lines into equally many cells, with a number in each line but the first."""
    rows = _rows(squeezed(lines), " ", 20)
    return (
        len(rows[0]) > 1
        and (len({len(row) for row in rows}) == 1 or _lacks_a_name(rows))
        and all(any(number_of(cell) is not None for cell in row) for row in (rows[1:] or rows))
    )


def _lacks_a_name(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first line has names, and one less than all others have cells, of which the first names the row."""
    body = rows[1:]
    if {len(row) for row in body} != {len(rows[0]) + 1} or _has_number(rows[0]):
        return False
    first = [row[0].strip() for row in body]
    return "" not in rows[0] and len(set(first)) == len(first) and all(_is_row_name(cell) for cell in first)


def _has_number(row: Sequence[str]) -> bool:
    return any(number_of(cell) is not None for cell in row)


def _is_row_name(cell: str) -> bool:
    number = number_of(cell)
    return bool(cell) and (number is None or _INTEGER.fullmatch(cell) is not None)


def _rows(sample: str, delimiter: str, most: int) -> list[list[str]]:
    found = []
    for row in csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter):
        if any(cell.strip() for cell in row):
            found.append(row)
            if len(found) == most:
                break
    return found


def _has_decimal_commas(rows: Sequence[Sequence[str]], *, are_quoted: bool) -> bool:
    """Whether commas stand before fractions; between quotes they may part thousands: 1,234 is no fraction."""
    cells = [cell.strip() for row in rows for cell in row]
    with_comma = [cell for cell in cells if _COMMA.fullmatch(cell)]
    if are_quoted and all(_THOUSANDS.fullmatch(cell) for cell in with_comma):
        return False
    return bool(with_comma) and not any("." in cell and number_of(cell) is not None for cell in cells)


def _counts(first: Sequence[str]) -> bool:
    return len(first) > 1 and list(first) == [str(number) for number in range(len(first))]
