"""The menu of the Cross-Entropy Explorer, and what every page needs before it runs."""

from pathlib import Path
from typing import Any

import streamlit as st

from xent_core import __version__
from xent_ui import cold_start, session, share, warm  # noqa: F401  warm: the heavy imports, once per process
from xent_ui.text import _, use_language

FAVICON = Path(__file__).parent / "xent_ui" / "favicon.svg"
FIRST_PAGE = "batch"

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


def page(path: str, *, url_path: str, **details: Any) -> st.Page:
    """A page of the menu; the one that the link names is at the root."""
    pages[url_path] = st.Page(path, url_path=url_path, default=url_path == home, **details)
    return pages[url_path]


is_cold = cold_start.is_cold()
current = st.navigation(
    {
        _("Explore"): [
            page(
                "pages/explore/batch.py",
                title=_("Batch"),
                icon=":material/grid_on:",
                url_path="batch",
                help=_("Logits and labels in, loss, probabilities and gradients out"),
            ),
            page(
                "pages/explore/one_example.py",
                title=_("One example"),
                icon=":material/touch_app:",
                url_path="one-example",
                help=_("Drag a logit, change the label, and every number follows"),
            ),
            page(
                "pages/explore/compare_settings.py",
                title=_("Compare settings"),
                icon=":material/compare_arrows:",
                url_path="compare-settings",
                help=_("Two sets of options on the same numbers: what the second changes"),
            ),
            page(
                "pages/explore/gradient_descent.py",
                title=_("Gradient descent"),
                icon=":material/trending_down:",
                url_path="gradient-descent",
                help=_("Follow the gradient step by step, and see where it leads"),
            ),
        ],
        _("Understand"): [
            page(
                "pages/understand/step_by_step.py",
                title=_("Step by step"),
                icon=":material/footprint:",
                url_path="step-by-step",
                help=_("One row forward and backward, a step at a time"),
            ),
            page(
                "pages/understand/implementations.py",
                title=_("Implementations"),
                icon=":material/code:",
                url_path="implementations",
                help=_("The ways people write this loss, side by side"),
            ),
            page(
                "pages/understand/precision.py",
                title=_("Precision"),
                icon=":material/decimal_increase:",
                url_path="precision",
                help=_("The same loss in float64, float32, bfloat16 and float16"),
            ),
        ],
        _("Apply"): [
            page(
                "pages/apply/doctor.py",
                title=_("Doctor"),
                icon=":material/stethoscope:",
                url_path="doctor",
                help=_("What is wrong with these logits and labels, and the fix"),
            ),
            page(
                "pages/apply/your_logits.py",
                title=_("Your logits"),
                icon=":material/troubleshoot:",
                url_path="your-logits",
                help=_("Which examples of a real model carry its gradient, from its logits and labels"),
            ),
            page(
                "pages/apply/export.py",
                title=_("Export"),
                icon=":material/ios_share:",
                url_path="export",
                help=_("Links, programs, files and pictures of what is on screen"),
            ),
        ],
    },
    position="hidden" if session.is_hidden("menu") else "sidebar",
)
if is_cold and current.url_path:
    cold_start.look_again()
session.enter(
    next(name for name, one in pages.items() if one is current), {name: one.title for name, one in pages.items()}
)
if session.goes_home():
    st.switch_page(pages[home])
share.frame()
current.run()
