"""The page Your logits: which dump and which loss, the wait for its analysis, its gradient budget, and a snippet."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import streamlit as st
import torch
from streamlit.delta_generator import DeltaGenerator

from xent_core.array_types import Reduction
from xent_core.columns import LogitsAre
from xent_core.dump import FORMATS, DumpSummary, InvalidDump, natural_order, shown_text
from xent_core.dump.epochs import ANSWERS
from xent_core.dump.report import end_of_search
from xent_core.loss_options import LossOptions
from xent_core.parse import InvalidText, parse_number
from xent_ui.server.limits import limits
from xent_ui.state import session
from xent_ui.table.loss_options_form import LossOptionsForm, weights_of
from xent_ui.table.options import decimals
from xent_ui.text import _, markdown_escaped, ngettext, number, short
from xent_ui.widgets import job_progress
from xent_ui.widgets.matrices import CHART_CONFIG
from xent_ui.widgets.segments import segmented_choice
from xent_ui.your_logits import figures as dump_figures
from xent_ui.your_logits.analysis import AnalysisRequest, DumpAnalysis
from xent_ui.your_logits.choice import forget_choice
from xent_ui.your_logits.column_fields import columns_said, in_words_of_the_page
from xent_ui.your_logits.flipped_digits import DIGITS
from xent_ui.your_logits.state import (
    ANALYSIS,
    COLUMNS,
    EXAMPLE,
    FILE_BEFORE,
    HELD_FILES,
    LOGITS_ARE,
    LOGITS_PATH,
    LOOK_FOR_WRONG_LABELS,
    MAX_PATH_CHARACTERS,
    OPTION_ENTRIES,
    PATH,
    SEVERAL,
    SOURCE,
    TARGET_PATH,
    UPLOAD,
)

MAX_LABEL = 60  # characters of a button
SHOWN_FILES = 20
SHOWN_ROWS = 5
END_BYTES = 4096  # in which files that differ mostly do


SNIPPET = """\
with torch.no_grad():  # on examples that the model has not been trained on
    logits, target = zip(*((model(x).float().cpu(), y.cpu()) for x, y in held_out_loader))
