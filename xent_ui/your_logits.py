"""The page about the logits of a real model: what is asked, its gradient budget, suspects, pairs and calibration."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

import xent_core
from xent_core import REDUCTIONS
from xent_core.dump import FORMATS, DumpSummary, Histogram, InvalidDump
from xent_core.parse import InvalidText, parse_number
from xent_ui import dump_figures, figures, one_example, readouts, session, workers
from xent_ui.dump_run import Question, RowStory, Run, largest_entries, sheet_of_rows, story_of
from xent_ui.limits import limits
from xent_ui.options import decimals
from xent_ui.readouts import CHART_CONFIG
from xent_ui.sheet import MAX_CLASSES, InvalidSheet
from xent_ui.text import _, markdown_escaped, number, short
from xent_ui.workers import NotBegun

EXAMPLE, UPLOAD, PATH = "example", "upload", "path"
SOURCE, RUN, ROW = "dump_source", "dump_run", "dump_row"
LABEL, SUGGESTED, LOGITS_ARE = "dump_label", "dump_suggested", "dump_logits_are"
DIGITS = Path(xent_core.__file__).parent / "data" / "digits_dump.npz"
FIRST_WAIT_SECONDS, LOOK_SECONDS = 0.5, 0.4
SHOWN_CLASSES, SHOWN_PAIRS, SHOWN_ENTRIES = 20, 200, 12

SNIPPET = """\
with torch.no_grad():  # on examples that the model has not been trained on
    logits, target = zip(*((model(x).float().cpu(), y.cpu()) for x, y in held_out_loader))
