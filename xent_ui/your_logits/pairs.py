"""Pairs of label and prediction: which carry the gradient, as a matrix and a table, and the classes inside a group."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import streamlit as st

from xent_core.dump import DumpSummary, InvalidDump, PairDetail, Selection
from xent_core.dump.selection import RANGES
from xent_ui.figures import theme
from xent_ui.figures.heatmap import Cell
from xent_ui.server.job_pool import QueueFull
from xent_ui.state import session
from xent_ui.text import _, markdown_escaped
from xent_ui.widgets import job_progress
from xent_ui.widgets.matrices import CHART_CONFIG
from xent_ui.widgets.segments import segmented_choice
from xent_ui.your_logits import figures as dump_figures
from xent_ui.your_logits.analysis import DumpAnalysis, PairDetailRun
from xent_ui.your_logits.choice import choice_of
from xent_ui.your_logits.state import LABEL, PAIR_MATRIX, PAIR_TABLE, PREDICTION, QUANTITY, rank_by_entry

SHOWN_CLASSES, SHOWN_PAIRS = 20, 200
TABLE_HEIGHT = 360  # pixels


def matrix_and_table(analysis: DumpAnalysis) -> None:
    """Which labels and predictions carry the gradient, as a matrix of the classes that matter most and as a table."""
    summary = analysis.summary
    found = analysis.selection(choice_of(summary), session.kept(rank_by_entry(summary)))
    titles = {
        "share": _("share of the gradient"),
        "confusion": _("number of rows"),
        "gradient": _("mean gradient"),
    }
    quantity = segmented_choice(_("What the matrix shows"), titles, QUANTITY)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        _pair_matrix(summary, found, quantity, titles[quantity])
    with right:
        _pair_table(summary, found)
    if summary.groups.size > 1:
        _inside_groups(analysis)


def _total_norm(summary: DumpSummary) -> float:
    return float(summary.grad_norm_histogram.sums.sum()) or np.nan


def _pair_matrix(summary: DumpSummary, found: Selection, quantity: str, title: str) -> None:
    groups = leading_groups(found.pair_norm, SHOWN_CLASSES)
    others = _("all others") if len(groups) < summary.groups.count else None
    source = {
        "share": found.pair_norm / _total_norm(summary),
        "confusion": found.confusion,
        "gradient": summary.mean_gradient,
    }[quantity]
    names = [summary.name_of_group(group) for group in groups]
    label, prediction = session.kept(LABEL), session.kept(PREDICTION)
    selected = None
    if quantity != "gradient" and label in groups and prediction in groups:
        selected = Cell(groups.index(label), groups.index(prediction))
    st.plotly_chart(
        dump_figures.pair_matrix(
            condensed(source.astype(np.float64), groups, rows_too=quantity != "gradient"),
            theme.GRADIENT if quantity == "gradient" else theme.PROBABILITY,
            row_names=names,
            column_names=names,
            others=others,
            decimals=0 if quantity == "confusion" else 3,
            selected=selected,
        ),
        key=PAIR_MATRIX.name,
        config=CHART_CONFIG,
        on_select=partial(_take_cell, groups),
        selection_mode="points",
        alt=title,
    )
    has_range = any(getattr(choice_of(summary), name) is not None for name in RANGES)
    if quantity == "gradient":
        text = _("Row: the label. Column: the logit that the gradient pulls on, down where it is positive.")
        text = " ".join([text, _("Of all rows.")]) if has_range else text
    else:
        text = _("Row: the label. Column: the prediction.")
        text = " ".join([text, _("Of the rows in the chosen ranges.")]) if has_range else text
    st.caption(text)
    if others:
        st.caption(
            _("The {shown} of {all} with the largest share of the gradient; the others together.").format(
                shown=len(groups), all=summary.groups.count
            )
        )


def leading_groups(pair_norm: np.ndarray, count: int) -> list[int]:
    """The groups of classes with the largest share of the gradient, in the order of the dump."""
    return sorted(np.argsort(-pair_norm.sum(1), kind="stable")[:count].tolist())


def condensed(matrix: np.ndarray, groups: list[int], *, rows_too: bool) -> np.ndarray:
    """These rows and columns of a matrix, and the sum of all other columns, and rows if asked."""
    if len(groups) == len(matrix):
        return matrix
    others = np.setdiff1d(np.arange(len(matrix)), groups)
    wide = np.concatenate([matrix[:, groups], matrix[:, others].sum(1, keepdims=True)], axis=1)
    if not rows_too:
        return wide[groups]
    return np.concatenate([wide[groups], wide[others].sum(0, keepdims=True)])


def _pair_table(summary: DumpSummary, found: Selection) -> None:
    norms = found.pair_norm.ravel()
    order = np.argsort(-norms, kind="stable")[:SHOWN_PAIRS] if norms.size <= SHOWN_PAIRS else _largest(norms)
    shown = [divmod(int(index), summary.groups.count) for index in order if norms[index] > 0]
    table = pd.DataFrame(
        {
            _("label"): [summary.name_of_group(label) for label, _prediction in shown],
            _("prediction"): [summary.name_of_group(prediction) for _label, prediction in shown],
            _("rows"): [int(found.confusion[pair]) for pair in shown],
            _("share of the gradient"): [float(found.pair_norm[pair]) / _total_norm(summary) for pair in shown],
        }
    )
    st.dataframe(
        table,
        key=PAIR_TABLE.name,
        hide_index=True,
        height=TABLE_HEIGHT,
        on_select=partial(_take_pair, shown),
        selection_mode="single-row",
        column_config={_("share of the gradient"): st.column_config.NumberColumn(format="percent")},
        alt=_("Pairs of label and prediction by their share of the gradient"),
    )
    st.caption(_("Choose a pair, or click into the matrix: the suspects above and the histograms below follow."))


def _largest(shares: np.ndarray) -> np.ndarray:
    found = np.argpartition(-shares, SHOWN_PAIRS)[:SHOWN_PAIRS]
    return found[np.argsort(-shares[found], kind="stable")]


def _take_pair(shown: list[tuple[int, int]]) -> None:
    chosen = session.kept(PAIR_TABLE).selection.rows
    label, prediction = shown[chosen[0]] if chosen and chosen[0] < len(shown) else (None, None)
    session.keep(LABEL, label)
    session.keep(PREDICTION, prediction)


def _take_cell(groups: list[int]) -> None:
    """A click into the matrix chooses that pair; the label alone in the column of all others; a second one, all."""
    points = session.kept(PAIR_MATRIX).selection.points
    if points:
        label, prediction = int(points[0]["y"]), int(points[0]["x"])
        asked = (
            groups[label] if label in range(len(groups)) else None,
            groups[prediction] if prediction in range(len(groups)) else None,
        )
        if asked == (session.kept(LABEL), session.kept(PREDICTION)):
            asked = (None, None)
        session.keep(LABEL, asked[0])
        session.keep(PREDICTION, asked[1])


def _inside_groups(analysis: DumpAnalysis) -> None:
    """The single classes inside the chosen pair of groups, which reads the dump again."""
    summary, label, prediction = analysis.summary, session.kept(LABEL), session.kept(PREDICTION)
    with st.container(key="inside"):
        st.markdown(f"**{_('Inside a pair of groups')}**")
        if label is None or prediction is None:
            st.caption(
                _("{size} classes share a row of the matrix. Choose a pair to see its single classes.").format(
                    size=summary.groups.size
                )
            )
            return
        members = summary.groups.members
        counting = analysis.pair_detail
        is_other = counting is not None and (counting.labels, counting.logits) != (members(label), members(prediction))
        if counting is None or is_other or counting.job.was_left:
            st.button(
                _("Look inside: {label} × {prediction}").format(
                    label=markdown_escaped(summary.name_of_group(label)),
                    prediction=markdown_escaped(summary.name_of_group(prediction)),
                ),
                icon=":material/zoom_in:",
                help=_("Reads the dump once more."),
                key="dump_look",
                on_click=_start_pair_detail,
                args=(analysis, label, prediction),
            )
            return
        if not job_progress.is_done(counting.job, partial(_progress, counting)):
            return
        try:
            detail = counting.job.result()
        except (InvalidDump, OSError) as error:
            st.error(_("The dump cannot be read again: {error}").format(error=markdown_escaped(str(error))))
            return
        if counting.job.timed_out:
            st.info(
                _("Stopped: these are the first {rows} of {total} rows.").format(
                    rows=counting.rows, total=counting.total_rows
                ),
                icon=":material/stop_circle:",
            )
        _single_classes(detail, summary)


def _start_pair_detail(analysis: DumpAnalysis, label: int, prediction: int) -> None:
    try:
        analysis.start_pair_detail(label, prediction)
    except QueueFull:
        st.toast(job_progress.queue_full_words(), icon=":material/hourglass_disabled:")


def _progress(counting: PairDetailRun) -> tuple[float, str]:
    words = _("row {done} of {rows}").format(done=counting.rows, rows=counting.total_rows)
    return counting.rows / max(counting.total_rows, 1), words


def _single_classes(detail: PairDetail, summary: DumpSummary) -> None:
    """The rows and the mean gradient of single classes, those that matter most."""
    weight = np.abs(np.nan_to_num(detail.mean_gradient)) * detail.support[:, None]
    labels = np.sort(np.argsort(-weight.sum(1), kind="stable")[:SHOWN_CLASSES])
    logits = np.sort(np.argsort(-weight.sum(0), kind="stable")[:SHOWN_CLASSES])
    block = np.ix_(labels, logits)
    row_names = [summary.name_of(detail.labels[index]) for index in labels]
    column_names = [summary.name_of(detail.logits[index]) for index in logits]
    for title, values, scale, column in zip(
        (_("mean gradient"), _("number of rows")),
        (detail.mean_gradient, detail.confusion),
        (theme.GRADIENT, theme.PROBABILITY),
        st.columns(2, gap="medium"),
        strict=True,
    ):
        column.caption(title)
        column.plotly_chart(
            dump_figures.pair_matrix(
                values[block].astype(np.float64),
                scale,
                row_names=row_names,
                column_names=column_names,
                others=None,
                decimals=3 if scale is theme.GRADIENT else 0,
            ),
            key=f"inside_{scale.colours}",
            config=CHART_CONFIG,
            alt=title,
        )
    found = [(int(i), int(j)) for i, j in np.argwhere(detail.confusion)]
    found = sorted(found, key=lambda pair: -detail.confusion[pair])[:SHOWN_PAIRS]
    st.dataframe(
        pd.DataFrame(
            {
                _("label"): [summary.name_of(detail.labels[i]) for i, _j in found],
                _("prediction"): [summary.name_of(detail.logits[j]) for _i, j in found],
                _("rows"): [int(detail.confusion[pair]) for pair in found],
                _("mean gradient"): [float(detail.mean_gradient[pair]) for pair in found],
            }
        ),
        hide_index=True,
        alt=_("Pairs of single classes by their number of rows"),
    )
    if max(detail.confusion.shape) > SHOWN_CLASSES:
        st.caption(_("Drawn: the {count} labels and logits with the most gradient.").format(count=SHOWN_CLASSES))
