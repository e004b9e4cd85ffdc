import dataclasses
import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.problems import any_calls
from tests.test_symptoms import CASES as SYMPTOMS
from xent_core import InvalidProblem, Problem, diagnose
from xent_core.doctor import TITLES

Z = torch.tensor([[1.0, 2.0, 3.0]] * 3)
HARD = torch.tensor([2, 1, 0])
Z3, HARD3 = torch.zeros(2, 5, 4), torch.zeros(2, 4, dtype=torch.int64)

# what raises each code: arguments, options
RAISES = [
    ("logits-type", ([[1, 2], [3]], [0, 1]), {}),
    ("logits-type", ("logits", [0]), {}),
    ("logits-type", (None, [0]), {}),
    ("logits-dtype", (Z.long(), HARD), {}),
    ("logits-dtype", (Z > 1, HARD), {}),
    ("logits-dtype", (Z.to_sparse(), HARD), {}),
    ("logits-dtype", ([[1j, 2j]], [0]), {}),
    ("logits-shape", (1.0, 0), {}),
    ("logits-shape", (torch.tensor(1.0), torch.tensor(0)), {}),
    ("logits-shape", (torch.zeros(2, 0, 3), torch.full((2, 3), -100)), {}),
    ("target-type", (Z, "labels"), {}),
    ("target-type", (Z, [[1], [1, 2]]), {}),
    ("target-type", (Z, None), {}),
    ("target-dtype", (Z, HARD.float()), {}),
    ("target-dtype", (Z, HARD.int()), {}),
    ("target-dtype", (Z3, HARD3.to(torch.uint8)), {}),
    ("target-dtype", (Z, HARD.to_sparse()), {}),
    ("target-dtype", (Z, HARD.to(torch.uint8)), {"weight": torch.ones(3), "label_smoothing": 0.1}),
    ("target-shape", (Z, HARD.unsqueeze(1)), {}),
    ("target-shape", (torch.zeros(3), [0, 1]), {}),
    ("target-shape", (Z, torch.eye(3)[:, :2]), {}),
    ("target-out-of-range", (Z, [0, 1, 3]), {}),
    ("target-out-of-range", (Z, [0, 1, -1]), {}),
    ("target-out-of-range", (torch.zeros(2, 0), [0, 0]), {}),
    ("target-out-of-range", (Z, [0, -100, 1]), {"ignore_index": -1}),
    ("class-axis", (torch.zeros(2, 5, 3), torch.zeros(2, 5, dtype=torch.int64)), {}),
    ("class-axis", (torch.zeros(2, 4, 5, 3), torch.zeros(2, 4, 5, dtype=torch.int64)), {}),
    ("class-axis", (np.zeros((1, 7, 2)), np.zeros((1, 7), np.int64)), {}),
    ("batch-mismatch", (Z, [0, 1]), {}),
    ("batch-mismatch", (Z, [0, 1, 2, 0]), {}),
    ("batch-mismatch", (Z3, torch.zeros(3, 4, dtype=torch.int64)), {}),
    ("int-one-hot", (Z, torch.eye(3).long()), {}),
    ("int-one-hot", (Z, [[1, 0, 0]] * 3), {}),
    ("int-one-hot", (Z, np.eye(3, dtype=bool)), {}),
    ("soft-target-ignore-index", (Z, torch.eye(3)), {"ignore_index": 0}),
    ("soft-target-ignore-index", (Z, torch.eye(3)), {"ignore_index": 255}),
    ("soft-target-ignore-index", (Z[0], torch.eye(3)[0]), {"ignore_index": 2}),
    ("weight-type", (Z, HARD), {"weight": "balanced"}),
    ("weight-type", (Z, HARD), {"weight": [[1], [1, 2]]}),
    ("weight-type", (Z, HARD), {"weight": {0: 1.0}}),
    ("weight-shape", (Z, HARD), {"weight": [1, 1]}),
    ("weight-shape", (Z, HARD), {"weight": [1, 1, 1, 1]}),
    ("weight-shape", (Z, HARD), {"weight": 2.0}),
    ("weight-shape", (Z, HARD), {"weight": torch.ones(3, 1)}),
    ("weight-dtype", (Z, HARD), {"weight": torch.ones(3, dtype=torch.float64)}),
    ("weight-dtype", (Z, HARD), {"weight": np.ones(3)}),
    ("weight-dtype", (Z, HARD), {"weight": torch.ones(3, dtype=torch.int64)}),
    ("weight-dtype", (Z, torch.eye(3)), {"weight": torch.ones(3).to_sparse()}),
    ("reduction", (Z, HARD), {"reduction": "average"}),
    ("reduction", (Z, HARD), {"reduction": None}),
    ("reduction", (Z, HARD), {"reduction": "Mean"}),
    ("label-smoothing", (Z, HARD), {"label_smoothing": 1.1}),
    ("label-smoothing", (Z, HARD), {"label_smoothing": "0.1"}),
    ("label-smoothing", (Z, HARD), {"label_smoothing": math.inf}),
    ("ignore-index", (Z, HARD), {"ignore_index": 2**63}),
    ("ignore-index", (Z, HARD), {"ignore_index": "-100"}),
    ("ignore-index", (Z, HARD), {"ignore_index": -100.0}),
]

