"""The menu of the Cross-Entropy Explorer, and what every page needs before it runs."""

from pathlib import Path

import streamlit as st

from xent_core import __version__
from xent_ui.shell import (
    cell_code,
    cold_start,
    reconnect,
    share,
    warm_up,  # noqa: F401  # the heavy imports, once
)
from xent_ui.state import session
from xent_ui.text import N_, _, use_language

FAVICON = Path(__file__).parent / "xent_ui" / "favicon.svg"
FIRST_PAGE = "batch"
# section: (file below pages/, title, icon, what it is for)
MENU = {
    N_("Explore"): [
        ("explore/batch", N_("Batch"), "grid_on", N_("Logits and labels in, loss, probabilities and gradients out")),
        (
            "explore/one_example",
            N_("One example"),
            "touch_app",
            N_("Drag a logit, change the label, and every number follows"),
        ),
        (
            "explore/compare_settings",
            N_("Compare settings"),
            "compare_arrows",
            N_("Two sets of options on the same numbers: what the second changes"),
        ),
        (
            "explore/gradient_descent",
            N_("Gradient descent"),
            "trending_down",
            N_("Follow the gradient step by step, and see where it leads"),
        ),
    ],
    N_("Understand"): [
        (
            "understand/step_by_step",
            N_("Step by step"),
            "footprint",
            N_("One row forward and backward, a step at a time"),
        ),
        (
            "understand/implementations",
            N_("Implementations"),
            "code",
            N_("The ways people write this loss, side by side"),
        ),
        (
            "understand/precision",
            N_("Precision"),
            "decimal_increase",
            N_("The same loss in float64, float32, bfloat16 and float16"),
        ),
    ],
    N_("Apply"): [
        ("apply/doctor", N_("Doctor"), "stethoscope", N_("What is wrong with these logits and labels, and the fix")),
        (
            "apply/your_logits",
            N_("Your logits"),
            "troubleshoot",
            N_("Which examples of a real model carry its gradient, from its logits and labels"),
        ),
        ("apply/export", N_("Export"), "ios_share", N_("Links, programs, files and pictures of what is on screen")),
    ],
}

st.set_page_config(
    page_title="Cross-Entropy Explorer",
    page_icon=FAVICON.read_text(encoding="utf-8"),  # an icon by name would be fetched from elsewhere
    layout="wide",
    initial_sidebar_state=220,
    menu_items={"About": f"Cross-Entropy Explorer {__version__}"},
)
use_language(st.context.locale)
home = session.home() or FIRST_PAGE
pages: dict[str, st.Page] = {}
sections: dict[str, list[st.Page]] = {}
for section, entries in MENU.items():
    for file, title, icon, purpose in entries:
        name = Path(file).name.replace("_", "-")
        pages[name] = st.Page(
            f"pages/{file}.py",
            title=_(title),
            icon=f":material/{icon}:",
            url_path=name,
            help=_(purpose),
            default=name == home,  # the page that the link names is at the root
        )
        sections.setdefault(_(section), []).append(pages[name])

is_cold = cold_start.is_cold()
current = st.navigation(sections, position="hidden" if session.is_hidden("menu") else "sidebar")
if is_cold and current.url_path:
    cold_start.look_again()
session.enter(
    next(name for name, one in pages.items() if one is current), {name: one.title for name, one in pages.items()}
)
if session.goes_home():
    st.switch_page(pages[home])
share.frame()
reconnect.ask_anew()
current.run()
cell_code.fetch_early()
