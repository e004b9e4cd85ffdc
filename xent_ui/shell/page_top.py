"""Begins every page at its top: Streamlit leaves the next page scrolled as far down as the last one was."""

from __future__ import annotations

import streamlit as st

from xent_ui.page_internals import MAIN

_SCROLL = """export default function ({ data }) {
  if (window.shownPage !== undefined && window.shownPage !== data.page) {
    document.querySelector(`[data-testid=${data.main}]`)?.scrollTo(0, 0)
  }
  window.shownPage = data.page
}"""


def begin(page: str) -> None:
    """Scroll up if another page was shown before; nothing on a rerun of the same.

    Args: page: its name.
    """
    st.components.v2.component("page_top", js=_SCROLL)(data={"page": page, "main": MAIN}, key="page_top", height=1)
