"""Opens what `open_dump` is given: paths, patterns, addresses, uploads, arrays, and lists of these."""

from __future__ import annotations

import glob
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xent_core.dump.formats import MAX_CLASSES, ROLES, Array, DumpLimits, InvalidDump, MemoryArray, OpenFile, open_file
from xent_core.dump.parts import beside, by_role, check_companion, check_target_shape, joined_arrays, pick, pick_logits
from xent_core.language import _


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


def gather(
    source: DumpSource, files: list[OpenFile], limits: DumpLimits, upload: Callable[[Any], OpenFile]
) -> tuple[dict[str, Array], tuple[str, ...] | None]:
    """Every part of the dump as rows, of one length, and the names of the classes; `upload` opens what is no path."""
    files_of = partial(_opened, files=files, upload=upload)
    opened = files_of(source.logits, "logits")
    logits = joined_arrays([pick_logits(file) for file in opened])
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
        role: joined_arrays([pick(file, role) for file in files_of(getattr(source, role), role)])
        if getattr(source, role) is not None
        else beside(opened, role)
        for role in ("target", "features", "sample_weight", "ids")
    }
    limits.check(math.prod(lead), logits.shape[-1])
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
    check_target_shape(logits, target)
    parts = {"logits": logits.as_rows(1), "target": target.as_rows(0)}
    for role, axes in (("features", 1), ("sample_weight", 0), ("ids", 0)):
        part = given[role]
        if part is not None:
            parts[role] = part.as_rows(axes)
            check_companion(role, part, parts[role], lead)
    classes = parts["logits"].shape[1]
    if not 1 <= classes <= MAX_CLASSES or not len(parts["logits"]):
        raise InvalidDump(
            "logits-shape",
            _("{name} has shape {shape}").format(name=logits.name, shape=logits.shape),
            _("at least one row, and 1 to {limit} classes").format(limit=MAX_CLASSES),
            _("Check where the rows were lost."),
        )
    return parts, _class_names(source.class_names, opened, classes, files_of)


def _class_names(
    given: Any, opened: list[OpenFile], classes: int, files_of: Callable[[Any, str], list[OpenFile]]
) -> tuple[str, ...] | None:
    if given is None:
        found = by_role(opened[0], "class_names")
        names = tuple(map(str, found.values(0, len(found)))) if found is not None else opened[0].class_names
    elif isinstance(given, list | tuple):
        names = tuple(map(str, given))
    else:
        array = joined_arrays([pick(file, "class_names") for file in files_of(given, "class_names")])
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


def _opened(source: Any, role: str, files: list[OpenFile], upload: Callable[[Any], OpenFile]) -> list[OpenFile]:
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
        return _opened(found, role, files, upload)
    is_shards = isinstance(source, list | tuple) and source and not isinstance(source[0], int | float | list | tuple)
    if is_shards:
        return [file for part in source for file in _opened(part, role, files, upload)]
    for known, file in ((file.source, file) for file in files if isinstance(file, _SharedFile)):
        if known is source or (isinstance(source, str | os.PathLike) and known == source):
            return [file]
    if isinstance(source, str | os.PathLike) or (hasattr(source, "read") and hasattr(source, "seek")):
        plain = (open_file if isinstance(source, str | os.PathLike) else upload)(source)
        opened: OpenFile = _SharedFile(source, plain)
    else:
        opened = OpenFile(role, {"": _in_memory(source, role)}, close=lambda: None)
    files.append(opened)
    return [opened]


class _SharedFile(OpenFile):
    """A file that is opened once although logits and labels both name it."""

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
