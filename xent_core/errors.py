"""The errors that say what came, what was expected and what to do."""

from __future__ import annotations

from typing import Any

from xent_core.language import _
from xent_core.values import same


class Portable(BaseException):
    """An error that comes back whole from `pickle` and `copy`, whatever its `__init__` takes, and equals by value."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (type(self), self.args, self.__dict__)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return same(self.args, other.args) and same(_own(self), _own(other))

    def __hash__(self) -> int:
        return hash((type(self).__qualname__, str(self)))


def _rebuilt(kind: type[Portable], arguments: tuple[Any, ...], attributes: dict[str, Any]) -> Portable:
    # without __init__, which takes the parts of the message and not the whole of it
    error = kind.__new__(kind, *arguments)
    error.__dict__.update(attributes)
    return error


def _own(error: BaseException) -> dict[str, Any]:
    return {name: value for name, value in error.__dict__.items() if not name.startswith("__")}


class InvalidInput(Portable, ValueError):
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

    @property
    def program(self) -> str:
        """Lines of Python that end the fix, below its sentence; empty if there are none.

        They are told from what came, which may hold a stranger's file name with anything in it.
        """
        return self.fix.partition(":\n")[2]

    @property
    def sentence(self) -> str:
        """The message without the program, on one line."""
        return " ".join(str(self).removesuffix(self.program).split())


class InvalidProblem(InvalidInput):
    """A Problem that PyTorch would refuse.

    Attributes:
      code: the short name of the mistake, the same as in `diagnose`, such as "target-out-of-range".
    """

    def __init__(self, code: str, came: str, expected: str, fix: str) -> None:
        super().__init__(came, expected, fix)
        self.code = code
