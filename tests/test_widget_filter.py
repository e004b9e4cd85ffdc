"""What a widget offers passes, what it does not offer does not, and every widget of every page survives it."""

import json
import math
from typing import Any

import pytest
from streamlit.proto.Checkbox_pb2 import Checkbox
from streamlit.proto.Common_pb2 import DoubleArray, StringArray
from streamlit.proto.WidgetStates_pb2 import WidgetState, WidgetStates
from streamlit.runtime.scriptrunner.script_runner import ScriptRunner
from streamlit.runtime.state.session_state import SessionState
from streamlit.testing.v1 import AppTest

from harness import faults
from harness.browser import ROOT, serve
from harness.visitor import visit
from xent_host import widget_filter
from xent_host.widget_filter import MAX_JSON_PARTS, MAX_WIDGETS, ShownWidgets
from xent_ui.server.limits import PUBLIC_VARIABLE


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """One widget of each kind, its label being its key, on a server that reads only what they offer."""
    monkeypatch.setenv(PUBLIC_VARIABLE, "1")
    for owner, name in (
        (ScriptRunner, "_enqueue_forward_msg"),
        (SessionState, "on_script_will_rerun"),
        (SessionState, "register_widget"),
    ):
        monkeypatch.setattr(owner, name, getattr(owner, name))  # which is put back afterwards
    widget_filter.apply()

    def script() -> None:
        import streamlit as st

        st.selectbox("one of", ["a", "b"], key="one of")
        st.segmented_control("one button", ["a", "b"], key="one button")
        st.segmented_control("always one", ["a", "b"], required=True, key="always one")
        st.pills("buttons", ["a", "b", "c"], selection_mode="multi", key="buttons")
        st.number_input("whole", 1, 5, key="whole")
        st.number_input("any whole", step=1, value=0, key="any whole")
        st.number_input("real", 0.0, 1.0, key="real")
        st.number_input("any real", value=0.0, key="any real")
        st.slider("slider", 0.0, 1.0, key="slider")
        st.slider("range", 0.0, 1.0, (0.2, 0.8), key="range")
        st.select_slider("words", ["low", "high"], key="words")
        st.text_input("short text", max_chars=3, key="short text")
        st.text_area("text", key="text")
        st.toggle("switch", key="switch")
        st.button("button", key="button")
        st.dataframe({"x": [1, 2]}, on_select="rerun", key="rows")
        st.data_editor({"x": [1, 2]}, key="cells")
        st.plotly_chart({"data": [{"y": [1, 2]}]}, on_select="rerun", key="points")
        st.date_input("of no kind that a page has", key="date")

    return AppTest.from_function(script).run()


def state(page: AppTest, key: str, value: dict[str, Any]) -> WidgetState:
    """As a browser would send it."""
    found: ShownWidgets = page.session_state["shown_widgets"]
    [identifier] = [one for one in found._shown if one.endswith(f"-{key}")]
    return WidgetState(id=identifier, **value)


def strings(*data: str) -> dict[str, Any]:
    return {"string_array_value": StringArray(data=data)}


def doubles(*data: float) -> dict[str, Any]:
    return {"double_array_value": DoubleArray(data=data)}


def chosen(**places: Any) -> dict[str, Any]:
    return {"string_value": json.dumps({"selection": places})}


