"""Pairs of classes and distributions of a dump, both tied to the choice of rows: each shows it, and can change it."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from xent_core.dump import DumpSummary, Histogram, InvalidDump, PairDetail, Selection
from xent_ui.figures import theme
from xent_ui.figures.heatmap import Cell
from xent_ui.server.job_pool import QueueFull
from xent_ui.state import session
from xent_ui.text import _, markdown_escaped
from xent_ui.widgets import job_progress
from xent_ui.widgets.matrices import CHART_CONFIG
from xent_ui.your_logits import figures as dump_figures
from xent_ui.your_logits.analysis import Look, Run
from xent_ui.your_logits.suspects import LABEL, PREDICTION, RANGES, bound_key, choice_of

SHOWN_CLASSES, SHOWN_PAIRS = 20, 200


def pairs(run: Run) -> None:
    """Which labels and predictions carry the gradient, as a matrix of the classes that matter most and as a table."""
    summary, found = run.summary, run.selection(choice_of(run.summary))
    titles = {
        "share": _("share of the gradient"),
        "confusion": _("number of rows"),
        "gradient": _("mean gradient"),
    }
    session.begin("dump_quantity", "share")
    quantity = str(
        st.segmented_control(
            _("What the matrix shows"), list(titles), format_func=titles.__getitem__, required=True,
            key="dump_quantity", persist_state="session", label_visibility="collapsed",
        )
    )  # fmt: skip
    left, right = st.columns([3, 2], gap="medium")
    with left:
        _pair_matrix(summary, found, quantity, titles[quantity])
    with right:
        _pair_table(summary, found)
    if summary.groups.size > 1:
        _inside(run)


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
    is_shown = quantity != "gradient" and label in groups and prediction in groups
    st.plotly_chart(
        dump_figures.pair_matrix(
            condensed(source.astype(np.float64), groups, rows_too=quantity != "gradient"),
            theme.GRADIENT if quantity == "gradient" else theme.PROBABILITY,
            row_names=names,
            column_names=names,
            others=others,
            decimals=0 if quantity == "confusion" else 3,
            selected=Cell(groups.index(label), groups.index(prediction)) if is_shown else None,
        ),
        key="pair_matrix",
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
    shown = [divmod(int(place), summary.groups.count) for place in order if norms[place] > 0]
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
        key="pair_table",
        hide_index=True,
        height=360,
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
    chosen = session.kept("pair_table").selection.rows
    label, prediction = shown[chosen[0]] if chosen and chosen[0] < len(shown) else (None, None)
    session.keep(LABEL, label)
    session.keep(PREDICTION, prediction)


def _take_cell(groups: list[int]) -> None:
    """A click into the matrix chooses that pair; the label alone in the column of all others; a second one, all."""
    points = session.kept("pair_matrix").selection.points
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


def _inside(run: Run) -> None:
    """The single classes of a block of groups, which reads the dump again."""
    summary, label, prediction = run.summary, session.kept(LABEL), session.kept(PREDICTION)
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
        look = run.inside
        is_other = look is not None and (look.labels, look.logits) != (members(label), members(prediction))
        if look is None or is_other or look.job.was_left:
            st.button(
                _("Look inside: {label} × {prediction}").format(
                    label=markdown_escaped(summary.name_of_group(label)),
                    prediction=markdown_escaped(summary.name_of_group(prediction)),
                ),
                icon=":material/zoom_in:",
                help=_("Reads the dump once more."),
                key="dump_look",
                on_click=_look,
                args=(run, label, prediction),
            )
            return
        if not job_progress.is_done(look.job, partial(_progress, look)):
            return
        try:
            detail = look.job.result()
        except (InvalidDump, OSError) as error:
            st.error(_("The dump cannot be read again: {error}").format(error=markdown_escaped(str(error))))
            return
        if look.job.timed_out:
            st.info(
                _("Stopped: these are the first {rows} of {total} rows.").format(rows=look.rows, total=look.total_rows),
                icon=":material/stop_circle:",
            )
        _detail(detail, summary)


def _look(run: Run, label: int, prediction: int) -> None:
    try:
        run.look(label, prediction)
    except QueueFull:
        st.toast(job_progress.queue_full_words(), icon=":material/hourglass_disabled:")


def _progress(look: Look) -> tuple[float, str]:
    words = _("row {done} of {rows}").format(done=look.rows, rows=look.total_rows)
    return look.rows / max(look.total_rows, 1), words


def _detail(detail: PairDetail, summary: DumpSummary) -> None:
    """The rows and the mean gradient of single classes, those that matter most."""
    weight = np.abs(np.nan_to_num(detail.mean_gradient)) * detail.support[:, None]
    labels = np.sort(np.argsort(-weight.sum(1), kind="stable")[:SHOWN_CLASSES])
    logits = np.sort(np.argsort(-weight.sum(0), kind="stable")[:SHOWN_CLASSES])
    block = np.ix_(labels, logits)
    row_names = [summary.name_of(detail.labels[place]) for place in labels]
    column_names = [summary.name_of(detail.logits[place]) for place in logits]
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


def distributions(run: Run, row: int) -> None:
    """Histograms of loss and gradient norm, of all rows and of the chosen ones, and the reliability diagram."""
    summary, choice = run.summary, choice_of(run.summary)
    found = run.selection(choice)
    loss, norm, calibration = st.columns(3, gap="medium")
    try:
        story = run.story(row)
    except (InvalidDump, OSError):
        story = None  # said where the row itself is shown
    for column, name, whole, chosen, title, alt in (
        (loss, "loss", summary.loss_histogram, found.loss_histogram, _("loss of a row"),
         _("How many rows have which loss")),
        (norm, "grad_norm", summary.grad_norm_histogram, found.grad_norm_histogram, _("gradient norm of a row"),
         _("How many rows have which gradient norm")),
    ):  # fmt: skip
        column.plotly_chart(
            dump_figures.histogram(
                whole,
                None if choice.is_everything else chosen,
                title=title,
                rows=_("rows"),
                within=getattr(choice, name),
                mark=None if story is None else float(getattr(story.scores, name)),
            ),
            key=f"{name}_histogram",
            config=CHART_CONFIG,
            on_select=partial(_take_range, name, dump_figures.bars(whole)),
            selection_mode=("points", "box"),
            alt=alt,
        )
    calibration.plotly_chart(
        dump_figures.reliability(summary.reliability, confidence=_("confidence"), accuracy=_("accuracy")),
        key="reliability",
        config=CHART_CONFIG,
        alt=_("Accuracy by confidence; on the dashed line they agree"),
    )
    st.caption(
        _(
            "Drag over a histogram to choose a range: table and matrix follow. "
            "Strong colour: the chosen rows. Dashed: the row that is looked at."
        )
    )
    opened = st.expander(_("The numbers, as tables"), key="dump_tables", on_change="rerun")
    if opened.open:
        with opened:
            _tables(summary)


def _take_range(name: str, bars: list[tuple[float, float, int]]) -> None:
    """The bars under the hand become the range."""
    places = [point["point_index"] for point in session.kept(f"{name}_histogram").selection.points]
    if places and max(places) < len(bars):
        session.keep(bound_key(name, "from"), bars[min(places)][0])
        session.keep(bound_key(name, "to"), bars[max(places)][1])


def _tables(summary: DumpSummary) -> None:
    names = (_("classes"), _("gradient budget"), _("loss"), _("gradient norm"), _("calibration"))
    classes, lorenz, loss, norm, calibration = st.tabs(names)
    order = np.argsort(-np.nan_to_num(summary.class_share), kind="stable")[:1000]
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
    bins = summary.reliability
    calibration.dataframe(
        pd.DataFrame(
            {
                _("from"): bins.edges[:-1],
                _("to"): bins.edges[1:],
                _("rows"): bins.counts,
                _("confidence"): bins.confidence,
                _("accuracy"): bins.accuracy,
            }
        ),
        hide_index=True,
        alt=_("Rows, confidence and accuracy of every bin"),
    )


def _histogram_table(place: Any, values: Histogram) -> None:
    place.dataframe(
        pd.DataFrame(dump_figures.bars(values), columns=[_("from"), _("to"), _("rows")]),
        hide_index=True,
        alt=_("Rows by value"),
    )
