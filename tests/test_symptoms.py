"""What PyTorch takes in silence: for each code, inputs that raise it, near misses, and the fix run as code."""

import math
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.problems import valid_calls
from xent_core import diagnose
from xent_core.findings import TITLES
from xent_core.symptoms import SUM_TOLERANCE, VANISHED_SHARE

INF, NAN = math.inf, math.nan
T = torch.tensor
GENERATOR = torch.Generator().manual_seed(0)
Z = T([[2.0, 1.0, 0.1], [0.5, 2.5, -1.0], [1.0, 1.5, 3.0]])
Y = T([0, 1, 2])
EYE = torch.eye(3)
SOFT = T([[0.8, 0.1, 0.1], [0.1, 0.6, 0.3], [0.2, 0.3, 0.5]])
MANY = torch.randn(64, 10, generator=GENERATOR)
MANY_LABELS = torch.randint(0, 10, (64,), generator=GENERATOR)
CUBE = torch.randn(2, 4, 5, generator=GENERATOR)
SQUARE = torch.randn(2, 5, 5, generator=GENERATOR)
CUBE_LABELS, SQUARE_LABELS = T([[0, 1, 2, 3, 0]] * 2), T([[0, 1, 2, 3, 4]] * 2)
MASKED = T([[2.0, 1.0, -INF], [0.5, -INF, 1.5], [1.0, 2.0, 3.0]])
MASKED_LABELS = T([0, 2, 2])


class Case(NamedTuple):
    """A code, what raises it, and what comes near without raising it; each a call: logits, target, options."""

    code: str
    severity: str
    raises: list[tuple[Tensor, Tensor, dict[str, Any]]]
    near: list[tuple[Tensor, Tensor, dict[str, Any]]]
    mended: bool = True  # the fix makes the finding go away


def call(logits: Tensor, target: Tensor, **options: Any) -> tuple[Tensor, Tensor, dict[str, Any]]:
    return logits, target, options


def at(values: Tensor, *place: int, value: float) -> Tensor:
    changed = values.clone()
    changed[place] = value
    return changed


CASES = [
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
        [
            call(Z.log_softmax(1), Y),
            call(MANY.log_softmax(1).bfloat16(), MANY_LABELS),
            call(CUBE.log_softmax(1), CUBE_LABELS),
            call(Z[0].log_softmax(0), T(1)),
            call(MASKED.log_softmax(1), MASKED_LABELS),
        ],
        [call(Z, Y), call(-Z.abs(), Y), call(Z.log_softmax(1) - 0.01, Y), call(CUBE.log_softmax(2), CUBE_LABELS)],
        mended=False,
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
        [
            call(T([[1.0], [2.0]]), T([0, 0])),
            call(T([[1.0], [2.0]]), T([[1.0], [1.0]])),
            call(torch.zeros(2, 1, 4), torch.zeros(2, 4, dtype=torch.int64)),
            call(T([3.0]), T(0)),
        ],
        [call(torch.zeros(1, 2), T([0])), call(Z[:1], T([0])), call(torch.zeros(2, 2, 1), torch.zeros(2, 1).long())],
        mended=False,
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
            call(Z, at(SOFT, 0, 0, value=-2e-6)),
        ],
        [call(Z, SOFT), call(Z, at(EYE, 0, 1, value=-1e-7)), call(Z, at(EYE, 0, 1, value=-0.0)), call(-Z, EYE)],
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
        ],
        [
            call(Z, Y, weight=torch.ones(3)),
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
            call(T([[200.0, 0.0]]).double(), T([1])),
            call(T([20.0, 0.0]), T(0)),
        ],
        [
            call(T([[15.0, 0.0, 0.0]]), T([0])),
            call(T([[20.0, 0.0]]).double(), T([0])),
            call(T([[1.0, 2.0, 3.0], [20.0, 0.0, 0.0]]), T([0, -100])),
        ],
        mended=False,
    ),
]


def findings_of(logits: Tensor, target: Tensor, options: dict[str, Any]) -> set[tuple[str, str]]:
    return {(one.code, one.severity) for one in diagnose(logits, target, **options)}


def table(which: str) -> list[Any]:
    return [
        pytest.param(case, one, id=f"{case.code}-{number}")
        for case in CASES
        for number, one in enumerate(getattr(case, which))
    ]


@pytest.mark.parametrize(("case", "arguments"), table("raises"))
def test_it_is_found(case: Case, arguments: tuple[Any, ...]) -> None:
    assert (case.code, case.severity) in findings_of(*arguments)


@pytest.mark.parametrize(("case", "arguments"), table("near"))
def test_a_near_miss_is_not(case: Case, arguments: tuple[Any, ...]) -> None:
    assert (case.code, case.severity) not in findings_of(*arguments)


@pytest.mark.parametrize(("case", "arguments"), table("raises"))
def test_its_fix_runs_and_makes_it_go_away(case: Case, arguments: tuple[Any, ...]) -> None:
    logits, target, options = arguments
    found = next(one for one in diagnose(logits, target, **options) if one.code == case.code)
    after = run_fix(found.fix, logits, target, options)

    if case.mended and logits.dim() > 1:  # of a single row nothing can be left out
        assert (case.code, case.severity) not in findings_of(*after)


