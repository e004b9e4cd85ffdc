"""What is refused on its way in or out, and why."""

from __future__ import annotations

from xent_core.language import _


class _Refused(ValueError):
    """What came, what was expected, what to do.

    Attributes:
      came: what came, without a full stop.
      expected: what was expected, without a full stop.
      fix: what to do, a sentence or a line of code.
    """

    def __init__(self, came: str, expected: str, fix: str) -> None:
        super().__init__(_("{came}, expected {expected}. {fix}").format(came=came, expected=expected, fix=fix))
        self.came, self.expected, self.fix = came, expected, fix


class InvalidToken(_Refused):
    """A text that is no token of a Problem."""


class TokenTooLong(_Refused):
    """A Problem with more in it than a link can carry."""


class InvalidFile(_Refused):
    """A file that holds no Problem, or a Problem that a kind of file cannot hold."""


class UnsupportedInJax(_Refused):
    """A Problem for which JAX gives other numbers, or none."""
