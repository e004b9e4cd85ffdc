"""Opens what `open_dump` is given: paths, patterns, addresses, uploads, arrays, and lists of these."""

from __future__ import annotations

import glob
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from xent_core.column_names import is_id
from xent_core.columns import MARK, SHOWN, ColumnChoices, LabelsAre, LogitsAre, Reading, few, is_index, whole_number
from xent_core.dump.folders import expanded, files_of_folder, is_several, matching
from xent_core.dump.formats import MAX_CLASSES, ROLES, Array, DumpLimits, InvalidDump, MemoryArray, OpenFile, open_file
from xent_core.dump.formats.checks import shards_differ
from xent_core.dump.formats.table_columns import KEY_MARK
from xent_core.dump.labels import labels_of
from xent_core.dump.parts import (
    by_role,
    check_companion,
    check_target_shape,
    checked_pictures,
    joined_arrays,
    part_of,
    pick,
    reading_of,
)
from xent_core.language import _, ngettext

NOTHING_SAID = ColumnChoices()
IDS_AT_A_TIME = 2**16
MAX_NAMES_CHARACTERS = 2**26


@dataclass(frozen=True)
class DumpSource:
    """Where a dump comes from: what `open_dump` was asked, so that another process can ask it too."""

    logits: Any
    target: Any = None
    features: Any = None
    sample_weight: Any = None
    ids: Any = None
    class_names: Any = None
    ignore_index: int = -100
    logits_are: LogitsAre | None = None
    classes: Any = None
    target_column: Any = None
    text: Any = None
    image: Any = None
    show: Any = None
    no_header: bool = False
    labels_are: LabelsAre | None = None


Opener = Callable[[Any, str, ColumnChoices], OpenFile]
ROWS_THAT_TELL = 16  # fewer labels may be the same by chance
ROWS_COMPARED = 4096
MOST_EPOCHS = 100
COMPANIONS = ("features", "sample_weight", "ids", "text", "image")


def gather(
    source: DumpSource, files: list[OpenFile], limits: DumpLimits, upload: Opener, *, is_strangers: bool = False
) -> tuple[dict[str, Array], tuple[str, ...] | None, Reading]:
    """Every part of the dump as rows, of one length, the names of the classes, and what was made of the columns.

    Args:
      upload: opens what is no path.
      is_strangers: what is said of the columns was typed by a stranger, and names no file of this computer.
    """
    opened_as = partial(_opened, files=files, upload=upload)
    request = _request(source, opened_as, _is_text if is_strangers else _is_choice)
    opened = opened_as(request.logits, "logits", request.choices)
    reading = _one_reading(opened, request.choices)
    scores = _scores(opened, reading)
    found = _companions(request, opened, reading, math.prod(scores.shape[:-1]), opened_as)
    limits.check(math.prod(scores.shape[:-1]), scores.shape[-1])
    target = found["target"]
    if target is None:
        raise InvalidDump(
            "no-target",
            _("{name} holds no labels").format(name=opened[0].name),
            _("class indices in an array or a column named {names}, or in a second file").format(
                names=", ".join(ROLES["target"])
            ),
            _("Give the file with the labels too, or say which column they are: --target."),
        )
    names = _checked_names(request.class_names or reading.class_names or _names_beside(opened[0]), scores.shape[-1])
    is_ours = reading.classes[0].startswith(MARK)
    labels = labels_of(
        target,
        scores,
        names,
        source.ignore_index,
        numbers=reading.class_names or names,
        labels_are="indices" if is_ours else source.labels_are,
    )
    check_target_shape(scores, labels.indices)
    rows = {"logits": scores.as_rows(1), "target": labels.indices.as_rows(0)}
    if labels.probs is not None:
        rows["target_probs"] = labels.probs.as_rows(1)
    rows |= _beside_rows(found, opened, reading, scores, is_strangers=is_strangers)
    if not 1 <= scores.shape[-1] <= MAX_CLASSES or not len(rows["logits"]):
        raise InvalidDump(
            "logits-shape",
            _("{name} has shape {shape}").format(name=scores.name, shape=scores.shape),
            _("at least one row, and 1 to {limit} classes").format(limit=MAX_CLASSES),
            _("Check where the rows were lost."),
        )
    notes = [] if labels.note is None else [labels.note]
    if len(scores.shape) > 2:
        notes += _leading_axes(scores.shape[:-1], rows["target"])
    if len(opened) > 1:
        notes.append(_("{count} files").format(count=len(opened)))
    from_files = {role: rows[role].name for role in ("ids", "text", "image") if request.given[role] is not None}
    reading = replace(
        reading,
        notes=(*reading.notes, *notes),
        shown=tuple(name for name in reading.shown if f"{SHOWN}{name}" in rows),
        count=scores.shape[-1],
        target_file=None if request.given["target"] is None else target.name,
        ids_file=from_files.get("ids"),
        text_file=from_files.get("text"),
        image_file=from_files.get("image"),
    )
    return rows, names, reading


