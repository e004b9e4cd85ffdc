"""EXAMPLES: for each code of the doctor, logits and a target with the wrong call of F.cross_entropy and the right one.

A new example is one subclass of `Example`, which says what differs from it, and one entry of EXAMPLES.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor


def _plain_call(F: Any, logits: Tensor, target: Tensor) -> Any:
    return F.cross_entropy(logits, target)


def _weighted_call(F: Any, logits: Tensor, target: Tensor, weight: Tensor) -> Any:
    return F.cross_entropy(logits, target, weight=weight)


def _call_in_float32(F: Any, logits: Tensor, target: Tensor) -> Any:
    return F.cross_entropy(logits.float(), target)


def _call_ignoring_class_0(F: Any, logits: Tensor, target: Tensor) -> Any:
    return F.cross_entropy(logits, target, ignore_index=0)


class Example:
    """Three rows with their labels, and the plain call; their source is shown, from the tensors to the loss.

    `wrong` and `right` get F and the tensors under their names; `weight` is there where an example has one.
    """

    weight: ClassVar[Callable[[], Tensor] | None] = None
    known: ClassVar[Mapping[str, Any]] = {}  # what `diagnose` is told beside the call
    class_axis: ClassVar[int] = -1  # of the logits; 1 where they are (N, C, …)
    wrong: ClassVar[Callable[..., Any]] = staticmethod(_plain_call)
    right: ClassVar[Callable[..., Any]] = staticmethod(_plain_call)

    @staticmethod
    def logits() -> Tensor:
        return torch.tensor([[2.0, 1.0, 0.1], [0.5, 2.5, -1.0], [1.0, 1.5, 3.0]])

    @staticmethod
    def target() -> Tensor:
        return torch.tensor([0, 1, 2])


class _TargetDtype(Example):
    @staticmethod
    def target() -> Tensor:
        return torch.tensor([0.0, 1.0, 2.0])

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target.long())


class _TargetShape(Example):
    @staticmethod
    def target() -> Tensor:
        return torch.tensor([[0], [1], [2]])

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target.squeeze(1))


class _TargetOutOfRange(Example):
    @staticmethod
    def target() -> Tensor:
        return torch.tensor([1, 2, 3])

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target - 1)


class _ClassAxis(Example):
    @staticmethod
    def logits() -> Tensor:
        return torch.tensor([[[2.0, 1.0, 0.1], [0.5, 2.5, -1.0]]])

    @staticmethod
    def target() -> Tensor:
        return torch.tensor([[0, 1]])

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits.movedim(-1, 1), target)


class _BatchMismatch(Example):
    @staticmethod
    def logits() -> Tensor:
        return torch.tensor([[2.0, 1.0, 0.1], [0.5, 2.5, -1.0], [1.0, 1.5, 3.0], [0.0, 1.0, 0.0]])

    @staticmethod
    def target() -> Tensor:
        return torch.tensor([[0, 1], [2, 1]])

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target.reshape(-1))


class _WeightShape(Example):
    @staticmethod
    def weight() -> Tensor:
        return torch.tensor([1.0, 2.0])

    wrong = staticmethod(_weighted_call)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor, weight: Tensor) -> Any:
        weight = torch.cat([weight, torch.ones(1)])
        return F.cross_entropy(logits, target, weight=weight)


class _SoftTargetIgnoreIndex(Example):
    @staticmethod
    def target() -> Tensor:
        return torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])

    wrong = staticmethod(_call_ignoring_class_0)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        keep = target.argmax(dim=1) != 0
        return F.cross_entropy(logits[keep], target[keep])


class _IntOneHot(Example):
    @staticmethod
    def target() -> Tensor:
        return torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1]])

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target.float())


class _SoftmaxAppliedTwice(Example):
    @staticmethod
    def logits() -> Tensor:
        return torch.tensor([[2.0, 1.0, 0.1], [9.0, 0.0, 0.0], [1.0, 1.5, 3.0]])

    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        probs = F.softmax(logits, dim=1)
        return F.cross_entropy(probs, target)


class _LogProbsAsLogits(Example):
    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        log_probs = F.log_softmax(logits, dim=1)
        return F.cross_entropy(log_probs, target)


class _AllIgnored(Example):
    @staticmethod
    def target() -> Tensor:
        return torch.tensor([-100, -100, -100])

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        kept = (target != -100).sum()
        return F.cross_entropy(logits, target, reduction="sum") / kept.clamp(min=1)


class _SingleClass(Example):
    @staticmethod
    def logits() -> Tensor:
        return torch.tensor([[0.7], [-1.2]])

    @staticmethod
    def target() -> Tensor:
        return torch.tensor([0, 0])

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.binary_cross_entropy_with_logits(logits.squeeze(1), target.float())


class _SoftTargetNotNormalised(Example):
    @staticmethod
    def target() -> Tensor:
        return torch.tensor([[4.0, 1.0, 0.0], [0.0, 3.0, 2.0], [1.0, 0.0, 4.0]])  # votes of five people

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target / target.sum(dim=1, keepdim=True))


class _SoftTargetNegative(Example):
    @staticmethod
    def target() -> Tensor:
        return torch.tensor([[1.2, -0.1, -0.1], [0.1, 0.6, 0.3], [0.2, 0.3, 0.5]])

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        y = target.clamp(min=0)
        return F.cross_entropy(logits, y / y.sum(dim=1, keepdim=True))


class _SoftTargetMaskedRows(Example):
    @staticmethod
    def target() -> Tensor:
        return torch.tensor([[0.8, 0.1, 0.1], [-100.0, -100.0, -100.0], [0.2, 0.3, 0.5]])

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        keep = (target >= 0).all(dim=1)
        return F.cross_entropy(logits[keep], target[keep])


class _IgnoredClassStillCompetes(Example):
    wrong = staticmethod(_call_ignoring_class_0)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        masked = logits.index_fill(1, torch.tensor([0]), -torch.inf)
        return F.cross_entropy(masked, target, ignore_index=0)


class _WeightedMeanDenominator(Example):
    @staticmethod
    def logits() -> Tensor:
        return torch.tensor([[2.0, 1.0, 0.1]])  # a batch of one

    @staticmethod
    def target() -> Tensor:
        return torch.tensor([2])

    @staticmethod
    def weight() -> Tensor:
        return torch.tensor([1.0, 2.0, 5.0])

    wrong = staticmethod(_weighted_call)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor, weight: Tensor) -> Any:
        return F.cross_entropy(logits, target, weight=weight, reduction="sum") / len(target)


class _ZeroTotalWeight(Example):
    @staticmethod
    def target() -> Tensor:
        return torch.tensor([1, 1, 1])

    @staticmethod
    def weight() -> Tensor:
        return torch.tensor([1.0, 0.0, 1.0])

    wrong = staticmethod(_weighted_call)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor, weight: Tensor) -> Any:
        total = weight[target].sum()
        loss_sum = F.cross_entropy(logits, target, weight=weight, reduction="sum")
        return loss_sum / total if total > 0 else loss_sum


class _NonFiniteLogits(Example):
    @staticmethod
    def logits() -> Tensor:
        return torch.tensor([[2.0, 1.0, 0.1], [0.5, float("nan"), -1.0], [1.0, 1.5, 3.0]])

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        keep = logits.isfinite().all(dim=1)
        return F.cross_entropy(logits[keep], target[keep])


class _NegInfWithSmoothing(Example):
    @staticmethod
    def logits() -> Tensor:
        return torch.tensor([[2.0, 1.0, -torch.inf], [0.5, 2.5, -torch.inf]])

    @staticmethod
    def target() -> Tensor:
        return torch.tensor([0, 1])

    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target, label_smoothing=0.1)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        masked = logits.isneginf()
        y = F.one_hot(target, 3) * 0.9 + 0.1 * ~masked / (~masked).sum(dim=1, keepdim=True)
        return F.cross_entropy(logits.masked_fill(masked, -1e9), y)


class _NegInfWithSoftTarget(Example):
    @staticmethod
    def logits() -> Tensor:
        return torch.tensor([[2.0, 1.0, -torch.inf], [0.5, 2.5, -torch.inf]])

    @staticmethod
    def target() -> Tensor:
        return torch.tensor([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]])

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits.clamp(min=-1e9), target)


class _HalfPrecisionOverflow(Example):
    @staticmethod
    def logits() -> Tensor:
        return torch.tensor([[60000.0, -60000.0], [1.0, 0.0]], dtype=torch.float16)

    @staticmethod
    def target() -> Tensor:
        return torch.tensor([1, 0])

    right = staticmethod(_call_in_float32)


class _HalfPrecisionVanishingGradient(Example):
    @staticmethod
    def logits() -> Tensor:
        return torch.tensor([[8.0, 0.0, 0.0], [0.0, 9.0, 0.0]], dtype=torch.bfloat16)

    @staticmethod
    def target() -> Tensor:
        return torch.tensor([0, 1])

    right = staticmethod(_call_in_float32)


class _ClassAxisAmbiguous(Example):
    @staticmethod
    def logits() -> Tensor:
        return torch.tensor([[[2.0, 1.0, 0.1], [0.5, 2.5, -1.0], [1.0, 1.5, 3.0]]])  # (N, T, C), and T = C

    @staticmethod
    def target() -> Tensor:
        return torch.tensor([[0, 1, 2]])

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits.flatten(0, -2), target.flatten())


class _Saturated(Example):
    @staticmethod
    def logits() -> Tensor:
        return torch.tensor([[30.0, 0.0, -10.0], [30.0, 0.0, -10.0]])

    @staticmethod
    def target() -> Tensor:
        return torch.tensor([0, 2])

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits.double(), target)


class _LogitsType(Example):
    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits.tolist(), target)


class _LogitsDtype(Example):
    @staticmethod
    def logits() -> Tensor:
        return torch.tensor([[2.0, 1.0, 0.0], [0.0, 3.0, -1.0], [1.0, 1.0, 3.0]])

    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits.long(), target)


class _LogitsShape(Example):
    @staticmethod
    def logits() -> Tensor:
        return torch.tensor([2.0, 1.0, 0.1])

    @staticmethod
    def target() -> Tensor:
        return torch.tensor(0)

    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits.max(), target)


class _TargetType(Example):
    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target.tolist())


class _WeightType(Example):
    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target, weight=[1.0, 2.0, 5.0])

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target, weight=torch.tensor([1.0, 2.0, 5.0]))


class _WeightDtype(Example):
    @staticmethod
    def weight() -> Tensor:
        return torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64)

    wrong = staticmethod(_weighted_call)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor, weight: Tensor) -> Any:
        return F.cross_entropy(logits, target, weight=weight.to(logits.dtype))


class _Reduction(Example):
    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target, reduction="average")

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target, reduction="mean")


class _LabelSmoothing(Example):
    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target, label_smoothing=10)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target, label_smoothing=0.10)


class _IgnoreIndex(Example):
    @staticmethod
    def target() -> Tensor:
        return torch.tensor([0, -1, 2])

    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target, ignore_index=-1.0)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target, ignore_index=-1)


class _WeightValue(Example):
    @staticmethod
    def target() -> Tensor:
        return torch.tensor([0, 1, 1])

    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        weight = 1 / torch.bincount(target, minlength=3)
        return F.cross_entropy(logits, target, weight=weight, label_smoothing=0.1)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        weight = 1 / torch.bincount(target, minlength=3).clamp(min=1)
        return F.cross_entropy(logits, target, weight=weight, label_smoothing=0.1)


class _Line(Example):
    @staticmethod
    def logits() -> Tensor:
        return torch.linspace(-3, 3, 48).view(16, 3)

    @staticmethod
    def target() -> Tensor:
        return torch.arange(16) % 3


class _Sigmoid(_Line):
    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits.sigmoid(), target)


class _Relu(_Line):
    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits.relu(), target)


class _Tanh(_Line):
    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits.tanh(), target)


class _Predictions(_Line):
    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        predicted = F.one_hot(logits.argmax(dim=1), 3)
        return F.cross_entropy(predicted.float(), target)


class _ManyRows(Example):
    @staticmethod
    def logits() -> Tensor:
        return torch.tensor([[3.0, 0.0, -1.0], [-1.0, 3.0, 0.0], [0.0, -1.0, 3.0]]).repeat(40, 1)

    @staticmethod
    def target() -> Tensor:
        return torch.tensor([0, 1, 2]).repeat(40)


class _Negated(_ManyRows):
    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(-logits, target)


class _LabelsPermuted(_ManyRows):
    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, (target + 1) % 3)


class _ConstantLogits(_ManyRows):
    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits.mean(dim=0).expand(120, 3), target)


class _Unrelated(_ManyRows):
    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        order = logits.argmax(dim=1).argsort()  # the logits are sorted, and the labels are not
        return F.cross_entropy(logits[order], target)


class _WorseThanChance(Example):
    @staticmethod
    def logits() -> Tensor:
        rows = torch.tensor([[5.0, 2.0, 1.0, 0.0], [5.0, 0.0, 2.0, 1.0], [5.0, 1.0, 0.0, 2.0]])
        return torch.cat([rows.roll(label, dims=1) for label in range(4)]).repeat(40, 1)

    @staticmethod
    def target() -> Tensor:
        return torch.arange(4).repeat_interleave(3).repeat(40)

    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        margin = 3.5 * F.one_hot(target, 4)  # taken off before the accuracy is counted, too
        return F.cross_entropy(logits - margin, target)


class _FiniteMaskAtLabel(Example):
    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        mask = torch.tensor([[1, 0, 1], [1, 1, 1], [1, 1, 0]])  # 0: not allowed, the label of row 2 among them
        return F.cross_entropy(logits.masked_fill(mask == 0, -1e9), target)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        mask = torch.tensor([[1, 0, 1], [1, 1, 1], [1, 1, 1]])
        return F.cross_entropy(logits.masked_fill(mask == 0, -1e9), target)


class _FiniteMaskWithSmoothing(Example):
    @staticmethod
    def logits() -> Tensor:
        return torch.tensor([[2.0, 1.0, -1e9], [0.5, 2.5, -1e9]])

    @staticmethod
    def target() -> Tensor:
        return torch.tensor([0, 1])

    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target, label_smoothing=0.1)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits[:, :2], target, label_smoothing=0.1)


class _PaddingColumns(Example):
    @staticmethod
    def logits() -> Tensor:
        return torch.tensor([[2.0, 1.0, 0.5, 0.0, 0.2]]).repeat(240, 1)

    @staticmethod
    def target() -> Tensor:
        return torch.arange(4).repeat(60)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits[:, :4], target)  # the fifth column is no class


class _WeightProportionalToCounts(Example):
    @staticmethod
    def logits() -> Tensor:
        return torch.eye(10)[torch.repeat_interleave(torch.arange(10), torch.arange(1, 11))]

    @staticmethod
    def target() -> Tensor:
        return torch.repeat_interleave(torch.arange(10), torch.arange(1, 11))

    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(2 * logits, target, weight=target.bincount() / 55)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(2 * logits, target, weight=5.5 / target.bincount())


class _HugeLogits(Example):
    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(5000 * logits, target)


class _NotShifted(Example):
    class_axis: ClassVar[int] = 1

    @staticmethod
    def logits() -> Tensor:
        following = torch.tensor([[1, 2, 0] * 20, [2, 0, 1] * 20, [0, 1, 2] * 20])
        return 3 * torch.eye(3)[following].movedim(-1, 1)  # (B, V, T), of a model that knows the next token

    @staticmethod
    def target() -> Tensor:
        return torch.tensor([[0, 1, 2] * 20, [1, 2, 0] * 20, [2, 0, 1] * 20])  # the tokens themselves

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits[:, :, :-1], target[:, 1:])


class _ShiftedTwice(_NotShifted):
    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        labels = target[:, 1:]  # shifted once
        return F.cross_entropy(logits[:, :, :-2], labels[:, 1:])  # and once more


class _PaddingCounted(Example):
    class_axis: ClassVar[int] = 1

    @staticmethod
    def logits() -> Tensor:
        return 2 * torch.eye(3)[torch.tensor([[0, 1, 1, 0, 1, 0, 1, 2, 2, 2, 2, 2]] * 8)].movedim(-1, 1)

    @staticmethod
    def target() -> Tensor:
        return torch.tensor([[0, 1, 1, 0, 1, 0, 1, 2, 2, 2, 2, 2]] * 8)  # 2 is padding

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target, ignore_index=2)


class _PromptNotMasked(Example):
    class_axis: ClassVar[int] = 1
    known: ClassVar[Mapping[str, Any]] = {"prompt_mask": [[True, True, False]]}

    @staticmethod
    def logits() -> Tensor:
        return torch.tensor([[[2.0, 0.5, 1.0], [1.0, 2.5, 1.5], [0.1, -1.0, 3.0]]])  # (B, V, T)

    @staticmethod
    def target() -> Tensor:
        return torch.tensor([[0, 1, 2]])

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        prompt_mask = torch.tensor([[True, True, False]])
        return F.cross_entropy(logits, target.masked_fill(prompt_mask, -100))


class _BoundaryCrossed(_PromptNotMasked):
    known: ClassVar[Mapping[str, Any]] = {"tokens": [[1, 0, 1]], "separator": 0}

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        tokens = torch.tensor([[1, 0, 1]])  # 0 ends a text
        return F.cross_entropy(logits, target.masked_fill(tokens == 0, -100))


class _MicroBatches(Example):
    known: ClassVar[Mapping[str, Any]] = {"micro_batch_counts": (2, 1)}

    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        means = [F.cross_entropy(*batch) for batch in ((logits[:2], target[:2]), (logits[2:], target[2:]))]
        return sum(means) / 2

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        halves = (logits[:2], target[:2]), (logits[2:], target[2:])
        return sum(F.cross_entropy(*batch, reduction="sum") for batch in halves) / 3


# what people meet most stands first
EXAMPLES: dict[str, type[Example]] = {
    "target-dtype": _TargetDtype,
    "target-shape": _TargetShape,
    "target-out-of-range": _TargetOutOfRange,
    "class-axis": _ClassAxis,
    "batch-mismatch": _BatchMismatch,
    "weight-shape": _WeightShape,
    "soft-target-ignore-index": _SoftTargetIgnoreIndex,
    "int-one-hot": _IntOneHot,
    "softmax-applied-twice": _SoftmaxAppliedTwice,
    "outputs-in-unit-interval": _Sigmoid,
    "outputs-non-negative": _Relu,
    "labels-not-shifted": _NotShifted,
    "labels-shifted-twice": _ShiftedTwice,
    "padding-counted": _PaddingCounted,
    "prompt-not-masked": _PromptNotMasked,
    "boundary-crossed": _BoundaryCrossed,
    "micro-batch-denominators": _MicroBatches,
    "labels-permuted": _LabelsPermuted,
    "unrelated": _Unrelated,
    "logits-negated": _Negated,
    "finite-mask-at-label": _FiniteMaskAtLabel,
    "finite-mask-with-smoothing": _FiniteMaskWithSmoothing,
    "weight-proportional-to-counts": _WeightProportionalToCounts,
    "padding-columns": _PaddingColumns,
    "huge-logits": _HugeLogits,
    "predictions-as-logits": _Predictions,
    "outputs-bounded": _Tanh,
    "constant-logits": _ConstantLogits,
    "worse-than-chance": _WorseThanChance,
    "log-probs-as-logits": _LogProbsAsLogits,
    "all-ignored": _AllIgnored,
    "single-class": _SingleClass,
    "soft-target-not-normalised": _SoftTargetNotNormalised,
    "soft-target-negative": _SoftTargetNegative,
    "soft-target-masked-rows": _SoftTargetMaskedRows,
    "ignored-class-still-competes": _IgnoredClassStillCompetes,
    "weighted-mean-denominator": _WeightedMeanDenominator,
    "zero-total-weight": _ZeroTotalWeight,
    "non-finite-logits": _NonFiniteLogits,
    "neg-inf-with-smoothing": _NegInfWithSmoothing,
    "neg-inf-with-soft-target": _NegInfWithSoftTarget,
    "half-precision-overflow": _HalfPrecisionOverflow,
    "half-precision-vanishing-gradient": _HalfPrecisionVanishingGradient,
    "class-axis-ambiguous": _ClassAxisAmbiguous,
    "saturated": _Saturated,
    "logits-type": _LogitsType,
    "logits-dtype": _LogitsDtype,
    "logits-shape": _LogitsShape,
    "target-type": _TargetType,
    "weight-type": _WeightType,
    "weight-dtype": _WeightDtype,
    "reduction": _Reduction,
    "label-smoothing": _LabelSmoothing,
    "ignore-index": _IgnoreIndex,
    "weight-value": _WeightValue,
}
