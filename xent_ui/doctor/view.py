"""The parts of the doctor's page about tensors: where they come from, what is found in them, and how to ask in code."""

from __future__ import annotations

from functools import partial
from typing import cast

import streamlit as st
import torch
from torch import Tensor

from xent_core import Finding, diagnose
from xent_core.arrays import Reduction
from xent_core.codec import MAX_FILE_BYTES, InvalidFile
from xent_core.doctor.diagnose import diagnose_file
from xent_core.language import language
from xent_core.parse import InvalidText, TextTensor, parse_number, parse_tensor
from xent_core.presets import PRESETS
from xent_core.problem import DTYPES
from xent_ui.doctor import pitfalls, state
from xent_ui.doctor.text_box import text_box
from xent_ui.server.uploads import read_upload
from xent_ui.state import session
from xent_ui.state.kept import Kept
from xent_ui.table.loss_options_form import LossOptionsForm, weights_of
from xent_ui.text import _, markdown_escaped
from xent_ui.widgets import job_progress
from xent_ui.widgets.doctor_warnings import findings_of
from xent_ui.widgets.segments import segmented_choice

TARGET_DTYPES = {
    "int64": torch.int64,
    "int32": torch.int32,
    "uint8": torch.uint8,
    "bool": torch.bool,
    "float32": torch.float32,
}
LOGIT_DTYPES = {**DTYPES, "int64": torch.int64}

COMMAND = "python -m xent_core doctor FILE"
OWN_LOSS = """\
from xent_core.check_loss import assert_cross_entropy

def test_my_loss():
    assert_cross_entropy(my_cross_entropy)
"""
SNIPPET = """\
from xent_core import diagnose
for finding in diagnose(logits, target):  # one batch is enough
    print(finding.severity, finding.title, finding.explanation, finding.fix, sep="\\n")
"""


def source_chooser() -> str:
    """A row of buttons: the table, pasted numbers, a file, or an error message."""
    titles = {
        state.TABLE: _("The table"),
        state.PASTE: _("Paste logits and target"),
        state.FILE: _("Open a file"),
        state.MESSAGE: _("Paste an error message"),
    }
    return segmented_choice(_("What is examined"), titles, state.SOURCE, wrap=True)


def of_table() -> list[Finding]:
    """The findings of the batch on the table; the doctor sees the logits as F.cross_entropy does, over T."""
    return findings_of(session.visit().sheet.to_problem())


def of_paste() -> list[Finding] | None:
    """The findings of pasted numbers; None while there are none, or they cannot be read."""
    left, right = st.columns(2, gap="medium")
    with left:
        logits_text = text_box(_("Logits"), state.LOGITS, "1, 2, 3\n1, 2, 3")
        logits_dtype = _choice(_("dtype of the logits"), state.LOGITS_DTYPE, tuple(LOGIT_DTYPES))
    with right:
        target_text = text_box(_("Target"), state.TARGET, "[2, 1]")
        target_dtype = _choice(_("dtype of the target"), state.TARGET_DTYPE, tuple(TARGET_DTYPES))
    form = LossOptionsForm(state.OPTION_ENTRIES, persists=True)
    form.begin()
    columns = st.columns(4, vertical_alignment="bottom")
    with columns[0]:
        reduction = form.reduction()
    with columns[1]:
        label_smoothing = form.label_smoothing(bounded=False)
    with columns[2]:
        ignore_index = form.ignore_index()
    with columns[3]:
        weight_text = form.weight(_("weight per class"), placeholder="1, 2, 0.5")
    if not (logits_text.strip() and target_text.strip()):
        st.caption(
            _(
                "Paste from a spreadsheet, a CSV file or a printout of a tensor of any shape. "
                "What is pasted is read, never run."
            )
        )
        return None

    def examined() -> tuple[str, list[Finding]]:
        logits = _tensor(parse_tensor(logits_text), LOGIT_DTYPES[logits_dtype])
        weights = weights_of(weight_text)
        weight = None if weights is None else _values(weights, logits.dtype)
        target = _target(parse_tensor(target_text), TARGET_DTYPES[target_dtype], logits)
        found = diagnose(
            logits,
            target,
            weight=weight,
            ignore_index=ignore_index,
            reduction=cast(Reduction, reduction),
            label_smoothing=label_smoothing,
        )
        return f"logits {tuple(logits.shape)}, target {tuple(target.shape)}", found

    try:
        size_bytes = len(logits_text) + len(target_text) + len(weight_text)
        shapes, found = job_progress.run_and_wait(examined, size_bytes=size_bytes)
    except (InvalidText, ValueError) as error:
        st.error(markdown_escaped(str(error)), icon=":material/edit_off:")
        return None
    st.caption(shapes)
    return found


