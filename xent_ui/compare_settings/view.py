"""The page Compare settings: A is pinned, B is the table on screen, on the same logits and labels."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from xent_core.cross_entropy import Evaluation
from xent_core.parse import InvalidText
from xent_core.settings_comparison import CONTINUOUS_OPTIONS, Comparison, compare_settings, sweep_option, total_loss
from xent_ui.compare_settings.figures import option_curve
from xent_ui.compare_settings.state import (
    MICRO_BATCHES,
    REFUSED_WEIGHT,
    SETTINGS,
    SETTINGS_OF_SIDE,
    SWEPT_OPTION,
    VIEW,
)
from xent_ui.compare_settings.two_gradients import gradient_words
from xent_ui.state import session
from xent_ui.state.kept import Kept
from xent_ui.state.sheet import CLASS_INDEX, PROBABILITIES, Sheet, number_text
from xent_ui.table.loss_options_form import LossOptionsForm, weights_of
from xent_ui.table.options import decimals, take_target_kind
from xent_ui.text import _, markdown_escaped, number, short
from xent_ui.widgets import formulas, matrices
from xent_ui.widgets.pinned_settings import INDICES, Settings, keep_pinned, pin, pinned, settings_of, with_settings
from xent_ui.widgets.segments import segmented_choice

FORMS = (INDICES, PROBABILITIES)
MAX_LISTED = 8  # weights, in words


def view_chooser() -> str:
    """Two settings, or a batch and its micro-batches."""
    titles = {SETTINGS: _("Two settings"), MICRO_BATCHES: _("Micro-batches")}
    return segmented_choice(_("Compare"), titles, VIEW)


def both_option_bars() -> None:
    """The options of A and B side by side; B's are those of the table."""
    left, right = st.columns(2, gap="medium")
    with left, st.container(key="options_a"):
        is_pinned = session.visit().pinned is not None
        st.markdown(f"**A** · {_('pinned') if is_pinned else _('defaults, until you pin other options')}")
        _option_bar("A", pinned())
    with right, st.container(key="options_b"):
        st.markdown(f"**B** · {_('what is on the table')}")
        _option_bar("B", settings_of(session.visit().sheet))
    with st.container(horizontal=True, gap="small"):
        st.button(_("Pin B as A"), icon=":material/keep:", on_click=pin)
        st.button(_("Swap A and B"), icon=":material/swap_horiz:", on_click=_swap)
    for message in session.visit().refused:
        st.warning(markdown_escaped(message), icon=":material/edit_off:")


def _swap() -> None:
    former = pinned()
    sheet = session.visit().sheet
    keep_pinned(settings_of(sheet))
    session.put(with_settings(sheet, former))


def _option_bar(side: str, settings: Settings) -> None:
    form = LossOptionsForm(SETTINGS_OF_SIDE[side], on_change=partial(_take, side), side=side)
    has_probabilities = settings.form == PROBABILITIES
    refused = session.kept(REFUSED_WEIGHT[side])
    shown = asdict(settings) | {"weight": refused[0] if refused else ", ".join(settings.weight or ())}
    if has_probabilities:
        shown["ignore_index"] = min(settings.ignore_index, -1)
    for name, entry in form.entries.items():
        session.keep(entry, shown[name])
    reduction, target, smoothing, more = st.columns([1, 1.25, 1, 0.9], vertical_alignment="bottom")
    with reduction:
        form.reduction()
    with target:
        form.choice("form", _("target"), FORMS)
    with smoothing:
        form.label_smoothing(_("smoothing ε"))
    with more, st.popover(_("More"), width="stretch"):
        form.weight(_("weight per class, such as 1, 2, 0.5; empty for none"))
        if refused:
            st.error(markdown_escaped(refused[1]), icon=":material/edit_off:")
        form.temperature()
        form.dtype()
        form.ignore_index(has_probabilities=has_probabilities)
    if words := _rare_words(settings):
        st.caption(markdown_escaped(words))


def _take(side: str, name: str, entry: Kept[Any]) -> None:
    value = session.kept(entry)
    if name == "weight":
        text = str(value or "").strip()
        session.keep(REFUSED_WEIGHT[side], None)
        try:
            _change(side, name, weights_of(text, num_classes=session.visit().sheet.num_classes))
        except InvalidText as error:
            session.keep(REFUSED_WEIGHT[side], (text, str(error)))
    elif value is not None:
        _change(side, name, value)


def _change(side: str, name: str, value: object) -> None:
    sheet = session.visit().sheet
    if side == "A":
        keep_pinned(replace(pinned(), **{name: value}))  # type: ignore[arg-type]  # a field by its name
    elif name == "form":
        take_target_kind(sheet, PROBABILITIES if value == PROBABILITIES else CLASS_INDEX)
    else:
        session.edit(replace(sheet, **{name: value}))  # type: ignore[arg-type]  # a field by its name
    session.redraw("options")


def _rare_words(settings: Settings) -> str:
    """The options behind the button that are not at their default."""
    plain = Settings()
    weight = settings.weight or ()
    listed = weight if len(weight) <= MAX_LISTED else (*weight[: MAX_LISTED - 1], "…")
    words = [] if not weight else [f"weight=[{', '.join(listed)}]"]
    words += [
        f"{name}={getattr(settings, name):g}" if name == "temperature" else f"{name}={getattr(settings, name)}"
        for name in ("temperature", "dtype", "ignore_index")
        if getattr(settings, name) != getattr(plain, name)
    ]
    return " · ".join(words)


