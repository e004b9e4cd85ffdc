"""Opens a file of torch.save on one's own computer: tensors and plain containers, which a process of its own reads."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from xent_core.dump.formats.arrays import OpenFile, RawFile
from xent_core.dump.formats.safetensors_file import open_safetensors


class HoldsMore(Exception):
    """The file was looked into, and holds something else than tensors and plain containers."""


def open_torch(raw: RawFile) -> OpenFile | None:
    """The tensors in the file by their names; None if nobody could look, or may: it is a stranger's.

    Raises: HoldsMore if it holds anything else.
    """
    if raw.limits is not None or sys.platform == "win32":  # where no process can be given limits
        return None
    from xent_core.dump.formats.torch_process import HOLDS_MORE, convert

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
        if ended:
            return None
        raw.file.close()
        file = converted.open("rb")  # stays readable when its name is gone
        size_bytes = os.fstat(file.fileno()).st_size
        try:
            return open_safetensors(RawFile(raw.name, file, size_bytes, None, role=raw.role, choices=raw.choices))
        except BaseException:
            file.close()
            raise