HELD: dict[str, list[dict[str, Any]]] = {
    "one of": [{"string_value": "b"}, {}],
    "one button": [strings("a"), strings(), {}],
    "always one": [strings("b")],
    "buttons": [strings("a", "c")],
    "whole": [{"double_value": 1}, {"double_value": 5}, {"int_value": 1}, {"int_value": 5}],
    "any whole": [{"int_value": -100}, {"double_value": -(2**53) + 1}],
    "real": [{"double_value": 0.0}, {"double_value": 0.3}],
    "any real": [{"double_value": -1e300}],
    "slider": [doubles(1.0)],
    "range": [doubles(0.0, 1.0)],
    "words": [strings("high")],
    "short text": [{"string_value": "abc"}, {"string_value": ""}],
    "text": [{"string_value": "x" * 9999}],
    "switch": [{"bool_value": True}],
    "button": [{"trigger_value": True}],
    "rows": [chosen(rows=[0, 1], columns=[], cells=[])],
    "cells": [
        {"string_value": '{"edited_rows": {}}'},
        {"string_value": '{"edited_rows": {"0": {"x": "5"}}, "added_rows": [{}], "deleted_rows": [1]}'},
        {"string_value": '{"edited_rows": {"999": {"no such column": [1]}}}'},  # which the page refuses in words
    ],
    "points": [chosen(points=[{"x": 1, "y": 0.5, "point_index": 3}], point_indices=[3]), chosen(points=[])],
}
REFUSED: dict[str, list[dict[str, Any]]] = {
    "one of": [{"string_value": "c"}, {"int_value": 1}, strings("a")],
    "one button": [strings("c"), strings("a", "b"), {"string_value": "a"}],
    "always one": [strings(), {}, strings("a", "b")],
    "buttons": [strings("a", "d")],
    "whole": [{"double_value": value} for value in (0, 6, 1.5, math.nan, math.inf)] + [{"int_value": 6}],
    "any whole": [{"double_value": value} for value in (2.0**53, -1e300, 0.5, math.nan, -math.inf)],
    "real": [{"double_value": value} for value in (-0.1, 1.1, math.nan, math.inf)]
    + [{"string_value": "0.5"}, {"int_value": 1}],
    "any real": [{"double_value": value} for value in (math.nan, math.inf, -math.inf)],
    "slider": [doubles(1.1), doubles(math.nan), doubles(), doubles(0.1, 0.2), {"double_value": 0.5}],
    "range": [doubles(0.5), doubles(0.5, math.inf)],
    "words": [strings("middle"), strings("low", "high"), doubles(0)],
    "short text": [{"string_value": "abcd"}, {"bytes_value": b"abc"}],
    "text": [{"int_value": 5}],
    "switch": [{"trigger_value": True}, {"string_value": "true"}],
    "button": [{"bool_value": True}],
    "rows": [chosen(rows=[-1]), chosen(rows=["0"]), chosen(rows=[0.5]), chosen(rows=None), {"string_value": "[]"}],
    "cells": [
        {"json_value": "{}"},
        *(
            {"string_value": text}
            for text in (
                *("", "no table", "null", "[]", "[" * 10_000, '{"edited_rows": []}', '{"edited_rows": {"x": {}}}'),
                *('{"edited_rows": {"-1": {}}}', '{"edited_rows": {"0": [1]}}', '{"edited_rows": {"0": null}}'),
                *('{"edited_rows": {"1' + "0" * 400 + '": {}}}', '{"edited_rows": 1' + "0" * 5000 + "}"),
                *(
                    '{"added_rows": {"0": 1}}',
                    '{"added_rows": [1]}',
                    '{"deleted_rows": ["0"]}',
                    '{"deleted_rows": [-1]}',
                ),
            )
        ),
    ],
    "date": [strings("2026-11-26"), {"string_value": "2026-11-26"}, {"int_value": 5}, {}],
    "points": [
        chosen(points=[{"x": math.inf, "y": 0, "point_index": 0}]),
        {"string_value": '{"selection": {"points": [{"x": 1' + "0" * 400 + ', "y": 0, "point_index": 0}]}}'},
        chosen(points=[{"x": "a", "y": 0, "point_index": 0}]),
        chosen(points=[{"x": 0, "y": 0, "point_index": -1}]),
        chosen(points=[{}]),
        {"string_value": "[" * 10_000},
        {"string_value": "5"},
    ],
}


def test_what_a_widget_can_hold_passes(page: AppTest) -> None:
    found = page.session_state["shown_widgets"]

    assert [
        (key, value) for key, values in HELD.items() for value in values if not found.accepts(state(page, key, value))
    ] == []


def test_what_a_widget_cannot_hold_does_not_pass(page: AppTest) -> None:
    found = page.session_state["shown_widgets"]

    assert [
        (key, value) for key, values in REFUSED.items() for value in values if found.accepts(state(page, key, value))
    ] == []


def test_a_widget_keeps_its_value_when_a_bad_one_comes_and_those_beside_it_are_taken(page: AppTest, capsys) -> None:
    good, bad = state(page, "whole", {"double_value": 3}), state(page, "one of", {"string_value": "c"})
    page._run(WidgetStates(widgets=[bad, good]))

    assert not page.exception
    assert (page.session_state["whole"], page.session_state["one of"]) == (3, "a")
    [line] = capsys.readouterr().out.splitlines()
    assert json.loads(line).items() >= {"event": "limit", "what": "widget_value", "values": 1}.items()


