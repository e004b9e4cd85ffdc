import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests import problems
from tests.doctor_cases import CASES, ERRORS, Call, Case
from tests.problems import any_calls, call_of
from xent_core import Finding, InvalidProblem, Problem, diagnose
from xent_core.doctor.findings import TITLES
from xent_core.validation import as_logits, as_target, as_weight

DEFAULTS = {"weight": None, "ignore_index": -100, "reduction": "mean", "label_smoothing": 0.0}

Z = torch.tensor([[1.0, 2.0, 3.0]] * 3)
HARD = torch.tensor([2, 1, 0])


# The table


def table(cases: list[Case], *which: str) -> Any:
    """Every call in these columns of the table, as arguments of a test."""
    rows = [
        pytest.param(case, call, id=f"{case.code}-{column}-{number}")
        for case in cases
        for column in which
        for number, call in enumerate(getattr(case, column))
    ]
    return pytest.mark.parametrize(("case", "call"), rows)


def found_in(call: Call) -> list[Finding]:
    return diagnose(call.logits, call.target, **call.options)


def after_its_fix(case: Case, call: Call) -> Call:
    """The arguments after the fix has run, on tensors as a training loop has them."""
    names: dict[str, Any] = {"torch": torch, "F": F, "logits": call.logits, "target": call.target, **DEFAULTS}
    names |= call.options
    if not case.code.endswith("-type"):
        names["logits"] = as_logits(call.logits)
        names["target"] = as_target(call.target, names["logits"].dtype)
        if names["weight"] is not None:
            names["weight"] = as_weight(names["weight"], names["logits"].dtype)
    names |= {name: torch.as_tensor(names[name]) for name in ("tokens", "prompt_mask") if name in names}
    fix = next(one.fix for one in found_in(call) if one.code == case.code)
    exec(fix, names)
    known = {name: call.options[name] for name in call.options if name not in DEFAULTS}
    return Call(names["logits"], names["target"], {name: names[name] for name in DEFAULTS} | known)


def test_a_list_that_holds_a_tensor_beside_something_else_is_told_to_be_printed():
    (found,) = diagnose([torch.tensor([1.0, 2.0]), "3"], torch.tensor([0]))

    assert (found.code, found.fix.split("  #")[0]) == ("logits-type", "print(logits)")


@pytest.mark.parametrize(("logits", "shape"), [(torch.zeros(1), "(1,)"), (torch.zeros(1, 1), "(1, 1)")])
def test_the_shape_of_the_logits_is_told_as_it_came(logits, shape):
    target = torch.zeros(logits.shape[:-1], dtype=torch.int64)

    said = [one.explanation for one in diagnose(logits, target) if one.code == "single-class"]

    assert len(said) == 1
    assert f"shape {shape}, so C = 1" in said[0]


def test_every_code_has_three_inputs_and_three_near_misses() -> None:
    assert {case.code for case in CASES} == set(TITLES)
    assert all(len(case.raises) + len(case.stays) >= 3 and len(case.near) >= 3 for case in CASES)


@table(CASES, "raises", "stays")
def test_it_is_found(case: Case, call: Call) -> None:
    assert (case.code, case.severity) in {(one.code, one.severity) for one in found_in(call)}


@table(CASES, "near")
def test_a_near_miss_is_not(case: Case, call: Call) -> None:
    assert (case.code, case.severity) not in {(one.code, one.severity) for one in found_in(call)}


@table(CASES, "raises")
def test_its_fix_makes_it_go_away(case: Case, call: Call) -> None:
    left = {(one.code, one.severity) for one in found_in(after_its_fix(case, call))}

    assert (case.code, case.severity) not in left
    assert not {severity for _, severity in left} & {"error"}


@table(CASES, "stays")
def test_where_the_fix_cannot_mend_it_runs_all_the_same(case: Case, call: Call) -> None:
    assert case.code in {one.code for one in found_in(after_its_fix(case, call))}


@table(CASES, "raises", "stays")
def test_the_words_are_whole(case: Case, call: Call) -> None:
    for one in found_in(call):
        assert one.title == TITLES[one.code]
        assert one.explanation.endswith(".")
        assert "{" not in one.explanation or one.severity == "error"  # which may quote what came
        assert one.fix


@table(ERRORS, "raises", "stays")
def test_an_error_stands_alone_and_says_the_same_as_the_refused_problem(case: Case, call: Call) -> None:
    if case.code.endswith("-type") and any(
        call is one for one in case.raises
    ):  # lists of tensors, which a Problem stacks
        assert [one.code for one in found_in(call)] == [case.code]
        return
    with pytest.raises(InvalidProblem) as caught:
        Problem(call.logits, call.target, **call.options)

    assert [(one.code, one.explanation) for one in found_in(call)] == [(caught.value.code, str(caught.value))]


@table(ERRORS, "near")
def test_a_near_miss_of_an_error_makes_a_problem_that_pytorch_takes(case: Case, call: Call) -> None:
    loss, grad = call_of(Problem(call.logits, call.target, **call.options)).torch()

    assert not [one for one in found_in(call) if one.severity == "error"]
    assert loss.is_floating_point()
    assert grad.shape == as_logits(call.logits).shape


