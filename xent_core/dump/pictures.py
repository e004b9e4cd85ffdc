"""Small pictures of examples: out of an array of pixels, or of PNG and JPEG files, packed or below one folder.

What a file holds is decoded in a sandboxed process, which ends where a picture takes too much.
"""

from __future__ import annotations

import io
import os
import re
import stat
import sys
import tempfile
from contextlib import closing
from typing import IO, Any

import numpy as np

from xent_core.language import _, ngettext
from xent_core.sandbox import Connection, ProcessLimits, SandboxDied, SandboxedProcess
from xent_core.sandbox.fork_server import allow_seconds
from xent_core.tensor_headers import first_line

MAX_SIDE = 96  # pixels of what is shown
MAX_PIXELS = 50_000_000  # of a picture in a file
MAX_FILE_BYTES = 64 * 2**20
MAX_PATH_CHARACTERS = 4096
LIMITS = ProcessLimits(memory_bytes=448 * 2**20, cpu_seconds=60)
SECONDS_A_PICTURE = 5
ENLARGED_BYTES = 4 * MAX_SIDE * MAX_SIDE + 2**16  # at most, of a PNG that is shown
_FIRST_BYTES = {b"\x89PNG\r\n\x1a\n": "PNG", b"\xff\xd8\xff": "JPEG"}


class NoPicture(Exception):
    """Why a picture cannot be shown: one sentence."""


def png_of_pixels(pixels: np.ndarray) -> bytes:
    """A PNG of (H, W), (H, W, 1) or (H, W, 3) numbers.

    uint8 is taken as it is; other numbers from 0, black, to 1; beyond that from the picture's least to its largest.

    Raises: NoPicture if one of them is NaN or infinite, or if Pillow is not installed.
    """
    image = _pillow()
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.dtype != np.uint8:
        count = int(np.count_nonzero(~np.isfinite(pixels)))
        if count:
            raise NoPicture(
                ngettext(
                    "{count} of the {all} numbers of its picture is NaN or infinite.",
                    "{count} of the {all} numbers of its picture are NaN or infinite.",
                    count,
                ).format(count=count, all=pixels.size)
            )
        pixels = pixels.astype(np.float64) / 2  # so that no difference is too large
        low, high = float(pixels.min()), float(pixels.max())
        if low >= 0 and high <= 0.5:
            low, high = 0.0, 0.5
        pixels = np.rint((pixels - low) * (255 / ((high - low) or 1.0))).astype(np.uint8)
    return _png(image.fromarray(np.ascontiguousarray(pixels)))


def _pillow() -> Any:
    try:
        import PIL.Image
    except ImportError as error:
        raise NoPicture(_("Pictures need the package Pillow: pip install pillow.")) from error
    return PIL.Image


def _png(image: Any) -> bytes:
    """An image of mode L or RGB as PNG: shrunk, or enlarged so that each pixel is a square."""
    image.thumbnail((MAX_SIDE, MAX_SIDE), reducing_gap=2.0)
    times = MAX_SIDE // max(image.size)
    if times > 1:
        image = image.resize((times * image.width, times * image.height), _pillow().Resampling.NEAREST)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


