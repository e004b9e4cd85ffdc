"""A Problem in files of arrays: NPZ and safetensors, whose headers are checked before any array is built."""

from __future__ import annotations

import io
import json
import math
import struct
import zipfile
import zlib
from collections.abc import Sequence, Set
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xent_core.codec.document import (
    Document,
    document_from,
    parsed_json,
    shown,
    too_large,
)
from xent_core.codec.refusals import InvalidFile
from xent_core.codec.tensors import is_shape
from xent_core.language import _
from xent_core.own_format import BFLOAT16, DOCUMENT_OPTIONS, METADATA, NAMES, NPZ_MEMBERS, TENSORS
from xent_core.problem import Problem
from xent_core.tensor_headers import (
    HeaderLength,
    InvalidHeader,
    first_line,
    read_npy_header,
    read_safetensors_header,
    zip_entries,
)

MAX_UNPACKED = 64 * 2**20  # bytes of all members of an NPZ
MAX_RATIO = 200  # how far a member of more than a mebibyte may have been packed
MAX_ENTRIES = 1_000  # files in an NPZ, known or not
MAX_HEADER = 2**20  # bytes of a safetensors header


def to_npz(problem: Problem, *, class_names: Sequence[str] = (), row_names: Sequence[str] = ()) -> bytes:
    """Everything as arrays for `np.load`; a bfloat16 tensor is its bits as uint16, named `logits.bfloat16`."""
    document = Document(problem, tuple(class_names), tuple(row_names))
    arrays: dict[str, Any] = {}
    for name, tensor in _tensors(problem).items():
        if tensor.dtype == torch.bfloat16:
            arrays[name + BFLOAT16] = tensor.contiguous().view(torch.uint16).numpy()
        else:
            arrays[name] = tensor.numpy()
    for name in DOCUMENT_OPTIONS:
        arrays[name] = np.array(getattr(problem, name))
    for name in NAMES:
        if getattr(document, name):
            arrays[name] = np.array(getattr(document, name))
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)  # numbers and words only, so that nothing is pickled
    return packed.getvalue()


def to_safetensors(problem: Problem, *, class_names: Sequence[str] = (), row_names: Sequence[str] = ()) -> bytes:
    """Everything as safetensors: the tensors under their names, options and names as JSON in the metadata."""
    from safetensors.torch import save

    document = Document(problem, tuple(class_names), tuple(row_names))
    options: dict[str, Any] = {name: _json_value(getattr(problem, name)) for name in DOCUMENT_OPTIONS}
    options |= {name: list(getattr(document, name)) for name in NAMES}
    tensors = {name: tensor.contiguous() for name, tensor in _tensors(problem).items()}
    packed: bytes = save(tensors, metadata={METADATA: json.dumps(options, ensure_ascii=False)})
    return packed


def npz_is_of_others(data: bytes) -> bool:
    """Whether every array in an NPZ may be one of a dump, and some have none of our names.

    An unknown array of shape () is none of a dump, but an option whose name is misspelt: `read_npz` refuses it.
    """
    if not 0 < zip_entries(io.BytesIO(data), len(data)) <= MAX_ENTRIES:
        return False
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            unknown = [info for info in members if info.filename.removesuffix(".npy") not in NPZ_MEMBERS]
            return bool(unknown) and all(_is_array_of_rows(archive, info) for info in unknown)
    except (zipfile.BadZipFile, zlib.error, struct.error, ValueError, RuntimeError, EOFError, OSError, InvalidHeader):
        return False  # which `read_npz` says


