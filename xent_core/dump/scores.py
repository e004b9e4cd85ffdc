"""The scores of every row: loss, EL2N, gradient norm, margin, suspicion, prediction; the gradient in closed form."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from xent_core.dump.calibration import ClassProbabilities, class_probabilities
from xent_core.dump.confident_joint import confident_class
from xent_core.dump.formats import InvalidDump
from xent_core.dump.label_model import NO_PREDICTION, LabelModel, largest_class
from xent_core.dump.readers import Batch
from xent_core.loss_options import LossOptions
from xent_core.values import Value


@dataclass(frozen=True, eq=False)
class Scores(Value):
    r"""What the kept rows of one batch say; made by `score`. Every field has shape (n,) unless it says otherwise.

    With v = s_i·w ⊙ y' the effective target, s_i the sample's weight and S_i = Σ_c v_ic:

    .. math:: \ell_i = -\sum_c v_{ic} \log p_{ic}, \quad
              \frac{\partial\ell_i}{\partial z_i} = \frac{S_i p_i - v_i}{T}

    Attributes:
      row: the number of the row in the dump, int64.
      target: its label, int64; of labels that are probabilities the largest, the first of equals.
      prediction: the class with the largest logit, the first of equals; −1 where a logit is NaN.
      loss: ℓ_i in nats, as `reduction="none"` gives it.
      el2n: ‖p_i − y_i‖₂ with y_i one-hot, or the probabilities that are the label, whatever the options.
      brier: Σ_k (p_ik − y_ik)² with y_i one-hot at the label, float64.
      grad_norm: ‖∂ℓ_i/∂z_i‖₂, not divided by the denominator of the batch; the same as el2n for the plain loss.
      margin: (z_iy − max_{k≠y} z_ik)/T = ln(p_iy/p_ik), in nats: negative where the model prefers another class.
      prob: p_iy.
      suspicion: how far the other classes outweigh the label, in nats, as LabelModel has it; None without one.
      pretended: the suspicion of some rows with a wrong label put on them, shape (m,), or None.
      entropy: −Σ_c p_ic ln p_ic.
      confidence: p_i of the prediction.
      confident: the class whose threshold of the confident joint the row reaches, C if it reaches none,
        −1 where a probability is NaN; None without the thresholds.
      suggested: the most probable class, which is the label itself where nothing is more probable.
      layer_norm: ‖∂ℓ_i/∂(W, b)‖ = grad_norm·√(‖h_i‖² + 1) for features h, or None.
      mass: what the row adds to the denominator of "mean", float64.
      grad: ∂ℓ_i/∂z_i, float64, shape (n, C); scratch that the next batch overwrites.
      class_probabilities: what calibration asks of the probabilities, or None if it was not asked for.
      epochs: what several epochs say of the rows, by the names of EPOCH_FIELDS; None if there is but one dump.
      ids, text, image: of the examples, as in `Batch`, or None.
      target_prob: y_iy where the labels are probabilities, float64; else None.
    """

    row: Tensor
    target: Tensor
    prediction: Tensor
    loss: Tensor
    el2n: Tensor
    brier: Tensor
    grad_norm: Tensor
    margin: Tensor
    prob: Tensor
    suspicion: Tensor | None
    pretended: Tensor | None
    entropy: Tensor
    confidence: Tensor
    confident: Tensor | None
    suggested: Tensor
    layer_norm: Tensor | None
    mass: Tensor
    grad: Tensor
    class_probabilities: ClassProbabilities | None
    epochs: dict[str, Tensor] | None = None
    ids: tuple[str, ...] | None = None
    text: tuple[str, ...] | None = None
    image: tuple[str, ...] | None = None
    target_prob: Tensor | None = None


def label_weight(batch: Batch, options: LossOptions) -> Tensor:
    """What a row adds to the denominator of "mean", float64, shape (n,): w[y_i] times the sample's own weight.

    As in PyTorch, w has no part in it where the labels are probabilities.
    """
    factor = torch.ones(len(batch.target), dtype=torch.float64, device=batch.target.device)
    if options.weight is not None and batch.target_probs is None:
        factor = options.weight.to(batch.target.device)[batch.target]
    return factor if batch.sample_weight is None else factor * batch.sample_weight


def effective_target(batch: Batch, target_probs: Tensor, options: LossOptions) -> Tensor:
    """v = s_i·w ⊙ y' of labels that are probabilities, float64, (n, C)."""
    wanted = target_probs.double()
    if options.smoothing:
        wanted = (1 - options.smoothing) * wanted + options.smoothing / wanted.shape[1]
    if options.weight is not None:
        wanted = wanted * options.weight.to(wanted)
    return wanted if batch.sample_weight is None else wanted * batch.sample_weight.unsqueeze(1)


