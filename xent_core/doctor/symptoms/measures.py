"""measure: one pass over the logits, in pieces of a few megabytes, that finds what has to be looked at closely."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from xent_core.doctor.symptoms.call import Call
from xent_core.probability_tolerances import SUM_TOLERANCE


@dataclass
class Measures:
    """What one pass over the logits tells."""

    not_finite: bool = False  # some row of the softmax is NaN
    label_is_masked: bool = False  # a kept row's label has the logit −inf
    masked_rows: int = 0  # kept rows with a −inf among other numbers; counted where that matters
    first_masked: tuple[int, ...] = ()
    like_probs: bool = True
    like_log_probs: bool = True
    certain_rows: int = 0  # kept rows whose largest probability is exactly 1
    certain_and_right: int = 0
    share_of_ignored: float = 0.0  # Σ of the probabilities that kept rows give to the class ignore_index


def measure(call: Call) -> Measures:
    """One softmax of every piece into the same memory, and what its largest entries show."""
    measures = Measures()
    logits, kept, soft = call.logits, call.kept, call.soft
    num_classes = call.num_classes
    labels = None if soft else call.target.where(kept, 0).unsqueeze(1)
    all_kept = call.num_kept == kept.numel()
    ignored = call.options.ignore_index if not soft and 0 <= call.options.ignore_index < num_classes else None
    buffer = torch.empty(0, dtype=logits.dtype)
    for piece in call.pieces():
        z, keep = logits[piece], kept[piece]
        if buffer.shape != z.shape:
            buffer = torch.empty_like(z, memory_format=torch.contiguous_format)
        probs = torch.softmax(z, 1, out=buffer)
        largest = probs.amax(1)
        if not measures.not_finite and bool(largest.isnan().any()):
            measures.not_finite = True
        certain = largest == 1
        if not all_kept:
            certain &= keep
        count = int(certain.sum())
        measures.certain_rows += count
        if labels is not None:
            label = labels[piece]
            if count:
                measures.certain_and_right += int((certain & (probs.gather(1, label).squeeze(1) == 1)).sum())
            if not measures.label_is_masked:
                at_label = z.gather(1, label).squeeze(1)
                measures.label_is_masked = bool(((at_label == -math.inf) & keep).any())
        if ignored is not None:
            share = probs.select(1, ignored)[keep].double()
            measures.share_of_ignored += float(share[share.isfinite()].sum())
        # one number for the piece is cheaper than one for each row; NaN may hide a −inf
        if (soft or call.options.smoothing > 0) and not bool(z.min() > -math.inf):
            masked = (z.amin(1) == -math.inf) & keep & ~largest.isnan()
            rows = int(masked.sum())
            if rows and not measures.masked_rows:
                first = masked.nonzero()[0].tolist()
                measures.first_masked = (first[0] + piece.start, *first[1:])
            measures.masked_rows += rows
        if measures.like_probs:
            measures.like_probs = _look_like_probs(z, keep)
        if measures.like_log_probs:
            measures.like_log_probs = _look_like_log_probs(z, keep)
    return measures


def _look_like_probs(z: Tensor, keep: Tensor) -> bool:
    if not bool((z.amin(1) >= 0)[keep].all()):
        return False
    info = torch.finfo(z.dtype)
    # a small number is rounded by half the smallest step of the dtype, a large one by eps
    tolerance = SUM_TOLERANCE + info.eps + z.shape[1] * info.smallest_normal * info.eps
    return bool(((z.double().sum(1) - 1).abs() <= tolerance)[keep].all())


def _look_like_log_probs(z: Tensor, keep: Tensor) -> bool:
    if not bool((z.amax(1) <= 0)[keep].all()):
        return False
    tolerance = SUM_TOLERANCE + math.log(z.shape[1]) * torch.finfo(z.dtype).eps
    return bool((z.double().logsumexp(1).abs() <= tolerance)[keep].all())
