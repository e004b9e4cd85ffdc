"""Processes with limits on memory, time and files, in which a stranger's files are read: they end, not the server."""

from xent_core.sandbox.connection import Connection
from xent_core.sandbox.process import (
    ProcessLimits,
    SandboxDied,
    SandboxedProcess,
    processor_seconds,
    release_memory,
    start_fork_server,
)

__all__ = [
    "Connection",
    "ProcessLimits",
    "SandboxDied",
    "SandboxedProcess",
    "processor_seconds",
    "release_memory",
    "start_fork_server",
]
