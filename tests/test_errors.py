"""The errors that say what came, what was expected and what to do."""

import pytest

from xent_core import InvalidProblem, Problem, codec
from xent_core.codec.refusals import RefusedProblem
from xent_core.dump import InvalidDump
from xent_core.errors import InvalidInput


@pytest.mark.parametrize(
    "error",
    [
        InvalidProblem("code", "a weight of 4", "3", "Remove one."),
        InvalidDump("code", "a weight of 4", "3", "Remove one."),
        codec.InvalidToken("a weight of 4", "3", "Remove one."),
        codec.TokenTooLong("a weight of 4", "3", "Remove one."),
        codec.InvalidFile("a weight of 4", "3", "Remove one."),
        codec.UnsupportedInJax("a weight of 4", "3", "Remove one."),
        RefusedProblem(InvalidProblem("code", "a weight of 4", "3", "Remove one."), {}, {}),
    ],
    ids=lambda error: type(error).__name__,
)
def test_every_such_error_says_what_came_what_was_expected_and_what_to_do(error: InvalidInput) -> None:
    assert isinstance(error, ValueError)
    assert (error.came, error.expected, error.fix) == ("a weight of 4", "3", "Remove one.")
    assert str(error) == "a weight of 4, expected 3. Remove one."


def test_a_name_with_a_line_end_in_it_is_no_program() -> None:
    name = "a.pt' is bad:\nimport os; os.system('rm')\n"
    error = InvalidDump("file-pickle", name, "numbers", "This saves them:\nimport numpy as np\nnp.load(1)")

    assert error.program == "import numpy as np\nnp.load(1)"
    assert "\n" not in error.sentence
    assert error.sentence.endswith("expected numbers. This saves them:")
    assert InvalidDump("x", name, "numbers", "Rename it.").program == ""


def test_what_a_problem_refuses_can_be_caught_under_the_common_name() -> None:
    with pytest.raises(InvalidInput, match="expected 3, one per class"):
        Problem([[1, 2, 3]], [0], weight=[1, 1, 1, 1])
