import dataclasses
import json
import math

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.problems import FLOATS, assert_same_bits
from tests.sheets import sheets
from xent_core import InvalidProblem, Problem, evaluate
from xent_core.parse import InvalidText, parse_number
from xent_core.presets import PRESETS
from xent_core.problem import DTYPES
from xent_ui.state.sheet import (
    CLASS_INDEX,
    MAX_CLASSES,
    MAX_JSON,
    MAX_ROWS,
    ONE_HOT,
    PROBABILITIES,
    InvalidSheet,
    Sheet,
    number_text,
    sheet_of_preset,
)

SHEET = Sheet(
    logits=(("1", "2", "3"), ("0.10", "-inf", "1e308")),
    class_names=("cat", "dog", "bird"),
    row_names=("a", "b"),
    labels=(2, None),
    probabilities=(("0.2", "0.3", "0.5"), ("0", "0", "0")),
)
# The Problem that the texts mean


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_sheet_means_the_numbers_typed_in_its_dtype(dtype):
    problem = dataclasses.replace(SHEET, dtype=dtype, weight=("0.1", "2", "1e-3")).to_problem()

    logits = torch.tensor([[1, 2, 3], [0.1, -math.inf, 1e308]], dtype=torch.float64)
    assert_same_bits(problem.logits, logits.to(DTYPES[dtype]))
    assert problem.target.tolist() == [2, -100]
    assert_same_bits(problem.weight, torch.tensor([0.1, 2, 1e-3], dtype=torch.float64).to(DTYPES[dtype]))


@pytest.mark.parametrize(
    ("text", "number"),
    [("-inf", "-inf"), ("nan", "nan"), ("1e308", "1e+308"), ("-0", "-0.0"), ("−2.5", "-2.5"), ("5e-324", "5e-324")],
)
def test_odd_numbers_typed_are_the_numbers_computed_with(text, number):
    problem = dataclasses.replace(SHEET, logits=((text, "0", "0"), ("0", "0", "0")), dtype="float64").to_problem()

    assert str(problem.logits[0, 0].item()) == number


def test_probabilities_are_the_target_when_they_are_chosen():
    problem = dataclasses.replace(SHEET, target_kind=PROBABILITIES, dtype="float64").to_problem()

    assert problem.target.tolist() == [[0.2, 0.3, 0.5], [0, 0, 0]]


def test_an_ignored_row_gets_the_ignore_index():
    assert dataclasses.replace(SHEET, ignore_index=-7).to_problem().target.tolist() == [2, -7]


def test_options_reach_the_problem():
    sheet = dataclasses.replace(SHEET, reduction="sum", label_smoothing=0.1, temperature=2.0)
    problem = sheet.to_problem()

    assert (problem.reduction, problem.label_smoothing, problem.temperature) == ("sum", 0.1, 2.0)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_as_typed_means_the_preset(name):
    assert sheet_of_preset(PRESETS[name]).to_problem() == PRESETS[name].problem


# What a Sheet refuses


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"logits": ()}, "0 rows and 3 classes came"),
        ({"logits": (("1", "2"), ("1", "2", "3"))}, "expected 2 × 3 in each"),
        ({"probabilities": (("1", "2", "3"),)}, "expected 2 × 3 in each"),
        ({"labels": (1,)}, "expected 2 × 3 in each"),
        ({"row_names": ("a",)}, "expected 2 × 3 in each"),
        ({"weight": ("1", "1")}, "expected 2 × 3 in each"),
        ({"labels": (3, 0)}, "expected a class in 0…2"),
        ({"labels": (-1, 0)}, "expected a class in 0…2"),
        ({"class_names": ("cat", "cat", "bird")}, "Two classes are named 'cat'"),
        ({"class_names": ("cat", "row", "bird")}, "which the table needs itself"),
        ({"class_names": ("cat", " ", "bird")}, "1 to 40 printable characters"),
        ({"class_names": ("cat", "d\ng", "bird")}, "1 to 40 printable characters"),
        ({"row_names": ("a", "x" * 41)}, "1 to 40 printable characters"),
        ({"row_names": ("a", "\ud800")}, "1 to 40 printable characters"),
        ({"target_kind": "labels"}, "An option has a value that does not exist"),
        ({"reduction": "average"}, "An option has a value that does not exist"),
        ({"dtype": "float8"}, "An option has a value that does not exist"),
    ],
)
def test_a_sheet_that_cannot_be_is_refused_in_words(changes, message):
    with pytest.raises(InvalidSheet, match=message):
        dataclasses.replace(SHEET, **changes)