def kept_rows(batch: Batch, ignore_index: int) -> Batch:
    """The rows whose target is not ignore_index, with half precision made float32."""
    logits = batch.logits
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()
    keep = batch.target != ignore_index
    if bool(keep.all()):
        return replace(batch, logits=logits)
    return replace(batch, logits=logits).at(keep.nonzero().squeeze(1))


def score(
    batch: Batch,
    options: LossOptions,
    labels: LabelModel | None = None,
    *,
    scratch: dict[str, Tensor] | None = None,
    calibration: bool = False,
    keep_probabilities: bool = False,
) -> Scores:
    """Scores of the rows that are not ignored: one log_softmax, one softmax, and what follows from them.

    Args:
      batch: rows of a dump.
      options: of the loss.
      labels: what is known of the classes, if the suspicion is wanted.
      scratch: keep it from batch to batch, and large memory is not asked for anew.
      calibration: whether to look at the probabilities for it.
      keep_probabilities: and keep all of them.

    Raises: InvalidDump if sample weights are not finite.
    """
    batch = kept_rows(batch, options.ignore_index)
    if batch.sample_weight is not None and not bool(batch.sample_weight.isfinite().all()):
        raise InvalidDump("sample-weight", "sample_weight holds NaN or infinity", "finite numbers", "Correct them.")
    logits, target = batch.logits, batch.target
    if options.temperature != 1:
        logits = logits / options.temperature
    label = target.unsqueeze(1)
    log_probs = F.log_softmax(logits, 1)
    probs = F.softmax(logits, 1)
    prob = probs.gather(1, label).squeeze(1)
    label_loss = -log_probs.gather(1, label).squeeze(1)
    weight = None if options.weight is None else options.weight.to(logits)
    mass = label_weight(batch, options)
    wanted = None if batch.target_probs is None else effective_target(batch, batch.target_probs, options)
    if wanted is None:
        loss = _loss(label_loss, log_probs, weight, mass, batch, options)
    else:
        loss = -(wanted * log_probs).sum(1)  # NaN for 0·(−∞), as in PyTorch
    suspicion = pretended = None
    if labels is not None:
        suspicion = labels.suspicion(log_probs, probs, target)
        pretended = labels.pretended(batch.rows, log_probs, probs)
    entropy = _entropy(probs, log_probs, logits)
    prediction, margin = predicted(logits, label)
    chosen = prediction.clamp(min=0).unsqueeze(1)
    confidence = probs.gather(1, chosen).squeeze(1).where(prediction >= 0, torch.nan)
    doubled = _in_scratch(probs, scratch)
    confident = None
    if labels is not None and labels.thresholds is not None:
        confident = confident_class(doubled, prediction, labels.thresholds).where(confidence.isfinite(), NO_PREDICTION)
    seen = class_probabilities(probs, doubled, confidence.isfinite(), keep_probabilities) if calibration else None

    error = (prob.double() - 1).unsqueeze(1)
    if wanted is None or batch.target_probs is None:
        grad = doubled.scatter_(1, label, error)  # p − y, in the place of the probabilities
        el2n = torch.linalg.vector_norm(grad, dim=1)
        brier = el2n.square()
        grad_norm = _options_applied(grad, el2n, label, mass, batch, options)
    else:
        brier = doubled.scatter(1, label, error).square().sum(1)
        el2n = torch.linalg.vector_norm(doubled - batch.target_probs, dim=1)
        grad = doubled.mul_(wanted.sum(1, keepdim=True)).sub_(wanted).div_(options.temperature)
        grad_norm = torch.linalg.vector_norm(grad, dim=1)
    layer_norm = None
    if batch.features is not None:
        layer_norm = grad_norm * (batch.features.double().square().sum(1) + 1).sqrt()
    return Scores(
        batch.rows.to(target.device),
        target,
        prediction,
        loss,
        el2n,
        brier,
        grad_norm,
        margin,
        prob,
        suspicion,
        pretended,
        entropy,
        confidence,
        confident,
        prediction.where((prediction >= 0) & (margin < 0), target),
        layer_norm,
        mass,
        grad,
        seen,
        None,
        batch.ids,
        batch.text,
        batch.image,
        None if batch.target_probs is None else batch.target_probs.gather(1, label).squeeze(1).double(),
    )


