"""Known mistakes: wrong losses as people write them, with which a wrong result is compared.

A new one is a function of rows (n, C), and an entry of MISTAKES.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from xent_core.implementations.routes import as_probabilities
from xent_core.language import N_, _
from xent_core.loss_options import LossOptions


@dataclass(frozen=True, eq=False)
class Rows:
    """A call of F.cross_entropy with its axes flattened: what a mistake starts from.

    Attributes:
      logits: (n, C).
      label: (n,), or None for probabilities.
      target: the distribution of each row as PyTorch has it, smoothed, in which an ignored row is 0; (n, C).
      kept: (n,) bool.
      weight: (C,), ones without any.
      epsilon: the smoothing.
      reduction: as asked for.
      shape: of the loss before it is reduced.
    """

    logits: Tensor
    label: Tensor | None
    target: Tensor
    kept: Tensor
    weight: Tensor
    epsilon: float
    reduction: str
    shape: tuple[int, ...]

    @classmethod
    def of(cls, logits: Tensor, target: Tensor, options: LossOptions) -> Rows:
        """The rows of a call, whose class axis is 1, or 0 of a single example."""
        classes = logits.shape[0 if logits.dim() == 1 else 1]
        flat = logits[None] if logits.dim() == 1 else logits.movedim(1, -1).reshape(-1, classes)
        label = None
        if target.is_floating_point():
            hot = target[None] if target.dim() == 1 else target.movedim(1, -1).reshape(-1, classes)
            shape = () if target.dim() == 1 else (target.shape[0], *target.shape[2:])
            kept = torch.ones(len(flat), dtype=torch.bool)
        else:
            label, shape = target.reshape(-1), tuple(target.shape)
            kept = label != options.ignore_index
            hot = as_probabilities(label.where(kept, 0), flat)
        epsilon = options.label_smoothing
        smoothed = (hot * (1 - epsilon) + epsilon / classes) * kept.unsqueeze(1)
        weight = torch.ones(classes).to(flat) if options.weight is None else options.weight
        return cls(flat, label, smoothed, kept, weight, epsilon, options.reduction, shape)

    @property
    def hot(self) -> Tensor:
        """The labels without smoothing, one-hot; the probabilities as they came."""
        if self.label is not None:
            return as_probabilities(self.label.where(self.kept, 0), self.logits) * self.kept.unsqueeze(1)
        return (self.target - self.epsilon / self.classes) / (1 - self.epsilon) if self.epsilon != 1 else self.target

    @property
    def classes(self) -> int:
        """C."""
        return self.logits.shape[1]

    @property
    def row_weight(self) -> Tensor:
        """What a row counts for in the mean: its label's weight, 0 if it is ignored, 1 for probabilities; (n,)."""
        return torch.ones(len(self.logits)).to(self.logits) if self.label is None else self.hot @ self.weight

    def losses(self, log_probs: Tensor | None = None, target: Tensor | None = None) -> Tensor:
        """−Σ w·y·log p of each row, (n,)."""
        log_probs = self.logits.log_softmax(1) if log_probs is None else log_probs
        share = self.weight * (self.target if target is None else target)
        return -(share * log_probs.where(share != 0, 0.0)).sum(1)  # 0 · −∞ counts nothing

    def reduced(self, losses: Tensor, divisor: Tensor | float | None = None) -> Tensor:
        """The losses as the reduction says, the mean by this divisor."""
        if self.reduction == "none":
            return losses.reshape(self.shape)
        if self.reduction == "sum":
            return losses.sum()
        return losses.sum() / (self.row_weight.sum() if divisor is None else divisor)


@dataclass(frozen=True, eq=False)
class Mistake:
    """A wrong cross-entropy.

    Attributes:
      code: its short name.
      sentence: completes "it behaves exactly as if".
      loss: of Rows.
      number: stands in the sentence.
    """

    code: str
    sentence: str
    loss: Callable[[Rows], Tensor]
    number: str = ""

    def __str__(self) -> str:
        return _(self.sentence).format(number=self.number)

    def __call__(self, logits: Tensor, target: Tensor, **options: Any) -> Tensor:
        return self.loss(Rows.of(logits, target, LossOptions(**options)))


def _of_log_probs(change: Callable[[Tensor], Tensor], rows: Rows) -> Tensor:
    """What is right but for the logarithms of the probabilities."""
    return rows.reduced(rows.losses(change(rows.logits)))