@pytest.mark.parametrize("text", ["", "abc", "1,5", "1e400", "__import__('os')"])
@pytest.mark.parametrize("field", ["logits", "probabilities"])
def test_a_cell_that_is_no_number_is_refused(field, text):
    with pytest.raises(InvalidText):
        dataclasses.replace(SHEET, **{field: ((text, "0", "0"), ("0", "0", "0"))})


# To JSON and back


@given(sheets())
@settings(max_examples=100)
def test_to_json_and_back_gives_the_same_sheet(sheet):
    assert Sheet.from_json(sheet.to_json()) == sheet


@pytest.mark.parametrize("name", PRESETS)
def test_presets_come_back_from_json(name):
    sheet = sheet_of_preset(PRESETS[name])

    assert Sheet.from_json(sheet.to_json()) == sheet


def changed_json(**changes: object) -> str:
    return json.dumps({**dataclasses.asdict(SHEET), **changes})


def without(name: str) -> str:
    return json.dumps({key: value for key, value in dataclasses.asdict(SHEET).items() if key != name})


HOSTILE = {
    "empty": "",
    "no JSON": "{",
    "null": "null",
    "a number": "7",
    "a list": "[]",
    "an empty object": "{}",
    "5000 digits": "9" * 5000,
    "deep": "[" * 100_000,
    "too long": " " * (MAX_JSON + 1),
    "a field too many": changed_json(extra=1),
    "a field too few": without("dtype"),
    "logits as a string": changed_json(logits="123"),
    "rows as strings": changed_json(logits=["123", "123"]),
    "rows as objects": changed_json(logits=[{"1": 0, "2": 0, "3": 0}] * 2),
    "logits as numbers": changed_json(logits=[[1, 2, 3]] * 2),
    "no number in a cell": changed_json(logits=[["1", "2", "x"]] * 2),
    "null in a cell": changed_json(logits=[["1", "2", None]] * 2),
    "names as a string": changed_json(row_names="ab"),
    "null as names": changed_json(class_names=None),
    "null as row names": changed_json(row_names=None),
    "a number as a name": changed_json(row_names=["a", 1]),
    "a surrogate in a name": changed_json(row_names=["a", "\ud800"]),
    "labels as an object": changed_json(labels={"0": 1}),
    "a label as a string": changed_json(labels=["2", None]),
    "a label as a fraction": changed_json(labels=[1.0, None]),
    "a label as a bool": changed_json(labels=[True, None]),
    "a label out of range": changed_json(labels=[3, None]),
    "a huge label": changed_json(labels=[10**400, None]),
    "a huge ignore_index": changed_json(ignore_index=10**400),
    "an ignore_index as a bool": changed_json(ignore_index=True),
    "an ignore_index as a fraction": changed_json(ignore_index=-100.0),
    "a huge temperature": changed_json(temperature=10**400),
    "an infinite temperature": changed_json(temperature=math.inf),
    "a temperature of 0": changed_json(temperature=0),
    "no temperature": changed_json(temperature=None),
    "a smoothing above 1": changed_json(label_smoothing=2),
    "a huge smoothing": changed_json(label_smoothing=10**400),
    "a list as dtype": changed_json(dtype=[]),
    "a list as reduction": changed_json(reduction=["mean"]),
    "an object as target kind": changed_json(target_kind={}),
    "a class ignored among probabilities": changed_json(target_kind=PROBABILITIES, ignore_index=1),
    "65 rows": changed_json(logits=[["0"] * 3] * 65, probabilities=[["0"] * 3] * 65, labels=[0] * 65),
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_json_is_an_invalid_sheet_and_nothing_else(text):
    with pytest.raises(InvalidSheet):
        Sheet.from_json(text)


JSON_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=8,
)


@given(st.sampled_from([field.name for field in dataclasses.fields(Sheet)]), JSON_VALUES)
@settings(max_examples=200)
def test_any_value_in_any_field_gives_a_sheet_or_an_invalid_sheet(name, value):
    try:
        sheet = Sheet.from_json(changed_json(**{name: value}))
    except InvalidSheet:
        return

    assert isinstance(sheet.to_problem(), Problem)
    assert Sheet.from_json(sheet.to_json()) == sheet


@given(st.text())
@settings(max_examples=100)
def test_any_text_is_an_invalid_sheet(text):
    with pytest.raises(InvalidSheet):
        Sheet.from_json(text)


# Rows and classes come and go


