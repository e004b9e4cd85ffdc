"""The ten ways by which people compute cross-entropy, one function each; their source is shown as it stands here."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def by_hand(logits: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    exps = torch.exp(logits)
    probs = exps / exps.sum(dim=1, keepdim=True)
    row_loss = -torch.log(at_label(probs, target))
    return reduced(row_loss, reduction)


def sum_of_y_log_softmax(logits: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    y = as_probabilities(target, logits)
    row_loss = -(y * torch.log(F.softmax(logits, dim=1))).sum(dim=1)
    return reduced(row_loss, reduction)


def log_of_softmax_at_label(logits: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    log_probs = torch.log(F.softmax(logits, dim=1))
    return reduced(-at_label(log_probs, target), reduction)


def log_softmax_at_label(logits: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    log_probs = F.log_softmax(logits, dim=1)
    return reduced(-at_label(log_probs, target), reduction)


def log_softmax_and_nll_loss(
    logits: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    nll_loss = torch.nn.NLLLoss(weight, ignore_index=ignore_index, reduction=reduction)
    loss: Tensor = nll_loss(F.log_softmax(logits, dim=1), as_labels(target))
    return loss


def cross_entropy_on_labels(
    logits: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    cross_entropy = torch.nn.CrossEntropyLoss(
        weight, ignore_index=ignore_index, reduction=reduction, label_smoothing=label_smoothing
    )
    loss: Tensor = cross_entropy(logits, as_labels(target))
    return loss


def cross_entropy_on_probabilities(
    logits: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    cross_entropy = torch.nn.CrossEntropyLoss(weight, reduction=reduction, label_smoothing=label_smoothing)
    loss: Tensor = cross_entropy(logits, as_probabilities(target, logits))
    return loss


def logsumexp_minus_logit(
    logits: Tensor, target: Tensor, *, ignore_index: int = -100, reduction: str = "mean"
) -> Tensor:
    labels = as_labels(target)
    kept = labels != ignore_index
    row_loss = torch.logsumexp(logits, dim=1) - at_label(logits, labels.where(kept, 0))
    row_loss = row_loss.where(kept, 0)
    return row_loss.sum() / kept.sum() if reduction == "mean" else reduced(row_loss, reduction)


def kl_div_loss(logits: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    y = as_probabilities(target, logits)
    row_loss = F.kl_div(F.log_softmax(logits, dim=1), y, reduction="none").sum(dim=1)
    return reduced(row_loss, reduction)


def closed_form(
    logits: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> tuple[Tensor, Tensor]:
    p, log_p = F.softmax(logits, dim=1), F.log_softmax(logits, dim=1)
    soft = target.is_floating_point()
    kept = torch.ones(len(target), dtype=torch.bool) if soft else target != ignore_index
    y = as_probabilities(target, logits)
    v = y * (1 - label_smoothing) + label_smoothing / logits.shape[1]
    v = (v if weight is None else v * weight).where(kept.unsqueeze(1), 0)
    S = v.sum(dim=1, keepdim=True)
    N = len(target) if soft else kept.sum() if weight is None else weight[target[kept].long()].sum()
    D = N if reduction == "mean" else 1
    grad = S * p - v  # of a row that is kept; divided by D below, which is 0 when none is
    row_loss = -(v * log_p).where(v != 0, 0).sum(dim=1)
    loss = row_loss if reduction == "none" else row_loss.sum() / D
    return loss, torch.where(kept.unsqueeze(1), grad / D, grad)


def as_labels(target: Tensor) -> Tensor:
    if target.is_floating_point():
        return target.argmax(dim=1)
    return target.long()


def as_probabilities(target: Tensor, logits: Tensor) -> Tensor:
    if target.is_floating_point():
        return target
    classes = torch.arange(logits.shape[1])
    return (target.unsqueeze(1) == classes).to(logits.dtype)  # one-hot; what is no class becomes a row of zeros


def at_label(values: Tensor, target: Tensor) -> Tensor:
    return values.gather(1, as_labels(target).unsqueeze(1)).squeeze(1)


def reduced(row_loss: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return row_loss
    return row_loss.mean() if reduction == "mean" else row_loss.sum()
