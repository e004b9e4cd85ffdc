"""Large blocks that are freed go back to the system, also where smaller ones above them are in use."""

import subprocess
import sys

import pytest

from harness.browser import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the memory of a process is read from /proc")

PROGRAM = """
import sys, threading
from pathlib import Path

if sys.argv[1] == "ours":
    from xent_host import allocator
    allocator.apply()

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 // 2**20

def visits():  # files that come and go, of which some stay: half as large as the largest that glibc learns about
    kept = []
    for _ in range(12):
        first = b"1" * (31 * 2**20)
        kept.append(b"1" * (9 * 2**20))
        del first
    sizes.append(resident() - begun - 12 * 9)

begun, sizes = resident(), []
thread = threading.Thread(target=visits)
thread.start()
thread.join()
print(sizes[0])
"""


def more_than_is_used(how: str) -> int:
    """Megabytes beyond those that are in use."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], cwd=ROOT, capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_what_is_freed_does_not_stay_with_the_server() -> None:
    assert more_than_is_used("ours") < 16
