"""Links in the running app, through AppTest: what they open, lock, hide and say, on every page."""

from dataclasses import replace
from types import SimpleNamespace
from urllib.parse import parse_qs

import pytest
from streamlit.testing.v1 import AppTest

from harness.app_test import choose, heatmap, loss, open_app, press, run, type_cell, warnings
from tests import program
from xent_core import evaluate
from xent_core.presets import PRESETS
from xent_ui.state import session
from xent_ui.state.link import Link, link_of_query, link_to, opening_of
from xent_ui.state.sheet import Sheet, sheet_of_preset

SHEET = (
    sheet_of_preset(PRESETS["class-weights"])
    .with_logits((("0.1", "-inf", "3"), ("-2.5", "0.001", "0"), ("1", "1", "3"), ("0", "1", "0")))
    .with_names(("cat", "<b>dog</b>", "漢"), ("a", "b", "c", "d"))
)
PAGES = tuple(page.replace("_", "-") for page in program.PAGES)


def open_link(link: Link) -> AppTest:
    return open_app(**params(link))


def params(link: Link) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(link.query()).items()}


def sheet(at: AppTest) -> Sheet:
    result: Sheet = at.session_state["visit"].sheet
    return result


def shared_link(at: AppTest) -> str:
    at.session_state["share_button"] = True
    at = run(at)
    return next(code.value for code in at.code if code.value.startswith("?"))


@pytest.mark.parametrize("page", PAGES)
def test_a_link_opens_its_page_with_its_table(page: str) -> None:
    at = open_link(replace(link_to(SHEET), page=page))

    assert at.session_state["visit"].page == page
    assert sheet(at) == SHEET
    assert at.session_state["visit"].complaints == []


def test_the_share_button_gives_a_link_that_opens_the_same_table() -> None:
    at = open_link(link_to(SHEET))
    link = link_of_query(shared_link(at).removeprefix("?"))

    assert opening_of(link).sheet == SHEET


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("https://a.org/xent/precision", "https://a.org/xent/"),
        ("https://a.org/xent/precision/", "https://a.org/xent/"),
        ("https://a.org/xent", "https://a.org/xent/"),
        ("https://a.org", "https://a.org/"),
        (None, ""),
    ],
)
def test_a_link_begins_at_the_root_wherever_it_is_made(
    monkeypatch: pytest.MonkeyPatch, url: str | None, root: str
) -> None:
    monkeypatch.setattr(session, "st", SimpleNamespace(context=SimpleNamespace(url=url)))
    monkeypatch.setattr(session, "visit", lambda: SimpleNamespace(pages={"precision": "Precision"}))

    assert session.root() == root


def test_what_a_class_may_not_change_or_see_may_be_several_things() -> None:
    at = open_link(link_to(SHEET))
    at.session_state["share_button"] = True
    at.session_state["share_class"] = True
    at = run(at)
    at.button_group(key="share_locked").set_value(["presets", "options"])
    link = link_of_query(shared_link(at).removeprefix("?"))

    assert link.locked == {"presets", "options"}
    assert link.hidden == frozenset()


def test_an_opened_table_shows_the_numbers_of_pytorch() -> None:
    at = open_link(link_to(SHEET))
    evaluation = evaluate(SHEET.to_problem())

    assert loss(at) == f"{float(evaluation.loss):.4f}"
    assert heatmap(at, "gradient").tolist() == evaluation.grad_logits.tolist()


def test_a_large_table_is_offered_as_a_file() -> None:
    at = open_app()
    for label in ("Rows", "Classes"):
        next(box for box in at.number_input if box.label == label).set_value(64)
        at = run(at)
    at = press(at, "Fill with random logits")
    at.session_state["share_button"] = True
    at = run(at)

    assert "link" in warnings(at)
    assert any("file" in button.proto.label for button in at.get("download_button"))


@pytest.mark.parametrize(
    "query",
    [
        {"p": "hello"},
        {"p": "1" + "A" * 100_000},
        {"p": "<img src=x>", "page": "precision"},
        {"page": "../../etc/passwd"},
        {"page": "<b>x</b>"},
        {"preset": "x" * 10_000},
    ],
)
def test_a_hostile_link_says_so_and_opens_the_worked_batch(query: dict[str, str]) -> None:
    at = open_app(**query)

    assert sheet(at) == sheet_of_preset(PRESETS["worked-batch"])
    assert len(at.warning) == 1
    assert "<b>" not in at.warning[0].value.replace("\\<", "")


