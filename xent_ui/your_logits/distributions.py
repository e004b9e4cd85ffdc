"""How loss, gradient norm and confidence of a dump's rows are distributed: histograms, calibration, and tables."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from xent_core.dump import DumpSummary, Histogram
from xent_core.dump.calibration_words import (
    brier_parts,
    calibration_error_name,
    calibration_verdict,
    main_calibration_numbers,
    why_calibration_errors_differ,
)
from xent_ui.state import session
from xent_ui.text import _, markdown_escaped
from xent_ui.widgets.matrices import CHART_CONFIG
from xent_ui.your_logits import figures as dump_figures
from xent_ui.your_logits.analysis import DumpAnalysis
from xent_ui.your_logits.choice import choice_of
from xent_ui.your_logits.state import BOUNDS, HISTOGRAM, rank_by_entry

MAX_LISTED_CLASSES = 1000


def histograms_and_calibration(analysis: DumpAnalysis, row: int) -> None:
    """Histograms of loss and gradient norm, of all rows and of the chosen ones, and the reliability diagram."""
    summary, choice = analysis.summary, choice_of(analysis.summary)
    found = analysis.selection(choice, session.kept(rank_by_entry(summary)))
    loss, norm, calibration = st.columns(3, gap="medium")
    detail = analysis.row_detail(row) if analysis.has_read(row) else None  # why not is said where the row is shown
    for column, name, whole, chosen, title, alt in (
        (
            loss,
            "loss",
            summary.loss_histogram,
            found.loss_histogram,
            _("loss of a row"),
            _("How many rows have which loss"),
        ),
        (
            norm,
            "grad_norm",
            summary.grad_norm_histogram,
            found.grad_norm_histogram,
            _("gradient norm of a row"),
            _("How many rows have which gradient norm"),
        ),
    ):
        column.plotly_chart(
            dump_figures.histogram(
                whole,
                None if choice.is_everything else chosen,
                title=title,
                rows=_("rows"),
                within=getattr(choice, name),
                mark=None if detail is None else float(getattr(detail.scores, name)),
            ),
            key=HISTOGRAM[name].name,
            config=CHART_CONFIG,
            on_select=partial(_take_range, name, dump_figures.bars(whole)),
            selection_mode=("points", "box"),
            alt=alt,
        )
    calibration.plotly_chart(
        dump_figures.reliability(summary.calibration.reliability, confidence=_("confidence"), accuracy=_("accuracy")),
        key="reliability",
        config=CHART_CONFIG,
        alt=_("Accuracy by confidence; on the dashed line they agree"),
    )
    st.caption(
        _(
            "Drag over a histogram to choose a range: table and matrix follow. "
            "Strong colour: the chosen rows. Dashed: the row that is looked at. "
            "Upright lines: where the accuracy of all such examples lies, 9 times in 10."
        )
    )
    _calibration_verdict(summary)
    opened = st.expander(_("The numbers, as tables"), key="dump_tables", on_change="rerun")
    if opened.open:
        with opened:
            _tables(summary)


def _calibration_verdict(summary: DumpSummary) -> None:
    """Whether the model is right as often as it says, the numbers behind that, and why they differ."""
    verdict = calibration_verdict(summary)
    if not verdict:
        return
    words, numbers = st.columns([2, 3], gap="medium")
    with words:
        st.markdown(f"**{_('Calibration')}**")
        st.markdown(markdown_escaped(verdict))
        st.caption(markdown_escaped(why_calibration_errors_differ(summary)))
    columns = (_("calibration"), _("value"), _("9 times in 10 within"))
    numbers.table(pd.DataFrame(main_calibration_numbers(summary), columns=columns).set_index(columns[0]))


def _take_range(name: str, bars: list[tuple[float, float, int]]) -> None:
    """The bars that are selected in a histogram become the range."""
    selected = [point["point_index"] for point in session.kept(HISTOGRAM[name]).selection.points]
    if selected and max(selected) < len(bars):
        session.keep(BOUNDS[name, "from"], bars[min(selected)][0])
        session.keep(BOUNDS[name, "to"], bars[max(selected)][1])


def _tables(summary: DumpSummary) -> None:
    names = (_("classes"), _("gradient budget"), _("loss"), _("gradient norm"), _("calibration"))
    classes, lorenz, loss, norm, calibration = st.tabs(names)
    order = np.argsort(-np.nan_to_num(summary.class_share), kind="stable")[:MAX_LISTED_CLASSES]
    classes.dataframe(
        pd.DataFrame(
            {
                _("class"): [summary.name_of(int(c)) for c in order],
                _("rows"): summary.support[order],
                _("right"): summary.correct[order],
                _("predicted"): summary.predicted[order],
                _("mean loss"): summary.class_loss[order],
                _("share of the gradient"): summary.class_share[order],
                _("net push"): summary.net_push[order],
            }
        ),
        hide_index=True,
        alt=_("Every class: rows, right ones, predictions, loss, share of the gradient and net push"),
    )
    x, y = dump_figures.thinned(summary.lorenz)
    lorenz.dataframe(
        pd.DataFrame({_("share of the examples"): x, _("share of the gradient"): y}),
        hide_index=True,
        alt=_("Points of the Lorenz curve"),
    )
    _histogram_table(loss, summary.loss_histogram)
    _histogram_table(norm, summary.grad_norm_histogram)
    bins = summary.calibration.reliability
    found = summary.calibration
    calibration.dataframe(
        pd.DataFrame(
            {
                _("calibration error"): [calibration_error_name(error) for error in found.errors],
                _("value"): [error.value for error in found.errors],
                _("at least"): [error.low for error in found.errors],
                _("at most"): [error.high for error in found.errors],
                _("bins off by at most"): [error.off_by for error in found.errors],
            }
        ),
        hide_index=True,
        column_config={
            _("bins off by at most"): st.column_config.NumberColumn(
                help=_("How far the value may be off, where bins were counted instead of every row; 0 is exact.")
            )
        },
        alt=_("The calibration error by every way of making bins, and between what it lies 9 times in 10"),
    )
    if found.brier is not None:
        calibration.dataframe(
            pd.DataFrame(brier_parts(summary), columns=[_("Brier score and its parts"), _("value")]),
            hide_index=True,
            alt=_("The Brier score and the parts that sum to it"),
        )
    calibration.dataframe(
        pd.DataFrame(
            {
                _("from"): bins.edges[:-1],
                _("to"): bins.edges[1:],
                _("rows"): bins.counts,
                _("confidence"): bins.confidence,
                _("accuracy"): bins.accuracy,
                _("at least"): bins.low,
                _("at most"): bins.high,
            }
        ),
        hide_index=True,
        alt=_("Rows, confidence, accuracy and its interval of every bin"),
    )


def _histogram_table(tab: DeltaGenerator, values: Histogram) -> None:
    tab.dataframe(
        pd.DataFrame(dump_figures.bars(values), columns=[_("from"), _("to"), _("rows")]),
        hide_index=True,
        alt=_("Rows by value"),
    )
