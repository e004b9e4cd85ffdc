"""Files that a command writes: never over an input, over nothing that is not ours, and whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from xent_core.errors import InvalidInput
from xent_core.language import _

GENERATOR = "Cross-Entropy Explorer"
SCORE_COLUMNS = frozenset(("row", "target", "prediction", "grad_norm", "suggested", "rank"))  # every table of scores
_HEAD_BYTES = 2**16


class InvalidOutput(InvalidInput):
    """A path that nothing may be written to.

    Attributes:
      code: a short name of the mistake, such as "output-is-input".
    """

    def __init__(self, code: str, came: str, expected: str, fix: str) -> None:
        super().__init__(came, expected, fix)
        self.code = code


def checked_output(
    path: str | os.PathLike[str],
    option: str,
    suffixes: Sequence[str],
    *,
    inputs: Iterable[os.stat_result] = (),
    force: bool = False,
) -> Path:
    """Where to write, a link followed to its end, if that destroys nothing.

    Args:
      option: what asked for the file, such as "--report".
      suffixes: the endings that such a file may have.
      inputs: of the files that are read; they are told by device and inode, not by name.
      force: overwrite a file that is no earlier output of ours; an input, never.

    Raises: InvalidOutput.
    """
    given, place = Path(path), Path(os.path.realpath(path))
    if place.suffix.lower() not in suffixes or given.suffix.lower() not in suffixes:
        raise InvalidOutput(
            f"{option.strip('-')}-suffix",
            _("{option} would go to {name}").format(option=option, name=given.name),
            _("a name that ends in {suffixes}").format(suffixes=_(" or ").join(suffixes)),
            _("Rename it."),
        )
    if not place.parent.is_dir():
        raise InvalidOutput(
            f"{option.strip('-')}-path",
            _("the folder of {path} does not exist").format(path=given),
            _("an existing folder"),
            _("Make it, or choose another path."),
        )
    for name in (place, partial_name(place)):
        _check_existing(name, option, inputs, force)
    return place


def _check_existing(place: Path, option: str, inputs: Iterable[os.stat_result], force: bool) -> None:
    try:
        there = place.stat()
    except FileNotFoundError:
        return
    if any(os.path.samestat(there, one) for one in inputs):
        raise InvalidOutput(
            "output-is-input",
            _("{option} would overwrite {path}, which is read").format(option=option, path=place),
            _("a file that is no input"),
            _("Choose another path."),
        )
    if not place.is_file():
        raise InvalidOutput(
            "output-exists",
            _("{option} would replace {path}, which is no file").format(option=option, path=place),
            _("a file"),
            _("Choose another path."),
        )
    if not force and there.st_size and not is_ours(place):
        raise InvalidOutput(
            "output-exists",
            _("{option} would overwrite {path}, which this program did not write").format(option=option, path=place),
            _("a new file, or an earlier one of ours"),
            _("Choose another path, or say --force (in Python overwrite=True) if it may be lost."),
        )


def is_ours(path: Path) -> bool:
    """Whether an earlier run wrote this file, by what is in it."""
    try:
        if path.suffix.lower() == ".parquet":
            import pyarrow.parquet as pq

            return set(pq.read_schema(path).names) >= SCORE_COLUMNS
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
            file.seek(max(file.seek(0, os.SEEK_END) - _HEAD_BYTES, 0))
            tail = file.read()
    except (OSError, ValueError, ImportError):
        return False
    if path.suffix.lower() == ".csv":
        columns = head.partition(b"\n")[0].decode("utf-8", "replace").strip().split(",")
        return {column.strip('"') for column in columns} >= SCORE_COLUMNS
    if path.suffix.lower() == ".ipynb":
        return f'"generator": "{GENERATOR}"'.encode() in tail
    return f'<meta name="generator" content="{GENERATOR}">'.encode() in head


def partial_name(path: Path) -> Path:
    """Where a result of the first rows goes, so that nobody takes it for the whole: scores.partial.csv."""
    return path.with_name(f"{path.stem}.partial{path.suffix}")


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A new file beside this path, which takes its place when all is written, and is removed if that fails.

    Raises: OSError, which names the path.
    """
    temporary: Path | None = None
    try:
        temporary = file_beside(path)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise naming(error, path) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def file_beside(path: Path) -> Path:
    """An empty file of a new name in the same folder, with the rights of the one that it will replace."""
    place = path.with_name(f".{path.stem[:100]}-{secrets.token_hex(8)}.partial{path.suffix}")
    place.touch(exist_ok=False)
    with contextlib.suppress(FileNotFoundError):
        place.chmod(path.stat().st_mode & 0o777)
    return place


def naming(error: OSError, path: Path) -> OSError:
    """The same error about the file that somebody asked for."""
    return OSError(error.errno, error.strerror or str(error), str(path))
