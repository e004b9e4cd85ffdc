"""The text of a file in blocks of whole lines, unpacked on the way: gzip, bzip2 and Zstandard."""

from __future__ import annotations

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any

import numpy as np

from xent_core.dump.formats.arrays import RawFile
from xent_core.dump.formats.checks import (
    MAX_HEADER_BYTES,
    MAX_RATIO,
    MAX_TABLE_HEADER_BYTES,
    RATIO_FREE_BYTES,
    DumpLimits,
    InvalidDump,
    check_ratio,
    need_pyarrow,
)
from xent_core.language import _
from xent_core.tensor_headers import first_line

PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\x28\xb5\x2f\xfd": "zstd"}
BLOCK_BYTES = 2**20
SAMPLE_BYTES = 2**18
MAX_PUBLIC_RATIO = 10  # the digits of numbers compress three- to fivefold
_BLANK = b" \t\r\n"
_BOM = b"\xef\xbb\xbf"
_WIDE_BOMS = (b"\xff\xfe", b"\xfe\xff")


class TextStream:
    """The lines of an open file, from the first with something in it; read as often as it is asked for.

    Args: quotes: whether a line feed between quotes belongs to a cell.

    Raises: InvalidDump for a file that cannot be unpacked, grows too much, holds no text, or has too long a line.
    """

    def __init__(self, raw: RawFile, *, quotes: bool = True) -> None:
        self.name, self._raw, self._quotes = raw.name, raw, quotes
        raw.file.seek(0)
        start = raw.file.read(8)
        self.codec = next((codec for magic, codec in PACKED.items() if start.startswith(magic)), None)
        if self.codec is not None:
            need_pyarrow(raw.name)

    def start(self) -> bytes:
        """The first bytes, unpacked."""
        return next(self._chunks(), b"")[:16]

    def blocks(self, skipped: int = 0) -> Iterator[bytes]:
        """Whole lines, about BLOCK_BYTES at a time, without so many lines at the beginning."""
        rest = b""
        is_first = True
        chunks = self._chunks()
        # unpacking takes about as long as reading what was unpacked; a sandboxed process has one thread
        for chunk in chunks if self.codec is None or self._raw.limits is not None else _ahead(chunks):
            if is_first:
                if chunk.startswith(_WIDE_BOMS):
                    raise _no_text(self.name, _("it is in UTF-16"))
                chunk = _from_first_line(chunk.removeprefix(_BOM))
                for _line in range(skipped):
                    chunk = chunk[chunk.find(b"\n") + 1 :]
                is_first = not chunk
                if is_first:
                    continue
            rest += chunk
            if (end := _last_line_end(rest) if self._quotes else rest.rfind(b"\n") + 1) > 0:
                yield rest[:end]
                rest = rest[end:]
            elif len(rest) > MAX_HEADER_BYTES + len(chunk):
                raise _long_line(self.name, MAX_HEADER_BYTES)
        if rest.strip(_BLANK):
            yield rest
        elif is_first:
            raise InvalidDump(
                "file-blank",
                _("{name} holds blank lines alone").format(name=self.name)
                if self._raw.size_bytes
                else _("{name} is empty").format(name=self.name),
                _("a line of text for each row of logits"),
                _("Write it again."),
            )

    def sample(self) -> str:
        """The first lines."""
        limit = MAX_HEADER_BYTES if self._raw.limits is None else MAX_TABLE_HEADER_BYTES
        found = b""
        for block in self.blocks():
            found += block
            line = found.find(b"\n")
            if (line < 0 and len(found) >= limit) or line >= limit:
                raise _long_line(self.name, limit)
            break
        if len(found) > SAMPLE_BYTES:
            first = found.find(b"\n") + 1
            cut = found.rfind(b"\n", 0, max(SAMPLE_BYTES, 2 * first)) + 1
            found = found[: _last_line_end(found[: cut or None]) or cut or None]
        try:
            return found.decode("utf-8")
        except UnicodeDecodeError as error:
            raise _no_text(self.name, first_line(error)) from error

    def check_lines(self, limits: DumpLimits) -> None:
        """Raises: InvalidDump for more lines than rows may be, blank ones included, before anything is built."""
        lines = 0
        for chunk in self._chunks():
            lines += int(np.count_nonzero(np.frombuffer(chunk, np.uint8) == ord("\n")))
        if limits.rows is not None and lines > 2 * limits.rows:  # every other one may be blank
            raise InvalidDump(
                "dump-large",
                _("{name} has {count} lines").format(name=self.name, count=lines),
                _("at most {limit} rows here").format(limit=limits.rows),
                _("The same program on your own computer has no limit: python -m xent_core analyse."),
            )

    def _chunks(self) -> Iterator[bytes]:
        """The text, whose lines end as on an old Macintosh if there is no line feed near its beginning."""
        is_macintosh = None
        for chunk in self._unpacked():
            if is_macintosh is None:
                is_macintosh = b"\n" not in chunk and b"\r" in chunk
            yield chunk.replace(b"\r", b"\n") if is_macintosh else chunk

    def _unpacked(self) -> Iterator[bytes]:
        raw = self._raw
        raw.file.seek(0)
        if self.codec is None:
            while chunk := raw.file.read(BLOCK_BYTES):
                yield chunk
            return
        import pyarrow as pa

        ratio = MAX_RATIO if raw.limits is None else MAX_PUBLIC_RATIO
        unpacked = 0
        try:
            stream = pa.CompressedInputStream(pa.PythonFile(_Unclosable(raw.file), mode="r"), self.codec)
            while chunk := stream.read(BLOCK_BYTES):
                unpacked += len(chunk)
                if unpacked > max(ratio * raw.size_bytes, RATIO_FREE_BYTES):
                    check_ratio(raw.name, unpacked * MAX_RATIO // ratio + 1, raw.size_bytes)
                yield chunk
        except (OSError, pa.ArrowException) as error:
            raise InvalidDump(
                "file-truncated",
                _("{name} cannot be unpacked ({reason})").format(name=raw.name, reason=first_line(error)),
                _("a whole file packed by gzip, bzip2 or zstd"),
                _("Write or copy it again."),
            ) from error


def _ahead(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same, each read by another thread while the one before is used."""
    with ThreadPoolExecutor(1) as thread:
        following = thread.submit(next, chunks, b"")
        while chunk := following.result():
            following = thread.submit(next, chunks, b"")
            yield chunk


class _Unclosable(io.RawIOBase):
    """The open file for pyarrow, which would close it at the end of each reading."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """As many bytes as there are, at most the buffer's."""
        piece = self._file.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


def _from_first_line(text: bytes) -> bytes:
    """From the first line with something in it, whose own spaces stay; nothing if there is none."""
    bare = text.lstrip(_BLANK)
    if not bare:
        return b""
    blank = text[: len(text) - len(bare)]
    return text[max(blank.rfind(b"\n"), blank.rfind(b"\r")) + 1 :]


def _last_line_end(text: bytes) -> int:
    """Where the last line ends that is whole; 0 if none is."""
    end = text.rfind(b"\n") + 1
    if not end or not text.count(b'"', 0, end) % 2:
        return end
    values = np.frombuffer(text, np.uint8)[:end]
    is_inside = np.cumsum(values == ord('"')) % 2 == 1
    ends = np.flatnonzero((values == ord("\n")) & ~is_inside)
    return int(ends[-1]) + 1 if len(ends) else 0


def _long_line(name: str, limit: int) -> InvalidDump:
    return InvalidDump(
        "csv-line",
        _("a line of {name} has more than {limit} bytes, or a quote in it is never closed").format(
            name=name, limit=limit
        ),
        _("one row of logits a line"),
        _("Save so many classes as .npy or .safetensors."),
    )


def _no_text(name: str, reason: str) -> InvalidDump:
    return InvalidDump(
        "csv-header",
        _("the first lines of {name} are no text in UTF-8 ({reason})").format(name=name, reason=reason),
        _("comma-separated numbers"),
        _("Save it as UTF-8."),
    )
