"""Names of classes, rows and files, and a teacher's line stay text on every page, and no request leaves for them."""

import io
from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from harness.browser import IDLE_MS, Journal, go_to, metric, open_page, wait_drawn, wait_idle
from harness.hostile_names import ADDRESS, NAMES, rendered
from xent_core.presets import PRESETS
from xent_ui.state.link import link_to
from xent_ui.state.sheet import sheet_of_preset

ALL = len(NAMES)
# how many of the names each page shows at least
PAGES = {
    "Batch": ALL,
    "One example": ALL,
    "Compare settings": ALL,
    "Gradient descent": 0,  # its pictures name what is under the pointer, which they show in most runs alone
    "Step by step": 1,
    "Implementations": 1,
    "Precision": 0,
    "Doctor": 0,
    "Your logits": 0,
    "Export": 0,
}


# by the page's own clock, which begins once it has seen the pointer
A_MOMENT = "() => new Promise(done => setTimeout(() => requestAnimationFrame(() => setTimeout(done, 150)), 0))"


def link() -> str:
    """A link to a table with these names, one class and one row for each."""
    count = len(NAMES)
    sheet = sheet_of_preset(PRESETS["worked-batch"]).resized(count, count).with_random_logits(2.0, 1)
    return link_to(sheet.with_names(tuple(NAMES), tuple(reversed(NAMES)))).query()


def look_everywhere(page: Page) -> Iterator[str]:
    """Opens all that can be opened and points at every picture; gives the name of each place when it is open."""
    yield "as it opens"
    for kind, selector in {
        "expander": "[data-testid=stMain] [data-testid=stExpander] summary",
        "tab": "[data-testid=stMain] [role=tab]",
        "popover": "[data-testid=stPopover] button",
    }.items():
        for place in page.locator(selector).all():
            if not place.is_visible() or not place.is_enabled():
                continue
            place.click(timeout=IDLE_MS)
            wait_idle(page)
            yield f"{kind} {place.inner_text()}"
            if kind == "popover":
                page.keyboard.press("Escape")
    wait_drawn(page)
    for chart in page.locator(".js-plotly-plot .nsewdrag").all():
        if not chart.is_visible():
            continue
        chart.scroll_into_view_if_needed()
        box = chart.bounding_box()
        assert box is not None
        for part in (0.1, 0.35, 0.6, 0.9):
            page.mouse.move(box["x"] + part * box["width"], box["y"] + part * box["height"])
            page.evaluate(A_MOMENT)  # after which Plotly draws what it shows under the pointer
        yield "a picture"


def assert_harmless(page: Page, journal: Journal, place: str) -> str:
    found, raw = rendered(page)
    assert not found, f"{place}: {found}"
    assert not [url for url in journal.outside if ADDRESS in url], place
    return raw


@pytest.mark.parametrize("title", PAGES)
def test_names_stay_text(page: Page, app_url: str, journal: Journal, title: str) -> None:
    open_page(page, f"{app_url}/?{link()}")
    if title != "Batch":
        go_to(page, title)
    wait_drawn(page)
    if title == "Gradient descent":
        expect(page.locator(".js-plotly-plot .nsewdrag").first).to_be_visible(timeout=IDLE_MS)
    raw = ""
    for _ in range(4):  # a picture may be drawn anew under the pointer, and then names nothing
        raw += "".join(assert_harmless(page, journal, place) for place in look_everywhere(page))
        if sum(name in raw for name in NAMES) >= PAGES[title]:
            break

    assert sum(name in raw for name in NAMES) >= PAGES[title]
    expect(page.get_by_test_id("stException")).to_have_count(0)
    journal.assert_quiet()


@pytest.mark.long
def test_a_line_of_a_teacher_and_what_a_link_asks_for_stay_text(page: Page, app_url: str, journal: Journal) -> None:
    for first in range(0, len(NAMES), 4):
        notes = NAMES[first : first + 4]
        page.goto("about:blank")
        open_page(
            page, f"{app_url}/?note={_quoted(' '.join(notes))}&preset={_quoted(notes[0])}&page={_quoted(notes[-1])}"
        )
        raw = assert_harmless(page, journal, notes[0])

        for name in notes:
            assert name in raw
    journal.assert_quiet()


def _quoted(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


@pytest.mark.long
def test_names_in_a_file_of_a_model_stay_text(page: Page, app_url: str, journal: Journal) -> None:
    count = len(NAMES)
    chance = np.random.default_rng(1)
    file = io.BytesIO()
    ids = np.array([NAMES[row % count] for row in range(60)])
    np.savez(
        file,
        logits=chance.normal(size=(60, count)).astype(np.float32),
        target=chance.integers(0, count, 60),
        ids=ids,
        class_names=np.array(NAMES),
    )
    open_page(page, f"{app_url}/your-logits")
    expect(metric(page, "budget")).to_have_text("1797", timeout=IDLE_MS)
    page.locator(".st-key-source").get_by_text("Upload", exact=True).click()
    page.locator(".st-key-dump_logits_file input[type=file]").set_input_files(
        {"name": "**z7** ![z1](http:127.0.0.2:9).npz", "mimeType": "text/plain", "buffer": file.getvalue()}
    )
    expect(metric(page, "budget")).to_have_text("60", timeout=IDLE_MS)
    wait_drawn(page)
    raw = "".join(assert_harmless(page, journal, place) for place in look_everywhere(page))

    assert sum(name in raw for name in NAMES) > count / 2
    journal.assert_quiet()


@pytest.mark.parametrize(
    ("title", "key"), [("Your logits", "dump_logits_file"), ("Doctor", "doctor_file"), ("Export", "import_file")]
)
def test_names_of_files_that_are_refused_stay_text(
    page: Page, app_url: str, journal: Journal, title: str, key: str
) -> None:
    open_page(page, app_url)
    go_to(page, title)
    if title != "Export":
        page.get_by_text("Upload" if title == "Your logits" else "Open a file", exact=True).click()
    for mark in ("z1", "z7", "z8", "z10"):
        name = next(name for name in NAMES if mark in name).replace("/", "∕") + ".npz"
        wait_drawn(page)  # while a page is drawn anew its uploader may be another one
        chooser = page.locator(f".st-key-{key} input[type=file]")
        chooser.set_input_files({"name": name, "mimeType": "text/plain", "buffer": b"PK\x03\x04 nothing"})
        expect(page.get_by_role("button", name=f"Remove {name}", exact=True)).to_be_visible(timeout=IDLE_MS)
        expect(page.get_by_test_id("stAlert").first).to_be_visible(timeout=IDLE_MS)
        wait_idle(page)
        assert_harmless(page, journal, name)
    journal.assert_quiet()
