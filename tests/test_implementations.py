"""Every route to the loss against numbers worked by hand and by mpmath, and why a route that differs does."""

import inspect
import math
from dataclasses import replace
from typing import Any

import mpmath
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.tolerances import assert_agree, tolerance
from xent_core import Problem, compare
from xent_core.implementations import IMPLEMENTATIONS, REASONS, Entry, Implementation
from xent_core.presets import PRESETS
from xent_core.problem import DTYPES, REDUCTIONS

NAMES = [implementation.name for implementation in IMPLEMENTATIONS]
ODD = [0.0, -0.0, 1.0, -1.0, 60.0, -60.0, 100.0, -100.0, 1e4, -1e4, math.inf, -math.inf, math.nan]
BATCH = Problem([[1, 2, 3]] * 3, [2, 1, 0])


def by_name(problem: Problem) -> dict[str, Entry]:
    return {entry.name: entry for entry in compare(problem)}


# The contract of every route


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("one_hot", [False, True], ids=["class indices", "one-hot"])
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS, ids=NAMES)
def test_every_implementation_keeps_the_contract(
    implementation: Implementation, one_hot: bool, reduction: str, dtype: torch.dtype
) -> None:
    """Three rows [1, 2, 3], labels 2, 1, 0, to fifty digits.

    Row losses: ln(e + e² + e³) − 3, − 2, − 1 = 0.4076, 1.4076, 2.4076; their mean is 1.4076.
    """
    labels = [2, 1, 0]
    target = torch.eye(3, dtype=dtype)[labels] if one_hot else torch.tensor(labels)
    problem = Problem(torch.tensor([[1.0, 2.0, 3.0]] * 3, dtype=dtype), target, reduction=reduction)
    with mpmath.workdps(50):
        total = mpmath.fsum(mpmath.exp(k) for k in (1, 2, 3))
        row_losses = [float(mpmath.log(total) - (label + 1)) for label in labels]
        probs = [float(mpmath.exp(k) / total) for k in (1, 2, 3)]
    loss = {"none": row_losses, "sum": math.fsum(row_losses), "mean": math.fsum(row_losses) / 3}[reduction]
    shares = 3 if reduction == "mean" else 1
    grad = [[(p - (k == label)) / shares for k, p in enumerate(probs)] for label in labels]

    entry = by_name(problem)[implementation.name]

    assert entry.agrees, entry.note
    assert entry.note == entry.symptom == ""
    assert 0 <= entry.max_abs_difference <= tolerance(dtype).atol * 10
    assert entry.loss is not None
    assert entry.grad_logits is not None
    assert entry.loss.dtype == entry.grad_logits.dtype == dtype
    assert_agree(entry.loss, torch.tensor(loss, dtype=torch.float64))
    assert_agree(entry.grad_logits, torch.tensor(grad, dtype=torch.float64))


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS, ids=NAMES)
@pytest.mark.parametrize(
    "problem",
    [
        BATCH,
        replace(BATCH, temperature=2.5),
        PRESETS["soft-labels"].problem,
        PRESETS["class-weights"].problem,
        replace(PRESETS["ignored-row"].problem, label_smoothing=0.1),
    ],
    ids=["batch", "temperature", "soft labels", "weights", "ignored and smoothed"],
)
def test_the_code_shown_is_the_code_that_ran(implementation: Implementation, problem: Problem) -> None:
    entry = by_name(problem)[implementation.name]
    namespace: dict[str, Any] = {"torch": torch, "F": F, "Tensor": Tensor}
    exec(entry.code, namespace)
    options = {
        name: getattr(problem, name)
        for name in inspect.signature(namespace[implementation.run.__name__]).parameters
        if name not in ("logits", "target")
    }

    def run() -> Tensor:
        result = namespace[implementation.run.__name__](problem.logits / problem.temperature, problem.target, **options)
        loss: Tensor = result[0] if isinstance(result, tuple) else result
        return loss

    if entry.loss is None:
        with pytest.raises((RuntimeError, IndexError)):
            run()
    else:
        torch.testing.assert_close(run(), entry.loss, rtol=0, atol=0, equal_nan=True)


def test_the_code_is_the_source_of_the_module() -> None:
    module = inspect.getsource(inspect.getmodule(IMPLEMENTATIONS[0].run))

    for implementation in IMPLEMENTATIONS:
        for function in implementation.code.split("\n\n\n"):
            assert function.strip() in module


def test_names_are_unique() -> None:
    assert len(set(NAMES)) == len(NAMES)


