"""No page reads the table that Streamlit would write all edits into, so a public server leaves it as it is."""

import ast

import pandas as pd
import pytest
from streamlit.elements.widgets import data_editor

from tests.program import ROOT, sources
from xent_host import table_edits


def test_no_page_reads_what_an_editor_gives_back() -> None:
    calls, read = 0, []
    for source in sources(ROOT):
        statements = {id(node.value) for node in ast.walk(source.tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "data_editor":
                calls += 1
                read += [] if id(node) in statements else [f"{source.path}:{node.lineno}"]

    assert calls
    assert read == []


def test_the_table_is_given_back_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        data_editor, "_apply_dataframe_edits", data_editor._apply_dataframe_edits
    )  # put back afterwards
    table = pd.DataFrame({"a": ["1", "2"]})
    edits: data_editor.DataEditorState = {"edited_rows": {0: {"a": "9"}}, "added_rows": [], "deleted_rows": []}
    schema = {"_index": data_editor.ColumnDataKind.INTEGER, "a": data_editor.ColumnDataKind.STRING}

    assert data_editor._apply_dataframe_edits(table.copy(), edits, schema)["a"].tolist() == ["9", "2"]
    table_edits.apply()
    assert data_editor._apply_dataframe_edits(table, edits, schema)["a"].tolist() == ["1", "2"]