class PictureFiles:
    """PNG and JPEG files below one folder, if there is one, decoded in a process with limits; a context manager."""

    def __init__(self, folder: str | None) -> None:
        self._folder = folder
        self._process: SandboxedProcess | None = None

    def png(self, path: str) -> bytes:
        """The small picture of one file. Raises: NoPicture."""
        if self._folder is None:
            raise NoPicture(_("Paths of pictures are read below the folder of a dump in a file of this computer only."))
        with closing(opened_below(self._folder, path)) as file:
            return self._decoded(file)

    def png_of_packed(self, data: bytes) -> bytes:
        """The small picture of a file's whole content, as a column of bytes holds it. Raises: NoPicture."""
        if len(data) > MAX_FILE_BYTES:
            raise NoPicture(
                _("Its picture has {size} MB, and at most {limit} are read.").format(
                    size=len(data) >> 20, limit=MAX_FILE_BYTES >> 20
                )
            )
        with tempfile.TemporaryFile() as file:
            file.write(data)
            file.flush()
            return self._decoded(file)

    def _decoded(self, file: IO[bytes]) -> bytes:
        if not hasattr(os, "pidfd_open"):  # not Linux: no such processes; the file is the user's own
            return decoded(file)
        try:
            if self._process is None:
                self._process = SandboxedProcess(f"{__name__}:serve", LIMITS)
            answer, data = self._process.ask({}, fds=[file.fileno()], max_bytes=ENLARGED_BYTES)
        except SandboxDied as error:
            self._process = None
            raise NoPicture(_("Its picture takes more memory or time to decode than a picture may.")) from error
        if data[:8] != b"\x89PNG\r\n\x1a\n":
            raise NoPicture(str(answer.get("problem", ""))[:400])
        return bytes(data)

    def close(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.close()
            self._process = None

    def __enter__(self) -> PictureFiles:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def opened_below(folder: str, path: str) -> IO[bytes]:
    """The regular file at a path below the folder, reached without any symbolic link.

    Raises: NoPicture for an address, an absolute path, one with "..", and whatever else is not such a file.
    """
    said = repr(path[:120])
    parts = [part for part in re.split(r"[/\\]" if os.sep == "\\" else "/", path) if part not in ("", ".")]
    if "://" in path or re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", path):
        raise NoPicture(_("{path} is an address, and pictures are not fetched.").format(path=said))
    if os.path.isabs(path) or path.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", path) or ".." in parts:
        raise NoPicture(_("{path} does not lie below the folder of the dump by its name.").format(path=said))
    if not parts or len(path) > MAX_PATH_CHARACTERS or "\0" in path:
        raise NoPicture(_("{path} is no path of a picture.").format(path=said))
    try:
        file = os.fdopen(_descriptor(folder, parts), "rb")
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and _passes_a_link(folder, parts):
            raise NoPicture(_("{path} passes a symbolic link, which is not followed.").format(path=said)) from error
        raise NoPicture(_("{path} cannot be opened ({reason}).").format(path=said, reason=_reason(error))) from error
    size = os.fstat(file.fileno())
    if stat.S_ISREG(size.st_mode) and size.st_size <= MAX_FILE_BYTES:
        return file
    file.close()
    if not stat.S_ISREG(size.st_mode):
        raise NoPicture(_("{path} is no regular file.").format(path=said))
    raise NoPicture(
        _("{path} has {size} MB, and at most {limit} are read.").format(
            path=said, size=size.st_size >> 20, limit=MAX_FILE_BYTES >> 20
        )
    )


def _descriptor(folder: str, parts: list[str]) -> int:
    """An open file, each folder on the way opened without following a link. Raises: OSError, ValueError."""
    if os.open not in os.supports_dir_fd:  # Windows
        if _passes_a_link(folder, parts):
            raise OSError(_("a link"))
        return os.open(os.path.join(folder, *parts), os.O_RDONLY | getattr(os, "O_BINARY", 0))
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in parts[:-1]:
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
            os.close(at)
            at = below
        # a pipe would wait for whoever writes to it
        return os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=at)
    finally:
        os.close(at)


def _passes_a_link(folder: str, parts: list[str]) -> bool:
    return any(os.path.islink(os.path.join(folder, *parts[: i + 1])) for i in range(len(parts)))


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or first_line(error))


def decoded(file: IO[bytes]) -> bytes:
    """The small picture of an open PNG or JPEG file, upright, on white where it is transparent. Raises: NoPicture."""
    image = _pillow()
    from PIL import ImageOps

    file.seek(0)
    start = file.read(8)
    file.seek(0)
    kind = next((kind for first, kind in _FIRST_BYTES.items() if start.startswith(first)), None)
    if kind is None:
        raise NoPicture(_("Its picture is neither PNG nor JPEG."))
    try:
        picture = image.open(file, formats=[kind])
        width, height = picture.size
        if width * height > MAX_PIXELS:
            raise NoPicture(
                _("Its picture has {width} × {height} pixels, and at most {limit} million are decoded.").format(
                    width=width, height=height, limit=MAX_PIXELS // 1_000_000
                )
            )
        picture.draft("RGB", (2 * MAX_SIDE, 2 * MAX_SIDE))
        if picture.mode.startswith(("I", "F")):  # 16 bits
            return png_of_pixels(np.asarray(picture, np.float32) / 65535)
        if picture.mode in ("P", "LA", "PA") or "transparency" in picture.info:
            picture = picture.convert("RGBA")
        elif picture.mode not in ("L", "RGB", "RGBA"):
            picture = picture.convert("RGB")
        orientation = picture.getexif()
        picture.thumbnail((MAX_SIDE, MAX_SIDE), reducing_gap=2.0)
        if orientation:
            picture = ImageOps.exif_transpose(picture)
        if picture.mode == "RGBA":
            white = image.new("RGBA", picture.size, "white")
            picture = image.alpha_composite(white, picture).convert("RGB")
        return _png(picture)
    except (NoPicture, MemoryError):
        raise
    except Exception as error:  # a decoder may raise anything for a broken file
        reason = first_line(error)[:200]
        raise NoPicture(_("Its picture cannot be decoded ({reason}).").format(reason=reason)) from error


# in the sandboxed process


def serve(connection: Connection) -> None:
    """Answers each open file that comes with its small picture, or with why there is none."""
    while True:
        _request, _data, fds = connection.receive(0)
        allow_seconds(SECONDS_A_PICTURE)
        with os.fdopen(fds[0], "rb") as file:
            try:
                connection.send({}, decoded(file))
            except NoPicture as error:
                connection.send({"problem": str(error)})
            except MemoryError:
                sys.exit(1)  # as if the system had ended this process
