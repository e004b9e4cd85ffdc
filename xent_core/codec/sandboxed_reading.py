"""A file read by a sandboxed process: here come arrays and options, which are checked as those of any file."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xent_core.codec.document import Document, document_from
from xent_core.codec.files import MAX_FILE_BYTES, NOTHING_SAID, read_file
from xent_core.codec.refusals import InvalidFile, RefusedProblem
from xent_core.columns import ColumnChoices
from xent_core.language import _
from xent_core.own_format import DOCUMENT_OPTIONS, NAMES, TENSORS
from xent_core.sandbox import Connection, ProcessLimits, SandboxDied, SandboxedProcess, release_memory

LIMITS = ProcessLimits(memory_bytes=288 * 2**20, cpu_seconds=60)  # a table of a million numbers takes up to 20
SMALL_FILE_SECONDS = 10  # of these for the smallest files, which those wait for that are as small
MAX_TENSOR_BYTES = 64 * 2**20  # of all tensors together: three times a million numbers of 16 bytes, and some


def read_file_in_sandbox(name: str, data: bytes, choices: ColumnChoices = NOTHING_SAID) -> Document:
    """What `read_file` gives, from a process with limits on memory and time, as a server for strangers must.

    Raises: InvalidFile.
    """
    more = (LIMITS.cpu_seconds - SMALL_FILE_SECONDS) * min(len(data) / MAX_FILE_BYTES, 1)
    limits = replace(LIMITS, cpu_seconds=SMALL_FILE_SECONDS + math.ceil(more))
    request = {"name": name, "choices": asdict(choices)}
    try:
        process = SandboxedProcess(f"{__name__}:serve", limits)
        try:
            answer, numbers = process.ask(request, data[: MAX_FILE_BYTES + 1], max_bytes=MAX_TENSOR_BYTES)
        finally:
            process.close()
    except SandboxDied as error:
        raise _too_costly(limits) from error
    try:
        if "refused" in answer:
            *words, answers = answer["refused"]
            came, expected, fix = map(str, words)
            answers = [{str(name): str(value) for name, value in one.items()} for one in answers]
            raise InvalidFile(came, expected, fix, answers)
        tensors = {}
        for tensor_name, kind, shape, start in answer["tensors"]:
            tensors[str(tensor_name)] = _tensor(numbers, str(kind), tuple(map(int, shape)), int(start))
        options = dict(answer["options"])
        reading = str(answer["reading"])
    except InvalidFile:
        raise
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError, RuntimeError) as error:
        raise _too_costly(limits) from error
    finally:
        release_memory()
    return replace(document_from(tensors, options), reading=reading)


def _tensor(numbers: bytearray, kind: str, shape: tuple[int, ...], start: int) -> Any:
    """A tensor, or an array where the file held one of a dtype that PyTorch lacks."""
    library, _dot, dtype = kind.partition(".")
    count = math.prod(shape)
    if library == "numpy":
        return np.frombuffer(numbers, np.dtype(dtype), count, start).reshape(shape)
    known = getattr(torch, dtype)
    if not isinstance(known, torch.dtype):
        raise TypeError(kind)
    if not count:
        return torch.empty(shape, dtype=known)
    return torch.frombuffer(numbers, dtype=known, count=count, offset=start).reshape(shape)


def _too_costly(limits: ProcessLimits) -> InvalidFile:
    return InvalidFile(
        _("a file that takes more memory or time to read than it may, or makes its reader crash"),
        _("at most {size} MB and {seconds} seconds").format(
            size=limits.memory_bytes // 2**20, seconds=limits.cpu_seconds
        ),
        _("Save it anew, with fewer rows, or as .npz."),
    )


# in the sandboxed process


def serve(connection: Connection) -> None:
    """Reads the file that comes, and answers with what is in it."""
    request, data, _fds = connection.receive(MAX_FILE_BYTES + 1)
    said: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in request["choices"].items()
    }
    reading = ""
    try:
        document = read_file(request["name"], bytes(data), ColumnChoices(**said), in_sandbox=True)
        problem = document.problem
        tensors = {name: value for name in TENSORS if (value := getattr(problem, name)) is not None}
        options = {name: getattr(problem, name) for name in DOCUMENT_OPTIONS}
        options |= {name: list(value) for name in NAMES if (value := getattr(document, name))}
        reading = document.reading
    except RefusedProblem as refused:
        tensors, options = dict(refused.tensors), dict(refused.options)
    except InvalidFile as error:
        connection.send({"refused": [error.came, error.expected, error.fix, error.answers]})
        return
    told, numbers = [], bytearray()
    for name, values in tensors.items():
        numbers += bytes(-len(numbers) % 16)
        if isinstance(values, Tensor):
            kind, raw = str(values.dtype), values.contiguous().reshape(-1).view(torch.uint8).numpy()
        else:
            kind, raw = f"numpy.{values.dtype.str}", np.ascontiguousarray(values).reshape(-1).view(np.uint8)
        told.append([name, kind, list(values.shape), len(numbers)])
        numbers += raw.tobytes()
    connection.send({"tensors": told, "options": options, "reading": reading}, numbers)