# what comes near without a mistake
CLEAN = [
    ((Z, HARD), {}),
    ((Z.tolist(), HARD.tolist()), {}),
    ((Z.numpy(), HARD.numpy()), {}),
    ((np.array([[1, 2, 3]] * 3), [0, 1, 2]), {}),
    ((Z[0], torch.tensor(2)), {}),
    ((Z, torch.eye(3)), {}),
    ((Z, torch.eye(3).double()), {"weight": torch.ones(3, dtype=torch.int64)}),
    ((Z, HARD.to(torch.uint8)), {}),
    ((Z, HARD.to(torch.uint8)), {"weight": torch.ones(3), "label_smoothing": 0.1, "reduction": "sum"}),
    ((Z, [0, -100, 1]), {}),
    ((Z, [0, 255, 1]), {"ignore_index": 255}),
    ((Z3, HARD3), {}),
    ((Z, HARD), {"weight": [1, 1, 1]}),
    ((Z, HARD), {"weight": [1, 2, 3], "reduction": "sum"}),
    ((Z, HARD), {"label_smoothing": 1}),
    ((Z, HARD), {"label_smoothing": 0}),
    ((Z, HARD), {"ignore_index": 2**63 - 1}),
    ((Z, torch.eye(3)), {"ignore_index": -1}),
]


@pytest.mark.parametrize(("code", "arguments", "options"), RAISES)
def test_a_mistake_is_found_by_its_code(code, arguments, options):
    findings = diagnose(*arguments, **options)

    assert [finding.code for finding in findings] == [code]
    assert findings[0].severity == "error"


@pytest.mark.parametrize(("code", "arguments", "options"), RAISES)
def test_a_finding_says_the_same_as_the_refused_problem(code, arguments, options):
    with pytest.raises(InvalidProblem) as caught:
        Problem(*arguments, **options)
    finding = diagnose(*arguments, **options)[0]

    assert caught.value.code == code
    assert finding.explanation == str(caught.value)
    assert finding.title == TITLES[code]


@pytest.mark.parametrize(("arguments", "options"), CLEAN)
def test_near_misses_are_clean(arguments, options):
    assert diagnose(*arguments, **options) == []
    assert isinstance(Problem(*arguments, **options), Problem)


def test_every_error_is_raised_by_three_inputs():
    counts = Counter(code for code, _, _ in RAISES)

    assert set(counts) | {case.code for case in SYMPTOMS} == set(TITLES)
    assert min(counts.values()) >= 3


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

    assert all(isinstance(value, str) and value for value in dataclasses.asdict(finding).values())
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
    "a list of matrices": [torch.zeros(2, 2)],
    "a huge integer": 10**400,
    "a huger integer": 10**5000,
    "a list of huge integers": [10**400],
    "complex": 1j,
    "datetime": np.datetime64("2020-01-01"),
    "text array": np.array(["a"]),
    "object array": np.array([None, "a"], dtype=object),
    "float128": np.zeros(2, np.longdouble),
    "big-endian": np.zeros((1, 2), ">f4"),
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
@settings(max_examples=200)
def test_anything_gives_findings_or_a_problem(logits, target, weight, option):
    options = {"weight": weight, "ignore_index": option, "reduction": option, "label_smoothing": option}

    assert diagnose(logits, target, **options)  # no option serves for all three
    if diagnose(logits, target, weight=weight) == []:
        assert isinstance(Problem(logits, target, weight=weight), Problem)
