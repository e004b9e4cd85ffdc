"""Decisions as CSV and as JSON, and back: whatever comes from a file is checked before it is believed."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import asdict
from typing import Any

from xent_core.dump.decisions.decision import MAX_DECISIONS, Decision, Decisions, InvalidDecisions
from xent_core.language import _
from xent_core.spreadsheets import guarded_inside, is_formula, unguarded_inside

FIELDS = ("id", "row", "old", "new", "decision", "time")
VERSION = 1
MAX_FILE_BYTES = 16 * 2**20
MAX_DIGITS = 18  # of a number in a cell


def to_csv(decisions: Decisions) -> str:
    """A line for each decision under the names id, row, old, new, decision, time.

    A text that a spreadsheet would run as a formula stands behind an apostrophe, which `decisions_from_file` takes off.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(FIELDS)
    for one in decisions:
        new = "" if one.new is None else one.new
        writer.writerow([_guarded(one.id), one.row, one.old, new, one.decision, _guarded(one.time)])
    return text.getvalue()


def to_json(decisions: Decisions) -> str:
    """{"version": 1, "decisions": [{"row", "id", "old", "new", "decision", "time"}, …]}, ASCII alone."""
    held = {"version": VERSION, "decisions": [asdict(one) for one in decisions]}
    return json.dumps(held, indent=1) + "\n"


def decisions_from_file(data: bytes) -> Decisions:
    """The decisions of a CSV or JSON file, as `to_csv` and `to_json` write them; commas or semicolons.

    Raises: InvalidDecisions, one sentence with the line and the column, for whatever is damaged.
    """
    if len(data) > MAX_FILE_BYTES:
        raise InvalidDecisions(
            _("the file has {count} bytes, expected at most {most}. Is it a file of decisions?").format(
                count=len(data), most=MAX_FILE_BYTES
            )
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line, column = before.count(b"\n") + 1, error.start - (before.rfind(b"\n") + 1) + 1
        raise InvalidDecisions(
            _("Line {line}, column {column}: a byte is not UTF-8. Save the file as UTF-8.").format(
                line=line, column=column
            )
        ) from error
    return _from_json(text) if text.lstrip()[:1] in ("{", "[") else _from_csv(text)


def _guarded(text: str) -> str:
    text = guarded_inside(text)
    return f"'{text}" if is_formula(text.lstrip("'")) else text


def _unguarded(text: str) -> str:
    return unguarded_inside(text[1:] if text[:1] == "'" and is_formula(text.lstrip("'")) else text)


def _from_csv(text: str) -> Decisions:
    first = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=";" if first.count(";") > first.count(",") else ",")
    places: dict[str, int] = {}
    entries: list[Decision] = []
    rows: set[int] = set()
    line = 1
    try:
        for cells in reader:
            if not places:
                places = _places([cell.strip() for cell in cells])
            elif any(cells):
                entries.append(_of_cells(cells, places, line))
                _check_room(entries, rows, _("Line {line}").format(line=line))
            line = reader.line_num + 1
    except csv.Error as error:
        raise InvalidDecisions(
            _("Line {line}, column 1: it is not CSV ({reason}). Write the file anew.").format(line=line, reason=error)
        ) from error
    if not places:
        raise InvalidDecisions(
            _("Line 1, column 1: the file is empty, expected the names {names}.").format(names=", ".join(FIELDS))
        )
    return Decisions(tuple(entries))


def _places(header: list[str]) -> dict[str, int]:
    needed = [name for name in FIELDS if name not in ("id", "time")]
    lacking = [name for name in needed if name not in header]
    if lacking:
        raise InvalidDecisions(
            _("Line 1, column 1: {lacking} is missing, expected the names {names}. Is it a file of decisions?").format(
                lacking=", ".join(lacking), names=", ".join(FIELDS)
            )
        )
    return {name: header.index(name) for name in FIELDS if name in header}


def _of_cells(cells: list[str], places: dict[str, int], line: int) -> Decision:
    if len(cells) <= max(places.values()):
        raise InvalidDecisions(
            _("Line {line}, column {column}: the line ends too early. Complete it, or leave it out.").format(
                line=line, column=len(cells) + 1
            )
        )
    values: dict[str, Any] = {"id": "", "time": ""}
    for name, place in places.items():
        cell = cells[place]
        if name in ("id", "time"):
            values[name] = _unguarded(cell)
        elif name == "decision":
            values[name] = cell.strip()
        else:
            values[name] = _integer(cell.strip(), name, line, place + 1)
    try:
        return Decision(**values)
    except InvalidDecisions as error:
        raise _at(error, line, values, places) from error


def _integer(cell: str, name: str, line: int, column: int) -> int | None:
    if not cell and name == "new":
        return None
    cell = re.sub(r"(?<=\d)\.0+$", "", cell)  # as pandas writes a column of numbers in which one is missing
    if not (cell.isascii() and cell.isdigit() and len(cell) <= MAX_DIGITS):
        raise InvalidDecisions(
            _("Line {line}, column {column}: {name} is {value}, expected a number such as 12. Correct it.").format(
                line=line, column=column, name=name, value=repr(cell[:80])
            )
        )
    return int(cell)


def _at(error: InvalidDecisions, line: int, values: dict[str, Any], places: dict[str, int]) -> InvalidDecisions:
    """The complaint of a Decision, which begins with the name of its field, with its place in the file."""
    field = str(error).partition(" ")[0]
    return InvalidDecisions(
        _("Line {line}, column {column}: {problem}").format(
            line=line, column=places.get(field, 0) + 1, problem=str(error)
        )
    )


def _check_room(entries: list[Decision], rows: set[int], place: str) -> None:
    """Complains as soon as there are too many, or two about one row."""
    row = entries[-1].row
    if len(entries) > MAX_DECISIONS:
        raise InvalidDecisions(
            _("{place}: there are more than {most} decisions. Split the file.").format(place=place, most=MAX_DECISIONS)
        )
    if row in rows:
        raise InvalidDecisions(
            _("{place}, column 1: row {row} is decided twice. Leave one of the two out.").format(place=place, row=row)
        )
    rows.add(row)


def _from_json(text: str) -> Decisions:
    try:
        held = json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidDecisions(
            _("Line {line}, column {column}: it is not JSON ({reason}). Write the file anew.").format(
                line=error.lineno, column=error.colno, reason=error.msg
            )
        ) from error
    except (RecursionError, ValueError) as error:  # brackets a thousand deep, a number of a thousand digits
        raise InvalidDecisions(
            _("Line 1, column 1: the JSON is none that this program writes. Write the file anew.")
        ) from error
    listed = held.get("decisions") if isinstance(held, dict) else None
    if not isinstance(listed, list) or held.get("version") != VERSION:
        raise InvalidDecisions(
            _('Line 1, column 1: no decisions, expected {{"version": {version}, "decisions": […]}}.').format(
                version=VERSION
            )
        )
    entries: list[Decision] = []
    rows: set[int] = set()
    for number, entry in enumerate(listed, 1):
        place = _("Decision {number}").format(number=number)
        if not isinstance(entry, dict) or set(entry) != set(FIELDS):
            raise InvalidDecisions(
                _("{place}: expected the entries {names}, and no others.").format(place=place, names=", ".join(FIELDS))
            )
        try:
            entries.append(Decision(**entry))
        except InvalidDecisions as error:
            raise InvalidDecisions(f"{place}: {error}") from error
        _check_room(entries, rows, place)
    return Decisions(tuple(entries))
