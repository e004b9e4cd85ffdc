"""What one visitor may ask of the server: nearly everything on your own computer, little on a server for strangers."""

from __future__ import annotations

import os
from dataclasses import dataclass

_MB = 2**20
PUBLIC_VARIABLE = "XENT_PUBLIC"


@dataclass(frozen=True)
class Limits:
    """How much of what.

    Attributes:
      is_public: whether strangers use this server; its own files are none of their business then.
      upload_mb: of one uploaded file.
      undo: tables that a visit remembers.
    """

    is_public: bool
    upload_mb: int
    undo: int


OWN = Limits(is_public=False, upload_mb=200, undo=100)
PUBLIC = Limits(is_public=True, upload_mb=32, undo=30)


def limits() -> Limits:
    """The limits of this server; the only place that asks whether it is public."""
    return PUBLIC if os.environ.get(PUBLIC_VARIABLE) == "1" else OWN
