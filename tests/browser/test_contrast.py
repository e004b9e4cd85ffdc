"""Text is readable in both themes: 4.5:1 and more, as the browser draws it."""

from typing import Literal

import pytest
from playwright.sync_api import Browser

from harness.browser import DESKTOP, go_to, open_page, wait_drawn

ENOUGH = 4.5
# Not measured: Streamlit's colours of code, which no theme sets, text that lies on a
# coloured part of a picture, and the number that stands above the knob of a slider, outside of what it is part of.
_PALE = """enough => {
    const channels = colour => {
        const [r, g, b, a = 1] = colour.match(/[\\d.e-]+/g).map(Number);
        return colour.startsWith('color(srgb') ? [255 * r, 255 * g, 255 * b, a] : [r, g, b, a];
    };
    const over = ([r, g, b, a], [x, y, z]) => [r, g, b].map((c, i) => a * c + (1 - a) * [x, y, z][i]);
    const luminance = rgb => rgb.map(c => c / 255)
        .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const ground = element => element
        ? over(channels(getComputedStyle(element).backgroundColor), ground(element.parentElement)) : [255, 255, 255];
    const pale = {}, kinds = new Set();
    const look = (root, selector) => {
        for (const element of root.querySelectorAll(selector)) {
            const text = [...element.childNodes].filter(n => n.nodeType === 3).map(n => n.data).join('').trim();
            if (!text || !element.checkVisibility({opacityProperty: true, visibilityProperty: true})) continue;
            const apart = 'code, style, .katex-mathml, [data-testid=stSlider], [disabled], [aria-disabled=true]';
            if (element.closest(apart)) continue;
            const style = getComputedStyle(element), isDrawn = element instanceof SVGElement;
            let share = isDrawn ? Number(style.fillOpacity) : 1;
            for (let at = element; at; at = at.parentElement) share *= Number(getComputedStyle(at).opacity);
            const below = ground(element), [r, g, b, a] = channels(isDrawn ? style.fill : style.color);
            if (a * share === 0) continue;  // there for the layout alone
            const both = [luminance(over([r, g, b, a * share], below)), luminance(below)];
            const ratio = (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
            for (const kind of ['stBaseButton-primary', 'stButtonGroup', 'stPlotlyChart', 'stCaptionContainer'])
                if (element.closest(`[data-testid=${kind}]`)) kinds.add(kind);
            if (ratio < enough) pale[text.slice(0, 40)] = Number(ratio.toFixed(2));
        }
    };
    look(document, 'body *:not(svg, svg *)');
    const inPictures = '.legendtext, .bartext-outside, :is(.xtick, .ytick, .annotation, .infolayer, .menulayer) *';
    look(document, `.js-plotly-plot :is(${inPictures})`);
    return [pale, [...kinds]];
}"""


@pytest.mark.long
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(browser: Browser, app_url: str, scheme: Literal["light", "dark"]) -> None:
    width, height = DESKTOP
    page = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme).new_page()
    open_page(page, app_url)
    seen: set[str] = set()
    for title in ("Batch", "Gradient descent", "Step by step", "Implementations", "Precision", "Doctor", "Your logits"):
        go_to(page, title)
        wait_drawn(page)
        for _ in range(20):  # colours fade after a click
            pale, kinds = page.evaluate(_PALE, ENOUGH)
            if not pale:
                break
            page.wait_for_timeout(100)
        seen.update(kinds)

        assert not pale, title
    page.context.close()

    assert {"stButtonGroup", "stPlotlyChart", "stCaptionContainer"} <= seen