def _leading_axes(lead: tuple[int, ...], target: Array) -> list[str]:
    """What to say of logits with more than one axis before the classes, and of labels that are the same along it."""
    said = [_("{axes} rows").format(axes=" × ".join(map(str, lead)))]
    each = math.prod(lead[1:])
    compared = min(each, ROWS_COMPARED)
    if not 1 < lead[0] <= MOST_EPOCHS or compared < ROWS_THAT_TELL:
        return said
    first = target.tensor(0, compared)
    if all(first.equal(target.tensor(place * each, place * each + compared)) for place in range(1, lead[0])):
        words = _("the labels are the same {count} times: were these epochs of one run, each goes into its own file")
        said.append(words.format(count=lead[0]))
    return said


class _Request(NamedTuple):
    """What was asked of a dump, after names of columns and files were told apart.

    Attributes:
      logits: the files of the logits.
      given: for each part beside them, the file or array that was given for it, or None.
      choices: what was said of the columns.
    """

    logits: Any
    given: dict[str, Any]
    choices: ColumnChoices
    class_names: tuple[str, ...] | None


def _request(
    source: DumpSource, opened_as: Callable[[Any, str], list[OpenFile]], names_column: Callable[[Any], bool]
) -> _Request:
    """Raises: InvalidDump if labels came twice."""
    given = {name: getattr(source, name) for name in ("target", *COMPANIONS)}
    said: dict[str, Any] = {"no_header": source.no_header, "labels_are": source.labels_are}
    if names_column(source.target_column):
        said["target"] = source.target_column
    elif source.target_column is not None:
        if source.target is not None:
            raise InvalidDump(
                "target-twice",
                _("two files of labels came"),
                _("one"),
                _("Give --target the name of a column, or leave one of the two out."),
            )
        given["target"] = source.target_column
    for name in ("ids", "text", "image"):
        if names_column(given[name]):
            said[name], given[name] = given[name], None
    if source.show is not None:
        said["show"] = source.show if isinstance(source.show, str) else tuple(map(str, source.show))
    class_names = _names_given(source.class_names, opened_as)
    if isinstance(source.classes, list | tuple) or names_column(source.classes):
        said["classes"] = source.classes if isinstance(source.classes, str) else tuple(map(str, source.classes))
    elif source.classes is not None:
        class_names = _names_given(source.classes, opened_as)
        said["classes"] = class_names
    logits, beside = files_of_folder(source.logits)
    if beside is not None and given["target"] is None and "target" not in said:
        given["target"] = beside
    has_target = given["target"] is not None
    return _Request(
        logits, given, ColumnChoices(**said, has_target=has_target, class_names=class_names or ()), class_names
    )


def _one_reading(opened: list[OpenFile], choices: ColumnChoices) -> Reading:
    """What was made of the columns of the first file. Raises: InvalidDump if another was read otherwise."""
    readings = [reading_of(file, choices) for file in opened]
    kinds = [(other.classes, other.target) for other in readings]
    if len(set(kinds)) > 1:
        raise shards_differ([file.name for file in opened], kinds, [other.sentence() for other in readings])
    return readings[0]


def _scores(opened: list[OpenFile], reading: Reading) -> Array:
    """The logits of all files, (N, C) or (B, T, V)."""
    parts = [part_of(file, reading, "logits") for file in opened]
    scores = joined_arrays([part for part in parts if part is not None])
    if not 2 <= len(scores.shape) <= 3 or not (scores.is_floating or scores.is_integer):
        raise InvalidDump(
            "logits-shape",
            _("{name} has shape {shape} and dtype {dtype}").format(
                name=scores.name, shape=scores.shape, dtype=scores.dtype
            ),
            _("logits (N, C) or (B, T, V), floating"),
            _("Bring the classes to the last axis: np.moveaxis(logits, 1, -1), and flatten the rest of both.")
            if len(scores.shape) > 3
            else _("Check that logits and labels are not the wrong way round."),
        )
    return scores


