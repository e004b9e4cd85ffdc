"""The files of one dump, read by a sandboxed process: here come headers that are checked, and windows of numbers."""

from __future__ import annotations

import math
import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import numpy as np

from xent_core.columns import ColumnChoices, Reading
from xent_core.dump.formats.arrays import Array, OpenFile
from xent_core.dump.formats.checks import MAX_MEMBERS, DumpLimits, InvalidDump
from xent_core.dump.formats.opening import recognised
from xent_core.language import _
from xent_core.own_format import DOCUMENT_OPTIONS
from xent_core.sandbox import Connection, ProcessLimits, SandboxDied, SandboxedProcess, release_memory
from xent_core.sandbox.fork_server import allow_seconds

LIMITS = ProcessLimits(memory_bytes=288 * 2**20, cpu_seconds=90)  # an analysis may take 60
SECONDS_AN_ANSWER = 15  # on a processor: to open a file, or to read one window of rows
MAX_WINDOW_BYTES = 128 * 2**20
MAX_TEXT_BYTES = 32 * 2**20  # in a window
OPTIONS = (*DOCUMENT_OPTIONS, "weight")

_STORED = {"bfloat16": np.dtype(np.int16)} | {
    name: np.dtype(name)
    for name in (
        "float64",
        "float32",
        "float16",
        *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    )
}


