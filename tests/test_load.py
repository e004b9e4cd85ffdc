"""The short form of the benchmarks of many and of hostile visitors; a busy machine may take five times as long."""

import pytest

from harness import faults, load
from harness.load import SLACK
from harness.visitor import loss_of


def test_the_visitors_know_the_loss_of_the_worked_batch() -> None:
    # by hand: log(e + e² + e³) = 3.407606, minus 3, 2 and 1, over 3
    assert loss_of([[1.0, 2.0, 3.0]] * 3, [2, 1, 0]) == pytest.approx(1.407606, abs=1e-6)


@pytest.mark.long
def test_many_visitors_get_right_answers_in_time_and_leave_no_memory_behind() -> None:
    results = load.measure(sessions=6, seconds=6, passing=10, heavy_seconds=2)

    assert [result for result in results if not result.passed] == []


@pytest.mark.long
def test_hostile_visitors_get_an_answer_and_their_neighbours_do_not_notice() -> None:
    results = faults.measure(hostile_count=40, states=15, messages=15, alone_seconds=3, values=0)

    assert [result for result in results if result.ratio > SLACK * result.limit] == []