def test_a_route_that_is_added_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    def halved(logits: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(logits, target) / 2

    added = Implementation("halved", halved, "labels")
    monkeypatch.setattr("xent_core.implementations.comparison.IMPLEMENTATIONS", (*IMPLEMENTATIONS, added))

    entry = compare(BATCH)[-1]

    assert (entry.name, entry.agrees) == ("halved", False)
    assert "def halved" in entry.code
    assert "0.703803" in entry.note  # half of 1.4076


# A route that differs says why


def test_soft_labels_are_lost_under_argmax() -> None:
    entry = by_name(PRESETS["soft-labels"].problem)["log_softmax + NLLLoss"]

    assert entry.note == "argmax(y) keeps one class per row: row 0 becomes all class 0, to which y gives 0.8."


def test_kl_divergence_lacks_the_entropy() -> None:
    """The entropies of [0.8, 0.2, 0], [0.1, 0.6, 0.3], [0.25, 0.25, 0.5]: 0.5004, 0.8979, 1.0397; their mean 0.8127."""
    problem = PRESETS["soft-labels"].problem
    entry = by_name(problem)["KLDivLoss on log_softmax"]

    assert entry.note.startswith("KLDivLoss is cross-entropy minus the entropy of y: 0.81269 less")
    assert entry.loss_difference == pytest.approx(0.81269, abs=1e-5)
    assert entry.grad_difference < 1e-6


def test_weights_are_divided_by_their_sum_or_by_the_rows() -> None:
    """Labels 0, 1, 2, 2 with weights 1, 0.5, 4: Σw = 9.5, four rows."""
    problem = PRESETS["class-weights"].problem

    entries = by_name(problem)
    on_probabilities = entries["CrossEntropyLoss on probabilities"]

    assert on_probabilities.note == "With probabilities mean divides by N = 4, with class indices by Σw = 9.5."
    assert on_probabilities.loss is not None
    assert entries["log_softmax + NLLLoss"].loss is not None
    assert float(on_probabilities.loss) == pytest.approx(float(entries["log_softmax + NLLLoss"].loss) * 9.5 / 4)


def test_the_number_named_for_a_missing_option_is_what_the_route_gives() -> None:
    problem = replace(PRESETS["class-weights"].problem, weight=None, label_smoothing=0.2)
    entry = by_name(problem)["log_softmax + NLLLoss"]
    (reason,) = entry.reasons

    assert entry.loss is not None
    assert reason.code == "no-label-smoothing"
    assert reason.values["epsilon"] == 0.2
    assert reason.values["loss"] == pytest.approx(float(entry.loss))


def test_a_route_for_labels_cannot_run_on_an_ignored_row() -> None:
    entry = by_name(PRESETS["ignored-row"].problem)["log(softmax) at the label"]

    assert entry.loss is None
    assert entry.symptom == "cannot run"
    assert entry.max_abs_difference == math.inf
    assert entry.note == "It ignores no rows, and the label -100 of row 1 is no class: drop such rows first."


def test_a_class_as_ignore_index_is_not_ignored_by_a_route_that_ignores_nothing() -> None:
    entry = by_name(Problem([[1, 2, 3], [3, 1, 0]], [2, 0], ignore_index=0))["log(softmax) at the label"]

    assert entry.note == "It ignores no rows: row 1 counts too, although its label is ignore_index = 0."


def test_an_ignored_row_of_zeros_still_counts_in_the_mean() -> None:
    entry = by_name(PRESETS["ignored-row"].problem)["CrossEntropyLoss on probabilities"]

    assert "N = 3, not by the 2 kept" in entry.note


def test_all_rows_ignored_is_nan_but_zero_where_rows_of_zeros_count() -> None:
    entries = by_name(Problem([[1, 2, 3]] * 2, [-100, -100]))

    assert entries["log_softmax + NLLLoss"].agrees
    assert math.isnan(float(entries["closed form, no autograd"].loss))
    assert entries["CrossEntropyLoss on probabilities"].loss == 0
    assert entries["CrossEntropyLoss on probabilities"].symptom == "0"


@pytest.mark.parametrize(
    ("name", "symptom", "code"),
    [
        ("exp, sum, divide, log by hand", "inf", "exp-overflow"),
        ("−Σ y·log(softmax)", "NaN", "zero-times-log-zero"),
        ("log(softmax) at the label", "inf", "log-of-zero"),
    ],
)
def test_softmax_before_the_logarithm_fails_at_large_logits(name: str, symptom: str, code: str) -> None:
    """[200, 0, 0] with label 1: e^200 overflows float32, e^−200 is 0 there, and the loss is 200."""
    entries = by_name(Problem([[200, 0, 0]], [1]))

    assert entries["log_softmax at the label"].loss == 200
    assert (entries[name].symptom, [reason.code for reason in entries[name].reasons]) == (symptom, [code])


def test_an_overflow_at_the_label_itself_is_nan() -> None:
    entry = by_name(Problem([[200, 0, 0]], [0]))["exp, sum, divide, log by hand"]

    assert entry.symptom == "NaN"
    assert "class 0: z = 200 gives inf" in entry.note


def test_the_loss_can_hold_while_its_gradient_does_not() -> None:
    entry = by_name(Problem([[200, 0, 0]], [0]))["log(softmax) at the label"]

    assert entry.loss == 0
    assert entry.symptom == "NaN gradient"
    assert entry.reasons[0].code == "slope-of-log-zero"


def test_dividing_by_the_sum_twice_underflows_in_the_gradient() -> None:
    """p = e^−40 = 4.2e−18, divided once more by e^60 = 1.1e26 on the way back: 3.7e−44, where float32 has few bits."""
    entry = by_name(Problem([[20, 40, 60]], [0]))["exp, sum, divide, log by hand"]

    assert entry.loss_difference < 1e-4
    assert entry.symptom == "off"
    assert entry.reasons[0].code == "slope-of-division"


def test_a_masked_class_breaks_the_routes_that_multiply_by_zero() -> None:
    entries = by_name(PRESETS["masked"].problem)

    assert {name for name, entry in entries.items() if not entry.agrees} == {
        "−Σ y·log(softmax)",
        "log(softmax) at the label",
        "CrossEntropyLoss on probabilities",
        "KLDivLoss on log_softmax",
    }


# No valid Problem is too odd


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Problems of shape (N, C) with every option, odd numbers among the logits."""
    n, c = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    dtype = draw(st.sampled_from(list(DTYPES.values())))
    number = st.one_of(st.floats(-30, 30), st.sampled_from(ODD))

    def matrix(values: st.SearchStrategy[float]) -> Tensor:
        rows = draw(st.lists(st.lists(values, min_size=c, max_size=c), min_size=n, max_size=n))
        return torch.tensor(rows, dtype=dtype)

    soft = draw(st.booleans())
    ignore_index = -100 if soft else draw(st.sampled_from([-100, -1, 0]))
    labels = st.sampled_from([*range(c), ignore_index])
    target = (
        matrix(st.sampled_from([0.0, 0.25, 0.5, 1.0]))
        if soft
        else torch.tensor(draw(st.lists(labels, min_size=n, max_size=n)))
    )
    weights = st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0]), min_size=c, max_size=c)
    weight = draw(st.one_of(st.none(), weights))
    return Problem(
        matrix(number),
        target,
        weight=None if weight is None else torch.tensor(weight, dtype=dtype),
        ignore_index=ignore_index,
        reduction=draw(st.sampled_from(REDUCTIONS)),
        label_smoothing=draw(st.sampled_from([0.0, 0.1, 1.0])),
        temperature=draw(st.sampled_from([1.0, 0.5, 3.0])),
    )


@given(problems())
def test_a_note_appears_when_and_only_when_a_route_disagrees(problem: Problem) -> None:
    entries = compare(problem)

    assert [entry.name for entry in entries] == NAMES
    for entry in entries:
        assert bool(entry.note) == bool(entry.reasons) == bool(entry.symptom) == (not entry.agrees)
        assert entry.agrees or entry.max_abs_difference > 0
        assert all(reason.code in REASONS for reason in entry.reasons)


@settings(max_examples=50)
@given(problems())
def test_a_route_that_agrees_gives_what_cross_entropy_gives(problem: Problem) -> None:
    leaf = problem.logits.clone().requires_grad_()
    expected = F.cross_entropy(
        leaf / problem.temperature,
        problem.target,
        weight=problem.weight,
        ignore_index=problem.ignore_index,
        reduction=problem.reduction,
        label_smoothing=problem.label_smoothing,
    )
    expected.sum().backward()
    eps = 8 * torch.finfo(problem.logits.dtype).eps
    weights = 1.0 if problem.weight is None else float(problem.weight.abs().max()) * problem.num_classes
    size = (1 + float(problem.logits.double().nan_to_num(0, 0, 0).abs().max())) * 4 * problem.num_rows * weights

    for entry in compare(problem):
        if entry.agrees:
            assert entry.loss is not None
            assert entry.grad_logits is not None
            assert entry.loss.shape == expected.shape
            assert torch.equal(entry.loss.isfinite(), expected.isfinite())
            assert torch.equal(entry.grad_logits.isnan(), leaf.grad.isnan())
            finite = expected.isfinite()
            distance = (entry.loss.double() - expected.double())[finite].abs()
            kept = int(problem.kept().sum()) or 1
            assert bool((distance <= eps * size * max(1, problem.num_rows / kept) * 10).all())


@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 3, 4), (2, 3, 2, 2)])
def test_every_shape_of_logits_is_taken(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(shape, generator=generator)
    rows = shape[:1] + shape[2:] if len(shape) > 1 else ()
    labels = torch.randint(3, rows, generator=generator)

    for reduction in REDUCTIONS:
        expected = F.cross_entropy(logits, labels, reduction=reduction)
        for entry in compare(Problem(logits, labels, reduction=reduction)):
            assert entry.agrees, entry.note
            assert entry.loss is not None
            assert entry.grad_logits is not None
            assert entry.grad_logits.shape == logits.shape
            torch.testing.assert_close(entry.loss, expected)


def test_an_empty_batch_has_a_line_for_every_route() -> None:
    entries = compare(Problem(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64)))

    assert [entry.name for entry in entries] == NAMES


def test_where_an_option_explains_it_rounding_is_not_named_too() -> None:
    """At 1000 float32 rounds by 6e-5, and so does logsumexp − z; without smoothing the loss is 9 too low."""
    problem = Problem([[1010.0, 999.0, 970.0], [0.0, 0.0, 0.0]], [0, 1], reduction="none", label_smoothing=0.1)

    entry = next(one for one in compare(problem) if one.name == "logsumexp − z")

    assert [reason.code for reason in entry.reasons] == ["no-label-smoothing"]
