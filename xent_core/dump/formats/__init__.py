"""Files of logits and labels, one module for each kind of file: .npy, .npz, .safetensors, .parquet and .csv.

They are opened without trust: what a header says is checked against the file before a number is read.
A format is added in `opening.KINDS`.
"""

from xent_core.columns import ROLES
from xent_core.dump.formats.arrays import Array, MemoryArray, OpenFile, Shards
from xent_core.dump.formats.checks import MAX_CLASSES, DumpLimits, InvalidDump, need_pyarrow
from xent_core.dump.formats.npy_file import npy_array
from xent_core.dump.formats.opening import FORMATS, open_file
from xent_core.dump.formats.sandboxed_files import SandboxedFiles

__all__ = [
    "FORMATS",
    "MAX_CLASSES",
    "ROLES",
    "Array",
    "DumpLimits",
    "InvalidDump",
    "MemoryArray",
    "OpenFile",
    "SandboxedFiles",
    "Shards",
    "need_pyarrow",
    "npy_array",
    "open_file",
]