class SandboxedFiles:
    """Opens uploads in one process with limits; it ends when nothing is read, and starts again when something is."""

    def __init__(self, limits: DumpLimits) -> None:
        self._limits = limits
        self._process: SandboxedProcess | None = None
        self._files: list[tuple[str, IO[bytes], dict[str, Any]]] = []  # with what opens each
        self._opened = 0  # of the files, those that the process has opened

    def open_file(self, source: Any, role: str, choices: ColumnChoices) -> OpenFile:
        """The arrays of an upload, or of whatever has `read`; as `opening.open_file`. Raises: InvalidDump."""
        name = Path(str(getattr(source, "name", _("the upload")))).name
        copy = tempfile.TemporaryFile()  # noqa: SIM115  # without a name: gone when this process is, however it ends
        # unlike getbuffer, getvalue copies nothing
        copy.write(source.getvalue() if hasattr(source, "getvalue") else source.read())
        copy.flush()
        self._files.append((name, copy, {"role": role, "choices": asdict(choices)}))
        told, _data = self._ask(None)
        return self._as_told(len(self._files) - 1, name, told)

    def window(
        self, file: int, key: str, axes: int | None, start: int, stop: int, max_bytes: int
    ) -> tuple[Any, bytearray]:
        """What the process answers for rows start … stop − 1 of an array. Raises: InvalidDump."""
        return self._ask(
            {"file": file, "key": key, "axes": axes, "start": start, "stop": stop}, max_bytes, self._files[file][0]
        )

    def rest(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.close()
            self._process, self._opened = None, 0

    def close(self) -> None:
        """Ends the process, and removes the copies."""
        self.rest()
        for _name, copy, _how in self._files:
            copy.close()
        release_memory()

    def _ask(
        self, question: dict[str, Any] | None, max_bytes: int = 0, name: str = ""
    ) -> tuple[dict[str, Any], bytearray]:
        """What the process answers, once it has opened all files; without a question, what it says of the last."""
        told: tuple[dict[str, Any], bytearray] = {}, bytearray()
        try:
            if self._process is None:
                self._process = SandboxedProcess(f"{__name__}:serve", LIMITS)
            while self._opened < len(self._files):
                name, copy, how = self._files[self._opened]
                request = {"open": name, "limits": asdict(self._limits), **how}
                told = self._process.ask(request, fds=[copy.fileno()])
                self._opened += 1
                _raise_refusal(told[0])
            if question is not None:
                told = self._process.ask(question, max_bytes=max_bytes)
                _raise_refusal(told[0])
        except SandboxDied as error:
            self._process, self._opened = None, 0
            raise _too_costly(name) from error
        return told

    def _as_told(self, index: int, name: str, told: dict[str, Any]) -> OpenFile:
        try:
            arrays: dict[str, Array] = {}
            for key, label, shape, dtype in told["arrays"][:MAX_MEMBERS]:
                if not all(type(size) is int and size >= 0 for size in shape) or dtype not in (*_STORED, "text"):
                    raise TypeError(dtype)
                arrays[str(key)] = _SandboxedArray(self, index, str(key), str(label), tuple(shape), dtype)
            reading = None if told["reading"] is None else _reading(told["reading"])
            notes = tuple(map(str, told["notes"]))
            options = {name: told["options"][name] for name in OPTIONS if name in told["options"]}
        except (KeyError, TypeError, ValueError) as error:
            raise _too_costly(name) from error
        return OpenFile(name, arrays, close=self.close, rest=self.rest, reading=reading, notes=notes, options=options)


class _SandboxedArray(Array):
    """An array of which the process reads a window at a time."""

    is_sequential = True  # as far as is known here

    def __init__(
        self,
        files: SandboxedFiles,
        file: int,
        key: str,
        name: str,
        shape: tuple[int, ...],
        dtype: str,
        axes: int | None = None,
    ) -> None:
        super().__init__(name, shape, dtype)
        self._files, self._file, self._key, self._axes = files, file, key, axes

    def values(self, start: int, stop: int) -> np.ndarray:
        """Rows start … stop − 1."""
        shape = (max(stop - start, 0), *self.shape[1:])
        ask = self._files.window
        if self.dtype == "text":
            _answer, data = ask(self._file, self._key, self._axes, start, stop, 2 * MAX_TEXT_BYTES)
            texts = data.decode("utf-8", "replace").split("\0")[: math.prod(shape)]
            found = np.empty(math.prod(shape), dtype=object)
            found[: len(texts)] = texts
            return found.reshape(shape)
        stored = _STORED[self.dtype]
        needed = math.prod(shape) * stored.itemsize
        if needed > MAX_WINDOW_BYTES:
            raise InvalidDump(
                "window-large",
                _("{name} has {count} bytes in {rows} rows").format(name=self.name, count=needed, rows=shape[0]),
                _("at most {limit}").format(limit=MAX_WINDOW_BYTES),
                _("Save it in float32, or fewer numbers for each row."),
            )
        _answer, data = ask(self._file, self._key, self._axes, start, stop, needed)
        if len(data) != needed:
            raise _too_costly(self.name)
        return np.frombuffer(data, stored).reshape(shape)

    def as_rows(self, axes: int) -> Array:
        """The same numbers with all axes but the last `axes` counted as rows."""
        split = len(self.shape) - axes
        shape = (math.prod(self.shape[:split]), *self.shape[split:])
        if shape == self.shape:
            return self
        return _SandboxedArray(self._files, self._file, self._key, self.name, shape, self.dtype, axes)


def _raise_refusal(answer: dict[str, Any]) -> None:
    refusal = answer.get("refused")
    if isinstance(refusal, list) and len(refusal) == 5:
        answers = [{str(name): str(value) for name, value in one.items()} for one in refusal.pop()]
        code, came, expected, fix = map(str, refusal)
        raise InvalidDump(code, came, expected, fix, answers)


def _reading(told: dict[str, Any]) -> Reading:
    """What the process made of the columns, whose names are those of a stranger and nothing else. Raises: TypeError."""

    def checked(name: str, value: Any) -> Any:
        if name in ("count", "is_assumed"):
            return int(value) if name == "count" else value is True
        return tuple(map(str, value)) if isinstance(value, list) else None if value is None else str(value)

    return Reading(**{name: checked(name, value) for name, value in told.items()})


def _too_costly(name: str) -> InvalidDump:
    return InvalidDump(
        "too-costly",
        _("{name} takes more memory or time to read than a file may, or makes its reader crash").format(name=name),
        _("at most {size} MB and {seconds} seconds").format(
            size=LIMITS.memory_bytes // 2**20, seconds=LIMITS.cpu_seconds
        ),
        _("Save the numbers anew, as .npz or .safetensors; on your own computer: python -m xent_core analyse."),
    )


# in the sandboxed process


def serve(connection: Connection) -> None:
    """Opens the files that come, and answers with windows of their arrays."""
    import pyarrow as pa

    pa.set_cpu_count(1)
    files: list[OpenFile] = []
    while True:
        request, _data, fds = connection.receive(0)
        allow_seconds(SECONDS_AN_ANSWER)
        try:
            if fds:
                file = os.fdopen(fds[0], "rb")
                file.seek(0)
                said = request["choices"]
                said |= {name: tuple(value) for name, value in said.items() if isinstance(value, list)}
                opened = recognised(
                    request["open"],
                    file,
                    None,
                    DumpLimits(**request["limits"]),
                    role=request["role"],
                    choices=ColumnChoices(**said),
                )
                files.append(opened)
                told = [[key, one.name, one.shape, one.dtype] for key, one in opened.arrays.items()]
                reading = opened.reading and asdict(opened.reading)
                more = {"notes": opened.notes, "options": dict(opened.options)}
                connection.send({"arrays": told, "reading": reading, **more})
            else:
                connection.send({}, _window(files, **request))
        except InvalidDump as error:
            connection.send({"refused": [error.code, error.came, error.expected, error.fix, error.answers]})
        except MemoryError:
            return  # as if the system had ended this process: what is left of its memory is of no use


def _window(files: list[OpenFile], file: int, key: str, axes: int | None, start: int, stop: int) -> Any:
    array = files[file].arrays[key]
    values = (array if axes is None else array.as_rows(axes)).values(start, stop)
    if array.dtype != "text":
        return np.ascontiguousarray(values)
    texts = [str(value) for value in values.reshape(-1).tolist()]
    if sum(map(len, texts)) > MAX_TEXT_BYTES:
        raise InvalidDump(
            "text-long",
            _("{name} has texts of {count} characters in {rows} rows").format(
                name=array.name, count=sum(map(len, texts)), rows=len(texts)
            ),
            _("at most {limit}").format(limit=MAX_TEXT_BYTES),
            _("Give the rows shorter names."),
        )
    return "\0".join(text.replace("\0", " ") for text in texts).encode("utf-8", "replace")