def _companions(
    request: _Request,
    opened: list[OpenFile],
    reading: Reading,
    rows: int,
    opened_as: Callable[[Any, str, ColumnChoices], list[OpenFile]],
) -> dict[str, Array | None]:
    """The labels and what else lies beside the logits: out of its own file if one was given, else out of theirs."""
    choices = replace(request.choices, classes=None, rows=rows)
    found: dict[str, Array | None] = {}
    for role, value in request.given.items():
        if value is None:
            found[role] = _beside(opened, reading, role)
            continue
        others = opened_as(files_of_folder(value)[0], role, choices)
        column = getattr(request.choices, role, None)
        found[role] = joined_arrays([pick(file, role, column) for file in others])
        _check_order(opened, reading, others)
    return found


def _beside_rows(
    found: dict[str, Array | None], opened: list[OpenFile], reading: Reading, scores: Array, *, is_strangers: bool
) -> dict[str, Array]:
    """What lies beside logits and labels, and the columns that are shown, as rows."""
    lead = scores.shape[:-1]
    rows: dict[str, Array] = {}
    shown = {f"{SHOWN}{name}": _beside(opened, reading, f"{SHOWN}{name}") for name in reading.shown}
    for role, part in ({role: found[role] for role in COMPANIONS} | shown).items():
        if part is None:
            continue
        if role == "image":
            rows[role] = checked_pictures(part, math.prod(lead), is_strangers=is_strangers)
        else:
            rows[role] = part.as_rows(1 if role == "features" else 0)
            check_companion(role, part, rows[role], lead)
    return rows


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_choice(value: Any) -> bool:
    """Whether this names a column: a text that is neither a file nor an address, nor a folder written with a slash."""
    if not isinstance(value, str) or "://" in value:
        return False
    return not os.path.exists(value) or (os.path.isdir(value) and not {os.sep, "/"} & set(value))


def folder_of_pictures(source: DumpSource, reading: Reading) -> str | None:
    """The folder of the first file that names the pictures; None where that is no file of this computer."""
    named_by = source.logits if reading.image is not None else source.image
    if isinstance(named_by, list | tuple) and named_by:
        named_by = named_by[0] if reading.image is not None or _are_files(named_by, "image") else None
    if not isinstance(named_by, str | os.PathLike) or "://" in os.fspath(named_by):
        return None
    path = os.fspath(named_by)
    if glob.has_magic(path) and not os.path.exists(path):
        path = next(iter(matching(path)), path)
    return os.path.abspath(path if os.path.isdir(path) else os.path.dirname(path) or os.curdir)


def _beside(files: list[OpenFile], reading: Reading, role: str) -> Array | None:
    """The array for this role out of the files of the logits, if every one of them has it."""
    found = [part_of(file, reading, role) for file in files]
    known = [array for array in found if array is not None]  # one of zero rows is falsy
    return joined_arrays(known) if len(known) == len(found) else None


def _check_order(opened: list[OpenFile], reading: Reading, others: list[OpenFile]) -> None:
    """Raises: InvalidDump where a second file names its rows in another order, by a column that both have.

    Texts and ids must be the same. Other numbers, such as those of pandas for the rows, may differ where one file
    counted anew; where both hold the same numbers in another order, so are the rows.
    """
    own = {name: _key(opened, name, reading) for name in (reading.ids, *reading.keys) if name is not None}
    theirs = {name for name in others[0].arrays if all(name in file.arrays for file in others)}
    indices = [{name for name in names if is_index(name)} for names in (set(own), theirs)]
    pairs = [(name, name) for name in own if name in theirs]
    if not indices[0] & indices[1] and all(len(found) == 1 for found in indices):
        pairs.append((indices[0].pop(), indices[1].pop()))
    if reading.ids is not None and reading.ids not in theirs:
        pairs += [(reading.ids, other) for other in theirs if is_id(other)]
    for name, other in pairs:
        key, their = own[name], joined_arrays([file.arrays[other] for file in others])
        if key is not None and key.shape == their.shape:
            strict = None if name != other else name == reading.ids
            _check_same(key, their, name, others[0].name, is_strict=strict)


def _key(opened: list[OpenFile], name: str, reading: Reading) -> Array | None:
    """The rows' names in this column of the files of logits."""
    if name == reading.ids:
        return _beside(opened, reading, "ids")
    found = [file.arrays[key] for file in opened for key in (KEY_MARK + name, name) if key in file.arrays]
    return joined_arrays(found) if len(found) == len(opened) else None


def _check_same(own: Array, theirs: Array, column: str, file: str, *, is_strict: bool | None) -> None:
    """Raises: InvalidDump for the same values in another order; for texts, or all if that is strict, for any others.

    Args: is_strict: None for columns of two names, which may well hold other values.
    """
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
                row=row, own=mine[:80], name=own.name, other=other[:80], file=file, column=few([column])
            ),
            _("the same rows in the same order in both files"),
            _("Sort both by that column; or remove it from one of them, if the rows are in one order all the same."),
        )


