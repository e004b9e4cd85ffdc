"""Limits on rows, files, time and memory: wide on your own computer, narrow on a public server, and which this is."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

PUBLIC_VARIABLE = "XENT_PUBLIC"
_CORES = os.cpu_count() or 1


@dataclass(frozen=True)
class Limits:
    """How much of what.

    Attributes:
      is_public: whether strangers use this server; its own files are none of their business then.
      upload_mb: of one uploaded file.
      dump_rows, dump_logits, dump_classes: rows, rows × classes, and classes, of the logits of a model; None for any.
      workers: threads for what takes long, for all visitors together.
      waiting: how many may wait for one of them.
      jobs_of_a_visit: that run at the same time in each queue.
      work_seconds: after which such work is stopped.
      unwatched_seconds: after which it is stopped because nobody has looked at it.
      path_cells: logits in a path of gradient descent.
      undo: tables that a visit remembers.
    """

    is_public: bool
    upload_mb: int
    dump_rows: int | None
    dump_logits: int | None
    dump_classes: int | None
    workers: int
    waiting: int
    jobs_of_a_visit: int
    work_seconds: float
    unwatched_seconds: float
    path_cells: int
    undo: int

    @property
    def readers(self) -> int:
        """Processes that read files at the same time: one for each worker, one for small files, which do not wait."""
        return self.workers + 1


OWN = Limits(
    is_public=False,
    upload_mb=200,
    dump_rows=None,
    dump_logits=None,
    dump_classes=None,
    workers=_CORES,
    waiting=1_000,
    jobs_of_a_visit=_CORES,
    work_seconds=math.inf,
    unwatched_seconds=math.inf,
    path_cells=2**22,  # 64×64 for a thousand steps
    undo=100,
)
MOST_WORKERS = 3  # docs/hosting.md counts the memory of their readers
PUBLIC = Limits(
    is_public=True,
    upload_mb=32,
    dump_rows=2**18,  # each leaves about 90 bytes in the temporary folder while the page is open
    dump_logits=2**26,
    dump_classes=2**18,  # the vocabulary of a language model
    workers=min(max(_CORES - 1, 1), MOST_WORKERS),  # one core is left to the pages
    waiting=20,
    jobs_of_a_visit=1,
    work_seconds=60.0,
    unwatched_seconds=30.0,
    path_cells=2**20,
    undo=20,
)


def limits() -> Limits:
    """The limits of this server; the only place that asks whether it is public."""
    return PUBLIC if os.environ.get(PUBLIC_VARIABLE) == "1" else OWN
