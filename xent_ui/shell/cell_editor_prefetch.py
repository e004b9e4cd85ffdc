"""Has the browser prefetch the code of a table's open cell: keys that are typed while it loads are lost.

Streamlit fetches it when the first cell is typed into. On a slow line "-3.25" arrived as 5, and nothing said so.
"""

from __future__ import annotations

import streamlit as st

from xent_ui.page_internals import cell_editor_files

# beside the entry script, wherever a proxy puts the app; a browser imports an address once, so Streamlit finds it there
_FETCH = """export default function ({ data }) {
  const entry = document.querySelector('script[type=module][src*="static/js/"]')
  for (const name of entry ? data : []) import(new URL(name, entry.src).href).catch(() => {})
}"""
_FILES = cell_editor_files()


def prefetch() -> None:
    """Once in each page, after all that can be seen."""
    st.components.v2.component("cell_code", js=_FETCH)(data=_FILES, key="cell_code", height=1)
