"""What an example is: its name, its picture, its text, and the columns that belong to it, for the rows asked for."""

from __future__ import annotations

import unicodedata
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch

from xent_core.dump.formats import Array
from xent_core.dump.pictures import NoPicture, PictureFiles, png_of_pixels
from xent_core.dump.readers import Dump

MAX_TEXT = 300  # characters that are shown
MAX_HELD = 2_000  # rows whose texts are kept
MAX_HELD_PICTURES = 300
# they turn the order of what stands around them
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True)
class ShownExample:
    """One example of a dump, as a person looks at it.

    Texts come from files of strangers: they hold no control characters, and are not HTML until they are escaped.

    Attributes:
      row: its number in the dump.
      id: the dump's name of it, whole and as it is, else the number of the row.
      image: a PNG of at most 96 pixels a side; None if there is none or it cannot be shown.
      text: at most 300 characters of its text; None if there is none.
      columns: other columns that were asked for, each as a text of at most 300 characters.
      problem: one sentence why the picture cannot be shown; empty where it can, or where there is none.
    """

    row: int
    id: str
    image: bytes | None = field(repr=False)
    text: str | None
    columns: Mapping[str, str]
    problem: str = ""


class _Written(NamedTuple):
    """What is written of one example."""

    id: str
    text: str | None
    picture: str | bytes | None  # a path, or the whole file
    columns: Mapping[str, str]


class _Picture(NamedTuple):
    png: bytes | None
    problem: str = ""


class Examples:
    """The examples of an open dump; knows where they lie, and keeps a few that were looked at.

    Whoever has opened the dump closes it, and calls its `rest` when nothing more is looked at for a while.

    Attributes:
      has_images, has_text, has_ids: whether the dump says so of its rows.
      columns: the names of the other columns that are shown.
    """

    def __init__(self, dump: Dump) -> None:
        self._dump = dump
        self._image, self._text, self._ids = (dump.part(role) for role in ("image", "text", "ids"))
        self._columns = dump.shown
        self.has_images, self.has_text, self.has_ids = (
            part is not None for part in (self._image, self._text, self._ids)
        )
        self.columns = tuple(self._columns)
        self._written: OrderedDict[int, _Written] = OrderedDict()
        self._pictures: OrderedDict[int, _Picture] = OrderedDict()

    def show(self, rows: Sequence[int]) -> list[ShownExample]:
        """These examples, in this order. Raises: InvalidDump for a row that is not there, or cannot be read."""
        self._dump.check_rows(rows)
        written = self._read(rows)
        pictures = self._draw(rows, written)
        return [
            ShownExample(
                row,
                written[row].id,
                pictures[row].png,
                written[row].text,
                written[row].columns,
                pictures[row].problem,
            )
            for row in rows
        ]

    def read_ahead(self, rows: Sequence[int]) -> None:
        """Reads what is written of these rows in one pass, as far as it is kept, and pictures that are packed.

        A table is read from a start forwards: one pass for many rows costs little more than one for a single row.
        """
        rows = list(dict.fromkeys(rows))
        self._dump.check_rows(rows)
        written = self._read(rows[:MAX_HELD])
        if self._image is not None and self._image.is_sequential and self._image.dtype != "text":
            self._draw(rows[:MAX_HELD_PICTURES], written)

    def holds(self, rows: Sequence[int]) -> bool:
        """Whether these rows are shown without reading the dump."""
        return all(row in self._written and (self._image is None or row in self._pictures) for row in rows)

    def _read(self, rows: Sequence[int]) -> dict[int, _Written]:
        """What is written of these rows."""
        missing = sorted({row for row in rows if row not in self._written})
        found = {row: self._written[row] for row in rows if row in self._written}
        if missing:
            ids, texts, paths = (self._values(part, missing) for part in (self._ids, self._text, self._image_paths))
            columns = {name: self._values(part, missing) for name, part in self._columns.items()}
            for i, row in enumerate(missing):
                found[row] = _Written(
                    str(row) if ids is None else str(ids[i]),
                    None if texts is None or texts[i] is None else shown_text(str(texts[i])),
                    None if paths is None else _path_or_file(paths[i]),
                    MappingProxyType(
                        {
                            name: "" if values is None or values[i] is None else shown_text(str(values[i]))
                            for name, values in columns.items()
                        }
                    ),
                )
        has_files = any(isinstance(found[row].picture, bytes) for row in rows)
        _keep(self._written, {row: found[row] for row in rows}, MAX_HELD_PICTURES if has_files else MAX_HELD)
        return found

    @property
    def _image_paths(self) -> Array | None:
        return self._image if self._image is not None and self._image.dtype == "text" else None

    @staticmethod
    def _values(part: Array | None, rows: Sequence[int]) -> np.ndarray | None:
        return None if part is None else part.at(rows)

    def _draw(self, rows: Sequence[int], written: Mapping[int, _Written]) -> dict[int, _Picture]:
        """The pictures of these rows."""
        if self._image is None:
            return dict.fromkeys(rows, _Picture(None))
        missing = sorted({row for row in rows if row not in self._pictures})
        found = {row: self._pictures[row] for row in rows if row in self._pictures}
        with PictureFiles(self._dump.folder) as files:
            for row in missing:
                given = written[row].picture
                try:
                    if self._image_paths is None:
                        found[row] = _Picture(png_of_pixels(_pixels(self._image, row)))
                    elif isinstance(given, bytes):
                        found[row] = _Picture(files.png_of_packed(given) if given else None)
                    else:
                        found[row] = _Picture(files.png(given) if given and given.strip() else None)
                except NoPicture as error:
                    found[row] = _Picture(None, str(error))
        _keep(self._pictures, {row: found[row] for row in rows}, MAX_HELD_PICTURES)
        return found


def _path_or_file(value: object) -> str | bytes | None:
    return value if value is None or isinstance(value, bytes) else str(value)


def _pixels(image: Array, row: int) -> np.ndarray:
    pixels = image.tensor(row, row + 1)[0]
    return pixels.float().numpy() if pixels.dtype == torch.bfloat16 else pixels.numpy()


def _keep(held: OrderedDict[int, Any], found: Mapping[int, Any], most: int) -> None:
    """Holds these too; what was not asked for longest goes."""
    for row, value in found.items():
        held[row] = value
        held.move_to_end(row)
    while len(held) > most:
        held.popitem(last=False)


def shown_text(text: str, most: int = MAX_TEXT) -> str:
    """A stranger's text as one line: spaces for whatever parts lines, � for what cannot be seen or turns its order."""
    text = " ".join(text[: 8 * most].split())
    text = "".join("\ufffd" if one in _TURNING or unicodedata.category(one) in ("Cc", "Cs") else one for one in text)
    return text if len(text) <= most else text[: most - 1] + "…"
