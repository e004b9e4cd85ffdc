"""Every pitfall to look at: what to do first, and an example with the wrong call beside the right one."""

from __future__ import annotations

import streamlit as st

from xent_core import diagnose
from xent_core.distance import largest_finite
from xent_core.doctor.findings import TITLES
from xent_core.doctor.pitfalls import PITFALLS, Pitfall, PitfallCall, pitfall_of
from xent_core.doctor.symptom_index import SYMPTOMS
from xent_core.doctor.torch_messages import recognise, say_the_same
from xent_ui.doctor import state
from xent_ui.figures import heatmap, theme
from xent_ui.state import session
from xent_ui.text import _, markdown_escaped, number
from xent_ui.widgets.matrices import CHART_CONFIG

SHOWN_ROWS = 12  # of a gradient


def show_example(code: str | None, message: str = "") -> None:
    """Choose the pitfall that is shown, in the example in which PyTorch says this message; None for no pitfall."""
    session.keep(state.PITFALL, code)
    session.keep(state.EXAMPLE_MESSAGE, message if code in recognise(message) else "")


def first_remedy(code: str) -> None:
    """What one does in the model or in the data before any tensor is mended."""
    st.markdown(f"**{_('First:')}** {markdown_escaped(_(SYMPTOMS[code].first))}")


def pitfall_chooser() -> str | None:
    """Which pitfall is shown; None before one is chosen. Title, code and words of it can be typed."""
    session.begin(state.PITFALL)
    code = st.selectbox(
        _("Pitfall"),
        list(PITFALLS),
        index=None,
        placeholder=_("Choose one of {count}").format(count=len(PITFALLS)),
        format_func=lambda code: f"{_(TITLES[code])} · {code}",
        key=state.PITFALL.name,
        persist_state="session",
    )
    return None if code is None else str(code)


def pitfall(code: str) -> None:
    """What one sees, what to do first, and an example: code, loss or error, and gradient, on one scale."""
    message = session.kept(state.EXAMPLE_MESSAGE)
    shown = pitfall_of(code, message if code in recognise(message) else "")
    with st.container():  # there even without words, so that what follows keeps its place
        st.markdown(f"**{_('Seen:')}** {markdown_escaped(_(SYMPTOMS[code].seen))}")
        first_remedy(code)
        st.caption(_example_words(shown, message))
        if words := _words_on(shown):
            st.markdown(markdown_escaped(words))
    both = shown.wrong, shown.right
    finite = [largest_finite(call.grad_logits) for call in both if call.grad_logits is not None]
    bound = max(finite, default=1.0)
    titles = (f":red[✗] {_('Wrong')}", f":green[✓] {_('Right')}")
    for column, name, title, call in zip(st.columns(2, gap="medium"), ("wrong", "right"), titles, both, strict=True):
        with column, st.container(key=f"pitfall_{name}"):
            st.markdown(f"**{title}**")
            _show_call(call, name, bound, shown.example.class_axis)


def _example_words(shown: Pitfall, message: str) -> str:
    """Whose numbers these are."""
    if shown.code not in recognise(message):
        return _("An example with its own numbers, none of them yours:")
    if say_the_same(shown.wrong.message, message):
        return _("The error that you have, in an example with its own numbers, none of them yours:")
    return _("The same mistake in an example with its own numbers, where PyTorch words it otherwise:")


def _words_on(pitfall: Pitfall) -> str:
    """What the doctor says of the wrong call; "" where PyTorch alone refuses what is read as a tensor here."""
    assert pitfall.wrong.arguments is not None
    logits, target, options = pitfall.wrong.arguments
    found = diagnose(logits, target, **options, **pitfall.example.known)
    return next((one.explanation for one in found if one.code == pitfall.code), "")


def _show_call(call: PitfallCall, name: str, bound: float, class_axis: int) -> None:
    st.code(call.code, wrap_lines=True)
    if call.message:
        st.error(markdown_escaped(call.message), icon=":material/error:")
    if call.loss is not None:
        st.metric(_("loss (nats)"), number(float(call.loss.double().sum())))
    if call.grad_logits is None:
        st.caption(_("PyTorch raises, so there is no gradient."))
        return
    by_class = call.grad_logits.movedim(class_axis, -1)
    every = by_class.reshape(-1, by_class.shape[-1])
    rows = every[:SHOWN_ROWS]
    st.markdown(f"**{_('gradient')}**")
    figure = heatmap.matrix(
        rows,
        theme.GRADIENT,
        row_names=list(map(str, range(len(rows)))),
        class_names=list(map(str, range(rows.shape[1]))),
        bound=bound,
    )
    st.plotly_chart(figure, key=f"pitfall_{name}_matrix", config=CHART_CONFIG, alt=_("Gradient by the logits"))
    if len(rows) < len(every):
        st.caption(_("The first {count} of {all} rows.").format(count=len(rows), all=len(every)))
    opened = st.expander(_("The numbers, as a table"), key=f"pitfall_{name}_table", on_change="rerun")
    if opened.open:
        opened.dataframe(heatmap.as_array(rows), alt=_("Gradient by the logits"))
