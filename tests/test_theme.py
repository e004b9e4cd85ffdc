"""What the layouts and axes of all pictures share."""

import json
import tomllib

import plotly.graph_objects as go
import pytest
from plotly.io import to_json

from harness.app_test import open_page
from harness.browser import ROOT
from xent_ui.figures import theme
from xent_ui.figures.theme import FONT, TRANSPARENT, axis, figure, layout, legend_below


def test_what_a_figure_asks_for_wins_over_what_all_figures_share() -> None:
    assert layout(100, dragmode="select")["dragmode"] == "select"
    assert axis(fixedrange=False)["fixedrange"] is False


def test_plotly_takes_the_layout_with_its_axes_and_legend() -> None:
    drawn = go.Layout(layout(100, left=1, top=2, xaxis=axis("z", standoff=4), yaxis=axis(), legend=legend_below(-0.1)))

    assert (drawn.height, drawn.margin.l, drawn.margin.t, drawn.margin.b) == (100, 1, 2, 8)
    assert drawn.paper_bgcolor == TRANSPARENT
    assert (drawn.xaxis.title.text, drawn.xaxis.title.standoff) == ("z", 4)
    assert drawn.xaxis.tickfont.color == drawn.yaxis.tickfont.color == drawn.font.color == FONT["color"]
    assert drawn.yaxis.title.text is None
    assert (drawn.legend.orientation, drawn.legend.y) == ("h", -0.1)


@pytest.mark.parametrize("preset", ["worked-batch", "masked"])
@pytest.mark.parametrize("page", sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("pages/*/*.py")))
def test_plotly_takes_every_picture_of_every_page(page: str, preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[go.Figure] = []

    def checked(*arguments: object, **named: object) -> go.Figure:
        made = built(*arguments, **named)
        # raises for a property that Plotly does not know; and what it would write out otherwise, such as the name of
        # a scale, its code in the browser may know as something else
        checked_by_plotly = go.Figure(made.to_dict())
        written = json.loads(to_json(made, validate=False))
        written["layout"] = {name: value for name, value in written["layout"].items() if value != []}
        assert json.loads(to_json(checked_by_plotly)) == written
        drawn.append(made)
        return made

    built = theme.Figure
    monkeypatch.setattr(theme, "Figure", checked)
    at = open_page(page, preset)

    assert len(drawn) >= len(at.get("plotly_chart"))


def test_a_property_that_plotly_does_not_know_would_be_noticed() -> None:
    with pytest.raises(ValueError, match="colour"):
        go.Figure(figure([{"type": "bar", "colour": "red"}], layout(100)).to_dict())


def test_what_covers_something_on_a_page_has_the_ground_of_the_app() -> None:
    themes = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text("utf-8"))["theme"]

    light, dark = (themes[name]["backgroundColor"] for name in ("light", "dark"))
    assert f"light-dark({light},{dark})" == theme.APP_GROUND