def comparison() -> Comparison:
    """A and B on the numbers that are on the table."""
    sheet = session.visit().sheet
    return compare_settings(with_settings(sheet, pinned()).to_problem(), sheet.to_problem())


def readouts_of(result: Comparison) -> None:
    """Both losses, what divides them, and the lengths of both gradients."""
    left, right = st.columns(2, gap="medium")
    before, after = result.gradients.norms
    with left:
        _metrics("A", result.a, before)
    with right:
        _metrics("B", result.b, after)


def _metrics(side: str, evaluation: Evaluation, norm: float) -> None:
    summed = evaluation.problem.reduction == "none"
    label = _("sum of the row losses, {side}") if summed else _("loss, {side}")
    with st.container(horizontal=True, gap="medium", key=f"loss_{side.lower()}"):
        st.metric(
            label.format(side=side), number(total_loss(evaluation), decimals()), width="content", help=_("In nats")
        )
        st.metric(
            _("divides by"),
            formulas.denominator_words(evaluation),
            width="content",
            help=formulas.denominator_help(evaluation),
        )
        st.metric(_("‖gradient‖"), number(norm, decimals()), width="content", help=_("The root of the sum of squares"))


def words(result: Comparison, sheet: Sheet) -> list[str]:
    """What B changes, in sentences of Markdown."""
    if not result.differing:
        return [_("A and B are set alike. Change an option of either, or choose an example.")]
    lines = [_loss_words(*result.losses)]
    if coincidence := _coincidence_words(result, sheet):
        lines.append(coincidence)
    divisors = [formulas.denominator_words(one) for one in (result.a, result.b)]
    if divisors[0] != divisors[1]:
        lines.append(_("A divides by {a}, B by {b}.").format(a=divisors[0], b=divisors[1]))
    return lines + gradient_words(result.gradients, sheet)


def _loss_words(a: float, b: float) -> str:
    before, after = number(a, decimals()), number(b, decimals())
    if before == after:
        return _("The loss is the same: {a}.").format(a=before)
    return _("The loss is {b} instead of {a}.").format(a=before, b=after)


def _coincidence_words(result: Comparison, sheet: Sheet) -> str:
    """That rows whose losses change cancel out in a loss that stays; "" where the loss changes, or no row does."""
    if len({number(loss, decimals()) for loss in result.losses}) > 1:
        return ""
    before, after = result.a.row_loss.double(), result.b.row_loss.double()
    change = (after - before).where(before.isfinite() & after.isfinite(), 0.0)
    pairs = [
        (number(float(before[row]), decimals()), number(float(after[row]), decimals())) for row in range(len(change))
    ]
    most = int(change.argmax()), int(change.argmin())
    if any(pairs[row][0] == pairs[row][1] for row in most):
        return ""
    words = _("That is a coincidence of these numbers: rows change and cancel out, such as {rows}.")
    told = [f"{markdown_escaped(sheet.row_names[row])} ({pairs[row][0]} → {pairs[row][1]})" for row in sorted(most)]
    return words.format(rows=", ".join(told))


def sweep(result: Comparison, sheet: Sheet) -> None:
    """Loss and gradient norm while the option that differs goes from A to B."""
    if not result.differing:
        return
    st.markdown(f"## {_('From A to B')}")
    option = result.differing[0]
    if len(result.differing) > 1:
        if session.kept(SWEPT_OPTION) not in result.differing:
            session.keep(SWEPT_OPTION, option)
        session.begin(SWEPT_OPTION, option)
        option = str(
            st.segmented_control(
                _("The option that moves; the others stay as in A"),
                result.differing,
                required=True,
                key=SWEPT_OPTION.name,
                persist_state="session",
                wrap=True,
            )
        )
    swept = sweep_option(result.a.problem, result.b.problem, option)
    title = _("share of B's weight") if option == "weight" else option
    values = [value if option in CONTINUOUS_OPTIONS else str(value) for value in swept.values]
    charts = {"loss": (_("loss"), swept.losses), "norm": (_("‖gradient‖"), swept.grad_norms)}
    for column, (name, (label, heights)) in zip(st.columns(2, gap="medium"), charts.items(), strict=True):
        with column:
            st.markdown(f"**{label}**")
            st.plotly_chart(
                option_curve(values, heights, x_title=title),
                key=f"sweep_{name}",
                config=matrices.CHART_CONFIG,
                alt=_("{label}, by {option}, from {first} at A to {last} at B").format(
                    label=label, option=title, first=number(heights[0]), last=number(heights[-1])
                ),
            )
    if len({number(loss, decimals()) for loss in swept.losses}) == 1 and _coincidence_words(result, sheet):
        st.caption(
            _("The loss stays the same all the way, since rows cancel out; the table by row shows what each one does.")
        )
    opened = st.expander(_("The numbers, as a table"), key="sweep_table", on_change="rerun")
    if opened.open:
        table = {title: [value if isinstance(value, str) else short(value) for value in values]}
        table |= {label: [number_text(value) for value in heights] for label, heights in charts.values()}
        opened.dataframe(pd.DataFrame(table), hide_index=True, alt=_("The numbers of both curves"))
