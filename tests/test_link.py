"""What stands in an address: written and read back, cut and hostile."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sheets import sheets
from xent_core import Problem
from xent_core.codec import TokenTooLong, to_token
from xent_core.implementations import IMPLEMENTATIONS
from xent_core.presets import FIRST_PRESET, PRESETS
from xent_ui.implementations import state as implementations
from xent_ui.precision.state import PROBLEM, YOUR_BATCH
from xent_ui.state.link import (
    HIDEABLE,
    LOCKABLE,
    MAX_NOTE,
    WIDGETS,
    Link,
    link_of,
    link_of_query,
    link_to,
    opening_of,
)
from xent_ui.state.sheet import CLASS_INDEX, InvalidSheet, Sheet, sheet_of_preset
from xent_ui.step_by_step.state import STAGE
from xent_ui.table import options
from xent_ui.widgets import row_chooser

WORKED = sheet_of_preset(PRESETS[FIRST_PRESET])


@given(sheets())
def test_a_link_opens_the_same_problem_under_the_same_names(sheet: Sheet) -> None:
    link = link_to(sheet)
    opening = opening_of(link_of_query(link.query()))

    assert opening.problems == ()
    assert opening.sheet.to_problem() == sheet.to_problem()
    assert (opening.sheet.class_names, opening.sheet.row_names) == (sheet.class_names, sheet.row_names)
    assert opening.sheet.target_kind == sheet.target_kind


@given(
    st.builds(
        Link,
        preset=st.sampled_from(["", *PRESETS]),
        page=st.sampled_from(["", "precision", "step-by-step"]),
        form=st.sampled_from(["", CLASS_INDEX]),
        locked=st.frozensets(st.sampled_from(list(LOCKABLE))),
        hidden=st.frozensets(st.sampled_from(list(HIDEABLE))),
        note=st.text(max_size=MAX_NOTE).map(lambda text: "".join(filter(str.isprintable, text)).strip()),
    )
)
def test_every_parameter_reads_back(link: Link) -> None:
    assert link_of_query(link.query()) == link


@pytest.mark.parametrize("preset", PRESETS)
def test_the_link_to_a_preset_is_short(preset: str) -> None:
    assert len(link_to(sheet_of_preset(PRESETS[preset])).query()) < 1_000


def test_a_target_of_probabilities_stays_so_whatever_form_the_link_asks_for() -> None:
    soft = Problem([[1.0, 2.0, 3.0]], [[0.2, 0.3, 0.5]])

    opening = opening_of(Link(token=to_token(soft), form=CLASS_INDEX))

    assert opening.sheet.to_problem() == soft


def test_usual_names_are_left_out_and_others_are_not() -> None:
    named = WORKED.with_names(("cat", "dog", "class 2"), WORKED.row_names)

    assert link_to(WORKED).class_names == link_to(WORKED).row_names == ()
    assert link_to(named).class_names == ("cat", "dog", "class 2")


def test_a_table_too_large_for_a_link_says_so() -> None:
    with pytest.raises(TokenTooLong):
        link_to(WORKED.resized(64, 64).with_random_logits(2.0, 0))


def test_names_too_long_for_a_link_say_so() -> None:
    long = tuple(f"{'漢' * 37}{i:02}" for i in range(32))
    with pytest.raises(InvalidSheet, match="shorter names"):
        link_to(WORKED.resized(3, 32).with_names(long, WORKED.row_names))


HOSTILE = {
    "no token": "hello",
    "markup": "<script>alert(1)</script>",
    "far too long": "1" + "A" * 100_000,
    "not base64": "1!!!!",
    "empty body": "1",
    "another version": "9" + to_token(PRESETS[FIRST_PRESET].problem)[1:],
    "cut": to_token(PRESETS["digits"].problem)[:-7],
    "more axes than a table": to_token(Problem([[[1.0, 2.0], [3.0, 4.0]]], [[0, 1]])),
    "more rows than a table": to_token(Problem([[1.0, 2.0]] * 65, [0] * 65)),
    "no class": to_token(Problem([[]], [-100], reduction="sum")),
    "a temperature no widget holds": to_token(Problem([[1.0, 2.0]], [0], temperature=1e-9)),
    "an ignore_index no browser holds": to_token(Problem([[1.0, 2.0]], [0], ignore_index=2**60)),
}


@pytest.mark.parametrize("token", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_token_opens_the_first_preset_with_a_message(token: str) -> None:
    opening = opening_of(link_of({"p": token}))

    assert opening.sheet == WORKED
    assert len(opening.problems) == 1
    assert len(opening.problems[0]) < 1_000


@pytest.mark.parametrize(
    "classes", ["a\na\nb", "a\nb", "row\na\nb", "a\nb\n" + 41 * "c", "a\n\x00\nb", "\n\n", "a\n\u202eb\nc", "a" * 5_000]
)
def test_names_that_cannot_be_leave_the_numbers(classes: str) -> None:
    opening = opening_of(link_of({"p": link_to(WORKED).token, "classes": classes}))

    assert opening.sheet.to_problem() == WORKED.to_problem()
    assert opening.sheet.class_names == WORKED.class_names


@pytest.mark.parametrize(
    "params",
    [
        {"lock": "everything,__init__,<b>", "hide": "loss,", "note": "\x00\x07"},
        {"decimals": "-1", "traced_row": "1e3", "implementation": "99999999999999999999", "logit_scale": "3"},
        {"precision_preset": "__class__", "form": "probabilities"},
        {"session_state": "x", "visit": "y", "": ""},
    ],
)
def test_what_is_unknown_is_left_out(params: dict[str, str]) -> None:
    assert link_of(params) == Link()


def test_a_note_is_one_printable_line_of_bounded_length() -> None:
    note = link_of({"note": "<b>hi</b>\n\u202e" + "x" * 10_000}).note

    assert note.startswith("<b>hi</b>xxx")
    assert len(note) <= MAX_NOTE


def test_a_query_with_too_many_fields_asks_for_nothing() -> None:
    assert link_of_query("&".join(f"a{i}=1" for i in range(1_000))) == Link()


def test_the_widgets_of_a_link_are_those_of_the_pages() -> None:
    keys = {
        options.DECIMALS.name,
        row_chooser.ROW.name,
        STAGE.name,
        implementations.SCALE.name,
        implementations.ROUTE.name,
    }
    keys |= {implementations.WORKED_ROW.name, PROBLEM.name}

    assert set(WIDGETS) == keys
    assert tuple(WIDGETS[implementations.SCALE.name].values) == implementations.SCALES
    assert len(WIDGETS[implementations.ROUTE.name].values) == len(IMPLEMENTATIONS)
    assert WIDGETS[PROBLEM.name].default == YOUR_BATCH


def test_a_token_wins_over_a_preset() -> None:
    sheet = WORKED.with_logits((("9", "9", "9"),) * 3)

    assert opening_of(link_of({"p": link_to(sheet).token, "preset": "digits"})).sheet == sheet


def test_infinities_nan_and_minus_zero_arrive() -> None:
    problem = Problem([[-math.inf, math.nan, -0.0], [math.inf, 1e-45, 3.4e38]], [0, 1])
    opened = opening_of(Link(token=to_token(problem)))

    assert opened.sheet.to_problem() == problem