# The rest


def test_one_label_in_an_axis_of_its_own_is_what_only_backward_refuses():
    call = Call(Z[0], torch.tensor([2]), {})
    with pytest.raises(RuntimeError):
        F.cross_entropy(call.logits.clone().requires_grad_(), call.target).backward()

    assert [one.code for one in found_in(call)] == ["target-shape"]
    assert found_in(after_its_fix(Case("target-shape", "error", [call], []), call)) == []


def test_every_mistake_is_listed_and_not_only_the_first():
    findings = diagnose(Z, [0, 1, 7], weight=[1, 1], reduction="average", label_smoothing=2)

    assert [finding.code for finding in findings] == [
        "reduction",
        "label-smoothing",
        "target-out-of-range",
        "weight-shape",
    ]


def test_a_mistaken_option_is_not_blamed_on_empty_logits():
    assert [finding.code for finding in diagnose(torch.zeros(0, 3), torch.zeros(0, 3), reduction="?")] == ["reduction"]


@given(any_calls())
@example(problems.Call(torch.zeros(1, 3, 2), torch.tensor([[0, 2]]), {"weight": torch.ones(1, 3)}))
@settings(max_examples=300)
def test_an_error_is_found_exactly_where_pytorch_raises(call):
    found = diagnose(call.logits, call.target, **call.options)
    try:
        call.torch()
    except (RuntimeError, ValueError, IndexError, TypeError, NotImplementedError):
        raises = True
    else:
        raises = False

    # here and there PyTorch takes a weight of another shape, as long as it holds C numbers
    codes = {one.code for one in found if one.severity == "error"} - ({"weight-shape"} if not raises else set())
    assert bool(codes) == raises
    if not raises and "weight-shape" in {one.code for one in found}:
        assert call.options["weight"].numel() == call.logits.shape[min(call.logits.dim() - 1, 1)]


def test_the_input_is_not_changed():
    logits, target, weight = Z.clone(), np.array([0, 7, -1]), [1, 2]
    diagnose(logits, target, weight=weight)

    assert torch.equal(logits, Z)
    assert target.tolist() == [0, 7, -1]
    assert weight == [1, 2]


def test_findings_are_frozen_words():
    finding = diagnose(Z, [7, 7, 7])[0]

    *words, evidence = dataclasses.asdict(finding).values()
    assert all(isinstance(value, str) and value for value in words)
    assert evidence is None
    with pytest.raises(dataclasses.FrozenInstanceError):
        finding.code = "?"


# Junk


class Explosive:
    """An object that fails however it is read."""

    def __array__(self, *args, **kwargs):
        raise KeyError

    __float__ = __index__ = __repr__ = __array__


def endless() -> list:
    junk: list = []
    junk.append(junk)
    return junk


JUNK = {
    "None": None,
    "text": "abc",
    "bytes": b"abc",
    "object": object(),
    "dict": {},
    "set": {1, 2},
    "function": len,
    "ragged": [[1], [2, 3]],
    "list of text": [["a", "b"]],
    "list of None": [None],
    "an endless list": endless(),
    "tensors of two lengths": [torch.zeros(2), torch.zeros(3)],
    "a huge integer": 10**400,
    "a huger integer": 10**5000,
    "a list of huge integers": [10**400],
    "complex": 1j,
    "datetime": np.datetime64("2020-01-01"),
    "text array": np.array(["a"]),
    "object array": np.array([None, "a"], dtype=object),
    "float128": np.zeros(2, np.longdouble),
    "nested tensor": torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)], layout=torch.jagged),
    "meta tensor": torch.zeros(1, 2, device="meta"),
    "explosive": Explosive(),
}


@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK)
def test_junk_gives_findings_and_never_an_exception(junk):
    assert diagnose(junk, [0])
    assert diagnose([[1.0, 2.0]], junk)
    assert diagnose([[1.0, 2.0]], [0], reduction=junk)
    assert diagnose([[1.0, 2.0]], [0], ignore_index=junk)
    assert junk is None or diagnose([[1.0, 2.0]], [0], weight=junk)
    assert all(len(finding.explanation) < 1000 for finding in diagnose(junk, junk))


@pytest.mark.parametrize("junk", [None, "0.1", b"0", [], {}, 1j, 10**400, Explosive(), object()])
def test_junk_for_the_smoothing_gives_a_finding(junk):
    assert [finding.code for finding in diagnose(Z, HARD, label_smoothing=junk)] == ["label-smoothing"]


ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.complex_numbers()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.tuples(inner), st.dictionaries(st.integers(), inner)),
    max_leaves=6,
)


@given(ANYTHING, ANYTHING, ANYTHING, ANYTHING)
@example([[1.0, 2.0]], [0], None, None)
@example([[1.0, 2.0]], [0], [1.0, 1.0], None)
@settings(max_examples=200)
def test_anything_gives_findings_or_a_problem(logits, target, weight, option):
    options = {"weight": weight, "ignore_index": option, "reduction": option, "label_smoothing": option}

    assert diagnose(logits, target, **options)  # no option serves for all three
    if diagnose(logits, target, weight=weight) == []:
        assert isinstance(Problem(logits, target, weight=weight), Problem)
