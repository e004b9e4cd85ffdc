"""The server's own folder for temporary files; at the start, those of servers that were killed are removed.

A server that is killed cannot tidy up: a Parquet file that was uploaded, or the scores of a dump, would stay for good.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
import time
from pathlib import Path

from xent_ui.server.log import event

PREFIX = "xent-server-"
LOCK = "lock"  # a file in the folder, which its server holds as long as it lives
YOUNG_SECONDS = 2.0  # of the lock; its server may be about to take it


def apply() -> None:
    """From now on, temporary files of this process and of those that it starts lie in a folder of their own."""
    if sys.platform == "win32":  # no such locks
        return
    import fcntl

    parent = Path(tempfile.gettempdir())
    if swept := sweep(parent):
        event("swept", folders=swept)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    lock = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    tempfile.tempdir = os.environ["TMPDIR"] = str(folder)


def remove() -> None:
    """Remove the folder: the server ends."""
    folder = Path(tempfile.gettempdir())
    if folder.name.startswith(PREFIX):
        shutil.rmtree(folder, ignore_errors=True)


def sweep(parent: Path, young_seconds: float = YOUNG_SECONDS) -> int:
    """Remove the folders of servers that live no more; how many there were.

    Only those of our name that belong to us, are no links, and are held by nobody.
    """
    return sum(_remove_if_left(folder, young_seconds) for folder in sorted(parent.glob(f"{PREFIX}*")))


def _remove_if_left(folder: Path, young_seconds: float) -> bool:
    if sys.platform == "win32":
        return False
    import fcntl

    try:
        about = folder.lstat()
        if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.getuid():
            return False
        lock = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError:  # somebody else removes it
        return False
    try:
        if time.time() - os.fstat(lock).st_mtime < young_seconds:
            return False
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True
