"""What a visitor says of the columns of a table, in fields, and refusals in the words of these fields."""

from __future__ import annotations

import re
from typing import Any

import streamlit as st

from xent_ui.state import session
from xent_ui.text import _
from xent_ui.your_logits.state import CLASS_NAMES, COLUMN_FIELDS, COLUMNS, EXAMPLE, MAX_COLUMN_CHARACTERS, NO_HEADER

COLUMN_OPTIONS = ("classes", "target", "ids", "image", "text", "show")  # of the command line, as the fields stand
OPTION = re.compile(r"--([a-z]+(?:-[a-z]+)*)(?: FILE)?(?: \(in Python,? [^()]*\))?")


def columns_said(identity: tuple[str, ...]) -> tuple[tuple[str, Any], ...]:
    """What the visitor says of the columns: in the fields, or else by the buttons under a question."""
    if identity[0] == EXAMPLE:
        return ()
    said: dict[str, Any] = dict(session.kept(COLUMNS).get(identity, {}))
    titles = _column_titles()
    shown_help = {
        "image": _(
            "An array of pictures (N, H, W) or (N, H, W, 3), or a column of paths of PNG and JPEG files below the "
            "folder of the dump; also a file of these on this computer."
        ),
        "text": _("A column or an array of texts; also a file on this computer with a text in each line."),
        "show": _("Other columns that are shown beside the picture and the text of an example."),
    }
    columns_help = _("A column's name, a pattern, or several between commas; found by rule where it is empty.")
    with st.expander(_("Columns of a table"), icon=":material/view_column:"):
        for entry in COLUMN_FIELDS.values():
            session.begin(entry)
        session.begin(NO_HEADER)
        places = [*st.columns(3), *st.columns(3)]
        for place, (name, (title, placeholder)) in zip(places, titles.items(), strict=True):
            text = place.text_input(
                title,
                key=COLUMN_FIELDS[name].name,
                max_chars=MAX_COLUMN_CHARACTERS,
                persist_state="session",
                placeholder=_("such as {example}").format(example=placeholder),
                help=shown_help.get(name, columns_help),
            )
            if (text or "").strip():
                said[name] = str(text).strip()
        session.begin(CLASS_NAMES)
        names = st.text_input(
            _("Names of the classes"),
            key=CLASS_NAMES.name,
            max_chars=MAX_COLUMN_CHARACTERS,
            persist_state="session",
            placeholder=_("such as {example}").format(example="cat, dog, bird"),
            help=_("Between commas, in the order of the logits; where the file does not hold them."),
        )
        if (names or "").strip():
            said["class_names"] = tuple(name.strip() for name in str(names).split(","))
        if st.checkbox(_("The first line is a row, and names no columns"), key=NO_HEADER.name, persist_state="session"):
            said["no_header"] = True
    return tuple(sorted(said.items()))


def _column_titles() -> dict[str, tuple[str, str]]:
    """What each field of a column is called, and an example of what is typed there."""
    return {
        "classes": (_("Classes"), "logit_*"),
        "target_column": (_("Label"), "label"),
        "ids": (_("Names of the rows"), "image_id"),
        "image": (_("Pictures"), "images"),
        "text": (_("Texts"), "text"),
        "show": (_("Also shown"), "source, date"),
    }


def in_words_of_the_page(sentence: str) -> str:
    """A sentence with fields of this page in the place of the options of the command line that it names."""
    fields = {
        "class-names": _("Names of the classes"),
        **{option: title for option, (title, _example) in zip(COLUMN_OPTIONS, _column_titles().values(), strict=True)},
        "no-header": _("The first line is a row, and names no columns"),
    }
    under = _("“{field}” under “{place}”")
    return OPTION.sub(
        lambda found: (
            under.format(field=fields[found[1]], place=_("Columns of a table")) if found[1] in fields else found[0]
        ),
        sentence,
    )
