import math

import pytest
import torch
import torch.nn.functional as F

from xent_core import diagnose
from xent_core.doctor.findings import TITLES
from xent_core.doctor.pitfall_examples import EXAMPLES
from xent_core.doctor.pitfall_variants import VARIANTS
from xent_core.doctor.pitfalls import PITFALLS, Pitfall, PitfallCall, pitfall_of
from xent_core.doctor.torch_messages import recognise

# what says something other than a finite loss that was meant
ERRORS = [code for code in TITLES if list(TITLES).index(code) <= list(TITLES).index("ignore-index")]
NOT_FINITE = [
    "all-ignored",
    "non-finite-logits",
    "neg-inf-with-smoothing",
    "neg-inf-with-soft-target",
    "weight-value",
    "zero-total-weight",
    "half-precision-overflow",
]
# lists, which the doctor reads as tensors: only PyTorch refuses them
TYPES = ["logits-type", "target-type", "weight-type"]
MORE = [Pitfall(code, example) for code, examples in VARIANTS.items() for example in examples]
EACH = pytest.mark.parametrize("pitfall", PITFALLS.values(), ids=PITFALLS)
EACH_OF_ALL = pytest.mark.parametrize(
    "pitfall", [*PITFALLS.values(), *MORE], ids=[*PITFALLS, *(one.example.__name__ for one in MORE)]
)


