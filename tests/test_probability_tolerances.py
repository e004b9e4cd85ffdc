"""Which sums pass for 1, on both sides of each tolerance, with rounding as it happens."""

import pytest
import torch

from xent_core import diagnose
from xent_core.dump import InvalidDump, analyse

LABELS = torch.tensor([0, 1, 2])
PROBS = torch.tensor([[2.0, 1.0, 0.1], [0.5, 2.5, -1.0], [1.0, 1.5, 3.0]]).double().softmax(1)


def is_asked_about(logits: torch.Tensor) -> bool:
    try:
        analyse(logits.numpy(), LABELS.numpy())
    except InvalidDump as error:
        return error.code == "looks-like-probabilities"
    return False


def codes(logits: torch.Tensor, target: torch.Tensor) -> set[str]:
    return {one.code for one in diagnose(logits, target)}


def test_a_target_with_four_decimals_is_no_alarm() -> None:
    assert codes(PROBS * 5 - 2, torch.full((3, 3), 0.3333).double()) == set()
    assert codes(PROBS * 5 - 2, torch.full((3, 3), 0.33).double()) == {"soft-target-not-normalised"}


def test_logits_with_four_decimals_are_probabilities_and_with_a_sum_of_99_percent_they_are_not() -> None:
    assert "softmax-applied-twice" in codes(torch.full((3, 3), 0.3333), LABELS)
    assert "softmax-applied-twice" not in codes(torch.full((3, 3), 0.33), LABELS)


@pytest.mark.parametrize(
    ("factor", "asked"), [(1.0, True), (1.008, True), (0.992, True), (1.012, False), (0.988, False)]
)
def test_logits_on_disk_are_asked_about_within_one_percent(factor: float, asked: bool) -> None:
    assert is_asked_about(PROBS * factor) is asked
