"""Sample: some of the kept rows, spread evenly over all of them, for what only many rows together show."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from xent_core.doctor.symptoms.call import Call
from xent_core.language import _, ngettext

MAX_ROWS = 4096
MAX_NUMBERS = 2**20


@dataclass(frozen=True, eq=False)
class Sample:
    """Kept rows without NaN and +∞; made by `Sample.of`.

    Attributes:
      logits: (n, C), float32 or float64.
      labels: (n,), or None where the target holds probabilities.
      rows: how many kept rows it was taken from.
    """

    logits: Tensor
    labels: Tensor | None
    rows: int

    @classmethod
    def of(cls, call: Call) -> Sample:
        """As many rows as MAX_ROWS and MAX_NUMBERS allow, each as far from the next."""
        kept = call.kept.nonzero()
        count = min(len(kept), MAX_ROWS, max(MAX_NUMBERS // call.num_classes, 1))
        places = kept[torch.linspace(0, len(kept) - 1, count, dtype=torch.float64).long()].unbind(1)
        logits = call.logits.movedim(1, -1)[places]
        logits = logits if logits.dtype == torch.float64 else logits.float()
        labels = None if call.soft else call.target[places]
        is_whole = ~(logits.isnan() | (logits == math.inf)).any(1)
        return cls(logits[is_whole], None if labels is None else labels[is_whole], len(kept))

    @property
    def words(self) -> str:
        """Of which rows a finding speaks, to end a sentence with."""
        count = len(self.logits)
        if count == self.rows:
            return ngettext("of {rows} row", "of {rows} rows", count).format(rows=count)
        return _("of {rows} rows, evenly taken from {all}").format(rows=count, all=self.rows)