def test_a_complaint_goes_with_the_next_change() -> None:
    at = open_app(p="hello")
    at = press(at, "Fill with random logits")

    assert not at.warning


def test_locked_controls_are_shown_and_cannot_be_used() -> None:
    at = open_app(lock="presets,options,logits,target,tools")

    assert {box.label: box.disabled for box in at.selectbox if box.label in ("Preset", "reduction", "target")} == {
        "Preset": True,
        "reduction": True,
        "target": True,
    }
    buttons = {button.label: button.disabled for button in at.button if button.label in ("Undo", "Reset")}
    assert buttons == {"Undo": True, "Reset": True}
    assert at.data_editor
    assert all(grid.proto.disabled for grid in at.data_editor)


def test_hidden_controls_are_not_there() -> None:
    at = open_app(hide="presets,tools,share")

    assert "Preset" not in [box.label for box in at.selectbox]
    assert "reduction" in [box.label for box in at.selectbox]
    assert "Undo" not in [button.label for button in at.button]
    assert "share_button" not in at.session_state


@pytest.mark.parametrize("page", ["explore/one_example", "explore/gradient_descent", "understand/step_by_step"])
def test_where_all_of_it_is_hidden_no_empty_fold_is_left(page: str) -> None:
    at = open_app()
    at.switch_page(f"pages/{page}.py")
    assert any(fold.icon == ":material/tune:" for fold in run(at).expander)

    hidden = open_app(hide="presets,options")
    hidden.switch_page(f"pages/{page}.py")
    assert not any(fold.icon == ":material/tune:" for fold in run(hidden).expander)


def test_a_lock_holds_on_other_pages() -> None:
    at = open_app(lock="options", hide="presets")
    at.switch_page("pages/understand/step_by_step.py")
    at = run(at)

    boxes = {box.label: box.disabled for box in at.selectbox}
    assert boxes["reduction"]
    assert "Preset" not in boxes


@pytest.mark.parametrize(
    ("page", "lock", "key"),
    [
        ("pages/explore/one_example.py", "logits", "use_row"),
        ("pages/explore/one_example.py", "target", "use_row"),
        ("pages/explore/one_example.py", "tools", "undo_row"),
        ("pages/explore/gradient_descent.py", "logits", "descent_continue"),
    ],
)
def test_no_page_writes_what_is_locked(page: str, lock: str, key: str) -> None:
    disabled = []
    for query in ({"lock": lock}, {}):
        at = open_app(**query)
        at.switch_page(page)
        disabled.append(run(at).button(key=key).disabled)

    assert disabled == [True, False]


def test_the_line_of_the_sender_is_text() -> None:
    at = open_app(note="![x](http://127.0.0.1:9/a.png) <b>hi</b> $x$")

    assert r"\!\[x\]" in at.info[0].value
    assert r"\<b\>" in at.info[0].value


def test_the_state_of_a_page_travels() -> None:
    at = open_app(page="step-by-step", traced_row="1", traced_stage="3", decimals="6")

    assert at.session_state["traced_row"] == 1
    assert at.session_state["traced_stage"] == 3
    assert next(slider for slider in at.slider if slider.label == "Decimals").value == 6


def test_a_tab_brings_back_link_start_and_table() -> None:
    at = open_app(preset="uniform", lock="tools")
    visit = at.session_state["visit"]
    visit.sheet, visit.pinned = SHEET, replace(SHEET, reduction="sum", label_smoothing=0.3)
    kept = session.saved(visit)
    fresh = AppTest.from_string(
        "import streamlit as st\nfrom xent_ui.state import session\nsession.visit()\n"
        "if 'kept' in st.session_state: session.restore(st.session_state.kept)",
        default_timeout=60,
    )
    fresh.session_state["kept"] = kept
    fresh.run()
    restored = fresh.session_state["visit"]

    assert not fresh.exception
    assert restored.sheet == SHEET
    assert restored.pinned == visit.pinned
    assert (restored.start, restored.preset) == (sheet_of_preset(PRESETS["uniform"]), "uniform")
    assert restored.opened.locked == {"tools"}
    assert restored.link == visit.link