def test_added_rows_and_classes_come_behind():
    sheet = dataclasses.replace(SHEET, weight=("2", "3", "4")).resized(3, 4)

    assert sheet.logits == (("1", "2", "3", "0"), ("0.10", "-inf", "1e308", "0"), ("0", "0", "0", "0"))
    assert sheet.labels == (2, None, 0)
    assert sheet.probabilities == (("0.2", "0.3", "0.5", "0"), ("0", "0", "0", "0"), ("1", "0", "0", "0"))
    assert sheet.weight == ("2", "3", "4", "1")
    assert (sheet.class_names, sheet.row_names) == (("cat", "dog", "bird", "class 3"), ("a", "b", "row 2"))


def test_a_new_name_is_one_that_is_free():
    assert SHEET.with_names(("class 3", "class 4", "x"), ("a", "b")).resized(2, 5).class_names[3:] == (
        "class 5",
        "class 6",
    )


def test_removed_classes_leave_their_rows_ignored():
    sheet = SHEET.resized(1, 2)

    assert (sheet.logits, sheet.labels) == ((("1", "2"),), (None,))


@given(sheets(), st.integers(1, 6), st.integers(1, 6))
@settings(max_examples=60)
def test_what_is_left_after_resizing_is_what_was_there(sheet, num_rows, num_classes):
    resized = sheet.resized(num_rows, num_classes)
    n, c = min(num_rows, sheet.num_rows), min(num_classes, sheet.num_classes)

    assert (resized.num_rows, resized.num_classes) == (num_rows, num_classes)
    assert [row[:c] for row in resized.logits[:n]] == [row[:c] for row in sheet.logits[:n]]
    assert sheet.resized(sheet.num_rows, sheet.num_classes) == sheet


@pytest.mark.parametrize("size", [(0, 3), (2, 0), (-1, 3), (MAX_ROWS + 1, 3), (2, MAX_CLASSES + 1)])
def test_a_size_out_of_range_is_refused(size):
    with pytest.raises(InvalidSheet):
        SHEET.resized(*size)


def test_a_row_in_the_middle_is_removed():
    sheet = SHEET.resized(3, 3).without_row(1)

    assert (sheet.logits, sheet.row_names) == ((("1", "2", "3"), ("0", "0", "0")), ("a", "row 2"))
    assert (sheet.labels, sheet.probabilities[0]) == ((2, 0), ("0.2", "0.3", "0.5"))


def test_labels_follow_their_classes_when_one_is_removed():
    sheet = dataclasses.replace(SHEET, labels=(2, 1), weight=("1", "2", "3")).without_class(1)

    assert (sheet.class_names, sheet.labels, sheet.weight) == (("cat", "bird"), (1, None), ("1", "3"))
    assert sheet.probabilities == (("0.2", "0.5"), ("0", "0"))


@pytest.mark.parametrize(
    ("ignored", "removed", "kept"),
    [(2, 1, [True, False, False]), (2, 0, [False, True, False]), (1, 2, [True, False, False])],
)
def test_an_ignored_class_stays_ignored_when_another_one_is_removed(ignored, removed, kept):
    sheet = dataclasses.replace(SHEET.resized(3, 3), labels=(0, 1, 2), ignore_index=ignored)

    assert sheet.without_class(removed).to_problem().kept().tolist() == kept


def test_no_other_class_is_ignored_in_the_place_of_an_ignored_class_that_is_removed():
    sheet = dataclasses.replace(SHEET.resized(3, 3), labels=(0, 1, 2), ignore_index=1)

    assert sheet.without_class(1).to_problem().kept().tolist() == [True, False, True]


def test_the_last_row_and_the_last_class_stay():
    with pytest.raises(InvalidSheet):
        SHEET.resized(1, 3).without_row(0)
    with pytest.raises(InvalidSheet):
        SHEET.resized(2, 1).without_class(0)


# The target in another form


@pytest.mark.parametrize("kind", [ONE_HOT, CLASS_INDEX])
def test_labels_become_rows_of_0_and_1_and_come_back(kind):
    sheet = dataclasses.replace(SHEET, target_kind=kind)
    soft = sheet.with_target_kind(PROBABILITIES)

    assert soft.probabilities == (("0", "0", "1"), ("0", "0", "0"))
    assert not soft.is_soft()
    assert soft.with_target_kind(kind).labels == SHEET.labels


