"""The gallery of suspects: cards in the browser, on which one decides by click or key; the server learns it later.

The browser's tab keeps what was decided, and the browser keeps it for later visits. What it sends are its changes;
`desk.taken` checks them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

from xent_ui.figures.html import hidden_json
from xent_ui.figures.theme import BLUE, GREEN, GREY, RED
from xent_ui.text import _
from xent_ui.your_logits.state import GALLERY

FRAME_KEY = "gallery_frame"  # of the container whose texts the script reads
PAGE_CARDS = 12
CARDS_ID = "cards-to-decide"  # in gallery.html
_FOLDER = Path(__file__).parent
_HTML, _CSS, _SCRIPT = ((_FOLDER / f"gallery.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))


def gallery(
    data: dict[str, Any],
    *,
    answer: dict[str, Any],
    cards: dict[int, dict[str, Any]],
    on_decided: Callable[[], None],
    on_page: Callable[[], None],
    on_asked: Callable[[], None],
    on_before: Callable[[], None],
) -> None:
    """Mount the gallery.

    Args:
      data: which rows there are, and what is known of each: what changes with another choice of rows alone.
      answer: which of the browser's messages the server has taken.
      cards: what is shown of the rows on the page, by row: picture, name, text.
      on_decided: called when the browser has sent what was decided.
      on_page: called when it asks for the cards of another page.
      on_asked: called when a row's whole story is asked for.
      on_before: called after a reload of a tab that had another dump open.
    """
    # registered at each run: a new process of the tests has a new registry
    component = st.components.v2.component("gallery", html=_HTML, css=_CSS, js=_SCRIPT, isolate_styles=False)
    with st.container(gap=None):
        with st.container(key=FRAME_KEY):
            st.html(hidden_json({"answer": answer}))
            st.html(hidden_json({"cards": {str(row): card for row, card in cards.items()}}))
        colours = {"keep": GREEN, "relabel": BLUE, "drop": RED, "unsure": GREY}
        component(
            key=GALLERY.name,
            data={**data, "page_cards": PAGE_CARDS, "colours": colours, "words": _words()},
            on_decided_change=on_decided,
            on_page_change=on_page,
            on_asked_change=on_asked,
            on_before_change=on_before,
        )


def _words() -> dict[str, str]:
    return {
        "title": _("Suspects, to decide on"),
        "keep": _("Keep"),
        "relabel": _("Relabel"),
        "drop": _("Drop"),
        "unsure": _("Unsure"),
        "other": _("another class …"),
        "other_of": _("Another class for row {row}"),
        "other_keys": _("Letters or arrows choose, Enter takes it, Esc goes back."),
        "class_number": _("class, by its number"),
        "no_class": _("There is no class {value}: choose one from 0 to {most}."),
        "why": _("The whole story"),
        "why_short": _("Why?"),
        "all": _("All"),
        "decided": _("Decided"),
        "undecided": _("Undecided"),
        "filter": _("Which cards"),
        "done": _("{done} of {all} decided"),
        "undo": _("Undo"),
        "next_undecided": _("Next undecided"),
        "previous": _("Previous page"),
        "next": _("Next page"),
        "page": _("page {page} of {pages}"),
        "none": _("No such card. Choose All."),
        "keys": _(
            "Keys on a card: K keep · R relabel as suggested · O another class · D drop · U unsure · Z undo · "
            "arrows or J next · N next undecided · Enter the whole story"
        ),
        "card": _("row {row}, {place} of {all}: label {label}, suggested {suggested}; {decision}"),
        "card_same": _("row {row}, {place} of {all}: label {label}, nothing is more probable; {decision}"),
        "nothing": _("undecided"),
        "now_decided": _("decided"),
        "relabel_as": _("Relabel: {name}"),
        "label": _("label"),
        "full": _("No more than {most} decisions: save them, and begin anew."),
        "unsaved": _("This browser keeps nothing over a reload: save the file before you leave."),
        "kept": _("Decisions are kept in this browser; save them as CSV to be sure."),
        "not_kept": _("This browser keeps no decision after the tab is closed: save them as CSV."),
        "taken_over": _("Decisions of an earlier visit, kept in this browser: {count}. Save them as CSV to be sure."),
        "anew": _("Begin anew"),
    }