def _of_target(change: Callable[[Rows], Tensor], rows: Rows) -> Tensor:
    """What is right but for the distribution of each row."""
    return rows.reduced(rows.losses(target=change(rows)))


def _divided_by(divisor: Callable[[Rows], Tensor | float], rows: Rows) -> Tensor:
    """What is right but for the denominator of the mean."""
    return rows.reduced(rows.losses(), divisor(rows))


def _with_gradient_of(wrong: Callable[[Rows], Tensor], rows: Rows) -> Tensor:
    """The right value, and the gradient of another loss."""
    other = wrong(rows)
    return other - other.detach() + rows.reduced(rows.losses()).detach()


def _with_rows(change: Callable[[Rows, Tensor], Tensor], rows: Rows) -> Tensor:
    """What is right but for the losses of single rows."""
    return rows.reduced(change(rows, rows.losses()))


def _on_others(rows: Rows) -> Tensor:
    """ε shared among the other C − 1 classes."""
    others = (1 - rows.hot) * rows.epsilon / max(rows.classes - 1, 1)
    return (rows.hot * (1 - rows.epsilon) + others) * rows.kept.unsqueeze(1)


def _as_label_weight(rows: Rows) -> Tensor:
    """The smoothed part weighed by the label's weight, not by that of each class."""
    unit = rows.hot @ rows.weight
    return -(unit.unsqueeze(1) * rows.target * rows.logits.log_softmax(1)).sum(1)


def _smoothing_unweighed(rows: Rows) -> Tensor:
    log_probs = rows.logits.log_softmax(1)
    hard = -(rows.weight * rows.hot * log_probs).sum(1) * (1 - rows.epsilon)
    return hard - rows.kept * log_probs.sum(1) * rows.epsilon / rows.classes


def _smoothing_of_ignored(rows: Rows) -> Tensor:
    """The smoothed part is not masked."""
    uniform = rows.epsilon / rows.classes * (~rows.kept).unsqueeze(1)
    return rows.losses(target=rows.target + uniform)


def _chunk_means(size: int, rows: Rows) -> Tensor:
    losses, counts = rows.losses().split(size), rows.row_weight.split(size)
    means = [loss.sum() / count.sum() for loss, count in zip(losses, counts, strict=True)]
    return rows.reduced(rows.losses()) if rows.reduction != "mean" else torch.stack(means).mean()


def _without_last_rows(size: int, rows: Rows) -> Tensor:
    whole = len(rows.logits) // size * size or len(rows.logits)
    return rows.reduced(torch.cat([rows.losses()[:whole], rows.losses()[whole:] * 0]))


def _without_last_classes(size: int, rows: Rows) -> Tensor:
    whole = rows.classes // size * size or rows.classes
    inside = torch.arange(rows.classes) < whole
    return rows.reduced(rows.losses(rows.logits - rows.logits.where(inside, -math.inf).logsumexp(1, keepdim=True)))


def _padded(size: int, rows: Rows) -> Tensor:
    more = -rows.classes % size
    padded = F.pad(rows.logits, (0, more))
    return rows.reduced(rows.losses(padded.log_softmax(1)[:, : rows.classes]))


def _shifted(rows: Rows) -> Tensor:
    """Each row against the label of the next one."""
    target = torch.cat([rows.target[1:], rows.target[:1] * 0])
    kept = (target.sum(1) > 0).to(rows.logits)
    return rows.reduced(rows.losses(target=target), kept.sum())


def _one_off(step: int, rows: Rows) -> Tensor:
    return rows.reduced(rows.losses(target=rows.target.roll(step, 1)))


def _in(dtype: torch.dtype, rows: Rows) -> Tensor:
    log_probs = rows.logits.to(dtype).log_softmax(1).to(rows.logits.dtype)
    return rows.reduced(rows.losses(log_probs))


def _floored(floor: float, rows: Rows) -> Tensor:
    return rows.reduced(rows.losses((rows.logits.softmax(1) + floor).log()))


def _clamped(floor: float, rows: Rows) -> Tensor:
    return rows.reduced(rows.losses(rows.logits.softmax(1).clamp(min=floor).log()))


