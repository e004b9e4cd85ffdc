r"""How suspicious a label is: the other classes against it, after what a first pass has said of the classes.

.. math:: s_i = \tfrac12\ln\sum_{k\ne y} e^{2 a_{ik}} - a_{iy}, \quad
          a_{ik} = \ln p_{ik} - \theta_k + \lambda_{k y}

θ_k is the logarithm of the usual confidence of class k, and λ_ky says how much more often labels go astray
from k to y than back. docs/ranking.md has what each of them is worth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import cached_property

import torch
from torch import Tensor

from xent_core.dump.confident_joint import MAX_JOINT_CLASSES, confident_thresholds

NO_PREDICTION = -1
MAX_FLOW_CLASSES = 2_000  # beyond, a matrix of pairs is too large, and hardly a pair is met twice
ROWS_FOR_A_MEDIAN = 8
USUAL_ROWS = 5.0  # a class starts from the mean of all classes, as if it had been met so often
CONCENTRATIONS = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
EVIDENCE = 4.0  # nats by which one-way flows must explain the counts better than none
PRETENDED_ELEMENTS, LEAST_PRETENDED = 2**22, 2_000  # logits, and rows, that get a pretended label
_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, eq=False)
class LabelModel:
    """What a row's label is measured against; made by `LabelCounts.model`.

    Attributes:
      usual: θ, the logarithm of the mean confidence of each class where it is predicted and the label agrees; (C,).
      flow: λ[k, j], above 0 where labels go from k to j more often than back; (C, C), or None if nothing says so.
      wrong: cumulated shares of the labels that rows of class k get by mistake, (C, C); None if all are alike.
      stride: of so many rows, one gets a pretended label; 0 if none does.
      thresholds: of the confident joint, (C,); None beyond 100 classes.
    """

    usual: Tensor
    flow: Tensor | None
    wrong: Tensor | None
    stride: int
    thresholds: Tensor | None = None

    @classmethod
    def neutral(cls, classes: int) -> LabelModel:
        """Where nothing is known of the classes."""
        return cls(torch.zeros(classes, dtype=torch.float64), None, None, 0)

    def to(self, device: str | torch.device) -> LabelModel:
        """The same on a device."""
        moved = [None if part is None else part.to(device) for part in (self.flow, self.wrong, self.thresholds)]
        return LabelModel(self.usual.to(device), moved[0], moved[1], self.stride, moved[2])

    @cached_property
    def _factors(self) -> Tensor:
        """What multiplies p_k², e^{2(λ_ky − θ_k)}; (C,), or a row for each label y, (C, C)."""
        return (2 * (-self.usual if self.flow is None else self.flow.T - self.usual)).exp()

    def suspicion(self, log_probs: Tensor, probs: Tensor, label: Tensor) -> Tensor:
        """s of each row for this label, (n,): above 0 where other classes outweigh it; NaN where a logit is."""
        column = label.unsqueeze(1)
        factors = self._factors.to(probs)
        others = probs.square().mul_(factors if self.flow is None else factors[label]).scatter_(1, column, 0.0).sum(1)
        own = log_probs.gather(1, column).squeeze(1) - self.usual.to(log_probs)[label]
        found = others.log() / 2 - own
        bounds = torch.finfo(probs.dtype)
        # where the squares fall below what the type can hold
        tiny = (others < bounds.tiny / bounds.eps).nonzero().squeeze(1)
        if len(tiny):
            found[tiny] = self._by_logarithms(log_probs[tiny], label[tiny]) - own[tiny]
        return found

    def _by_logarithms(self, log_probs: Tensor, label: Tensor) -> Tensor:
        """½ ln Σ_{k≠y} exp(2·a_k), slower, and of whatever size; (n,)."""
        adjusted = log_probs - self.usual.to(log_probs)
        if self.flow is not None:
            adjusted += self.flow.to(log_probs).T[label]
        return adjusted.scatter_(1, label.unsqueeze(1), -torch.inf).mul_(2).logsumexp(1) / 2

    def pretended(self, rows: Tensor, log_probs: Tensor, probs: Tensor) -> Tensor:
        """s of every `stride`-th row if its label were a wrong one, for the class that it seems to be.

        The number of the row draws the label, so that no split of the dump changes it.
        """
        classes = log_probs.shape[1]
        if classes < 2 or not self.stride:
            return log_probs.new_empty(0)
        drawn = (rows % self.stride == 0).nonzero().squeeze(1).to(log_probs.device)
        rows, log_probs, probs = rows.to(log_probs.device), log_probs[drawn], probs[drawn]
        share = ((rows[drawn].double() + 1) * _GOLDEN) % 1
        true = largest_class(log_probs)
        if self.wrong is None:
            label = (true + 1 + (share * (classes - 1)).long()) % classes
        else:
            label = torch.searchsorted(self.wrong[true], share.unsqueeze(1), right=True).squeeze(1)
            label = label.clamp(max=classes - 1)
        return self.suspicion(log_probs, probs, label)


@dataclass(frozen=True, eq=False)
class LabelCounts:
    """What a first pass over the rows counts; adds up.

    Attributes:
      agreed, confidence: rows whose prediction is the label, and Σ of the confidence in them, by class.
      predicted, labelled: rows by prediction and by label.
      far: rows by prediction and another label that is less likely to them than to half of the rows of that
        prediction, (C, C); (0, 0) beyond 2000 classes.
      own: Σ of the probability of the label, by label.
    """

    agreed: Tensor
    confidence: Tensor
    predicted: Tensor
    labelled: Tensor
    far: Tensor
    own: Tensor

    @classmethod
    def zero(cls, classes: int, device: str | torch.device = "cpu") -> LabelCounts:
        """Of no row."""
        pairs = classes if classes <= MAX_FLOW_CLASSES else 0
        of_classes = torch.zeros(classes, dtype=torch.int64, device=device)
        far = torch.zeros((pairs, pairs), dtype=torch.int64, device=device)
        return cls(of_classes, of_classes.double(), of_classes, of_classes, far, of_classes.double())

    def __add__(self, other: LabelCounts) -> LabelCounts:
        return LabelCounts(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))

    @property
    def noise_matrix(self) -> Tensor | None:
        """P(label j | class k), row by row, (C, C) float64; None beyond 2000 classes, NaN where k is hardly predicted.

        Of the rows that seem to be k, the half farthest from j is least likely to be j:
        what is labelled j even there is taken for wrong.
        """
        if not len(self.far):
            return None
        matrix = 2 * self.far.double() / self.predicted.double().unsqueeze(1)
        off_diagonal = matrix.sum(1, keepdim=True)
        matrix = matrix / off_diagonal.clamp(min=1.0)
        matrix = matrix + torch.diag(1 - matrix.sum(1))
        matrix[self.predicted < ROWS_FOR_A_MEDIAN] = torch.nan  # so few rows say nothing
        return matrix

    def model(self) -> LabelModel:
        """What these counts say of the classes."""
        agreed = self.agreed.double()
        pretended = max(PRETENDED_ELEMENTS // len(agreed), LEAST_PRETENDED)
        stride = max(int(self.labelled.sum()) // pretended, 1)
        thresholds = confident_thresholds(self.own, self.labelled) if len(agreed) <= MAX_JOINT_CLASSES else None
        if not float(agreed.sum()):
            return LabelModel(torch.zeros_like(self.confidence), None, None, stride, thresholds)
        mean = self.confidence.sum() / agreed.sum()
        usual = ((self.confidence + USUAL_ROWS * mean) / (agreed + USUAL_ROWS)).log()
        wrong = None
        if len(self.far):
            share = (self.far.double() + 1).fill_diagonal_(0.0).cumsum(1)
            wrong = share / share[:, -1:].clamp(min=1.0)
        flow = one_way_flow(self.far, self.predicted, self.labelled)
        return LabelModel(usual, flow, wrong, stride, thresholds)


def one_way_flow(far: Tensor, predicted: Tensor, labelled: Tensor) -> Tensor | None:
    """λ[k, j] = −λ[j, k], how much more often labels go from k to j than back; None if that may be chance.

    Of the rows of a pair, far[k, j] + far[j, k], as many go each way if the two classes merely overlap;
    equal rates, and a model that predicts one class too often, shift that.
    Only what lies beyond all of these counts, by a beta-binomial whose concentration is the likeliest.
    """
    classes = len(far)
    if classes < 3:
        return None
    there, back = torch.triu_indices(classes, classes, 1, device=far.device)
    met = (far[there, back] + far[back, there]) > 0
    there, back = there[met], back[met]
    forth, return_ = far[there, back].double(), far[back, there].double()
    size = (predicted.double() + 1).log()
    bias = size - (labelled.double() + 1).log()
    by_size, by_bias = size[there] - size[back], bias[there] - bias[back]
    innocent = torch.stack([torch.zeros_like(by_size), by_size, by_bias, by_size + by_bias])
    expected = ((forth + 0.5) / (return_ + 0.5)).log().clamp(innocent.amin(0), innocent.amax(0))
    share = expected.sigmoid()

    def evidence(concentration: float) -> float:
        a, b = 2 * concentration * share, 2 * concentration * (1 - share)
        return float((_log_beta(forth + a, return_ + b) - _log_beta(a, b)).sum())

    best = max(CONCENTRATIONS, key=evidence)
    chance = float((forth * share.log() + return_ * (1 - share).log()).sum())
    if evidence(best) - chance < EVIDENCE:
        return None
    flow = torch.zeros((classes, classes), dtype=torch.float64, device=far.device)
    excess = ((forth + 2 * best * share) / (return_ + 2 * best * (1 - share))).log() - expected
    flow[there, back], flow[back, there] = excess, -excess
    return flow


def _log_beta(a: Tensor, b: Tensor) -> Tensor:
    return torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)


def usual_gaps(logits: Tensor) -> Tensor:
    """Median over the rows of prediction k of z_j − z_k, (C, C); over all rows where k is rare.

    Args: logits: of some rows, shape (n, C).
    Returns: (0, 0) beyond 2000 classes.
    """
    classes = logits.shape[1]
    if classes > MAX_FLOW_CLASSES:
        return logits.new_empty((0, 0))
    gaps, prediction = _gaps(logits)
    known = prediction != NO_PREDICTION
    gaps, prediction = gaps[known], prediction[known]
    common = torch.bincount(prediction, minlength=classes) >= ROWS_FOR_A_MEDIAN
    medians = gaps.new_zeros((classes, classes))
    if not bool(common.all()) and bool((below := gaps[gaps < 0]).numel()):
        medians.fill_(float(below.median()))
    for k in range(classes):
        if bool(common[k]):
            medians[k] = gaps[prediction == k].median(0).values
    return medians


def count_labels(logits: Tensor, label: Tensor, temperature: float, gaps: Tensor) -> LabelCounts:
    """The counts of some rows.

    Args:
      logits, label: of the rows that are not ignored, (n, C) and (n,).
      gaps: as `usual_gaps` gives them.
    """
    classes = logits.shape[1]
    below, prediction = _gaps(logits)
    known = prediction != NO_PREDICTION
    if not bool(known.all()):
        below, prediction, label = below[known], prediction[known], label[known]
    gap = below.gather(1, label.unsqueeze(1)).squeeze(1)
    confidence = below.div_(temperature).exp_().sum(1).reciprocal().double()
    agrees = prediction == label
    far = torch.zeros((len(gaps), len(gaps)), dtype=torch.int64, device=logits.device)
    if len(gaps):
        is_far = ~agrees & (gap <= gaps[prediction, label])
        pair = prediction[is_far] * classes + label[is_far]
        far.view(-1).index_add_(0, pair, torch.ones_like(pair))
    by_class = torch.zeros(classes, dtype=torch.float64, device=logits.device)
    own = (gap.double() / temperature).exp() * confidence
    return LabelCounts(
        torch.bincount(label[agrees], minlength=classes),
        by_class.index_add(0, label[agrees], confidence[agrees]),
        torch.bincount(prediction, minlength=classes),
        torch.bincount(label, minlength=classes),
        far,
        by_class.index_add(0, label, own),
    )


def largest_class(logits: Tensor) -> Tensor:
    """The class of the largest entry of each row, the first of equals, or of a NaN."""
    # NumPy finds the largest entry ten times as fast as PyTorch on a CPU
    return torch.from_numpy(logits.numpy().argmax(1)) if logits.device.type == "cpu" else logits.argmax(1)


def _gaps(logits: Tensor) -> tuple[Tensor, Tensor]:
    """z minus the largest of the row, and the class of that; no prediction where a logit is NaN or the largest ∞."""
    prediction = largest_class(logits)
    largest = logits.gather(1, prediction.unsqueeze(1))
    return logits - largest, prediction.where(largest.squeeze(1).isfinite(), NO_PREDICTION)
