"""The mistakes behind what somebody saw or what PyTorch wrote: the boxes to say it in, and the answers."""

from __future__ import annotations

import streamlit as st

from xent_core.doctor.findings import TITLES
from xent_core.doctor.loss_levels import classes_of_two_softmax, classes_of_uniform, loss_levels
from xent_core.doctor.message_words import message_words
from xent_core.doctor.pitfall_search import LONGEST, classes_in, find_pitfalls, losses_in
from xent_core.doctor.symptom_index import SYMPTOMS
from xent_core.doctor.torch_messages import recognise
from xent_ui.doctor import pitfalls, state
from xent_ui.doctor.text_box import text_box
from xent_ui.state import session
from xent_ui.state.kept import Kept
from xent_ui.text import _, markdown_escaped, number

MAX_NUMBERS = 3  # of a question that are looked up


def symptom_lookup() -> None:
    """The pitfalls behind what somebody saw, in their words."""
    session.begin(state.SYMPTOM)
    text = st.text_input(
        _("What do you see?"),
        key=state.SYMPTOM.name,
        max_chars=LONGEST,
        placeholder=_("loss stuck at 1.46 · softmax layer · NaN after some steps · Target 10 is out of bounds"),
        icon=":material/search:",
        persist_state="session",
    )
    text = str(text or "")
    codes = find_pitfalls(text)
    if text.strip():
        known_levels = _loss_lines(text)
        for line in known_levels:
            st.markdown(f"- {line}")
        if not codes and not known_levels:
            st.info(
                _("No mistake fits these words. Try others, such as NaN, softmax or out of bounds."),
                icon=":material/search_off:",
            )
        _answers(text, codes, state.SYMPTOM)
    _choose(text, codes, state.SYMPTOM)


def message_lookup() -> None:
    """The pitfalls behind an error message."""
    text = text_box(
        _("Error message, or the whole traceback"), state.ERROR_MESSAGE, "IndexError: Target 3 is out of bounds."
    )
    codes = recognise(text)
    if not text.strip():
        st.caption(_("Paste what PyTorch wrote. The last lines are enough."))
    elif not codes:
        st.info(_("No known message of cross-entropy is in this text. Paste the logits and the target instead."))
    _answers(text, codes, state.ERROR_MESSAGE)
    _choose(text, codes, state.ERROR_MESSAGE)


def _choose(text: str, codes: tuple[str, ...], box: Kept[str]) -> None:
    """Show the example of the best answer to a new text; none where nothing fits it."""
    matched = state.MATCHED[box.name]
    if text != session.kept(matched):
        session.keep(matched, text)
        if text.strip():
            pitfalls.show_example(codes[0] if codes else None, text)


def _answers(text: str, codes: tuple[str, ...], box: Kept[str]) -> None:
    is_message = bool(recognise(text))
    for code in codes:
        with st.container(key=f"match_{box.name}_{code}", border=True):
            st.markdown(f"**{markdown_escaped(_(TITLES[code]))}** · {markdown_escaped(code)}")
            said = message_words(text, code) if is_message else _(SYMPTOMS[code].seen)
            if said:
                st.markdown(markdown_escaped(said))
            pitfalls.first_remedy(code)
            st.button(
                _("Show an example"),
                key=f"show_{box.name}_{code}",
                on_click=pitfalls.show_example,
                args=(code, text),
            )


def _loss_lines(question: str) -> list[str]:
    """What the losses in a question are for so many classes, as Markdown."""
    named = classes_in(question)
    lines = []
    for loss in dict.fromkeys(losses_in(question)[:MAX_NUMBERS]):
        for classes, words in (
            (
                classes_of_two_softmax(loss),
                _("{loss} is the least loss that softmax applied twice can reach with {classes}: ln(e + C − 1) − 1."),
            ),
            (
                classes_of_uniform(loss),
                _("{loss} is the loss of a model that gives {classes} the same probability: ln C."),
            ),
        ):
            if classes and (named is None or named in classes):
                lines.append(words.format(loss=loss, classes=_classes_words(classes, named)))
    if named is not None and named >= 2:
        lines.append(_levels_words(named))
    return lines


def _classes_words(classes: range, named: int | None) -> str:
    if named is not None or len(classes) == 1:
        return _("{count} classes").format(count=classes[0] if named is None else named)
    return _("{least} to {most} classes").format(least=classes[0], most=classes[-1])


def _levels_words(num_classes: int) -> str:
    levels = loss_levels(num_classes)
    return _(
        "With {C} classes: nothing learned is ln C = {uniform}; with softmax applied twice the loss of a row stays "
        "between ln(e + C − 1) − 1 = {least} and ln(e + C − 1) = {most}."
    ).format(
        C=num_classes,
        uniform=number(levels.uniform, 4),
        least=number(levels.least_of_two_softmax, 4),
        most=number(levels.most_of_two_softmax, 4),
    )