numpy.savez("dump.npz", logits=torch.cat(logits).numpy(), target=torch.cat(target).numpy())
"""


def question() -> Question | None:
    """Which dump and which loss; None while there is none."""
    titles = {EXAMPLE: _("Example: handwritten digits"), UPLOAD: _("Upload"), PATH: _("File on this computer")}
    sources = [EXAMPLE, UPLOAD, *([] if limits().is_public else [PATH])]
    session.begin(SOURCE, EXAMPLE)
    source = st.segmented_control(
        _("Where the logits come from"), sources, format_func=titles.__getitem__, required=True, key=SOURCE,
        persist_state="session", label_visibility="collapsed", wrap=True,
    )  # fmt: skip
    found = {EXAMPLE: _of_example, UPLOAD: _of_upload, PATH: _of_path}[str(source)]()
    options = _options()
    if found is None or options is None:
        return None
    answered = dict(session.kept(LOGITS_ARE, {}))
    return replace(found, logits_are=answered.get(found.identity), options=tuple(options.items()))


def _asked(name: str, identity: tuple[str, ...], logits: Any, target: Any = None) -> Question:
    return Question(name, identity, logits, target, None, ())


def _of_example() -> Question:
    st.caption(
        _(
            "1797 images, each with the logits of a small network that was not trained on it. "
            "A tenth of the labels was flipped on purpose: see whether they are found."
        )
    )
    return _asked("digits", (EXAMPLE,), DIGITS)


def _of_upload() -> Question | None:
    left, right = st.columns(2)
    logits = left.file_uploader(
        _("Logits, with or without labels: {formats}").format(formats=", ".join(FORMATS)),
        max_upload_size=limits().upload_mb,
        key="dump_logits_file",
    )
    target = right.file_uploader(
        _("Labels, if they lie in another file"), max_upload_size=limits().upload_mb, key="dump_target_file"
    )
    if logits is None:
        return None
    files = (logits,) if target is None else (logits, target)
    return _asked(logits.name, (UPLOAD, *(file.file_id for file in files)), logits, target)


def _of_path() -> Question | None:
    left, right = st.columns(2)
    session.begin("dump_logits_path", "")
    session.begin("dump_target_path", "")
    logits = left.text_input(
        _("Path of the logits"), key="dump_logits_path", persist_state="session", placeholder="dump.npz, logits-*.npy",
        help=_("Read piece by piece, of any size; a pattern stands for several shards."),
    )  # fmt: skip
    target = right.text_input(
        _("Path of the labels, if they lie in another file"), key="dump_target_path", persist_state="session"
    )
    if not (logits or "").strip():
        return None
    paths = [path.strip() for path in (logits, target or "")]
    changed = (str(os.stat(path).st_mtime_ns) for path in paths if os.path.isfile(path))
    return _asked(Path(paths[0]).name, (PATH, *paths, *changed), paths[0], paths[1] or None)


def _options() -> dict[str, Any] | None:
    """The options of the loss, under their names in `analyse`; None if they cannot be read."""
    with st.expander(_("Options of the loss"), icon=":material/tune:"):
        first, second, third, fourth = st.columns(4)
        for key, value in (
            ("dump_reduction", "mean"), ("dump_smoothing", 0.0), ("dump_temperature", 1.0),
            ("dump_ignore_index", -100), ("dump_weight", ""),
        ):  # fmt: skip
            session.begin(key, value)
        keep: dict[str, Any] = {"persist_state": "session"}
        reduction = first.selectbox("reduction", REDUCTIONS, key="dump_reduction", **keep)
        smoothing = second.number_input("label_smoothing", 0.0, 1.0, step=0.05, key="dump_smoothing", **keep)
        temperature = third.number_input(
            _("temperature T"), min_value=1e-6, max_value=1e6, step=0.1, format="%g", key="dump_temperature", **keep
        )
        ignored = fourth.number_input("ignore_index", step=1, key="dump_ignore_index", **keep)
        text = str(st.text_input(_("weight per class"), key="dump_weight", placeholder="1, 2, 0.5", **keep) or "")
        try:
            weight = tuple(parse_number(part) for part in text.replace(",", " ").split())
        except InvalidText as error:
            st.error(markdown_escaped(str(error)), icon=":material/edit_off:")
            return None
    return {
        "weight": weight or None,
        "ignore_index": int(ignored),
        "reduction": str(reduction),
        "label_smoothing": float(smoothing),
        "temperature": float(temperature),
    }


def run_of(asked: Question | None) -> Run | None:
    """The run that answers the question, once it has ended well; while it is on its way, how far it is."""
    run: Run | None = session.kept(RUN)
    if run is not None and (asked is None or run.asked != asked or run.job.was_left):
        run.end()
        run = None
        session.keep(RUN, None)
    if asked is None:
        return None
    if run is None:
        try:
            run = Run(asked)
        except workers.Full:
            st.warning(workers.full_words(), icon=":material/hourglass_disabled:")
            return None
        session.keep(RUN, run)
        for key in (ROW, LABEL, SUGGESTED):
            session.keep(key, None)
    if not run.job.is_done(FIRST_WAIT_SECONDS):
        st.fragment(_progress, run_every=LOOK_SECONDS)(run)
        return None
    try:
        summary = run.summary
    except NotBegun:
        st.info(_("Stopped before it began."), icon=":material/stop_circle:")
        st.button(_("Start"), icon=":material/play_arrow:", key="dump_start", on_click=session.keep, args=(RUN, None))
        return None
    except InvalidDump as error:
        _refusal(error, asked)
        return None
    except (OSError, MemoryError) as error:
        st.error(_("The files could not be read to their end: {error}").format(error=markdown_escaped(str(error))))
        return None
    if not summary.kept:
        st.warning(_("All {rows} rows are ignored, so there is nothing to count.").format(rows=summary.rows))
        return None
    return run


def _progress(run: Run) -> None:
    if run.job.is_done(0):
        st.rerun()
    told = run.progress
    bar, button = st.columns([5, 1], vertical_alignment="center")
    if told is None:
        bar.progress(0.0, text=workers.queue_words(run.job) or _("opening the file"))
    else:
        words = {"rows": _("row {done} of {rows}"), "temperature": _("best temperature: row {done} of {rows}")}
        text = words[told.stage].format(done=told.rows, rows=told.total_rows)
        bar.progress(min(told.rows / max(told.total_rows, 1), 1.0), text=text)
    button.button(_("Stop"), icon=":material/stop:", key="dump_stop", on_click=run.job.stop, width="stretch")
    if run.partial is not None:
        _metrics(run.partial)
        st.caption(_("Of the rows so far."))


def _refusal(error: InvalidDump, asked: Question) -> None:
    """One message, and for what looks like probabilities the question which they are."""
    if error.code == "looks-like-probabilities":
        with st.container(key="dump_probabilities"):
            st.warning(_("Every row lies in 0…1 and sums to 1. Are these logits, or probabilities after a softmax?"))
            with st.container(horizontal=True):
                for answer, label in (
                    ("probabilities", _("Probabilities: take their logarithm")),
                    ("logits", _("Logits: take them as they are")),
                ):
                    st.button(label, key=f"dump_are_{answer}", on_click=_answer, args=(asked, answer))
        return
    first, _newline, code = str(error).partition("\n")
    st.error(markdown_escaped(first), icon=":material/error:")
    if code:
        st.code(code)


def _answer(asked: Question, answer: str) -> None:
    session.keep(LOGITS_ARE, {asked.identity: answer})


def budget(run: Run) -> None:
    """The numbers of the whole, and how unevenly the gradient is spread."""
    summary = run.summary
    if not summary.complete:
        stopped = _("Stopped: these are the first {rows} of {total} rows.").format(
            rows=summary.rows, total=summary.total_rows
        )
        if run.job.timed_out:
            stopped += " " + _("An analysis may take {seconds} seconds on this server.").format(
                seconds=round(limits().work_seconds)
            )
        st.info(stopped, icon=":material/stop_circle:")
    _metrics(summary)
    share = summary.lorenz.carried_by(0.01)
    words, curve = st.columns([3, 2], gap="medium", vertical_alignment="center")
    with words:
        if math.isfinite(share):
            sentence = _("1 % of the examples carry {one} of the gradient, 10 % carry {ten}.")
            ten = summary.lorenz.carried_by(0.1)
            st.markdown(
                f"### {markdown_escaped(sentence.format(one=f'{100 * share:.0f} %', ten=f'{100 * ten:.0f} %'))}"
            )
        st.markdown(
            _(
                "A large gradient norm means a hard example *or* a wrong label: look before you delete. "
                "The logits should be out of sample, for a model that has memorised a wrong label shows no gradient."
            )
        )
        if summary.nonfinite:
            st.warning(
                _("The gradient of {count} rows is not finite; they are left out of its sums.").format(
                    count=summary.nonfinite
                )
            )
    with curve:
        st.plotly_chart(
            dump_figures.lorenz(
                summary.lorenz, examples=_("examples, the largest norm first"), gradient=_("share of the gradient")
            ),
            key="lorenz",
            config=CHART_CONFIG,
            alt=_("Lorenz curve of the gradient norms; its numbers are in the tables below"),
        )


def _metrics(summary: DumpSummary) -> None:
    places = decimals()
    with st.container(horizontal=True, gap="medium"):
        rows = f"{summary.kept}" if summary.kept == summary.rows else f"{summary.kept} / {summary.rows}"
        st.metric(_("rows"), rows, width="content", help=_("rows that count / all rows, with the ignored ones"))
        st.metric(_("classes"), f"{summary.classes}", width="content")
        with st.container(key="dump_loss", width="content"):
            name = _("loss, summed (nats)") if summary.options.reduction != "mean" else _("loss (nats)")
            st.metric(name, number(summary.loss, places), width="content")
        st.metric(_("accuracy"), f"{summary.accuracy:.2%}", width="content")
        st.metric(
            _("calibration error"), number(summary.expected_calibration_error, places), width="content",
            help=_("Expected calibration error: the mean gap of confidence and accuracy, over 15 bins."),
        )  # fmt: skip
        if summary.best is not None:
            st.metric(
                _("best temperature"), short(summary.best_temperature, 3), width="content",
                delta=_("loss −{gain}").format(gain=number(summary.temperature_gain, places)), delta_color="off",
                delta_arrow="off",
                help=_("The T at which the loss of logits / T is least, to 1 %."),
            )  # fmt: skip


def suspects(run: Run) -> int:
    """The ranked table, narrowed to a class or a pair; gives the row that is looked at."""
    summary = run.summary
    first, second, third = st.columns(3, vertical_alignment="bottom")
    with first:
        label = _filter(LABEL, _("label"), summary.suspects.target, summary)
    with second:
        suggested = _filter(SUGGESTED, _("suggested"), summary.suspects.suggested, summary)
    places = _matching(summary, label, suggested)
    table = suspect_table(summary, places)
    if session.kept(ROW) is None or not 0 <= int(session.kept(ROW)) < summary.rows:
        session.keep(ROW, int(summary.suspects.row[0]))
    row = third.number_input(
        _("row to look at"), 0, summary.rows - 1, key=ROW, persist_state="session",
        help=_("Any row of the dump, counted from 0. Choosing one in the table puts it here."),
    )  # fmt: skip
    st.dataframe(
        table,
        key="suspect_table",
        hide_index=True,
        height=320,
        on_select=partial(_take_suspect, table[_("row")].tolist()),
        selection_mode="single-row",
        column_config={
            name: st.column_config.NumberColumn(format="%.4g")
            for name in table.columns
            if table[name].dtype == np.float64
        },
        alt=_("Rows by their margin, the smallest first"),
    )
    st.caption(
        _(
            "The {shown} first of {kept} rows, by their margin: how far the label's logit lies above the largest other."
        ).format(shown=len(summary.suspects), kept=summary.kept)
        if len(places) == len(summary.suspects)
        else _("{count} of the {shown} first suspects.").format(count=len(places), shown=len(summary.suspects))
    )
    with st.container(horizontal=True):
        st.download_button(
            _("These rows as CSV"),
            partial(csv_of, table),
            file_name="suspects.csv",
            mime="text/csv",
            icon=":material/download:",
            on_click="ignore",
            key="dump_csv",
        )
        count = min(len(places), MAX_CLASSES if summary.classes <= MAX_CLASSES else MAX_CLASSES // 2)
        rows = summary.suspects.row[places[:count]].tolist()
        if rows and st.button(
            _("Open the first {count} in Batch").format(count=count), icon=":material/grid_on:", key="dump_open_batch"
        ):
            _open(run, rows, "pages/explore/batch.py")
    return int(row)


def _filter(key: str, label: str, column: np.ndarray, summary: DumpSummary) -> int | None:
    groups = np.unique(column // summary.groups.size).tolist()
    if session.kept(key) not in groups:
        session.keep(key, None)
    chosen = st.selectbox(
        label, groups, index=None, key=key, format_func=summary.name_of_group, placeholder=_("every class"),
        persist_state="session",
    )  # fmt: skip
    return None if chosen is None else int(chosen)


def _matching(summary: DumpSummary, label: int | None, suggested: int | None) -> np.ndarray:
    wanted = np.ones(len(summary.suspects), dtype=bool)
    if label is not None:
        wanted &= summary.suspects.target // summary.groups.size == label
    if suggested is not None:
        wanted &= summary.suspects.suggested // summary.groups.size == suggested
    return np.flatnonzero(wanted)


def suspect_table(summary: DumpSummary, places: np.ndarray) -> pd.DataFrame:
    """These places of the ranking as a table, the classes by name."""
    chosen = summary.suspects
    return pd.DataFrame(
        {
            _("rank"): places + 1,
            _("row"): chosen.row[places],
            _("label"): [summary.name_of(c) for c in chosen.target[places].tolist()],
            _("suggested"): [summary.name_of(c) for c in chosen.suggested[places].tolist()],
            _("margin"): chosen.margin[places],
            _("p of the label"): chosen.prob[places],
            _("loss"): chosen.loss[places],
            _("gradient norm"): chosen.grad_norm[places],
            "EL2N": chosen.el2n[places],
            _("entropy"): chosen.entropy[places],
        }
    )


def csv_of(table: pd.DataFrame) -> str:
    """The table as CSV, every number exactly."""
    names = [str(name) for name in table.columns]
    texts = [[readouts.harmless(str(value)) if isinstance(value, str) else repr(value) for value in row]
             for row in table.to_numpy(dtype=object).tolist()]  # fmt: skip
    return readouts.csv_text([row[0] for row in texts], names[1:], [row[1:] for row in texts], corner=names[0])


def _take_suspect(rows: list[int]) -> None:
    chosen = session.kept("suspect_table").selection.rows
    if chosen and chosen[0] < len(rows):
        session.keep(ROW, rows[chosen[0]])


def why(run: Run, row: int) -> None:
    """Why a row is where it is: its numbers, its gradient, and what a change of it would do."""
    summary = run.summary
    st.markdown(f"**{_('Why is row {row} here?').format(row=row)}**")
    try:
        story = story_of(run.dump, row, summary)
    except (InvalidDump, OSError) as error:
        st.error(_("The row cannot be read again: {error}").format(error=markdown_escaped(str(error))))
        return
    if story is None:
        st.info(_("This row is ignored: its target is ignore_index."))
        return
    words, picture = st.columns([3, 2], gap="medium")
    with words:
        _story(story, summary)
        if st.button(_("Open in One example"), icon=":material/touch_app:", key="dump_open_example"):
            session.keep(one_example.SOURCE, one_example.FROM_BATCH)
            _open(run, [row], "pages/explore/one_example.py")
    with picture:
        _row_gradient(story, summary)


def _story(story: RowStory, summary: DumpSummary) -> None:
    scores, places = story.scores, decimals()
    label, suggested = int(scores.target[0]), int(scores.suggested[0])
    names = {"label": summary.name_of(label), "suggested": summary.name_of(suggested)}
    if scores.ids:
        st.text(scores.ids[0][:200])
    with st.container(horizontal=True, gap="medium"):
        for name, value in {
            _("loss"): number(float(scores.loss), places),
            _("p of the label"): number(float(scores.prob), places),
            _("margin"): number(float(scores.margin), places),
            _("gradient norm"): number(float(scores.grad_norm), places),
            _("share of the gradient"): f"{short(100 * story.share, 3)} %",
        }.items():
            st.metric(name, value, width="content")
    if math.isnan(float(scores.margin)):
        st.warning(_("Its logits hold NaN, or the same infinity twice, so it has no margin."))
        return
    if suggested == label:
        text = _("The label is {label}, and nothing is more probable.")
    else:
        text = _("The label is {label}, but the model prefers {suggested}: e^{gap} = {ratio} times as probable.")
    gap = -float(scores.margin)
    ratio = math.exp(min(gap, 700.0))
    st.markdown(markdown_escaped(text.format(**names, gap=number(gap, 2), ratio=number(ratio, 1))))
    now = summary.loss
    changes = [(_("without this row"), story.whole_dropped)]
    if suggested != label:
        changes.insert(0, (_("relabelled as {suggested}").format(**names), story.whole_relabelled))
        line = _("Relabelled as {suggested}, its own loss would be {loss} instead of {now}.").format(
            **names, loss=number(story.loss_relabelled, places), now=number(float(scores.loss), places)
        )
        st.markdown(markdown_escaped(line))
    if math.isfinite(now):
        for change, whole in changes:
            line = _("The loss of the whole, {change}: {value} ({difference}).").format(
                change=change, value=number(whole, places), difference=number(whole - now, places, sign=True)
            )
            st.markdown(markdown_escaped(line))
    else:
        st.caption(_("The loss of the whole is {loss}; one row does not tell what would change it.").format(
            loss=number(now)))  # fmt: skip


def _row_gradient(story: RowStory, summary: DumpSummary) -> None:
    scores = story.scores
    label = int(scores.target[0])
    gradient = scores.grad[0]
    classes = largest_entries(gradient, SHOWN_ENTRIES, label)
    values = gradient[classes].tolist()
    names = [summary.name_of(c) for c in classes]
    st.plotly_chart(
        dump_figures.row_gradient(
            names, values, label=classes.index(label), title=_("∂ℓ/∂z of the row; outlined: its label")
        ),
        key="row_gradient",
        config=CHART_CONFIG,
        alt=_("Gradient of the row's loss by its logits, the largest"),
    )
    if len(classes) < summary.classes:
        st.caption(_("The {shown} largest of {all} entries.").format(shown=len(classes), all=summary.classes))


def _open(run: Run, rows: list[int], page: str) -> None:
    """Put rows of the dump on the table, and go to a page that shows them."""
    try:
        sheet, is_cut = sheet_of_rows(run.dump, rows, run.summary)
    except (InvalidSheet, InvalidDump, OSError) as error:
        st.error(markdown_escaped(str(error)), icon=":material/error:")
        return
    session.open_sheet(sheet)
    if is_cut:
        session.refuse(
            _("Of {classes} classes the most probable are shown; the last column stands for all others.").format(
                classes=run.summary.classes
            )
        )
    st.switch_page(page)


def pairs(run: Run) -> None:
    """Which labels and predictions carry the gradient, as a matrix of the classes that matter most and as a table."""
    summary = run.summary
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
        _pair_matrix(summary, quantity, titles[quantity])
    with right:
        _pair_table(summary)


def _pair_matrix(summary: DumpSummary, quantity: str, title: str) -> None:
    groups = leading_groups(summary, SHOWN_CLASSES)
    others = _("all others") if len(groups) < summary.groups.count else None
    source = {"share": summary.pair_share, "confusion": summary.confusion, "gradient": summary.mean_gradient}[quantity]
    st.plotly_chart(
        dump_figures.pair_matrix(
            condensed(source.astype(np.float64), groups, rows_too=quantity != "gradient"),
            figures.GRADIENT if quantity == "gradient" else figures.PROBABILITY,
            names=[summary.name_of_group(group) for group in groups],
            others=others,
            decimals=0 if quantity == "confusion" else 3,
        ),
        key="pair_matrix",
        config=CHART_CONFIG,
        on_select=partial(_take_cell, groups),
        selection_mode="points",
        alt=title,
    )
    st.caption(
        _("Row: the label. Column: the logit that the gradient pulls on, down where it is positive.")
        if quantity == "gradient"
        else _("Row: the label. Column: the prediction.")
    )
    if others:
        st.caption(
            _("The {shown} of {all} with the largest share of the gradient; the others together.").format(
                shown=len(groups), all=summary.groups.count
            )
        )


def leading_groups(summary: DumpSummary, count: int) -> list[int]:
    """The groups of classes with the largest share of the gradient, in the order of the dump."""
    share = np.nan_to_num(summary.pair_share).sum(1)
    return sorted(np.argsort(-share, kind="stable")[:count].tolist())


def condensed(matrix: np.ndarray, groups: list[int], *, rows_too: bool) -> np.ndarray:
    """These rows and columns of a matrix, and the sum of all other columns, and rows if asked."""
    if len(groups) == len(matrix):
        return matrix
    others = np.setdiff1d(np.arange(len(matrix)), groups)
    wide = np.concatenate([matrix[:, groups], matrix[:, others].sum(1, keepdims=True)], axis=1)
    if not rows_too:
        return wide[groups]
    return np.concatenate([wide[groups], wide[others].sum(0, keepdims=True)])


def _pair_table(summary: DumpSummary) -> None:
    shares = np.nan_to_num(summary.pair_share).ravel()
    order = np.argsort(-shares, kind="stable")[:SHOWN_PAIRS] if shares.size <= SHOWN_PAIRS else _largest(shares)
    found = [divmod(int(place), summary.groups.count) for place in order if shares[place] > 0]
    table = pd.DataFrame(
        {
            _("label"): [summary.name_of_group(label) for label, _prediction in found],
            _("prediction"): [summary.name_of_group(prediction) for _label, prediction in found],
            _("rows"): [int(summary.confusion[pair]) for pair in found],
            _("share of the gradient"): [float(summary.pair_share[pair]) for pair in found],
        }
    )
    st.dataframe(
        table,
        key="pair_table",
        hide_index=True,
        height=360,
        on_select=partial(_take_pair, found),
        selection_mode="single-row",
        column_config={_("share of the gradient"): st.column_config.NumberColumn(format="percent")},
        alt=_("Pairs of label and prediction by their share of the gradient"),
    )
    st.caption(_("Choose a pair, or click into the matrix, to see its suspects above."))


def _largest(shares: np.ndarray) -> np.ndarray:
    found = np.argpartition(-shares, SHOWN_PAIRS)[:SHOWN_PAIRS]
    return found[np.argsort(-shares[found], kind="stable")]


def _take_pair(found: list[tuple[int, int]]) -> None:
    chosen = session.kept("pair_table").selection.rows
    label, prediction = found[chosen[0]] if chosen and chosen[0] < len(found) else (None, None)
    session.keep(LABEL, label)
    session.keep(SUGGESTED, prediction)


def _take_cell(groups: list[int]) -> None:
    """A click into the matrix narrows the suspects to that pair; to the label alone in the column of all others."""
    points = session.kept("pair_matrix").selection.points
    if points:
        label, prediction = int(points[0]["y"]), int(points[0]["x"])
        session.keep(LABEL, groups[label] if label < len(groups) else None)
        session.keep(SUGGESTED, groups[prediction] if prediction < len(groups) else None)


def distributions(run: Run) -> None:
    """Histograms of loss and gradient norm, and the reliability diagram."""
    summary = run.summary
    figures_of = {
        "loss_histogram": dump_figures.histogram(summary.loss_histogram, title=_("loss of a row"), rows=_("rows")),
        "norm_histogram": dump_figures.histogram(
            summary.grad_norm_histogram, title=_("gradient norm of a row"), rows=_("rows")
        ),
        "reliability": dump_figures.reliability(
            summary.reliability, confidence=_("confidence"), accuracy=_("accuracy")
        ),
    }
    alts = {
        "loss_histogram": _("How many rows have which loss"),
        "norm_histogram": _("How many rows have which gradient norm"),
        "reliability": _("Accuracy by confidence; on the dashed line they agree"),
    }
    for column, (key, figure) in zip(st.columns(3, gap="medium"), figures_of.items(), strict=True):
        column.plotly_chart(figure, key=key, config=CHART_CONFIG, alt=alts[key])
    opened = st.expander(_("The numbers, as tables"), key="dump_tables", on_change="rerun")
    if opened.open:
        with opened:
            _tables(summary)


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


def snippet() -> None:
    """How to write such a dump."""
    st.code(SNIPPET)
    st.caption(
        _(
            "For files of any size, in a terminal: python -m xent_core analyse dump.npz "
            "--scores scores.parquet --report report.html"
        )
    )
