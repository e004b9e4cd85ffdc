"""Statistics of a dump that are updated batch by batch and merge exactly: any split gives the same summary."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from xent_core.dump.calibration import (
    BINS,
    CELLS,
    DOUBT_BINS,
    KEPT_CONFIDENCES,
    KEPT_PROBABILITIES,
    Calibration,
    Kept,
    bin_of,
    calibration_of,
    cell_of,
    doubt_bin,
)
from xent_core.dump.confident_joint import MAX_JOINT_CLASSES, cleanlab_noise_matrix
from xent_core.dump.histogram import HISTOGRAM_BINS, Histogram, add_to_bins, wider
from xent_core.dump.ranking import SUSPECT_FIELDS, SUSPECTS, Suspects, probability_wrong, ranking_key
from xent_core.dump.scores import Scores
from xent_core.dump.wrong_labels import SUSPICION_BINS, WrongLabels, suspicion_bins, wrong_labels
from xent_core.loss_options import LossOptions
from xent_core.values import Value

MAX_MATRIX_CLASSES = 2_000
GROUPS_AIMED_AT = 1_000


@dataclass(frozen=True, eq=False)
class LorenzCurve(Value):
    """Which share of the gradient the largest examples carry: Σ of the largest norms over Σ of all.

    Attributes:
      examples: shares of the examples, the largest norm first, from 0 to 1.
      gradient: the share of Σ‖g_i‖ that they carry.
    """

    examples: np.ndarray
    gradient: np.ndarray

    def carried_by(self, share: float) -> float:
        """The share of the gradient that this share of the examples carries, the largest first."""
        return float(np.interp(share, self.examples, self.gradient))


@dataclass(frozen=True, eq=False)
class ClassGroups(Value):
    """Which classes share a row and a column of the matrices: `size` consecutive ones, or each its own.

    Attributes:
      classes: C.
      size: classes in a group, 1 up to 2000 classes.
    """

    classes: int
    size: int

    @classmethod
    def of(cls, classes: int) -> ClassGroups:
        """Single classes up to 2000, otherwise about a thousand groups."""
        return cls(classes, 1 if classes <= MAX_MATRIX_CLASSES else math.ceil(classes / GROUPS_AIMED_AT))

    @property
    def count(self) -> int:
        """How many groups there are."""
        return math.ceil(self.classes / self.size)

    def members(self, group: int) -> range:
        """The classes of a group."""
        return range(group * self.size, min((group + 1) * self.size, self.classes))


@dataclass(eq=False)
class _Sums:
    """What adds up: every field is summed when statistics merge."""

    rows: Tensor  # (): all rows, the ignored ones too
    kept: Tensor  # ()
    unpredicted: Tensor  # (): kept rows in which a logit is NaN
    nonfinite: Tensor  # (): kept rows whose gradient is not finite; they are in none of the sums of gradients
    loss: Tensor  # ()
    mass: Tensor  # ()
    support: Tensor  # (C,) kept rows of each label
    correct: Tensor  # (C,)
    predicted: Tensor  # (C,)
    class_norm: Tensor  # (C,) Σ‖g_i‖ by label
    class_loss: Tensor  # (C,)
    push: Tensor  # (C,) Σ_i g_ij where classes are grouped; otherwise the sums of the columns of gradient are it
    gradient: Tensor  # (G, G) Σ g_ij over the rows of label group and the logits of the other
    confusion: Tensor  # (G, G) rows by label and prediction
    pair_norm: Tensor  # (G, G) Σ‖g_i‖ by label and prediction
    finite_support: Tensor  # (C,) rows behind class_norm and gradient
    cell_rows: Tensor  # (31,) by confidence: rows, Σ confidence, and how many are right; so too what follows
    cell_confidence: Tensor
    cell_correct: Tensor
    doubt_rows: Tensor  # by fine bins of 1 − confidence
    doubt_confidence: Tensor
    doubt_correct: Tensor
    top_rows: Tensor  # (C, 15) by prediction and confidence; empty beyond 2000 classes, as what follows
    top_confidence: Tensor
    top_correct: Tensor
    class_bin_rows: Tensor  # (C, 15) by class and its probability
    class_bin_prob: Tensor
    class_bin_correct: Tensor
    brier: Tensor  # () Σ Σ_k (p_k − y_k)², over the rows in which all is finite
    own_prob: Tensor  # () Σ p_y
    confident: Tensor  # (C, C + 1) rows by label and the class whose threshold they reach, the last where none
    suspicion_rows: Tensor  # rows by the bin of their suspicion
    pretended_rows: Tensor  # the same for pretended labels
    loss_counts: Tensor  # (bins + 2,)
    loss_sums: Tensor
    loss_nan: Tensor
    norm_counts: Tensor
    norm_sums: Tensor
    norm_nan: Tensor


class Statistics:
    """Sums over the rows of a dump, as a metric: `update` with each batch, `merge` the others', `compute`, `reset`.

    Counts are integers and sums are float64, so that neither the split nor the order matters.

    Args:
      classes: C.
      device: where the sums are kept, the device of the batches.
      rank_by: which of RANKINGS says who the suspects are.
    """

    def __init__(self, classes: int, device: str | torch.device = "cpu", rank_by: str = "margin") -> None:
        self.rank_by, self._device = rank_by, device
        self.groups = ClassGroups.of(classes)
        self.bins_by_class = classes <= MAX_MATRIX_CLASSES
        self.reset()

    def reset(self) -> None:
        """Forgets every row, as at the start of an epoch."""
        classes, groups, device = self.groups.classes, self.groups.count, self._device
        by_class = ("support", "correct", "predicted", "class_norm", "class_loss", "push", "finite_support")
        shapes: dict[str, tuple[int, ...]] = dict.fromkeys(by_class, (classes,))
        shapes |= dict.fromkeys(("gradient", "confusion", "pair_norm"), (groups, groups))
        shapes |= dict.fromkeys(_calibration("cell"), (CELLS,)) | dict.fromkeys(_calibration("doubt"), (DOUBT_BINS,))
        of_classes = (*_calibration("top"), "class_bin_rows", "class_bin_prob", "class_bin_correct")
        shapes |= dict.fromkeys(of_classes, (classes if self.bins_by_class else 0, BINS))
        shapes["confident"] = (classes, classes + 1) if classes <= MAX_JOINT_CLASSES else (0, 0)
        shapes |= dict.fromkeys(("suspicion_rows", "pretended_rows"), (SUSPICION_BINS,))
        shapes |= dict.fromkeys(("loss_counts", "loss_sums", "norm_counts", "norm_sums"), (HISTOGRAM_BINS + 2,))
        floating = {"loss", "mass", "class_norm", "class_loss", "push", "gradient", "pair_norm"}
        floating |= {"cell_confidence", "doubt_confidence", "top_confidence", "class_bin_prob"}
        floating |= {"loss_sums", "norm_sums", "brier", "own_prob"}
        self.sums = _Sums(
            **{
                field.name: torch.zeros(
                    shapes.get(field.name, ()),
                    dtype=torch.float64 if field.name in floating else torch.int64,
                    device=device,
                )
                for field in fields(_Sums)
            }
        )
        self.extremes = {"loss": (math.inf, -math.inf), "norm": (math.inf, -math.inf)}
        self.kept_confidences = Kept(KEPT_CONFIDENCES)
        self.kept_probabilities = Kept(KEPT_PROBABILITIES // classes if self.bins_by_class else 0)
        self._suspects: dict[str, Tensor] = {}
        self._odd_rows = torch.empty(0, dtype=torch.int64)

    def update(self, rows: int, scores: Scores) -> None:
        """Adds a batch.

        Args:
          rows: how many rows the batch has, the ignored ones too.
          scores: of its kept rows.
        """
        sums = self.sums
        sums.rows += rows
        sums.kept += len(scores.row)
        sums.loss += scores.loss.sum()
        sums.mass += scores.mass.sum()
        target, prediction, norm = scores.target, scores.prediction, scores.grad_norm
        one = torch.ones_like(target)
        right = (prediction == target).long()
        sums.support.index_add_(0, target, one)
        sums.correct.index_add_(0, target, right)
        sums.class_loss.index_add_(0, target, scores.loss)
        add_to_bins(scores.loss, sums.loss_counts, sums.loss_sums, sums.loss_nan)
        add_to_bins(norm, sums.norm_counts, sums.norm_sums, sums.norm_nan)
        self.extremes["loss"] = wider(self.extremes["loss"], scores.loss)
        self.extremes["norm"] = wider(self.extremes["norm"], norm)

        for counts, values in (
            (sums.suspicion_rows, scores.suspicion),
            (sums.pretended_rows, scores.pretended),
        ):
            if values is not None:
                counts += torch.bincount(suspicion_bins(values[~values.isnan()]), minlength=SUSPICION_BINS)

        if scores.confident is not None:
            known = scores.confident >= 0
            pair = target[known] * (self.groups.classes + 1) + scores.confident[known]
            sums.confident.view(-1).index_add_(0, pair, torch.ones_like(pair))

        predicted = prediction >= 0
        if not bool(predicted.all()):
            sums.unpredicted += int((~predicted).sum())
            right, one = right[predicted], one[predicted]
        known, confidence = prediction[predicted], scores.confidence[predicted]
        sums.predicted.index_add_(0, known, one)
        size, groups = self.groups.size, self.groups.count
        pair = torch.div(target[predicted], size, rounding_mode="floor") * groups
        pair += torch.div(known, size, rounding_mode="floor")
        sums.confusion.view(-1).index_add_(0, pair, one)
        # a row with an infinite logit has a prediction and no probabilities
        certain = confidence.isfinite()
        self._add_confidences(known[certain], confidence[certain].double(), right[certain])
        self._add_probabilities(scores)

        finite = norm.isfinite()
        grad, label = scores.grad, target
        if not bool(finite.all()):
            sums.nonfinite += int((~finite).sum())
            grad, label, norm = grad[finite], target[finite], norm[finite]
            pair = pair[finite[predicted]]
        sums.finite_support.index_add_(0, label, torch.ones_like(label))
        sums.class_norm.index_add_(0, label, norm)
        sums.pair_norm.view(-1).index_add_(0, pair, norm)
        if size > 1:
            sums.push += grad.sum(0)
            grad = torch.nn.functional.pad(grad, (0, groups * size - self.groups.classes))
            grad = grad.view(len(grad), groups, size).sum(2)
            label = torch.div(label, size, rounding_mode="floor")
        sums.gradient.index_add_(0, label, grad)
        columns = {name: getattr(scores, name) for name in SUSPECT_FIELDS} | (scores.epochs or {})
        self._keep_suspects({name: column for name, column in columns.items() if column is not None})
        odd = ~(scores.grad_norm.isfinite() & scores.loss.isfinite())
        if bool(odd.any()):
            self._keep_odd_rows(scores.row[odd])

    def _keep_odd_rows(self, rows: Tensor) -> None:
        self._odd_rows = torch.cat([self._odd_rows, rows.cpu()]).sort().values[:SUSPECTS]

    def _add_confidences(self, prediction: Tensor, confidence: Tensor, right: Tensor) -> None:
        """How sure the model is of its predictions, and whether they are right."""
        sums, one = self.sums, torch.ones_like(right)
        places = {"cell": cell_of(confidence), "doubt": doubt_bin(confidence)}
        if self.bins_by_class:
            places["top"] = prediction * BINS + bin_of(confidence)
        for name, place in places.items():
            for field, values in zip(_calibration(name), (one, confidence, right), strict=True):
                getattr(sums, field).view(-1).index_add_(0, place, values)
        self.kept_confidences.add(confidence, right)

    def _add_probabilities(self, scores: Scores) -> None:
        """The probabilities of all classes; those below the first edge are the rest of each class."""
        found, sums = scores.class_probabilities, self.sums
        if found is None or not self.bins_by_class:
            return
        target, certain = scores.target[found.certain], int(found.certain.sum())
        own = target[found.rows] == found.classes
        place = found.classes * BINS + bin_of(found.probs)
        rows, prob = torch.zeros_like(sums.class_bin_rows), torch.zeros_like(sums.class_bin_prob)
        right = torch.zeros_like(rows)
        rows.view(-1).index_add_(0, place, torch.ones_like(place))
        prob.view(-1).index_add_(0, place, found.probs)
        right.view(-1).index_add_(0, place, own.long())
        rows[:, 0] += certain - rows.sum(1)
        prob[:, 0] += found.sums - prob.sum(1)
        right[:, 0] += torch.bincount(target, minlength=self.groups.classes) - right.sum(1)
        sums.class_bin_rows += rows
        sums.class_bin_prob += prob
        sums.class_bin_correct += right
        sums.brier += scores.brier[found.certain].sum()
        sums.own_prob += scores.prob[found.certain].double().sum()
        if found.kept is None:
            self.kept_probabilities.parts = None
        else:
            self.kept_probabilities.add(found.kept, target)

    @property
    def keeps_probabilities(self) -> bool:
        """Whether there is still room for the probabilities of a batch."""
        return self.kept_probabilities.parts is not None

    def merge(self, other: Statistics) -> Statistics:
        """Adds the other's rows to these, and gives these back."""
        self.kept_confidences.merge(other.kept_confidences)
        self.kept_probabilities.merge(other.kept_probabilities)
        for field in fields(_Sums):
            mine = getattr(self.sums, field.name)
            mine += getattr(other.sums, field.name).to(mine.device)
        for name, (low, high) in other.extremes.items():
            mine_low, mine_high = self.extremes[name]
            self.extremes[name] = (min(mine_low, low), max(mine_high, high))
        if other._suspects:
            self._keep_suspects(other._suspects)
        self._keep_odd_rows(other._odd_rows)
        return self

    def _keep_suspects(self, columns: dict[str, Tensor]) -> None:
        """Keeps the first SUSPECTS rows of the ranking, of these and those kept before; ties by the row's number."""
        key = ranking_key(columns[self.rank_by], self.rank_by)
        if self._suspects and len(self._suspects["row"]) >= SUSPECTS:
            worst = float(ranking_key(self._suspects[self.rank_by][-1:], self.rank_by))
            candidates = (key <= worst).nonzero().squeeze(1)
            if not len(candidates):
                return
            columns = {name: column[candidates] for name, column in columns.items()}
        elif len(key) > 4 * SUSPECTS:
            bound = key.kthvalue(SUSPECTS).values
            candidates = (key <= bound).nonzero().squeeze(1)
            columns = {name: column[candidates] for name, column in columns.items()}
        held = {
            name: torch.cat([self._suspects[name], _as_kept(column)]) if self._suspects else _as_kept(column)
            for name, column in columns.items()
        }
        by_row = held["row"].argsort()
        order = by_row[ranking_key(held[self.rank_by][by_row], self.rank_by).argsort(stable=True)][:SUSPECTS]
        self._suspects = {name: column[order] for name, column in held.items()}

    def wrong_labels(self) -> WrongLabels | None:
        """How many labels are wrong; None without a row, or where no wrong label was put on."""
        return wrong_labels(self.sums.suspicion_rows.cpu().numpy(), self.sums.pretended_rows.cpu().numpy())

    def cleanlab_noise_matrix(self) -> np.ndarray | None:
        """cleanlab's P(label | class), row by row; None if it was not counted, as beyond 100 classes."""
        return cleanlab_noise_matrix(self.sums.confident.cpu().numpy())

    def compute(self, options: LossOptions) -> Computed:
        """The numbers that follow from the sums so far."""
        host = {field.name: getattr(self.sums, field.name).cpu().numpy().copy() for field in fields(_Sums)}
        push = host["push"] if self.groups.size > 1 else host["gradient"].sum(0)
        kept, rows = int(host["kept"]), int(host["rows"])
        mean = options.reduction == "mean"
        denominator = float(host["mass"]) if mean else 1.0
        total = float(host["class_norm"].sum())
        wrong = self.wrong_labels()
        with np.errstate(divide="ignore", invalid="ignore"):
            grouped_support = _grouped(host["finite_support"], self.groups)
            return Computed(
                rows=rows,
                kept=kept,
                unpredicted=int(host["unpredicted"]),
                nonfinite=int(host["nonfinite"]),
                loss=float(np.float64(host["loss"]) / denominator),
                denominator=denominator,
                accuracy=float(host["correct"].sum() / np.float64(kept)),
                groups=self.groups,
                support=host["support"],
                correct=host["correct"],
                predicted=host["predicted"],
                class_loss=host["class_loss"] / host["support"],
                class_share=host["class_norm"] / total,
                net_push=push / denominator,
                mean_gradient=host["gradient"] / grouped_support[:, None],
                confusion=host["confusion"],
                pair_share=host["pair_norm"] / total,
                loss_histogram=self._histogram(host, "loss"),
                grad_norm_histogram=self._histogram(host, "norm"),
                lorenz=_lorenz(host["norm_counts"], host["norm_sums"]),
                calibration=self._calibration(host),
                wrong_labels=wrong,
                suspects=self._suspects_with(wrong),
                odd_rows=tuple(self._odd_rows.tolist()),
            )

    def _calibration(self, host: dict[str, np.ndarray]) -> Calibration:
        def of(fields: tuple[str, str, str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            return host[fields[0]], host[fields[1]], host[fields[2]]

        return calibration_of(
            of(_calibration("cell")),
            of(_calibration("top")),
            of(("class_bin_rows", "class_bin_prob", "class_bin_correct")),
            of(_calibration("doubt")),
            (float(host["brier"]), float(host["own_prob"])),
            self.kept_confidences,
            self.kept_probabilities,
        )

    def _suspects_with(self, wrong: WrongLabels | None) -> Suspects:
        if not self._suspects:
            return Suspects(**dict.fromkeys(SUSPECT_FIELDS, np.empty(0)), p_wrong=np.empty(0))
        columns = {name: column.cpu().numpy() for name, column in self._suspects.items()}
        p_wrong = probability_wrong(columns["suspicion"], wrong) if "suspicion" in columns else None
        return Suspects(**columns, p_wrong=p_wrong)

    def _histogram(self, host: dict[str, np.ndarray], name: str) -> Histogram:
        low, high = self.extremes[name]
        empty = low > high
        return Histogram(
            host[f"{name}_counts"],
            host[f"{name}_sums"],
            int(host[f"{name}_nan"]),
            math.nan if empty else low,
            math.nan if empty else high,
        )


@dataclass(frozen=True, eq=False)
class Computed(Value):
    """What `Statistics.compute` gives; the attributes are those of DumpSummary, which explains them."""

    rows: int
    kept: int
    unpredicted: int
    nonfinite: int
    loss: float
    denominator: float
    accuracy: float
    groups: ClassGroups
    support: np.ndarray
    correct: np.ndarray
    predicted: np.ndarray
    class_loss: np.ndarray
    class_share: np.ndarray
    net_push: np.ndarray
    mean_gradient: np.ndarray
    confusion: np.ndarray
    pair_share: np.ndarray
    loss_histogram: Histogram
    grad_norm_histogram: Histogram
    lorenz: LorenzCurve
    calibration: Calibration
    wrong_labels: WrongLabels | None
    suspects: Suspects
    odd_rows: tuple[int, ...]


def _calibration(name: str) -> tuple[str, str, str]:
    """The fields that hold rows, Σ confidence, and how many are right."""
    return f"{name}_rows", f"{name}_confidence", f"{name}_correct"


def _as_kept(column: Tensor) -> Tensor:
    return column.double() if column.is_floating_point() else column.clone()


def _grouped(values: np.ndarray, groups: ClassGroups) -> np.ndarray:
    padded = np.pad(values, (0, groups.count * groups.size - groups.classes))
    return np.asarray(padded.reshape(groups.count, groups.size).sum(1))


def _lorenz(counts: np.ndarray, sums: np.ndarray) -> LorenzCurve:
    used = np.flatnonzero(counts)[::-1]  # the largest norms first
    rows, carried = np.cumsum(counts[used]), np.cumsum(sums[used])
    if not used.size or carried[-1] == 0:
        return LorenzCurve(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    return LorenzCurve(np.concatenate([[0.0], rows / rows[-1]]), np.concatenate([[0.0], carried / carried[-1]]))
