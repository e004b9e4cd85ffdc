"""Whether the rows of two files, or of two tables in memory, are in one order, by whatever names them in both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xent_core.array_types import library_of
from xent_core.column_names import is_id, is_key
from xent_core.columns import Reading, few, is_index, whole_number
from xent_core.dump.formats import Array, InvalidDump, OpenFile
from xent_core.dump.formats.table_columns import KEY_MARK
from xent_core.dump.parts import beside, joined_arrays
from xent_core.language import _

IDS_AT_A_TIME = 2**16


def check_index(logits: Any, other: Any, role: str) -> None:
    """Raises: InvalidDump where the index of one pandas object has the labels of the other's in another order.

    Indices of other labels say nothing: one of them was counted anew.
    """
    if not all(library_of(one) == "pandas" and hasattr(one, "loc") for one in (logits, other)):
        return
    own, theirs = logits.index, other.index
    if len(own) != len(theirs) or own.equals(theirs) or sorted(map(repr, own)) != sorted(map(repr, theirs)):
        return
    row = next(row for row, (one, another) in enumerate(zip(own, theirs, strict=True)) if one != another)
    raise InvalidDump(
        "order",
        _(
            "the index of {role} has the labels of that of logits in another order: in row {row} it is {theirs}, "
            "and {own} there"
        ).format(role=role, row=row, theirs=repr(theirs[row])[:80], own=repr(own[row])[:80]),
        _("the same rows in the same order in both"),
        _(
            "Sort by the index: {role}.loc[logits.index]; or, if the rows are in one order all the same, pass "
            "{role}.to_numpy()."
        ).format(role=role),
    )


def check_order(opened: list[OpenFile], reading: Reading, others: list[OpenFile], picked: Array) -> None:
    """Raises: InvalidDump where a second file names its rows in another order, by a column that both have.

    Texts and ids must be the same. Other numbers, such as those of pandas for the rows, may differ where one file
    counted anew; where both hold the same numbers in another order, so are the rows. So are they where two columns
    of other names hold the same texts, or the same names of rows, in another order.

    Args: picked: what the second file was given for.
    """
    named = (reading.ids, reading.text, *reading.keys)
    own = {name: _key(opened, name, reading) for name in dict.fromkeys(named) if name is not None}
    theirs = {name for name in others[0].arrays if all(name in file.arrays for file in others)}
    indices = [{name for name in names if is_index(name)} for names in (set(own), theirs)]
    pairs = [(name, name) for name in own if name in theirs]
    if not indices[0] & indices[1] and all(len(found) == 1 for found in indices):
        pairs.append((indices[0].pop(), indices[1].pop()))
    if reading.ids is not None and reading.ids not in theirs:
        pairs += [(reading.ids, other) for other in theirs if is_id(other)]
    for name, other in pairs:
        their = joined_arrays([file.arrays[other] for file in others])
        strict = None if name != other else name == reading.ids
        _check_same(own[name], their, name, others[0].name, is_strict=strict)
    candidates = {
        name: joined_arrays([file.arrays[name] for file in others])
        for name in theirs
        if others[0].arrays[name] is not picked
    }
    for name, other in _alike(own, candidates, known=set(pairs)):
        _check_same(own[name], candidates[other], few([name, other]), others[0].name, is_strict=None)


def _alike(
    own: Mapping[str, Array | None], theirs: Mapping[str, Array], known: set[tuple[str, str]]
) -> list[tuple[str, str]]:
    """The pairs of columns, but for those that are known, that hold the same names of rows in some order."""
    sums: dict[int, list[str]] = {}
    found = []
    if not any(map(_may_name_rows, theirs, theirs.values())):
        return []
    for name, array in own.items():
        if array is not None and _may_name_rows(name, array) and (digest := _sum_of_hashes(array)) is not None:
            sums.setdefault(digest, []).append(name)
    for other, array in theirs.items():
        if sums and _may_name_rows(other, array) and (digest := _sum_of_hashes(array)) is not None:
            found += [(name, other) for name in sums.get(digest, ()) if (name, other) not in known]
    return found


def _may_name_rows(name: str, array: Array) -> bool:
    is_named_so = is_id(name) or is_key(name) or is_index(name)
    return len(array.shape) == 1 and (array.dtype == "text" or (array.is_integer and is_named_so))


def _sum_of_hashes(array: Array) -> int | None:
    """The same for the same values in any order; None where the first of them are not mostly different."""
    total = 0
    for start in range(0, len(array), IDS_AT_A_TIME):
        keys = [str(value).strip() for value in array.values(start, min(start + IDS_AT_A_TIME, len(array))).tolist()]
        if start == 0 and len(set(keys)) * 2 < len(keys):
            return None
        total += sum(hash(key) for key in keys)
    return total


def _key(opened: list[OpenFile], name: str, reading: Reading) -> Array | None:
    """The rows' names in this column of the files of logits."""
    for role in ("ids", "text"):
        if name == getattr(reading, role):
            return beside(opened, reading, role)
    found = [file.arrays[key] for file in opened for key in (KEY_MARK + name, name) if key in file.arrays]
    return joined_arrays(found) if len(found) == len(opened) else None


def _check_same(own: Array | None, theirs: Array, column: str, file: str, *, is_strict: bool | None) -> None:
    """Raises: InvalidDump for the same values in another order; for texts, or all if that is strict, for any others.

    Args: is_strict: None for columns of two names, which may well hold other values.
    """
    if own is None or own.shape != theirs.shape:
        return
    first: tuple[int, str, str] | None = None
    difference = 0  # of the sums of hashes, which are the same for the same values in another order
    are_numbers = True
    for start in range(0, len(own), IDS_AT_A_TIME):
        stop = min(start + IDS_AT_A_TIME, len(own))
        pairs = zip(own.values(start, stop).tolist(), theirs.values(start, stop).tolist(), strict=True)
        for row, (one, other) in enumerate(pairs, start):
            if one == other:
                continue
            keys = [str(value).strip() for value in (one, other)]
            numbers = [whole_number(key) for key in keys]
            are_numbers = are_numbers and None not in numbers
            values = [key if number is None else number for key, number in zip(keys, numbers, strict=True)]
            difference += hash(values[0]) * hash((values[0], 1)) - hash(values[1]) * hash((values[1], 1))
            if values[0] != values[1] and first is None:
                first = row, keys[0], keys[1]
    if first is not None and (not difference or (is_strict is not None and (is_strict or not are_numbers))):
        row, mine, other = first
        raise InvalidDump(
            "order",
            _("row {row} is {own} in {name} and {other} in {file}, by the column {column}").format(
                row=row, own=mine[:80], name=own.name, other=other[:80], file=file, column=column
            ),
            _("the same rows in the same order in both files"),
            _("Sort both by that column; or remove it from one of them, if the rows are in one order all the same."),
        )
