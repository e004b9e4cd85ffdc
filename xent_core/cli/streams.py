"""Standard input, output and errors as they come: any encoding, a pipe that closes, a full disk, or none of them."""

from __future__ import annotations

import codecs
import contextlib
import json
import os
import re
import shutil
import sys
import tempfile
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from xent_core.cli.terminal import complain
from xent_core.language import _

STDIN = "-"
EXIT_OF_A_CLOSED_PIPE = 141  # 128 + SIGPIPE, as a shell gives it
_PLAIN = str.maketrans(
    {
        **{"−": "-", "–": "-", "…": "...", "×": "x", "·": "*", "→": "->", "≈": "~", "≤": "<=", "≥": ">=", "±": "+/-"},
        **{"“": '"', "”": '"', "‘": "'", "’": "'", "∂": "d", "Σ": "sum", "∞": "inf", "‖": "||", "√": "sqrt"},
        **{"ε": "eps", "β": "beta", "η": "eta", "₂": "2", "²": "^2"},
    }
)
_SUFFIX_OF_START = ((b"\x93NUMPY", ".npy"), (b"PK", ".npz"), (b"PAR1", ".parquet"), (b"ARROW1", ".arrow"))


def _plainly(error: UnicodeError) -> tuple[str, int]:
    """What an encoding lacks, in characters that every encoding has."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = unicodedata.normalize("NFKD", error.object[error.start : error.end].translate(_PLAIN))
    # an accent that has come apart from its letter is left out
    kept = "".join(one for one in text if not unicodedata.combining(one))
    return kept.encode("ascii", "backslashreplace").decode("ascii"), error.end


codecs.register_error("xent-plainly", _plainly)


@contextlib.contextmanager
def robust_output(exit_codes: list[int]) -> Iterator[None]:
    """Within it, stdout and stderr take every character; adds the exit code if stdout ends before what is written."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="xent-plainly")
    try:
        try:
            yield
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except BrokenPipeError:
        _silence()
        exit_codes.append(EXIT_OF_A_CLOSED_PIPE)
    except OSError as error:  # of stdout: a command's own has been told by then
        complain(_("stdout could not be written: {reason}").format(reason=error.strerror or error))
        _silence()
        exit_codes.append(2)


def _silence() -> None:
    """What is left in the buffers goes nowhere, so that Python does not complain when it ends."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def json_for(stream: TextIO | None, text: str) -> str:
    """The same JSON in characters that the stream can write."""
    encoding = (getattr(stream, "encoding", None) or "utf-8").lower().replace("_", "-")
    if encoding.startswith("utf"):
        return text
    return re.sub(r"[^\x00-\x7f]", lambda found: json.dumps(found[0])[1:-1], text)


@contextlib.contextmanager
def from_standard_input(*sources: str | None) -> Iterator[list[str | None]]:
    """The sources, `-` replaced by the path of a file with what standard input holds. Raises: ValueError."""
    if STDIN not in sources:
        yield list(sources)
        return
    if sources.count(STDIN) > 1 or sys.stdin is None:
        raise ValueError(_("Standard input, -, can be read once: give the path of a file for the other."))
    with tempfile.TemporaryDirectory(prefix="xent-stdin-") as folder:
        path = Path(folder) / "stdin"
        with path.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        named = path.rename(path.with_name(f"stdin{_suffix(path)}"))
        yield [str(named) if source == STDIN else source for source in sources]


def _suffix(path: Path) -> str:
    """The ending that such a file would have, by its first bytes."""
    with path.open("rb") as file:
        start = file.read(64)
    for known, suffix in _SUFFIX_OF_START:
        if start.startswith(known):
            return suffix
    if start[8:9] == b"{" and b"\0" in start[:8]:
        return ".safetensors"
    first = start.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    return ".json" if first in (b"{", b"[") else ".csv"
