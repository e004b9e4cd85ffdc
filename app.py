"""The menu of the Cross-Entropy Explorer: streamlit run app.py."""

from pathlib import Path

import streamlit as st

from xent_core import __version__
from xent_host.send_at_once import send_at_once
from xent_ui.shell import navigation, warm_up  # noqa: F401  # the heavy imports, once
from xent_ui.text import N_

# section: its pages in the folder of its name, each with title, icon and purpose; the first page is shown at the root
MENU = {
    N_("Explore"): [
        ("batch", N_("Batch"), "grid_on", N_("Logits and labels in, loss, probabilities and gradients out")),
        ("one_example", N_("One example"), "touch_app", N_("Drag a logit, change the label, and every number follows")),
        (
            "compare_settings",
            N_("Compare settings"),
            "compare_arrows",
            N_("Two sets of options on the same numbers: what the second changes"),
        ),
        (
            "gradient_descent",
            N_("Gradient descent"),
            "trending_down",
            N_("Follow the gradient step by step, and see where it leads"),
        ),
    ],
    N_("Understand"): [
        ("step_by_step", N_("Step by step"), "footprint", N_("One row forward and backward, a step at a time")),
        ("implementations", N_("Implementations"), "code", N_("The ways people write this loss, side by side")),
        (
            "precision",
            N_("Precision"),
            "decimal_increase",
            N_("The same loss in float64, float32, bfloat16 and float16"),
        ),
    ],
    N_("Apply"): [
        ("doctor", N_("Doctor"), "stethoscope", N_("What is wrong with these logits and labels, and the fix")),
        (
            "your_logits",
            N_("Your logits"),
            "troubleshoot",
            N_("Which examples of a real model carry its gradient, from its logits and labels"),
        ),
        ("export", N_("Export"), "ios_share", N_("Links, programs, files and pictures of what is on screen")),
    ],
}
FAVICON = Path(__file__).parent / "xent_ui" / "favicon.svg"

st.set_page_config(
    page_title="Cross-Entropy Explorer",
    page_icon=FAVICON.read_text(encoding="utf-8"),  # an icon by name would be fetched from elsewhere
    layout="wide",
    initial_sidebar_state=220,
    menu_items={"About": f"Cross-Entropy Explorer {__version__}"},
)
send_at_once()
navigation.run(MENU)
