"""Opens a file of any kind, told by its first bytes: a new format is added here."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NamedTuple

from xent_core.dump.formats.arrays import OpenFile, RawFile
from xent_core.dump.formats.checks import DumpLimits, InvalidDump
from xent_core.dump.formats.csv_file import open_csv
from xent_core.dump.formats.npy_file import open_npy
from xent_core.dump.formats.npz_file import PickleFound, open_npz
from xent_core.dump.formats.parquet_file import open_parquet
from xent_core.dump.formats.safetensors_file import open_safetensors
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


KINDS = (
    Format(".npy", open_npy, first_bytes=(b"\x93NUMPY",)),
    Format(".npz", open_npz, first_bytes=(b"PK\x03\x04", b"PK\x05\x06")),
    Format(".safetensors", open_safetensors, is_likely=_is_safetensors),
    Format(".parquet", open_parquet, first_bytes=(b"PAR1",)),
    Format(".csv", open_csv, is_likely=lambda start, suffix: suffix in (".csv", ".tsv", ".txt")),
)
FORMATS = tuple(kind.suffix for kind in KINDS)


def open_file(source: Any) -> OpenFile:
    """Opens a path, an address such as s3://…, or an object with `read` and `seek` such as an upload.

    The kind of file is told by its first bytes, not by its name.

    Raises: InvalidDump for whatever is not a dump, naming the file.
    """
    name, file = _open(source)
    try:
        return recognised(name, file, os.fspath(source) if isinstance(source, str | os.PathLike) else None)
    except BaseException:
        file.close()
        raise


def recognised(name: str, file: IO[bytes], path: str | None = None, limits: DumpLimits | None = None) -> OpenFile:
    """The arrays of an open file of any kind. Raises: InvalidDump."""
    opened = _recognised(name, file, path, limits)
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
            _("{name} cannot be opened ({reason})").format(name=address, reason=first_line(error)),
            _("a file that this program may read"),
            _("Check the path and its permissions."),
        ) from error


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


def _recognised(name: str, file: IO[bytes], path: str | None, limits: DumpLimits | None) -> OpenFile:
    start = file.read(16)
    raw = RawFile(name, file, file.seek(0, os.SEEK_END), path, limits)
    file.seek(0)
    suffix = Path(name).suffix.lower()
    try:
        for kind in KINDS:
            if start.startswith(kind.first_bytes):
                return kind.open(raw)
    except PickleFound:
        raise _is_pickle(name) from None
    if start.startswith((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")) or suffix in (".pt", ".pth", ".pkl"):
        raise _is_pickle(name)
    for kind in KINDS:
        if kind.is_likely(start, suffix):
            return kind.open(raw)
    raise InvalidDump(
        "file-unknown",
        _("{name} starts with {start} and has {size} bytes").format(name=name, start=start[:8], size=raw.size_bytes),
        _("one of {formats}").format(formats=", ".join(FORMATS)),
        _('Save the arrays with NumPy: np.savez("dump.npz", logits=logits, target=target).'),
    )


def _is_pickle(name: str) -> InvalidDump:
    return InvalidDump(
        "file-pickle",
        _("{name} is a file of torch.save or pickle, which may run any code when it is loaded").format(name=name),
        _("numbers only, as in {formats}").format(formats=", ".join(FORMATS)),
        _("Convert it where you trust it:")
        + f'\ndump = torch.load("{name}", weights_only=True)'
        + '\nnp.savez("dump.npz", logits=dump["logits"].float().numpy(), target=dump["target"].numpy())',
    )