def _names_beside(file: OpenFile) -> tuple[str, ...] | None:
    found = by_role(file, "class_names")
    return None if found is None else tuple(map(str, found.values(0, len(found))))


def _names_given(given: Any, opened_as: Callable[[Any, str], list[OpenFile]]) -> tuple[str, ...] | None:
    """The names of the classes out of a list or a file; in a text file each has a line."""
    if given is None or isinstance(given, list | tuple):
        return None if given is None else tuple(map(str, given))
    if isinstance(given, str | os.PathLike) and os.fspath(given).lower().endswith(".txt"):
        with open(given, encoding="utf-8-sig", errors="replace") as file:
            lines = file.read(MAX_NAMES_CHARACTERS).splitlines()
        return tuple(line.strip() for line in lines if line.strip())
    array = joined_arrays([pick(file, "class_names") for file in opened_as(given, "class_names")])
    return tuple(map(str, array.values(0, len(array)).reshape(-1)))


def _checked_names(names: tuple[str, ...] | None, classes: int) -> tuple[str, ...] | None:
    if not names:
        return None
    if len(names) != classes:
        raise InvalidDump(
            "class-names",
            ngettext("there is {count} class name", "there are {count} class names", len(names)).format(
                count=len(names)
            ),
            _("{classes}, one for each class").format(classes=classes),
            _("Give them in the order of the columns of logits."),
        )
    return names


def _opened(
    source: Any,
    role: str,
    choices: ColumnChoices = NOTHING_SAID,
    *,
    files: list[OpenFile],
    upload: Opener,
) -> list[OpenFile]:
    """The sources behind one argument, opened; a pattern, a folder and a list stand for several."""
    again = partial(_opened, files=files, upload=upload)
    if isinstance(source, str) and glob.has_magic(source) and not os.path.exists(source):
        return again(expanded(source), role, choices)
    if is_several(source) and not (
        role in ("ids", "text", "image", "target") and isinstance(source[0], str) and not _are_files(source, role)
    ):
        return [file for part in source for file in again(part, role, choices)]
    for known, file in ((file.source, file) for file in files if isinstance(file, _SharedFile)):
        if known is source or (isinstance(source, str | os.PathLike) and known == source):
            return [file]
    if isinstance(source, str | os.PathLike) or (hasattr(source, "read") and hasattr(source, "seek")):
        plain = (open_file if isinstance(source, str | os.PathLike) else upload)(source, role, choices)
        opened: OpenFile = _SharedFile(source, plain)
    else:
        opened = OpenFile(role, {"": _in_memory(source, role)}, close=lambda: None)
    files.append(opened)
    return [opened]


def _are_files(sources: Sequence[Any], role: str) -> bool:
    """Whether texts name files to be opened; those of pictures are what a row has."""
    if role == "image" and str(sources[0]).lower().endswith((".png", ".jpg", ".jpeg")):
        return False
    return any("://" in source or os.path.exists(source) or glob.has_magic(source) for source in map(str, sources[:1]))


class _SharedFile(OpenFile):
    """A file that is opened once although logits and labels both name it."""

    def __init__(self, source: Any, file: OpenFile) -> None:
        super().__init__(file.name, file.arrays, close=file.close, rest=file.rest, reading=file.reading)
        self.source = source


def _in_memory(values: Any, role: str) -> MemoryArray:
    try:
        if isinstance(values, Tensor):
            values = values.detach().cpu().contiguous()
            if values.dtype == torch.bfloat16:
                return MemoryArray(role, values.view(torch.int16).numpy(), "bfloat16")
            values = values.numpy()
        if isinstance(values, list | tuple):
            values = np.asarray(values)
            if values.dtype == np.float64 and role == "logits":
                values = values.astype(np.float32)  # PyTorch's default for numbers in lists
        array = np.asarray(values)
    except Exception as error:  # a stranger's object may raise anything
        raise InvalidDump(
            f"{role}-type",
            _("{role} of type {type} cannot be read as an array").format(role=role, type=type(values).__name__),
            _("a path, an array or a tensor"),
            _("Convert it: np.asarray(…)."),
        ) from error
    if array.ndim == 0:
        raise InvalidDump(
            "shape",
            _("{role} is a single value").format(role=role),
            _("an array with one entry for each row"),
            _("Pass a path or an array."),
        )
    return MemoryArray(role, array)
