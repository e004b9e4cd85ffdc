"""Class weights that grow with the number of rows of a class, where they should fall."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from xent_core.doctor.findings import Finding
from xent_core.doctor.symptoms import chance
from xent_core.doctor.symptoms.call import Call
from xent_core.doctor.symptoms.wording import number_text
from xent_core.language import _

MOST_CLASSES = 300  # whose order is compared, of the most frequent ones


NEARLY_EQUAL = 1e-3


def _equal_shares(count: Tensor, size: Tensor) -> float:
    """log10 of how improbable it is that all weights are the same multiple of different counts, each by chance."""
    shares = size / count
    if not bool((shares.isfinite() & (shares > 0)).all()) or len(count.unique()) < len(count):
        return 0.0
    if float(shares.max() - shares.min()) > NEARLY_EQUAL * float(shares.max()):
        return 0.0
    return (len(count) - 1) * math.log10(2 * NEARLY_EQUAL)


def weight_by_counts(call: Call) -> Iterator[Finding]:
    """The frequent classes have the large weights."""
    weight = call.options.weight
    if weight is None or call.soft:
        return
    counts = torch.bincount(call.target[call.kept].flatten(), minlength=call.num_classes)
    classes = counts.argsort(descending=True, stable=True)[:MOST_CLASSES]
    classes = classes[counts[classes] > 0]
    count, size = counts[classes], weight[classes].double()
    rising = (count.unsqueeze(1) > count) & (size.unsqueeze(1) > size)
    number = len(classes)
    other = number * (number - 1) // 2 - int(rising.sum())
    evidence = min(chance.order(other, number), _equal_shares(count.double(), size))
    most, least = int(classes[0]), int(classes[-1])
    yield from chance.where_rare(
        "weight-proportional-to-counts",
        "warning",
        _("Classes with more rows have larger weights: class {most} has {count} rows and a weight of {size},").format(
            most=most, count=int(count[0]), size=number_text(size[0])
        )
        + " "
        + _("class {least} has {count} and {size}.").format(
            least=least, count=int(count[-1]), size=number_text(size[-1])
        )
        + " "
        + _("So frequent classes count even more; to balance them, the weight falls as the count grows."),
        "weight = 1 / weight.clamp(min=torch.finfo(weight.dtype).eps)\nweight = weight / weight.mean()",
        evidence,
    )
