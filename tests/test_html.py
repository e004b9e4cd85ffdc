"""The gauge of the loss and the table beside a matrix: what they hold, and no markup of others."""

import math
import re

import pytest

from xent_ui.figures import html


def test_the_gauge_holds_its_marks_and_no_markup_of_others() -> None:
    page = html.loss_gauge(1.4076, [("<b>uniform</b>", 1.0986), ("nothing", math.nan)], label='a "label"')

    assert "1.0986" in page
    assert "<b>" not in page
    assert "nothing" not in page
    assert 'aria-label="a &quot;label&quot;"' in page


def test_a_table_beside_a_matrix_holds_its_texts_and_no_markup_of_others() -> None:
    page = html.aligned_table({"loss": ["0.4076"], "<th>": ["<b>4</b> ✓"]}, row_names=['<i>"'], label="<rows>")

    assert re.findall(r"<t[dh] [^>]*>(.*?)</t[dh]>", page) == ["loss", "&lt;th&gt;", "0.4076", "&lt;b&gt;4&lt;/b&gt; ✓"]
    assert "<b>" not in page
    assert 'title="&lt;i&gt;&quot;"' in page
    assert 'aria-label="&lt;rows&gt;"' in page


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
