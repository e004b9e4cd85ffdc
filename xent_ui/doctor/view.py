"""The parts of the doctor's page: the source of the tensors, its findings, error messages, and every pitfall."""

from __future__ import annotations

from functools import partial
from typing import cast

import streamlit as st
import torch
from torch import Tensor

from xent_core import Finding, diagnose
from xent_core.arrays import Reduction
from xent_core.codec import MAX_FILE_BYTES, InvalidFile
from xent_core.distance import largest_finite
from xent_core.doctor.diagnose import TITLES, diagnose_file
from xent_core.doctor.pitfalls import PITFALLS, Pitfall, PitfallCall
from xent_core.doctor.torch_messages import recognise
from xent_core.language import language
from xent_core.parse import MAX_TEXT_CHARACTERS, InvalidText, TextTensor, parse_number, parse_tensor
from xent_core.problem import DTYPES
from xent_ui.doctor import state
from xent_ui.figures import heatmap, theme
from xent_ui.server.uploads import read_upload
from xent_ui.state import session
from xent_ui.state.kept import Kept
from xent_ui.table.loss_options_form import LossOptionsForm, weights_of
from xent_ui.text import _, markdown_escaped, number
from xent_ui.widgets import job_progress
from xent_ui.widgets.doctor_warnings import findings_of
from xent_ui.widgets.matrices import CHART_CONFIG
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
        state.TABLE: _("Your batch"),
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
        logits_text = _text(_("Logits"), state.LOGITS, "1, 2, 3\n1, 2, 3")
        logits_dtype = _choice(_("dtype of the logits"), state.LOGITS_DTYPE, tuple(LOGIT_DTYPES))
    with right:
        target_text = _text(_("Target"), state.TARGET, "[2, 1]")
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
        _("Drop or choose a file with logits and labels, valid or not: JSON, CSV, NPZ or safetensors"),
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


def _text(label: str, entry: Kept[str], placeholder: str) -> str:
    session.begin(entry)
    text = st.text_area(
        label,
        key=entry.name,
        height=160,
        max_chars=MAX_TEXT_CHARACTERS,
        placeholder=placeholder,
        persist_state="session",
    )
    return str(text or "")


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


def show_findings(found: list[Finding]) -> None:
    """The findings, the worst first: what it is, why, and the fix as code."""
    if not found:
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
            st.code(one.fix)


def message_lookup() -> None:
    """The pitfall behind an error message."""
    text = _text(
        _("Error message, or the whole traceback"), state.ERROR_MESSAGE, "IndexError: Target 3 is out of bounds."
    )
    if not text.strip():
        st.caption(_("Paste what PyTorch wrote. The last lines are enough."))
        return
    codes = recognise(text)
    if not codes:
        st.info(_("No known message of cross-entropy is in this text. Paste the logits and the target instead."))
    for code in codes:
        with st.container(horizontal=True, vertical_alignment="center", key=f"match_{code}"):
            st.markdown(f"**{markdown_escaped(_(TITLES[code]))}** · {markdown_escaped(code)}", width="content")
            if code in PITFALLS:
                st.button(_("Show it"), key=f"show_{code}", on_click=session.keep, args=(state.PITFALL, code))
    known = [code for code in codes if code in PITFALLS]
    if known and session.kept(state.MATCHED) != text:
        session.keep(state.MATCHED, text)
        session.keep(state.PITFALL, known[0])


def pitfall_chooser() -> str:
    """Which pitfall is shown."""
    session.begin(state.PITFALL)
    code = st.selectbox(
        _("Pitfall"),
        list(PITFALLS),
        format_func=lambda code: _(TITLES[code]),
        key=state.PITFALL.name,
        persist_state="session",
    )
    return str(code)


def pitfall(code: str) -> None:
    """Why it is wrong, and the wrong call beside the right one: code, loss or error, and gradient, on one scale."""
    with st.container():  # there even without words, so that what follows keeps its place
        if words := _words_on(PITFALLS[code]):
            st.markdown(markdown_escaped(words))
    both = PITFALLS[code].wrong, PITFALLS[code].right
    finite = [largest_finite(call.grad_logits) for call in both if call.grad_logits is not None]
    bound = max(finite, default=1.0)
    titles = (f":red[✗] {_('Wrong')}", f":green[✓] {_('Right')}")
    for column, name, title, call in zip(st.columns(2, gap="medium"), ("wrong", "right"), titles, both, strict=True):
        with column, st.container(key=f"pitfall_{name}"):
            st.markdown(f"**{title}**")
            _show_call(call, name, bound)


def _words_on(pitfall: Pitfall) -> str:
    """What the doctor says of the wrong call; "" where PyTorch alone refuses what is read as a tensor here."""
    assert pitfall.wrong.arguments is not None
    logits, target, options = pitfall.wrong.arguments
    return next((one.explanation for one in diagnose(logits, target, **options) if one.code == pitfall.code), "")


def _show_call(call: PitfallCall, name: str, bound: float) -> None:
    st.code(call.code, wrap_lines=True)
    if call.message:
        st.error(markdown_escaped(call.message), icon=":material/error:")
    if call.loss is not None:
        st.metric(_("loss (nats)"), number(float(call.loss.double().sum())))
    if call.grad_logits is None:
        st.caption(_("PyTorch raises, so there is no gradient."))
        return
    rows = call.grad_logits.reshape(-1, call.grad_logits.shape[-1])
    st.markdown(f"**{_('gradient')}**")
    figure = heatmap.matrix(
        rows,
        theme.GRADIENT,
        row_names=list(map(str, range(len(rows)))),
        class_names=list(map(str, range(rows.shape[1]))),
        bound=bound,
    )
    st.plotly_chart(figure, key=f"pitfall_{name}_matrix", config=CHART_CONFIG, alt=_("Gradient by the logits"))
    opened = st.expander(_("The numbers, as a table"), key=f"pitfall_{name}_table", on_change="rerun")
    if opened.open:
        opened.dataframe(heatmap.as_array(rows), alt=_("Gradient by the logits"))


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
