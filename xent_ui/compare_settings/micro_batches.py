"""A batch against its micro-batches: gradient accumulation by the mean of means, and the right way."""

from __future__ import annotations

import pandas as pd
import streamlit as st
import torch

from xent_core.settings_comparison import SUM_OVER_GLOBAL_COUNT, Accumulation, accumulate
from xent_ui.compare_settings.state import NUM_MICRO_BATCHES
from xent_ui.compare_settings.two_gradients import ROUNDING_IN_EPS, gradient_words, table_height
from xent_ui.figures import heatmap
from xent_ui.state import session
from xent_ui.state.sheet import Sheet
from xent_ui.table.options import decimals
from xent_ui.text import _, number, short


def count_slider(sheet: Sheet) -> int:
    """Into how many micro-batches the rows are split."""
    if sheet.num_rows == 1:
        st.info(_("One row cannot be split. Take a batch of more rows, or the example."), icon=":material/info:")
        return 1
    if not 1 <= session.kept(NUM_MICRO_BATCHES) <= sheet.num_rows:
        session.keep(NUM_MICRO_BATCHES, NUM_MICRO_BATCHES.default)
    session.begin(NUM_MICRO_BATCHES)
    return int(st.slider(_("micro-batches"), 1, sheet.num_rows, key=NUM_MICRO_BATCHES.name, persist_state="session"))


def accumulated(sheet: Sheet, num_parts: int) -> Accumulation:
    """The table in so many micro-batches."""
    return accumulate(sheet.to_problem(), num_parts)


def readouts(result: Accumulation) -> None:
    """The loss of the whole batch, by the mean of means, and by sums over one count."""
    whole = float(result.whole.loss)
    routes = [
        (_("A: mean over the whole batch"), whole, ""),
        (_("B: mean of the means"), float(result.mean_of_means), "B"),
        (_("sums / global count"), float(result.summed), "sum"),
    ]
    tolerance = ROUNDING_IN_EPS * torch.finfo(result.whole.loss.dtype).eps * max(1.0, abs(whole))
    for column, (label, loss, kind) in zip(st.columns(3), routes, strict=True):
        agrees = abs(loss - whole) <= tolerance or number(loss) == number(whole) == "NaN"
        verdict = "" if not kind else _("✓ the same") if agrees else _("✗ another loss")
        with column:
            st.metric(label, number(loss, decimals()), delta=verdict or None, delta_color="off", delta_arrow="off")


def micro_batch_table(result: Accumulation, sheet: Sheet) -> None:
    """What each micro-batch holds, divides by, and has as its mean."""
    lines = []
    first = 0
    for index, part in enumerate(result.parts):
        count = part.problem.num_rows
        names = sheet.row_names[first : first + count]
        first += count
        lines.append(
            {
                _("micro-batch"): str(index),
                _("rows"): names[0] if count == 1 else f"{names[0]} … {names[-1]}",
                _("kept"): _("{kept} of {all}").format(kept=int(part.problem.kept().sum()), all=count),
                _("divides by"): short(float(part.denominator)),
                _("sum"): number(float(part.row_loss.double().sum()), decimals()),
                _("mean"): number(float(part.loss), decimals()),
            }
        )
    st.dataframe(
        pd.DataFrame(lines),
        hide_index=True,
        row_height=heatmap.ROW_HEIGHT,
        height=table_height(len(lines)),
        key="parts",
        alt=_("The micro-batches: rows, divisor, sum and mean"),
    )


def words(result: Accumulation, sheet: Sheet) -> list[str]:
    """Why the mean of means is another loss, or is the same."""
    divisors = [float(part.denominator) for part in result.parts]
    if not all(divisors):
        first = _("A micro-batch has no kept row: its mean is 0/0, so the mean of means is NaN.")
    elif len(set(divisors)) == 1:
        first = _("All micro-batches divide by {d}, so the mean of means is the mean.").format(d=short(divisors[0]))
    else:
        first = _(
            "The micro-batches divide by {divisors}, and the mean of their means counts them alike: "
            "rows in the one with the smallest divisor pull the hardest."
        ).format(divisors=", ".join(map(short, divisors)))
    lines = [first]
    same = number(float(result.whole.loss), decimals()) == number(float(result.mean_of_means), decimals()) != "NaN"
    if same and len(set(divisors)) > 1:
        lines.append(_("That the losses are the same all the same is a coincidence of these numbers."))
    return lines + gradient_words(result.gradients, sheet)


def right_way() -> None:
    """The loop that gives the gradient of the whole batch."""
    st.markdown(f"**{_('The right way')}** {_('sum each micro-batch, divide by the count of the whole batch')}")
    st.code(SUM_OVER_GLOBAL_COUNT)
    st.caption(_("With class weights, the count is the sum of weight[target] over the kept rows."))
