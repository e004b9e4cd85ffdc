"""Words and numbers as a person reads them."""

import gettext
import math
import re
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from xent_ui.text import (
    WORD_JOINER,
    _,
    difference,
    in_this_language,
    latex,
    markdown_escaped,
    number,
    plotly_escaped,
    power_of_ten,
    short,
    use_catalogue,
    use_language,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.40760596, "1.4076"),
        (-0.30332315, "−0.3033"),
        (0.0, "0.0000"),
        (-0.0, "0.0000"),
        (3.1e-6, "3.1e−06"),
        (-0.00004, "−4.0e−05"),
        (0.00005, "0.0001"),
        (1e7, "1.0e+07"),
        (9999999.0, "9999999.0000"),
        (math.nan, "NaN"),
        (math.inf, "inf"),
        (-math.inf, "−inf"),
    ],
)
def test_a_number_reads_with_four_decimals_and_never_as_zero(value: float, text: str) -> None:
    assert number(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 10))
def test_what_is_not_zero_never_reads_as_zero(value: float, decimals: int) -> None:
    text = number(value, decimals)

    assert (float(text.replace("−", "-")) == 0) == (value == 0)


@given(st.floats(-999, 999), st.floats(-999, 999), st.integers(0, 4))
@example(85.643, 85.906, 2)
@example(0.5, 0.500003, 4)
def test_a_difference_is_that_of_the_two_numbers_as_they_are_shown(before: float, after: float, decimals: int) -> None:
    first, second = (Decimal(f"{value:.{decimals}f}") for value in (before, after))
    found = Decimal(difference(before, after, decimals).replace("−", "-"))

    if first != second:
        assert found == second - first
    else:
        assert float(found) == pytest.approx(after - before, rel=0.06)


@pytest.mark.parametrize(
    ("value", "text"), [(1.0, "1"), (0.93333333, "0.9333"), (10.0, "10"), (0.0, "0"), (2e-7, "2.0e−07")]
)
def test_a_short_number_has_no_zeros_behind(value: float, text: str) -> None:
    assert short(value) == text


@pytest.mark.parametrize(("value", "text"), [(3.2e-9, "3·10⁻⁹"), (0.0, "0"), (12.0, "1·10¹"), (math.inf, "inf")])
def test_a_difference_reads_as_a_power_of_ten(value: float, text: str) -> None:
    assert power_of_ten(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(-0.5, "-0.5"), (1e-7, r"1.0\cdot 10^{-7}"), (math.nan, r"\mathrm{NaN}"), (-math.inf, r"-\infty")],
)
def test_a_number_in_a_formula_is_latex(value: float, text: str) -> None:
    assert latex(value) == text


@given(st.text())
def test_escaped_markdown_has_no_bare_markup(text: str) -> None:
    escaped = markdown_escaped(text)
    bare = escaped.replace("\\\\", "")

    assert escaped.replace("\\", "").replace(WORD_JOINER, "") == text.replace("\\", "").replace(WORD_JOINER, "")
    for sign in "*_[]<>`$!:":
        assert bare.count(sign) == bare.count("\\" + sign)


@pytest.mark.parametrize("address", ["http://a.b/c.png", "HTTPS://a.b", "www.a.b", "WWW.a.b", "a@b.org"])
def test_an_address_does_not_become_a_link(address: str) -> None:
    assert not re.search(r"https?://|www\.|\w@", markdown_escaped(address).replace("\\", ""), re.IGNORECASE)


@pytest.mark.parametrize(
    "name",
    [
        ":material/home:",
        ":material_home:",
        ":streamlit:",
        ":smile:",
        ":a:smile:+1:",
        "a -> b",
        "<-",
        "x <= y",
        "a -- b",
    ],
)
def test_a_name_does_not_become_a_sign(name: str) -> None:
    """These are replaced in the text that is left when the escapes are gone."""
    shown = markdown_escaped(name).replace("\\", "")

    assert not re.search(r":[\w+/-]+:|(^|\s)(<->|->|<-|--|>=|<=|~=)(\s|$)", shown)
    assert shown.replace(WORD_JOINER, "") == name


@pytest.mark.parametrize("text", ["12:30", "a-b", "row 0: 5", "x->y", "1 - 2"])
def test_what_becomes_nothing_is_left_as_it_is(text: str) -> None:
    assert WORD_JOINER not in markdown_escaped(text)


def test_markup_for_plotly_is_shown_as_text() -> None:
    assert plotly_escaped("<b>&</b>") == "&lt;b&gt;&amp;&lt;/b&gt;"


def test_a_language_without_a_catalogue_is_english() -> None:
    use_language("xx-YY")

    assert _("loss (nats)") == "loss (nats)"


def test_a_catalogue_translates() -> None:
    class German(gettext.NullTranslations):
        def gettext(self, message: str) -> str:
            return {"Undo": "Zurück"}.get(message, message)

    use_catalogue(German())
    try:
        assert _("Undo") == "Zurück"
    finally:
        use_language("en")


def test_work_for_another_thread_speaks_the_language_of_this_one() -> None:
    class Loud(gettext.NullTranslations):
        def gettext(self, message: str) -> str:
            return message.upper()

    def asked() -> list[str]:
        use_catalogue(Loud())
        with ThreadPoolExecutor(1) as thread:
            return [thread.submit(work).result() for work in (in_this_language(lambda: _("row")), lambda: _("row"))]

    assert copy_context().run(asked) == ["ROW", "row"]
