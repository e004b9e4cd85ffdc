"""The options of one cross-entropy as one value."""

import math

import pytest
import torch
import torch.nn.functional as F

from xent_core import Problem
from xent_core.dump import InvalidDump, analyse
from xent_core.loss_options import LossOptions

LOGITS = torch.tensor([[1.0, 2.0, 3.0], [0.5, 0.0, -1.0]])
OPTIONS = LossOptions(torch.tensor([1.0, 2.0, 0.5]), 1, "sum", 0.1, 2.0)


def test_a_problem_gives_back_the_options_that_it_was_made_of() -> None:
    assert Problem.of(LOGITS, [2, 1], OPTIONS).options == OPTIONS


def test_a_problem_made_of_options_is_the_one_made_of_keywords() -> None:
    keywords = {"weight": [1.0, 2.0, 0.5], "ignore_index": 1, "reduction": "sum", "label_smoothing": 0.1}

    assert Problem.of(LOGITS, [2, 1], OPTIONS) == Problem(LOGITS, [2, 1], **keywords, temperature=2.0)


def test_the_loss_is_that_of_pytorch() -> None:
    target = torch.tensor([2, 1])

    expected = F.cross_entropy(
        LOGITS / 2, target, weight=OPTIONS.weight, ignore_index=1, reduction="sum", label_smoothing=0.1
    )

    assert torch.equal(OPTIONS.cross_entropy(LOGITS, target), expected)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (LossOptions(), LossOptions(ignore_index=0)),
        (LossOptions(), LossOptions(torch.ones(3))),
        (LossOptions(torch.ones(3)), LossOptions(torch.ones(3).double())),
        (LossOptions(torch.ones(3)), LossOptions(torch.tensor([1.0, 1.0, 2.0]))),
        (LossOptions(temperature=2.0), LossOptions()),
    ],
)
def test_options_that_differ_are_not_equal(one: LossOptions, other: LossOptions) -> None:
    assert one != other


def test_nan_equals_nan() -> None:
    def odd() -> LossOptions:
        return LossOptions(torch.tensor([1.0, math.nan]), label_smoothing=math.nan)

    assert odd() == odd()
    assert hash(odd()) == hash(odd())


def test_a_dump_takes_the_value_or_the_keywords() -> None:
    target = torch.tensor([2, 0])

    by_value = analyse(LOGITS.numpy(), target.numpy(), options=OPTIONS)
    by_keywords = analyse(
        LOGITS.numpy(),
        target.numpy(),
        weight=[1.0, 2.0, 0.5],
        ignore_index=1,
        reduction="sum",
        label_smoothing=0.1,
        temperature=2.0,
    )

    assert by_value.loss == by_keywords.loss
    assert by_value.options == by_keywords.options


def test_a_dump_takes_not_both() -> None:
    with pytest.raises(InvalidDump, match="options came, and temperature besides") as refused:
        analyse(LOGITS.numpy(), [2, 0], options=OPTIONS, temperature=1.0)

    assert refused.value.code == "options-twice"
