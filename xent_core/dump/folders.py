"""Folders, patterns and lists of files: which of them are logits and which labels, in which order."""

from __future__ import annotations

import glob
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xent_core.dump.formats import ROLES, InvalidDump
from xent_core.language import _

_KINDS = (
    ".npy",
    ".npz",
    ".safetensors",
    ".parquet",
    ".arrow",
    ".feather",
    ".csv",
    ".tsv",
    ".jsonl",
    ".ndjson",
    ".json",
)
_PACKED = (".gz", ".bz2", ".zst")
_MAX_JSON_BYTES = 2**24
_EPOCH = re.compile(r"epochs?[-_ .=]*(\d+)", re.IGNORECASE)


def natural_order(name: str) -> list[tuple[int, str]]:
    """The key by which shard-2 stands before shard-10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def differ_in_numbers(names: Sequence[str]) -> bool:
    """Whether the names are alike but for the numbers in them."""
    return len({re.sub(r"\d+", "0", name) for name in names}) == 1


def number_of_epoch(name: str) -> int | None:
    """3 for epoch_3.npz; None for a name that counts no epochs."""
    found = _EPOCH.search(name)
    return None if found is None else int(found[1])


def matching(pattern: str) -> list[str]:
    """The files and folders that match a pattern, shard-2 before shard-10, or those of an address in its order."""
    if "://" not in pattern:
        return sorted(glob.glob(pattern), key=natural_order)
    import fsspec

    return [file.full_name for file in fsspec.open_files(pattern, "rb")]


def is_several(source: Any) -> bool:
    """Whether this is a list of files or arrays, and not one of numbers."""
    return isinstance(source, list | tuple) and bool(source) and not isinstance(source[0], int | float | list | tuple)


def expanded(source: Any) -> list[Any]:
    """The files or arrays of a list, a pattern or a folder; of anything else only itself.

    Raises: InvalidDump for a pattern that no file matches, and what `files_of_folder` raises.
    """
    if is_several(source):
        return list(source)
    if isinstance(source, str) and glob.has_magic(source) and not os.path.exists(source):
        found = matching(source)
        if not found:
            raise InvalidDump(
                "file-unreadable",
                _("no file matches {pattern}").format(pattern=source),
                _("a pattern of existing files"),
                _("Check the path."),
            )
        return list(found)
    files = files_of_folder(source)[0]
    return list(files) if is_several(files) else [source]


def folders_of_folder(folder: str | os.PathLike[str]) -> list[str]:
    """The folders in a folder that holds no file of logits itself, in the order of their numbers; else none."""
    inside = list(Path(folder).iterdir())
    if any(path.is_file() and (_kind(path.name) or path.name == "state.json") for path in inside):
        return []
    return sorted((str(path) for path in inside if path.is_dir()), key=natural_order)


def files_of_folder(source: Any) -> tuple[Any, list[str] | None]:
    """The logits in a folder, and the labels if they lie in files of their own; what is no folder as it is.

    Raises: InvalidDump for a folder with no such files, or with files of several kinds.
    """
    if not isinstance(source, str | os.PathLike) or not os.path.isdir(source):
        return source, None
    folder = Path(source)
    files = _of_datasets(folder) or [path for path in folder.iterdir() if _kind(path.name) and path.is_file()]
    files.sort(key=lambda path: natural_order(path.name))
    kinds = sorted({_kind(path.name) for path in files})
    if len(kinds) != 1:
        raise InvalidDump(
            "file-unreadable",
            _("the folder {name} holds files of the kinds {kinds}").format(name=folder, kinds=", ".join(kinds))
            if kinds
            else _("the folder {name} holds no file of a known kind").format(name=folder),
            _("shards of one kind, one of {kinds}").format(kinds=", ".join(_KINDS)),
            _("Give a pattern that means the files with the logits, such as {pattern}.").format(
                pattern=repr(str(folder / "logits-*.npy"))
            ),
        )
    labels = [str(path) for path in files if _begins_as(path.name, "target")]
    logits = [str(path) for path in files if _begins_as(path.name, "logits")]
    if labels and logits and len(labels) + len(logits) == len(files):
        return logits, labels
    return [str(path) for path in files], None


def _of_datasets(folder: Path) -> list[Path]:
    """The shards of Dataset.save_to_disk, in its order; none if it is another folder."""
    if (folder / "dataset_dict.json").is_file():
        splits = sorted(path.name for path in folder.iterdir() if (path / "state.json").is_file())
        raise InvalidDump(
            "file-unreadable",
            _("{name} holds the datasets {splits}").format(name=folder, splits=", ".join(splits)[:200]),
            _("one of them"),
            _("Give its folder: {paths}.").format(paths=_(" or ").join(str(folder / split) for split in splits[:2])),
        )
    state = folder / "state.json"
    if not state.is_file() or state.stat().st_size > _MAX_JSON_BYTES:
        return []
    try:
        names = [str(one["filename"]) for one in json.loads(state.read_text("utf-8"))["_data_files"]]
    except (OSError, KeyError, TypeError, ValueError, RecursionError):
        return []
    return [folder / name for name in names if Path(name).name == name]


def _kind(name: str) -> str:
    parts = Path(name.lower())
    return next(
        (kind for kind in _KINDS if kind == (Path(parts.stem) if parts.suffix in _PACKED else parts).suffix), ""
    )


def _begins_as(name: str, role: str) -> bool:
    found = re.match(r"[A-Za-z_]+", name)
    return found is not None and found[0].lower().strip("_") in ROLES[role]
