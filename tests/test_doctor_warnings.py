"""What the doctor says of a Problem on any page."""

from xent_core import Problem
from xent_ui.widgets.doctor_warnings import findings_of


def test_the_doctor_sees_the_logits_as_pytorch_does_divided_by_the_temperature() -> None:
    """Logits up to 1e30 overflow float32 only when they are divided by a small temperature."""
    rows = [[1e30, 0.0], [0.0, 1.0]]
    cold = [one.code for one in findings_of(Problem(rows, [0, 1], temperature=1e-10))]

    assert cold != [one.code for one in findings_of(Problem(rows, [0, 1]))]


def test_all_rows_ignored_is_a_finding() -> None:
    assert [one.code for one in findings_of(Problem([[1.0, 2], [3, 4]], [-100, -100]))] == ["all-ignored"]
