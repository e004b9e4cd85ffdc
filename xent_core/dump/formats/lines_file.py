"""Opens a .txt file of texts: each line is that of one row, whatever is in it."""

from __future__ import annotations

from typing import IO

import numpy as np

from xent_core.dump.formats.arrays import Array, OpenFile, RawFile

CHUNK_BYTES = 2**20
LINES_BETWEEN = 2**10  # whose beginnings are kept
MAX_LINE_BYTES = 2**16  # of which more is not read


def open_lines(raw: RawFile) -> OpenFile:
    """The lines as the only array, named ""."""
    return OpenFile(raw.name, {"": LinesArray(raw.name, raw.file)}, close=raw.file.close)


class LinesArray(Array):
    """The lines of an open file in UTF-8, found by the beginnings of some of them."""

    def __init__(self, name: str, file: IO[bytes]) -> None:
        self._file, self._starts = file, [0]
        lines, position, last = 0, 0, b"\n"
        file.seek(0)
        while chunk := file.read(CHUNK_BYTES):
            ends = np.flatnonzero(np.frombuffer(chunk, np.uint8) == ord("\n"))
            wanted = ends[-(lines + 1) % LINES_BETWEEN :: LINES_BETWEEN]
            self._starts += (position + 1 + wanted).tolist()
            lines, position, last = lines + len(ends), position + len(chunk), chunk[-1:]
        super().__init__(name, (lines + (last != b"\n"),), "text")

    def values(self, start: int, stop: int) -> np.ndarray:
        """Lines start … stop − 1, without what ends them."""
        found = np.empty(max(stop - start, 0), dtype=object)
        if not len(found):
            return found
        first = start // LINES_BETWEEN
        self._file.seek(self._starts[first])
        for _line in range(first * LINES_BETWEEN, start):
            self._next()
        found[:] = [self._next() for _line in found]
        if start == 0:
            found[0] = found[0].removeprefix("\ufeff")
        return found

    def _next(self) -> str:
        line = rest = self._file.readline(MAX_LINE_BYTES)
        while rest and not rest.endswith(b"\n"):
            rest = self._file.readline(CHUNK_BYTES)
        return line.decode("utf-8", "replace").rstrip("\r\n")

    def as_rows(self, axes: int) -> Array:
        """Lines are rows already."""
        return self