def _focal(gamma: float, rows: Rows) -> Tensor:
    log_probs = rows.logits.log_softmax(1)
    return rows.reduced(rows.losses((1 - log_probs.exp()) ** gamma * log_probs))


def _binary(rows: Rows) -> Tensor:
    loss = F.binary_cross_entropy_with_logits(rows.logits, rows.target, reduction="none") * rows.kept.unsqueeze(1)
    return rows.reduced(loss.mean(1) * rows.weight.mean())


def _binary_summed(rows: Rows) -> Tensor:
    loss = F.binary_cross_entropy_with_logits(rows.logits, rows.target, reduction="none") * rows.kept.unsqueeze(1)
    return rows.reduced((rows.weight * loss).sum(1))


def _brier(rows: Rows) -> Tensor:
    return rows.reduced(((rows.logits.softmax(1) - rows.target).square().sum(1)) * rows.kept)


def _divergence(rows: Rows) -> Tensor:
    return rows.reduced(rows.losses() + rows.weight.mean() * rows.target.xlogy(rows.target).sum(1))


def _of_argmax(rows: Rows) -> Tensor:
    return as_probabilities(rows.target.argmax(1), rows.logits) * rows.kept.unsqueeze(1)


def _over_batch(rows: Rows) -> Tensor:
    return rows.reduced(rows.losses(rows.logits.log_softmax(0)))


def _without_row(row: int, rows: Rows) -> Tensor:
    mask = torch.ones(len(rows.logits)).to(rows.logits)
    mask[row] = 0
    return rows.reduced(rows.losses() * mask)


def _of_first_row_alone(rows: Rows) -> Tensor:
    mask = torch.zeros(len(rows.logits)).to(rows.logits)
    mask[0] = 1
    return rows.reduced(rows.losses() * mask)


def _of_probs_alone(rows: Rows) -> Tensor:
    """Its gradient is p, as if the label were not subtracted."""
    return rows.reduced(rows.logits.logsumexp(1) * rows.row_weight)


def _of_labels_alone(rows: Rows) -> Tensor:
    """Its gradient is −y, as if the normaliser were a constant."""
    return rows.reduced(rows.losses(rows.logits - rows.logits.detach().logsumexp(1, keepdim=True)))


def _unreduced(rows: Rows) -> Tensor:
    total = rows.losses().sum()
    return total if rows.reduction == "mean" else rows.reduced(rows.losses())


def _unweighed(rows: Rows) -> Tensor:
    kept = rows.kept.sum()
    losses = -(rows.target * rows.logits.log_softmax(1)).sum(1)
    return rows.reduced(losses, kept if rows.label is not None else len(losses))


def _counted_ignored(rows: Rows) -> Tensor:
    """The label that should be ignored counts as any other, where it is a class."""
    if rows.label is None:
        return rows.reduced(rows.losses())
    inside = (rows.label >= 0) & (rows.label < rows.classes)
    hot = as_probabilities(rows.label, rows.logits)
    target = (hot * (1 - rows.epsilon) + rows.epsilon / rows.classes) * inside.unsqueeze(1)
    return rows.reduced(rows.losses(target=target), (hot @ rows.weight).sum())


def _normalised_twice(rows: Rows) -> Tensor:
    return rows.target.softmax(1) * rows.kept.unsqueeze(1)


def _mean(rows: Rows) -> Tensor:
    losses = rows.losses()
    return losses.sum() / rows.row_weight.sum()


_of_logits = partial(partial, _of_log_probs)  # a Mistake's loss out of what it takes for log p
_smoothed_as = partial(partial, _of_target)
_mean_over = partial(partial, _divided_by)
_gradient_of = partial(partial, _with_gradient_of)
_rows_as = partial(partial, _with_rows)

