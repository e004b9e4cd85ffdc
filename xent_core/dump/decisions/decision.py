"""A decision about one row, all decisions about a dump, and to which of its rows they belong."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from types import MappingProxyType

from xent_core.language import _

DECISIONS = ("keep", "relabel", "drop", "unsure")
MAX_DECISIONS = 5_000  # what a browser's tab keeps, and sends at once after a reload
MAX_ROW = 2**53 - 1  # that JavaScript counts exactly
MAX_CLASS = 2**31 - 1
MAX_ID_CHARACTERS = 4096
MAX_TIME_CHARACTERS = 40


class InvalidDecisions(ValueError):
    """Decisions that cannot be taken; the message says what came, what was expected, and what to do."""


@dataclass(frozen=True)
class Decision:
    """What a person decided about one row.

    Attributes:
      row: of the dump, from 0.
      id: the name of the example; "" if it has none.
      old: its label, a class index.
      new: the label that it is to have; None but for "relabel", where it is another than `old`.
      decision: one of DECISIONS.
      time: when, as ISO 8601 writes it in UTC; "" if it is not known.

    Raises: InvalidDecisions for what is none of these.
    """

    row: int
    id: str
    old: int
    new: int | None
    decision: str
    time: str = ""

    def __post_init__(self) -> None:
        for name, value, most in (("row", self.row, MAX_ROW), ("old", self.old, MAX_CLASS)):
            if type(value) is not int or not 0 <= value <= most:
                raise InvalidDecisions(
                    _("{name} is {value}, expected an integer from 0 to {most}. Correct it.").format(
                        name=name, value=_shown(value), most=most
                    )
                )
        if self.decision not in DECISIONS:
            raise InvalidDecisions(
                _("decision is {value}, expected one of {names}. Correct it.").format(
                    value=_shown(self.decision), names=", ".join(DECISIONS)
                )
            )
        if self.decision == "relabel":
            if type(self.new) is not int or not 0 <= self.new <= MAX_CLASS or self.new == self.old:
                raise InvalidDecisions(
                    _("new is {value}, expected another class than {old}, by its number. Correct it.").format(
                        value=_shown(self.new), old=self.old
                    )
                )
        elif self.new is not None:
            raise InvalidDecisions(
                _("new is {value} beside {decision}, expected nothing: only relabel has one. Leave it empty.").format(
                    value=_shown(self.new), decision=self.decision
                )
            )
        for name, text, longest in (("id", self.id, MAX_ID_CHARACTERS), ("time", self.time, MAX_TIME_CHARACTERS)):
            if type(text) is not str or len(text) > longest:
                raise InvalidDecisions(
                    _("{name} is {value}, expected a text of at most {longest} characters. Shorten it.").format(
                        name=name, value=_shown(text), longest=longest
                    )
                )

        if self.time and not _is_time(self.time):
            raise InvalidDecisions(
                _("time is {value}, expected one such as 2026-01-02T03:04:05Z, or nothing. Correct it.").format(
                    value=_shown(self.time)
                )
            )

    @property
    def says(self) -> tuple[str, int | None]:
        """What is decided, without when: equal for two people who agree."""
        return self.decision, self.new


def _is_time(text: str) -> bool:
    """Whether ISO 8601 writes a time so."""
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _shown(value: object) -> str:
    """The value as Python writes it, cut: whoever wrote it may have written a novel."""
    text = repr(value[:80] if isinstance(value, str) else value)
    return text if len(text) <= 80 else text[:80] + "…"


def _first_twice(entries: Iterable[Decision]) -> int | None:
    """The first row that was decided before."""
    seen: set[int] = set()
    for one in entries:
        if one.row in seen:
            return one.row
        seen.add(one.row)
    return None


@dataclass(frozen=True)
class Decisions:
    """What is decided about the rows of a dump, one decision a row, the first decided first.

    Attributes: entries: at most MAX_DECISIONS.
    Raises: InvalidDecisions for two about one row, or for more.
    """

    entries: tuple[Decision, ...] = ()

    def __post_init__(self) -> None:
        if len(self.entries) > MAX_DECISIONS:
            raise InvalidDecisions(
                _("{count} decisions came, expected at most {most}. Split them.").format(
                    count=len(self.entries), most=MAX_DECISIONS
                )
            )
        if len(self._by_row) < len(self.entries):
            raise InvalidDecisions(
                _("row {row} is decided twice, expected one decision a row. Leave one out.").format(
                    row=_first_twice(self.entries)
                )
            )

    @cached_property
    def _by_row(self) -> dict[int, Decision]:
        return {one.row: one for one in self.entries}

    def of_row(self, row: int) -> Decision | None:
        """What is decided about a row; None if nothing is."""
        return self._by_row.get(row)

    def having(self, changes: Iterable[Decision], without: Iterable[int] = ()) -> Decisions:
        """These with the changes in place of what was decided about their rows, and nothing about some rows."""
        after = {**self._by_row, **{one.row: one for one in changes}}
        for row in without:
            after.pop(row, None)
        return Decisions(tuple(after.values()))

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Decision]:
        return iter(self.entries)


@dataclass(frozen=True)
class Match:
    """Decisions brought to the rows of a dump; made by `match`.

    Attributes:
      decisions: those that fit, with the rows of this dump.
      missing: those whose id, or row, the dump does not have.
      other_label: those whose row has another label here than the one that was decided about.
      no_class: those that name a class which the dump does not have.
      by_row: how many of those that fit were found by the number of their row, since they have no id.
      ambiguous: those whose id several rows have, unless the row of that number is one of them; and those that share
        a row with an earlier one.
    """

    decisions: Decisions
    missing: tuple[Decision, ...]
    other_label: tuple[Decision, ...]
    no_class: tuple[Decision, ...]
    by_row: int
    ambiguous: tuple[Decision, ...] = ()


def match(
    decisions: Decisions,
    *,
    rows_of_ids: Mapping[str, int] | None,
    labels: Mapping[int, int],
    classes: int,
    repeated: Collection[str] = (),
    ids: Mapping[int, str] = MappingProxyType({}),
) -> Match:
    """To which rows of a dump the decisions belong: by id, or else by the number of the row.

    Args:
      rows_of_ids: the row of each id that the decisions name, as far as the dump has it once;
        None for a dump without ids.
      labels: of the rows that are kept, at least of those that may be meant.
      classes: C of the dump.
      repeated: which of these ids several rows of the dump have.
      ids: of the rows whose numbers the decisions name.
    """
    found: dict[int, Decision] = {}
    missing: list[Decision] = []
    other_label: list[Decision] = []
    no_class: list[Decision] = []
    ambiguous: list[Decision] = []
    by_row = 0
    for one in decisions:
        by_id = rows_of_ids if one.id else None
        is_repeated = by_id is not None and one.id in repeated
        row = one.row if by_id is None or is_repeated else by_id.get(one.id)
        if (is_repeated and ids.get(one.row) != one.id) or row in found:
            ambiguous.append(one)
        elif row is None or row not in labels:
            missing.append(one)
        elif one.new is not None and one.new >= classes:
            no_class.append(one)
        elif labels[row] != one.old:
            other_label.append(one)
        else:
            found[row] = Decision(row, one.id, one.old, one.new, one.decision, one.time)
            by_row += by_id is None
    return Match(
        Decisions(tuple(found.values())),
        tuple(missing),
        tuple(other_label),
        tuple(no_class),
        by_row,
        tuple(ambiguous),
    )
