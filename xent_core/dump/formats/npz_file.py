"""Opens a .npz file: a zip of .npy files, as np.savez writes it."""

from __future__ import annotations

import shlex
import zipfile
from typing import Any

from xent_core.columns import ROLES, few
from xent_core.dump.formats.arrays import Array, OpenFile, RawFile
from xent_core.dump.formats.checks import MAX_MEMBERS, InvalidDump, check_ratio
from xent_core.dump.formats.npy_file import npy_array, npy_scalar
from xent_core.dump.formats.own_files import as_own
from xent_core.language import _
from xent_core.own_format import DOCUMENT_OPTIONS, NPZ_MEMBERS
from xent_core.tensor_headers import first_line, zip_entries

TEXTS = (".csv", ".tsv", ".json", ".jsonl", ".parquet")


class PickleFound(Exception):
    """The archive is one of torch.save, with a pickle in it."""


def open_npz(raw: RawFile) -> OpenFile:
    """The .npy files in the archive, by name; none is unpacked before it is read. Raises: PickleFound."""
    name, file = raw.name, raw.file

    def too_many(count: int) -> InvalidDump:
        return InvalidDump(
            "npz-members",
            _("{name} holds {count} files").format(name=name, count=count),
            _("at most {limit}").format(limit=MAX_MEMBERS),
            _("Save only the arrays that belong to the dump."),
        )

    if (entries := zip_entries(file, raw.size_bytes)) > MAX_MEMBERS:
        raise too_many(entries)
    try:
        archive = zipfile.ZipFile(file)
        members = archive.infolist()
    except Exception as error:  # zipfile raises many kinds for a broken directory
        raise InvalidDump(
            "file-truncated",
            _("{name} is a broken zip file ({reason})").format(name=name, reason=first_line(error)),
            _("a file written by np.savez"),
            _("Write or copy it again."),
        ) from error
    if any(member.filename.endswith("data.pkl") for member in members):
        raise PickleFound
    if len(members) > MAX_MEMBERS:
        raise too_many(len(members))
    arrays: dict[str, Array] = {}
    options: dict[str, Any] = {}
    unfit: list[InvalidDump] = []
    unread: list[str] = []
    for member in members:
        if not member.filename.endswith(".npy"):
            continue
        key = member.filename.removesuffix(".npy")
        check_ratio(f"{name}: {key}", member.file_size, member.compress_size)
        try:
            stream = archive.open(member)
        except Exception as error:  # encrypted, or packed by a method that this Python lacks
            raise InvalidDump(
                "npz-member",
                _("{key} in {name} cannot be unpacked ({reason})").format(key=key, name=name, reason=first_line(error)),
                _("a file written by np.savez or np.savez_compressed"),
                _("Write it again."),
            ) from error
        if key in DOCUMENT_OPTIONS and (value := npy_scalar(stream, member.file_size)) is not None:
            options[key] = value
            continue
        is_packed = member.compress_type != zipfile.ZIP_STORED
        try:
            arrays[key] = npy_array(f"{name}: {key}", stream, member.file_size, is_packed=is_packed)
        except InvalidDump as error:
            if error.code not in ("dtype", "shape") or key.lower() in (*ROLES["logits"], *ROLES["target"]):
                raise
            unfit.append(error)  # such as pictures beside the logits
            unread.append(key)
    if unfit and not arrays:
        raise unfit[0]
    texts = [member.filename for member in members if member.filename.lower().endswith(TEXTS)]
    if texts and not arrays:
        raise InvalidDump(
            "file-packed",
            _("{name} is a zip file with {inside} in it").format(name=name, inside=few(texts)),
            _("a table that is packed by gzip, or not packed"),
            _("Unpack it: unzip {name}.").format(name=shlex.quote(name)),
        )
    notes = (_("not read: {names}").format(names=few(unread, 12)),) if unread else ()
    opened = OpenFile(name, arrays, close=file.close, notes=notes)
    return as_own(opened, options) if options or set(arrays) <= NPZ_MEMBERS else opened
