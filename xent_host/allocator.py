"""Has large blocks of memory go back to the system as soon as they are free, where the C library is glibc."""

from __future__ import annotations

import contextlib
import ctypes

LARGE_BYTES = 4 * 2**20
_M_MMAP_THRESHOLD = -3  # of malloc.h


def apply() -> None:
    """From now on, a large block is a mapping of its own.

    Otherwise glibc raises its own limit with each large block that is freed, up to 32 MB, and puts what is smaller into
    heaps of threads, 64 MB each: what is freed there stays with the program as long as anything above it is in use, and
    six visits with 512 MB of files took 900.
    """
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES)
