"""Headers of .npy and safetensors files, read without trust: no array is built, and no promised length is believed."""

from __future__ import annotations

from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from xent_core.errors import Portable
from xent_core.language import _

# Threads that parse at the same time may count each other's depth (seen on Python 3.11): a SystemError, of no header
PARSER_TRIES = 5
ZIP_TAIL_BYTES = 2**16 + 22  # the end of a .zip file: its last record with the longest comment
ZIP_ENTRY_BYTES = 512  # of a directory, for each file: more than the longest names and notes of NumPy take


class InvalidHeader(ValueError):
    """A .npy header that NumPy cannot read; its text is NumPy's reason."""


class HeaderLength(Portable, ValueError):
    """A safetensors file says that its header has so many bytes, which it cannot or must not have."""

    def __init__(self, header_bytes: int) -> None:
        super().__init__(_("the header would have {count} bytes").format(count=header_bytes))
        self.header_bytes = header_bytes


def read_npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether it is in Fortran's order, and dtype; the file then stands at the first number.

    Raises: InvalidHeader.
    """
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    start = file.tell()
    for _attempt in range(PARSER_TRIES):
        file.seek(start)
        try:
            return readers[npy.read_magic(file)](file)
        except SystemError as error:
            failure = error
        except Exception as error:  # a hostile header may break NumPy's parser anywhere
            raise InvalidHeader(first_line(error)) from error
    raise InvalidHeader(first_line(failure)) from failure


def read_safetensors_header(file: IO[bytes], size_bytes: int, *, limit: int) -> bytes:
    """The JSON at the beginning of a safetensors file of this many bytes; the file then stands at the first number.

    Raises: HeaderLength if there are more than `limit` bytes of it, or more than the file has.
    """
    header_bytes = int.from_bytes(file.read(8), "little")
    if not 2 <= header_bytes <= min(limit, size_bytes - 8):
        raise HeaderLength(header_bytes)
    return file.read(header_bytes)


def zip_entries(file: IO[bytes], size_bytes: int) -> int:
    """How many files a .zip file says it has, found without a look at its directory; 0 where it does not say.

    Python's reader makes an object of 500 bytes for each entry of the directory, whatever their number should be.
    """
    file.seek(max(size_bytes - ZIP_TAIL_BYTES, 0))
    tail = file.read(ZIP_TAIL_BYTES)
    file.seek(0)
    has_no_note = tail[-22:-18] == b"PK\x05\x06" and tail.endswith(b"\0\0")
    end = len(tail) - 22 if has_no_note else tail.rfind(b"PK\x05\x06")
    if end < 0:
        return 0
    count, directory_bytes = _number(tail, end + 10, 2) % 0xFFFF, _number(tail, end + 12, 4) % 0xFFFFFFFF
    long_end = end - 20 - 56
    if long_end >= 0 and tail[end - 20 :].startswith(b"PK\x06\x07") and tail[long_end:].startswith(b"PK\x06\x06"):
        directory_bytes = _number(tail, long_end + 40, 8)  # of a file of more than 4 GB
    return max(count, directory_bytes // ZIP_ENTRY_BYTES)  # the count has no room for more than 65535


def _number(data: bytes, start: int, size: int) -> int:
    return int.from_bytes(data[start : start + size], "little")


def first_line(error: BaseException) -> str:
    """What an error says, in at most 200 characters; its type if it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
