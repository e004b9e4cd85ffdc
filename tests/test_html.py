"""The gauge of the loss, and data in hidden HTML: what they hold, and no markup of others."""

import json
import math
import re
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from xent_ui.figures import html


def test_the_gauge_holds_its_marks_and_no_markup_of_others() -> None:
    page = html.loss_gauge(1.4076, [("<b>uniform</b>", 1.0986), ("nothing", math.nan)], label='a "label"')

    assert "1.0986" in page
    assert "<b>" not in page
    assert "nothing" not in page
    assert 'aria-label="a &quot;label&quot;"' in page


@given(st.text(max_size=30))
@example("</p><script>z()</script>&amp;<!--")
@example("\\u003c ' \" \u2028 \U0001f600")
def test_hidden_data_holds_no_markup_and_comes_back_as_it_was(name: str) -> None:
    class Seen(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.tags: list[str] = []
            self.text = ""

        def handle_starttag(self, tag: str, attrs: Any) -> None:
            self.tags.append(tag)

        def handle_data(self, data: str) -> None:
            self.text += data

    seen = Seen()
    seen.feed(html.hidden_json({"names": [name]}))

    assert seen.tags == ["p"]
    assert json.loads(seen.text) == {"names": [name]}


def test_bars_grow_to_the_side_of_their_sign_and_say_their_numbers() -> None:
    page = html.signed_bars([-0.91, 0.455, math.nan], ["<b>", "1", "2"], selected=0, decimals=2, label='"<i>"')

    assert re.findall(r"(left|right):50%;top:2px;bottom:2px;width:([\d.]+)%", page) == [
        ("right", "50.00"),
        ("left", "25.00"),
        ("right", "0.00"),
    ]
    assert re.findall(r"text-align:right\">(.*?)<", page) == ["−0.91", "+0.46", "NaN"]
    assert 'aria-label="&quot;&lt;i&gt;&quot;: &lt;b&gt; −0.91, 1 +0.46, 2 NaN"' in page
    assert "<b>" not in page
    assert page.count("font-weight:600") == 1


def test_a_loss_that_is_nan_is_not_placed_on_the_gauge() -> None:
    assert "rotate" not in html.loss_gauge(math.nan, [("uniform", 1.0)], label="")


@pytest.mark.parametrize("loss", [3.0, 1e308])
def test_marks_of_the_gauge_that_lie_close_share_a_line_of_words(loss: float) -> None:
    page = html.loss_gauge(loss, [("floor", 0.0), ("softmax twice", 0.5514), ("uniform guess", 1.0986)], label="")

    assert ">floor 0.0000 · uniform guess 1.0986<" in page
    assert page.count("height:20px") == 3
    assert "left:98.00%;top:26px" in page  # the loss, at the right end


def test_marks_of_the_gauge_that_lie_apart_have_words_each() -> None:
    page = html.loss_gauge(1.4, [("floor", 0.0), ("softmax twice", 0.5514), ("uniform guess", 1.0986)], label="")

    assert ">floor 0.0000<" in page
    assert ">uniform guess 1.0986<" in page


def test_a_table_holds_its_texts_and_no_markup_of_others() -> None:
    page = html.table(["", "<b>"], [["<i>&", html.Marked("</td><script>", "wrong")], ["b", "1"]], label='"<u>"')

    table = ElementTree.fromstring(page)
    assert [["".join(cell.itertext()) for cell in line] for line in table.iter("tr")] == [
        ["", "<b>"],
        ["<i>&", "</td><script>"],
        ["b", "1"],
    ]
    assert {element.tag for element in table.iter()} == {"div", "table", "thead", "tbody", "tr", "th", "td", "span"}
    assert [cell.get("scope") for cell in table.iter("th")] == ["col", "col", "row", "row"]
    assert table.find(".//table").get("aria-label") == '"<u>"'


def test_of_several_texts_one_is_seen_and_all_have_room_and_no_markup() -> None:
    page = ElementTree.fromstring(html.one_of(["short", "<b>a longer one</b>"], 0))

    assert [(one.text, "visibility:visible" in str(one.get("style"))) for one in page] == [
        ("short", True),
        ("<b>a longer one</b>", False),
    ]
    assert all("grid-area:1/1" in str(one.get("style")) for one in page)  # all in one place, which the longest fills
