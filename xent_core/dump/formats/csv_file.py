"""Opens a .csv file: numbers and names between commas, semicolons, tabs or spaces, packed or not."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from xent_core.column_names import PLAIN, plain_name
from xent_core.column_rule import decide
from xent_core.columns import Reading, few, whole_number
from xent_core.csv_layout import MISSING, CsvLayout, check_lists, choices_without_header, layout_of, number_of, squeezed
from xent_core.dump.formats.arrays import OpenFile, RawFile
from xent_core.dump.formats.checks import MAX_CLASSES, InvalidDump, asked, check_columns, need_pyarrow
from xent_core.dump.formats.spool import opened_forwards
from xent_core.dump.formats.table_columns import Table, check_distinct, open_reading, open_singles
from xent_core.dump.formats.text_stream import TextStream
from xent_core.language import _
from xent_core.tensor_headers import first_line


def open_csv(raw: RawFile) -> OpenFile:
    """The columns of a table, as `column_rule.decide` tells them apart."""
    name, limits = raw.name, raw.limits
    need_pyarrow(name)
    stream = TextStream(raw)
    sample = stream.sample()
    if limits is not None:
        line = sample.partition("\n")[0]
        check_columns(name, max(line.count(delimiter) for delimiter in ",;|\t ") + 1)
        stream.check_lines(limits)
    try:
        layout = layout_of(sample, no_header=raw.choices.no_header)
    except csv.Error as error:
        raise InvalidDump(
            "csv-header",
            _("the first lines of {name} cannot be split into cells ({reason})").format(
                name=name, reason=first_line(error)
            ),
            _("comma-separated numbers"),
            _("Close every quote, and double a quote inside quotes."),
        ) from error
    names = [column.name for column in layout.columns]
    if len(set(names)) < len(names) or len(names) > MAX_CLASSES:
        raise InvalidDump(
            "csv-header",
            _("the first line of {name} has {count} names, and {twice} more than once").format(
                name=name, count=len(names), twice=few(twice)
            )
            if (twice := [repr(one) for one, count in Counter(names).items() if count > 1])
            else _("the first line of {name} has {count} names").format(name=name, count=len(names)),
            _("one name for each column"),
            _("Give each class its own name."),
        )
    if raw.role != "logits":
        return _open_beside(raw, stream, layout, sample)
    text = _CsvText(stream, layout)
    with asked():
        check_lists(layout, raw.choices, name)
        choices = raw.choices if layout.has_header else choices_without_header(layout, raw.choices, name)
        reading = decide(layout.columns_to_decide, choices, text.distinct, rows_seen=layout.rows_seen, file=name)
    notes = layout.notes
    if dict(layout.columns).get(reading.target[0] if len(reading.target) == 1 else "") == "number":
        notes += (_("labels are whole numbers written as fractions"),)  # or refused where they are read
    reading = replace(
        reading, notes=notes, class_names=reading.class_names if layout.has_header else choices.class_names
    )
    used = [column for column in names if column in reading.keys or column not in reading.unused]
    schema = text.schema(used, frozenset(reading.target), reading)
    return text.opened(raw, schema, lambda table: open_reading(name, table, schema, reading, close=raw.file.close))


def _open_beside(raw: RawFile, stream: TextStream, layout: CsvLayout, sample: str) -> OpenFile:
    """A table that was not given for its logits: each column by its name.

    Of a single column the number of rows tells whether its first line is a name: pandas calls a nameless column 0,
    and a label may be a text.
    """
    text = _CsvText(stream, layout)
    if len(layout.columns) == 1 and raw.choices.rows is not None and not raw.choices.no_header:
        [name] = [column.name for column in layout.columns]
        is_label = layout.has_header and plain_name(name) not in set().union(*PLAIN.values())
        if is_label and text.lines() == raw.choices.rows - 1:
            layout = layout_of(sample, no_header=True)
        elif not layout.has_header and sample.split(None, 1)[0] == "0":
            is_header = raw.choices.rows == text.lines() - 1
            layout = replace(layout, has_header=is_header, header_rows=int(is_header))
        text = _CsvText(stream, layout)
    columns = layout.columns
    schema = text.schema(
        [column.name for column in columns], frozenset(column.name for column in columns if column.kind == "integer")
    )
    notes = tuple(_("{note} in {name}").format(note=note, name=raw.name) for note in layout.notes)

    def opened(table: Table) -> OpenFile:
        return open_singles(raw.name, table, schema, close=raw.file.close, notes=notes)

    return text.opened(raw, schema, opened)


class _CsvText:
    """The rows of a text as record batches, a block of lines at a time.

    pyarrow is given each block in memory: its reader of a whole file reads ahead in a thread of its own, which goes
    on after an error, and ends or stops the process when that ends.
    """

    def __init__(self, stream: TextStream, layout: CsvLayout) -> None:
        self._stream, self._layout = stream, layout

    def schema(self, columns: list[str], whole: frozenset[str], reading: Reading | None = None) -> Any:
        """Of these columns: labels stay whole or text, names are text, and all other numbers are float64."""
        import pyarrow as pa

        kinds = dict(self._layout.columns)
        texts = set()
        if reading is not None:
            texts = {reading.ids, reading.text, reading.image, *reading.shown, *reading.keys}
            texts -= {*reading.target, reading.sample_weight, reading.features}
        numbers = () if reading is None else reading.columns_of_numbers

        def kind(column: str) -> Any:
            if column in numbers or (column not in whole and kinds[column] != "text" and column not in texts):
                return pa.float64()
            is_whole = kinds[column] in ("integer", "empty") and column not in texts
            return pa.int64() if is_whole else pa.string()

        return pa.schema([(column, kind(column)) for column in columns])

    def opened(self, raw: RawFile, schema: Any, of_table: Callable[[Table], OpenFile]) -> OpenFile:
        """The file, once all its rows have been read and counted; they are kept where there is room for that."""
        return opened_forwards(
            raw,
            schema,
            lambda columns: self.batches(schema, columns),
            of_table,
            is_packed=self._stream.codec is not None,
        )

    def lines(self) -> int:
        """How many rows there are, read as they are laid out."""
        name = self._layout.columns[0].name
        return sum(batch.num_rows for batch in self.batches(self.schema([name], frozenset()), [name]))

    def distinct(self, column: str) -> set[str]:
        """The different texts in a column. Raises: InvalidDump for more than there may be classes."""
        import pyarrow as pa

        found: set[str] = set()
        for batch in self.batches(pa.schema([(column, pa.string())]), [column]):
            found.update(batch.column(0).unique().to_pylist())
            check_distinct(self._stream.name, column, len(found))
        return {text for text in found if text.strip().lower() not in MISSING}

    def batches(self, schema: Any, columns: list[str]) -> Iterator[Any]:
        """All rows of these columns. Raises: InvalidDump, with the line and the cell that cannot be read."""
        import pyarrow as pa

        layout = self._layout
        types = {column: schema.field(column).type for column in columns}
        line, skip = 1 + layout.preamble, layout.header_rows
        for block in self._stream.blocks(layout.preamble):
            if layout.delimiter == " ":
                block = squeezed(block.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
            try:
                table = self._table(block, types, skip)
            except MemoryError:  # pyarrow's is an ArrowException too
                raise
            except pa.ArrowException as error:
                table = self._read_by_cell(block, line, skip, types, error)
            yield from table.combine_chunks().to_batches()
            line, skip = line + block.count(b"\n"), 0

    def _table(self, block: bytes, types: dict[str, Any], skip: int) -> Any:
        """These columns of a block, as pyarrow reads it."""
        import pyarrow as pa
        import pyarrow.csv as pc

        layout = self._layout
        return pc.read_csv(
            pa.BufferReader(block),
            read_options=pc.ReadOptions(
                column_names=[column.name for column in layout.columns],
                skip_rows_after_names=skip,
                block_size=len(block) + 1,
                use_threads=False,
            ),
            parse_options=pc.ParseOptions(delimiter=layout.delimiter, newlines_in_values=b'"' in block),
            convert_options=pc.ConvertOptions(
                column_types=types, include_columns=list(types), decimal_point=layout.decimal
            ),
        )

    def _read_by_cell(self, block: bytes, line: int, skip: int, types: dict[str, Any], error: Exception) -> Any:
        """A block with cells that pyarrow does not take, such as +1, "None" and a minus sign, or 1.0 among labels.

        Raises: InvalidDump for a cell that is no number.
        """
        import pyarrow as pa

        try:
            table = self._table(block, dict.fromkeys(types, pa.string()), skip)
        except pa.ArrowException:
            raise self._broken(block, line, skip, types, error) from error
        columns = []
        for column, kind in types.items():
            cells = table.column(column).to_pylist()
            if not pa.types.is_string(kind):
                values = [_value_of(cell, kind, self._layout.decimal) for cell in cells]
                if any(value is NO_NUMBER for value in values):
                    raise self._broken(block, line, skip, types, error) from error
                columns.append(pa.array(values, kind))
            else:
                columns.append(pa.array(cells, kind))
        return pa.table(columns, names=list(types))

    def _broken(self, block: bytes, line: int, skip: int, types: dict[str, Any], error: Exception) -> InvalidDump:
        """What is wrong in a block that pyarrow could not read, looked for cell by cell."""
        layout = self._layout
        found = first_line(error)
        try:
            reader = csv.reader(io.StringIO(block.decode("utf-8"), newline=""), delimiter=layout.delimiter)
            for row in reader:
                number = line + reader.line_num - 1
                if not any(cell.strip() for cell in row) or (skip and reader.line_num == 1):
                    continue
                if len(row) != len(layout.columns):
                    found = _("line {line} has {came} cells, the first has {expected}").format(
                        line=number, came=len(row), expected=len(layout.columns)
                    )
                    break
                cells = dict(zip([column.name for column in layout.columns], row, strict=True))
                bad = next(
                    (
                        column
                        for column, kind in types.items()
                        if str(kind) != "string" and _value_of(cells[column], kind, layout.decimal) is NO_NUMBER
                    ),
                    None,
                )
                if bad is not None:
                    is_fraction = number_of(cells[bad], layout.decimal) is not None
                    words = _("line {line}, column {column}: {cell} is no number")
                    if is_fraction:
                        words = _("line {line}, column {column}: {cell} is no whole number")
                    found = words.format(line=number, column=bad[:80], cell=repr(cells[bad][:40]))
                    break
        except (UnicodeDecodeError, csv.Error) as other:
            found = first_line(other)
        return InvalidDump(
            "table-broken",
            _("{name} cannot be read ({reason})").format(name=self._stream.name, reason=found),
            _("the same number of columns in every line, and numbers in them"),
            _("Look at the line that is named, or write the file again."),
        )


NO_NUMBER = object()


def _value_of(cell: str, kind: Any, decimal: str) -> Any:
    """The number in a cell of a column of this kind, None for one without, and NO_NUMBER for another text."""
    import pyarrow as pa

    if cell is None or cell.strip().lower() in MISSING:
        return None
    number = number_of(cell, decimal)
    if number is None or pa.types.is_floating(kind):
        return NO_NUMBER if number is None else number
    whole = whole_number(cell if decimal == "." else cell.replace(",", "."))
    return NO_NUMBER if whole is None or abs(whole) >= 2**63 else whole
