"""Visitors' files: on a public server a process with limits reads them, on your own computer this one."""

from __future__ import annotations

from xent_core.codec import Document, read_file, read_file_in_sandbox
from xent_core.columns import ColumnChoices
from xent_core.dump import DumpLimits
from xent_core.sandbox import start_fork_server
from xent_ui.server.limits import limits
from xent_ui.server.run_lock import RUN_LOCK

NOTHING_SAID = ColumnChoices()


def read_upload(name: str, data: bytes, choices: ColumnChoices = NOTHING_SAID) -> Document:
    """The Problem in a file, as `read_file` gives it. Raises: InvalidFile."""
    if not limits().is_public:
        return read_file(name, data, choices)
    with RUN_LOCK.released():  # another process reads, and this thread only waits
        return read_file_in_sandbox(name, data, choices)


def dump_limits() -> DumpLimits:
    """How large the logits of a model may be."""
    most = limits()
    return DumpLimits(most.dump_rows, most.dump_logits, most.dump_classes)


def prepare() -> None:
    """Once per process, before the first visitor: what would make the first upload wait."""
    if limits().is_public:
        start_fork_server(limits().readers)