def test_a_widget_that_was_never_shown_takes_nothing_but_a_new_visit_takes_up_an_old_one(page: AppTest) -> None:
    never = WidgetState(id="$$ID-0-never", double_value=1)

    assert not page.session_state["shown_widgets"].accepts(never)
    assert not ShownWidgets().accepts(WidgetState(id="$$ID-0-never", bytes_value=b"1"))  # of no page
    assert ShownWidgets().accepts(never)  # the browser is here again after the server has lost the visit


def begun_with(page: AppTest, *states: WidgetState) -> AppTest:
    """The page of a visit whose first message brings these, before anything was shown."""
    fresh = AppTest(page._script_path, default_timeout=60)
    fresh._run(WidgetStates(widgets=states))
    return fresh


def test_of_a_first_message_each_widget_takes_what_it_can_read(page: AppTest, capsys) -> None:
    good = [state(page, "whole", {"int_value": 3}), state(page, "text", {"string_value": "kept"})]
    good.append(state(page, "switch", {"bool_value": True}))
    bad = [state(page, "one of", {"bool_value": True}), state(page, "slider", {"string_value": "x"})]
    bad += [state(page, "cells", {"string_value": "no table"}), state(page, "one button", {"double_value": 1.0})]
    capsys.readouterr()
    fresh = begun_with(page, *good, *bad)

    assert not fresh.exception
    kept = {key: fresh.session_state[key] for key in ("whole", "text", "switch", "one of", "slider", "one button")}
    expected = {"whole": 3, "text": "kept", "switch": True, "one of": "a", "slider": 0.0, "one button": None}
    assert kept == expected
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["what"] for line in lines if line["event"] == "limit"] == ["widget_value"] * len(bad)


def test_no_value_that_a_widget_refuses_later_brings_a_page_down_when_it_comes_first(page: AppTest) -> None:
    odd = [(key, value) for key, values in REFUSED.items() for value in values]
    for number in range(max(map(len, REFUSED.values()))):
        states = [state(page, key, values[number % len(values)]) for key, values in REFUSED.items()]
        fresh = begun_with(page, *states)
        assert not fresh.exception, (number, fresh.exception[0].message)

    assert len(odd) > 60


@pytest.mark.parametrize(
    ("value", "passes"),
    [
        ({"json_value": '{"a": 1}'}, True),
        ({"json_value": "1"}, False),
        ({"json_value": "{"}, False),
        ({"json_trigger_value": '[{"event": "kept"}]'}, True),
        ({"json_trigger_value": "{}"}, False),
    ],
)
def test_of_a_component_a_first_message_brings_what_one_sends(value: dict[str, str], passes: bool) -> None:
    assert ShownWidgets().accepts(WidgetState(id="$$ID-0-any", **value)) is passes


def test_of_a_visit_without_end_only_the_latest_widgets_are_kept() -> None:
    found = ShownWidgets()
    for number in range(MAX_WIDGETS + 5):
        found.note("checkbox", Checkbox(id=str(number)))

    known = [number for number in range(MAX_WIDGETS + 5) if found.accepts(WidgetState(id=str(number), bool_value=True))]
    assert known == list(range(5, MAX_WIDGETS + 5))


@pytest.mark.long
def test_no_widget_of_any_page_brings_a_visit_down() -> None:
    seen: set[str] = set()  # what several pages share is tried on the first of them
    with serve(ROOT / "hosted.py") as server:
        tolls = [visit(faults.sweep(server.url, page, seen, values=1, clicks=1)) for page in faults.PAGES]

    assert [fault for toll in tolls for fault in toll.faults] == []
    assert sum(toll.came for toll in tolls) >= len(seen) > 120


@pytest.mark.parametrize("kind", [{"id": "$$ID-0-never"}, {"id": "shown"}])
def test_json_with_more_parts_than_any_page_sends_is_left_out_unread(kind: dict[str, str]) -> None:
    shown = ShownWidgets()
    if kind["id"] == "shown":
        shown._keep("shown", "bidi_component", None)
    most = '{"x":[' + ",".join(["[]"] * (MAX_JSON_PARTS // 2 - 5)) + "]}"
    more = '{"x":[' + ",".join(["[]"] * (MAX_JSON_PARTS // 2 + 5)) + "]}"

    named = '{"x":{' + ",".join(f'"{number} [{{,:,:,:\\",": ""' for number in range(MAX_JSON_PARTS // 2 - 5)) + "}}"

    assert shown.accepts(WidgetState(json_value=most, **kind))
    assert shown.accepts(WidgetState(json_value=named, **kind))  # names of classes with such characters in them
    assert not shown.accepts(WidgetState(json_value=more, **kind))
    assert not shown.accepts(WidgetState(string_value=more, **kind))
