"""Which files a dump is read from, so that nothing is written over them."""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Iterable, Iterator
from typing import Any


def input_files(sources: Iterable[Any]) -> list[os.stat_result]:
    """Of every file of this computer that these name, be it by a pattern, a folder or an open file."""
    return [status for source in sources for status in _statuses(source)]


def _statuses(value: Any) -> Iterator[os.stat_result]:
    if isinstance(value, list | tuple):
        if not value or not isinstance(value[0], int | float):
            for entry in value:
                yield from _statuses(entry)
    elif isinstance(value, str | os.PathLike):
        for path in _paths(os.fspath(value)):
            with contextlib.suppress(OSError, ValueError):
                yield os.stat(path)
    elif hasattr(value, "fileno"):
        with contextlib.suppress(OSError, ValueError):  # an upload lies in memory
            yield os.fstat(value.fileno())


def _paths(value: str) -> list[str]:
    if os.path.isdir(value):
        return [entry.path for entry in os.scandir(value)]
    return [value] if os.path.exists(value) or not glob.has_magic(value) else glob.glob(value)