def of_file() -> list[Finding] | None:
    """The findings of a file; None while there is none, or it cannot be read."""
    upload = st.file_uploader(
        _("Drop or choose a file with logits and labels, valid or not: of every kind that Your logits reads, or JSON"),
        max_upload_size=MAX_FILE_BYTES // 2**20,
        key="doctor_file",
    )
    if upload is None:
        session.keep(state.READ, None)
        return None
    read, identity = session.kept(state.READ), (upload.file_id, language())
    if read is None or read[0] != identity:
        work = partial(_diagnosed, upload.name, upload.getvalue())
        read = (identity, job_progress.run_and_wait(work, size_bytes=upload.size, reads_upload=True))
        session.keep(state.READ, read)
    found = read[1]
    if isinstance(found, str):
        st.error(markdown_escaped(found), icon=":material/edit_off:")
        return None
    return found


def _diagnosed(name: str, data: bytes) -> list[Finding] | str:
    try:
        return diagnose_file(name, data, read=read_upload)
    except InvalidFile as error:
        return str(error)


def _choice(label: str, entry: Kept[str], choices: tuple[str, ...]) -> str:
    session.begin(entry)
    return str(st.selectbox(label, choices, key=entry.name, persist_state="session"))


def _target(pasted: TextTensor, dtype: torch.dtype, logits: Tensor) -> Tensor:
    """Brackets say the shape; one row or column of a table is a label per row, unless it is shaped like the logits."""
    target = _tensor(pasted, dtype)
    if not pasted.is_table or 1 not in target.shape or (target.shape == logits.shape and target.numel() > 1):
        return target
    return target.reshape(()) if logits.dim() == 1 and target.numel() == 1 else target.reshape(-1)


def _tensor(pasted: TextTensor, dtype: torch.dtype) -> Tensor:
    return _values(pasted.numbers, dtype).reshape(pasted.shape)


def _values(numbers: tuple[str, ...], dtype: torch.dtype) -> Tensor:
    values = torch.tensor([parse_number(text) for text in numbers], dtype=torch.float64)
    whole = not dtype.is_floating_point
    if whole and not bool((values.isfinite() & (values == values.round()) & (values.abs() < 2**53)).all()):
        raise ValueError(
            _("A number with a fraction came, expected whole numbers for {dtype}. Choose a floating dtype.").format(
                dtype=str(dtype).removeprefix("torch.")
            )
        )
    return values.to(dtype)


def show_findings(found: list[Finding], *, of_table: bool) -> None:
    """The findings, the worst first: what it is, why, what to do first, and the repair of these tensors as code."""
    preset = session.untouched_preset() if of_table else ""
    if preset:
        _say_whose(preset, is_healthy=not found)
    elif not found:
        st.success(_("Nothing is wrong here."), icon=":material/check_circle:")
    for index, one in enumerate(found):
        show, icon, word = {
            "error": (st.error, ":material/error:", _("Error")),
            "warning": (st.warning, ":material/warning:", _("Warning")),
            "note": (st.info, ":material/info:", _("Note")),
        }[one.severity]
        with st.container(key=f"finding_{index}"):
            words = f"**{word}: {markdown_escaped(one.title)}** · {markdown_escaped(one.code)}"
            show(f"{words}  \n{markdown_escaped(one.explanation)}", icon=icon)
            pitfalls.first_remedy(one.code)
            st.markdown(_("Then, where these tensors are to be mended:"))
            st.code(one.fix)


def _say_whose(preset: str, *, is_healthy: bool) -> None:
    """That the findings are of a preset that nobody has changed, and not of a batch of the visitor's."""
    title = markdown_escaped(_(PRESETS[preset].title))
    said = _("On the table is the example “{title}”, not a batch of yours.").format(title=title)
    if is_healthy:
        said += " " + _("Nothing is wrong in it.")
    bring = _("Examine yours: type it on the page Batch, paste it or open a file here, or say above what you see.")
    st.info(f"{said} {bring}", icon=":material/info:")


def snippet() -> None:
    """How to ask the doctor from a training loop and on the command line, and how to check a loss of one's own."""
    st.code(SNIPPET)
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown(_("On the command line, for a file:"))
        st.code(COMMAND, language="bash")
    with right:
        st.markdown(_("If you wrote the loss yourself, a test against PyTorch in every case:"))
        st.code(OWN_LOSS)
