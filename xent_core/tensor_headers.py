"""Headers of .npy and safetensors files, read without trust: no array is built, and no promised length is believed."""

from __future__ import annotations

from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from xent_core.language import _

# Threads that parse at the same time may count each other's depth (seen on Python 3.11): a SystemError, of no header
PARSER_TRIES = 5


class InvalidHeader(ValueError):
    """A .npy header that NumPy cannot read; its text is NumPy's reason."""


class HeaderLength(ValueError):
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


def first_line(error: BaseException) -> str:
    """What an error says, in at most 200 characters; its type if it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
