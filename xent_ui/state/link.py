"""The parameters of a share link: a table, a page, the values of its widgets, and the controls that its sender locks.

An address may be hostile: unknown parameters and values are left out, and what is too long is never read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import parse_qs, quote, urlencode

from xent_core.codec import MAX_TOKEN, InvalidToken, from_token, to_token
from xent_core.implementations import IMPLEMENTATIONS
from xent_core.precision import PRECISION_PRESETS
from xent_core.presets import FIRST_PRESET, PRESETS
from xent_ui.state.sheet import CLASS_INDEX, MAX_ROWS, InvalidSheet, Sheet, sheet_of, sheet_of_preset
from xent_ui.text import N_, _

MAX_NAMES = 3_000  # characters of all class names, or of all row names, as they stand in an address
MAX_NOTE = 300
MAX_QUERY = 65_536

# what a sender can lock or hide
LOCKABLE = {
    "presets": N_("the presets"),
    "options": N_("the options"),
    "logits": N_("the logits"),
    "target": N_("the target"),
    "tools": N_("undo, reset, paste, random, size"),
}
HIDEABLE = {name: LOCKABLE[name] for name in ("presets", "options", "tools")} | {
    "menu": N_("the other pages"),
    "share": N_("the Share button"),
}


class Widget(NamedTuple):
    """A widget that a link sets: the page it is on ("" for all), its value unless it is touched, and all its values."""

    page: str
    default: int | str | None
    values: Sequence[int | str]


# by their keys in the session, which are also their names in the address
WIDGETS = {
    "decimals": Widget("", 4, range(11)),
    "traced_row": Widget("step-by-step", 0, range(MAX_ROWS)),
    "traced_stage": Widget("step-by-step", 0, range(64)),
    "logit_scale": Widget("implementations", 100, (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)),
    "implementation": Widget("implementations", None, range(len(IMPLEMENTATIONS))),
    "worked_row": Widget("implementations", 0, range(MAX_ROWS)),
    "precision_preset": Widget("precision", "your-batch", ("your-batch", *PRECISION_PRESETS)),
}


@dataclass(frozen=True)
class Link:
    """The parameters of an address.

    Attributes:
      preset, token: which table; the token wins.
      class_names, row_names: of the token's table; empty for "class 0", "row 0" and so on.
      form: how labels are shown, "class index" or nothing.
      page: the last part of a page's own address, "" for the first.
      locked, hidden: the controls that the sender has fixed.
      note: a line of the sender's, as text.
      widgets: keys and values of WIDGETS.
    """

    preset: str = ""
    token: str = ""
    class_names: tuple[str, ...] = ()
    row_names: tuple[str, ...] = ()
    form: str = ""
    page: str = ""
    locked: frozenset[str] = frozenset()
    hidden: frozenset[str] = frozenset()
    note: str = ""
    widgets: tuple[tuple[str, int | str], ...] = ()

    def query(self) -> str:
        """The parameters as they stand in an address, always in the same order."""
        values = {
            "preset": self.preset,
            "p": self.token,
            "classes": "\n".join(self.class_names),
            "rows": "\n".join(self.row_names),
            "form": self.form,
            "page": self.page,
            **{key: str(value) for key, value in self.widgets},
            "lock": ",".join(sorted(self.locked)),
            "hide": ",".join(sorted(self.hidden)),
            "note": self.note,
        }
        return urlencode({name: value for name, value in values.items() if value}, quote_via=quote, safe=",")


def link_of(params: Mapping[str, str]) -> Link:
    """The link with these parameters; unknown ones, and unknown values of known ones, are left out."""
    widgets = []
    for key, widget in WIDGETS.items():
        value = {str(value): value for value in widget.values}.get(params.get(key, ""))
        if value is not None:
            widgets.append((key, value))
    note = "".join(c for c in params.get("note", "")[:MAX_NOTE] if c.isprintable())
    return Link(
        preset=params.get("preset", "")[:100],
        token=params.get("p", "")[: MAX_TOKEN + 1],  # one more, so that it is refused and not read in part
        class_names=_names(params.get("classes", "")),
        row_names=_names(params.get("rows", "")),
        form=CLASS_INDEX if params.get("form") == CLASS_INDEX else "",
        page=params.get("page", "")[:100],
        locked=_known(params.get("lock", ""), LOCKABLE),
        hidden=_known(params.get("hide", ""), HIDEABLE),
        note=note.strip(),
        widgets=tuple(widgets),
    )


def link_of_query(query: str) -> Link:
    """The link that `Link.query` wrote as text."""
    try:
        params = parse_qs(query[:MAX_QUERY], max_num_fields=100)
    except ValueError:
        return Link()
    return link_of({name: values[-1] for name, values in params.items()})


def link_to(sheet: Sheet) -> Link:
    """A link to the table: every number, label and option, and the names that are not the usual ones.

    Raises: TokenTooLong; InvalidSheet for names that are too long together.
    """
    problem = sheet.to_problem()
    usual = sheet_of(problem)
    for names in (sheet.class_names, sheet.row_names):
        if (length := len(quote("\n".join(names)))) > MAX_NAMES:
            raise InvalidSheet(
                _("The names take {length} characters in a link, expected at most {limit}. Use shorter names.").format(
                    length=length, limit=MAX_NAMES
                )
            )
    return Link(
        token=to_token(problem),
        class_names=() if sheet.class_names == usual.class_names else sheet.class_names,
        row_names=() if sheet.row_names == usual.row_names else sheet.row_names,
        form=CLASS_INDEX if sheet.target_kind == CLASS_INDEX else "",
    )


@dataclass(frozen=True)
class Opening:
    """The table that a link opens, the name of its preset ("" if it is none), and what was wrong with the link."""

    sheet: Sheet
    preset: str
    problems: tuple[str, ...] = ()


def opening_of(link: Link) -> Opening:
    """The table of the link's token or preset; if that cannot be read, the first preset and a message that says why."""
    problems = []
    if link.token:
        try:
            return _with_names(link, sheet_of(from_token(link.token)))
        except InvalidToken as error:
            problems.append(_("The link is damaged: {error} This is {name}.").format(error=error, name=FIRST_PRESET))
        except InvalidSheet as error:
            problems.append(
                _("The table of the link cannot be shown: {error} This is {name}.").format(
                    error=error, name=FIRST_PRESET
                )
            )
    elif link.preset in PRESETS:
        return Opening(sheet_of_preset(PRESETS[link.preset]), link.preset)
    elif link.preset:
        problems.append(
            _("The link names the preset {link!r}, which does not exist. This is {name}.").format(
                link=link.preset[:40], name=FIRST_PRESET
            )
        )
    return Opening(sheet_of_preset(PRESETS[FIRST_PRESET]), FIRST_PRESET, tuple(problems))


def _with_names(link: Link, sheet: Sheet) -> Opening:
    if link.form and sheet.has_boxes:
        sheet = sheet.with_target_kind(link.form)
    try:
        named = sheet.with_names(link.class_names or sheet.class_names, link.row_names or sheet.row_names)
    except InvalidSheet as error:
        return Opening(sheet, "", (_("The names in the link cannot be used: {error}").format(error=error),))
    return Opening(named, "")


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split("\n")) if 0 < len(text) <= MAX_NAMES else ()


def _known(text: str, names: Mapping[str, str]) -> frozenset[str]:
    return frozenset(text[:200].split(",")) & frozenset(names)
