"""One row worked by hand, each step beside PyTorch's own."""

import math
from dataclasses import replace

import torch

from tests.tolerances import assert_agree
from xent_core import Problem
from xent_core.implementations import row_worked

BATCH = Problem([[1, 2, 3]] * 3, [2, 1, 0])


def test_a_row_is_worked_as_in_the_article() -> None:
    worked = row_worked(BATCH, 0)

    assert_agree(worked.exp, torch.tensor([2.718282, 7.389056, 20.085537]))
    assert_agree(worked.exp_sum, torch.tensor(30.192875))
    assert_agree(worked.softmax_by_hand, torch.tensor([0.090031, 0.244728, 0.665241]))
    assert_agree(worked.softmax, torch.tensor([0.090031, 0.244728, 0.665241]))
    assert_agree(worked.log_softmax, torch.tensor([-2.407606, -1.407606, -0.407606]))
    assert_agree(worked.log_of_softmax, torch.tensor([-2.407606, -1.407606, -0.407606]))
    assert worked.softmax_agrees.tolist() == worked.log_softmax_agrees.tolist() == [True] * 3


def test_a_row_by_hand_shows_where_exp_overflows() -> None:
    worked = row_worked(Problem([[100, 0, -200]], [0]), 0)

    assert worked.exp[0] == worked.exp_sum == math.inf
    assert math.isnan(float(worked.softmax_by_hand[0]))
    assert worked.softmax_agrees.tolist() == [False, True, True]
    assert worked.log_of_softmax[2] == -math.inf
    assert worked.log_softmax[2] == -300
    assert worked.log_softmax_agrees.tolist() == [True, False, False]


def test_the_temperature_divides_the_row_first() -> None:
    assert row_worked(replace(BATCH, temperature=2.0), 0).logits.tolist() == [0.5, 1.0, 1.5]
