"""Opens a file of any kind, told by its first bytes: a new format is added here."""

from __future__ import annotations

import io
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NamedTuple

from xent_core.columns import ROLES, ColumnChoices
from xent_core.dump.formats.arrays import OpenFile, RawFile
from xent_core.dump.formats.checks import DumpLimits, InvalidDump
from xent_core.dump.formats.csv_file import open_csv
from xent_core.dump.formats.json_lines_file import open_json_lines
from xent_core.dump.formats.lines_file import open_lines
from xent_core.dump.formats.npy_file import open_npy
from xent_core.dump.formats.npz_file import PickleFound, open_npz
from xent_core.dump.formats.own_files import LOOKED_AT, is_own_json, open_own_json
from xent_core.dump.formats.parquet_file import open_parquet
from xent_core.dump.formats.safetensors_file import open_safetensors
from xent_core.dump.formats.text_stream import PACKED, TextStream
from xent_core.dump.formats.torch_file import HoldsMore, open_torch
from xent_core.language import _
from xent_core.tensor_headers import first_line


class Format(NamedTuple):
    """A kind of file.

    Attributes:
      suffix: the one by which users know it.
      open: gives the arrays in a file of this kind.
      first_bytes: what such a file begins with, whatever its name.
      is_likely: tells it by the first 16 bytes and the suffix, where no format's `first_bytes` did.
    """

    suffix: str
    open: Callable[[RawFile], OpenFile]
    first_bytes: tuple[bytes, ...] = ()
    is_likely: Callable[[bytes, str], bool] = lambda start, suffix: False


def _is_safetensors(start: bytes, suffix: str) -> bool:
    return suffix == ".safetensors" or (start[8:9] == b"{" and suffix != ".csv")


def _is_json_lines(start: bytes, suffix: str) -> bool:
    begins = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    return (
        suffix in (".jsonl", ".ndjson", ".json") or begins.startswith(b"{") or (begins[:1] == b"[" and suffix != ".csv")
    )


def _open_json(raw: RawFile) -> OpenFile:
    """Objects, or one Problem of ours."""
    start = raw.file.read(LOOKED_AT)
    raw.file.seek(0)
    return open_own_json(raw) if is_own_json(start) else open_json_lines(raw)


def _open_packed(raw: RawFile) -> OpenFile:
    """A text that is packed by gzip, bzip2 or Zstandard."""
    start = TextStream(raw).start()
    if any(start.startswith(kind.first_bytes) for kind in KINDS):
        raise InvalidDump(
            "file-packed",
            _("{name} is a packed file of arrays").format(name=raw.name),
            _("texts alone packed, such as .csv.gz and .jsonl.zst"),
            _("Unpack it first."),
        )
    suffix = Path(Path(raw.name).stem).suffix.lower()
    return open_json_lines(raw) if _is_json_lines(start, suffix) else open_csv(raw)


NOTHING_SAID = ColumnChoices()
_PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_OLD_TORCH = bytes.fromhex("8a0a6cfc9c46f920")  # what torch.save wrote first, before it wrote zip files
_XZ = b"\xfd7zXZ\x00"
KINDS = (
    Format(".npy", open_npy, first_bytes=(b"\x93NUMPY",)),
    Format(".npz", open_npz, first_bytes=(b"PK\x03\x04", b"PK\x05\x06")),
    Format(".parquet", open_parquet, first_bytes=(b"PAR1",)),
    Format(".arrow", open_parquet, first_bytes=(b"ARROW1", b"\xff\xff\xff\xff")),
    Format(".gz", _open_packed, first_bytes=tuple(PACKED)),
    Format(".jsonl", _open_json, is_likely=_is_json_lines),
    Format(".safetensors", open_safetensors, is_likely=_is_safetensors),
    Format(".csv", open_csv, is_likely=lambda start, suffix: suffix in (".csv", ".tsv", ".txt")),
)
FORMATS = (".npy", ".npz", ".safetensors", ".parquet", ".arrow", ".csv", ".jsonl", ".gz")


def open_file(
    source: Any, role: str = "logits", choices: ColumnChoices = NOTHING_SAID, *, limits: DumpLimits | None = None
) -> OpenFile:
    """Opens a path, an address such as s3://…, or an object with `read` and `seek` such as an upload.

    The kind of file is told by its first bytes, not by its name.

    Args:
      role: what it was given for, "logits", "target", …
      choices: what is said of the columns of a table of logits.
      limits: where this process may be ended by what it reads.

    Raises: InvalidDump for whatever is not a dump, naming the file.
    """
    name, file = _open(source)
    try:
        path = os.fspath(source) if isinstance(source, str | os.PathLike) else None
        return recognised(name, file, path, limits, role=role, choices=choices)
    except BaseException:
        file.close()
        raise


def recognised(
    name: str,
    file: IO[bytes],
    path: str | None = None,
    limits: DumpLimits | None = None,
    *,
    role: str = "logits",
    choices: ColumnChoices = NOTHING_SAID,
) -> OpenFile:
    """The arrays of an open file of any kind. Raises: InvalidDump."""
    opened = _recognised(RawFile(name, file, file.seek(0, os.SEEK_END), path, limits, choices, role))
    if not opened.arrays:
        opened.close()
        raise InvalidDump(
            "file-empty",
            _("{name} holds no array").format(name=name),
            _("logits, labels, or both"),
            _('Save them by name: np.savez("dump.npz", logits=logits, target=target).'),
        )
    return opened


