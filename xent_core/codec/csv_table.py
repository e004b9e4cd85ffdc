"""A Problem as CSV: logits, target and names; the options stay behind."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import chain, compress, islice

import numpy as np
import torch
from torch import Tensor

from xent_core.codec.document import Document, document_from, shown, too_large
from xent_core.codec.refusals import InvalidFile
from xent_core.codec.tensors import MAX_NUMBERS
from xent_core.decimals import shortest_decimals
from xent_core.language import _
from xent_core.parse import InvalidText, parse_number
from xent_core.problem import Problem
from xent_core.spreadsheets import is_formula

MAX_COLUMNS = 20_000
ROW, LABEL, TARGET = "row", "label", "target:"
IGNORED = -100


def to_csv(problem: Problem, *, class_names: Sequence[str] = (), row_names: Sequence[str] = ()) -> bytes:
    """Logits and target as a table: `row` if there are names, a column for each class, then `label` or `target:NAME`.

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
    columns += _columns(map(_quote, names), problem.logits)
    if problem.has_probabilities:
        columns += _columns((TARGET + name for name in names), problem.target)
    else:
        labels = problem.target.long().where(problem.kept(), IGNORED).tolist()
        columns.append([LABEL, *map(str, labels)])
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(zip(*columns, strict=True))
    return text.getvalue().encode("utf-8")


def read_csv(text: str) -> Document:
    """The table that `to_csv` wrote, or one like it: separated by commas, semicolons or tabs.

    A label is the number of its class, or its name where that is no number.
    Raises: InvalidFile, with row and column of what cannot be read; rows count from 0, the header left out.
    """
    header, *rows = _cells(text)
    if not rows:
        raise InvalidFile(_("a table with a header alone"), _("a row for each example"), _("Add the rows."))
    has_rows = header[0].strip() in ("", ROW)
    row_names = [_unquote(row[0]) for row in rows] if has_rows else []
    positions = {name: position for position, name in enumerate(header) if position or not has_rows}
    classes = {
        _unquote(name): position
        for name, position in positions.items()
        if name != LABEL and not name.startswith(TARGET)
    }
    if not classes:
        raise InvalidFile(_("a table without a column of logits"), _("a column for each class"), _("Add the logits."))
    targets = {name.removeprefix(TARGET): position for name, position in positions.items() if name.startswith(TARGET)}
    if (LABEL in positions) == bool(targets):
        raise InvalidFile(
            _("a table with both label and target columns") if targets else _("a table without labels"),
            _("a column 'label', or a column 'target:NAME' for each class"),
            _("Name the column of the labels 'label'.") if not targets else _("Remove one of the two."),
        )
    if targets and set(targets) != set(classes):
        odd = sorted(set(targets) ^ set(classes))[0]
        raise InvalidFile(
            _("a class {name} that has logits or a target, not both").format(name=shown(odd)),
            _("a column NAME and a column 'target:NAME' for each class"),
            _("Complete the columns, or correct the name."),
        )
    if targets:
        target = _numbers(rows, header, [targets[name] for name in classes])
    else:
        target = torch.tensor([_label(row[positions[LABEL]], index, list(classes)) for index, row in enumerate(rows)])
    names = tuple(classes)
    return document_from(
        {"logits": _numbers(rows, header, list(classes.values())), "target": target},
        {
            "class_names": [] if names == _default_names(len(names)) else list(names),
            "row_names": row_names,
        },
    )


def _cells(text: str) -> list[list[str]]:
    """Header and rows, all of one length; sizes are checked before anything is split."""
    if text.count("\n") > MAX_NUMBERS or text.count("\r") > MAX_NUMBERS:
        raise too_large(_("more numbers than that"))
    lines = io.StringIO(text, newline="")
    first = next((line for line in lines if line.strip()), "")
    separator = max(",;\t", key=first.count)
    if first.count(separator) >= MAX_COLUMNS:
        raise InvalidFile(
            _("a table of {count} columns").format(count=f"{first.count(separator) + 1:,}"),
            _("at most {limit}").format(limit=f"{MAX_COLUMNS:,}"),
            _("Put each example in a row and each class in a column."),
        )
    if text.count(separator) > 2 * MAX_NUMBERS:
        raise too_large(_("more numbers than that"))
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
    return rows


def _numbers(rows: Sequence[Sequence[str]], header: Sequence[str], positions: Sequence[int]) -> Tensor:
    texts = [[row[position].strip() for position in positions] for row in rows]
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


def _label(text: str, row: int, class_names: Sequence[str]) -> int:
    stripped = text.strip()
    if re.fullmatch(r"-?[0-9]{1,18}", stripped):
        return int(stripped)
    if _unquote(text) in class_names:
        return class_names.index(_unquote(text))
    raise InvalidFile(
        _("row {row}: the label is {text}").format(row=row, text=shown(text) if stripped else _("missing")),
        _("the number of a class in 0…{last}, the name of one, or −100 to ignore the row").format(
            last=len(class_names) - 1
        ),
        _("Write 2 for 2.0, and −100 for a label that is missing."),
    )


def _default_names(count: int) -> tuple[str, ...]:
    return tuple(f"class {index}" for index in range(count))


def _quote(name: str) -> str:
    """A name as a cell: behind one more apostrophe if a spreadsheet or this table would take it for something else."""
    return f"'{name}" if _needs_quote(name) else name


def _unquote(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and _needs_quote(cell) else cell


def _needs_quote(name: str) -> bool:
    bare = name.lstrip("'")
    return is_formula(bare) or bare in (ROW, LABEL) or bare.startswith(TARGET)
