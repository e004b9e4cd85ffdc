"""What the layouts and axes of all pictures share."""

import plotly.graph_objects as go

from xent_ui.figures.theme import FONT, TRANSPARENT, axis, layout, legend_below


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