_PROBABILITIES = (
    Mistake("softmax-twice", N_("softmax were applied twice"), _of_logits(lambda z: z.softmax(1).log_softmax(1))),
    Mistake("sigmoid-first", N_("the logits went through a sigmoid"), _of_logits(lambda z: z.sigmoid().log_softmax(1))),
    Mistake("relu-first", N_("the logits went through a ReLU"), _of_logits(lambda z: z.relu().log_softmax(1))),
    Mistake("no-softmax", N_("there were no softmax: −z of the label"), _of_logits(lambda z: z)),
    Mistake("no-logarithm", N_("there were no logarithm: −p of the label"), _of_logits(lambda z: z.softmax(1))),
    Mistake("one-minus-p", N_("the loss were 1 − p of the label"), _of_logits(lambda z: z.softmax(1) - 1)),
    Mistake("base-2", N_("the logarithm had base 2"), _of_logits(lambda z: z.log_softmax(1) / math.log(2))),
    Mistake("base-10", N_("the logarithm had base 10"), _of_logits(lambda z: z.log_softmax(1) / math.log(10))),
    Mistake("sign", N_("the sign were wrong"), _of_logits(lambda z: -z.log_softmax(1))),
    Mistake("negated-logits", N_("the logits were negated"), _of_logits(lambda z: (-z).log_softmax(1))),
    Mistake("over-the-batch", N_("softmax ran over the rows, not over the classes"), _over_batch),
    Mistake(
        "no-maximum",
        N_("the maximum were not subtracted before exp"),
        _of_logits(lambda z: (z.exp() / z.exp().sum(1, keepdim=True)).log()),
    ),
    *(
        Mistake(
            f"floor-1e-{power}",
            N_("{number} were added to softmax before log"),
            partial(_floored, 10.0**-power),
            f"1e-{power}",
        )
        for power in (6, 7, 8, 9, 10, 12, 15)  # of the smallest ones, adding and clamping look alike
    ),
    *(
        Mistake(
            f"clamp-1e-{power}",
            N_("softmax were clamped at {number} before log"),
            partial(_clamped, 10.0**-power),
            f"1e-{power}",
        )
        for power in (6, 7, 8, 9)
    ),
    Mistake("in-bfloat16", N_("log softmax were computed in bfloat16"), partial(_in, torch.bfloat16)),
    Mistake("in-float16", N_("log softmax were computed in float16"), partial(_in, torch.float16)),
    Mistake("focal-1", N_("it were the focal loss with γ = 1"), partial(_focal, 1.0)),
    Mistake("focal-2", N_("it were the focal loss with γ = 2"), partial(_focal, 2.0)),
    Mistake("binary", N_("it were binary cross-entropy, mean over the classes"), _binary),
    Mistake("binary-summed", N_("it were binary cross-entropy, summed over the classes"), _binary_summed),
    Mistake("brier", N_("it were the squared error of the probabilities"), _brier),
)

