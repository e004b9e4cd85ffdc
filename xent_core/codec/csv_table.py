"""A Problem as CSV: logits, target and names; the options stay behind."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import chain, compress, islice

import numpy as np
import torch
from torch import Tensor

from xent_core.codec.document import Document, document_from, shown, too_large
from xent_core.codec.logits_asked import could_be_probabilities, of_logits
from xent_core.codec.refusals import InvalidFile
from xent_core.codec.tensors import MAX_NUMBERS
from xent_core.column_rule import decide
from xent_core.columns import (
    MARK,
    Column,
    ColumnChoices,
    UnclearColumns,
    are_names,
    called_by_numbers,
    names_or_indices,
    whole_number,
)
from xent_core.columns import TARGET_MARK as TARGET
from xent_core.csv_layout import (
    ROWS_LOOKED_AT,
    CsvLayout,
    check_lists,
    choices_without_header,
    kind_of,
    layout_of,
    table_of,
)
from xent_core.decimals import shortest_decimals
from xent_core.language import _
from xent_core.parse import InvalidText, parse_number
from xent_core.problem import Problem
from xent_core.spreadsheets import guarded_inside, is_formula, unguarded_inside

MAX_COLUMNS = 20_000
ROW, LABEL = "row", "label"
NOTHING_SAID = ColumnChoices()
LOOKED_AT = 2**20  # characters that tell the layout
IGNORED = -100


def to_csv(problem: Problem, *, class_names: Sequence[str] = (), row_names: Sequence[str] = ()) -> bytes:
    """Logits and target as a table: `row` if there are names, a column for each class, then `label` or `target:NAME`.

    The class NAME has the column `logit:NAME` where `column_rule.decide` would take other columns for classes, and
    where the logits could be probabilities.

    Every number reads back exactly: as float32, or as float64 where float32 could not hold it.
    Ignored rows have the label −100. The weight and the options are not in the table.
    Raises: InvalidFile unless logits are (N, C) with N ≥ 1.
    """
    document = Document(problem, tuple(class_names), tuple(row_names))
    if problem.logits.dim() != 2 or not problem.logits.numel():
        raise InvalidFile(
            _("logits of shape {shape}").format(shape=tuple(problem.logits.shape)),
            _("(N, C) with at least one row and one class, as a table has rows and columns"),
            _("Save it as JSON, NPZ or safetensors."),
        )
    names = document.class_names or _default_names(problem.num_classes)
    columns = [[ROW, *map(_quote, document.row_names)]] if row_names else []
    before = len(columns)
    columns += _columns(map(_quote, names), problem.logits)
    after = len(columns)
    if problem.has_probabilities:
        columns += _columns((TARGET + name for name in names), problem.target)
    else:
        labels = problem.target.long().where(problem.kept(), IGNORED).tolist()
        columns.append([LABEL, *map(str, labels)])
    could_be_otherwise = called_by_numbers(names) or could_be_probabilities(problem, names)
    if could_be_otherwise or not _is_read_so(columns, before, after):
        for column, name in zip(columns[before:after], names, strict=True):
            column[0] = MARK + name
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(zip(*columns, strict=True))
    return text.getvalue().encode("utf-8")


def read_csv(text: str, choices: ColumnChoices = NOTHING_SAID) -> Document:
    """The table that `to_csv` wrote, or one like it: separated by commas, semicolons or tabs.

    Its columns are told apart as those of a dump are. A label is the number of its class, or its name where that is
    no number.

    Raises: InvalidFile, with row and column of what cannot be read; rows count from 0, the header left out.
    """
    cells, layout = _cells(text, choices)
    header = [column.name for column in layout.columns]
    rows = cells[layout.header_rows :]
    if not rows:
        raise InvalidFile(_("a table with a header alone"), _("a row for each example"), _("Add the rows."))
    positions = {name: position for position, name in enumerate(header)}
    if choices.target is None:
        _check_targets(header)
    if header[0] == "" and choices.ids is None and layout.columns[0].kind == "text":
        choices = replace(choices, ids="")

    def labels_of(column: str) -> set[str]:
        return {row[positions[column]] for row in rows}

    try:
        check_lists(layout, choices, _("this"))
        if not layout.has_header:
            choices = choices_without_header(layout, choices, _("this"))
        reading = decide(layout.columns_to_decide, choices, labels_of, rows_seen=layout.rows_seen, file=_("this"))
    except UnclearColumns as error:
        raise InvalidFile(error.came, error.expected, error.fix, error.answers) from error
    classes = reading.classes
    names = tuple(name.removeprefix(MARK) if name.startswith(MARK) else _unquote(name) for name in classes)
    if not reading.target:
        raise InvalidFile(
            _("a table without labels"),
            _("a column 'label', or a column 'target:NAME' for each class"),
            _("Name the column of the labels 'label'."),
        )
    if len(reading.target) > 1 or reading.target[0].startswith(TARGET):
        target = _numbers(rows, header, [positions[name] for name in reading.target], layout.decimal)
    else:
        known = list(reading.class_names) if len(reading.class_names) == len(names) else []
        labels = [row[positions[reading.target[0]]] for row in rows]
        is_marked = classes[0].startswith(MARK)  # as we do, whose labels are indices
        called = {} if is_marked else _called(known or list(names), labels, choices.labels_are)
        target = torch.tensor([_label(label, index, list(names), known, called) for index, label in enumerate(labels)])
        if known and tuple(known) != classes and not called:
            names = tuple(known)
    ids = reading.ids
    reading = replace(reading, notes=layout.notes)
    document = document_from(
        {"logits": _numbers(rows, header, [positions[name] for name in classes], layout.decimal), "target": target},
        {
            "class_names": [] if names == _default_names(len(names)) else list(names),
            "row_names": [] if ids is None else [_unquote(row[positions[ids]]) for row in rows],
        },
    )
    document = replace(document, reading=reading.sentence() if reading.unused or reading.notes else "")
    return of_logits(document, choices.logits_are, classes, is_ours=classes[0].startswith(MARK))


def _check_targets(header: Sequence[str]) -> None:
    """Raises: InvalidFile for a table with labels and probabilities, or with those of other classes."""
    targets = [name.removeprefix(TARGET) for name in header if name.startswith(TARGET)]
    if not targets:
        return
    if LABEL in header:
        raise InvalidFile(
            _("a table with both label and target columns"),
            _("a column 'label', or a column 'target:NAME' for each class"),
            _("Remove one of the two."),
        )
    classes = [name for name in header if not name.startswith(TARGET)]
    bare = {name.removeprefix(MARK) if name.startswith(MARK) else _unquote(name) for name in classes}
    odd = sorted({*targets} - bare or ({*bare} - {*targets, ROW, ""} if len(bare) != len(targets) else set()))
    if odd:
        raise InvalidFile(
            _("a class {name} that has logits or a target, not both").format(name=shown(odd[0])),
            _("a column NAME and a column 'target:NAME' for each class"),
            _("Complete the columns, or correct the name."),
        )


def _is_read_so(columns: Sequence[Sequence[str]], before: int, after: int) -> bool:
    """Whether a reader takes just the columns from `before` to `after` for the classes, and calls them so."""
    kinds = [Column(cells[0], kind_of(cells[1 : ROWS_LOOKED_AT + 1])) for cells in columns]
    seen = min(len(columns[0]) - 1, ROWS_LOOKED_AT)
    try:
        reading = decide(kinds, NOTHING_SAID, lambda _column: (), rows_seen=seen, file="")
    except UnclearColumns:
        return False
    classes = tuple(cells[0] for cells in columns[before:after])
    label = tuple(cells[0] for cells in columns[after:])
    if reading.class_names not in ((), classes, tuple(map(_unquote, classes))):
        return False
    return (reading.classes, reading.target, reading.ids is not None) == (classes, label, before > 0)


def _cells(text: str, choices: ColumnChoices) -> tuple[list[list[str]], CsvLayout]:
    """Header and rows, all of one length, and their layout; sizes are checked before anything is split."""
    if text.count("\n") > MAX_NUMBERS or text.count("\r") > MAX_NUMBERS:
        raise too_large(_("more numbers than that"))
    lines = io.StringIO(text, newline="")
    first = next((line for line in lines if line.strip()), "")
    separator = max(",;|\t", key=first.count)
    if first.count(separator) >= MAX_COLUMNS:
        raise InvalidFile(
            _("a table of {count} columns").format(count=f"{first.count(separator) + 1:,}"),
            _("at most {limit}").format(limit=f"{MAX_COLUMNS:,}"),
            _("Put each example in a row and each class in a column."),
        )
    if text.count(separator) > 2 * MAX_NUMBERS:
        raise too_large(_("more numbers than that"))
    try:
        layout = layout_of(text[:LOOKED_AT], no_header=choices.no_header)
        separator, text = layout.delimiter, table_of(text, layout)
    except (csv.Error, IndexError):  # is told below
        layout = None
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        rows = [row for row in islice(reader, MAX_NUMBERS) if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise InvalidFile(
            _("line {line}, which cannot be split into cells ({why})").format(line=reader.line_num, why=error),
            _("a table in CSV"),
            _("Close every quote, and double a quote inside quotes."),
        ) from error
    if not rows:
        raise InvalidFile(_("a table without any text"), _("logits and target"), _("Save it again."))
    if layout is not None and len(layout.columns) == len(rows[0]) + 1:  # the names of the rows have none themselves
        rows[0] = ["", *rows[0]]
    header = rows[0]
    for index, row in enumerate(rows[1:]):
        if len(row) != len(header):
            raise InvalidFile(
                _("row {index} with {came} cells").format(index=index, came=len(row)),
                _("{count}, as the header has").format(count=len(header)),
                _("Give every row the same length."),
            )
    if len(set(header)) < len(header):
        twice = next(name for name, count in Counter(header).items() if count > 1)
        raise InvalidFile(
            _("two columns named {name}").format(name=shown(twice)), _("different names"), _("Rename one of them.")
        )
    assert layout is not None  # where it cannot be told, nothing can be split
    return rows, layout


def _numbers(
    rows: Sequence[Sequence[str]], header: Sequence[str], positions: Sequence[int], decimal: str = "."
) -> Tensor:
    texts = [[row[position].strip() for position in positions] for row in rows]
    if decimal == ",":
        texts = [[text.replace(",", ".") for text in row] for row in texts]
    values = np.empty((len(rows), len(positions)))
    for index, row in enumerate(texts):
        for column, text in enumerate(row):
            try:
                values[index, column] = parse_number(text)
            except InvalidText as error:
                raise InvalidFile(
                    _("row {index}, column {name}: {error}").format(
                        index=index, name=shown(header[positions[column]]), error=str(error).rstrip(".")
                    ),
                    _("a number in each cell"),
                    _("Write nan where there is none."),
                ) from error
    narrow = torch.from_numpy(values).to(torch.float32)
    return narrow if _holds(narrow, values, texts) else torch.from_numpy(values)


def _holds(narrow: Tensor, values: np.ndarray, texts: Sequence[Sequence[str]]) -> bool:
    """Whether float32 loses nothing: each number is one of its own, or is what it writes for the number."""
    lost = ~((narrow.double().numpy() == values) | np.isnan(values))
    lost_texts = compress(chain.from_iterable(texts), lost.reshape(-1).tolist())
    shortest = shortest_decimals(narrow[torch.from_numpy(lost)])
    for text, short in zip(lost_texts, shortest, strict=True):
        if text != short and ("inf" in short or Decimal(short) != Decimal(text.replace("\u2212", "-"))):
            return False
    return True


def _columns(names: Iterable[str], values: Tensor) -> list[list[str]]:
    shortest = shortest_decimals(values if values.dtype == torch.float64 else values.float())
    if values.dtype == torch.float64:
        # a short decimal would be taken for float32, which is another number
        is_narrow = (values == values.float().double()).reshape(-1).tolist()
        exact = values.reshape(-1).tolist()
        shortest = [
            text if narrow or text == "nan" else f"{value:.17g}"
            for text, narrow, value in zip(shortest, is_narrow, exact, strict=True)
        ]
    texts = [text.removesuffix(".0") for text in shortest]
    count = values.shape[1]
    return [[name, *texts[column::count]] for column, name in enumerate(names)]


def _called(names: Sequence[str], labels: Sequence[str], labels_are: str | None) -> dict[int, int]:
    """The classes by their numbers, where whole labels are these; none where they are indices. Raises: InvalidFile."""
    called = called_by_numbers(names)
    numbers = {number for label in labels if (number := whole_number(label)) is not None and number != IGNORED}
    told = are_names(numbers, names) if labels_are is None else labels_are == "names"
    if told is None:
        error = names_or_indices(_("this"), numbers, names)
        raise InvalidFile(error.came, error.expected, error.fix, error.answers)
    return called if told else {}


def _label(
    text: str, row: int, class_names: Sequence[str], more_names: Sequence[str], called: Mapping[int, int]
) -> int:
    stripped = text.strip()
    number = whole_number(stripped)
    if number is not None and (number == IGNORED or not called):
        return number
    if number is not None and number in called:
        return called[number]
    if _unquote(text) in class_names:
        return class_names.index(_unquote(text))
    if stripped in more_names:  # without what stands before every name
        return more_names.index(stripped)
    raise InvalidFile(
        _("row {row}: the label is {text}").format(row=row, text=shown(text) if stripped else _("missing")),
        _("the number of a class in 0…{last}, the name of one, or −100 to ignore the row").format(
            last=len(class_names) - 1
        ),
        _("Correct the label, or write −100 for one that is missing."),
    )


def _default_names(count: int) -> tuple[str, ...]:
    return tuple(f"class {index}" for index in range(count))


def _quote(name: str) -> str:
    """A name as a cell: behind one more apostrophe if a spreadsheet or this table would take it for something else."""
    name = guarded_inside(name)
    return f"'{name}" if _needs_quote(name) else name


def _unquote(cell: str) -> str:
    return unguarded_inside(cell[1:] if cell.startswith("'") and _needs_quote(cell) else cell)


def _needs_quote(name: str) -> bool:
    bare = name.lstrip("'")
    return is_formula(bare) or bare in (ROW, LABEL) or bare.startswith(TARGET)
