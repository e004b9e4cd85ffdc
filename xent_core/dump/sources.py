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

from xent_core.array_types import library_of, of_numpy
from xent_core.column_names import affixes_of, numbers_of
from xent_core.columns import MARK, SHOWN, ColumnChoices, LabelsAre, LogitsAre, Reading, choices_of
from xent_core.dump.folders import expanded, files_of_folder, is_several, matching
from xent_core.dump.formats import MAX_CLASSES, ROLES, Array, DumpLimits, InvalidDump, MemoryArray, OpenFile, open_file
from xent_core.dump.formats.checks import shards_differ
from xent_core.dump.formats.own_files import same_options
from xent_core.dump.labels import labels_of
from xent_core.dump.parts import (
    beside,
    by_role,
    check_companion,
    check_target_shape,
    checked_pictures,
    joined_arrays,
    may_be_names,
    part_of,
    pick,
    reading_of,
)
from xent_core.dump.row_order import check_index, check_order
from xent_core.errors import InvalidProblem
from xent_core.language import _, ngettext
from xent_core.loss_options import LossOptions
from xent_core.validation import as_ignore_index

NOTHING_SAID = ColumnChoices()
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
    ignore_index: int | None = None
    logits_are: LogitsAre | None = None
    classes: Any = None
    target_column: Any = None
    text: Any = None
    image: Any = None
    show: Any = None
    no_header: bool = False
    labels_are: LabelsAre | None = None
    match_rows: bool = False


Opener = Callable[[Any, str, ColumnChoices], OpenFile]
ROWS_THAT_TELL = 16  # fewer labels may be the same by chance
ROWS_COMPARED = 4096
MOST_EPOCHS = 100
COMPANIONS = ("features", "sample_weight", "ids", "text", "image")


class Gathered(NamedTuple):
    """What `gather` found.

    Attributes:
      parts: as rows, of one length, by their roles.
      class_names: one for each class, or None.
      reading: what was made of the columns.
      options: of the loss, as the files of the logits say them.
    """

    parts: dict[str, Array]
    class_names: tuple[str, ...] | None
    reading: Reading
    options: dict[str, Any]


def ignore_index_of(source: DumpSource, options: dict[str, Any]) -> int:
    """What was asked for, or what the files say. Raises: InvalidDump."""
    if source.ignore_index is not None:
        return source.ignore_index
    try:
        return as_ignore_index(options.get("ignore_index", LossOptions.ignore_index))
    except InvalidProblem as error:
        raise InvalidDump(error.code, error.came, error.expected, error.fix) from error


def gather(
    source: DumpSource, files: list[OpenFile], limits: DumpLimits, upload: Opener, *, is_strangers: bool = False
) -> Gathered:
    """Every part of the dump.

    Args:
      upload: opens what is no path.
      is_strangers: what is said of the columns was typed by a stranger, and names no file of this computer.
    """
    opened_as = partial(_opened, files=files, upload=upload)
    request = _request(source, opened_as, _is_text if is_strangers else _is_choice)
    opened = opened_as(request.logits, "logits", request.choices)
    reading, options = _one_reading(opened, request.choices), same_options(opened)
    scores = _scores(opened, reading)
    for role, value in request.given.items():
        check_index(source.logits, value, role)
    found, unused = _companions(request, opened, reading, math.prod(scores.shape[:-1]), opened_as)
    limits.check(math.prod(scores.shape[:-1]), scores.shape[-1])
    target = found["target"]
    if target is None:
        raise _no_labels(opened[0], reading)
    given_names = request.class_names or reading.class_names or _names_beside(opened[0])
    names = _checked_names(given_names or _names_of_columns(source.logits, target), scores.shape[-1])
    is_ours = reading.classes[0].startswith(MARK)
    if target.shape == (*scores.shape[:-1], 1) != scores.shape:  # as Keras has them
        target = target.as_rows(0)
    labels = labels_of(
        target,
        scores,
        names,
        ignore_index_of(source, options),
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
    notes = list(dict.fromkeys(note for file in files if file.reading is None for note in file.notes))
    notes += [] if labels.note is None else [labels.note]
    if len(scores.shape) > 2:
        notes += _leading_axes(scores.shape[:-1], rows["target"])
    if len(scores.shape) == 3 and scores.shape[1] == scores.shape[2]:
        notes.append(_("logits are (B, T, V): the classes are on their last axis"))
    if len(opened) > 1:
        notes.append(_("{count} files").format(count=len(opened)))
    from_files = {role: rows[role].name for role in ("ids", "text", "image") if request.given[role] is not None}
    reading = replace(
        reading,
        notes=(*reading.notes, *notes),
        unused=tuple(dict.fromkeys((*reading.unused, *unused))),
        shown=tuple(name for name in reading.shown if f"{SHOWN}{name}" in rows),
        count=scores.shape[-1],
        target_file=None if request.given["target"] is None else target.name,
        ids_file=from_files.get("ids"),
        text_file=from_files.get("text"),
        image_file=from_files.get("image"),
    )
    return Gathered(rows, names, reading, options)


def _no_labels(file: OpenFile, reading: Reading) -> InvalidDump:
    """Why there are no labels, and what says which column holds them."""
    answers = [{"target": name} for name in reading.may_be_target[:3]]
    said = _("If they are in one of its columns, say which: {choices}.").format(choices=choices_of(answers))
    return InvalidDump(
        "no-target",
        _("{name} holds no labels").format(name=file.name),
        _("class indices in an array or a column named {names}, or in a second file").format(
            names=_("{names} or the like").format(names=", ".join(ROLES["target"][:6]))
        ),
        said if answers else _("Give the file with the labels too, or say which column they are: --target."),
        answers,
    )


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
    said: dict[str, Any] = {name: getattr(source, name) for name in ("no_header", "labels_are")}
    said["match_rows"] = source.match_rows and source.ids is None
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
) -> tuple[dict[str, Array | None], list[str]]:
    """The labels and what else lies beside the logits, and the columns of their files that are not used.

    They come out of their own file if one was given, else out of that of the logits.
    """
    choices = replace(request.choices, classes=None, rows=rows)
    found: dict[str, Array | None] = {}
    rest: list[tuple[str, Array]] = []
    used: list[Array] = []
    for role, value in request.given.items():
        if value is None:
            found[role] = beside(opened, reading, role)
            continue
        others = opened_as(files_of_folder(value)[0], role, choices)
        column = getattr(request.choices, role, None)
        picked = [pick(file, role, column) for file in others]
        found[role] = joined_arrays(picked)
        if len(others[0].arrays) > 1 and others[0] not in opened:
            rest += others[0].arrays.items()
        used.append(picked[0])
        check_order(opened, reading, others, picked[0])
    return found, [name for name, array in rest if not any(array is one for one in used)]


