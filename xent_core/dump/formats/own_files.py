"""Files that Export wrote, as dumps: rows with the classes last, and the options of the loss that lie beside them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch

from xent_core.dump.formats.arrays import Array, MemoryArray, OpenFile, RawFile
from xent_core.dump.formats.checks import InvalidDump
from xent_core.language import _
from xent_core.own_format import BFLOAT16, DOCUMENT_OPTIONS, FORMAT, FORMAT_VERSION, METADATA, NAMES, TENSORS
from xent_core.tensor_headers import first_line
from xent_core.validation import DTYPES

MAX_JSON_BYTES = 64 * 2**20
LOOKED_AT = 1024  # bytes in which an object says of which format it is


def as_own(file: OpenFile, options: Mapping[str, Any]) -> OpenFile:
    """The arrays of a file of ours as those of a dump, and its options, a weight of the classes among them."""
    arrays = dict(file.arrays)
    for name in TENSORS:
        if (bits := arrays.pop(name + BFLOAT16, None)) is not None and bits.dtype == "uint16":
            arrays[name] = MemoryArray(bits.name, bits.values(0, len(bits)).view(np.int16), "bfloat16")
    logits, target, said = arrays.get("logits"), arrays.get("target"), dict(options)
    if options and logits is not None and target is not None and len(logits.shape) != 2:
        arrays["logits"], is_soft = _rows(logits), target.shape == logits.shape
        arrays["target"] = _rows(target) if is_soft else target.as_rows(0)
    weight, classes = arrays.get("weight"), arrays["logits"].shape[-1] if "logits" in arrays else 0
    if weight is not None and weight.shape == (classes,):
        said["weight"] = arrays.pop("weight").tensor(0, classes).double().tolist()
    if (names := arrays.pop("row_names", None)) is not None:
        arrays["ids"] = names
    return OpenFile(file.name, arrays, close=file.close, rest=file.rest, notes=file.notes, options=said)


def metadata_of(header: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    """What Export wrote into the header of a safetensors file; None for a file of others. Raises: InvalidDump."""
    metadata = header.get("__metadata__")
    if not isinstance(metadata, dict) or METADATA not in metadata:
        return None
    try:
        found = json.loads(metadata[METADATA])
    except (TypeError, ValueError, RecursionError) as error:
        raise _broken(name, first_line(error)) from error
    if not isinstance(found, dict):
        raise _broken(name, _("the options are no object"))
    return found


def with_metadata(file: OpenFile, metadata: Mapping[str, Any]) -> OpenFile:
    """A file with the options and the names that Export wrote beside its tensors."""
    names = {name: _texts(metadata[name]) for name in NAMES if metadata.get(name)}
    arrays = file.arrays | {name: MemoryArray(f"{file.name}: {name}", values) for name, values in names.items()}
    options = {name: _number(metadata[name]) for name in DOCUMENT_OPTIONS if name in metadata}
    return as_own(OpenFile(file.name, arrays, close=file.close, rest=file.rest), options)


def is_own_json(start: bytes) -> bool:
    """Whether the first bytes of a JSON text say that it is a Problem of ours."""
    return f'"{FORMAT}"'.encode() in start and b'"format"' in start


def open_own_json(raw: RawFile) -> OpenFile:
    """A Problem as `to_json` writes it. Raises: InvalidDump."""
    try:
        if raw.size_bytes > MAX_JSON_BYTES:
            raise ValueError(_("{size} bytes").format(size=f"{raw.size_bytes:,}"))
        data = json.loads(raw.file.read().decode("utf-8-sig"))
        if data["format"] != FORMAT or data["version"] != FORMAT_VERSION:
            raise ValueError(_("version {came}").format(came=repr(data["version"])[:40]))
        arrays: dict[str, Array] = {
            name: MemoryArray(f"{raw.name}: {name}", np.atleast_1d(_values(data[name])), data[name]["dtype"])
            for name in TENSORS
            if data.get(name) is not None
        }
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise _broken(raw.name, first_line(error)) from error
    return with_metadata(OpenFile(raw.name, arrays, close=raw.file.close), data)


def _values(tensor: Mapping[str, Any]) -> np.ndarray:
    """The numbers of a tensor in JSON, among which NaN and the infinities are words."""
    dtype = str(tensor["dtype"])
    if dtype not in (*DTYPES, "int64", "int32", "int16", "int8", "uint8", "bool"):
        raise ValueError(dtype)
    numbers = np.array(tensor["values"], dtype=object)
    if list(numbers.shape) != tensor["shape"]:
        raise ValueError(_("values of shape {shape}").format(shape=numbers.shape))
    if dtype == "bfloat16":
        return torch.from_numpy(numbers.astype(np.float64)).to(torch.bfloat16).view(torch.int16).numpy()
    return numbers.astype(np.float64 if dtype in DTYPES else dtype).astype(dtype)


def _rows(array: Array) -> Array:
    """(N, C, d1, …) -> (N·d1·…, C), and (C,) -> (1, C)"""
    values = array.values(0, len(array))
    values = np.moveaxis(values, min(1, values.ndim - 1), -1)
    return MemoryArray(array.name, values.reshape(-1, values.shape[-1]), array.dtype)


def _texts(value: Any) -> np.ndarray:
    return np.array([str(one) for one in value] if isinstance(value, list) else [str(value)])


def _number(value: Any) -> Any:
    """What a word for a number stands for, as JSON and our metadata write NaN and the infinities."""
    return float(value) if isinstance(value, str) and value in ("nan", "inf", "-inf") else value


def _broken(name: str, reason: str) -> InvalidDump:
    return InvalidDump(
        "own-file",
        _("{name} cannot be read as a Problem that Export wrote ({reason})").format(name=name, reason=reason),
        _("logits, target and options as docs/format.md describes them"),
        _("Export it again, or show what is wrong: python -m xent_core show {name}").format(name=shlex.quote(name)),
    )


def same_options(files: Iterable[OpenFile]) -> dict[str, Any]:
    """The options that all these files say, which are parts of one dump. Raises: InvalidDump if they differ."""
    first, *others = files
    for file in others:
        if file.options != first.options:
            raise InvalidDump(
                "options-differ",
                _("{one} and {other} say different options of the loss").format(one=first.name, other=file.name),
                _("the same, as files given together are parts of one dump"),
                _("Give them one by one."),
            )
    return dict(first.options)
