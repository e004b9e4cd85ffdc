"""The export page through AppTest: programs, files, pictures, and what is taken from a file."""

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from streamlit.testing.v1 import AppTest

from harness.app_test import open_app, press, run
from xent_core import Problem, evaluate
from xent_core.codec import to_csv, to_json, to_npz, to_safetensors, to_script
from xent_core.presets import PRESETS
from xent_ui.export.figures import picture
from xent_ui.export.html_page import html_page
from xent_ui.state.sheet import Sheet, sheet_of_preset

PROBLEM = Problem([[0.1, 2, -3], [1, float("-inf"), 4]], [1, -100], weight=[1, 2, 0.5], label_smoothing=0.1)
NAMES = {"class_names": ("cat", "dog", "<b>owl</b>"), "row_names": ("first", "second")}


def open_export(**query: str) -> AppTest:
    return open_app(page="export", **query)


def upload(name: str, data: bytes | str) -> AppTest:
    at = open_export()
    at.file_uploader[0].upload(name, data.encode() if isinstance(data, str) else data)
    return run(at)


def sheet(at: AppTest) -> Sheet:
    result: Sheet = at.session_state["visit"].sheet
    return result


@pytest.mark.parametrize("preset", ["worked-batch", "class-weights", "soft-labels", "masked"])
def test_the_script_is_that_of_the_table(preset: str) -> None:
    at = open_export(preset=preset)

    assert to_script(PRESETS[preset].problem).strip() in [code.value for code in at.code]
    assert len(at.get("download_button")) >= 6


