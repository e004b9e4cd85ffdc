"""What a visitor has decided about a dump, as the server knows it: a copy of what the browser's tab keeps."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from xent_core.dump import DumpSummary
from xent_core.dump.decisions import (
    MAX_DECISIONS,
    Conflict,
    Decision,
    Decisions,
    FoundRows,
    InvalidDecisions,
    Match,
    merge,
)
from xent_core.dump.decisions.decision import MAX_ID_CHARACTERS, MAX_ROW

NOTHING_DECIDED = Decisions()
Finder = Callable[[set[int]], FoundRows]


@dataclass(frozen=True)
class Desk:
    """The decisions about one dump in this session.

    Attributes:
      dump: its fingerprint; the tab keeps one set of decisions for each.
      generation: a new one whenever the server puts another set in the place of the browser's.
      start: the set with which this generation began.
      is_fresh: whether the server has put none there yet, so that what the tab has kept counts.
      sequence: of the browser's last message that was taken.
      conflicts: between these decisions and those of files; these stand until each is resolved.
    """

    dump: str
    generation: str = field(default_factory=lambda: secrets.token_hex(8))
    start: Decisions = NOTHING_DECIDED
    is_fresh: bool = True
    sequence: int = 0
    decisions: Decisions = NOTHING_DECIDED
    conflicts: tuple[Conflict, ...] = ()


def fingerprint(summary: DumpSummary) -> str:
    """The same for the same logits and labels, wherever their file lies: a digest of whole counts."""
    counts = (summary.support, summary.correct, summary.predicted, summary.confusion)
    digest = hashlib.sha256(np.array([summary.total_rows, summary.rows, summary.classes], np.int64).tobytes())
    for one in counts:
        digest.update(np.ascontiguousarray(one, np.int64).tobytes())
    return digest.hexdigest()[:32]


def taken(desk: Desk, message: Any, find: Finder, classes: int) -> Desk:
    """The desk after a message of the browser; what is none of ours changes nothing."""
    if not isinstance(message, Mapping):
        return desk
    sequence, changes = message.get("sequence"), message.get("changes")
    is_ours = (
        message.get("dump") == desk.dump
        and message.get("generation") == desk.generation
        and type(sequence) is int
        and isinstance(changes, list)
        and len(changes) <= MAX_DECISIONS
        and all(isinstance(one, list) and len(one) == 4 and type(one[0]) is int for one in changes)
    )
    if not is_ours or not isinstance(sequence, int) or not isinstance(changes, list):
        return desk
    made = [one for one in changes if one[1]]
    known = find({one[0] for one in made if 0 <= one[0] <= MAX_ROW})
    decided = [one for one in (_decision(change, known, classes) for change in made) if one is not None]
    base = Decisions() if message.get("all") is True else desk.decisions
    try:
        decisions = base.having(decided, without=[one[0] for one in changes if not one[1]])
    except InvalidDecisions:  # more than a tab may keep
        return desk
    return replace(desk, sequence=max(sequence, desk.sequence), decisions=decisions)


def _decision(change: list[Any], known: FoundRows, classes: int) -> Decision | None:
    row, decision, new, time = change
    name = known.ids.get(row, "")
    try:
        made = Decision(
            row, name if len(name) <= MAX_ID_CHARACTERS else "", known.labels.get(row, -1), new, decision, time
        )
    except InvalidDecisions:
        return None
    return made if made.new is None or made.new < classes else None


def joined_by(desk: Desk, found: Match) -> Desk:
    """The desk with the decisions of a file; where both differ, its own stand until somebody resolves it."""
    both = merge(desk.decisions, found.decisions)
    decisions = both.decisions.having(one.mine for one in both.conflicts)
    open_before = {one.row: one for one in desk.conflicts}
    conflicts = {**open_before, **{one.row: one for one in both.conflicts}}
    return put(desk, decisions, tuple(conflicts.values()))


def resolved(desk: Desk, rows: set[int], takes_theirs: bool) -> Desk:
    """The desk after these conflicts were resolved for one side."""
    chosen = [one.theirs for one in desk.conflicts if one.row in rows and takes_theirs]
    left = tuple(one for one in desk.conflicts if one.row not in rows)
    return put(desk, desk.decisions.having(chosen), left) if chosen else replace(desk, conflicts=left)


def put(desk: Desk, decisions: Decisions, conflicts: tuple[Conflict, ...] = ()) -> Desk:
    """The desk with another set of decisions, which the browser takes over."""
    generation = secrets.token_hex(8)
    return Desk(desk.dump, generation, decisions, False, desk.sequence, decisions, conflicts)
