"""Opens JSON Lines: an object for each row, or for each sequence of rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from xent_core.column_rule import decide
from xent_core.columns import Column, Reading
from xent_core.dump.formats.arrays import OpenFile, RawFile
from xent_core.dump.formats.checks import InvalidDump, asked, check_columns, need_pyarrow
from xent_core.dump.formats.json_objects import ObjectStream
from xent_core.dump.formats.lm_eval_file import is_lm_eval, open_lm_eval
from xent_core.dump.formats.spool import opened_forwards
from xent_core.dump.formats.table_columns import Table, check_distinct, open_reading, open_singles
from xent_core.dump.formats.text_stream import TextStream
from xent_core.language import _
from xent_core.tensor_headers import first_line

LINES_LOOKED_AT = 100
NESTED = "nested"  # lists of lists: a row for each of the inner ones


def open_json_lines(raw: RawFile) -> OpenFile:
    """The fields of the objects, as `column_rule.decide` tells them apart; of nested lists each inner one is a row."""
    need_pyarrow(raw.name)
    stream = ObjectStream(raw)
    if raw.limits is not None:
        stream.check_lines(raw.limits)
    objects = [one for _line, one in zip(range(LINES_LOOKED_AT), _objects(stream), strict=False)]
    if not objects:
        raise _broken_line(raw.name, _("it holds no object"))
    if raw.role == "logits" and is_lm_eval(objects[0]):
        return open_lm_eval(raw, _objects(stream))
    if len(objects) == 1 and (orient := _pandas_orient(objects[0])) is not None:
        raise InvalidDump(
            "json-orient",
            _("{name} holds one object for the whole table, as pandas writes it with orient={orient}").format(
                name=raw.name, orient=repr(orient)
            ),
            _("an object for each row"),
            _(
                'Convert it: pd.read_json({path}, orient={orient}).reset_index().to_json("dump.jsonl", '
                'orient="records", lines=True).'
            ).format(path=repr(raw.name), orient=repr(orient)),
        )
    fields: dict[str, list[Any]] = {}
    for one in objects:
        for field, value in one.items():
            fields.setdefault(field, []).append(value)
    if raw.limits is not None:
        check_columns(raw.name, len(fields))
    kinds = {field: _kind_of(values) for field, values in fields.items()}
    text = _JsonText(stream, kinds)
    if raw.role != "logits":
        schema = text.schema([field for field, kind in kinds.items() if kind not in ("other", "empty")], None)
        return text.opened(raw, schema, lambda table: open_singles(raw.name, table, schema, close=raw.file.close))
    columns = [Column(field, "list" if kind == NESTED else kind) for field, kind in kinds.items()]
    with asked():
        reading = decide(columns, raw.choices, text.distinct, rows_seen=len(objects), file=raw.name)
    text.labels_are_in(reading.target)
    used = [one.name for one in columns if one.name in reading.keys or one.name not in reading.unused]
    schema = text.schema(used, reading)
    return text.opened(raw, schema, lambda table: open_reading(raw.name, table, schema, reading, close=raw.file.close))


class _JsonText:
    """The objects as record batches of the fields that are asked for, a block of lines at a time."""

    def __init__(self, stream: TextStream, kinds: dict[str, str]) -> None:
        self._stream, self._kinds = stream, kinds
        self._target: tuple[str, ...] = ()

    def schema(self, fields: list[str], reading: Reading | None) -> Any:
        """Of these fields, the inner lists counted as rows."""
        import pyarrow as pa

        target = () if reading is None else reading.target
        numbers = () if reading is None else (*reading.columns_of_numbers, reading.sample_weight)
        types = {
            "text": pa.string(),
            "bool": pa.bool_(),
            "integer": pa.int64(),
            "list": pa.list_(pa.float64()),
            NESTED: pa.list_(pa.float64()),
        }

        def kind(field: str) -> Any:
            if field in target and self._kinds[field] == "list" and self._is_nested(reading):
                return pa.int64()  # a label for each inner list of logits
            if field in numbers and self._kinds[field] == "integer":
                return pa.float64()  # a fraction may follow
            return types.get(self._kinds[field], pa.float64())

        return pa.schema([(field, kind(field)) for field in fields])

    def labels_are_in(self, fields: tuple[str, ...]) -> None:
        """Of these fields a nested row has as many values as it has rows; what else is said once is said of each."""
        self._target = fields

    def _is_nested(self, reading: Reading | None) -> bool:
        return reading is not None and self._kinds[reading.classes[0]] == NESTED

    def opened(self, raw: RawFile, schema: Any, of_table: Callable[[Table], OpenFile]) -> OpenFile:
        """The file, once all its rows have been read and counted; they are kept where there is room for that."""
        nested = [field for field in schema.names if self._kinds[field] == NESTED]
        schema = schema if not nested else _first(schema, nested[0])
        is_packed = self._stream.codec is not None
        return opened_forwards(
            raw, schema, lambda columns: self.batches(schema, columns), of_table, is_packed=is_packed
        )

    def distinct(self, column: str) -> set[str]:
        """The different texts in a field."""
        import pyarrow as pa

        found: set[str] = set()
        for batch in self.batches(pa.schema([(column, pa.string())]), [column]):
            found.update(text for text in batch.column(0).unique().to_pylist() if text is not None)
            check_distinct(self._stream.name, column, len(found))
        return found

    def batches(self, schema: Any, columns: list[str]) -> Iterator[Any]:
        """All rows of these fields. Raises: InvalidDump, with the line that cannot be read."""
        import pyarrow as pa
        import pyarrow.json as pj

        nested = next((field for field in schema.names if self._kinds[field] == NESTED), None)
        read = list(dict.fromkeys([*columns, *([nested] if nested else [])]))
        types = []
        for field in read:
            kind = schema.field(field).type
            is_inside = nested is not None and self._kinds[field] in (NESTED, "list")
            types.append((field, pa.list_(kind) if is_inside else kind))
        line = 1
        for block in self._stream.blocks():
            try:
                table = pj.read_json(
                    pa.BufferReader(block),
                    read_options=pj.ReadOptions(use_threads=False, block_size=len(block) + 1),
                    parse_options=pj.ParseOptions(explicit_schema=pa.schema(types), unexpected_field_behavior="ignore"),
                )
            except MemoryError:  # pyarrow's is an ArrowException too
                raise
            except pa.ArrowException as error:
                raise self._broken(block, line, error) from error
            line += block.count(b"\n")
            for batch in table.combine_chunks().to_batches():
                yield (batch if nested is None else self._flat(batch, nested, line)).select(columns)

    def _flat(self, batch: Any, nested: str, line: int) -> Any:
        """A row for each inner list; what is said once of the outer one is said of each."""
        import pyarrow as pa
        import pyarrow.compute as pc

        lengths = pc.list_value_length(batch.column(nested))
        parents = pc.list_parent_indices(batch.column(nested))
        once = [field for field in self._target if field in batch.schema.names and self._kinds[field] != "list"]
        if once and (most := pc.max(lengths).as_py() or 0) > 1:
            raise InvalidDump(
                "batch-mismatch",
                _("{name} has one {field} for {count} rows of {nested}, before line {line}").format(
                    name=self._stream.name, field=once[0][:80], count=most, nested=nested[:80], line=line
                ),
                _("one label for each row of logits"),
                _("Write as many labels as rows, or the one row of logits that the label belongs to."),
            )
        columns = []
        for field, column in zip(batch.schema.names, batch.columns, strict=True):
            if self._kinds[field] not in (NESTED, "list"):
                columns.append(column.take(parents))
                continue
            if not pc.list_value_length(column).equals(lengths):
                raise InvalidDump(
                    "batch-mismatch",
                    _("{name} has lists of other lengths in {field} than in {nested}, before line {line}").format(
                        name=self._stream.name, field=field[:80], nested=nested[:80], line=line
                    ),
                    _("one label for each row of logits"),
                    _("Take both from the same run."),
                )
            columns.append(column.flatten())
        return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)

    def _broken(self, block: bytes, line: int, error: Exception) -> InvalidDump:
        found = first_line(error)
        for number, text in enumerate(block.split(b"\n"), line):
            if text.strip():
                try:
                    one = json.loads(text)
                except (ValueError, RecursionError) as other:
                    found = _("line {line}: {reason}").format(line=number, reason=first_line(other))
                    break
                odd = _odd_field(one, self._kinds)
                if odd is not None:
                    found = _("line {line}: {field} is another kind of value than before").format(
                        line=number, field=odd[:80]
                    )
                    break
        return _broken_line(self._stream.name, found)


def _pandas_orient(one: dict[str, Any]) -> str | None:
    """How DataFrame.to_json laid out a whole table in one object; None for another object."""
    if {"columns", "data"} <= set(one):
        return "table" if "schema" in one else "split"
    if "schema" in one and isinstance(one.get("data"), list):
        return "table"
    values = list(one.values())
    if not all(isinstance(value, dict) and value for value in values) or len({tuple(value) for value in values}) != 1:
        return None
    counts = list(values[0]) == [str(number) for number in range(len(values[0]))]  # numbers of rows
    return "columns" if counts else "index"


def _first(schema: Any, name: str) -> Any:
    """The schema with this column in front: by it the rows are counted."""
    import pyarrow as pa

    return pa.schema([schema.field(name), *(field for field in schema if field.name != name)])


def _objects(stream: TextStream) -> Iterator[dict[str, Any]]:
    """Line by line. Raises: InvalidDump for a line that is no object."""
    line = 0
    for block in stream.blocks():
        for text in block.split(b"\n"):
            line += 1
            if not text.strip():
                continue
            try:
                one = json.loads(text)
            except (ValueError, RecursionError) as error:
                raise _broken_line(
                    stream.name, _("line {line}: {reason}").format(line=line, reason=first_line(error))
                ) from error
            if not isinstance(one, dict):
                raise _broken_line(stream.name, _("line {line} is no object").format(line=line))
            yield one


def _broken_line(name: str, reason: str) -> InvalidDump:
    return InvalidDump(
        "table-broken",
        _("{name} cannot be read as JSON Lines ({reason})").format(name=name, reason=reason),
        _("in each line one object, such as {example}").format(example='{"logits": [0.5, 2.0], "label": 1}'),
        _("Look at the line that is named, or write the file again."),
    )


def _kind_of(values: list[Any]) -> str:
    kinds = {_kind(value) for value in values if value is not None} - {"empty"}
    if kinds == {"integer", "number"}:
        return "number"
    return kinds.pop() if len(kinds) == 1 else "other" if kinds else "empty"


def _kind(value: Any) -> str:
    if isinstance(value, list):
        inner = {_kind(one) for one in value if one is not None}
        if inner <= {"integer", "number"}:
            return "list" if inner else "empty"
        return NESTED if inner == {"list"} else "other"
    return {bool: "bool", int: "integer", float: "number", str: "text"}.get(type(value), "other")


def _odd_field(one: Any, kinds: dict[str, str]) -> str | None:
    """The field of an object whose value is of another kind than those that were looked at."""
    if not isinstance(one, dict):
        return "…"
    for field, value in one.items():
        known, kind = kinds.get(field, "other"), _kind(value)
        if value is not None and kind not in (known, "empty") and known != "other":
            if (known, kind) == ("number", "integer"):
                continue
            return str(field)
    return None