def test_files_are_made_in_a_thread_that_knows_of_no_visit(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the decimals of the visit, and without a look at it: Streamlit would log that there is none."""
    works: dict[str, Callable[[], str | bytes]] = {}
    monkeypatch.setattr("streamlit.download_button", lambda label, work, **_options: works.update({label: work}))
    missing = list[str]()  # the threads that looked for a visit
    monkeypatch.setattr(
        "streamlit.runtime.scriptrunner_utils.script_run_context._LOGGER.warning",
        lambda _words, thread: missing.append(thread),
    )
    at = open_export(preset="worked-batch")
    at.session_state["decimals"] = 2
    run(at)
    with ThreadPoolExecutor(1, thread_name_prefix="download") as thread:
        made = {label: thread.submit(work).result() for label, work in works.items()}

    assert ">1.41<" in made["The whole screen as HTML"]
    assert len(made) >= 6
    assert not [name for name in missing if name.startswith("download")]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.json", to_json(PROBLEM, **NAMES)),
        ("a.npz", to_npz(PROBLEM, **NAMES)),
        ("a.safetensors", to_safetensors(PROBLEM, **NAMES)),
    ],
)
def test_a_file_is_shown_first_and_then_opened_and_undone(name: str, data: bytes | str) -> None:
    at = upload(name, data)
    before = sheet(at)
    shown = {metric.label: metric.value for metric in at.metric}
    assert not at.warning  # the weight has the dtype of the logits
    at = press(at, "Open it")
    opened = sheet(at)
    at.switch_page("pages/explore/batch.py")
    at = press(run(at), "Undo")

    expected = F.cross_entropy(PROBLEM.logits, PROBLEM.target, weight=PROBLEM.weight, label_smoothing=0.1)
    assert shown["loss (mean)"] == ("NaN" if expected.isnan() else f"{float(expected):.4f}")
    assert shown["logits"] == "2 × 3"
    assert before != opened
    assert opened.to_problem() == PROBLEM
    assert (opened.class_names, opened.row_names) == (NAMES["class_names"], NAMES["row_names"])
    assert sheet(at) == before


def test_a_csv_file_opens() -> None:
    at = press(upload("a.csv", to_csv(PROBLEM, **NAMES)), "Open it")

    assert torch.equal(sheet(at).to_problem().logits, PROBLEM.logits)


def parquet(**columns: object) -> bytes:
    out = io.BytesIO()
    pd.DataFrame(columns).to_parquet(out)
    return out.getvalue()


def test_a_file_of_another_program_opens_and_what_was_read_is_said() -> None:
    logits = np.array([[0.5, 2.0], [1.0, -1.0]])
    data = parquet(logits=logits.tolist(), label=[1, 0], loss=[0.1, 0.2])

    at = upload("dump.parquet", data)
    said = [caption.value.replace("\\", "") for caption in at.caption]
    at = press(at, "Open it")

    assert any("2 classes: logits; label: label; not used: loss" in text for text in said)
    assert sheet(at).to_problem() == Problem(logits, [1, 0])


@pytest.mark.parametrize("public", ["", "1"])
def test_columns_that_can_be_read_in_two_ways_are_asked_about(monkeypatch: pytest.MonkeyPatch, public: str) -> None:
    monkeypatch.setenv("XENT_PUBLIC", public)
    at = upload("dump.parquet", parquet(a_0=[1.5, 2], a_1=[3.5, 4], b_0=[5.5, 6], b_1=[7.5, 8], label=[1, 0]))

    assert "Which is meant?" in at.warning[0].value
    at = press(press(at, "classes\\: b\\_\\*"), "Open it")

    assert sheet(at).to_problem().logits.tolist() == [[5.5, 7.5], [6.0, 8.0]]


@pytest.mark.parametrize("public", ["", "1"])
def test_probabilities_are_asked_about_and_their_logarithm_goes_on_the_table(
    public: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XENT_PUBLIC", public)
    at = upload("dump.csv", b"prob_0,prob_1,label\n0.25,0.75,1\n0.5,0.5,0\n0.125,0.875,1\n")

    assert "as probabilities do" in at.warning[0].value
    at = press(press(at, "logits\\_are\\: probabilities"), "Open it")

    probs = torch.tensor([[0.25, 0.75], [0.5, 0.5], [0.125, 0.875]])
    torch.testing.assert_close(sheet(at).to_problem().logits.softmax(1), probs)


def _npz_with_pickle() -> bytes:
    out = io.BytesIO()
    np.savez(out, logits=np.array([{"a": 1}], dtype=object), target=np.array([0]))
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.pt", b"PK", "run code"),
        ("a.exe", b"MZ", ".safetensors"),
        ("a.json", b"", "empty"),
        ("a.json", b"{", "JSON"),
        ("a.json", b"\xff\xfe", "UTF-8"),
        ("a.csv", b"a,b\n1,x\n", "expected"),
        ("a.npz", b"PK\x03\x04", "expected"),
        ("a.npz", _npz_with_pickle(), "expected"),
        ("a.safetensors", b"\xff" * 64, "expected"),
    ],
)
def test_a_bad_file_has_one_clear_message_and_changes_nothing(name: str, data: bytes, said: str) -> None:
    at = upload(name, data)

    assert len(at.error) == 1
    assert said in at.error[0].value.replace("\\", "")
    assert sheet(at) == sheet_of_preset(PRESETS["worked-batch"])


@pytest.mark.parametrize(
    "problem",
    [Problem([[1.0, 2.0]] * 65, [0] * 65), Problem(torch.zeros(2, 3, 4), torch.zeros(2, 4, dtype=torch.int64))],
)
def test_what_no_table_holds_is_shown_and_not_opened(problem: Problem) -> None:
    at = upload("a.json", to_json(problem))

    assert "table" in at.error[0].value
    assert "Open it" not in [button.label for button in at.button]


def test_the_first_rows_of_a_file_are_shown() -> None:
    logits = torch.arange(12.0).reshape(2, 3, 2)
    at = upload("a.json", to_json(Problem(logits, torch.tensor([[0, -100], [2, 1]]))))
    rows, labels = (frame.value for frame in at.dataframe)

    assert rows.to_numpy().tolist() == [["0", "2", "4"], ["1", "3", "5"], ["6", "8", "10"], ["7", "9", "11"]]
    assert labels["label"].tolist() == ["0", "-100 (ignored)", "2", "1"]


def test_another_dtype_of_the_weight_is_announced() -> None:
    problem = Problem(torch.zeros(2, 2), torch.tensor([[0.1, 0.9]] * 2, dtype=torch.float64))
    at = upload("a.json", to_json(problem))

    assert "float64" in at.warning[0].value


def test_the_page_of_html_holds_the_numbers_and_no_markup_of_names() -> None:
    sheet = sheet_of_preset(PRESETS["worked-batch"]).with_names(
        ("<script>alert(1)</script>", "</script><b>", '"><img src=x>'), ("a&b", "b", "c")
    )
    text = html_page(evaluate(sheet.to_problem()), sheet, link="http://x/?p=1&note='\"<b>")

    assert ">1.4076<" in text
    assert "−0.3033" in text
    assert "<script>alert" not in text
    assert "</script><b>" not in text
    assert "<img" not in text[: text.index("<script>")]
    assert "default-src 'none'" in text
    assert "&quot;&lt;b&gt;" in text


@pytest.mark.parametrize(("quantity", "scale"), [("probability", (0, 1)), ("gradient", (-1 / 3, 1 / 3))])
def test_a_picture_has_the_scale_of_all_that_could_be(quantity: str, scale: tuple[float, float]) -> None:
    worked = sheet_of_preset(PRESETS["worked-batch"])
    heatmap = picture(evaluate(worked.to_problem()), worked, quantity, outlines=[], hover=None).data[0]

    assert (heatmap.zmin, heatmap.zmax) == pytest.approx(scale)


def test_a_locked_table_takes_no_file() -> None:
    assert open_export(lock="tools").file_uploader[0].disabled