def ran(call: PitfallCall) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Loss and gradient of the code that is shown, run as a program of its own."""
    names = {"torch": torch, "F": F}
    lines = call.code.split("\n")
    start = next(number for number, line in enumerate(lines) if line.startswith("target = ")) + 1
    exec("\n".join(lines[:start]), names)
    leaf = names["logits"]
    if leaf.is_floating_point():
        leaf.requires_grad_()
    exec("\n".join(lines[start:]), names)
    if names["loss"].requires_grad:
        names["loss"].sum().backward()
    return names["loss"].detach(), leaf.grad


def test_every_code_has_a_pitfall():
    assert set(PITFALLS) == set(TITLES)


@EACH
def test_the_wrong_call_is_diagnosed_under_its_code(pitfall):
    logits, target, options = pitfall.wrong.arguments
    found = {one.code for one in diagnose(logits, target, **options, **pitfall.example.known)}

    assert pitfall.code in (recognise(pitfall.wrong.message) if pitfall.code in TYPES else found)


@EACH_OF_ALL
def test_the_right_call_is_free_of_it(pitfall):
    if pitfall.right.arguments is not None:
        logits, target, options = pitfall.right.arguments
        left = {(one.code, one.severity) for one in diagnose(logits, target, **options, **pitfall.example.known)}

        # a sum over no row is 0, and no alarm
        assert pitfall.code not in {code for code, _severity in left - {("all-ignored", "note")}}
    assert pitfall.right.message == ""
    assert bool(pitfall.right.loss.isfinite().all())


def nll(row: list[float], target: int | list[float]) -> float:
    """−Σ y·log softmax of one row, without PyTorch."""
    y = [float(c == target) for c in range(len(row))] if isinstance(target, int) else target
    log_sum = max(row) + math.log(math.fsum(math.exp(z - max(row)) for z in row))
    return math.fsum(share * (log_sum - z) for share, z in zip(y, row, strict=True))


def mean(*losses: float) -> float:
    return math.fsum(losses) / len(losses)


A, B, C = [2.0, 1.0, 0.1], [0.5, 2.5, -1.0], [1.0, 1.5, 3.0]
PLAIN = mean(nll(A, 0), nll(B, 1), nll(C, 2))
WEIGHTED = (1 * nll(A, 0) + 2 * nll(B, 1) + 5 * nll(C, 2)) / (1 + 2 + 5)
UNIFORM = [1 / 3, 1 / 3, 1 / 3]
# what the right call means, where that is not PLAIN
MEANT = {
    "class-axis": mean(nll(A, 0), nll(B, 1)),
    "batch-mismatch": mean(nll(A, 0), nll(B, 1), nll(C, 2), nll([0, 1, 0], 1)),
    "weight-shape": (1 * nll(A, 0) + 2 * nll(B, 1) + 1 * nll(C, 2)) / 4,
    "weight-type": WEIGHTED,
    "weight-dtype": WEIGHTED,
    "soft-target-ignore-index": mean(nll(B, 1), nll(C, 2)),
    "softmax-applied-twice": mean(nll(A, 0), nll([9, 0, 0], 1), nll(C, 2)),
    **dict.fromkeys(
        ("outputs-in-unit-interval", "outputs-bounded", "outputs-non-negative", "predictions-as-logits"),
        mean(*(nll([-3 + 6 * (3 * row + c) / 47 for c in range(3)], row % 3) for row in range(16))),
    ),
    **dict.fromkeys(("logits-negated", "labels-permuted", "constant-logits", "unrelated"), nll([3, 0, -1], 0)),
    "worse-than-chance": nll([5, 2, 1, 0], 0),
    **dict.fromkeys(("labels-not-shifted", "labels-shifted-twice"), nll([3, 0, 0], 0)),
    "padding-counted": nll([2, 0, 0], 0),
    "prompt-not-masked": nll([1, 1.5, 3], 2),
    "boundary-crossed": mean(nll([2, 1, 0.1], 0), nll([1, 1.5, 3], 2)),
    "finite-mask-at-label": mean(nll([2, 0.1], 0), nll(B, 1), nll(C, 2)),
    "finite-mask-with-smoothing": mean(nll([2, 1], [0.95, 0.05]), nll([0.5, 2.5], [0.05, 0.95])),
    "weight-proportional-to-counts": nll([2, *[0] * 9], 0),
    "padding-columns": mean(*(nll([2, 1, 0.5, 0], label) for label in range(4))),
    "all-ignored": 0.0,
    "single-class": mean(math.log(1 + math.exp(0.7)), math.log(1 + math.exp(-1.2))),
    "soft-target-not-normalised": mean(nll(A, [0.8, 0.2, 0]), nll(B, [0, 0.6, 0.4]), nll(C, [0.2, 0, 0.8])),
    "soft-target-negative": mean(nll(A, 0), nll(B, [0.1, 0.6, 0.3]), nll(C, [0.2, 0.3, 0.5])),
    "soft-target-masked-rows": mean(nll(A, [0.8, 0.1, 0.1]), nll(C, [0.2, 0.3, 0.5])),
    "ignored-class-still-competes": mean(nll(B[1:], 0), nll(C[1:], 1)),
    "weighted-mean-denominator": 5 * nll(A, 2),
    "zero-total-weight": 0.0,
    "non-finite-logits": mean(nll(A, 0), nll(C, 2)),
    "neg-inf-with-smoothing": mean(nll([2, 1], [0.95, 0.05]), nll([0.5, 2.5], [0.05, 0.95])),
    "neg-inf-with-soft-target": mean(nll([2, 1], [0.9, 0.1]), nll([0.5, 2.5], [0.2, 0.8])),
    "half-precision-overflow": mean(120_000, nll([1, 0], 0)),
    "half-precision-vanishing-gradient": mean(nll([8, 0, 0], 0), nll([0, 9, 0], 1)),
    "saturated": mean(nll([30, 0, -10], 0), nll([30, 0, -10], 2)),
    "logits-dtype": mean(nll([2, 1, 0], 0), nll([0, 3, -1], 1), nll([1, 1, 3], 2)),
    "logits-shape": nll(A, 0),
    "label-smoothing": 0.9 * PLAIN + 0.1 * mean(nll(A, UNIFORM), nll(B, UNIFORM), nll(C, UNIFORM)),
    "ignore-index": mean(nll(A, 0), nll(C, 2)),
    # weights 1, 1/2 and 1 for labels 0, 1 and 1; smoothing shares 0.1 among the classes, each at its weight
    "weight-value": (
        0.9 * (nll(A, 0) + nll(B, 1) / 2 + nll(C, 1) / 2)
        + 0.1 * math.fsum(nll(row, [1 / 3, 1 / 6, 1 / 3]) for row in (A, B, C))
    )
    / 2,
}


@EACH
def test_the_right_call_gives_the_loss_that_is_meant(pitfall):
    expected = MEANT.get(pitfall.code, PLAIN)

    assert float(pitfall.right.loss.double().mean()) == pytest.approx(expected, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("code", [code for code in EXAMPLES if code.startswith("soft-target-")])
def test_the_right_code_for_probabilities_is_right_for_other_rows_too(code):
    """Two rows of three classes, so that neither stands for the other; a row of votes times 7 means the same."""
    example = EXAMPLES[code]
    logits, target = example.logits(), example.target()
    if code == "soft-target-not-normalised":
        target[2] *= 7

    pairs = [example.right(F, logits[[a, b]], target[[a, b]]) for a, b in ((0, 1), (1, 2), (2, 0))]

    assert mean(*map(float, pairs)) == pytest.approx(MEANT.get(code, PLAIN), rel=1e-5)


@EACH_OF_ALL
def test_the_code_that_is_shown_gives_the_numbers_that_are_shown(pitfall):
    for call in (pitfall.wrong, pitfall.right):
        if call.message:
            with pytest.raises((RuntimeError, ValueError, IndexError, TypeError)) as caught:
                ran(call)
            assert call.message == f"{caught.type.__name__}: {caught.value}"
        else:
            loss, grad = ran(call)
            torch.testing.assert_close(call.loss, loss, equal_nan=True, rtol=0, atol=0)
            if grad is not None:
                torch.testing.assert_close(call.grad_logits, grad, equal_nan=True, rtol=0, atol=0)


@pytest.mark.parametrize("code", ERRORS)
def test_the_wrong_call_of_an_error_is_refused_by_pytorch(code):
    assert PITFALLS[code].wrong.message
    assert PITFALLS[code].wrong.loss is None


@pytest.mark.parametrize("code", [code for code in TITLES if code not in ERRORS])
def test_elsewhere_pytorch_is_silent(code):
    wrong = PITFALLS[code].wrong

    assert wrong.message == ""
    assert math.isfinite(float(wrong.loss)) == (code not in NOT_FINITE)


def test_a_double_softmax_hardly_pulls_on_a_wrong_and_certain_row():
    pitfall = PITFALLS["softmax-applied-twice"]
    wrong, right = pitfall.wrong.grad_logits[1].norm(), pitfall.right.grad_logits[1].norm()

    assert right / wrong > 100


def test_what_a_pitfall_shows_is_made_anew_in_inference_mode_too():
    pitfall = Pitfall("saturated", EXAMPLES["saturated"])  # the one of PITFALLS may have run already
    with torch.inference_mode():
        call = pitfall.wrong

    assert call.grad_logits is not None


@pytest.mark.parametrize("pitfall", MORE, ids=lambda one: one.example.__name__)
def test_each_further_example_is_chosen_by_its_own_message_and_means_its_loss(pitfall):
    """The first two of the rows, the first alone, or all three; with smoothing and weights: by hand, as in MEANT."""
    message = pitfall.wrong.message
    losses = {
        1: nll(A, 0),
        2: mean(nll(A, 0), nll(B, 1)),
        3: mean(nll(A, 0), nll(C, 2)) if pitfall.code == "ignore-index" else PLAIN,
    }
    num_rows = pitfall.example.logits().numel() // 3
    smoothed = math.fsum(
        0.9 * weight * nll(row, label) + 0.1 * nll(row, [1 / 3, 2 / 3, 5 / 3])
        for weight, row, label in ((1, A, 0), (2, B, 1), (5, C, 2))
    )
    expected = losses[num_rows] if pitfall.example.weight is None else smoothed / 8
    if pitfall.code == "label-smoothing":
        expected = MEANT["label-smoothing"]

    assert pitfall_of(pitfall.code, message).example is pitfall.example
    assert float(pitfall.right.loss) == pytest.approx(expected, rel=1e-5)


def test_without_a_message_the_usual_example_is_shown():
    assert all(pitfall_of(code) is PITFALLS[code] for code in VARIANTS)
    assert pitfall_of("target-out-of-range", "device-side assert triggered") is PITFALLS["target-out-of-range"]


@EACH
def test_the_gradient_of_each_row_sums_to_0_over_its_classes(pitfall):
    """Which axis holds the classes is told by the example, and shown by the page."""
    grad = pitfall.right.grad_logits
    if grad is None or pitfall.code.startswith(
        ("class-axis", "single-class")
    ):  # another loss, or rows that end otherwise
        return
    rows = grad.double().movedim(pitfall.example.class_axis if grad.dim() > 1 else 0, -1)

    assert rows.sum(-1).abs().max() <= 2e-3 * max(float(grad.abs().max()), 1e-3)
