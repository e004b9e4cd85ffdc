"""Opens a file of torch.save on one's own computer: tensors and plain containers, which a process of its own reads."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from xent_core.dump.formats.arrays import OpenFile, RawFile
from xent_core.dump.formats.safetensors_file import open_safetensors


def may_look(raw: RawFile) -> bool:
    """Whether the file may be opened here: it is the user's own, and a process can be given limits."""
    return raw.limits is None and sys.platform != "win32"


def open_torch(raw: RawFile) -> OpenFile | None:
    """The tensors in the file by their names; None if it holds anything else, or is a stranger's."""
    if not may_look(raw):
        return None
    from xent_core.dump.formats.torch_process import convert

    with TemporaryDirectory(prefix="xent-torch-") as folder:
        path = raw.path
        if path is None or not os.path.isfile(path):
            path = str(Path(folder) / "upload.pt")
            raw.file.seek(0)
            with open(path, "wb") as copy:
                shutil.copyfileobj(raw.file, copy)
        converted = Path(folder) / "tensors.safetensors"
        if not convert(path, raw.size_bytes, str(converted)):
            return None
        raw.file.close()
        file = converted.open("rb")  # stays readable when its name is gone
        size_bytes = os.fstat(file.fileno()).st_size
        try:
            return open_safetensors(RawFile(raw.name, file, size_bytes, None, role=raw.role, choices=raw.choices))
        except BaseException:
            file.close()
            raise