@pytest.mark.parametrize(
    "kept", ["", "\n", "a\nb\nc", "\n\n{}", "p=1\np=hello\n" + SHEET.to_json(), f"\n\n{SHEET.to_json()}\n{{}}\nx"]
)
def test_what_a_tab_kept_is_checked(kept: str) -> None:
    fresh = AppTest.from_string(
        "import streamlit as st\nfrom xent_ui.state import session\n"
        "session.visit()\nsession.restore(st.session_state.kept)",
        default_timeout=60,
    )
    fresh.session_state["kept"] = kept
    fresh.run()

    assert not fresh.exception


# Every page


@pytest.mark.parametrize("page", PAGES)
def test_every_page_has_one_title(page: str) -> None:
    at = open_app(page=page)

    assert len(at.title) == 1
    assert not at.header
    assert not any(one.value.startswith("# ") for one in at.markdown)


# What took the place of what


def shown(at: AppTest) -> str:
    return "\n".join(one.value for one in at.markdown).replace("\\", "")


def test_a_preset_that_replaces_a_changed_table_says_so_and_gives_it_back() -> None:
    at = type_cell(open_app(), 0, "class 0", "7")
    changed = at.session_state["visit"].sheet
    at = choose(at, "Preset", "uniform")

    said = "“Uniform logits: the loss is ln C” is on the table now, in place of “Three rows, three labels, changed”."
    assert said in shown(at)
    at = press(at, "Bring it back")
    visit = at.session_state["visit"]
    assert visit.sheet == changed
    assert (visit.preset, visit.start) == ("worked-batch", sheet_of_preset(PRESETS["worked-batch"]))
    assert said not in shown(at)


def test_a_preset_in_place_of_another_that_nobody_changed_needs_no_word() -> None:
    assert "on the table now" not in shown(choose(open_app(), "Preset", "uniform"))


def test_the_demonstration_of_micro_batches_names_what_it_replaced_and_the_batch_page_tells_the_truth() -> None:
    at = run(type_cell(open_app(), 0, "class 0", "7").switch_page("pages/explore/compare_settings.py"))
    changed = at.session_state["visit"].sheet
    at.button(key="example_micro-batches").click()
    at = run(at)

    assert "“Micro-batches with ignored tokens” is on the table now" in shown(at)
    at = run(at.switch_page("pages/explore/batch.py"))
    assert at.selectbox(key="preset_choice").value is None
    at = press(at, "Bring it back")
    assert at.session_state["visit"].sheet == changed


@pytest.mark.parametrize("name", ["smoothing", "encodings", "reductions", "dtypes"])
def test_every_demonstration_of_options_offers_the_table_back(name: str) -> None:
    at = run(open_app(preset="soft-labels").switch_page("pages/explore/compare_settings.py"))
    before = at.session_state["visit"].sheet
    at.button(key=f"example_{name}").click()
    at = run(at)

    assert at.session_state["visit"].sheet != before
    at = press(at, "Bring it back")
    assert at.session_state["visit"].sheet == before


def test_the_next_change_takes_the_offer_away() -> None:
    at = choose(type_cell(open_app(), 0, "class 0", "7"), "Preset", "uniform")
    at = type_cell(at, 0, "class 0", "5")

    assert "on the table now" not in shown(run(at))


def test_after_undo_reset_goes_back_to_the_visitors_start() -> None:
    """Not to the preset that was undone."""
    at = type_cell(open_app(preset="masked"), 0, "class 0", "7")
    at = choose(at, "Preset", "uniform")
    at = press(press(at, "Undo"), "Reset")
    visit = at.session_state["visit"]

    assert visit.sheet == sheet_of_preset(PRESETS["masked"])
    assert (visit.preset, visit.opened.preset) == ("masked", "masked")


def test_a_changed_preset_is_not_named_as_if_it_were_on_the_table() -> None:
    at = run(type_cell(open_app(), 0, "class 0", "7"))
    box = at.selectbox(key="preset_choice")

    assert box.value is None
    assert box.proto.placeholder == "Three rows, three labels, changed"
    at = choose(at, "Preset", "worked-batch")  # and so can be chosen again
    assert at.session_state["visit"].sheet == sheet_of_preset(PRESETS["worked-batch"])
    assert at.selectbox(key="preset_choice").value == "worked-batch"
