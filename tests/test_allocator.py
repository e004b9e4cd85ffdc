"""Large blocks go back to the system as soon as they are free, whatever lies above them."""

import os
import subprocess
import sys

import pytest

from harness.browser import ROOT

# 40 blocks of 5 MB in the heap of a thread, each below a small one that stays
PROGRAM = """
import ctypes, sys
from pathlib import Path
from threading import Thread
from xent_host import allocator

def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]

def fill_and_free():
    warm = libc.malloc(30 * 2**20)  # after which glibc would put smaller ones into the heap
    libc.free(warm)
    blocks = []
    for _ in range(40):
        block = libc.malloc(5 * 2**20)
        ctypes.memset(block, 1, 5 * 2**20)
        blocks.append(block)
        kept.append(libc.malloc(100_000))  # larger than what lies free elsewhere
    for block in blocks:
        libc.free(block)

kept = []
if sys.argv[1] == "with":
    allocator.apply()
before = resident_mb()
thread = Thread(target=fill_and_free)
thread.start()
thread.join()
print(resident_mb() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is the C library of Linux")
def test_what_was_freed_is_not_kept_by_small_blocks_above_it() -> None:
    own = ("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD")  # with which glibc would do as it is told
    environment = {name: value for name, value in os.environ.items() if not name.startswith(own)}

    def left(way: str) -> float:
        run = subprocess.run(
            [sys.executable, "-c", PROGRAM, way], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        )
        assert not run.stderr
        return float(run.stdout)

    assert left("with") < 20
    assert left("without") > 40
