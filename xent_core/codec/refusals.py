"""What is refused on its way in or out, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from xent_core.errors import InvalidInput, InvalidProblem


class InvalidToken(InvalidInput):
    """A text that is no token of a Problem."""


class TokenTooLong(InvalidInput):
    """A Problem with more in it than a link can carry."""


class InvalidFile(InvalidInput):
    """A file that holds no Problem, or a Problem that a kind of file cannot hold.

    Attributes:
      answers: what could be said of its columns, where more than one reading is possible.
    """

    def __init__(self, came: str, expected: str, fix: str, answers: Sequence[dict[str, str]] = ()) -> None:
        super().__init__(came, expected, fix)
        self.answers = tuple(answers)


class RefusedProblem(InvalidFile):
    """A whole file whose arrays make no Problem; it carries them, for the doctor to look at.

    Attributes:
      tensors: logits, target and perhaps weight, as they were read.
      options: those of Problem, as they were read.
      reading: what was taken for what in a file that another program wrote.
    """

    def __init__(
        self, why: InvalidProblem, tensors: Mapping[str, Any], options: Mapping[str, Any], reading: str = ""
    ) -> None:
        super().__init__(why.came, why.expected, why.fix)
        self.tensors, self.options, self.reading = tensors, options, reading


class UnsupportedInJax(InvalidInput):
    """A Problem for which JAX gives other numbers, or none."""