def _open(source: Any) -> tuple[str, IO[bytes]]:
    if not isinstance(source, str | os.PathLike):
        name = Path(str(getattr(source, "name", _("the upload")))).name
        # one of its own, so that the upload stays open for the next run; getbuffer would copy it, getvalue does not
        return name, io.BytesIO(source.getvalue() if hasattr(source, "getvalue") else source.read())
    address = os.fspath(source)
    try:
        if "://" in address:
            return address.rsplit("/", 1)[-1], _open_remote(address)
        path = Path(address)
        if path.exists() and not path.is_file():
            raise IsADirectoryError(_("it is not a file"))
        return path.name, path.open("rb")
    except InvalidDump:
        raise
    except Exception as error:  # every file system has errors of its own
        raise InvalidDump(
            "file-unreadable",
            _("{name} cannot be opened ({reason})").format(name=address, reason=_reason(error)),
            _("a file that this program may read"),
            _("Check the path and its permissions."),
        ) from error


def _reason(error: Exception) -> str:
    """What the system says, without its number and the name, which is said already."""
    return error.strerror if isinstance(error, OSError) and error.strerror else first_line(error)


def _open_remote(address: str) -> IO[bytes]:
    try:
        import fsspec
    except ImportError as error:
        raise InvalidDump(
            "no-fsspec",
            _("{name} is a remote address").format(name=address),
            _("the package fsspec, which reads such addresses"),
            "pip install fsspec",
        ) from error
    file: IO[bytes] = fsspec.open(address, "rb").open()
    return file


def _recognised(raw: RawFile) -> OpenFile:
    name, file = raw.name, raw.file
    file.seek(0)
    start = file.read(16)
    file.seek(0)
    suffix = Path(name).suffix.lower()
    if suffix == ".txt" and raw.role in ("text", "image"):
        return open_lines(raw)
    try:
        for kind in KINDS:
            if start.startswith(kind.first_bytes):
                return kind.open(raw)
    except PickleFound:
        return _open_torch(raw)
    if _OLD_TORCH in start:
        return _open_torch(raw)
    if start.startswith(_PICKLES) or (start and suffix in (".pkl", ".pickle")):  # told by its first bytes, never loaded
        raise _pickle(name)
    if start.startswith(_XZ):
        raise InvalidDump(
            "file-packed",
            _("{name} is packed by xz").format(name=name),
            _("a file that is packed by gzip, or not packed"),
            _("Unpack it: xz -dk {name}.").format(name=shlex.quote(name)),
        )
    for kind in KINDS:
        if kind.is_likely(start, suffix):
            return kind.open(raw)
    raise InvalidDump(
        "file-unknown",
        _("{name} starts with {start} and has {size} bytes").format(name=name, start=start[:8], size=raw.size_bytes)
        if start
        else _("{name} is empty").format(name=name),
        _("one of {formats}").format(formats=", ".join(FORMATS)),
        _('Save the arrays with NumPy: np.savez("dump.npz", logits=logits, target=target).'),
    )


def converting_program(load: str) -> str:
    """A program that saves the logits and labels of a file of torch.save as numbers, under any of their names."""
    logits, target = (" ".join(ROLES[role]) for role in ("logits", "target"))
    return f"""import numpy as np, torch
dump = {load}

def part(names):
    name = next((name for name in names.split() if name in dump), None)
    assert name is not None, f"write the names instead of {{names}}: there are {{list(dump)}}"
    found = dump[name]
    if isinstance(found, torch.Tensor):
        found = (found.double() if found.is_floating_point() else found).detach().cpu().numpy()
    return np.asarray(found)

logits = part("{logits}")
target = part("{target}")
np.savez("dump.npz", logits=logits, target=target)"""


def _open_torch(raw: RawFile) -> OpenFile:
    """The tensors in a file of torch.save, where nothing else is. Raises: InvalidDump."""
    try:
        opened, holds_more = open_torch(raw), False
    except HoldsMore:
        opened, holds_more = None, True
    if opened is not None:
        return opened
    path = raw.path or raw.name
    # What follows is printed and never run here. Only of a file that was looked into, and holds more than tensors, it
    # says weights_only=False, since PyTorch itself opens such a file in no other way, and beside the word trust.
    if not holds_more:  # most such files hold tensors alone, and need nobody's trust
        advice = _("On your own computer this saves the numbers, and runs nothing that is in the file:")
    else:
        advice = _("If you trust whoever wrote it, let Python run what is in it, and save the numbers:")
    raise InvalidDump(
        "file-pickle",
        _("{name} is a file of torch.save, which may run any code when it is loaded").format(name=raw.name),
        _("numbers only, as in {formats}").format(formats=", ".join(FORMATS)),
        f"{advice}\n{converting_program(f'torch.load({path!r}, weights_only={not holds_more})')}",
    )


def _pickle(name: str) -> InvalidDump:
    """What nobody is told to load: PyTorch cannot look into it either."""
    return InvalidDump(
        "file-pickle",
        _("{name} is a pickle and no file of torch.save, and may run any code when it is loaded").format(name=name),
        _("numbers only, as in {formats}").format(formats=", ".join(FORMATS)),
        _('Where it was made, save the numbers: np.savez("dump.npz", logits=logits, target=target).'),
    )
