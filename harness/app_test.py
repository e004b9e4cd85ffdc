"""Pages of the app through Streamlit's AppTest: open one, type, choose and press, and read what it shows."""

import base64
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from streamlit.testing.v1 import AppTest

from xent_ui.figures.drawn_matrix import numbers_of
from xent_ui.state.sheet import Sheet

APP = str(Path(__file__).parents[1] / "app.py")
TIMEOUT_SECONDS = 90  # for one run, on a busy machine


def open_app(**query: str) -> AppTest:
    """The app at an address with these parameters: a preset, a page, a token."""
    at = AppTest.from_file(APP, default_timeout=TIMEOUT_SECONDS)
    for name, value in query.items():
        at.query_params[name] = value
    return run(at)


def open_page(page: str, preset: str = "worked-batch", sheet: Sheet | None = None) -> AppTest:
    """The page in the menu's file `page`, with this preset or sheet on the table."""
    at = open_app(preset=preset)
    if sheet is not None:
        at.session_state["visit"].sheet = sheet
    return run(at.switch_page(page))


def run(at: AppTest) -> AppTest:
    """One run of the script, which must not end in an exception."""
    at.run()
    assert not at.exception, at.exception[0].message
    return at


def hidden_data(at: AppTest) -> list[dict[str, Any]]:
    """What our own components draw, as the browser gets it."""
    texts = [element.proto.body for element in at.get("html")]
    hidden = [text.removeprefix("<p hidden>").removesuffix("</p>") for text in texts if text.startswith("<p hidden>{")]
    return list(map(json.loads, hidden))


def tables(at: AppTest) -> list[list[list[ElementTree.Element]]]:
    """The cells of the tables that we write as HTML, line by line, the header first."""
    found = [element.proto.body for element in at.get("html") if "<table" in element.proto.body]
    return [[list(line) for line in ElementTree.fromstring(body).iter("tr")] for body in found]


def lines(at: AppTest, index: int) -> list[list[str]]:
    """The texts of one of these tables line by line, the header first."""
    return [["".join(cell.itertext()) for cell in line] for line in tables(at)[index]]


def columns(at: AppTest, index: int) -> dict[str, list[str]]:
    """The texts of one of these tables by the name of the column; that of the names of the lines is ""."""
    header, *rest = lines(at, index)
    return dict(zip(header, map(list, zip(*rest, strict=True)), strict=True))


def heatmap(at: AppTest, quantity: str) -> np.ndarray:
    """The numbers of a matrix as the browser gets them: one that we draw, or a heatmap of Plotly's."""
    for frame in hidden_data(at):
        if quantity in frame.get("matrices", {}):
            return numbers_of(frame["matrices"][quantity])
    for chart in at.get("plotly_chart"):
        if f"{quantity}_matrix" in chart.proto.id:
            z = json.loads(chart.proto.spec)["data"][0]["z"]
            flat = np.frombuffer(base64.b64decode(z["bdata"]), dtype=np.dtype(z["dtype"]).newbyteorder("<"))
            return flat.reshape([int(n) for n in z["shape"].split(",")])
    raise AssertionError(f"no heatmap of the {quantity}")


def type_cell(at: AppTest, row: int, column: str, value: object, editor: str = "logits") -> AppTest:
    """Type into an editor that was just drawn anew."""
    return type_cells(at, {row: {column: value}}, editor)


def type_cells(at: AppTest, edits: dict[int, dict[str, object]], editor: str = "logits") -> AppTest:
    """Type into several cells at once: row → column → what is typed."""
    at.session_state[editor_key(at, editor)] = {"edited_rows": edits, "added_rows": [], "deleted_rows": []}
    return run(at)


def editor_key(at: AppTest, editor: str) -> str:
    """The widget key of an editor as it was last drawn."""
    return f"{editor}_editor_{at.session_state['visit'].revision[editor]}"


def loss(at: AppTest) -> str:
    """The loss as the page prints it."""
    return at.metric[0].value


def warnings(at: AppTest) -> str:
    """What the page warns of, without the escapes of Markdown."""
    return "\n".join(element.value for element in at.warning).replace("\\", "")


def choose(at: AppTest, label: str, value: object) -> AppTest:
    """Choose a value in the select box with this label."""
    next(box for box in at.selectbox if box.label == label).set_value(value)
    return run(at)


def press(at: AppTest, label: str) -> AppTest:
    """Click the button with this label."""
    next(button for button in at.button if button.label == label).click()
    return run(at)


def table(at: AppTest, editor: str) -> list[list[object]]:
    """The table that an editor was drawn with."""
    for grid in at.data_editor:
        if f"{editor}_editor" in grid.proto.id:
            return grid.value.to_numpy().tolist()
    raise AssertionError(f"no editor of the {editor}")
