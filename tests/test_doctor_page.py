"""The doctor's page: the table, pasted numbers, error messages, and every pitfall."""

import io
import re
from collections.abc import Iterable, Iterator
from typing import Any

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


def infos(app: AppTest) -> str:
    return "\n".join(info.value for info in app.info).replace("\\", "")


def markdown(app: AppTest) -> str:
    return "\n".join(one.value for one in (*app.markdown, *app.caption)).replace("\\", "")


def ask(question: str) -> AppTest:
    app = open_page()
    app.text_input(key="doctor_symptom").set_value(question)
    return run(app)


def test_a_preset_that_nobody_has_changed_is_not_praised_as_the_visitors_batch() -> None:
    app = open_page()

    assert not app.success
    assert "example “Three rows, three labels”, not a batch of yours. Nothing is wrong in it." in infos(app)

    sheet = app.session_state["visit"].sheet
    app.session_state["visit"].sheet = sheet.with_labels((0, 1, 2))

    app = run(app)
    assert "Nothing is wrong" in app.success[0].value
    assert "of yours" not in infos(app)


def test_what_is_found_in_a_preset_is_not_said_of_the_visitors_batch() -> None:
    app = open_page(preset="saturated")

    assert "not a batch of yours" in infos(app)
    assert "Nothing is wrong" not in infos(app)
    assert "round to 0 and 1" in infos(app)


def test_a_newcomer_finds_what_is_wrong_with_a_loss_stuck_at_1_46() -> None:
    app = ask("what is wrong with a loss stuck at 1.46 with ten classes?")

    assert "1.46 is the least loss that softmax applied twice can reach with 10 classes" in markdown(app)
    assert "between ln(e + C − 1) − 1 = 1.4612 and ln(e + C − 1) = 2.4612" in markdown(app)
    assert "First:** Remove the softmax layer" in markdown(app)
    assert app.selectbox(key="doctor_pitfall").value == "softmax-applied-twice"


def test_words_that_fit_no_mistake_leave_no_pitfall_on_screen() -> None:
    app = ask("banana")

    assert "No mistake fits" in infos(app)
    assert app.selectbox(key="doctor_pitfall").value is None
    assert not app.get("plotly_chart")


def test_typing_softmax_into_the_list_of_pitfalls_meets_the_one_about_softmax() -> None:
    """The browser compares what is typed with the texts of the list, and PyTorch's word is in one of them."""
    named = [text for text in open_page().selectbox(key="doctor_pitfall").options if "softmax" in text.lower()]

    assert named[0].endswith("· softmax-applied-twice")
    assert all(text.endswith(f"· {code}") for text, code in zip(app_texts(), PITFALLS, strict=True))


def app_texts() -> list[str]:
    return list(open_page().selectbox(key="doctor_pitfall").options)


def test_a_finding_says_first_what_to_do_in_the_model_and_then_mends_the_numbers() -> None:
    app = paste("0.7, 0.2, 0.1\n0.1, 0.6, 0.3\n0.2, 0.2, 0.6", "[0, 1, 2]")
    said = in_order(app)

    assert said.index("First:** Remove the softmax layer") < said.index(".log()")
    assert "ln(e + C − 1) − 1 and ln(e + C − 1), here (C = 3) 0.5514 and 1.551" in said


def in_order(app: AppTest) -> str:
    """All that is said, from top to bottom."""
    shown = [one.value for one in walk(app.main.children.values()) if isinstance(getattr(one, "value", None), str)]
    return "\n".join(shown).replace("\\", "")


def walk(blocks: Iterable[Any]) -> Iterator[Any]:
    for block in blocks:
        if hasattr(block, "children"):
            yield from walk(block.children.values())
        yield block


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


def paste_message(message: str) -> AppTest:
    app = open_page("message")
    app.text_area(key="doctor_message").set_value(message)
    return run(app)


def test_an_error_message_leads_to_its_pitfall_with_its_own_number() -> None:
    """The number 10 is the message's; the 3 of the example is said to be none of the visitor's."""
    app = paste_message("IndexError: Target 10 is out of bounds.")

    assert app.selectbox(key="doctor_pitfall").value == "target-out-of-range"
    said = in_order(app)
    assert "names the label 10" in said
    assert "label 10 needs at least 11" in said
    assert "the last layer has too few outputs" in said
    assert said.index("none of them yours") < said.index("target row 2 is 3, expected a class in 0…2")


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("IndexError: Target -1 is out of bounds.", "target-out-of-range"),
        ("RuntimeError: gather(): Expected dtype int32/int64 for index", "target-dtype"),
        ("ValueError: For 1D input, 1D target must have size 1, but got target size: 7", "target-shape"),
        ("RuntimeError: size mismatch (got input: [8, 9, 4, 3] , target: [8, 9, 4]", "class-axis"),
        ("ValueError: Overflow when unpacking long long", "ignore-index"),
    ],
)
def test_the_example_raises_the_message_that_was_pasted(message: str, code: str) -> None:
    app = paste_message(message)
    app.button(key=f"show_doctor_message_{code}").click()
    app = run(app)

    assert app.selectbox(key="doctor_pitfall").value == code
    assert re.sub(r"-?\d+", "0", message.split(" (got")[0]) in re.sub(r"-?\d+", "0", errors(app))
    assert "The error that you have" in markdown(app)


def test_an_example_that_words_it_otherwise_says_so() -> None:
    app = paste_message("RuntimeError: CUDA error: device-side assert triggered")

    assert "Target 3 is out of bounds" in errors(app)
    assert "where PyTorch words it otherwise" in markdown(app)


def test_another_pitfall_is_not_said_to_be_the_error_that_was_pasted() -> None:
    app = paste_message("IndexError: Target 10 is out of bounds.")
    app.selectbox(key="doctor_pitfall").set_value("reduction")

    assert "The error that you have" not in markdown(run(app))


def test_an_unknown_message_is_admitted_and_the_last_pitfall_goes() -> None:
    app = paste_message("IndexError: Target 10 is out of bounds.")
    app.text_area(key="doctor_message").set_value("CUDA out of memory")
    app = run(app)

    assert "No known message" in infos(app)
    assert app.selectbox(key="doctor_pitfall").value is None
    assert not app.get("plotly_chart")


def test_every_pitfall_is_shown() -> None:
    app = open_page()
    for code in PITFALLS:
        app.selectbox(key="doctor_pitfall").set_value(code)
        app = run(app)
        message = PITFALLS[code].wrong.message.replace("\\", "")
        assert message in errors(app) if message else not app.error
        assert app.get("plotly_chart")
        logits, target, options = PITFALLS[code].wrong.arguments or ()
        found = diagnose(logits, target, **options, **PITFALLS[code].example.known)
        said = [one.explanation for one in found if one.code == code]
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