numpy.savez("dump.npz", logits=torch.cat(logits).numpy(), target=torch.cat(target).numpy())
"""


def dump_and_loss() -> AnalysisRequest | None:
    """Which dump and which loss; None while there is none."""
    titles = {EXAMPLE: _("Example: handwritten digits"), UPLOAD: _("Upload")}
    if not limits().is_public:
        titles[PATH] = _("File on this computer")
    source = segmented_choice(_("Where the logits come from"), titles, SOURCE, wrap=True)
    found = {EXAMPLE: _of_example, UPLOAD: _of_upload, PATH: _of_path}[source]()
    if found is not None and source != EXAMPLE:
        session.keep(FILE_BEFORE, False)
    options = _options()
    if found is None or options is None:
        return None
    logits_are = session.kept(LOGITS_ARE).get(found.identity)
    looks = found.identity == session.kept(LOOK_FOR_WRONG_LABELS)
    return replace(
        found,
        logits_are=logits_are,
        options=options,
        columns=columns_said(found.identity),
        rank_by="suspicion" if looks else None,
    )


def _request(name: str, identity: tuple[str, ...], logits: Any, target: Any = None) -> AnalysisRequest:
    return AnalysisRequest(name, identity, logits, target, None, LossOptions())


def _of_example() -> AnalysisRequest:
    if session.kept(FILE_BEFORE):
        st.info(
            _("Before the reload a file of yours was open here. Choose it again, and your decisions come back."),
            icon=":material/upload_file:",
        )
    st.caption(
        _(
            "1797 images, each with the logits of a small network that was not trained on it. "
            "A tenth of the labels was flipped on purpose: see whether they are found."
        )
    )
    return _request("digits", (EXAMPLE,), DIGITS)


def _of_upload() -> AnalysisRequest | None:
    left, right = st.columns(2)
    logits = _uploaded(
        left,
        _("Logits, with or without labels: {formats}").format(formats=", ".join(FORMATS)),
        "logits",
        help=_("Several files are parts of one dump, in the order of their names, or epochs of one run."),
    )
    target = _uploaded(right, _("Labels, if they lie in another file"), "target")
    if not logits:
        return None
    newest = logits[-1].name
    logits, target = (sorted(files, key=lambda file: natural_order(file.name)) for files in (logits, target))
    epochs = _what_several_are() if len(logits) > 1 else None
    if not _says_order(logits, epochs):
        return None
    identity = (UPLOAD, *(file.file_id for file in logits), "", *(file.file_id for file in target))
    request = _request(logits[0].name, identity, logits, target or None)
    return replace(request, newest=newest, epochs=epochs)


def _uploaded(place: DeltaGenerator, label: str, role: str, help: str | None = None) -> list[Any]:
    """The files in a field; while it is empty, those that were in it before the visitor was elsewhere."""
    held = HELD_FILES[role]
    files = place.file_uploader(
        label,
        max_upload_size=limits().upload_mb,
        accept_multiple_files=True,
        help=help,
        key=f"dump_{role}_file",
        on_change=partial(session.keep, held, ()),  # what the field shows from then on is meant
    )
    if files:
        session.keep(held, tuple(files))
        return list(files)
    if kept := session.kept(held):
        with place.container(horizontal=True, vertical_alignment="center", key=f"dump_{role}_held"):
            st.markdown(_("Still open: {files}").format(files=_listed(list(kept))), width="content")
            st.button(
                _("Close"),
                icon=":material/close:",
                key=f"dump_{role}_close",
                on_click=partial(session.keep, held, ()),
            )
    return list(kept)


def _listed(files: list[Any]) -> str:
    names = [markdown_escaped(shown_text(file.name, MAX_LABEL)) for file in files]
    return ", ".join(names[:SHOWN_FILES]) + (" …" if len(names) > SHOWN_FILES else "")


def _says_order(files: list[Any], epochs: bool | None) -> bool:
    """Says of several files in which order they are read, and as what if that is said; whether none is there twice."""
    if len(files) == 1:
        return True
    seen: dict[tuple[int, bytes], int] = {}
    for place, file in enumerate(files):
        data = file.getbuffer()
        first = seen.setdefault((file.size, bytes(data[-END_BYTES:])), place)
        if first < place and data == files[first].getbuffer():
            name, other = (_listed([files[one]]) for one in (place, first))
            twice = _("{name} holds the same as {first}: its rows would count twice. Remove one of the two (×).")
            st.error(twice.format(name=name, first=other), icon=":material/error:")
            return False
    words = {
        None: _("Read in this order: {files}. To look at another dump, remove these (×)."),
        False: _("Read as parts of one dump, one below the other: {files}. To look at another dump, remove these (×)."),
        True: _("Read as epochs of one run, in this order: {files}. To look at another dump, remove these (×)."),
    }
    st.caption(words[epochs].format(files=_listed(files)))
    return True


def _of_path() -> AnalysisRequest | None:
    left, right = st.columns(2)
    session.begin(LOGITS_PATH)
    session.begin(TARGET_PATH)
    logits = left.text_input(
        _("Path of the logits"),
        key=LOGITS_PATH.name,
        max_chars=MAX_PATH_CHARACTERS,
        persist_state="session",
        placeholder=_("such as {example}").format(example="dump.npz, logits-*.npy"),
        help=_("Read piece by piece, of any size; a pattern or a folder stands for several parts, or for epochs."),
    )
    target = right.text_input(
        _("Path of the labels, if they lie in another file"),
        key=TARGET_PATH.name,
        max_chars=MAX_PATH_CHARACTERS,
        persist_state="session",
    )
    if not (logits or "").strip():
        return None
    paths = [path.strip() for path in (logits, target or "")]
    changed = (str(os.stat(path).st_mtime_ns) for path in paths if os.path.isfile(path))
    request = _request(Path(paths[0]).name, (PATH, *paths, *changed), paths[0], paths[1] or None)
    return replace(request, epochs=_what_several_are() if not os.path.isfile(paths[0]) else None)


def _what_several_are() -> bool | None:
    """Whether several files are epochs of one run or parts of one dump; None if the visitor has not said."""
    titles = {
        "unsaid": _("Ask where it is unclear"),
        "shards": _("Parts of one dump"),
        "epochs": _("Epochs of one run"),
    }
    chosen = segmented_choice(_("What several files are"), titles, SEVERAL, wrap=True)
    return {"epochs": True, "shards": False}.get(chosen)


def _options() -> LossOptions | None:
    """The options of the loss, the weight in float64; None if the weights cannot be read."""
    form = LossOptionsForm(OPTION_ENTRIES, persists=True)
    form.begin()
    with st.expander(_("Options of the loss"), icon=":material/tune:"):
        first, second, third, fourth = st.columns(4)
        with first:
            reduction = form.reduction()
        with second:
            label_smoothing = form.label_smoothing()
        with third:
            temperature = form.temperature()
        with fourth:
            ignore_index = form.ignore_index()
        text = form.weight(_("weight per class"), placeholder=_("such as {example}").format(example="1, 2, 0.5"))
        try:
            weights = weights_of(text)
        except InvalidText as error:
            st.error(markdown_escaped(str(error)), icon=":material/edit_off:")
            return None
    weight = None if weights is None else torch.tensor([parse_number(one) for one in weights], dtype=torch.float64)
    return LossOptions(weight, ignore_index, cast(Reduction, reduction), label_smoothing, temperature)


def analysis_of(request: AnalysisRequest | None) -> DumpAnalysis | None:
    """The analysis of that dump once it has ended well; until then None, and progress or complaint on screen."""
    analysis = session.kept(ANALYSIS)
    if analysis is not None and (request is None or analysis.request != request or analysis.job.was_left):
        analysis.end()
        analysis = None
        session.keep(ANALYSIS, None)
    if request is None:
        return None
    if analysis is None:
        analysis = job_progress.submitted(lambda: DumpAnalysis(request))
        if analysis is None:
            return None
        session.keep(ANALYSIS, analysis)
        forget_choice()
    try:
        summary = job_progress.result(
            analysis.job,
            partial(_progress, analysis),
            key="dump",
            on_start=partial(session.keep, ANALYSIS, None),
            below=partial(_rows_so_far, analysis),
        )
    except InvalidDump as error:
        _refusal(error, request)
        return None
    except (OSError, MemoryError) as error:
        st.error(_("The files could not be read to their end: {error}").format(error=markdown_escaped(str(error))))
        return None
    if summary is None:
        return None
    if not summary.kept:
        words = ngettext(
            "The only row is ignored, so there is nothing to count.",
            "All {rows} rows are ignored, so there is nothing to count.",
            summary.rows,
        )
        st.warning(words.format(rows=summary.rows))
        return None
    return analysis


def _progress(analysis: DumpAnalysis) -> tuple[float, str]:
    progress = analysis.progress
    if progress is None:
        return 0.0, _("opening the file")
    words = {
        "epochs": _("all epochs: row {done} of {rows}"),
        "labels": _("a first look at the classes: row {done} of {rows}"),
        "rows": _("row {done} of {rows}"),
        "temperature": _("best temperature: row {done} of {rows}"),
    }
    text = words[progress.stage].format(done=progress.rows, rows=progress.total_rows)
    return progress.rows / max(progress.total_rows, 1), text


def _rows_so_far(analysis: DumpAnalysis) -> None:
    if analysis.partial is not None:
        _metrics(analysis.partial)
        st.caption(_("Of the rows so far."))


def _refusal(error: InvalidDump, request: AnalysisRequest) -> None:
    """One message, and for what looks like probabilities the question which they are."""
    if error.code == "looks-like-probabilities":
        with st.container(key="dump_probabilities"):
            words = _("{came}. Are these logits, or probabilities after a softmax?").format(came=error.came)
            st.warning(markdown_escaped(words))
            with st.container(horizontal=True):
                for answer, label in (
                    ("probabilities", _("Probabilities: take their logarithm")),
                    ("logits", _("Logits: take them as they are")),
                ):
                    st.button(label, key=f"dump_are_{answer}", on_click=_answer, args=(request, answer))
        return
    if error.answers:
        with st.container(key="dump_columns_asked"):
            st.warning(markdown_escaped(_("{came}. Which is meant?").format(came=error.came)))
            with st.container(horizontal=True):
                for index, choice in enumerate(error.answers):
                    several = {"epochs": _("Epochs of one run"), "shards": _("Parts of one dump")}
                    parts = (f"{name}: {value}" if value else several.get(name, name) for name, value in choice.items())
                    said = ", ".join(parts)
                    words = markdown_escaped(said if len(said) <= MAX_LABEL else said[:MAX_LABEL] + "…")
                    st.button(words, key=f"dump_columns_{index}", on_click=_say, args=(request, choice))
        return
    words = in_words_of_the_page(error.sentence)
    if error.code == "shards-differ" and request.newest:
        fix = _("Files uploaded together are parts of one dump; {name} came last. Remove what is of another dump (×).")
        words = f"{_('{came}, expected {expected}.').format(came=error.came, expected=error.expected)} "
        words += fix.format(name=shown_text(request.newest, MAX_LABEL))
    st.error(markdown_escaped(words), icon=":material/error:")
    if error.program:
        st.code(error.program)


def _say(request: AnalysisRequest, answer: dict[str, str]) -> None:
    if answer in ANSWERS:
        session.keep(SEVERAL, next(iter(answer)))
        return
    names = {"target": "target_column"}
    said: dict[str, Any] = {names.get(name, name): value for name, value in answer.items()}
    if "no_header" in said:
        said["no_header"] = True
    before = session.kept(COLUMNS).get(request.identity, {})
    session.keep(COLUMNS, {request.identity: {**before, **said}})


def _answer(request: AnalysisRequest, answer: LogitsAre) -> None:
    session.keep(LOGITS_ARE, {request.identity: answer})


def budget(analysis: DumpAnalysis) -> None:
    """The numbers of the whole, and how unevenly the gradient is spread."""
    summary = analysis.summary
    if not summary.complete:
        stopped = _("Stopped: these are the first {rows} of {total} rows.").format(
            rows=summary.rows, total=summary.total_rows
        )
        if analysis.job.timed_out:
            stopped += " " + _("An analysis may take {seconds} seconds on this server.").format(
                seconds=round(limits().work_seconds)
            )
        st.info(stopped, icon=":material/stop_circle:")
    _metrics(summary)
    if summary.loss_histogram.nan:
        st.caption(markdown_escaped(_rows_with_nan(summary)))
    reading = summary.reading.sentence()
    if analysis.request.identity[0] == UPLOAD and len(analysis.request.logits) > 1 and summary.epochs is None:
        reading = f"{_('parts of one dump, one below the other')}; {reading}"
    st.caption(markdown_escaped(_("Read: {reading}").format(reading=reading)))
    share = summary.lorenz.carried_by(0.01)
    words, curve = st.columns([3, 2], gap="medium", vertical_alignment="center")
    with words:
        if math.isfinite(share):
            sentence = _("1 % of the examples carry {one} of the gradient, 10 % carry {ten}.")
            ten = summary.lorenz.carried_by(0.1)
            st.markdown(f"## {markdown_escaped(sentence.format(one=f'{100 * share:.0f} %', ten=f'{100 * ten:.0f} %'))}")
        st.markdown(
            _(
                "A large gradient norm means a hard example *or* a wrong label: look before you delete. "
                "The logits should be out of sample, for a model that has memorised a wrong label shows no gradient."
            )
        )
        if summary.nonfinite:
            unlike = ngettext(
                "The gradient of {count} row is not finite; it is left out of its sums.",
                "The gradient of {count} rows is not finite; they are left out of its sums.",
                summary.nonfinite,
            )
            st.warning(unlike.format(count=summary.nonfinite))
    with curve:
        st.plotly_chart(
            dump_figures.lorenz(
                summary.lorenz, examples=_("examples, the largest norm first"), gradient=_("share of the gradient")
            ),
            key="lorenz",
            config=CHART_CONFIG,
            alt=_("Lorenz curve of the gradient norms; its numbers are in the tables below"),
        )


def _rows_with_nan(summary: DumpSummary) -> str:
    """Which rows make the loss NaN, and what it is without them; with weights that is not known from the sums."""
    losses = summary.loss_histogram
    words = ngettext(
        "{count} row has a loss of NaN: row {rows}.",
        "{count} rows have a loss of NaN: {rows}.",
        losses.nan,
    )
    rows = ", ".join(map(str, summary.odd_rows[:SHOWN_ROWS])) + (" …" if len(summary.odd_rows) > SHOWN_ROWS else "")
    said = words.format(count=losses.nan, rows=rows)
    if summary.options.weight is not None or not losses.total or not math.isfinite(losses.largest):
        return said
    divisor = summary.denominator - losses.nan if summary.options.reduction == "mean" else 1.0
    without = ngettext("Without it the loss is {loss}.", "Without them the loss is {loss}.", losses.nan)
    return f"{said} {without.format(loss=number(float(losses.sums.sum()) / divisor, decimals()))}"


def _metrics(summary: DumpSummary) -> None:
    digits = decimals()
    with st.container(horizontal=True, gap="medium"):
        rows = f"{summary.kept}" if summary.kept == summary.rows else f"{summary.kept} / {summary.rows}"
        st.metric(_("rows"), rows, width="content", help=_("rows that count / all rows, with the ignored ones"))
        st.metric(_("classes"), f"{summary.classes}", width="content")
        with st.container(key="dump_loss", width="content"):
            name = _("loss, summed (nats)") if summary.options.reduction != "mean" else _("loss (nats)")
            st.metric(name, number(summary.loss, digits), width="content")
        st.metric(_("accuracy"), f"{summary.accuracy:.2%}", width="content")
        st.metric(
            _("calibration error"),
            number(summary.expected_calibration_error, digits),
            width="content",
            help=_(
                "Expected calibration error: the mean gap of confidence and accuracy, over 15 bins; "
                "{low} to {high}, 9 times in 10 or more. Other ways to make bins are among the tables."
            ).format(
                low=number(summary.calibration.errors[0].low, digits),
                high=number(summary.calibration.errors[0].high, digits),
            ),
        )
        wrong = summary.wrong_labels
        if wrong is not None:
            st.metric(
                _("wrong labels, estimated"),
                f"{wrong.low:.0f} – {wrong.high:.0f}",
                width="content",
                help=_("About {expected:.0f}; what that is worth stands above the suspects.").format(
                    expected=wrong.expected
                ),
            )
        if summary.best is not None:
            st.metric(
                _("best temperature"),
                short(summary.best_temperature, 3) + (_(" (end)") if summary.best.at_bound else ""),
                width="content",
                delta=_("loss −{gain}").format(gain=number(summary.temperature_gain, digits)),
                delta_color="off",
                delta_arrow="off",
                help=_("The T at which the loss of logits / T is least, to 1 %.") + end_of_search(summary),
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
