"""Opens a .npy file, as np.save writes it."""

from __future__ import annotations

from typing import IO, Any

import numpy as np

from xent_core.dump.formats.arrays import OpenFile, RawArray, RawFile
from xent_core.dump.formats.checks import InvalidDump, check_bytes, check_dtype, check_shape
from xent_core.language import _
from xent_core.tensor_headers import InvalidHeader, read_npy_header

MAX_SCALAR_BYTES = 1024


def open_npy(raw: RawFile) -> OpenFile:
    """The only array of a .npy file, named ""."""
    return OpenFile(raw.name, {"": npy_array(raw.name, raw.file, raw.size_bytes)}, close=raw.file.close)


def npy_array(name: str, file: IO[bytes], size_bytes: int, *, is_packed: bool = False) -> RawArray:
    """The array of an open .npy file of this many bytes, after its header has been checked against them."""
    try:
        shape, transposed, stored = read_npy_header(file)
    except InvalidHeader as error:
        raise InvalidDump(
            "header-broken",
            _("{name} has a header that NumPy cannot read ({reason})").format(name=name, reason=error),
            _("a file written by np.save"),
            _("Write it again: np.save(path, logits)."),
        ) from error
    check_dtype(name, stored)
    check_shape(name, shape)
    check_bytes(name, shape, stored.itemsize, size_bytes - file.tell())
    transposed = transposed and len(shape) > 1
    if transposed and len(shape) > 2:
        raise InvalidDump(
            "fortran-order",
            _("{name} has {axes} axes in Fortran's order").format(name=name, axes=len(shape)),
            _("C order, rows one after another"),
            _("Save np.ascontiguousarray(logits)."),
        )
    return RawArray(name, file, file.tell(), shape, stored, transposed=transposed, is_packed=is_packed)


def npy_scalar(file: IO[bytes], size_bytes: int) -> Any:
    """The number or text in a small .npy file with an array of shape (); None for any other."""
    if size_bytes > MAX_SCALAR_BYTES:
        return None
    try:
        shape, _is_transposed, stored = read_npy_header(file)
    except InvalidHeader:
        return None
    data = file.read(stored.itemsize)
    if shape != () or stored.kind not in "bfiuU" or len(data) < stored.itemsize or not data:
        return None
    return np.frombuffer(data, stored)[0].item()
