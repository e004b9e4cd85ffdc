"""Opens a .safetensors file."""

from __future__ import annotations

import json

import numpy as np

from xent_core.dump.formats.arrays import Array, OpenFile, RawArray, RawFile
from xent_core.dump.formats.checks import (
    MAX_HEADER_BYTES,
    MAX_MEMBERS,
    MAX_TABLE_HEADER_BYTES,
    InvalidDump,
    check_bytes,
    check_shape,
    too_short,
)
from xent_core.dump.formats.own_files import as_own, metadata_of, with_metadata
from xent_core.language import _
from xent_core.own_format import TENSORS
from xent_core.tensor_headers import first_line, read_safetensors_header

_SAFETENSORS_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<i2",  # NumPy has no bfloat16: its bits, until PyTorch reads them
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "|i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "|u1",
    "BOOL": "|b1",
}


def open_safetensors(raw: RawFile) -> OpenFile:
    """The tensors of floating numbers, integers and truth values, by name."""
    name, file, size_bytes, limits = raw.name, raw.file, raw.size_bytes, raw.limits
    most = MAX_HEADER_BYTES if limits is None else MAX_TABLE_HEADER_BYTES
    try:
        header_text = read_safetensors_header(file, size_bytes, limit=most)
        header = json.loads(header_text)
        others = {"__metadata__": header.pop("__metadata__", None)}
        entries = {
            str(key): (str(entry["dtype"]), tuple(entry["shape"]), tuple(entry["data_offsets"]))
            for key, entry in header.items()
        }
        if len(entries) > MAX_MEMBERS:
            raise ValueError(_("it names {count} tensors").format(count=len(entries)))
    except Exception as error:  # a hostile header may be anything
        raise InvalidDump(
            "header-broken",
            _("{name} has a header that is not safetensors ({reason})").format(name=name, reason=first_line(error)),
            _("a file written by safetensors"),
            _('Write it again: safetensors.torch.save_file({"logits": logits, "target": target}, path).'),
        ) from error
    arrays: dict[str, Array] = {}
    data_start = 8 + len(header_text)
    for key, (code, shape, offsets) in entries.items():
        if code not in _SAFETENSORS_DTYPES:
            continue  # eight-bit floats are neither logits nor labels
        stored = np.dtype(_SAFETENSORS_DTYPES[code])
        label = f"{name}: {key}"
        check_shape(label, shape)
        if len(offsets) != 2 or not all(type(x) is int for x in offsets) or offsets[0] < 0 or offsets[1] < offsets[0]:
            offsets = (0, -1)
        check_bytes(label, shape, stored.itemsize, offsets[1] - offsets[0])
        if data_start + offsets[1] > size_bytes:
            raise too_short(label, data_start + offsets[1], size_bytes)
        arrays[key] = RawArray(
            label, file, data_start + offsets[0], shape, stored, "bfloat16" if code == "BF16" else None
        )
    opened = OpenFile(name, arrays, close=file.close)
    if (metadata := metadata_of(others, name)) is not None:
        return with_metadata(opened, metadata)
    return as_own(opened, {}) if set(arrays) <= set(TENSORS) else opened
