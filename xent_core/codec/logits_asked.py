"""A Problem whose logits may be probabilities: what was said of them is done, and where nothing was, it is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from xent_core.codec.document import Document
from xent_core.codec.refusals import InvalidFile
from xent_core.columns import LogitsAre
from xent_core.logits_question import (
    ROWS_LOOKED_AT,
    LogitsQuestion,
    log_of_probabilities,
    question_about,
    taken_as_logarithm,
)
from xent_core.problem import Problem


def of_logits(
    document: Document, logits_are: LogitsAre | None, columns: Sequence[str] = (), *, is_ours: bool = False
) -> Document:
    """The same Document, or one of the logarithm where its logits were said to be probabilities.

    Args:
      columns: what those of the logits are called in the file.
      is_ours: the file says that it is one of ours, whose logits are logits.

    Raises: InvalidFile where nothing was said and they look like probabilities.
    """
    problem = document.problem
    if logits_are == "probabilities":
        said = "; ".join(filter(None, [document.reading, taken_as_logarithm()]))
        return replace(document, problem=replace(problem, logits=log_of_probabilities(problem.logits)), reading=said)
    if logits_are is None and not is_ours:
        question = _question(problem, columns)
        if question is not None:
            raise InvalidFile(question.came, question.expected, question.fix, question.answers)
    return document


def could_be_probabilities(problem: Problem, columns: Sequence[str]) -> bool:
    """Whether whoever reads these logits, in columns of these names, has to ask what they are."""
    return _question(problem, columns) is not None


def _question(problem: Problem, columns: Sequence[str]) -> LogitsQuestion | None:
    kept = problem.kept().reshape(-1).nonzero().squeeze(1)[:ROWS_LOOKED_AT]
    rows = problem.logits.movedim(problem.class_axis, -1).reshape(-1, problem.num_classes)[kept]
    return question_about(rows.double().numpy(), columns, kept.tolist())
