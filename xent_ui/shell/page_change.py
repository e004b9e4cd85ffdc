"""Begins every page at its top, and closes an open popover before a click on the menu, so that the click goes there.

Streamlit leaves the next page scrolled as far down as the last one was. And it closes a popover after the click outside
it: where that asks for a run, the run is of the page that was just left, and the browser is brought back to it.
"""

from __future__ import annotations

import streamlit as st

from xent_ui.page_internals import MAIN, MENU_LINK, POPOVER

_SCRIPT = """const MOST_CHECKS = 20, CHECK_MS = 50
const byTestId = id => document.querySelector(`[data-testid=${id}]`)

export default function ({ data }) {
  if (window.shownPage === undefined) {
    document.addEventListener('click', event => closeFirst(event, data), true)
  } else if (window.shownPage !== data.page) {
    byTestId(data.main)?.scrollTo(0, 0)
  }
  window.shownPage = data.page
}

function closeFirst (event, { menuLink, popover }) {
  const link = event.target.closest?.(`[data-testid=${menuLink}]`)
  const opensElsewhere = event.button || event.ctrlKey || event.metaKey || event.shiftKey
  if (!link || opensElsewhere || !event.isTrusted || !byTestId(popover)) return
  event.preventDefault()
  event.stopImmediatePropagation()
  document.dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape', bubbles: true, cancelable: true }))
  let checks = 0
  const click = () => link.dispatchEvent(new MouseEvent('click', { bubbles: true, cancelable: true }))
  // the run that the popover asks for as it closes has to be asked for before the page
  const go = () => setTimeout(byTestId(popover) && checks++ < MOST_CHECKS ? go : click, CHECK_MS)
  setTimeout(go, CHECK_MS)
}"""


def change_page(page: str) -> None:
    """Scroll up if another page was shown before; nothing on a rerun of the same.

    Args: page: its name.
    """
    data = {"page": page, "main": MAIN, "menuLink": MENU_LINK, "popover": POPOVER}
    st.components.v2.component("page_change", js=_SCRIPT)(data=data, key="page_change", height=1)