def run_fix(fix: str, logits: Any, target: Any, options: dict[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
    """The arguments after the fix."""
    defaults = {"weight": None, "ignore_index": -100, "reduction": "mean", "label_smoothing": 0.0}
    names: dict[str, Any] = {"torch": torch, "F": F, "logits": logits, "target": target, **defaults, **options}
    exec(fix, names)
    return names["logits"], names["target"], {name: names[name] for name in defaults}


def test_every_code_has_three_inputs_and_three_near_misses() -> None:
    assert all(len(case.raises) >= 3 and len(case.near) >= 3 for case in CASES)


@pytest.mark.parametrize(("case", "arguments"), table("raises"))
def test_the_words_are_whole(case: Case, arguments: tuple[Any, ...]) -> None:
    for found in diagnose(arguments[0], arguments[1], **arguments[2]):
        assert found.title == TITLES[found.code]
        assert found.explanation.endswith(".")
        assert "{" not in found.explanation
        assert found.fix


def clean_calls() -> st.SearchStrategy[Any]:
    """Calls as a training loop makes them: two classes or more, several kept rows, normalised targets."""

    def build(seed: int) -> tuple[Tensor, Tensor, dict[str, Any]]:
        generator = torch.Generator().manual_seed(seed)

        def pick(choices: list[Any]) -> Any:
            return choices[int(torch.randint(len(choices), (), generator=generator))]

        dtype = pick([torch.float32, torch.float32, torch.float64, torch.float16, torch.bfloat16])
        # with smoothing PyTorch sums over rows and classes: a hundred of each do overflow float16
        C, N = pick([2, 3, 10] if dtype == torch.float16 else [2, 3, 10, 100]), pick([3, 8, 50])
        shape = pick([[N, C], [N, C], [N, C, C + 1], [2, C, C + 3, 2]])
        logits = (torch.randn(shape, generator=generator) * pick([0.5, 1.0, 3.0])).to(dtype)
        options = {"reduction": pick(["mean", "sum", "none"]), "label_smoothing": pick([0.0, 0.1])}
        if pick([True, False]):
            options["weight"] = torch.rand(C, generator=generator).to(logits.dtype) + 0.5
        if pick([True, False]):
            target = torch.randn(shape, generator=generator).softmax(1)
        else:
            target = torch.randint(C, [shape[0], *shape[2:]], generator=generator)
            target.view(-1)[0] = pick([0, -100])
        return logits, target, options

    return st.integers(0, 2**62).map(build)


@given(clean_calls())
@settings(max_examples=300)
def test_a_clean_input_gives_no_alarm(arguments: tuple[Any, ...]) -> None:
    assert {severity for _, severity in findings_of(*arguments)} <= {"note"}


@given(valid_calls(odd=True, min_size=0))
@settings(max_examples=200)
def test_a_loss_that_is_not_finite_is_never_clean(call) -> None:
    loss = F.cross_entropy(call.logits, call.target, **call.options)
    alarms = [one for one in diagnose(call.logits, call.target, **call.options) if one.severity == "warning"]
    huge = bool((call.logits[call.logits.isfinite()].abs() > 1e30).any())  # 1e308 · p overflows float64 itself

    assert bool(loss.isfinite().all()) or alarms or huge


@pytest.mark.parametrize("shape", [(50_000, 100), (3, 2, 1_500_000)])
def test_pieces_give_the_same_as_the_whole(shape: tuple[int, ...]) -> None:
    logits = torch.zeros(shape)
    logits[-1].fill_(NAN)
    target = torch.zeros([shape[0], *shape[2:]], dtype=torch.int64)
    found = next(one for one in diagnose(logits, target) if one.code == "non-finite-logits")

    assert f"{logits[-1].numel()} logits are NaN" in found.explanation
    assert f"row {shape[0] - 1}" in found.explanation or f"row [{shape[0] - 1}, 0]" in found.explanation


def test_the_floor_of_a_double_softmax_is_the_right_one() -> None:
    found = diagnose(torch.eye(10)[:4], T([0, 1, 2, 3]))[0]

    assert "between 1.461 and 2.461" in found.explanation  # ln(e + 9) − 1 and ln(e + 9)


def test_the_share_that_vanishes_is_the_one_of_the_threshold() -> None:
    right, wrong = T([8.0, 0.0, 0.0]), T([0.0, 0.0, 0.0])
    exact = [  # Σ|p − y| of a right row of which the label's entry is lost, and of a wrong row
        2 * (1 - float(right.double().softmax(0)[0])),
        4 / 3,
    ]
    rows = next(n for n in range(1, 10_000) if n * exact[0] / 2 > VANISHED_SHARE * (n * exact[0] + exact[1]))

    def codes(count: int) -> set[str]:
        logits = torch.stack([wrong, *[right] * count]).bfloat16()
        found = diagnose(logits, torch.zeros(count + 1, dtype=torch.int64), reduction="sum")
        return {one.code for one in found}

    assert "half-precision-vanishing-gradient" not in codes(rows - 20)
    assert "half-precision-vanishing-gradient" in codes(rows + 20)
