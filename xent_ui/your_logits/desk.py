"""What a visitor has decided about a dump, as the server knows it: a copy of what the browser's tab keeps."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import numpy as np

from xent_core.dump import DumpSummary
from xent_core.dump.decisions import (
    MAX_DECISIONS,
    Decision,
    Decisions,
    Dispute,
    FoundRows,
    InvalidDecisions,
    merge_all,
)
from xent_core.dump.decisions.decision import MAX_ID_CHARACTERS, MAX_ROW
from xent_ui.text import _

MAX_FILES = 20  # whose opinions about disputed rows are held
NOTHING_DECIDED = Decisions()
Says = tuple[str, int | None]  # a decision without its time; "" of a row that is undecided
UNDECIDED: Says = "", None
SETTLED: Says = "settled", None
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
      disputes: the rows on which these decisions and those of files do not all say the same, with every opinion;
        these stand until each is resolved.
      files: what the files hold that differ, by name.
      settled: what I had said of each row whose dispute is resolved, which opens again when I say that again;
        SETTLED where it does not.
    """

    dump: str
    generation: str = field(default_factory=lambda: secrets.token_hex(8))
    start: Decisions = NOTHING_DECIDED
    is_fresh: bool = True
    sequence: int = 0
    decisions: Decisions = NOTHING_DECIDED
    disputes: tuple[Dispute, ...] = ()
    files: Mapping[str, Decisions] = field(default_factory=dict)
    settled: Mapping[int, Says] = field(default_factory=dict)


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
        and all(isinstance(one, list) and len(one) in (4, 5) and type(one[0]) is int for one in changes)
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
    row, decision, new, time, *about = change
    name, label = known.ids.get(row, ""), known.labels.get(row, -1)
    if any(old is not None and old != label for old in about):  # kept on an earlier visit, about another dump
        return None
    try:
        made = Decision(row, name if len(name) <= MAX_ID_CHARACTERS else "", label, new, decision, time)
    except InvalidDecisions:
        return None
    return made if made.new is None or made.new < classes else None


def joined_by(desk: Desk, files: Mapping[str, Decisions]) -> Desk:
    """The desk with the decisions of files, by name; where not all say the same, its own stand until it is resolved.

    Raises: InvalidDecisions if they are too many, or of too many files.
    """
    if len({**opinions(desk), **files}) > MAX_FILES:
        desk = replace(desk, disputes=tuple(open_disputes(desk)), settled={})
    both = merge_all(desk.decisions, {**opinions(desk), **files})
    disputing = {name for dispute in both.disputes for name in dispute.others}
    if len(disputing) > MAX_FILES:
        raise InvalidDecisions(
            _("{count} files differ, expected at most {most}. Choose about those that are open first.").format(
                count=len(disputing), most=MAX_FILES
            )
        )
    after = put(desk, both.decisions.having(one.mine for one in both.disputes if one.mine), both.disputes)
    known = {**desk.files, **files}
    told = {one.row for decisions in files.values() for one in decisions if _differs(one, desk.decisions)}
    settled = {row: says for row, says in desk.settled.items() if row not in told}
    return replace(after, files={name: known[name] for name in known if name in disputing}, settled=settled)


def _differs(other: Decision, mine: Decisions) -> bool:
    own = mine.of_row(other.row)
    return own is None or own.says != other.says


def differing_again(desk: Desk, files: Mapping[str, Decisions], settled: Mapping[int, Says]) -> Desk:
    """The desk after a reload, with what these files said of rows that are or were disputed; its own decisions stay."""
    rows = sorted({one.row for decisions in files.values() for one in decisions})
    found = {row: {name: one for name, held in files.items() if (one := held.of_row(row)) is not None} for row in rows}
    disputes = tuple(Dispute(row, desk.decisions.of_row(row), others) for row, others in found.items())
    return replace(desk, disputes=disputes, files=files, settled=settled, is_fresh=False)


def opinions(desk: Desk) -> dict[str, Decisions]:
    """What earlier files decided about the rows that are or were disputed."""
    found: dict[str, list[Decision]] = {}
    for dispute in desk.disputes:
        for name, decision in dispute.others.items():
            found.setdefault(name, []).append(decision)
    return {name: Decisions(tuple(decisions)) for name, decisions in found.items()}


def open_disputes(desk: Desk) -> list[Dispute]:
    """The rows on which not all say the same as things stand: what I decide on a card is mine from then on."""
    return [one for one in _differing(desk) if desk.settled.get(one.row, _says(one.mine)) == _says(one.mine)]


def resolved_rows(desk: Desk) -> set[int]:
    """The rows whose disputes are resolved, though not all say the same."""
    return {one.row for one in _differing(desk)} - {one.row for one in open_disputes(desk)}


def _differing(desk: Desk) -> list[Dispute]:
    now = [replace(one, mine=desk.decisions.of_row(one.row)) for one in desk.disputes]
    return [
        one
        for one in now
        if len({opinion.says for opinion in (one.mine, *one.others.values()) if opinion is not None}) > 1
    ]


def _says(mine: Decision | None) -> Says:
    return UNDECIDED if mine is None else mine.says


def resolved(desk: Desk, rows: Collection[int], name: str | None) -> Desk:
    """The desk after these disputes were resolved for the file of that name, where it has an opinion; None: for mine.

    What was said of them stays on the desk: who takes it back finds the dispute open again.

    Raises: InvalidDecisions if they become too many.
    """
    meant = [one for one in desk.disputes if one.row in rows and (name is None or name in one.others)]
    before = {one.row: desk.decisions.of_row(one.row) for one in meant}
    taken_over = {one.row: before[one.row] if name is None else one.others[name] for one in meant}
    settled = {
        row: SETTLED if _says(before[row]) == _says(decision) else _says(before[row])
        for row, decision in taken_over.items()
    }
    if name is not None:
        desk = put(desk, desk.decisions.having(one.others[name] for one in meant), desk.disputes)
    return replace(desk, settled={**desk.settled, **settled})


def open_again(desk: Desk) -> Desk:
    """The desk with every dispute open again on which not all say the same."""
    return replace(desk, settled={})


def put(desk: Desk, decisions: Decisions, disputes: tuple[Dispute, ...] = ()) -> Desk:
    """The desk with another set of decisions, which the browser takes over."""
    generation = secrets.token_hex(8)
    return Desk(desk.dump, generation, decisions, False, desk.sequence, decisions, disputes, desk.files, desk.settled)


def told_apart(desk: Desk, files: Sequence[tuple[str, Decisions]]) -> dict[str, Decisions]:
    """Files by name, with a number where another has it: what everybody saves is called decisions.csv.

    One that is opened again with what it held before keeps its name.
    """
    found: dict[str, Decisions] = {}
    for name, decisions in files:
        names = (name if number == 1 else f"{name} ({number})" for number in count(1))
        own = next(one for one in names if one not in found and (one not in desk.files or desk.files[one] == decisions))
        found[own] = decisions
    return found