_DENOMINATORS = (
    Mistake(
        "mean-over-all-rows",
        N_("the mean divided by all rows, the ignored ones included"),
        _mean_over(lambda rows: float(len(rows.logits))),
    ),
    Mistake(
        "mean-over-kept-rows",
        N_("the mean divided by the number of kept rows, not by the sum of their weights"),
        _mean_over(lambda rows: rows.kept.sum()),
    ),
    Mistake(
        "mean-over-classes-too",
        N_("the mean ran over the classes as well: divided by N·C"),
        _mean_over(lambda rows: rows.row_weight.sum() * rows.classes),
    ),
    Mistake(
        "mean-over-all-weights",
        N_("the mean divided by the sum of the weights of all classes"),
        _mean_over(lambda rows: rows.weight.sum()),
    ),
    Mistake(
        "mean-over-examples",
        N_("the mean divided by the size of the first axis, not by all pixels or tokens"),
        _mean_over(lambda rows: float(rows.shape[0]) if rows.shape else 1.0),
    ),
    Mistake("mean-is-sum", N_("reduction mean were sum"), _unreduced),
    Mistake("reduction-ignored", N_("reduction were always mean"), _mean),
    *(
        Mistake(
            f"mean-of-chunks-{size}",
            N_("the means of chunks of {number} rows were averaged"),
            partial(_chunk_means, size),
            f"{size}",
        )
        for size in (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
    ),
)

_OPTIONS = (
    Mistake("weight-left-out", N_("weight were left out"), _unweighed),
    Mistake(
        "weight-not-on-smoothing",
        N_("weight were not applied to smoothing"),
        lambda rows: rows.reduced(_smoothing_unweighed(rows)),
    ),
    Mistake(
        "label-weight-on-smoothing",
        N_("the label's weight were applied to the smoothing of every class"),
        lambda rows: rows.reduced(_as_label_weight(rows)),
    ),
    Mistake("smoothing-left-out", N_("label smoothing were left out"), _smoothed_as(lambda rows: rows.hot)),
    Mistake("smoothing-on-others", N_("ε were shared among the other C − 1 classes"), _smoothed_as(_on_others)),
    Mistake(
        "smoothing-added",
        N_("ε/C were added without taking (1 − ε) of the label"),
        _smoothed_as(lambda rows: (rows.hot + rows.epsilon / rows.classes) * rows.kept.unsqueeze(1)),
    ),
    Mistake(
        "smoothing-summed",
        N_("ε were added to every class, not ε/C"),
        _smoothed_as(lambda rows: (rows.hot * (1 - rows.epsilon) + rows.epsilon) * rows.kept.unsqueeze(1)),
    ),
    Mistake(
        "smoothing-of-ignored",
        N_("ignored rows still had their smoothing"),
        _rows_as(lambda rows, _losses: _smoothing_of_ignored(rows)),
    ),
    Mistake("ignored-rows-count", N_("ignore_index were left out"), _counted_ignored),
    Mistake("argmax-of-target", N_("probabilities were turned into their largest class"), _smoothed_as(_of_argmax)),
    Mistake("target-softmaxed", N_("probabilities went through softmax once more"), _smoothed_as(_normalised_twice)),
    Mistake("divergence", N_("it were KL divergence: the entropy of the target is subtracted"), _divergence),
)

_BLOCKS = (
    *(
        Mistake(
            f"last-rows-dropped-{size}",
            N_("rows beyond the last whole block of {number} were dropped"),
            partial(_without_last_rows, size),
            f"{size}",
        )
        for size in (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)
    ),
    *(
        Mistake(
            f"last-classes-dropped-{size}",
            N_("classes beyond the last whole block of {number} were dropped from the sum"),
            partial(_without_last_classes, size),
            f"{size}",
        )
        for size in (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)
    ),
    *(
        Mistake(
            f"padding-counted-{size}",
            N_("classes were padded with zeros to a multiple of {number}, and the padding counted"),
            partial(_padded, size),
            f"{size}",
        )
        for size in (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)
    ),
    Mistake("shifted", N_("each row were measured against the label of the next"), _shifted),
    Mistake("label-plus-one", N_("the labels were one too high"), partial(_one_off, 1)),
    Mistake("label-minus-one", N_("the labels were one too low"), partial(_one_off, -1)),
    Mistake("first-row-dropped", N_("the first row were dropped"), partial(_without_row, 0)),
    Mistake("last-row-dropped", N_("the last row were dropped"), partial(_without_row, -1)),
)

_GRADIENTS = (
    Mistake(
        "gradient-of-labels",
        N_("its gradient were −y alone: the normaliser is a constant"),
        _gradient_of(_of_labels_alone),
    ),
    Mistake(
        "gradient-of-probs", N_("its gradient were p alone: the label is not subtracted"), _gradient_of(_of_probs_alone)
    ),
    Mistake("gradient-not-divided", N_("its gradient were not divided by the denominator"), _gradient_of(_unreduced)),
    Mistake("gradient-unweighed", N_("its gradient left weight out"), _gradient_of(_unweighed)),
    Mistake(
        "gradient-unsmoothed", N_("its gradient left smoothing out"), _gradient_of(_smoothed_as(lambda rows: rows.hot))
    ),
    Mistake("gradient-of-ignored", N_("its gradient counted the ignored rows"), _gradient_of(_counted_ignored)),
    Mistake(
        "gradient-sign", N_("its gradient had the wrong sign"), _gradient_of(_of_logits(lambda z: -z.log_softmax(1)))
    ),
    Mistake("gradient-of-first-row", N_("only the first row had a gradient"), _gradient_of(_of_first_row_alone)),
    Mistake("gradient-without-first", N_("the first row had no gradient"), _gradient_of(partial(_without_row, 0))),
    Mistake("gradient-without-last", N_("the last row had no gradient"), _gradient_of(partial(_without_row, -1))),
    Mistake(
        "gradient-over-all-rows",
        N_("its gradient divided by all rows, the ignored ones included"),
        _gradient_of(_mean_over(lambda rows: float(len(rows.logits)))),
    ),
)

MISTAKES: tuple[Mistake, ...] = (*_PROBABILITIES, *_DENOMINATORS, *_OPTIONS, *_BLOCKS, *_GRADIENTS)
