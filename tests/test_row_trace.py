"""The chain of small steps: by hand, against finite differences of its own tail, and against the whole evaluation."""

import math

import mpmath
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from tests.problems import Call, valid_calls
from tests.tolerances import assert_agree
from xent_core import Problem, evaluate, trace
from xent_core.presets import PRESETS
from xent_core.row_trace import Trace

NAMES = [
    *("logits", "scaled", "max", "shifted", "exp", "sum", "softmax", "log"),
    *("weighted", "row_loss", "contribution"),
]
FUSED_NAMES = ["logits", "scaled", "log_softmax", "weighted", "row_loss", "contribution"]
DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]


def grad_row(problem: Problem, row: int) -> Tensor:
    grad = evaluate(problem).grad_logits
    return grad.movedim(problem.class_axis, -1).unsqueeze(0).flatten(0, -2)[row]


# The worked row


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("logits", [1, 2, 3]),
        ("scaled", [1, 2, 3]),
        ("max", 3),
        ("shifted", [-2, -1, 0]),
        ("exp", [0.1353, 0.3679, 1.0]),
        ("sum", 1.5032),
        ("softmax", [0.0900, 0.2447, 0.6652]),
        ("log", [-2.4076, -1.4076, -0.4076]),
        ("weighted", [-2.4076, 0, 0]),
        ("row_loss", 2.4076),
        ("contribution", 0.8025),
    ],
)
def test_the_worked_row_has_the_values_worked_by_hand(name: str, value: object) -> None:
    """Row 2 of the worked batch, label 0: e^-2 = 0.1353, e^-1 = 0.3679, 1; their sum 1.5032; 2.4076/3 = 0.8025."""
    step = trace(PRESETS["worked-batch"].problem, 2)[name]

    torch.testing.assert_close(step.value, torch.tensor(value, dtype=torch.float32), rtol=0, atol=5e-5)


@pytest.mark.parametrize(
    ("name", "gradient"),
    [
        ("contribution", 1),
        ("row_loss", 1 / 3),
        ("weighted", [-1 / 3] * 3),
        ("log", [-1 / 3, 0, 0]),
        ("softmax", [-3.7024, 0, 0]),
        ("sum", 0.2217),
        ("exp", [-2.2413, 0.2217, 0.2217]),
        ("shifted", [-0.3033, 0.0816, 0.2217]),
        ("max", 0),
        ("scaled", [-0.3033, 0.0816, 0.2217]),
        ("logits", [-0.3033, 0.0816, 0.2217]),
    ],
)
def test_the_worked_row_has_the_gradients_worked_by_hand(name: str, gradient: object) -> None:
    """-1/(3*0.0900) = -3.7024; 1/(3*1.5032) = 0.2217; -3.7024/1.5032 + 0.2217 = -2.2413; times 0.1353 = -0.3033."""
    step = trace(PRESETS["worked-batch"].problem, 2)[name]

    torch.testing.assert_close(step.gradient, torch.tensor(gradient, dtype=torch.float32), rtol=0, atol=5e-5)


def test_without_the_shift_the_exponentials_are_the_article_s() -> None:
    exps = trace(PRESETS["worked-row-0"].problem).unshifted_exp

    torch.testing.assert_close(exps, torch.tensor([2.7183, 7.3891, 20.0855]), rtol=0, atol=5e-5)
    assert float(exps.sum()) == pytest.approx(30.1929, abs=5e-5)


def test_the_gradient_by_label_is_p_minus_one_at_the_label_and_p_elsewhere() -> None:
    by_label = trace(PRESETS["worked-batch"].problem, 1).gradient_by_label

    expected = torch.tensor([[-0.9100, 0.2447, 0.6652], [0.0900, -0.7553, 0.6652], [0.0900, 0.2447, -0.3348]])
    torch.testing.assert_close(by_label, expected, rtol=0, atol=5e-5)


# Its shape


def test_iterating_gives_the_unfused_steps() -> None:
    steps = trace(PRESETS["worked-row-0"].problem)

    assert [step.name for step in steps] == NAMES
    assert [step.name for step in steps.fused_steps] == FUSED_NAMES
    assert len(steps) == len(NAMES)


def test_each_step_uses_what_was_made_before_it_and_its_gradient_what_comes_after() -> None:
    for steps in (trace(PRESETS["worked-row-0"].problem).steps, trace(PRESETS["worked-row-0"].problem).fused_steps):
        names = [step.name for step in steps]
        for place, step in enumerate(steps):
            assert set(step.uses) <= set(names[:place])
            # what a step was used for is where its gradient comes from
            assert set(step.gradient_uses) == {later.name for later in steps if step.name in later.uses}


