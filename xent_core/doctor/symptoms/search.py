"""find_symptoms: every warning and note about a call that PyTorch takes."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from xent_core.doctor.findings import Finding
from xent_core.doctor.symptoms.call import Call
from xent_core.doctor.symptoms.class_weights import weight_by_counts
from xent_core.doctor.symptoms.context import Context
from xent_core.doctor.symptoms.denominator import all_ignored, micro_batches, weight_values, weighted_mean
from xent_core.doctor.symptoms.dependence import dependence
from xent_core.doctor.symptoms.finite_masks import finite_masks, huge_logits, padding_columns
from xent_core.doctor.symptoms.half_precision import lost_in_half_precision
from xent_core.doctor.symptoms.last_layer import are_predictions, bounded, constant, predictions
from xent_core.doctor.symptoms.logits import (
    already_normalised,
    ambiguous_axis,
    ignored_class,
    masked_classes,
    not_finite,
    saturated,
    single_class,
)
from xent_core.doctor.symptoms.measures import measure
from xent_core.doctor.symptoms.sample import Sample
from xent_core.doctor.symptoms.sequences import SHIFTS, find_in_sequences
from xent_core.doctor.symptoms.target import soft_target

NOTHING_KNOWN = Context()
HALF = (torch.float16, torch.bfloat16)


@torch.no_grad()
def find_symptoms(call: Call, context: Context = NOTHING_KNOWN) -> Iterator[Finding]:
    """Warnings and notes about a call that PyTorch takes, in no particular order."""
    if call.options.weight is not None:
        yield from weight_values(call)
    if call.num_kept == 0 or call.logits.numel() == 0:
        yield from all_ignored(call)
        return
    if call.num_classes == 1:
        yield from single_class(call)
    yield from ambiguous_axis(call)
    if call.soft:
        yield from soft_target(call)
    elif call.options.weight is not None and call.options.reduction == "mean":
        yield from weighted_mean(call)
    measures = measure(call)
    yield from not_finite(call, measures)
    yield from masked_classes(call, measures)
    if call.num_classes > 1:
        sample = Sample.of(call)
        yield from predictions(sample)
        if not are_predictions(sample):
            yield from already_normalised(call, measures)
        yield from bounded(sample, are_probs=measures.like_probs)
        alike = list(constant(sample, "warning" if context.trained else "note"))
        sequential = list(find_in_sequences(call, context))
        yield from sequential
        is_shifted = any(one.code in SHIFTS for one in sequential)
        yield from alike or (() if is_shifted else dependence(sample, trained=context.trained))
        yield from saturated(call, measures)
        yield from finite_masks(call, sample)
        yield from padding_columns(call, sample, "warning" if context.trained else "note")
        yield from huge_logits(call, sample)
    yield from weight_by_counts(call)
    yield from micro_batches(call, context.micro_batch_counts)
    if measures.share_of_ignored > 0:
        yield from ignored_class(call, measures)
    if call.logits.dtype in HALF:
        yield from lost_in_half_precision(call, measures)
