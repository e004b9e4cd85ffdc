"""The page Your logits shows what its suspects are: pictures and texts in a table that is turned page by page."""

import base64
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from harness.app_test import open_app, run
from xent_core.dump import ShownExample, analyse
from xent_ui.widgets import job_progress
from xent_ui.your_logits.shown_examples import PAGE_ROWS, with_examples

PAGE = "pages/apply/your_logits.py"
ROWS = 60
LOGITS = np.random.default_rng(0).normal(scale=2.0, size=(ROWS, 3)).astype(np.float32)
TARGET = np.random.default_rng(1).integers(0, 3, ROWS)
PICTURES = np.random.default_rng(2).integers(0, 256, (ROWS, 8, 8)).astype(np.uint8)
HOSTILE = "<script>alert(1)</script> ![x](http://127.0.0.1:9/x.png) \u202etxt $x$"


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine gets the time it needs."""
    monkeypatch.setattr(job_progress, "FIRST_WAIT_SECONDS", 60.0)
    monkeypatch.delenv("XENT_PUBLIC", raising=False)


def upload(data: bytes, name: str = "dump.npz", **columns: str) -> AppTest:
    app = run(open_app().switch_page(PAGE))
    app.button_group(key="dump_source").set_value("upload")
    app = run(app)
    app.file_uploader[0].upload(name, data)
    app = run(app)
    for field, text in columns.items():
        app.text_input(key=f"dump_column_{field}").set_value(text)
    return run(app) if columns else app


def npz(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, logits=LOGITS, target=TARGET, **arrays)
    return file.getvalue()


def table(**columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame({f"logit_{c}": LOGITS[:, c] for c in range(3)} | {"label": TARGET} | columns)


def drawn(uri: str) -> np.ndarray:
    """The 8 × 8 pixels of an enlarged picture."""
    start = "data:image/png;base64,"
    assert uri.startswith(start)
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.removeprefix(start)))))[::12, ::12]


def said(app: AppTest) -> str:
    kinds = (app.markdown, app.info, app.warning, app.error, app.caption)
    return "\n".join(element.value for kind in kinds for element in kind).replace("\\", "")


def test_the_table_shows_a_page_of_suspects_with_the_picture_of_each_row() -> None:
    app = upload(npz(images=PICTURES))
    ranked = analyse(LOGITS, TARGET).suspects.row
    first = app.dataframe[0].value
    app.number_input(key="dump_suspect_page").set_value(3)
    app = run(app)
    last = app.dataframe[0].value

    assert first["row"].tolist() == ranked[:PAGE_ROWS].tolist()
    assert last["row"].tolist() == ranked[2 * PAGE_ROWS :].tolist()
    for found in (first, last):
        for row, uri in zip(found["row"], found["picture"], strict=True):
            np.testing.assert_array_equal(drawn(uri), PICTURES[row])


def test_the_row_that_is_looked_at_shows_its_picture_and_its_text_as_text() -> None:
    texts = np.array([f"text {row}" for row in range(ROWS)], dtype="U90")
    texts[41] = HOSTILE
    app = upload(npz(images=PICTURES, texts=texts))
    app.number_input(key="dump_row").set_value(41)
    app = run(app)

    [picture] = app.get("image")
    np.testing.assert_array_equal(drawn(picture.proto.imgs[0].url), PICTURES[41])
    [text] = [element.value for element in app.markdown if "script" in element.value]
    assert text.startswith("\\<script\\>alert")
    assert "](http" not in text
    assert "\u202e" not in text


def test_columns_of_a_table_are_shown_and_its_paths_are_not_followed_from_an_upload() -> None:
    given = table(body=[f"text {row}" for row in range(ROWS)], loss=["big"] * ROWS, path=["images/1.png"] * ROWS)
    app = upload(given.to_csv(index=False).encode(), "dump.csv", text="body", show="loss", image="path")

    found = app.dataframe[0].value
    assert found["text"].tolist() == [f"text {row}" for row in found["row"]]
    assert found["loss (of the dump)"].tolist() == ["big"] * PAGE_ROWS
    assert found["loss"].dtype == np.float64
    assert "picture" not in found
    assert f"{PAGE_ROWS} pictures of this page cannot be shown; row {found['row'][0]}: Paths of pictures" in said(app)


def test_on_a_public_server_an_upload_names_no_picture_of_the_server(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Image.fromarray(PICTURES[0]).save(tmp_path / "1.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XENT_PUBLIC", "1")
    app = upload(table(path=["1.png"] * ROWS).to_csv(index=False).encode(), "dump.csv", image="path")

    assert [error.value.partition(",")[0] for error in app.error] == ["dump\\.csv\\: image holds paths of pictures"]


def test_a_dump_without_them_has_one_table_and_no_pages() -> None:
    app = upload(npz())

    assert len(app.dataframe[0].value) == ROWS
    assert not {"picture", "text"} & set(app.dataframe[0].value)
    assert "dump_suspect_page" not in [element.key for element in app.number_input]


def test_another_choice_with_fewer_pages_begins_at_the_first() -> None:
    app = upload(npz(images=PICTURES))
    app.number_input(key="dump_suspect_page").set_value(3)
    app = run(app)
    app.selectbox(key="dump_label").set_value(1)
    app = run(app)

    assert app.dataframe[0].value["rank"].is_monotonic_increasing
    assert set(app.dataframe[0].value["label"]) == {"1"}
    assert len(app.dataframe[0].value) == min(int((TARGET == 1).sum()), PAGE_ROWS)


def test_columns_with_names_of_the_table_are_told_apart() -> None:
    shown = ShownExample(4, "4", b"png", "a text", {"text": "other", "row": "7"})
    found = with_examples(pd.DataFrame({"row": [4], "suggested": ["b"], "loss": [1.0]}), [shown])

    assert list(found) == ["picture", "row", "suggested", "text", "text (of the dump)", "row (of the dump)", "loss"]
    assert found.iloc[0].tolist() == ["data:image/png;base64,cG5n", 4, "b", "a text", "other", "7", 1.0]
