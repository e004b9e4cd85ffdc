"""Problems in files: JSON, CSV, NPZ and safetensors, each checked before it is read."""

from __future__ import annotations

from pathlib import PurePath

from xent_core.codec.document import Document, from_json, shown
from xent_core.codec.errors import InvalidFile
from xent_core.language import _

MAX_FILE_BYTES = 16 * 2**20


def read_file(name: str, data: bytes) -> Document:
    """The Problem in a file; its name says of which kind it is.

    Raises: InvalidFile for whatever is not a whole, honest file of a known kind.
    """
    if len(data) > MAX_FILE_BYTES:
        raise InvalidFile(
            _("a file of {size} bytes").format(size=f"{len(data):,}"),
            _("at most {limit}").format(limit=f"{MAX_FILE_BYTES:,}"),
            _("Take fewer rows."),
        )
    kind = PurePath(name).suffix.lower()
    if kind == ".json":
        return from_json(utf8(data))
    raise InvalidFile(
        _("a file of the kind {kind}").format(kind=shown(kind)),
        _(".json, .csv, .npz or .safetensors"),
        _("Save it as one of these."),
    )


def utf8(data: bytes) -> str:
    """The text in a file. Raises: InvalidFile."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidFile(
            _("text that is not UTF-8 (byte {place})").format(place=error.start),
            _("UTF-8"),
            _("Save it as UTF-8."),
        ) from error