def _beside_rows(
    found: dict[str, Array | None], opened: list[OpenFile], reading: Reading, scores: Array, *, is_strangers: bool
) -> dict[str, Array]:
    """What lies beside logits and labels, and the columns that are shown, as rows."""
    lead = scores.shape[:-1]
    rows: dict[str, Array] = {}
    shown = {f"{SHOWN}{name}": beside(opened, reading, f"{SHOWN}{name}") for name in reading.shown}
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


def _names_beside(file: OpenFile) -> tuple[str, ...] | None:
    found = by_role(file, "class_names")
    return None if found is None or not may_be_names(found) else tuple(map(str, found.values(0, len(found))))


def _names_of_columns(logits: Any, target: Array) -> tuple[str, ...] | None:
    """What the columns of a DataFrame say of the classes, where the labels are names: cat, or logit_cat."""
    if target.dtype != "text" or library_of(logits) != "pandas" or not hasattr(logits, "columns"):
        return None
    columns = list(map(str, logits.columns))
    labels = {str(label).strip() for label in target.values(0, len(target)).reshape(-1).tolist() if label is not None}
    bare = [tuple(map(affix.bare, columns)) for affix in affixes_of(columns, labels) if all(map(affix.fits, columns))]
    return max(bare, key=lambda names: len(labels.intersection(names))) if bare and not numbers_of(columns) else None


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
        super().__init__(
            file.name,
            file.arrays,
            close=file.close,
            rest=file.rest,
            reading=file.reading,
            notes=file.notes,
            options=file.options,
        )
        self.source = source


def _in_memory(values: Any, role: str) -> MemoryArray:
    try:
        if isinstance(values, Tensor):
            values = values.detach().cpu().contiguous()
            if values.dtype == torch.bfloat16:
                return MemoryArray(role, values.view(torch.int16).numpy(), "bfloat16")
            values = values.numpy()
        if np.ma.is_masked(values):
            raise _masked(values, role)
        if isinstance(values, list | tuple):
            values = np.asarray(values)
            if values.dtype == np.float64 and role == "logits":
                values = values.astype(np.float32)  # PyTorch's default for numbers in lists
        array = np.asarray(values)
        if array.dtype.kind == "O" and array.ndim:
            array = _of_objects(array)
    except InvalidDump:
        raise
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
    return MemoryArray(role, array, "text" if array.dtype.kind == "O" else None)


def _masked(values: Any, role: str) -> InvalidDump:
    row = int(np.argwhere(np.ma.getmaskarray(values))[0][0])
    fill = "-100" if role == "target" else "np.nan"
    return InvalidDump(
        f"{role}-masked",
        _("{role} is masked in row {row}").format(role=role, row=row),
        _("an array without a mask"),
        _("Leave such rows out; or fill them, with −100 where a label is to be ignored: {code}.").format(
            code=f"{role}.filled({fill})"
        ),
    )


def _of_objects(array: np.ndarray) -> np.ndarray:
    """Texts as they are, missing ones included, and objects that are numbers as numbers. Raises: TypeError."""
    is_text = [isinstance(value, str) for value in array.reshape(-1).tolist()]
    if any(is_text):
        return array
    return np.asarray(of_numpy(array))
