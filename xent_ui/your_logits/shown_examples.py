"""What examples are, on the page: columns of the table of suspects, its pages, cards, and the story of one row."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from xent_core.dump import DumpSummary, InvalidDump, ShownExample, shown_text
from xent_core.dump.pictures import MAX_SIDE
from xent_ui.state import session
from xent_ui.text import _, markdown_escaped
from xent_ui.widgets import job_progress
from xent_ui.your_logits.analysis import FIRST_EXAMPLES, DumpAnalysis
from xent_ui.your_logits.state import SUSPECT_PAGE

MAX_NAME = 80  # characters of a class or an example on a card
PAGE_ROWS = FIRST_EXAMPLES  # of a table with pictures or texts


def page_of(rows: int) -> slice:
    """Which of so many rows are on the page of the table that the visitor turned to."""
    pages = max(-(-rows // PAGE_ROWS), 1)
    session.begin(SUSPECT_PAGE)
    if not 1 <= session.kept(SUSPECT_PAGE) <= pages:
        session.keep(SUSPECT_PAGE, 1)
    if pages == 1:
        return slice(0, rows)
    page = st.number_input(
        _("page of the table, 1 to {pages}").format(pages=pages),
        1,
        pages,
        key=SUSPECT_PAGE.name,
        persist_state="session",
        width=220,
    )
    return slice((int(page) - 1) * PAGE_ROWS, min(int(page) * PAGE_ROWS, rows))


def with_examples(table: pd.DataFrame, examples: Sequence[ShownExample]) -> pd.DataFrame:
    """A table of suspects with their pictures in front, and texts and other columns behind what is suggested."""
    table = table.copy()
    at = list(table.columns).index(_("suggested")) + 1
    written = (
        {_("text"): [example.text for example in examples]} if any(one.text is not None for one in examples) else {}
    )
    for name in examples[0].columns if examples else ():
        title = shown_text(name)
        if title in table.columns or title in (_("text"), _("picture")):
            title = _("{name} (of the dump)").format(name=title)
        written[title] = [example.columns[name] for example in examples]
    for place, (title, texts) in enumerate(written.items(), at):
        table.insert(place, title, texts, allow_duplicates=True)
    if any(example.image for example in examples):
        table.insert(0, _("picture"), [data_uri(example) for example in examples])
    return table


def data_uri(example: ShownExample) -> str | None:
    """The picture as an address that holds it whole."""
    return None if example.image is None else f"data:image/png;base64,{b64encode(example.image).decode()}"


def what_it_is(example: ShownExample) -> None:
    """The picture of an example, what is written of it, or why there is no picture."""
    with st.container(horizontal=True, vertical_alignment="center", gap="medium", key="dump_example"):
        uri = data_uri(example)
        if uri is not None:
            st.image(uri, width=MAX_SIDE, alt=_("Picture of row {row}").format(row=example.row))
        lines = [] if example.text is None else [example.text]
        lines += [f"{shown_text(name)}: {value}" for name, value in example.columns.items()]
        if lines:
            st.markdown("  \n".join(markdown_escaped(line) for line in lines))
    if example.problem:
        st.caption(markdown_escaped(example.problem))


def class_name(summary: DumpSummary, index: int) -> str:
    """The name of a class as a card has room for it."""
    return shown_text(summary.name_of(index), MAX_NAME)


def cards_of(analysis: DumpAnalysis, rows: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Pictures and texts of these rows, if the dump has any."""
    if not rows or not analysis.summary.reading.shows_examples:
        return {row: {} for row in rows}
    try:
        size = 0 if analysis.has_shown(rows) else analysis.size_bytes
        work = partial(analysis.show, rows)
        examples = job_progress.run_and_wait(work, size_bytes=size, reads_upload=size > 0)
    except (InvalidDump, OSError) as error:
        st.error(_("The examples cannot be read again: {error}").format(error=markdown_escaped(str(error))))
        return {row: {} for row in rows}
    cards = {}
    for one in examples:
        written = [*([one.text] if one.text else []), *(f"{name}: {value}" for name, value in one.columns.items())]
        cards[one.row] = {"image": data_uri(one) or "", "text": " · ".join(written), "problem": one.problem}
    return cards
