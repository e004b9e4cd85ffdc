"""The parts of the export page: the table as a program, a file or a picture, and a file opened as the table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st
from torch import Tensor

from xent_core import Evaluation, Problem, evaluate
from xent_core.codec import (
    MAX_FILE_BYTES,
    Document,
    InvalidFile,
    TokenTooLong,
    UnsupportedInJax,
    to_csv,
    to_json,
    to_notebook,
    to_npz,
    to_safetensors,
    to_script,
)
from xent_core.columns import ColumnChoices
from xent_ui.export import figures
from xent_ui.export.html_page import html_page
from xent_ui.export.state import FIGURE_FORMAT, READ
from xent_ui.server.uploads import read_upload
from xent_ui.shell import share
from xent_ui.state import session
from xent_ui.state.link import link_to
from xent_ui.state.sheet import InvalidSheet, Sheet, number_text, sheet_of
from xent_ui.table.options import decimals
from xent_ui.text import _, in_this_language, markdown_escaped, number
from xent_ui.widgets import job_progress
from xent_ui.widgets.formulas import hover_texts
from xent_ui.widgets.matrices import target_cells

NAME = "cross-entropy"
MAX_LABEL = 60
NOTHING_SAID = ColumnChoices()
PREVIEW_ROWS, PREVIEW_CLASSES = 8, 10
FIGURE_FORMATS = ("png", "svg")


def programs(problem: Problem) -> None:
    """The same loss as a program: PyTorch, JAX, a notebook."""
    torch, jax, notebook = st.tabs(["PyTorch", "JAX", _("Notebook")])
    with torch, st.container(key="script_torch"):
        st.caption(_("Runs alone with PyTorch, prints loss and gradient, and asserts the numbers on screen."))
        st.code(to_script(problem), height=360)
        _download(_("Download the PyTorch script"), lambda: to_script(problem), "py", "text/x-python")
    with jax, st.container(key="script_jax"):
        try:
            text = to_script(problem, framework="jax")
        except UnsupportedInJax as error:
            st.info(markdown_escaped(str(error)), icon=":material/block:")
        else:
            st.caption(_("Needs jax and optax."))
            st.code(text, height=360)
            _download(_("Download the JAX script"), lambda: text, "py", "text/x-python", name=f"{NAME}-jax")
    with notebook, st.container(key="script_notebook"):
        st.caption(_("The PyTorch program in cells, with words between them."))
        _download(_("Download the notebook"), lambda: to_notebook(problem), "ipynb", "application/x-ipynb+json")


def files(sheet: Sheet, evaluation: Evaluation) -> None:
    """The table as a file of every kind, and the screen as one page of HTML."""
    problem = evaluation.problem
    names = {"class_names": sheet.class_names, "row_names": sheet.row_names}
    with st.container(horizontal=True):
        _download("JSON", lambda: to_json(problem, **names), "json", "application/json")
        _download("CSV", lambda: to_csv(problem, **names), "csv", "text/csv")
        _download("NPZ", lambda: to_npz(problem, **names), "npz", "application/octet-stream")
        _download("safetensors", lambda: to_safetensors(problem, **names), "safetensors", "application/octet-stream")
    st.caption(
        _("JSON, NPZ and safetensors hold everything: numbers bit for bit, options and names. CSV has no options.")
    )
    # asked for here: a file is made in a thread that knows of no visit
    link, digits = _link_back(sheet), decimals()
    _download(
        _("The whole screen as HTML"),
        lambda: html_page(evaluation, sheet, link=link, decimals=digits),
        "html",
        "text/html",
    )
    st.caption(_("One file of 5 MB that opens without a server: tables, heatmaps with hover, the script, the link."))


def _link_back(sheet: Sheet) -> str:
    try:
        return share.address(link_to(sheet)) if session.root() else ""
    except (TokenTooLong, InvalidSheet):
        return ""


def _download(label: str, data: Callable[[], str | bytes], kind: str, mime: str, *, name: str = NAME) -> None:
    st.download_button(
        label,
        in_this_language(data),
        file_name=f"{name}.{kind}",
        mime=mime,
        icon=":material/download:",
        on_click="ignore",
        key=f"download_{name}_{kind}",
    )


def pictures(sheet: Sheet, evaluation: Evaluation) -> None:
    """Probabilities and gradient, each with a button that saves it."""
    kind = st.segmented_control(
        _("Format of the pictures"),
        FIGURE_FORMATS,
        format_func=str.upper,
        default=FIGURE_FORMAT.default,
        required=True,
        key=FIGURE_FORMAT.name,
    )
    st.caption(_("The camera at the upper right of a picture saves it."))
    titles = {"probability": _("probabilities"), "gradient": _("gradient")}
    for column, (quantity, title) in zip(st.columns(2, gap="medium"), titles.items(), strict=True):
        with column, st.container(key=f"picture_{quantity}"):
            st.plotly_chart(
                figures.picture(
                    evaluation,
                    sheet,
                    quantity,
                    outlines=target_cells(evaluation),
                    hover=hover_texts(evaluation, sheet, quantity, decimals()),
                    decimals=decimals(),
                ),
                theme=None,
                key=f"{quantity}_picture",
                config={
                    "displayModeBar": True,
                    "displaylogo": False,
                    "modeBarButtons": [["toImage"]],
                    "toImageButtonOptions": {"format": kind, "filename": title, "scale": 1 if kind == "svg" else 3},
                },
                alt=_("{title}, as a picture to keep").format(title=title),
            )


def importer() -> None:
    """Take a file, show what is in it, and put it on the table if that is wanted."""
    upload = st.file_uploader(
        _("Drop or choose a file with logits and labels: of every kind that Your logits reads, or JSON"),
        max_upload_size=MAX_FILE_BYTES // 2**20,
        key="import_file",
        disabled=session.is_locked("tools"),
    )
    if upload is None:
        session.keep(READ, None)
        return
    read = session.kept(READ)
    if read is None or read[0] != upload.file_id:
        read = _read(upload, NOTHING_SAID)
    _file_id, choices, content = read
    if isinstance(content, Document):
        _preview(content)
    else:
        _refusal(content, upload, choices)


def _read(upload: Any, choices: ColumnChoices) -> tuple[str, ColumnChoices, Document | InvalidFile]:
    """The file, read by a job; kept for the next runs."""
    work = partial(_content, upload.name, upload.getvalue(), choices)
    content = job_progress.run_and_wait(work, size_bytes=upload.size, reads_upload=True)
    read = (upload.file_id, choices, content)
    session.keep(READ, read)
    return read


def _content(name: str, data: bytes, choices: ColumnChoices) -> Document | InvalidFile:
    try:
        return read_upload(name, data, choices)
    except InvalidFile as error:
        return error


def _refusal(error: InvalidFile, upload: Any, choices: ColumnChoices) -> None:
    """Why there is nothing to open; where more than one reading is possible, the question which."""
    with st.container(key="import_error"):
        if not error.answers:
            st.error(markdown_escaped(str(error)), icon=":material/error:")
            return
        st.warning(markdown_escaped(_("{came}. Which is meant?").format(came=error.came)))
        with st.container(horizontal=True):
            for index, answer in enumerate(error.answers):
                said = ", ".join(f"{name}: {value}" if value else name for name, value in answer.items())
                words = markdown_escaped(said if len(said) <= MAX_LABEL else said[:MAX_LABEL] + "…")
                told: dict[str, Any] = {name: value or True for name, value in answer.items()}
                if st.button(words, key=f"import_columns_{index}"):
                    _read(upload, replace(choices, **told))
                    st.rerun()


def _preview(document: Document) -> None:
    problem = document.problem
    with st.container(key="import_preview"):
        _summary(problem)
        if document.reading:
            st.caption(markdown_escaped(_("Read: {reading}").format(reading=document.reading)))
        _first_rows(document)
        try:
            sheet = sheet_of(problem, document.class_names, document.row_names)
        except InvalidSheet as error:
            st.error(
                _("This cannot go on the table: {error}").format(error=markdown_escaped(str(error))),
                icon=":material/error:",
            )
            return
        for message in _losses(problem):
            st.warning(markdown_escaped(message), icon=":material/compress:")
        st.button(_("Open it"), icon=":material/input:", on_click=_open, args=(sheet,), key="import_open")
        st.caption(_("It replaces the table, which is offered back above."))


def _open(sheet: Sheet) -> None:
    session.open_sheet(sheet, _("The file"))
    st.toast(_("The table is open: {n} rows, {c} classes.").format(n=sheet.num_rows, c=sheet.num_classes))


def _summary(problem: Problem) -> None:
    loss = float(evaluate(problem).loss.sum())
    kind = _("probabilities") if problem.has_probabilities else _("class indices")
    metrics = {
        _("logits"): " × ".join(map(str, problem.logits.shape)),
        _("dtype"): str(problem.logits.dtype).removeprefix("torch."),
        _("target"): kind,
        _("loss ({reduction})").format(reduction=problem.reduction): number(loss, decimals()),
    }
    with st.container(horizontal=True, gap="medium"):
        for name, value in metrics.items():
            st.metric(name, value, width="content")


def _first_rows(document: Document) -> None:
    problem = document.problem
    axis = problem.class_axis
    rows = _rows(problem.logits, axis)
    index = [markdown_escaped(name) for name in document.row_names[: len(rows)]] or list(map(str, range(len(rows))))
    names = list(document.class_names or map(str, range(problem.num_classes)))[:PREVIEW_CLASSES]
    logits, target = st.columns([3, 1] if not problem.has_probabilities else 2)
    logits.caption(_("first rows of the logits"))
    logits.dataframe(_frame(rows, names, index), alt=_("First rows of the logits"))
    target.caption(_("of the target"))
    if problem.has_probabilities:
        target.dataframe(_frame(_rows(problem.target, axis), names, index), alt=_("First rows of the target"))
        return
    labels = problem.target.reshape(-1)[: len(rows)].tolist()
    shown = [
        _("{label} (ignored)").format(label=label) if label == problem.ignore_index else str(label) for label in labels
    ]
    target.dataframe(pd.DataFrame({_("label"): shown}, index=index), alt=_("First labels"))


def _rows(values: Tensor, axis: int) -> Tensor:
    """(N, C, d1, …) -> (at most PREVIEW_ROWS, C)"""
    if not values.numel():
        return values.new_zeros(0, values.shape[axis])
    return values.movedim(axis, -1).reshape(-1, values.shape[axis])[:PREVIEW_ROWS]


def _frame(rows: Tensor, names: list[str], index: list[str]) -> pd.DataFrame:
    texts = [[number_text(value, rows.dtype) for value in row[:PREVIEW_CLASSES]] for row in rows.tolist()]
    return pd.DataFrame(texts, columns=names, index=index)


def _losses(problem: Problem) -> list[str]:
    """What the table, which has one dtype, makes of the tensors of others."""
    dtype = problem.logits.dtype
    others = {"target": problem.target if problem.has_probabilities else None, "weight": problem.weight}
    return [
        _("{name} is {came}; on the table it becomes {dtype}, as the logits are.").format(
            name=name,
            came=str(tensor.dtype).removeprefix("torch."),
            dtype=str(dtype).removeprefix("torch."),
        )
        for name, tensor in others.items()
        if tensor is not None and tensor.dtype != dtype
    ]
