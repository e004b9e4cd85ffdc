"""The menu of the Cross-Entropy Explorer, and what every page needs before it runs."""

from pathlib import Path

import streamlit as st

from xent_ui import session, warm  # noqa: F401  warm: the heavy imports, once per process
from xent_ui.text import _, use_language

FAVICON = Path(__file__).parent / "xent_ui" / "favicon.svg"

st.set_page_config(
    page_title="Cross-Entropy Explorer",
    page_icon=FAVICON.read_text(encoding="utf-8"),  # an icon by name would be fetched from elsewhere
    layout="wide",
    initial_sidebar_state=220,
)
use_language(st.context.locale)

page = st.navigation(
    {
        _("Explore"): [
            st.Page(
                "pages/explore/batch.py",
                title=_("Batch"),
                icon=":material/grid_on:",
                url_path="batch",
                default=True,
                help=_("Logits and labels in, loss, probabilities and gradients out"),
            ),
            st.Page(
                "pages/explore/compare_settings.py",
                title=_("Compare settings"),
                icon=":material/compare_arrows:",
                url_path="compare-settings",
                help=_("Two sets of options on the same numbers: what the second changes"),
            ),
        ],
        _("Understand"): [
            st.Page(
                "pages/understand/step_by_step.py",
                title=_("Step by step"),
                icon=":material/footprint:",
                url_path="step-by-step",
                help=_("One row forward and backward, a step at a time"),
            ),
            st.Page(
                "pages/understand/implementations.py",
                title=_("Implementations"),
                icon=":material/code:",
                url_path="implementations",
                help=_("The ways people write this loss, side by side"),
            ),
            st.Page(
                "pages/understand/precision.py",
                title=_("Precision"),
                icon=":material/decimal_increase:",
                url_path="precision",
                help=_("The same loss in float64, float32, bfloat16 and float16"),
            ),
        ],
        _("Apply"): [
            st.Page(
                "pages/apply/doctor.py",
                title=_("Doctor"),
                icon=":material/stethoscope:",
                url_path="doctor",
                help=_("What is wrong with these logits and labels, and the fix"),
            ),
        ],
    }
)
session.enter(page.url_path)
page.run()