def test_every_gradient_has_the_shape_of_its_value() -> None:
    for step in trace(PRESETS["digits"].problem, 3):
        assert step.gradient.shape == step.value.shape
        assert step.is_scalar == (step.value.shape == ())


@pytest.mark.parametrize("row", [-1, 3])
def test_a_row_that_is_not_there_is_refused(row: int) -> None:
    with pytest.raises(IndexError, match=f"row is {row}, expected 0…2"):
        trace(PRESETS["worked-batch"].problem, row)


def test_a_problem_without_rows_is_one_row() -> None:
    steps = trace(Problem([1, 2, 3], 0))

    torch.testing.assert_close(steps["logits"].gradient, torch.tensor([-0.9100, 0.2447, 0.6652]), rtol=0, atol=5e-5)


def test_rows_with_more_axes_are_counted_as_the_flattened_row_losses() -> None:
    generator = torch.Generator().manual_seed(0)
    problem = Problem(torch.randn(2, 3, 4, generator=generator), torch.randint(0, 3, (2, 4), generator=generator))

    losses = [float(trace(problem, row)["row_loss"].value) for row in range(8)]

    torch.testing.assert_close(torch.tensor(losses), evaluate(problem).row_loss.flatten())


# Every gradient against differences of a tail written by hand


def loss_from(name: str, values: list, chain: dict, target: list, denominator: float, temperature: float) -> mpmath.mpf:
    """The rest of the chain from one step on, that step's values replaced; written anew, with 50 digits."""
    chain = {**chain, name: values}
    place = NAMES.index(name)
    for step in NAMES[place + 1 :]:
        match step:
            case "scaled":
                chain[step] = [z / mpmath.mpf(temperature) for z in chain["logits"]]
            case "max":
                chain[step] = [max(chain["scaled"])]
            case "shifted":
                chain[step] = [a - chain["max"][0] for a in chain["scaled"]]
            case "exp":
                chain[step] = [mpmath.exp(s) for s in chain["shifted"]]
            case "sum":
                chain[step] = [mpmath.fsum(chain["exp"])]
            case "softmax":
                chain[step] = [e / chain["sum"][0] for e in chain["exp"]]
            case "log":
                chain[step] = [mpmath.log(p) for p in chain["softmax"]]
            case "weighted":
                chain[step] = [v * q for v, q in zip(target, chain["log"], strict=True)]
            case "row_loss":
                chain[step] = [-mpmath.fsum(chain["weighted"])]
            case "contribution":
                chain[step] = [chain["row_loss"][0] / mpmath.mpf(denominator)]
    return chain["contribution"][0]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "problem",
    [
        Problem(torch.tensor([[1.0, -2.0, 0.5, 3.0]] * 2, dtype=torch.float64), [3, 1], temperature=2.5),
        Problem(torch.tensor([[1.0, -2.0, 0.5]] * 2, dtype=torch.float64), [0, 1], label_smoothing=0.2),
        Problem(torch.tensor([[0.3, 0.1]], dtype=torch.float64), torch.tensor([[0.6, 0.9]], dtype=torch.float64)),
        Problem(
            torch.tensor([[1.0, 2.0, -1.0]] * 3, dtype=torch.float64),
            [2, 0, -100],
            weight=torch.tensor([0.5, 2.0, 3.0], dtype=torch.float64),
            temperature=0.7,
        ),
    ],
    ids=["temperature", "smoothing", "probabilities", "weight"],
)
def test_every_gradient_is_the_slope_of_the_rest_of_the_chain(problem: Problem, name: str) -> None:
    steps = trace(problem, 0)
    with mpmath.workdps(50):
        chain = {step.name: [mpmath.mpf(x) for x in step.value.reshape(-1).tolist()] for step in steps}
        target = [mpmath.mpf(x) for x in steps.target.tolist()]
        slopes = []
        for k in range(len(chain[name])):
            ends = []
            for sign in (1, -1):
                moved = list(chain[name])
                moved[k] += sign * mpmath.mpf("1e-15")
                ends.append(loss_from(name, moved, chain, target, steps.denominator, problem.temperature))
            slopes.append(float((ends[0] - ends[1]) / mpmath.mpf("2e-15")))

    assert steps[name].gradient.reshape(-1).tolist() == pytest.approx(slopes, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_every_value_is_the_rest_of_the_chain_before_it(name: str) -> None:
    problem = Problem(torch.tensor([[1.0, -2.0, 0.5, 3.0]], dtype=torch.float64), [1], temperature=2.5)
    steps = trace(problem)

    with mpmath.workdps(50):
        chain = {step.name: [mpmath.mpf(x) for x in step.value.reshape(-1).tolist()] for step in steps}
        target = [mpmath.mpf(x) for x in steps.target.tolist()]
        loss = float(loss_from(name, chain[name], chain, target, steps.denominator, 2.5))

    assert float(steps["contribution"].value) == pytest.approx(loss, rel=1e-12)
    assert loss == pytest.approx(float(evaluate(problem).loss), rel=1e-12)


# Against the whole evaluation, for any Problem

problems = valid_calls().map(Call.problem)
odd_ones = valid_calls(odd=True).map(Call.problem)
places = st.integers(0, 2**32)


def any_row(problem: Problem, place: int) -> int:
    return place % problem.num_rows


def assert_fused_gradient(steps: Trace, expected: Tensor) -> None:
    """The same numbers within a few eps of the largest entry the row can have; NaN and infinities where they were."""
    actual = steps.fused_steps[0].gradient
    scale = steps.route_tolerance if math.isfinite(steps.route_tolerance) else 0.0
    torch.testing.assert_close(actual, expected, rtol=0, atol=scale, equal_nan=True)


def rounding(steps: Trace) -> float:
    """How far the loss of a row may lie off when every log p is off by a few eps: 16 eps Σ|v| (1 + max |log p|)."""
    sizes = steps["log"].value.double().abs()
    eps = torch.finfo(steps["logits"].value.dtype).eps
    return float(16 * eps * steps.target.double().abs().sum() * (1 + sizes.max()))


@given(problem=problems, place=places)
def test_the_fused_gradient_is_the_evaluation_s(problem: Problem, place: int) -> None:
    row = any_row(problem, place)

    assert_fused_gradient(trace(problem, row), grad_row(problem, row))


@given(problem=odd_ones, place=places)
def test_the_fused_gradient_is_the_evaluation_s_on_odd_numbers(problem: Problem, place: int) -> None:
    row = any_row(problem, place)

    assert_fused_gradient(trace(problem, row), grad_row(problem, row))


@given(problem=problems, place=places)
def test_the_row_loss_is_the_evaluation_s(problem: Problem, place: int) -> None:
    row = any_row(problem, place)
    steps = trace(problem, row)

    expected = evaluate(problem).row_loss.flatten()[row]
    assert_agree(steps.fused_steps[-2].value, expected, dtype=problem.logits.dtype)
    if not steps.underflowed.any():
        assert float(steps["row_loss"].value) == pytest.approx(float(expected), abs=rounding(steps))


@given(problem=problems, place=places)
def test_both_routes_agree_where_nothing_underflows(problem: Problem, place: int) -> None:
    steps = trace(problem, any_row(problem, place))

    if not steps.underflowed.any():
        assert steps.unfused_agrees
    if steps.denominator and not steps.underflowed.any():
        difference = (steps.jacobian_product.double() - steps["scaled"].gradient.double()).abs()
        assert (difference <= steps.route_tolerance * steps.temperature).all()


@given(problem=problems, place=places)
def test_nothing_flows_through_the_maximum(problem: Problem, place: int) -> None:
    steps = trace(problem, any_row(problem, place))

    if steps.denominator and not steps.underflowed.any():
        assert abs(float(steps["max"].gradient)) <= steps.route_tolerance * steps.temperature


@given(problem=problems)
def test_the_contributions_of_all_rows_add_up_to_the_loss(problem: Problem) -> None:
    assume(float(evaluate(problem).denominator) != 0)

    total = math.fsum(float(trace(problem, row).fused_steps[-1].value) for row in range(problem.num_rows))

    assert_agree(torch.tensor(total, dtype=torch.float64), evaluate(problem).loss.sum(), dtype=problem.logits.dtype)


def test_the_jacobian_is_autograd_s() -> None:
    steps = trace(PRESETS["digits"].problem.to(torch.float64), 2)

    expected = torch.autograd.functional.jacobian(lambda a: a.softmax(0), steps["scaled"].value)

    assert_agree(steps.jacobian, expected)


# What breaks, and what holds


def test_a_probability_that_underflows_breaks_the_unfused_chain_only() -> None:
    steps = trace(Problem([[200.0, 0.0, 0.0]], [1]))

    assert steps.underflowed.tolist() == [False, True, True]
    assert not steps.unfused_agrees
    assert steps["logits"].gradient.isnan().any()
    assert steps["row_loss"].value == math.inf
    assert steps.fused_steps[0].gradient.tolist() == [1, -1, 0]
    assert steps.fused_steps[-2].value == 200


def test_a_subnormal_probability_is_an_underflow() -> None:
    steps = trace(Problem([[95.0, 0.0]], [1]))

    assert 0 < float(steps["softmax"].value[1]) < torch.finfo(torch.float32).tiny
    assert steps.underflowed.tolist() == [False, True]


def test_a_masked_class_breaks_the_unfused_chain_but_did_not_underflow() -> None:
    steps = trace(PRESETS["masked"].problem, 0)

    assert steps.masked.tolist() == [False, False, True, False]
    assert not steps.underflowed.any()
    assert not steps.unfused_agrees
    assert steps.fused_steps[0].gradient.isfinite().all()


def test_what_overflows_without_the_shift_holds_with_it() -> None:
    steps = trace(Problem([[100.0, 99.0]], [0]))

    assert steps.unshifted_exp.isinf().all()
    assert steps.unfused_agrees
    assert float(steps["row_loss"].value) == pytest.approx(math.log1p(math.exp(-1)), rel=1e-6)


def test_an_ignored_row_has_no_loss_and_no_gradient() -> None:
    steps = trace(PRESETS["ignored-row"].problem, 1)

    assert not steps.kept
    assert steps.label is None
    assert steps.mass == 0
    assert steps["row_loss"].value == 0
    assert steps["logits"].gradient.tolist() == [0, 0, 0]


def odd_problems() -> dict[str, Problem]:
    inf, nan = math.inf, math.nan
    found = {
        "minus infinity at the label": Problem([[1.0, -inf]], [1]),
        "only minus infinities": Problem([[-inf, -inf]], [0]),
        "plus infinity": Problem([[inf, 0.0]], [0]),
        "NaN": Problem([[nan, 0.0]], [0]),
        "NaN in an ignored row": Problem([[nan, 0.0], [1.0, 2.0]], [-100, 1]),
        "all ignored": Problem([[1.0, 2.0]], [-100]),
        "weights of zero": Problem([[1.0, 2.0]], [1], weight=[1.0, 0.0]),
        "one class": Problem([[3.0]], [0]),
        "one class, ignored": Problem([[3.0]], [-100]),
        "probabilities of zero": Problem([[1.0, 2.0]], [[0.0, 0.0]]),
        "probabilities and a mask": Problem([[1.0, -inf]], [[1.0, 0.0]]),
        "smoothing and a mask": Problem([[1.0, -inf]], [0], label_smoothing=0.1),
        "all smoothing": Problem([[1.0, -inf]], [1], label_smoothing=1.0),
        "ignore_index is a class": Problem([[1.0, 2.0]], [1], ignore_index=0),
        "a tie": Problem([[2.0, 2.0, 2.0]], [0]),
        "cold": Problem([[1.0, 2.0]], [0], temperature=1e-6),
        "hot": Problem([[1.0, 2.0]], [0], temperature=1e6),
        "no classes": Problem(torch.zeros(2, 0), torch.zeros(2, 0)),
    }
    return found


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("name", odd_problems())
def test_the_fused_gradient_is_the_evaluation_s_on_odd_problems(name: str, reduction: str, dtype: torch.dtype) -> None:
    given = odd_problems()[name]
    problem = Problem(
        given.logits.to(dtype),
        given.target.to(dtype) if given.has_probabilities else given.target,
        weight=None if given.weight is None else given.weight.to(dtype),
        ignore_index=given.ignore_index,
        label_smoothing=given.label_smoothing,
        temperature=given.temperature,
        reduction=reduction,
    )

    for row in range(problem.num_rows):
        steps = trace(problem, row)
        assert_fused_gradient(steps, grad_row(problem, row))
        assert _everything_can_be_asked(steps)


def _everything_can_be_asked(steps: Trace) -> bool:
    asked = (steps.unfused_agrees, steps.underflowed, steps.masked, steps.jacobian_product, steps.unshifted_exp)
    return len(asked) == 5 and (not steps.target.numel() or steps.gradient_by_label.dim() == 2)
