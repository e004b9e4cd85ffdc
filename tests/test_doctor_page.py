"""The doctor's page: the table, pasted numbers, error messages, and every pitfall."""

import io

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from harness import app_test
from harness.app_test import open_app, run
from xent_core import diagnose
from xent_core.codec import InvalidFile
from xent_core.doctor.pitfalls import PITFALLS
from xent_ui.text import markdown_escaped

PAGE = "pages/apply/doctor.py"


def open_page(source: str = "table", preset: str = "worked-batch") -> AppTest:
    app = app_test.open_page(PAGE, preset)
    app.button_group(key="doctor_source").set_value(source)
    return run(app)


def paste(logits: str, target: str, **choices: str) -> AppTest:
    app = open_page("paste")
    app.text_area(key="doctor_logits").set_value(logits)
    app.text_area(key="doctor_target").set_value(target)
    for key, value in choices.items():
        app.selectbox(key=f"doctor_{key}").set_value(value)
    return run(app)


def errors(app: AppTest) -> str:
    return "\n".join(error.value for error in app.error).replace("\\", "")


def test_the_worked_batch_is_healthy() -> None:
    assert "Nothing is wrong" in open_page().success[0].value


def test_labels_from_one_are_found_with_their_fix() -> None:
    app = paste("1, 2, 3\n1, 2, 3\n1, 2, 3", "[1, 2, 3]")

    assert "target-out-of-range" in errors(app)
    assert "target - 1" in app.code[0].value


def test_a_wrong_dtype_can_be_shown() -> None:
    assert "target-dtype" in errors(paste("1, 2\n3, 4", "0, 1", target_dtype="float32"))


def test_one_hot_rows_of_integers_are_found() -> None:
    app = paste("[[1, 2], [3, 4]]", "[[0, 1], [1, 0]]")

    assert "int-one-hot" in errors(app)


@pytest.mark.parametrize(
    ("logits", "target", "shapes"),
    [
        ("1, 2, 3\n4, 5, 6", "0\n2", "logits (2, 3), target (2,)"),  # a column of a table is a label per row
        ("1, 2, 3\n4, 5, 6", "0, 2", "logits (2, 3), target (2,)"),
        ("1, 2, 3", "0, 0.5, 0.5", "logits (1, 3), target (1, 3)"),
        ("1, 2, 3", "2", "logits (1, 3), target (1,)"),
        ("[1, 2, 3]", "2", "logits (3,), target ()"),
        ("tensor([1., 2., 3.])", "tensor(2)", "logits (3,), target ()"),
        ("[[1, 2], [3, 4]]", "tensor([[0], [1]])", "logits (2, 2), target (2, 1)"),  # brackets are taken at their word
        ("[[[1, 2, 3], [4, 5, 6]]]", "[[0, 2]]", "logits (1, 2, 3), target (1, 2)"),
        ("[[[[1, 2], [3, 4]], [[5, 6], [7, 8]]]]", "[[[0, 1], [1, 0]]]", "logits (1, 2, 2, 2), target (1, 2, 2)"),
    ],
)
def test_what_is_pasted_has_the_shape_that_it_shows(logits: str, target: str, shapes: str) -> None:
    app = paste(logits, target, target_dtype="float32" if "." in target else "int64")

    assert shapes in [caption.value for caption in app.caption]


def test_classes_on_the_last_axis_are_found_in_a_printout() -> None:
    app = paste("tensor([[[2.0, 1.0, 0.1],\n         [0.5, 2.5, -1.0]]], grad_fn=<ViewBackward0>)", "tensor([[0, 1]])")

    assert "class-axis" in errors(app)
    assert "movedim" in app.code[0].value


@pytest.mark.parametrize(("logits", "target"), [("a b", "[1]"), ("__import__('os')", "0"), ("1, 2", "0.5")])
def test_what_cannot_be_read_is_said_and_stays(logits: str, target: str) -> None:
    app = paste(logits, target)

    assert app.error
    assert app.text_area(key="doctor_logits").value == logits


def test_an_error_message_leads_to_its_pitfall() -> None:
    app = open_page("message")
    app.text_area(key="doctor_message").set_value("IndexError: Target 3 is out of bounds.")
    app = run(app)

    assert app.selectbox(key="doctor_pitfall").value == "target-out-of-range"


def test_an_unknown_message_is_admitted() -> None:
    app = open_page("message")
    app.text_area(key="doctor_message").set_value("CUDA out of memory")

    assert "No known message" in run(app).info[0].value


def test_every_pitfall_is_shown() -> None:
    app = open_page()
    for code in PITFALLS:
        app.selectbox(key="doctor_pitfall").set_value(code)
        app = run(app)
        message = PITFALLS[code].wrong.message.replace("\\", "")
        assert message in errors(app) if message else not app.error
        assert app.get("plotly_chart")
        logits, target, options = PITFALLS[code].wrong.arguments or ()
        said = [one.explanation for one in diagnose(logits, target, **options) if one.code == code]
        assert said or code in ("logits-type", "target-type", "weight-type")  # lists, which the doctor reads
        assert not said or markdown_escaped("".join(said)) in [markdown.value for markdown in app.markdown]


@pytest.mark.parametrize("preset", ["masked", "class-weights", "soft-labels", "saturated", "digits"])
def test_every_batch_is_examined(preset: str) -> None:
    open_page(preset=preset)


def test_the_batch_page_names_what_the_doctor_warns_of() -> None:
    app = open_app()
    assert not app.warning

    sheet = app.session_state["visit"].sheet
    app.session_state["visit"].sheet = sheet.with_labels((None,) * sheet.num_rows)

    assert "No row counts" in run(app).warning[0].value


def open_file(name: str, data: bytes) -> AppTest:
    app = open_page("file")
    app.file_uploader[0].upload(name, data)
    return run(app)


def test_a_file_whose_arrays_make_no_problem_is_examined() -> None:
    file = io.BytesIO()
    np.savez(file, logits=np.float32([[1, 2, 3], [1, 2, 3]]), target=np.array([1, 3]))

    assert "target-out-of-range" in errors(open_file("batch.npz", file.getvalue()))


def test_a_file_that_is_none_is_refused_and_the_page_goes_on() -> None:
    app = open_file("batch.npz", b"PK nothing")

    assert "NPZ" in errors(app)
    assert app.selectbox(key="doctor_pitfall").value in PITFALLS


def test_a_file_is_read_once_however_often_the_page_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def refuse(name: str, data: bytes, **_how: object) -> None:
        read.append(name)
        raise InvalidFile("nothing", "a file", "Save it.")

    monkeypatch.setattr("xent_ui.doctor.view.diagnose_file", refuse)
    app = run(run(open_file("batch.npz", b"PK nothing")))

    assert read == ["batch.npz"]
    assert "Save it" in errors(app)
    app.file_uploader[0].upload("another.npz", b"PK nothing")
    run(app)
    assert read == ["batch.npz", "another.npz"]
