"""The search over the pitfalls, in the words that people use for what they saw."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xent_core.doctor.findings import TITLES
from xent_core.doctor.pitfall_search import MAX_FOUND, classes_in, find_pitfalls, losses_in
from xent_core.doctor.symptom_index import SYMPTOMS

# from a student's walk, and from how such questions are asked elsewhere
QUESTIONS = [
    ("loss stuck at 1.46", "softmax-applied-twice"),
    ("what is wrong with a loss stuck at 1.46 with ten classes?", "softmax-applied-twice"),
    ("stuck near 0.5514, 3 classes", "softmax-applied-twice"),
    ("accuracy is right but the loss is high", "softmax-applied-twice"),
    ("softmax layer", "softmax-applied-twice"),
    ("softmax", "softmax-applied-twice"),
    ("nn.Softmax at the end", "softmax-applied-twice"),
    ("loss does not go down", "softmax-applied-twice"),
    ("NaN after some steps", "non-finite-logits"),
    ("the loss becomes nan", "non-finite-logits"),
    ("exploding", "non-finite-logits"),
    ("too few outputs", "target-out-of-range"),
    ("labels start at 1", "target-out-of-range"),
    ("device-side assert", "target-out-of-range"),
    ("IndexError: Target 10 is out of bounds.", "target-out-of-range"),
    ("one-hot labels", "int-one-hot"),
    ("binary classification", "single-class"),
    ("mixed precision", "half-precision-overflow"),
    ("weights have no effect", "weighted-mean-denominator"),
    ("transformer logits", "class-axis"),
    ("negative loss", "soft-target-negative"),
    ("target-dtype", "target-dtype"),
]


@pytest.mark.parametrize(("question", "code"), QUESTIONS)
def test_a_question_finds_its_mistake_first(question: str, code: str) -> None:
    assert find_pitfalls(question)[0] == code
    assert find_pitfalls(question.upper())[0] == code


@pytest.mark.parametrize("code", TITLES)
def test_every_mistake_is_found_by_its_title_by_its_code_and_by_what_is_seen(code: str) -> None:
    for question in (TITLES[code], code, SYMPTOMS[code].seen):
        assert code in find_pitfalls(question), question


@pytest.mark.parametrize(
    "question", ["", " ", "banana", "CUDA out of memory", "KeyError: 'labels of bananas'", "is it?"]
)
def test_what_has_no_answer_gets_none(question: str) -> None:
    assert find_pitfalls(question) == ()


@pytest.mark.parametrize(
    "question",
    [
        "stuck at 1.46 with 20 classes",  # for 20: ln(e + 19) − 1 = 2.0782
        "stuck at 2.303",  # ln 10
        "version 1.46.2 of something",
    ],
)
def test_another_number_is_not_taken_for_the_bound_of_two_softmax(question: str) -> None:
    words = question.replace("1.46", "").replace("2.303", "")

    assert find_pitfalls(question) == find_pitfalls(words)


def test_losses_and_classes_are_read_as_they_are_typed() -> None:
    assert losses_in("1.46, then 0.550; version 2.13.0, 5 classes") == ("1.46", "0.550")
    named = {"ten classes": 10, "a 3-class task": 3, "1000 Classes": 1000, "first class": None, "1.5 classes": None}
    assert {text: classes_in(text) for text in named} == named


@given(st.text())
def test_any_text_is_answered(text: str) -> None:
    assert set(find_pitfalls(text)) <= set(TITLES)
    assert len(find_pitfalls(text)) <= MAX_FOUND


def test_every_mistake_has_a_symptom_and_a_first_remedy() -> None:
    assert set(SYMPTOMS) == set(TITLES)
    assert all(one.seen and one.first for one in SYMPTOMS.values())
    assert "too few outputs" in SYMPTOMS["target-out-of-range"].first
    assert SYMPTOMS["softmax-applied-twice"].first.startswith("Remove the softmax layer")
