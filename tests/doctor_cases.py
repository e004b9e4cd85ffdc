"""The table of the doctor: for each code, inputs that must raise it, and near misses that must not."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from xent_core.doctor.symptoms.denominator import WEIGHT_TOLERANCE
from xent_core.probability_tolerances import NEGATIVE_TOLERANCE, SUM_TOLERANCE

INF, NAN = math.inf, math.nan
T = torch.tensor
GENERATOR = torch.Generator().manual_seed(0)
Z = T([[2.0, 1.0, 0.1], [0.5, 2.5, -1.0], [1.0, 1.5, 3.0]])
Y = T([0, 1, 2])
EYE = torch.eye(3)
SOFT = T([[0.8, 0.1, 0.1], [0.1, 0.6, 0.3], [0.2, 0.3, 0.5]])
MANY = torch.randn(64, 10, generator=GENERATOR)
MANY_LABELS = torch.randint(0, 10, (64,), generator=GENERATOR)
CUBE = torch.randn(2, 4, 5, generator=GENERATOR)  # (N, C, T)
SQUARE = torch.randn(2, 5, 5, generator=GENERATOR)
CUBE_LABELS, SQUARE_LABELS = T([[0, 1, 2, 3, 0]] * 2), T([[0, 1, 2, 3, 4]] * 2)
IMAGES, IMAGE_LABELS = torch.randn(1, 3, 2, 4, generator=GENERATOR), T([[[0, 1, 2, 0], [1, 1, 2, 2]]])
MASKED = T([[2.0, 1.0, -INF], [0.5, -INF, 1.5], [1.0, 2.0, 3.0]])
MASKED_LABELS = T([0, 2, 2])


class Call(NamedTuple):
    """The arguments of one call of F.cross_entropy."""

    logits: Any
    target: Any
    options: dict[str, Any]


class Case(NamedTuple):
    """A code, what raises it, and what comes near without raising it."""

    code: str
    severity: str
    raises: Sequence[Call]  # the fix, executed, makes the finding go away
    near: Sequence[Call]
    stays: Sequence[Call] = ()  # raises it too, but the fix only shows where to look, or is another loss


def call(logits: Any, target: Any, **options: Any) -> Call:
    return Call(logits, target, options)


def at(values: Tensor, *place: int | slice, value: float) -> Tensor:
    changed = values.clone()
    changed[place] = value
    return changed


ERRORS = [
    Case(
        "logits-type",
        "error",
        [call([Z[0], Z[1], Z[2]], Y), call((CUBE[0], CUBE[1]), CUBE_LABELS), call([Z], Y.unsqueeze(0))],
        [
            call(Z, Y),
            call([[1, 2, 3], [1, 2, 3]], [0, 1]),
            call(((1.0, 2.0), (3.0, -INF)), [0, 0]),
            call(np.float32([[1, 2, 3]]), [0]),
            call([1, 2, 3], 2),
        ],
        [call([[1, 2], [3]], [0, 1]), call("logits", [0]), call(None, [0]), call([Z[0], Z[1, :2]], [0, 1])],
    ),
    Case(
        "logits-dtype",
        "error",
        [
            call(Z.long(), Y),
            call(Z > 1, Y),
            call(Z.to_sparse(), Y),
            call([[1j, 2j]], [0]),
            call(Z.to(torch.float8_e4m3fn), Y),
        ],
        [
            call(Z.double(), Y),
            call(Z.half(), Y),
            call(Z.bfloat16(), Y),
            call(Z.long().numpy(), Y),  # integers in NumPy arrays and lists are read as float32
            call(Z.to_sparse().to_dense(), Y),
        ],
    ),
    Case(
        "logits-shape",
        "error",
        [call(1.0, 0), call(T(1.0), T(0)), call(T(1.0).double(), T([0]))],
        [
            call(T([1.0]), T(0)),
            call(T([[1.0]]), T([0])),
            call(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64)),
            call(torch.zeros(2, 3, 0), torch.zeros(2, 0, dtype=torch.int64)),
            call(torch.zeros(2, 3, 2, 1, 2), torch.zeros(2, 2, 1, 2, dtype=torch.int64)),
        ],
        [call(torch.zeros(2, 0, 3), torch.full((2, 3), -100))],
    ),
    Case(
        "target-type",
        "error",
        [
            call(Z, [EYE[0], EYE[1], EYE[2]]),
            call(CUBE, [CUBE_LABELS[0], CUBE_LABELS[1]]),
            call(Z, (SOFT[0], SOFT[1], SOFT[2])),
        ],
        [
            call(Z, [0, 1, 2]),
            call(Z, [T(0), T(1), T(2)]),
            call(Z, np.array([0, 1, 2])),
            call(Z, [[1.0, 0.0, 0.0]] * 3),
            call(Z[0], 2),
        ],
        [call(Z, "labels"), call(Z, [[1], [1, 2]]), call(Z, None)],
    ),
    Case(
        "target-dtype",
        "error",
        [
            call(Z, Y.float()),
            call(Z, Y.int()),
            call(Z, [0.0, 1.0, 2.0]),
            call(CUBE, CUBE_LABELS.to(torch.uint8)),
            call(Z, Y.to_sparse()),
            call(Z, Y.to(torch.uint8), weight=torch.ones(3), label_smoothing=0.1),
        ],
        [
            call(Z, Y),
            call(Z, Y.to(torch.uint8)),
            call(Z, Y.to(torch.uint8), weight=torch.ones(3), label_smoothing=0.1, reduction="sum"),
            call(Z, EYE.double()),
            call(Z, SOFT.half()),
        ],
    ),
    Case(
        "target-shape",
        "error",
        [
            call(Z, Y.unsqueeze(1)),
            call(Z, Y.unsqueeze(0)),
            call(CUBE, CUBE_LABELS.unsqueeze(1)),
            call(CUBE, CUBE.softmax(1).movedim(1, -1)),
        ],
        [
            call(Z, Y),
            call(Z[0], T(2)),
            call(Z, EYE),
            call(CUBE, CUBE_LABELS),
            call(CUBE, CUBE.softmax(1)),
            call(IMAGES, IMAGE_LABELS),
        ],
        [call(torch.zeros(3), [0, 1]), call(Z, EYE[:, :2])],
    ),
    Case(
        "target-out-of-range",
        "error",
        [
            call(Z, [1, 2, 3]),  # 1…C
            call(CUBE, CUBE_LABELS + 1),
            call(Z, [1, -100, 3]),
            call(Z, [0, 1, -1]),  # marks that were not declared
            call(Z, [255, 1, 255]),
            call(IMAGES, at(IMAGE_LABELS, 0, 0, 0, value=255)),
            call(Z, [0, -100, 1], ignore_index=-1),
        ],
        [
            call(Z, [0, 2, 2]),
            call(Z, [1, 2, 2]),
            call(Z, [0, -100, 1]),
            call(Z, [0, -1, 1], ignore_index=-1),
            call(Z, [0, 255, 1], ignore_index=255),
            call(Z, [0, 3, 1], ignore_index=3),
        ],
        [
            call(Z, [0, 1, 3]),
            call(Z[:1], [3]),  # one label is no sign of 1…C
            call(Z, [0, 2, -7]),
            call(Z, [-1, 0, 255]),
            call(torch.zeros(2, 0), [0, 0]),
        ],
    ),
    Case(
        "class-axis",
        "error",
        [
            call(CUBE.movedim(1, -1), CUBE_LABELS),
            call(IMAGES.movedim(1, -1), IMAGE_LABELS),
            call(np.zeros((1, 7, 2)), np.zeros((1, 7), np.int64)),
            call(CUBE.movedim(1, -1), CUBE_LABELS, reduction="none", label_smoothing=0.1),
        ],
        [
            call(CUBE, CUBE_LABELS),
            call(CUBE.movedim(1, -1).flatten(0, 1), CUBE_LABELS.flatten()),
            call(CUBE.movedim(1, -1), CUBE.movedim(1, -1).softmax(1)),
            call(SQUARE, SQUARE_LABELS),  # fits either way: class-axis-ambiguous
            call(IMAGES, IMAGE_LABELS),
        ],
    ),
    Case(
        "batch-mismatch",
        "error",
        [
            call(MANY[:4].T, MANY_LABELS[:4]),  # classes first
            call(MANY[:4], MANY[:4].softmax(1).T),
            call(CUBE.movedim(1, -1).flatten(0, 1), CUBE_LABELS),  # only the logits were flattened
            call(CUBE.movedim(1, -1), CUBE_LABELS.flatten()),
        ],
        [
            call(Z, Y),
            call(Z[:1], Y[:1]),
            call(Z.T, Y),  # as many classes as rows
            call(CUBE, CUBE_LABELS),
            call(CUBE.movedim(1, -1).flatten(0, 1), CUBE_LABELS.flatten()),
        ],
        [call(Z, [0, 1]), call(Z, [0, 1, 2, 0]), call(CUBE, T([[0, 1, 2, 3, 0]] * 3))],
    ),
    Case(
        "int-one-hot",
        "error",
        [call(Z, EYE.long()), call(Z, [[1, 0, 0]] * 3), call(Z, np.eye(3, dtype=bool)), call(Z[0], T([0, 0, 1]))],
        [
            call(Z, EYE),
            call(Z, [[1.0, 0, 0]] * 3),
            call(Z, EYE.bfloat16()),
            call(Z, EYE.long().argmax(1)),
            call(CUBE, CUBE_LABELS),
        ],
    ),
    Case(
        "soft-target-ignore-index",
        "error",
        [
            call(Z, EYE, ignore_index=0),
            call(Z, SOFT, ignore_index=255),
            call(EYE[0], EYE[2], ignore_index=2),
            call(CUBE, CUBE.softmax(1), ignore_index=3),
        ],
        [
            call(Z, SOFT),
            call(Z, EYE, ignore_index=-1),
            call(Z, Y, ignore_index=0),
            call(Z, Y, ignore_index=255),
        ],
    ),
    Case(
        "weight-type",
        "error",
        [
            call(Z, Y, weight=[T([1.0, 2.0, 3.0])]),
            call(CUBE, CUBE_LABELS, weight=(T([1.0, 2.0]), T([3.0, 4.0]))),
            call(Z, SOFT, weight=[T([1.0, 2.0, 3.0])]),
        ],
        [
            call(Z, Y, weight=None),
            call(Z, Y, weight=[1, 2, 3]),
            call(Z, Y, weight=(0.5, 1.0, 1.5)),
            call(Z, Y, weight=np.float32([1, 2, 3])),
        ],
        [call(Z, Y, weight="balanced"), call(Z, Y, weight=[[1], [1, 2]]), call(Z, Y, weight={0: 1.0})],
    ),
    Case(
        "weight-shape",
        "error",
        [
            call(Z, Y, weight=2.0),
            call(Z, Y, weight=torch.ones(3, 1)),
            call(Z, SOFT, weight=T([2.0])),
            call(Z, Y, weight=torch.ones(1, 3)),
        ],
        [
            call(Z, Y, weight=[1, 1, 1]),
            call(CUBE, CUBE_LABELS, weight=torch.ones(4)),
            call(T([[0.3], [0.4]]), T([0, 0]), weight=[2.0]),
            call(Z[0], T(2), weight=torch.ones(3)),
        ],
        [call(Z, Y, weight=[1, 1]), call(Z, Y, weight=[1, 1, 1, 1])],
    ),
    Case(
        "weight-dtype",
        "error",
        [
            call(Z, Y, weight=torch.ones(3, dtype=torch.float64)),
            call(Z, Y, weight=np.ones(3)),
            call(Z, Y, weight=torch.ones(3, dtype=torch.int64)),
            call(Z, EYE, weight=torch.ones(3).to_sparse()),
            call(Z.half(), Y, weight=torch.ones(3)),
        ],
        [
            call(Z, Y, weight=torch.ones(3)),
            call(Z.double(), Y, weight=np.ones(3)),
            call(Z, Y, weight=[1, 1, 1]),
            call(Z, EYE, weight=torch.ones(3, dtype=torch.int64)),  # probabilities take any
        ],
    ),
    Case(
        "reduction",
        "error",
        [call(Z, Y, reduction="average"), call(Z, Y, reduction=None), call(Z, SOFT, reduction="Mean")],
        [call(Z, Y, reduction="mean"), call(Z, Y, reduction="sum"), call(Z, Y, reduction="none")],
    ),
    Case(
        "label-smoothing",
        "error",
        [
            call(Z, Y, label_smoothing=1.1),
            call(Z, Y, label_smoothing="0.1"),
            call(Z, SOFT, label_smoothing=INF),
            call(Z, Y, label_smoothing=math.nextafter(1, 2)),
        ],
        [
            call(Z, Y, label_smoothing=1),
            call(Z, Y, label_smoothing=0),
            call(Z, Y, label_smoothing=-0.1),  # PyTorch takes it for 0
            call(Z, Y, label_smoothing=np.float32(0.1)),
        ],
    ),
    Case(
        "ignore-index",
        "error",
        [
            call(Z, Y, ignore_index=2**63),
            call(Z, Y, ignore_index="-100"),
            call(Z, Y, ignore_index=-100.0),
            call(Z, SOFT, ignore_index=None),
        ],
        [
            call(Z, Y, ignore_index=2**63 - 1),
            call(Z, Y, ignore_index=-(2**63)),
            call(Z, Y, ignore_index=np.int64(-1)),
            call(Z, Y, ignore_index=T(7)),
        ],
    ),
]

# PyTorch is silent
SYMPTOMS = [
    Case(
        "softmax-applied-twice",
        "warning",
        [
            call(Z.softmax(1), Y),
            call(MANY.softmax(1).half(), MANY_LABELS),
            call(CUBE.softmax(1), CUBE_LABELS),
            call(EYE, Y),
            call(Z[0].softmax(0), T(1)),
            call(at(Z.softmax(1), 1, value=7.0), T([0, -100, 2])),
            call(Z.softmax(1) * (1 + 0.5 * SUM_TOLERANCE), Y),
        ],
        [
            call(Z, Y),
            call(Z.sigmoid(), Y),
            call(Z.softmax(1) * (1 + 2 * SUM_TOLERANCE), Y),
            call(at(Z.softmax(1), 1, value=7.0), Y),
            call(CUBE.softmax(2), CUBE_LABELS),
            call(Z.softmax(1) - 0.3, Y),
        ],
    ),
    Case(
        "log-probs-as-logits",
        "note",
        [],
        [
            call(Z, Y),
            call(-Z.abs(), Y),
            call(Z.log_softmax(1) + math.log(1 + 2 * SUM_TOLERANCE), Y),
            call(Z.log_softmax(1) + math.log(1 - 2 * SUM_TOLERANCE), Y),
            call(CUBE.log_softmax(2), CUBE_LABELS),
        ],
        [
            call(Z.log_softmax(1), Y),
            call(MANY.log_softmax(1).bfloat16(), MANY_LABELS),
            call(CUBE.log_softmax(1), CUBE_LABELS),
            call(Z[0].log_softmax(0), T(1)),
            call(MASKED.log_softmax(1), MASKED_LABELS),
            call(Z.log_softmax(1) + math.log(1 + 0.5 * SUM_TOLERANCE), Y),
            call(Z.log_softmax(1) + math.log(1 - 0.5 * SUM_TOLERANCE), Y),
        ],
    ),
    Case(
        "all-ignored",
        "warning",
        [
            call(Z, T([-100] * 3)),
            call(Z, T([1] * 3), ignore_index=1),
            call(CUBE, torch.full((2, 5), -1), ignore_index=-1),
            call(Z[0], T(-100)),
            call(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64)),
            call(torch.zeros(2, 0), T([-100, -100])),
        ],
        [call(Z, T([-100, -100, 0])), call(Z, EYE, ignore_index=-1), call(Z, Y, ignore_index=7)],
    ),
    Case(
        "single-class",
        "warning",
        [],
        [call(torch.zeros(1, 2), T([0])), call(Z[:1], T([0])), call(torch.zeros(2, 2, 1), torch.zeros(2, 1).long())],
        [
            call(T([[1.0], [2.0]]), T([0, 0])),
            call(T([[1.0], [2.0]]), T([[1.0], [1.0]])),
            call(torch.zeros(2, 1, 4), torch.zeros(2, 4, dtype=torch.int64)),
            call(T([3.0]), T(0)),
        ],
    ),
    Case(
        "class-axis-ambiguous",
        "warning",
        [
            call(SQUARE, SQUARE_LABELS),
            call(torch.randn(3, 2, 2, generator=GENERATOR), T([[0, 1]] * 3)),
            call(torch.randn(1, 3, 3, 3, generator=GENERATOR), torch.ones(1, 3, 3, dtype=torch.int64)),
            call(SQUARE, SQUARE_LABELS, reduction="none"),
        ],
        [
            call(CUBE, CUBE_LABELS),
            call(torch.randn(5, 5, generator=GENERATOR), T([0, 1, 2, 3, 4])),
            call(torch.randn(1, 3, 3, 2, generator=GENERATOR), torch.ones(1, 3, 2, dtype=torch.int64)),
            call(SQUARE, SQUARE.softmax(1)),
        ],
    ),
    Case(
        "soft-target-not-normalised",
        "warning",
        [
            call(Z, SOFT * 2),
            call(Z, at(SOFT, 1, 1, value=0.61)),
            call(Z[0], T([0.5, 0.5, 0.5])),
            call(CUBE, CUBE.softmax(2)),
            call(Z, at(SOFT, 1, 1, value=NAN)),
            call(Z, torch.ones(3, 3)),
            call(Z, SOFT * (1 + 2 * SUM_TOLERANCE)),
        ],
        [
            call(Z, SOFT),
            call(Z, SOFT * (1 + 0.5 * SUM_TOLERANCE)),
            call(Z, SOFT.bfloat16()),
            call(CUBE, CUBE.softmax(1)),
            call(Z, EYE),
        ],
    ),
    Case(
        "soft-target-negative",
        "warning",
        [
            call(Z, T([[1.2, -0.1, -0.1]] * 3)),
            call(Z[0], T([1.5, -0.5, 0.0])),
            call(CUBE, at(CUBE.softmax(1), 0, 0, 0, value=-1e-3)),
            call(Z, at(SOFT, 0, 0, value=-2 * NEGATIVE_TOLERANCE)),
        ],
        [
            call(Z, SOFT),
            call(Z, at(EYE, 0, 1, value=-0.5 * NEGATIVE_TOLERANCE)),
            call(Z, at(EYE, 0, 1, value=-0.0)),
            call(-Z, EYE),
        ],
    ),
    Case(
        "soft-target-masked-rows",
        "warning",
        [
            call(Z, at(SOFT, 1, value=-100.0)),
            call(Z, at(SOFT, 2, value=0.0)),
            call(Z, at(SOFT, 0, value=-1.0)),
            call(Z, at(SOFT, 0, value=-7.0), ignore_index=-7, reduction="sum"),
            call(Z, at(SOFT, 2, value=0.0), reduction="none", label_smoothing=0.1),
            call(CUBE.movedim(1, -1), at(CUBE.movedim(1, -1).softmax(1), 0, slice(None), 1, value=0.0)),
        ],
        [
            call(Z, SOFT),
            call(Z, torch.full((3, 3), 1 / 3)),
            call(Z, at(SOFT, 2, value=0.0), reduction="sum"),
            call(Z, at(SOFT, 2, value=0.0), reduction="none"),
            call(Z, at(EYE, 0, 0, value=0.999)),
        ],
    ),
    Case(
        "ignored-class-still-competes",
        "note",
        [
            call(Z, Y, ignore_index=0),
            call(Z, T([1, 1, 1]), ignore_index=2),
            call(CUBE, CUBE_LABELS, ignore_index=3),
            call(Z[0], T(1), ignore_index=0),
        ],
        [
            call(Z, Y, ignore_index=3),
            call(Z, T([-1, 0, 1]), ignore_index=-1),
            call(Z, T([-100, 0, 1])),
            call(at(Z, slice(None), 0, value=-INF), T([0, 1, 2]), ignore_index=0),
        ],
    ),
    Case(
        "weighted-mean-denominator",
        "note",
        [
            call(Z, Y, weight=T([1.0, 2.0, 3.0])),
            call(Z, Y, weight=T([2.0, 2.0, 2.0])),
            call(CUBE, CUBE_LABELS, weight=T([1.0, 1.0, 1.0, 4.0])),
            call(MANY, MANY_LABELS, weight=torch.linspace(0.1, 1, 10)),
            call(Z, Y, weight=torch.ones(3) * (1 + 2 * WEIGHT_TOLERANCE)),
        ],
        [
            call(Z, Y, weight=torch.ones(3)),
            call(Z, Y, weight=torch.ones(3) * (1 + 0.5 * WEIGHT_TOLERANCE)),
            call(Z, Y, weight=T([1.0, 2.0, 3.0]), reduction="sum"),
            call(Z, SOFT, weight=T([1.0, 2.0, 3.0])),
            call(Z, T([1, 1, 1]), weight=T([5.0, 1.0, 5.0])),
        ],
    ),
    Case(
        "weighted-mean-denominator",
        "warning",
        [
            call(Z[:1], T([2]), weight=T([1.0, 2.0, 3.0])),
            call(Z, T([-100, 2, -100]), weight=T([1.0, 2.0, 3.0])),
            call(Z[0], T(1), weight=T([1.0, 10.0, 1.0])),
        ],
        [
            call(Z[:2], T([2, 1]), weight=T([1.0, 2.0, 3.0])),
            call(Z[:1], T([0]), weight=T([1.0, 2.0, 3.0])),
            call(Z[:1], T([2]), weight=T([1.0, 2.0, 3.0]), reduction="sum"),
            call(Z[:1], SOFT[:1], weight=T([1.0, 2.0, 3.0])),
        ],
    ),
    Case(
        "zero-total-weight",
        "warning",
        [
            call(Z, Y, weight=torch.zeros(3)),
            call(Z, T([1, 1, 1]), weight=T([1.0, 0.0, 1.0])),
            call(Z, T([-100, 0, -100]), weight=T([0.0, 1.0, 1.0])),
        ],
        [
            call(Z, Y, weight=T([0.0, 0.0, 1e-3])),
            call(Z, Y, weight=torch.zeros(3), reduction="sum"),
            call(Z, T([1, 1, 0]), weight=T([1.0, 0.0, 1.0])),
        ],
    ),
    Case(
        "weight-value",
        "warning",
        [
            call(Z, Y, weight=T([1.0, INF, 1.0])),
            call(Z, Y, weight=T([1.0, NAN, 1.0])),
            call(Z, SOFT, weight=T([1.0, -1.0, 1.0])),
        ],
        [
            call(Z, Y, weight=T([1.0, 0.0, 1.0])),
            call(Z, Y, weight=T([1.0, -0.0, 1.0])),
            call(Z, Y, weight=T([1.0, 1e30, 1e-30])),
        ],
    ),
    Case(
        "non-finite-logits",
        "warning",
        [
            call(at(Z, 1, 1, value=NAN), Y),
            call(at(Z, 1, 1, value=INF), Y),
            call(at(Z, 1, 1, value=-INF), Y),
            call(at(Z, 1, value=-INF), Y),
            call(at(CUBE, 1, 2, 3, value=NAN), CUBE_LABELS),
            call(at(Z, 1, 0, value=NAN), T([0, -100, 2])),
            call(at(Z, 2, 0, value=INF), SOFT),
        ],
        [call(MASKED, MASKED_LABELS), call(Z * 1e30, Y), call(at(Z, 1, 1, value=-INF), T([0, -100, 2]))],
    ),
    Case(
        "neg-inf-with-smoothing",
        "warning",
        [
            call(MASKED, MASKED_LABELS, label_smoothing=0.1),
            call(MASKED, MASKED_LABELS, label_smoothing=1e-6, reduction="none"),
            call(MASKED[0], T(1), label_smoothing=0.5),
            call(at(CUBE, 0, 3, 0, value=-INF), CUBE_LABELS, label_smoothing=0.1),
        ],
        [
            call(MASKED, MASKED_LABELS),
            call(MASKED, T([-100, -100, 2]), label_smoothing=0.1),
            call(Z * 1e30, Y, label_smoothing=0.1),
            call(MASKED, MASKED_LABELS, label_smoothing=-0.1),
        ],
    ),
    Case(
        "neg-inf-with-soft-target",
        "warning",
        [
            call(MASKED, EYE[MASKED_LABELS]),
            call(MASKED[0], EYE[0]),
            call(at(CUBE, 0, 3, 0, value=-INF), CUBE.softmax(1)),
            call(MASKED.half(), EYE[MASKED_LABELS].half(), label_smoothing=0.1),
        ],
        [call(MASKED, MASKED_LABELS), call(MASKED.clamp(min=-1e30), EYE[MASKED_LABELS]), call(Z, EYE)],
    ),
    Case(
        "half-precision-overflow",
        "warning",
        [
            call(T([[70000.0, 0.0]]).half(), T([1])),
            call(T([[60000.0, -60000.0]]).half(), T([1])),
            call(torch.zeros(100_000, 2).half(), torch.zeros(100_000, dtype=torch.int64)),
            call(torch.zeros(500, 100).half(), torch.zeros(500, dtype=torch.int64), label_smoothing=0.1),
            call(torch.full((40, 2), 2000.0).half() * T([1.0, -1.0]).half(), torch.ones(40).long(), reduction="sum"),
        ],
        [
            call(T([[60000.0, 0.0]]).half(), T([1])),
            call(T([[70000.0, 0.0]]), T([1])),
            call(T([[70000.0, 0.0]]).bfloat16(), T([1])),
            call(torch.zeros(60_000, 2).half(), torch.zeros(60_000, dtype=torch.int64)),
        ],
    ),
    Case(
        "half-precision-vanishing-gradient",
        "warning",
        [
            call(T([[8.0, 0.0, 0.0]]).bfloat16(), T([0])),
            call(T([[9.0, 0.0, 0.0]]).half(), T([0])),
            call(T([[8.0, 0.0, 0.0]] * 4).bfloat16(), EYE[[0, 0, 0, 0]].bfloat16()),
        ],
        [
            call(T([[8.0, 0.0, 0.0]]), T([0])),
            call(T([[8.0, 0.0, 0.0]] * 3).bfloat16(), T([0, 0, 1])),
            call(T([[4.0, 0.0, 0.0]]).bfloat16(), T([0])),
            call(MANY.half(), MANY_LABELS),
        ],
    ),
    Case(
        "saturated",
        "note",
        [
            call(T([[20.0, 0.0, 0.0]]), T([0])),
            call(T([[20.0, 0.0, 0.0], [1.0, 2.0, 3.0]]), T([1, 0])),
            call(T([20.0, 0.0]), T(0)),
        ],
        [
            call(T([[15.0, 0.0, 0.0]]), T([0])),
            call(T([[20.0, 0.0]]).double(), T([0])),
            call(T([[1.0, 2.0, 3.0], [20.0, 0.0, 0.0]]), T([0, -100])),
        ],
        [call(T([[200.0, 0.0]]).double(), T([1]))],
    ),
]

# What only many rows together show: of each kind logits that a model might give, and what stands near them.
TRUE = torch.randint(0, 5, (400,), generator=GENERATOR)
LEARNT = torch.randn(400, 5, generator=GENERATOR) + 4 * torch.eye(5)[TRUE]  # most rows are right
WEAK = torch.randn(400, 5, generator=GENERATOR) + 0.7 * torch.eye(5)[TRUE]
FRESH = 0.1 * torch.randn(400, 5, generator=GENERATOR)
MASKED_LEARNT = LEARNT.masked_fill(torch.eye(5)[(TRUE + 1) % 5] == 1, -INF)
TEXT = torch.randint(0, 5, (8, 50), generator=GENERATOR)
TEXT_LOGITS = (torch.randn(8, 50, 5, generator=GENERATOR) + 4 * torch.eye(5)[TEXT]).movedim(-1, 1)  # (N, C, T)
ODD = T([3, 0, 4, 1, 2])  # a permutation without a formula
NOT_THE_LABEL = torch.randn(1200, 5, generator=GENERATOR) - 2.5 * torch.eye(5)[TRUE.repeat(3)]
TOKENS = torch.randint(0, 20, (8, 60), generator=GENERATOR)
NEXT = F.pad(TOKENS[:, 1:], (0, 1), value=-100)
NEXT_BUT_ONE = F.pad(TOKENS[:, 2:], (0, 2), value=-100)
FRESH_LOGITS = torch.randn(8, 20, 60, generator=GENERATOR)  # (B, V, T)
NEXT_LOGITS = FRESH_LOGITS + 5 * torch.eye(20)[NEXT.clamp(min=0)].movedim(-1, 1)
LENGTHS = torch.arange(8).unsqueeze(1) * 5 + 15
PADDED = TOKENS.clamp(min=1).where(torch.arange(60) < LENGTHS, 0)
FIRST_TEN = (torch.arange(60) < 10).expand(8, 60)
SKEWED = torch.repeat_interleave(torch.arange(12), torch.arange(12).flip(0) * 3 + 2)
SKEWED_LOGITS = torch.randn(len(SKEWED), 12, generator=GENERATOR) + torch.eye(12)[SKEWED]
AVOIDED_LABELS = torch.arange(5).repeat(400)
AVOIDED = torch.zeros(2000, 5)  # the label is in the middle, the others in any order around it
for _row in range(2000):
    _others = torch.randperm(4, generator=GENERATOR).double() + T([-1.5, -1.5, -1.5, -1.5])
    AVOIDED[_row, T([c for c in range(5) if c != _row % 5])] = _others.float()

EVIDENCE = [
    Case(
        "outputs-in-unit-interval",
        "warning",
        [
            call(LEARNT.sigmoid(), TRUE),
            call(MANY.sigmoid().bfloat16(), MANY_LABELS),
            call(TEXT_LOGITS.sigmoid(), TEXT),
            call(WEAK.sigmoid(), TRUE, label_smoothing=0.1),
        ],
        [
            call(LEARNT.softmax(1), TRUE),
            call(FRESH, TRUE),
            call(Z.sigmoid(), Y),  # nine numbers are too few
            call(2 * LEARNT.sigmoid(), TRUE),
            call(EYE[[0, 1, 2] * 9], Y.repeat(9)),
        ],
    ),
    Case(
        "outputs-non-negative",
        "warning",
        [],
        [
            call(LEARNT, TRUE),
            call(LEARNT.relu() - 0.5, TRUE),
            call(LEARNT - LEARNT.min(), TRUE),  # no negative number, and a single 0
            call(Z.relu(), Y),
            call(F.gelu(LEARNT), TRUE),
        ],
        [call(LEARNT.relu(), TRUE), call(MANY.relu().half(), MANY_LABELS), call(TEXT_LOGITS.relu(), TEXT)],
    ),
    Case(
        "outputs-bounded",
        "warning",
        [
            call((2 * LEARNT).tanh(), TRUE),
            call((3 * WEAK).tanh().double(), TRUE),
            call((2 * TEXT_LOGITS).tanh(), TEXT),
        ],
        [
            call(FRESH, TRUE),
            call(F.normalize(LEARNT), TRUE),  # cosines of five directions
            call(torch.rand(400, 5, generator=GENERATOR) * 2 - 1, TRUE),
            call(2 * LEARNT.tanh(), TRUE),
        ],
    ),
    Case(
        "predictions-as-logits",
        "warning",
        [],
        [
            call(EYE, Y),
            call(10 * torch.eye(5)[TRUE], TRUE),
            call(MANY.softmax(1), MANY_LABELS),
            call(torch.eye(5)[TRUE] * 0.9 + 0.02, TRUE),
        ],
        [
            call(torch.eye(5)[TRUE], TRUE),
            call(torch.eye(5)[LEARNT.argmax(1)].double(), TRUE),
            call(torch.eye(5)[TEXT_LOGITS.argmax(1)].movedim(-1, 1), TEXT),
        ],
    ),
    Case(
        "logits-negated",
        "note",
        [
            call(-LEARNT, TRUE),
            call(-TEXT_LOGITS, TEXT),
            call(-3 * LEARNT, TRUE.where(TRUE > 0, -100)),
            call(-LEARNT, TRUE, weight=T([1.0, 2.0, 3.0, 4.0, 5.0])),
        ],
        [
            call(LEARNT, TRUE),
            call(WEAK, TRUE),
            call(-LEARNT[:20], TRUE[:20]),  # too few rows to be sure
            call(-torch.randn(400, 5, generator=GENERATOR), TRUE),
            call(MASKED_LEARNT, TRUE),
        ],
    ),
    Case(
        "labels-permuted",
        "note",
        [
            call(LEARNT, (TRUE + 1) % 5),
            call(LEARNT, 4 - TRUE),
            call(TEXT_LOGITS, (TEXT - 1) % 5),
            call(LEARNT, ODD[TRUE]),
            call(LEARNT, torch.where(TRUE == 2, -100, (TRUE + 1) % 5)),
            call(LEARNT[:, :2] * 3, 1 - LEARNT[:, :2].argmax(1)),
        ],
        [
            call(LEARNT, TRUE),
            call(LEARNT, TRUE.where(TRUE != 1, 2)),  # two classes in one
            call(LEARNT[:25], (TRUE[:25] + 1) % 5),
            call(LEARNT, TRUE[torch.randperm(400, generator=GENERATOR)]),
        ],
    ),
    Case(
        "worse-than-chance",
        "note",
        [],
        [
            call(NOT_THE_LABEL[:200], TRUE[:200]),  # so few may be chance
            call(WEAK, TRUE),
            call(torch.randn(1200, 5, generator=GENERATOR), TRUE.repeat(3)),
            call(-LEARNT, TRUE),
        ],
        [
            call(AVOIDED[:1500], AVOIDED_LABELS[:1500]),
            call(AVOIDED, AVOIDED_LABELS),
            call(AVOIDED.double(), AVOIDED_LABELS, label_smoothing=0.1),
        ],
    ),
    Case(
        "finite-mask-at-label",
        "warning",
        [
            call(at(Z, 1, 1, value=-1e9), Y),
            call(at(Z, 0, 0, value=-1e4), Y),
            call(at(LEARNT, 7, int(TRUE[7]), value=-1e30), TRUE),
            call(at(CUBE, 0, 0, 0, value=-1e9), CUBE_LABELS),
        ],
        [
            call(at(Z, 1, 0, value=-1e9), Y),  # masked, and not the label
            call(Z - 1e9, Y),  # nothing is left that could be masked
            call(Z * 300, Y),
            call(at(Z, 1, 1, value=-INF), Y),
            call(at(Z, 1, 1, value=-1e9), T([0, -100, 2])),
        ],
        [call(T([-1e9, 1.0]), T(0))],
    ),
    Case(
        "finite-mask-with-smoothing",
        "warning",
        [
            call(at(Z, 1, 0, value=-1e9), Y, label_smoothing=0.1),
            call(MASKED_LEARNT.clamp(min=-1e4), TRUE, label_smoothing=0.1),
            call(MASKED.clamp(min=torch.finfo(torch.float32).min / 2), MASKED_LABELS, label_smoothing=0.01),
        ],
        [
            call(at(Z, 1, 0, value=-1e9), Y),
            call(at(Z, 1, 0, value=-50.0), Y, label_smoothing=0.1),
            call(Z, Y, label_smoothing=0.1),
        ],
    ),
    Case(
        "weight-proportional-to-counts",
        "warning",
        [
            call(SKEWED_LOGITS, SKEWED, weight=torch.bincount(SKEWED).float()),
            call(SKEWED_LOGITS, SKEWED, weight=torch.bincount(SKEWED) / 100.0, label_smoothing=0.1),
            call(SKEWED_LOGITS, SKEWED, weight=torch.bincount(SKEWED).float().sqrt(), reduction="sum"),
        ],
        [
            call(SKEWED_LOGITS, SKEWED, weight=1 / torch.bincount(SKEWED).float()),
            call(SKEWED_LOGITS, SKEWED, weight=torch.ones(12)),
            call(SKEWED_LOGITS, SKEWED, weight=torch.rand(12, generator=GENERATOR)),
            call(Z, T([0, 0, 1]), weight=T([2.0, 1.0, 0.5])),  # two classes may be so by chance
        ],
    ),
    Case(
        "padding-columns",
        "note",
        [
            call(F.pad(FRESH, (0, 1)), TRUE),
            call(F.pad(torch.zeros(400, 12), (0, 4)), TRUE + 7),
            call(F.pad(CUBE.repeat(30, 1, 1) * 0.1, (0, 0, 0, 1)), CUBE_LABELS.repeat(30, 1)),
        ],
        [
            call(LEARNT, TRUE),
            call(F.pad(FRESH, (0, 1), value=-INF), TRUE),
            call(F.pad(FRESH, (0, 1), value=-20.0), TRUE),
            call(torch.zeros(20, 8), torch.arange(20) % 7),  # 20 rows without a class of 8 may be chance
        ],
    ),
    Case(
        "huge-logits",
        "note",
        [],
        [
            call(100 * Z, Y),
            call(at(Z, 1, 0, value=-1e9), Y),
            call(at(Z, 1, 0, value=INF), Y),
        ],
        [
            call(5000 * Z, Y),
            call(at(Z, 0, 0, value=2e3), Y),
            call(T([1.5e3, 0.0]), T(0)),
        ],
    ),
    Case(
        "labels-not-shifted",
        "warning",
        [
            call(NEXT_LOGITS, TOKENS),
            call(NEXT_LOGITS, TOKENS, tokens=TOKENS),
            call(NEXT_LOGITS.movedim(1, -1).reshape(-1, 20), TOKENS.flatten(), tokens=TOKENS),
            call(FRESH_LOGITS, TOKENS, tokens=TOKENS),  # nothing learnt, and the tokens say it
            call(FRESH_LOGITS, TOKENS.where(TOKENS > 3, -100), tokens=TOKENS.tolist()),
        ],
        [
            call(NEXT_LOGITS, NEXT),
            call(NEXT_LOGITS, NEXT, tokens=TOKENS),
            call(FRESH_LOGITS, TOKENS),
            call(FRESH_LOGITS, TOKENS[torch.randperm(8, generator=GENERATOR)], tokens=TOKENS),
            call(NEXT_LOGITS[:, :, :3], TOKENS[:, :3]),
        ],
    ),
    Case(
        "labels-shifted-twice",
        "warning",
        [
            call(NEXT_LOGITS, NEXT_BUT_ONE),
            call(NEXT_LOGITS, NEXT_BUT_ONE, tokens=TOKENS),
            call(FRESH_LOGITS, NEXT_BUT_ONE, tokens=TOKENS),
            call(NEXT_LOGITS.movedim(1, -1).reshape(-1, 20), NEXT_BUT_ONE.flatten(), tokens=TOKENS),
        ],
        [
            call(NEXT_LOGITS, NEXT, tokens=TOKENS),
            call(NEXT_LOGITS, TOKENS, tokens=TOKENS),
            call(FRESH_LOGITS, NEXT_BUT_ONE),
        ],
    ),
    Case(
        "padding-counted",
        "warning",
        [
            call(NEXT_LOGITS, PADDED),
            call(FRESH_LOGITS, PADDED.where(PADDED != 5, -100)),
            call(FRESH_LOGITS.movedim(1, -1).reshape(-1, 20), PADDED.flatten(), tokens=TOKENS),
        ],
        [
            call(NEXT_LOGITS, NEXT),
            call(NEXT_LOGITS, PADDED, ignore_index=0),
            call(FRESH_LOGITS, at(PADDED, 0, 1, value=0)),  # it stands elsewhere, too
            call(FRESH_LOGITS, at(TOKENS.clamp(min=1), slice(None), -1, value=0)),  # what ends each text
        ],
    ),
    Case(
        "prompt-not-masked",
        "warning",
        [
            call(NEXT_LOGITS, NEXT, prompt_mask=FIRST_TEN),
            call(NEXT_LOGITS.movedim(1, -1).reshape(-1, 20), NEXT.flatten(), tokens=TOKENS, prompt_mask=FIRST_TEN),
            call(NEXT_LOGITS, NEXT, prompt_mask=FIRST_TEN.long().tolist()),
        ],
        [
            call(NEXT_LOGITS, NEXT),
            call(NEXT_LOGITS, NEXT.masked_fill(FIRST_TEN, -100), prompt_mask=FIRST_TEN),
            call(NEXT_LOGITS, NEXT, prompt_mask=torch.zeros(8, 60) == 1),
        ],
    ),
    Case(
        "boundary-crossed",
        "note",
        [
            call(NEXT_LOGITS, NEXT, tokens=TOKENS, separator=3),
            call(NEXT_LOGITS.movedim(1, -1).reshape(-1, 20), NEXT.flatten(), tokens=TOKENS, separator=3),
            call(FRESH_LOGITS, NEXT, tokens=TOKENS, separator=0),
        ],
        [
            call(NEXT_LOGITS, NEXT, tokens=TOKENS),
            call(NEXT_LOGITS, NEXT, separator=3),
            call(NEXT_LOGITS, NEXT.masked_fill(TOKENS == 3, -100), tokens=TOKENS, separator=3),
        ],
    ),
    Case(
        "micro-batch-denominators",
        "warning",
        [
            call(Z, Y, micro_batch_counts=(2, 1)),
            call(Z, Y, micro_batch_counts=[100, 3, 50]),
            call(MANY, MANY_LABELS, micro_batch_counts=T([64, 0])),
        ],
        [
            call(Z, Y, micro_batch_counts=(3, 3)),
            call(Z, Y, micro_batch_counts=(2, 1), reduction="sum"),
            call(Z, Y, micro_batch_counts=(3,)),
        ],
    ),
    Case(
        "constant-logits",
        "note",
        [],
        [
            call(T([[1.0, 2.0, 3.0]] * 3), Y),
            call(LEARNT, TRUE),
            call(LEARNT[:1].expand(400, 5), torch.zeros(400, dtype=torch.int64)),
            call(1e-3 * FRESH, TRUE),
        ],
        [
            call(LEARNT[:1].expand(400, 5), TRUE),
            call(torch.zeros(400, 5), TRUE),
            call(LEARNT.mean(0, keepdim=True).repeat(400, 1).double(), TRUE),
        ],
    ),
    Case(
        "unrelated",
        "note",
        [],
        [
            call(LEARNT, TRUE),
            call(FRESH, TRUE[torch.randperm(400, generator=GENERATOR)]),
            call(LEARNT[:15], TRUE[torch.randperm(15, generator=GENERATOR)]),
            call(3 * WEAK, TRUE),
        ],
        [
            call(LEARNT, TRUE[torch.randperm(400, generator=GENERATOR)]),
            call(5 * torch.randn(400, 5, generator=GENERATOR), TRUE),
            call(LEARNT[LEARNT.argmax(1).argsort()], TRUE),
        ],
    ),
]

CASES = [*ERRORS, *SYMPTOMS, *EVIDENCE]
