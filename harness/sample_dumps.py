"""A dump of 4 GB that takes no room on the disk, and the memory that an analysis of it takes: run as a program."""

import gc
import sys
from pathlib import Path

import numpy as np

from xent_core.dump import analyse

CLASSES = 1_000


def sparse_dump(folder: Path, rows: int) -> None:
    """A dump of zeros that takes no room on the disk: large.npy and labels.npy."""
    with (folder / "large.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (rows, CLASSES)})
        file.truncate(file.tell() + 4 * rows * CLASSES)
    np.save(folder / "labels.npy", np.arange(rows) % CLASSES)


def peak_above_idle(folder: Path) -> int:
    """Bytes at the peak beyond those of the process that has done a small dump already."""
    small = np.zeros((64, CLASSES), np.float32), np.zeros(64, np.int64)
    analyse(*small, scores=folder / "small.parquet")
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts from here
    before = _status_bytes("VmRSS")
    analyse(folder / "large.npy", folder / "labels.npy", scores=folder / "large.parquet")
    return _status_bytes("VmHWM") - before


def _status_bytes(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


if __name__ == "__main__":
    print(peak_above_idle(Path(sys.argv[1])))
