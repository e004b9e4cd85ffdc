"""Statistics of a dump that are updated batch by batch and merge exactly: any split gives the same summary."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from xent_core.dump.ranking import SUSPECT_FIELDS, SUSPECTS, Suspects, probability_wrong, ranking_key
from xent_core.dump.scores import Scores
from xent_core.dump.wrong_labels import SUSPICION_BINS, WrongLabels, suspicion_bins, wrong_labels
from xent_core.loss_options import LossOptions

RELIABILITY_BINS = 15
MAX_MATRIX_CLASSES = 2_000
GROUPS_AIMED_AT = 1_000

# a bin for each of 128 steps within every power of two from 2^−64 to 2^24: 0.8 % wide or less
STEPS_PER_OCTAVE = 128
LOWEST_OCTAVE, HIGHEST_OCTAVE = -64, 24
HISTOGRAM_BINS = (HIGHEST_OCTAVE - LOWEST_OCTAVE) * STEPS_PER_OCTAVE
_MANTISSA_SHIFT = 52 - 7
_FIRST_BIN = (1023 + LOWEST_OCTAVE) * STEPS_PER_OCTAVE


@dataclass(frozen=True, eq=False)
class Histogram:
    """Counts in fixed bins that grow by 0.8 %, so that histograms add up exactly, and the sum of each bin.

    Attributes:
      counts: int64, shape (bins + 2,): the values below the first edge, in each bin, and from the last edge on.
      sums: of the finite values of each bin, float64.
      nan: how many values are NaN; they are in no bin.
      smallest, largest: of all values that are not NaN; NaN if there are none.
    """

    counts: np.ndarray
    sums: np.ndarray
    nan: int
    smallest: float
    largest: float

    @property
    def total(self) -> int:
        """How many values there are, without NaN."""
        return int(self.counts.sum())

    @property
    def edges(self) -> np.ndarray:
        """The edges between the bins, from 2^−64 to 2^24; shape (bins + 1,)."""
        octave, step = np.divmod(np.arange(HISTOGRAM_BINS + 1), STEPS_PER_OCTAVE)
        edges: np.ndarray = np.ldexp(1 + step / STEPS_PER_OCTAVE, octave + LOWEST_OCTAVE)
        return edges

    def quantile(self, share: float) -> float:
        """The value below which this share of the values lies, to 0.4 %; NaN if there are none."""
        if not self.total:
            return math.nan
        reached = np.cumsum(self.counts)
        # the value of the given rank, as numpy.quantile(..., method="inverted_cdf") has it
        bin_index = int(np.searchsorted(reached, max(math.ceil(share * self.total), 1)))
        low, high = self._edges_of(bin_index)
        middle = (low + high) / 2 if math.isfinite(high) else self.largest
        return float(min(max(middle, self.smallest), self.largest))

    def _edges_of(self, bin_index: int) -> tuple[float, float]:
        edges = self.edges
        low = float(edges[bin_index - 1]) if bin_index else min(self.smallest, 0.0)
        return low, float(edges[bin_index]) if bin_index <= HISTOGRAM_BINS else math.inf

    def merged(self, other: Histogram) -> Histogram:
        """Both together."""
        extremes = [self.smallest, other.smallest, self.largest, other.largest]
        known = [value for value in extremes if not math.isnan(value)] or [math.nan]
        return Histogram(
            self.counts + other.counts, self.sums + other.sums, self.nan + other.nan, min(known), max(known)
        )

    def coarser(self, bins: int = 40, *, like: Histogram | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Edges and counts of at most `bins` bins for a picture, equally wide in the logarithm, around what there is.

        Each holds whole fine bins.
        Values below 2^−64 go to the first bin, values from 2^24 on and infinity to the last.

        Args: like: the histogram whose bins are used, if not its own.
        """
        used = np.flatnonzero((like or self).counts)
        if not used.size:
            return np.array([0.0, 1.0]), np.zeros(1, np.int64)
        # a million-fold range is what a picture can show; what lies below joins the first bin
        last = min(max(int(used[-1]), 1), HISTOGRAM_BINS)
        first = max(int(used[0]), 1, last - 20 * STEPS_PER_OCTAVE)
        width = max(math.ceil((last - first + 1) / bins), 1)
        count = math.ceil((last - first + 1) / width)
        bin_index = np.clip((np.arange(len(self.counts)) - first) // width, 0, count - 1)
        counts = np.bincount(bin_index, weights=self.counts, minlength=count).astype(np.int64)
        at = np.minimum(first - 1 + width * np.arange(count + 1), HISTOGRAM_BINS)
        return self.edges[at], counts


@dataclass(frozen=True, eq=False)
class LorenzCurve:
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
class Reliability:
    """Confidence against accuracy in equal bins (0, 1/15], …, (14/15, 1] of the confidence.

    Attributes:
      counts: rows in each bin.
      confidence: mean of the largest probability in each bin; NaN in empty ones.
      accuracy: share of right predictions in each bin; NaN in empty ones.
      expected_calibration_error: Σ_b n_b/N·|accuracy_b − confidence_b|; NaN without rows.
    """

    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray
    expected_calibration_error: float

    @property
    def edges(self) -> np.ndarray:
        """The edges of the bins."""
        return np.linspace(0, 1, RELIABILITY_BINS + 1)


@dataclass(frozen=True, eq=False)
class ClassGroups:
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
    bin_rows: Tensor  # (15,)
    bin_confidence: Tensor  # (15,)
    bin_correct: Tensor  # (15,)
    suspicion_rows: Tensor  # rows by the bin of their suspicion
    pretended_rows: Tensor  # the same for pretended labels
    loss_counts: Tensor  # (bins + 2,)
    loss_sums: Tensor
    loss_nan: Tensor
    norm_counts: Tensor
    norm_sums: Tensor
    norm_nan: Tensor


class Statistics:
    """Sums over the rows of a dump: `update` with each batch, `merge` with the others', then `compute`.

    Counts are integers and sums are float64, so that neither the split nor the order matters.

    Args:
      classes: C.
      device: where the sums are kept, the device of the batches.
      rank_by: which of RANKINGS says who the suspects are.
    """

    def __init__(self, classes: int, device: str | torch.device = "cpu", rank_by: str = "margin") -> None:
        self.rank_by = rank_by
        self.groups = ClassGroups.of(classes)
        groups = self.groups.count
        by_class = ("support", "correct", "predicted", "class_norm", "class_loss", "push", "finite_support")
        shapes: dict[str, tuple[int, ...]] = dict.fromkeys(by_class, (classes,))
        shapes |= dict.fromkeys(("gradient", "confusion", "pair_norm"), (groups, groups))
        shapes |= dict.fromkeys(("bin_rows", "bin_confidence", "bin_correct"), (RELIABILITY_BINS,))
        shapes |= dict.fromkeys(("suspicion_rows", "pretended_rows"), (SUSPICION_BINS,))
        shapes |= dict.fromkeys(("loss_counts", "loss_sums", "norm_counts", "norm_sums"), (HISTOGRAM_BINS + 2,))
        floating = {"loss", "mass", "class_norm", "class_loss", "push", "gradient", "pair_norm", "bin_confidence"}
        floating |= {"loss_sums", "norm_sums"}
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
        self._suspects: dict[str, Tensor] = {}

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
        _add_to_bins(scores.loss, sums.loss_counts, sums.loss_sums, sums.loss_nan)
        _add_to_bins(norm, sums.norm_counts, sums.norm_sums, sums.norm_nan)
        self.extremes["loss"] = _wider(self.extremes["loss"], scores.loss)
        self.extremes["norm"] = _wider(self.extremes["norm"], norm)

        for counts, values in (
            (sums.suspicion_rows, scores.suspicion),
            (sums.pretended_rows, scores.pretended),
        ):
            if values is not None:
                counts += torch.bincount(suspicion_bins(values[~values.isnan()]), minlength=SUSPICION_BINS)

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
        bins = _reliability_bin(confidence[certain])
        sums.bin_rows.index_add_(0, bins, one[certain])
        sums.bin_confidence.index_add_(0, bins, confidence[certain].double())
        sums.bin_correct.index_add_(0, bins, right[certain])

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
        columns = {name: getattr(scores, name) for name in SUSPECT_FIELDS}
        self._keep_suspects({name: column for name, column in columns.items() if column is not None})

    def merge(self, other: Statistics) -> Statistics:
        """Adds the other's rows to these, and gives these back."""
        for field in fields(_Sums):
            mine = getattr(self.sums, field.name)
            mine += getattr(other.sums, field.name).to(mine.device)
        for name, (low, high) in other.extremes.items():
            mine_low, mine_high = self.extremes[name]
            self.extremes[name] = (min(mine_low, low), max(mine_high, high))
        if other._suspects:
            self._keep_suspects(other._suspects)
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

    def compute(self, options: LossOptions) -> Computed:
        """The numbers that follow from the sums so far."""
        host = {field.name: getattr(self.sums, field.name).cpu().numpy().copy() for field in fields(_Sums)}
        push = host["push"] if self.groups.size > 1 else host["gradient"].sum(0)
        kept, rows = int(host["kept"]), int(host["rows"])
        mean = options.reduction == "mean"
        denominator = float(host["mass"]) if mean else 1.0
        total = float(host["class_norm"].sum())
        counts = host["bin_rows"]
        wrong = self.wrong_labels()
        with np.errstate(divide="ignore", invalid="ignore"):
            confidence, accuracy = host["bin_confidence"] / counts, host["bin_correct"] / counts
            gap = np.abs(host["bin_correct"] - host["bin_confidence"]).sum()
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
                reliability=Reliability(counts, confidence, accuracy, float(gap / np.float64(counts.sum()))),
                wrong_labels=wrong,
                suspects=self._suspects_with(wrong),
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
class Computed:
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
    reliability: Reliability
    wrong_labels: WrongLabels | None
    suspects: Suspects


def histogram_of(values: Tensor) -> Histogram:
    """The histogram of these values alone."""
    counts = torch.zeros(HISTOGRAM_BINS + 2, dtype=torch.int64)
    sums = torch.zeros(HISTOGRAM_BINS + 2, dtype=torch.float64)
    nan = torch.zeros((), dtype=torch.int64)
    _add_to_bins(values, counts, sums, nan)
    low, high = _wider((math.inf, -math.inf), values)
    return Histogram(counts.numpy(), sums.numpy(), int(nan), *((low, high) if low <= high else (math.nan, math.nan)))


def _add_to_bins(values: Tensor, counts: Tensor, sums: Tensor, nan: Tensor) -> None:
    values = values.double()
    is_nan = values.isnan()
    if bool(is_nan.any()):
        nan += int(is_nan.sum())
        values = values[~is_nan]
    # the leading bits of a float64 are its logarithm in steps: no logarithm is rounded, and bins nest exactly
    bin_index = (values.clamp(min=0.0).view(torch.int64) >> _MANTISSA_SHIFT) - (_FIRST_BIN - 1)
    bin_index = bin_index.clamp(0, HISTOGRAM_BINS + 1)
    counts.index_add_(0, bin_index, torch.ones_like(bin_index))
    sums.index_add_(0, bin_index, values.where(values.isfinite(), 0.0))


def _wider(extremes: tuple[float, float], values: Tensor) -> tuple[float, float]:
    values = values[~values.isnan()]
    if not len(values):
        return extremes
    low, high = values.aminmax()
    return min(extremes[0], float(low)), max(extremes[1], float(high))


def _reliability_bin(confidence: Tensor) -> Tensor:
    # (0, 1/15] is bin 0
    inner = torch.linspace(0, 1, RELIABILITY_BINS + 1, dtype=torch.float64, device=confidence.device)[1:-1]
    return torch.bucketize(confidence.double(), inner)


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
