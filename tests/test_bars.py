"""A bar for each class: what is written on it."""

from xent_ui.figures import bars


def test_bars_write_down_what_cannot_be_drawn() -> None:
    figure = bars.bars([float("nan"), float("-inf"), 1e-9], ["<b>a", "b", "c"], is_gradient=True)

    assert list(figure.data[0].text) == ["NaN", "−inf", "+1.0e−09"]
    assert figure.layout.xaxis.ticktext[0] == "&lt;b&gt;a"
