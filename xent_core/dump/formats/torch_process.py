"""A file of torch.save read by a process of its own, which has limits and takes tensors and plain containers alone.

Run as a script, this file is that process: it reads the file with weights_only=True, which builds nothing but those,
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
}


def convert(source: str, size_bytes: int, sink: str) -> bool:
    """Writes the tensors of a file of torch.save to another; False if it holds anything else, or takes too much."""
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
        return False
    return ran.returncode == 0


def tensors_in(value: Any, name: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """The tensors in dictionaries, lists and tuples, by their path; a list of numbers is a tensor too.

    A list of batches, each a tensor or a dictionary of tensors, is one below the other, as Lightning's predict gives.
    """
    import torch

    if isinstance(value, list) and value:
        value = _joined(value)

    if isinstance(value, torch.Tensor):
        if str(value.dtype).removeprefix("torch.") in CODES and value.layout == torch.strided:
            yield name, value
    elif isinstance(value, dict) and depth < MAX_DEPTH:
        for key, inner in value.items():
            yield from tensors_in(inner, f"{name}.{key}" if name else str(key), depth + 1)
    elif isinstance(value, list | tuple) and depth < MAX_DEPTH:
        if value and all(type(inner) in (int, float) for inner in value):
            yield name, torch.tensor(value)
        else:
            for index, inner in enumerate(value):
                yield from tensors_in(inner, f"{name}.{index}" if name else str(index), depth + 1)


def _joined(batches: list[Any]) -> Any:
    """One tensor, or one dictionary of them, out of batches that differ in their first axis alone; else the list."""
    import torch

    def is_alike(parts: list[Any]) -> bool:
        return all(
            isinstance(first, torch.Tensor)
            and isinstance(part, torch.Tensor)
            and part.ndim
            and (part.shape[1:], part.dtype) == (first.shape[1:], first.dtype)
            for first in parts[:1]
            for part in parts
        )

    if isinstance(batches[0], torch.Tensor) and is_alike(batches):
        return torch.cat(batches)
    if all(isinstance(batch, dict) and batch.keys() == batches[0].keys() for batch in batches):
        columns = {key: [batch[key] for batch in batches] for key in batches[0]}
        if all(map(is_alike, columns.values())):
            return {key: torch.cat(parts) for key, parts in columns.items()}
    return batches


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


def main(source: str, size_bytes: int, sink: str) -> None:
    """The process: takes its limits before it imports what reads."""
    most = FREE_BYTES + GROWTH * size_bytes
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    import torch

    torch.set_num_threads(1)
    value = torch.load(source, map_location="cpu", weights_only=True)
    tensors = dict(tensors_in(value))
    if not tensors:
        sys.exit(1)
    with open(sink, "wb") as file:
        write(tensors, file)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