def _options_applied(
    error: Tensor, el2n: Tensor, label: Tensor, mass: Tensor, batch: Batch, options: LossOptions
) -> Tensor:
    """p − y becomes (S·p − v)/T, in place; gives its norm."""
    if options.smoothing:
        _smooth(error, label, batch, options)
        norm: Tensor = torch.linalg.vector_norm(error, dim=1)
        return norm
    if options.weight is not None or batch.sample_weight is not None or options.temperature != 1:
        error.mul_((mass / options.temperature).unsqueeze(1))
    return el2n * (mass.abs() / options.temperature)


def _loss(
    label_loss: Tensor, log_probs: Tensor, weight: Tensor | None, mass: Tensor, batch: Batch, options: LossOptions
) -> Tensor:
    """The unreduced losses, float64."""
    smoothing = options.smoothing
    if smoothing == 0:
        return label_loss.double() * mass
    terms = log_probs if weight is None else log_probs * weight
    uniform = -terms.sum(1, dtype=torch.float64) / log_probs.shape[1]
    if batch.sample_weight is not None:
        uniform = uniform * batch.sample_weight
    return (1 - smoothing) * label_loss.double() * mass + smoothing * uniform


def _entropy(probs: Tensor, log_probs: Tensor, logits: Tensor) -> Tensor:
    """−Σ p ln p; writes over log_probs, which nobody needs any more."""
    entropy = -log_probs.mul_(probs).sum(1)
    # 0·(−∞): a class that cannot be adds nothing
    odd = entropy.isnan().nonzero().squeeze(1)
    if len(odd):
        terms = probs[odd] * F.log_softmax(logits[odd], 1)
        entropy[odd] = -terms.where(probs[odd] != 0, 0.0).sum(1)
    return entropy


def predicted(logits: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """The class with the largest logit, and how far the label's logit lies above the largest other.

    Args: logits, label: shapes (n, C) and (n, 1).
    Returns: NO_PREDICTION where the two largest cannot be compared, for NaN; shapes (n,).
    """
    own = logits.gather(1, label)
    logits.scatter_(1, label, -torch.inf)
    other_class = largest_class(logits).unsqueeze(1)
    other = logits.gather(1, other_class)
    logits.scatter_(1, label, own)
    # the only class of one, or a label beside −∞ everywhere: argmax may have met the label itself
    takes_label = (own > other) | ((own == other) & (label < other_class)) | (logits.shape[1] == 1)
    is_nan = own.isnan() | other.isnan()
    prediction = torch.where(takes_label, label, other_class).masked_fill(is_nan, NO_PREDICTION)
    return prediction.squeeze(1), (own - other).squeeze(1)


def _smooth(error: Tensor, label: Tensor, batch: Batch, options: LossOptions) -> None:
    """p − y becomes (S·p − v)/T, in place, for label_smoothing above 0."""
    smoothing, classes = options.smoothing, error.shape[1]
    weight = torch.ones(classes, dtype=torch.float64) if options.weight is None else options.weight
    weight = weight.to(error.device)
    own_weight = weight[label]  # (n, 1)
    mass = (1 - smoothing) * own_weight + smoothing * weight.mean()
    error.mul_(mass).sub_(smoothing / classes * weight)
    # S·(p − 1) stands where S·p − (1 − ε)·w belongs
    error.scatter_add_(1, label, mass - (1 - smoothing) * own_weight)
    scale = torch.full_like(mass, 1 / options.temperature)
    if batch.sample_weight is not None:
        scale = scale * batch.sample_weight.unsqueeze(1)
    if options.temperature != 1 or batch.sample_weight is not None:
        error.mul_(scale)


def _in_scratch(values: Tensor, scratch: dict[str, Tensor] | None) -> Tensor:
    """The values as float64, in memory that is kept from batch to batch."""
    if scratch is None or values.dtype == torch.float64:
        return values.double()
    held = scratch.get("grad")
    if held is None or held.numel() < values.numel() or held.device != values.device:
        held = scratch["grad"] = torch.empty(values.numel(), dtype=torch.float64, device=values.device)
    return held[: values.numel()].view(values.shape).copy_(values)
