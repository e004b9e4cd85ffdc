"""Has the browser fetch the code of an open cell with the page: keys that are typed while it loads are lost.

Streamlit fetches it when the first cell is typed into. On a slow line "-3.25" arrived as 5, and nothing said so.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

# beside the entry script, wherever a proxy puts the app; a browser imports an address once, so Streamlit finds it there
_FETCH = """export default function ({ data }) {
  const entry = document.querySelector('script[type=module][src*="static/js/"]')
  for (const name of entry ? data : []) import(new URL(name, entry.src).href).catch(() => {})
}"""
_FOLDER = Path(st.__file__).parent / "static" / "static" / "js"
_FILES = sorted(path.name for path in _FOLDER.glob("data-grid-overlay-editor.*.js"))


def fetch_early() -> None:
    """Once in each page, after all that can be seen."""
    st.components.v2.component("cell_code", js=_FETCH)(data=_FILES, key="cell_code", height=1)
