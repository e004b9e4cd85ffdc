"""A file of torch.save read by a process of its own, which has limits and takes numbers and plain containers alone.

Run as a script, this file is that process: it reads the file with weights_only=True, which builds nothing but tensors
and plain containers, and here arrays of NumPy,
and writes the tensors as safetensors. Whatever else is in the file ends it.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from typing import IO, Any

SECONDS = 120
FREE_BYTES = 8 * 2**30  # of address space, of which PyTorch alone takes the half
GROWTH = 6  # the file, its tensors, and what is written
MAX_DEPTH = 8
HOLDS_MORE = 3  # exit code, of a file with more than numbers, texts and plain containers
HOLDS_NO_TENSOR = 4  # exit code
TEXT_MARK = "text:"  # before the name of texts, which are written as the numbers of their characters, (N, width)
MAX_TEXT = 1024  # characters of one
MAX_TEXTS = 2**26  # characters of all, each with as many as the longest
CODES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
}


def convert(source: str, size_bytes: int, sink: str) -> int:
    """Writes the tensors of a file of torch.save to another.

    Returns: 0; HOLDS_MORE; HOLDS_NO_TENSOR; or another number if nobody could look, since it took too much.
    """
    try:
        ran = subprocess.run(
            [sys.executable, "-P", __file__, source, str(size_bytes), sink],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=4 * SECONDS,  # it may wait for a processor
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 1
    return ran.returncode


def tensors_in(value: Any, name: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """The tensors in dictionaries, lists and tuples, by their path; a list of numbers is a tensor too.

    A list of batches, as Lightning's predict gives, is one below the other; so is a list of rows.
    Texts are the numbers of their characters, behind TEXT_MARK.
    A single number, such as the loss of the whole, is left out.
    """
    import numpy as np
    import torch

    if (texts := _texts(value)) is not None:
        yield TEXT_MARK + name, texts
        return
    if isinstance(value, np.ndarray) and str(value.dtype) in CODES:
        value = torch.from_numpy(value)
    if isinstance(value, list | tuple) and value and all(map(_is_number, value)):
        value = _tensor(value)
    elif isinstance(value, list) and value:
        value = _joined(value)

    if isinstance(value, torch.Tensor):
        if str(value.dtype).removeprefix("torch.") in CODES and value.layout == torch.strided and value.ndim:
            yield name, value
    elif isinstance(value, dict) and depth < MAX_DEPTH:
        for key, inner in value.items():
            yield from tensors_in(inner, f"{name}.{key}" if name else str(key), depth + 1)
    elif isinstance(value, list | tuple) and depth < MAX_DEPTH:
        for index, inner in enumerate(value):
            yield from tensors_in(inner, f"{name}.{index}" if name else str(index), depth + 1)


def _texts(value: Any) -> Any:
    """A list or an array of texts as numbers, one text a row; None for anything else."""
    import numpy as np
    import torch

    is_list = isinstance(value, list | tuple) and value and all(isinstance(one, str) for one in value)
    if not is_list and not (isinstance(value, np.ndarray) and value.dtype.kind == "U" and value.ndim == 1):
        return None
    width = max(map(len, value), default=0)
    if not 0 < width <= MAX_TEXT or width * len(value) > MAX_TEXTS:
        return None
    texts = np.ascontiguousarray(np.asarray(value, f"<U{width}"))
    return torch.from_numpy(texts.view(np.int32).reshape(len(value), width))


def _joined(parts: list[Any]) -> Any:
    """One tensor, or one dictionary of them, out of rows or batches, each a tensor, a tuple or a dictionary."""
    first = parts[0]
    if isinstance(first, dict) and all(isinstance(part, dict) and part.keys() == first.keys() for part in parts):
        columns = {str(key): [part[key] for part in parts] for key in first}
    elif isinstance(first, tuple | list) and all(
        isinstance(part, tuple | list) and len(part) == len(first) for part in parts
    ):
        if all(_is_number(one) for part in parts for one in part):
            return _tensor(parts) if first else parts
        columns = {str(index): [part[index] for part in parts] for index in range(len(first))}
    else:
        columns = {"": parts}
    tensors = {key: _tensors(column) for key, column in columns.items()}
    tensors = {key: column for key, column in tensors.items() if all(part is not None for part in column)}
    if not tensors:
        return parts
    are_rows = _are_rows(tensors)
    joined = {key: _one(column, are_rows=are_rows) for key, column in tensors.items()}
    if any(one is None for one in joined.values()):
        return parts
    return joined[""] if columns.keys() == {""} else joined


def _tensors(column: list[Any]) -> list[Any]:
    """Each as a tensor; None for what is none."""
    import numpy as np
    import torch

    def as_tensor(one: Any) -> Any:
        if isinstance(one, np.ndarray | np.generic):
            return torch.from_numpy(np.asarray(one)) if str(one.dtype) in CODES else None
        if isinstance(one, list) and one and all(map(_is_number, one)):
            return _tensor(one)
        return one if isinstance(one, torch.Tensor) else _tensor(one) if _is_number(one) else None

    return [as_tensor(one) for one in column]


def _is_number(value: Any) -> bool:
    return type(value) in (int, float, bool)


def _tensor(numbers: Any) -> Any:
    import torch

    found = torch.tensor(numbers)
    return torch.tensor(numbers, dtype=torch.float64) if found.is_floating_point() else found


def _are_rows(columns: dict[str, list[Any]]) -> bool:
    """Whether each part is one row, not a batch: its logits have one axis, and its label, if there is one, has none."""
    shapes = {part.shape for column in columns.values() for part in column}
    if any(len(shape) > 1 for shape in shapes):
        return False
    whole = [column for column in columns.values() if not column[0].is_floating_point()]
    wide = [column for column in columns.values() if column[0].is_floating_point() and column[0].ndim]
    return all(part.ndim == 0 for column in whole for part in column) and all(
        {part.shape for part in column} == {column[0].shape} for column in wide
    )


def _one(column: list[Any], *, are_rows: bool) -> Any:
    """The tensors of one column one below the other; None where they differ in more than their first axis."""
    import torch

    first = column[0]
    if any((part.shape[1:], part.dtype, part.ndim) != (first.shape[1:], first.dtype, first.ndim) for part in column):
        return None
    return torch.stack(column) if are_rows or not first.ndim else torch.cat(column)


def write(tensors: dict[str, Any], sink: IO[bytes]) -> None:
    """As safetensors: a header of JSON, then the numbers."""
    import torch

    header, end = {}, 0
    for name, tensor in tensors.items():
        start, end = end, end + tensor.numel() * tensor.element_size()
        code = CODES[str(tensor.dtype).removeprefix("torch.")]
        header[name] = {"dtype": code, "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    sink.write(len(text).to_bytes(8, "little") + text)
    for tensor in tensors.values():
        sink.write(tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().data)


def _of_numpy() -> list[Any]:
    """What an array of numbers is built by, under the names that NumPy 1 and 2 write."""
    import numpy as np
    from numpy._core import multiarray

    kinds = {type(np.dtype(name)) for name in (*CODES, "U1") if name != "bfloat16"}
    parts = [
        (part, f"numpy.{core}.multiarray.{part.__name__}")
        for core in ("_core", "core")
        for part in (multiarray._reconstruct, multiarray.scalar)
    ]
    return [np.ndarray, np.dtype, *kinds, *parts]


def _of_fastai() -> list[Any]:
    """Its classes of tensors, each of which is read as a plain one."""
    import torch

    return [(torch.Tensor, f"fastai.torch_core.{name}") for name in ("TensorBase", "TensorCategory")]


def main(source: str, size_bytes: int, sink: str) -> None:
    """The process: takes its limits before it imports what reads."""
    most = FREE_BYTES + GROWTH * size_bytes
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    import torch

    torch.set_num_threads(1)
    torch.serialization.add_safe_globals([*_of_numpy(), *_of_fastai()])
    try:
        value = torch.load(source, map_location="cpu", weights_only=True)
    except Exception as error:
        # by its name, since what holds the class is imported nowhere here
        sys.exit(HOLDS_MORE if type(error).__name__ == "UnpicklingError" else 1)
    tensors = dict(tensors_in(value))
    if all(name.startswith(TEXT_MARK) for name in tensors):
        sys.exit(HOLDS_NO_TENSOR)
    with open(sink, "wb") as file:
        write(tensors, file)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
