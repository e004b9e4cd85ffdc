"""The doctor's warnings about a Problem, for any page."""

from __future__ import annotations

import streamlit as st

from xent_core import Finding, Problem, diagnose
from xent_ui.text import _, markdown_escaped


def findings_of(problem: Problem) -> list[Finding]:
    """The findings of a Problem."""
    scaled = problem.logits if problem.temperature == 1 else problem.logits / problem.temperature
    return diagnose(scaled, problem.target, **problem.options.torch_keywords())


def warnings_line(problem: Problem) -> None:
    """What the doctor warns of in a Problem, a line each, with the way to its page; one alone says why at once."""
    found = [one for one in findings_of(problem) if one.severity != "note"]
    if found:
        lines = [f"**{markdown_escaped(one.title)}**" for one in found]
        lines += [markdown_escaped(one.explanation) for one in found if len(found) == 1]
        st.warning("  \n".join(lines), icon=":material/stethoscope:")
        st.page_link("pages/apply/doctor.py", label=_("Doctor: why, and what to do"), icon=":material/stethoscope:")
