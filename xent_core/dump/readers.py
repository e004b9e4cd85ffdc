"""Dump: the logits, the labels and what belongs to them, opened and checked, read in windows of rows."""

from __future__ import annotations

import glob
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xent_core.dump.formats import (
    MAX_CLASSES,
    ROLES,
    Array,
    InvalidDump,
    MemoryArray,
    OpenFile,
    Shards,
    open_file,
)
from xent_core.errors import InvalidProblem
from xent_core.language import _
from xent_core.loss_options import LossOptions
from xent_core.validation import violations

LOGITS_ARE = ("logits", "probabilities")
LABELS_AT_A_TIME = 2**19
BATCH_ELEMENTS = 2**20  # 4 MB of float32: what is computed in a batch stays in the processor's cache
ACCELERATOR_ELEMENTS = 2**24  # 64 MB of float32: what is computed in a batch outlasts the calls that start it
ROWS_LOOKED_AT = 256  # to tell probabilities from logits


@dataclass(frozen=True, eq=False)
class Batch:
    """Some rows of a dump, in its order.

    Attributes:
      rows: the numbers of the rows in the dump, int64, shape (n,).
      logits: floating, shape (n, C).
      target: class indices, int64, shape (n,); some may be ignore_index.
      features: what the last layer saw, shape (n, H), or None.
      sample_weight: one factor for each row, float64, shape (n,), or None.
      ids: the names of the examples, or None.
    """

    rows: Tensor
    logits: Tensor
    target: Tensor
    features: Tensor | None = None
    sample_weight: Tensor | None = None
    ids: tuple[str, ...] | None = None


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
    logits_are: str | None = None


