"""Decisions of two people, or of many, put together: what is agreed, and every opinion about what is not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from xent_core.dump.decisions.decision import Decision, Decisions


@dataclass(frozen=True)
class Conflict:
    """Two decisions about one row that do not say the same."""

    mine: Decision
    theirs: Decision

    @property
    def row(self) -> int:
        """The row that both are about."""
        return self.mine.row


@dataclass(frozen=True)
class Merge:
    """Two people's decisions about one dump; made by `merge`.

    Attributes:
      decisions: all that only one of them made, or both alike.
      conflicts: the rows about which they disagree, by row; none of them is in `decisions`.
    """

    decisions: Decisions
    conflicts: tuple[Conflict, ...]


@dataclass(frozen=True)
class Dispute:
    """What everybody decided about a row on which not all say the same.

    Attributes:
      row: that all are about.
      mine: None if I have decided nothing.
      others: what each of the others decided who did, by name, in the order in which they were given.
    """

    row: int
    mine: Decision | None
    others: Mapping[str, Decision]


@dataclass(frozen=True)
class MergeOfAll:
    """Many people's decisions about one dump; made by `merge_all`.

    Attributes:
      decisions: all that is not disputed: only one of them decided, or all alike.
      disputes: the rows on which not all say the same, by row; none of them is in `decisions`.
    """

    decisions: Decisions
    disputes: tuple[Dispute, ...]


def merge(mine: Decisions, theirs: Decisions) -> Merge:
    """Both together, by row; where both say the same the later time stands.

    Merging with oneself or with nothing changes nothing but the order, which is that of the rows.
    Who is who matters only for what each conflict calls mine and theirs.

    Raises: InvalidDecisions if both together are more than MAX_DECISIONS.
    See also: merge_all, for more than two.
    """
    merged: list[Decision] = []
    conflicts: list[Conflict] = []
    for row in sorted({one.row for one in (*mine, *theirs)}):
        first, second = mine.of_row(row), theirs.of_row(row)
        if first is not None and second is not None and first.says != second.says:
            conflicts.append(Conflict(first, second))
        else:
            merged.append(_latest(one for one in (first, second) if one is not None))
    return Merge(Decisions(tuple(merged)), tuple(conflicts))


def merge_all(mine: Decisions, others: Mapping[str, Decisions]) -> MergeOfAll:
    """All together, by row; where all who decided say the same the latest time stands.

    No opinion is lost: each stands in `decisions`, agrees with the one there, or is part of a dispute.
    The order of the others changes nothing but the order within each dispute.

    Args: others: what each decided, by name: of the person, or of the file.
    Raises: InvalidDecisions if what is agreed is more than MAX_DECISIONS.
    Example: mine about row 3 is keep, that of "b" drop, that of "c" keep → one dispute, with mine and both of them.
    See also: merge, the same for two.
    """
    merged: list[Decision] = []
    disputes: list[Dispute] = []
    for row in sorted({one.row for decisions in (mine, *others.values()) for one in decisions}):
        own = mine.of_row(row)
        theirs = {name: one for name, of in others.items() if (one := of.of_row(row)) is not None}
        opinions = [*([] if own is None else [own]), *theirs.values()]
        if len({one.says for one in opinions}) > 1:
            disputes.append(Dispute(row, own, theirs))
        else:
            merged.append(_latest(opinions))
    return MergeOfAll(Decisions(tuple(merged)), tuple(disputes))


def _latest(alike: Iterable[Decision]) -> Decision:
    """Of decisions that say the same, the one that was made last."""
    return max(alike, key=lambda one: (one.time, one.id, one.old))
