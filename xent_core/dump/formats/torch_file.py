"""Opens a file of torch.save on one's own computer: tensors and plain containers, which a process of its own reads."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from xent_core.dump.formats.arrays import Array, MemoryArray, OpenFile, RawFile
from xent_core.dump.formats.checks import InvalidDump
from xent_core.dump.formats.safetensors_file import open_safetensors
from xent_core.language import _


class HoldsMore(Exception):
    """The file was looked into, and holds something else than tensors, texts and plain containers."""


def open_torch(raw: RawFile) -> OpenFile | None:
    """The tensors and texts in the file by their names; None if nobody could look, or may: it is a stranger's.

    Raises: HoldsMore if it holds anything else; InvalidDump if it holds no tensor.
    """
    if raw.limits is not None or sys.platform == "win32":  # where no process can be given limits
        return None
    from xent_core.dump.formats.torch_process import HOLDS_MORE, HOLDS_NO_TENSOR, convert

    with TemporaryDirectory(prefix="xent-torch-") as folder:
        path = raw.path
        if path is None or not os.path.isfile(path):
            path = str(Path(folder) / "upload.pt")
            raw.file.seek(0)
            with open(path, "wb") as copy:
                shutil.copyfileobj(raw.file, copy)
        converted = Path(folder) / "tensors.safetensors"
        ended = convert(path, raw.size_bytes, str(converted))
        if ended == HOLDS_MORE:
            raise HoldsMore
        if ended == HOLDS_NO_TENSOR:
            raise InvalidDump(
                "file-empty",
                _("{name} is a file of torch.save without a tensor of one axis or more").format(name=raw.name),
                _("logits and labels"),
                _('Save them by name: torch.save({"logits": logits, "target": target}, path).'),
            )
        if ended:
            return None
        raw.file.close()
        file = converted.open("rb")  # stays readable when its name is gone
        size_bytes = os.fstat(file.fileno()).st_size
        try:
            found = open_safetensors(RawFile(raw.name, file, size_bytes, None, role=raw.role, choices=raw.choices))
            return with_texts(found)
        except BaseException:
            file.close()
            raise


def with_texts(file: OpenFile) -> OpenFile:
    """The same file, texts that were written as numbers being texts again."""
    from xent_core.dump.formats.torch_process import TEXT_MARK

    arrays: dict[str, Array] = {}
    for key, array in file.arrays.items():
        name = key.removeprefix(TEXT_MARK)
        if key != name:
            codes = np.ascontiguousarray(array.values(0, len(array)))
            texts = codes.view(f"<U{codes.shape[1]}").reshape(-1)
            array = MemoryArray(f"{file.name}: {name}", texts)
        arrays[name] = array
    return OpenFile(file.name, arrays, close=file.close, rest=file.rest, options=file.options)