@given(sheets())
@settings(max_examples=60)
def test_the_effective_target_of_labels_survives_another_form(sheet):
    plain = dataclasses.replace(sheet, target_kind=ONE_HOT, weight=None, label_smoothing=0.0, reduction="sum")
    expected = evaluate(plain.to_problem()).effective_target
    soft = plain.with_target_kind(PROBABILITIES)

    assert torch.equal(evaluate(plain.with_target_kind(CLASS_INDEX).to_problem()).effective_target, expected)
    assert torch.equal(evaluate(soft.to_problem()).effective_target, expected)
    assert torch.equal(evaluate(soft.with_target_kind(ONE_HOT).to_problem()).effective_target, expected)


def test_one_hot_and_class_index_are_the_same_labels():
    assert SHEET.with_target_kind(CLASS_INDEX).with_target_kind(ONE_HOT) == SHEET


def test_probabilities_become_their_largest_class():
    rows = (("0.2", "0.5", "0.3"), ("nan", "-1", "-inf"))
    sheet = dataclasses.replace(SHEET, probabilities=rows, target_kind=PROBABILITIES)

    assert sheet.with_target_kind(ONE_HOT).labels == (1, 1)


@pytest.mark.parametrize(
    ("rows", "soft"),
    [
        ((("1", "0", "0"), ("0", "0", "0")), False),
        ((("1", "0", "0"), ("0", "1.0", "-0")), False),
        ((("1", "0", "0"), ("0.5", "0.5", "0")), True),
        ((("1", "0", "0"), ("1", "1", "0")), True),
        ((("1", "0", "0"), ("2", "0", "0")), True),
        ((("1", "0", "0"), ("nan", "0", "0")), True),
    ],
)
def test_probabilities_that_labels_cannot_hold_are_soft(rows, soft):
    assert dataclasses.replace(SHEET, probabilities=rows).is_soft() == soft


# Random logits


def test_random_logits_are_the_same_for_the_same_seed_and_leave_the_generator_alone():
    state = torch.get_rng_state()
    one, same, other = (SHEET.with_random_logits(2.0, seed) for seed in (1, 1, 2))

    assert one == same != other
    assert one.class_names == SHEET.class_names
    assert torch.equal(torch.get_rng_state(), state)
    assert all(len(text.split(".")[1]) == 3 for row in one.logits for text in row)


# Numbers as text


@pytest.mark.parametrize(
    ("value", "dtype", "text"),
    [
        (0.1, torch.float64, "0.1"),
        (30.0, torch.float32, "30"),
        (-10.0, torch.bfloat16, "-10"),
        (0.1, torch.float32, "0.1"),
        (-0.0, torch.float32, "-0"),
        (1 / 3, torch.float64, "0.3333333333333333"),
        (1 / 3, torch.float32, "0.33333334"),
        (1e308, torch.float64, "1e+308"),
        (5e-324, torch.float64, "5e-324"),
        (math.inf, torch.float16, "inf"),
        (-math.inf, torch.bfloat16, "-inf"),
        (math.nan, torch.float32, "nan"),
    ],
)
def test_a_number_as_text(value, dtype, text):
    assert number_text(torch.tensor(value, dtype=dtype).item(), dtype) == text


@pytest.mark.parametrize("dtype", FLOATS)
@given(value=st.floats())
@example(value=65504.0)
@example(value=3.4028234663852886e38)
@example(value=3.3895313892515355e38)
@settings(max_examples=100)
def test_a_number_as_text_reads_back_and_no_text_with_fewer_digits_does(dtype, value):
    value = torch.tensor(value, dtype=torch.float64).to(dtype).item()
    text = number_text(value, dtype)

    def reads_back(number: float) -> bool:
        return repr(torch.tensor(number, dtype=torch.float64).to(dtype).item()) == repr(value)

    assert reads_back(parse_number(text))
    if math.isfinite(value) and value:
        digits = len(text.split("e")[0].replace(".", "").strip("-0"))
        assert digits == 1 or not reads_back(float(f"{value:.{digits - 1}g}"))


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("label_smoothing", 1.5, "label_smoothing is 1.5, expected 0.0 to 1.0."),
        ("temperature", 0.0, "temperature is 0.0, expected 1e-06 to 1000000.0."),
    ],
)
def test_an_option_out_of_its_range_is_named_with_what_came_and_what_was_expected(option, value, words):
    with pytest.raises(InvalidSheet) as caught:
        dataclasses.replace(SHEET, **{option: value})

    assert str(caught.value) == words


def test_an_invalid_problem_is_told_when_the_problem_is_asked_for():
    with pytest.raises(InvalidProblem):
        dataclasses.replace(SHEET, target_kind=PROBABILITIES, ignore_index=1).to_problem()
