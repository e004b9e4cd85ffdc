"""The errors that say what came, what was expected and what to do."""

from __future__ import annotations

from xent_core.language import _


class InvalidInput(ValueError):
    """What came, what was expected, what to do; the base of the errors that keep the three apart.

    Those of typed text, such as InvalidText, say them in one sentence.

    Attributes:
      came: what came, without a full stop.
      expected: what was expected, without a full stop.
      fix: what to do, a sentence or a line of code.

    Example:
      >>> str(InvalidInput("weight has 4 entries", "3, one per class", "Remove one, or add a class."))
      'weight has 4 entries, expected 3, one per class. Remove one, or add a class.'
    """

    def __init__(self, came: str, expected: str, fix: str) -> None:
        super().__init__(_("{came}, expected {expected}. {fix}").format(came=came, expected=expected, fix=fix))
        self.came, self.expected, self.fix = came, expected, fix


class InvalidProblem(InvalidInput):
    """A Problem that PyTorch would refuse.

    Attributes:
      code: the short name of the mistake, the same as in `diagnose`, such as "target-out-of-range".
    """

    def __init__(self, code: str, came: str, expected: str, fix: str) -> None:
        super().__init__(came, expected, fix)
        self.code = code