class Dump:
    """An open dump; made by `open_dump`, and a context manager.

    Attributes:
      source: what was asked for.
      rows: N, or B·T.
      classes: C, or V.
      dtype: of the logits, PyTorch's name.
      class_names: one for each class, or None.
      has_features, has_ids: whether each row has them.
      shard_starts: the first row of every shard of logits, and N.
    """

    def __init__(
        self,
        source: DumpSource,
        files: Sequence[OpenFile],
        parts: dict[str, Array],
        class_names: tuple[str, ...] | None,
    ) -> None:
        self.source, self._files, self._parts = source, files, parts
        logits = parts["logits"]
        self.rows, self.classes, self.dtype = len(logits), logits.shape[1], logits.dtype
        self.class_names = class_names
        self.has_features, self.has_ids = "features" in parts, "ids" in parts
        self.shard_starts = logits.starts if isinstance(logits, Shards) else [0, self.rows]

    def default_batch_rows(self, device: str = "cpu") -> int:
        """How many rows make a batch that suits where it is computed."""
        elements = BATCH_ELEMENTS if device == "cpu" else ACCELERATOR_ELEMENTS
        return max(elements // self.classes, 1)

    def read(self, start: int, stop: int) -> Batch:
        """Rows start … stop − 1."""
        logits = self._parts["logits"].tensor(start, stop)
        if not logits.is_floating_point():
            logits = logits.to(torch.float32)
        if self.source.logits_are == "probabilities":
            logits = logits.log()
        features = self._parts.get("features")
        weights = self._parts.get("sample_weight")
        ids = self._parts.get("ids")
        return Batch(
            torch.arange(start, stop),
            logits,
            self._parts["target"].tensor(start, stop).long(),
            None if features is None else features.tensor(start, stop),
            None if weights is None else weights.tensor(start, stop).double(),
            None if ids is None else tuple(str(value) for value in ids.values(start, stop)),
        )

    def read_rows(self, rows: Sequence[int]) -> Batch:
        """Single rows in the order asked for; each costs a look into the file."""
        for row in rows:
            if not 0 <= row < self.rows:
                raise InvalidDump(
                    "row",
                    _("row {row} was asked for").format(row=row),
                    _("a row in 0…{last}").format(last=self.rows - 1),
                    _("Choose one of the rows of the dump."),
                )
        pieces = {row: self.read(row, row + 1) for row in sorted(set(rows))}  # forwards, for what is packed
        return joined([pieces[row] for row in rows]) if rows else self.read(0, 0)

    def batches(self, batch_rows: int | None = None, start: int = 0, stop: int | None = None) -> Iterator[Batch]:
        """All rows from start to stop − 1, so many at a time."""
        step = batch_rows or self.default_batch_rows()
        stop = self.rows if stop is None else stop
        for first in range(start, stop, step):
            yield self.read(first, min(first + step, stop))

    def rest(self) -> None:
        """Lets go of what only reading needs, such as a process; the next reading takes it up again."""
        for file in self._files:
            file.rest()

    def close(self) -> None:
        """Closes the files."""
        for file in self._files:
            file.close()

    def __enter__(self) -> Dump:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def joined(batches: Sequence[Batch]) -> Batch:
    """Batches one below the other."""

    def stacked(name: str) -> Any:
        parts = [getattr(batch, name) for batch in batches]
        return None if parts[0] is None else torch.cat(parts)

    ids = None if batches[0].ids is None else tuple(name for batch in batches for name in batch.ids or ())
    return Batch(
        stacked("rows"), stacked("logits"), stacked("target"), stacked("features"), stacked("sample_weight"), ids
    )


def open_dump(
    logits: Any,
    target: Any = None,
    *,
    features: Any = None,
    sample_weight: Any = None,
    ids: Any = None,
    class_names: Any = None,
    ignore_index: int = -100,
    logits_are: str | None = None,
) -> Dump:
    """Opens logits with their labels, and checks everything that can be checked before the logits are read.

    Args:
      logits: shape (N, C), or (B, T, V), which becomes B·T rows: a path, a pattern such as "logits-*.npy",
        an address such as s3://…, an open file or upload, an array, a tensor, or a list of these: shards in order.
      target: class indices, shape (N,) or (B, T); None if they lie in the file of the logits, under a name such as
        "target" or "labels".
      features: what the last, linear layer saw, shape (N, H).
      sample_weight: a factor for each row's loss, shape (N,).
      ids, class_names: the names of the examples and of the classes; for the latter also a list of strings.
      ignore_index: rows with this target are left out.
      logits_are: "logits", "probabilities" (whose logarithm is taken), or None: then probabilities are refused,
        with a message that asks.

    Raises: InvalidDump.
    """
    source = DumpSource(logits, target, features, sample_weight, ids, class_names, ignore_index, logits_are)
    if logits_are is not None and logits_are not in LOGITS_ARE:
        raise InvalidDump(
            "logits-are",
            _("logits_are is {value}").format(value=repr(logits_are)[:80]),
            _("'logits', 'probabilities' or None"),
            _("None asks where they look like probabilities."),
        )
    files: list[OpenFile] = []
    try:
        parts, names = _gather(source, files)
        dump = Dump(source, files, parts, names)
        _check_labels(dump, parts["target"], ignore_index)
        if logits_are is None:
            _ask_about_probabilities(dump)
    except BaseException:
        for file in files:
            file.close()
        raise
    return dump


def _gather(source: DumpSource, files: list[OpenFile]) -> tuple[dict[str, Array], tuple[str, ...] | None]:
    """Every part of the dump as rows, of one length, and the names of the classes."""
    opened = _opened(source.logits, "logits", files)
    logits = _joined([_pick_logits(file) for file in opened])
    if len(logits.shape) < 2 or not (logits.is_floating or logits.is_integer):
        raise InvalidDump(
            "logits-shape",
            _("{name} has shape {shape} and dtype {dtype}").format(
                name=logits.name, shape=logits.shape, dtype=logits.dtype
            ),
            _("logits (N, C) or (B, T, V), floating"),
            _("Check that logits and labels are not the wrong way round."),
        )
    lead = logits.shape[:-1]
    given = {
        role: _joined([_pick(file, role) for file in _opened(getattr(source, role), role, files)])
        if getattr(source, role) is not None
        else _beside(opened, role)
        for role in ("target", "features", "sample_weight", "ids")
    }
    target = given["target"]
    if target is None:
        raise InvalidDump(
            "no-target",
            _("{name} holds no labels").format(name=opened[0].name),
            _("class indices in an array or a column named {names}, or in a second file").format(
                names=", ".join(ROLES["target"])
            ),
            _("Give the file with the labels too."),
        )
    _check_target_shape(logits, target)
    parts = {"logits": logits.as_rows(1), "target": target.as_rows(0)}
    for role, axes in (("features", 1), ("sample_weight", 0), ("ids", 0)):
        part = given[role]
        if part is not None:
            parts[role] = part.as_rows(axes)
            _check_companion(role, part, parts[role], lead)
    classes = parts["logits"].shape[1]
    if not 1 <= classes <= MAX_CLASSES or not len(parts["logits"]):
        raise InvalidDump(
            "logits-shape",
            _("{name} has shape {shape}").format(name=logits.name, shape=logits.shape),
            _("at least one row, and 1 to {limit} classes").format(limit=MAX_CLASSES),
            _("Check where the rows were lost."),
        )
    return parts, _class_names(source.class_names, opened, classes, files)


def _opened(source: Any, role: str, files: list[OpenFile]) -> list[OpenFile]:
    """The sources behind one argument, opened; a pattern and a list stand for several."""
    if isinstance(source, str) and glob.has_magic(source) and not os.path.exists(source):
        found = _matching(source)
        if not found:
            raise InvalidDump(
                "file-unreadable",
                _("no file matches {pattern}").format(pattern=source),
                _("a pattern of existing files"),
                _("Check the path."),
            )
        return _opened(found, role, files)
    is_shards = isinstance(source, list | tuple) and source and not isinstance(source[0], int | float | list | tuple)
    if is_shards:
        return [file for part in source for file in _opened(part, role, files)]
    for known, file in ((file.source, file) for file in files if isinstance(file, _Known)):
        if known is source or (isinstance(source, str | os.PathLike) and known == source):
            return [file]
    if isinstance(source, str | os.PathLike) or (hasattr(source, "read") and hasattr(source, "seek")):
        plain = open_file(source)
        opened: OpenFile = _Known(source, plain)
    else:
        opened = OpenFile(role, {"": _in_memory(source, role)}, close=lambda: None)
    files.append(opened)
    return [opened]


class _Known(OpenFile):
    """An opened file that remembers its source, so that logits and labels of one file share it."""

    def __init__(self, source: Any, file: OpenFile) -> None:
        super().__init__(file.name, file.arrays, close=file.close, rest=file.rest, class_names=file.class_names)
        self.source = source


def _matching(pattern: str) -> list[str]:
    if "://" not in pattern:
        return sorted(glob.glob(pattern))
    import fsspec

    return [file.full_name for file in fsspec.open_files(pattern, "rb")]


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


def _pick_logits(file: OpenFile) -> Array:
    named = _by_role(file, "logits")
    if named is not None:
        return named
    wide = [array for array in file.arrays.values() if len(array.shape) >= 2 and array.is_floating]
    if len(wide) == 1:
        return wide[0]
    if len(file.arrays) == 1:
        return next(iter(file.arrays.values()))
    raise InvalidDump(
        "which-logits",
        _("{name} holds {keys}").format(name=file.name, keys=_listed(file)),
        _("one array named {names}").format(names=", ".join(ROLES["logits"])),
        _('Save it under that name: np.savez("dump.npz", logits=logits, target=target).'),
    )


def _pick(file: OpenFile, role: str) -> Array:
    """The array for this role out of a file that was named for it."""
    named = _by_role(file, role)
    if named is not None:
        return named
    if len(file.arrays) == 1:
        only = next(iter(file.arrays.values()))
        if role != "target" and len(only.shape) == 2 and only.shape[1] == 1:
            return only.as_rows(0)
        return only
    raise InvalidDump(
        f"which-{role.replace('_', '-')}",
        _("{name} holds {keys}").format(name=file.name, keys=_listed(file)),
        _("one array named {names}").format(names=", ".join(ROLES[role])),
        _("Save it under that name."),
    )


def _beside(files: list[OpenFile], role: str) -> Array | None:
    """The array for this role out of the files of the logits, if every one of them has it."""
    found = [_by_role(file, role) for file in files]
    return _joined([array for array in found if array]) if all(array is not None for array in found) else None


def _by_role(file: OpenFile, role: str) -> Array | None:
    by_name = {key.lower(): array for key, array in file.arrays.items()}
    return next((by_name[alias] for alias in ROLES[role] if alias in by_name), None)


def _joined(parts: list[Array]) -> Array:
    return parts[0] if len(parts) == 1 else Shards(parts)


def _listed(file: OpenFile) -> str:
    keys = [key or _("one array") for key in file.arrays]
    return ", ".join(keys[:8]) + ("…" if len(keys) > 8 else "")


def _check_target_shape(logits: Array, target: Array) -> None:
    lead = logits.shape[:-1]
    came = _("target has shape {target} for logits of shape {logits}").format(target=target.shape, logits=logits.shape)
    if target.shape == logits.shape and target.is_floating:
        raise InvalidDump(
            "soft-target",
            _("target has the shape of logits {shape} and dtype {dtype}: probabilities").format(
                shape=target.shape, dtype=target.dtype
            ),
            _("one class index for each row"),
            _("Take the most probable class: target.argmax(-1)."),
        )
    if len(logits.shape) == 3 and target.shape == (logits.shape[0], logits.shape[2]) != lead:
        raise InvalidDump(
            "class-axis", came, _("the classes on the last axis of logits"), _("Move the axis: logits.movedim(1, -1).")
        )
    is_flat = len(target.shape) == 1 and len(target) == math.prod(lead)
    if target.shape != lead and not is_flat:
        fix = _("Take both from the same run.")
        if target.shape == (*lead, 1):
            fix = _("Drop the axis of one: target.squeeze(-1).")
        raise InvalidDump("batch-mismatch", came, _("labels of shape {shape}").format(shape=lead), fix)
    if not target.is_integer:
        raise InvalidDump(
            "target-dtype",
            _("target has dtype {dtype}").format(dtype=target.dtype),
            _("integer class indices"),
            _("Convert them: target.astype(np.int64)."),
        )


def _check_companion(role: str, part: Array, rows: Array, lead: tuple[int, ...]) -> None:
    if len(rows) != math.prod(lead) or len(rows.shape) != (2 if role == "features" else 1):
        raise InvalidDump(
            f"{role.replace('_', '-')}-shape",
            _("{role} has shape {shape}").format(role=role, shape=part.shape),
            _("one entry for each of the {rows} rows").format(rows=math.prod(lead)),
            _("Take all parts from the same run."),
        )
    if role != "ids" and not (part.is_floating or part.is_integer):
        raise InvalidDump(
            f"{role.replace('_', '-')}-dtype",
            _("{role} has dtype {dtype}").format(role=role, dtype=part.dtype),
            _("numbers"),
            _("Convert it: array.astype(np.float32)."),
        )


def _class_names(given: Any, opened: list[OpenFile], classes: int, files: list[OpenFile]) -> tuple[str, ...] | None:
    if given is None:
        found = _by_role(opened[0], "class_names")
        names = tuple(map(str, found.values(0, len(found)))) if found is not None else opened[0].class_names
    elif isinstance(given, list | tuple):
        names = tuple(map(str, given))
    else:
        array = _joined([_pick(file, "class_names") for file in _opened(given, "class_names", files)])
        names = tuple(map(str, array.values(0, len(array)).reshape(-1)))
    if not names:
        return None
    if len(names) != classes:
        raise InvalidDump(
            "class-names",
            _("there are {count} class names").format(count=len(names)),
            _("{classes}, one for each class").format(classes=classes),
            _("Give them in the order of the columns of logits."),
        )
    return names


def _check_labels(dump: Dump, target: Array, ignore_index: int) -> None:
    """The doctor's words about labels that lie outside 0…C − 1."""
    nothing = torch.empty(())
    for start in range(0, dump.rows, LABELS_AT_A_TIME):
        labels = target.tensor(start, min(start + LABELS_AT_A_TIME, dump.rows)).long()
        options = LossOptions(ignore_index=ignore_index)
        for error in violations(nothing.expand(len(labels), dump.classes), labels, options):
            raise of_problem(error, first_row=start) from error


def of_problem(error: InvalidProblem, *, first_row: int = 0) -> InvalidDump:
    """What PyTorch would refuse, said of a dump."""
    came = error.came
    if first_row:
        came = _("counted from row {first}, {came}").format(first=first_row, came=came)
    return InvalidDump(error.code, came, error.expected, error.fix)


def _ask_about_probabilities(dump: Dump) -> None:
    rows = dump.read(0, min(ROWS_LOOKED_AT, dump.rows)).logits.double()
    if dump.classes > 1 and bool((rows >= 0).all()) and bool(((rows.sum(1) - 1).abs() < 0.01).all()):
        raise InvalidDump(
            "looks-like-probabilities",
            _("the rows of logits lie in 0…1 and sum to 1, as probabilities do"),
            _("logits, from before the softmax"),
            _(
                "Say what they are: --logits-are probabilities (in Python, logits_are=…) takes their logarithm, "
                "--logits-are logits keeps them."
            ),
        )


def sampled_rows(dump: Dump, count: int, read: Callable[[int, int], Batch] | None = None) -> Batch:
    """At most `count` rows, evenly spread in runs over the whole dump: the same rows however it is split."""
    read = read or dump.read
    runs = 16
    length = count // runs
    if dump.rows <= count:
        return read(0, dump.rows)
    starts = [round(i * (dump.rows - length) / (runs - 1)) for i in range(runs)]
    return joined([read(start, start + length) for start in starts])