def _is_array_of_rows(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bool:
    if not info.filename.endswith(".npy") or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return False
    with archive.open(info) as stream:
        shape, _is_fortran, _dtype = read_npy_header(stream)
    return len(shape) > 0


def npz_is_ours(data: bytes) -> bool:
    """Whether an NPZ that can be read has all the options, as `to_npz` writes them."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {f"{name}.npy" for name in DOCUMENT_OPTIONS} <= set(archive.namelist())


def safetensors_is_of_others(data: bytes) -> bool:
    """Whether a safetensors file has tensors under other names than ours, and none of our metadata."""
    try:
        header = _safetensors_header(data)
    except InvalidFile:
        return False  # which `read_safetensors` says
    return not _has_our_metadata(header) and bool(set(header) - {"__metadata__", *TENSORS})


def safetensors_is_ours(data: bytes) -> bool:
    """Whether a safetensors file that can be read has the metadata that `to_safetensors` writes."""
    return _has_our_metadata(_safetensors_header(data))


def _has_our_metadata(header: dict[str, Any]) -> bool:
    metadata = header.get("__metadata__")
    return isinstance(metadata, dict) and METADATA in metadata


def read_npz(data: bytes) -> Document:
    """What `to_npz` wrote, or `np.savez(file, logits=…, target=…)` with any of the options as further arrays.

    Raises: InvalidFile, before anything is unpacked if the sizes in the archive are beyond the limits.
    """
    if (entries := zip_entries(io.BytesIO(data), len(data))) > MAX_ENTRIES:
        raise InvalidFile(
            _("an archive of {count} files").format(count=entries), _("NumPy arrays alone"), _("Save it with np.savez.")
        )
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            _check_members(members)
            arrays = {info.filename.removesuffix(".npy"): _array(info, archive.read(info)) for info in members}
    except InvalidFile:
        raise
    except (zipfile.BadZipFile, zlib.error, struct.error, ValueError, RuntimeError, EOFError, OSError) as error:
        # a damaged directory of an archive leads zipfile astray in all these ways
        raise _broken("NPZ", error) from error
    tensors: dict[str, Any] = {}
    for name in TENSORS:
        if name in arrays and name + BFLOAT16 in arrays:
            raise InvalidFile(_("{name} twice").format(name=name), _("each once"), _("Remove one of the two."))
        if name in arrays:
            tensors[name] = arrays[name]
        elif name + BFLOAT16 in arrays:
            bits = arrays[name + BFLOAT16]
            if bits.dtype != np.uint16:
                raise _wrong_dtype(name + BFLOAT16, bits.dtype, "uint16")
            tensors[name] = torch.from_numpy(bits).view(torch.bfloat16)
    for name, values in tensors.items():
        if isinstance(values, np.ndarray) and values.dtype.kind not in "fiub":
            raise _wrong_dtype(name, values.dtype, _("numbers"))
    options = {name: arrays[name].tolist() for name in (*DOCUMENT_OPTIONS, *NAMES) if name in arrays}
    return document_from(tensors, options)


def read_safetensors(data: bytes) -> Document:
    """What `to_safetensors` wrote, or a file with `logits`, `target` and perhaps `weight`.

    Raises: InvalidFile, before anything is built if the header is beyond the limits.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    header = _safetensors_header(data)
    metadata = header.get("__metadata__")
    stored = metadata.get(METADATA) if isinstance(metadata, dict) else None
    _check_names(set(header) - {"__metadata__"}, set(TENSORS))
    for name in TENSORS:
        if name in header:
            entry = header[name]
            shape = entry.get("shape") if isinstance(entry, dict) else None
            if not isinstance(shape, list) or not all(type(size) is int for size in shape) or not is_shape(shape):
                raise too_large(shown(shape))
    try:
        tensors: dict[str, Tensor] = load(data)
    except (SafetensorError, KeyError, ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise _broken("safetensors", error) from error
    options = parsed_json(stored) if isinstance(stored, str) else {}
    if not isinstance(options, dict):
        raise _broken("safetensors", ValueError(METADATA))
    _check_names(options, {*DOCUMENT_OPTIONS, *NAMES})
    return document_from(tensors, options)


def _safetensors_header(data: bytes) -> dict[str, Any]:
    try:
        text = read_safetensors_header(io.BytesIO(data), len(data), limit=MAX_HEADER).decode("utf-8")
    except HeaderLength as error:
        reason = _("a header of {size} bytes").format(size=f"{error.header_bytes:,}")
        raise _broken("safetensors", ValueError(reason)) from error
    except UnicodeDecodeError as error:
        raise _broken("safetensors", error) from error
    header = parsed_json(text)
    if not isinstance(header, dict):
        raise _broken("safetensors", ValueError(_("a header that is no object")))
    return header


def _check_members(members: Sequence[zipfile.ZipInfo]) -> None:
    """Refuse by the archive's own list whatever need not be unpacked to be known as wrong."""
    names = [info.filename for info in members]
    for name in names:
        if not name.endswith(".npy"):
            raise InvalidFile(
                _("an archive with {name} in it").format(name=shown(name)),
                _("NumPy arrays alone"),
                _("Save it with np.savez."),
            )
    _check_names([name.removesuffix(".npy") for name in names], NPZ_MEMBERS)
    if len(set(names)) < len(names):
        raise InvalidFile(_("an archive with a name twice"), _("each once"), _("Save it again with np.savez."))
    unpacked = sum(info.file_size for info in members)
    worst = max((info.file_size / max(info.compress_size, 1) for info in members if info.file_size > 2**20), default=0)
    if unpacked > MAX_UNPACKED or worst > MAX_RATIO:
        raise InvalidFile(
            _("an archive that unpacks to {size} bytes, {ratio} times as many as it holds").format(
                size=f"{unpacked:,}", ratio=f"{worst:,.0f}"
            ),
            _("at most {limit} bytes, {ratio} times").format(limit=f"{MAX_UNPACKED:,}", ratio=MAX_RATIO),
            _("Save fewer rows, or save without compression: np.savez."),
        )
    for info in members:
        # other methods unpack without a limit
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & 1:
            raise InvalidFile(
                _("{name} packed in a way that NumPy does not use").format(name=shown(info.filename)),
                _("np.savez or np.savez_compressed"),
                _("Save it again with one of these."),
            )


def _array(info: zipfile.ZipInfo, data: bytes) -> np.ndarray:
    """The array in one member, if its header tells the truth about its size."""
    name = info.filename.removesuffix(".npy")
    stream = io.BytesIO(data)
    try:
        shape, is_fortran, dtype = read_npy_header(stream)
    except InvalidHeader as error:
        raise _broken(f"{name}.npy", error) from error
    if dtype.hasobject:
        raise InvalidFile(
            _("{name} holds Python objects, that is, a pickle").format(name=name),
            _("numbers"),
            _("Convert it: np.asarray({name}, dtype=np.float32), or np.int64 for labels.").format(name=name),
        )
    if dtype.kind not in "fiubU":
        raise _wrong_dtype(name, dtype, _("numbers"))
    if not is_shape(shape):
        raise too_large(shape)
    remaining = len(data) - stream.tell()
    if math.prod(shape) * dtype.itemsize != remaining:
        raise InvalidFile(
            _("{name} says it has shape {shape} of {dtype} and holds {size} bytes").format(
                name=name, shape=shape, dtype=dtype, size=remaining
            ),
            _("{size} bytes").format(size=math.prod(shape) * dtype.itemsize),
            _("The file is damaged: save it again."),
        )
    if not remaining:
        return np.empty(shape, dtype.newbyteorder("="))
    values = np.frombuffer(data, dtype, offset=stream.tell()).astype(dtype.newbyteorder("="))
    return values.reshape(shape, order="F" if is_fortran else "C")


def _tensors(problem: Problem) -> dict[str, Tensor]:
    return {name: value for name in TENSORS if (value := getattr(problem, name)) is not None}


def _json_value(value: int | str | float) -> int | str | float:
    return repr(value) if isinstance(value, float) and not math.isfinite(value) else value


def _check_names(names: Any, known: Set[str]) -> None:
    for name in names:
        if name not in known:
            raise InvalidFile(
                _("a file with {name} in it").format(name=shown(name)),
                _("only {names}").format(names=", ".join(sorted(known))),
                _("Remove it, or correct its spelling."),
            )


def _wrong_dtype(name: str, dtype: object, expected: str) -> InvalidFile:
    return InvalidFile(
        _("{name} of dtype {dtype}").format(name=name, dtype=shown(str(dtype))),
        expected,
        _("Convert it before you save it."),
    )


def _broken(kind: str, error: Exception) -> InvalidFile:
    return InvalidFile(
        _("a file that cannot be read as {kind} ({why})").format(kind=kind, why=first_line(error)),
        _("a whole one"),
        _("The file is damaged or of another kind: save it again."),
    )
