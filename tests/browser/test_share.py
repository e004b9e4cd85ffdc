"""Links, files and locks in Chromium: what one person shares, another one sees."""

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from playwright.sync_api import Browser, Page, expect

from harness.browser import (
    DESKTOP,
    IDLE_MS,
    Journal,
    edit_cell,
    editor,
    expect_heatmap,
    expect_kept,
    expect_not_kept,
    go_to,
    metric,
    open_page,
    wait_idle,
)
from xent_core import Problem, evaluate
from xent_core.codec import to_json
from xent_ui.state.link import Link, link_to
from xent_ui.state.sheet import sheet_of

EDITED = F.cross_entropy(torch.tensor([[1.0, -3.25, 3], [1, 2, 3], [1, 2, 3]]), torch.tensor([2, 1, 0]))
PROBLEM = Problem([[0.5, -1.25, 2.0], [3.0, 0.0, -0.5]], [0, 2])
LOSS = f"{float(F.cross_entropy(PROBLEM.logits, PROBLEM.target)):.4f}"


def open_batch(page: Page, url: str) -> None:
    open_page(page, url)
    expect(editor(page, "logits").get_by_test_id("data-grid-canvas")).to_be_visible(timeout=IDLE_MS)


def link(app_url: str, **changes: object) -> str:
    one = link_to(sheet_of(PROBLEM))
    return f"{app_url}/?{Link(**{**vars(one), **changes}).query()}"


def shared(page: Page) -> str:
    """The address that the Share button gives."""
    page.locator(".st-key-share").get_by_role("button", name="Share").click()
    code = page.locator(".st-key-share_panel").get_by_test_id("stCode")
    expect(code).to_be_visible(timeout=IDLE_MS)
    wait_idle(page)
    return code.locator("code").inner_text().strip()


def expect_loss(page: Page, text: str) -> None:
    expect(metric(page, "loss")).to_have_text(text, timeout=IDLE_MS)


SHOWN = {
    "Batch": ".st-key-loss [data-testid=stMetricValue]",
    "One example": ".st-key-live [data-quantity=loss]",
    "Compare settings": ".st-key-loss [data-testid=stMetricValue]",
    "Gradient descent": ".st-key-loss [data-testid=stMetricValue]",
    "Step by step": ".st-key-chain",
    "Implementations": ".st-key-implementations [data-testid=stMetricValue]",
    "Precision": ".st-key-dtypes table",
    "Your logits": ".st-key-dump_loss [data-testid=stMetricValue]",
    "Export": ".st-key-script_torch code",
}


@pytest.mark.parametrize("title", SHOWN)
def test_another_visitor_sees_the_same_numbers(page: Page, browser: Browser, app_url: str, title: str) -> None:
    open_batch(page, app_url)
    edit_cell(page, editor(page, "logits"), 0, 2, "-3.25")
    expect_loss(page, f"{float(EDITED):.4f}")
    if title != "Batch":
        go_to(page, title)
    place = page.locator(SHOWN[title]).first
    expect(place).to_be_visible(timeout=IDLE_MS)
    wait_idle(page)
    address = shared(page)
    numbers = place.inner_text()
    width, height = DESKTOP
    context = browser.new_context(viewport={"width": width, "height": height}, locale="en-US")
    other = context.new_page()
    open_page(other, address)

    assert address.startswith(f"{app_url}/?")
    expect(other.locator(SHOWN[title]).first).to_have_text(numbers, timeout=IDLE_MS, use_inner_text=True)
    context.close()


@pytest.mark.long
def test_a_shared_link_wins_when_opened_and_a_reload_keeps_the_edits_after_it(page: Page, app_url: str) -> None:
    open_batch(page, app_url)
    edit_cell(page, editor(page, "logits"), 0, 2, "-3.25")
    expect_kept(page, "-3.25")
    open_batch(page, link(app_url))
    expect_loss(page, LOSS)
    edit_cell(page, editor(page, "logits"), 0, 1, "7")
    after = F.cross_entropy(torch.tensor([[7.0, -1.25, 2], [3, 0, -0.5]]), PROBLEM.target)
    expect_loss(page, f"{float(after):.4f}")
    expect_kept(page, '"7"')
    page.reload()
    expect_loss(page, f"{float(after):.4f}")
    page.goto("about:blank")  # from the same address it would be a reload
    page.goto(link(app_url))
    expect_not_kept(page, '"7"')  # only now is it settled what the tab shows

    expect_loss(page, LOSS)


@pytest.mark.long
def test_back_and_forward_bring_back_both_tables(page: Page, app_url: str) -> None:
    open_batch(page, app_url)
    edit_cell(page, editor(page, "logits"), 0, 2, "-3.25")
    expect_loss(page, f"{float(EDITED):.4f}")
    expect_kept(page, "-3.25")
    open_page(page, link(app_url))
    expect_loss(page, LOSS)
    page.wait_for_function("() => history.state && 'cross-entropy-explorer' in history.state")
    page.go_back()
    expect_loss(page, f"{float(EDITED):.4f}")
    page.go_forward()

    expect_loss(page, LOSS)


@pytest.mark.long
def test_back_within_a_link_keeps_its_table(page: Page, app_url: str) -> None:
    open_page(page, link(app_url, page="precision"))
    expect(page.locator(".st-key-dtypes table")).to_contain_text(LOSS, timeout=IDLE_MS)
    go_to(page, "Batch")
    expect_loss(page, LOSS)
    page.go_back()

    expect(page.locator(".st-key-dtypes table")).to_contain_text(LOSS, timeout=IDLE_MS)


@pytest.mark.long
def test_a_reload_after_the_menu_keeps_table_and_lock(page: Page, app_url: str) -> None:
    open_page(page, link(app_url, locked=frozenset({"tools"})))
    go_to(page, "Implementations")
    go_to(page, "Batch")
    expect_loss(page, LOSS)
    page.wait_for_function("() => history.state && 'cross-entropy-explorer' in history.state")
    page.reload()

    expect_loss(page, LOSS)
    expect(page.get_by_role("button", name="Undo")).to_be_disabled(timeout=IDLE_MS)


def test_a_damaged_link_says_so(page: Page, app_url: str, journal: Journal) -> None:
    open_page(page, link(app_url)[:-9])

    expect(page.get_by_text("The link is damaged")).to_be_visible(timeout=IDLE_MS)
    expect_loss(page, "1.4076")
    journal.assert_quiet()


def test_a_locked_link_fixes_what_it_names(page: Page, app_url: str, journal: Journal) -> None:
    note = "What is **p** here? <b>Guess</b>."
    open_page(page, link(app_url, locked=frozenset({"options", "tools"}), hidden=frozenset({"presets"}), note=note))

    expect(page.locator(".st-key-note")).to_contain_text(note, timeout=IDLE_MS)
    expect(page.get_by_role("button", name="Undo")).to_be_disabled(timeout=IDLE_MS)
    expect(page.get_by_role("combobox", name="reduction").first).to_be_disabled(timeout=IDLE_MS)
    expect(page.get_by_role("combobox", name="Preset")).to_have_count(0)
    journal.assert_quiet()


def open_export(page: Page, app_url: str) -> None:
    open_page(page, f"{app_url}/?page=export")
    expect(page.locator(".st-key-import").get_by_test_id("stFileUploaderDropzone")).to_be_visible(timeout=IDLE_MS)
    wait_idle(page)


def open_it_and_see(page: Page) -> None:
    expect(page.locator(".st-key-import_preview")).to_contain_text(LOSS, timeout=IDLE_MS)
    page.get_by_role("button", name="Open it").click()
    go_to(page, "Batch")
    expect_loss(page, LOSS)
    expect_heatmap(page, "grad", evaluate(PROBLEM).grad_logits.tolist())


def test_a_file_is_opened_by_the_uploader(page: Page, app_url: str, tmp_path: Path) -> None:
    file = tmp_path / "table.json"
    file.write_text(to_json(PROBLEM), "utf-8")
    open_export(page, app_url)
    page.locator(".st-key-import input[type=file]").set_input_files(file)

    open_it_and_see(page)


@pytest.mark.long
def test_a_file_is_opened_by_drag_and_drop(page: Page, app_url: str) -> None:
    open_export(page, app_url)
    transfer = page.evaluate_handle(
        """text => {
            const data = new DataTransfer();
            data.items.add(new File([text], 'table.json', {type: 'application/json'}));
            return data;
        }""",
        to_json(PROBLEM),
    )
    zone = page.locator(".st-key-import").get_by_test_id("stFileUploaderDropzone")
    for event in ("dragenter", "dragover", "drop"):
        zone.dispatch_event(event, {"dataTransfer": transfer})

    open_it_and_see(page)


@pytest.mark.long
def test_a_bad_file_is_refused_by_name_of_its_fault(page: Page, app_url: str, tmp_path: Path) -> None:
    file = tmp_path / "model.pt"
    file.write_bytes(b"PK\x03\x04")
    open_export(page, app_url)
    page.locator(".st-key-import input[type=file]").set_input_files(file)

    expect(page.locator(".st-key-import_error")).to_contain_text("may run code", timeout=IDLE_MS)


def test_the_exported_page_opens_without_a_server_and_asks_for_nothing(
    page: Page, browser: Browser, app_url: str, tmp_path: Path
) -> None:
    open_export(page, app_url)
    with page.expect_download() as download:
        page.get_by_role("button", name="The whole screen as HTML").click()
    file = tmp_path / "screen.html"
    download.value.save_as(file)
    context = browser.new_context(accept_downloads=True)
    alone = context.new_page()
    asked: list[str] = []
    said: list[str] = []
    alone.on("request", lambda request: asked.append(request.url))
    alone.on("console", lambda message: said.append(message.text))
    alone.on("pageerror", lambda error: said.append(str(error)))
    alone.goto(file.as_uri())
    expect(alone.locator(".loss")).to_have_text("1.4076")
    expect(alone.locator("#gradient .heatmaplayer image")).to_be_visible(timeout=IDLE_MS)
    alone.hover("#gradient .nsewdrag")
    expect(alone.locator("#gradient .hovertext")).to_be_visible(timeout=IDLE_MS)
    with alone.expect_download() as picture:
        alone.locator("#gradient .modebar-btn[data-title=SVG]").click()

    assert picture.value.path().read_text("utf-8").startswith("<svg")
    assert not [url for url in asked if not url.startswith(("file:", "data:", "blob:"))]
    assert said == []
    context.close()


@pytest.mark.long
@pytest.mark.parametrize(("kind", "start"), [("PNG", b"\x89PNG"), ("SVG", b"<svg")])
def test_the_pictures_are_saved_by_the_browser(page: Page, app_url: str, kind: str, start: bytes) -> None:
    open_export(page, app_url)
    if kind == "SVG":
        page.locator(".st-key-pictures").get_by_text("SVG", exact=True).click()
        wait_idle(page)
    place = page.locator(".st-key-picture_gradient")
    expect(place.locator(".heatmaplayer image")).to_be_visible(timeout=IDLE_MS)
    # Plotly names the format PNG alone; the other name is there once the picture has been drawn anew
    title = "Download plot as a PNG" if kind == "PNG" else "Download plot"
    with page.expect_download(timeout=IDLE_MS) as download:
        place.locator(f".modebar-btn[data-title='{title}']").dispatch_event("click", timeout=IDLE_MS)

    assert download.value.path().read_bytes().startswith(start)


@pytest.mark.long
def test_the_notebook_is_downloaded(page: Page, app_url: str) -> None:
    open_export(page, app_url)
    page.locator(".st-key-script").get_by_role("tab", name="Notebook").click()
    with page.expect_download(timeout=IDLE_MS) as download:
        page.get_by_role("button", name="Download the notebook").click()

    assert json.loads(download.value.path().read_text("utf-8"))["nbformat"] == 4


@pytest.mark.long
@pytest.mark.parametrize("button", ["Share", "Script"])
def test_a_click_on_the_menu_beside_an_open_popover_goes_to_the_page(page: Page, app_url: str, button: str) -> None:
    open_batch(page, app_url)
    page.get_by_role("button", name=button, exact=True).click()
    expect(page.get_by_test_id("stPopoverBody")).to_be_visible(timeout=IDLE_MS)
    wait_idle(page)
    page.get_by_test_id("stSidebarNav").get_by_role("link", name="Precision").click()

    expect(page.locator(".st-key-dtypes table")).to_be_visible(timeout=IDLE_MS)
    wait_idle(page)
    assert page.url.endswith("/precision")
    expect(page.get_by_test_id("stPopoverBody")).to_have_count(0)


@pytest.mark.long
def test_every_page_opens_at_its_top(page: Page, app_url: str) -> None:
    scrolled = "() => document.querySelector('[data-testid=stMain]').scrollTop"
    open_batch(page, app_url)
    for title, place in (("Precision", ".st-key-dtypes table"), ("Compare settings", ".st-key-grad .js-plotly-plot")):
        go_to(page, title)
        expect(page.locator(place).first).to_be_visible(timeout=IDLE_MS)
        wait_idle(page)

        assert page.evaluate(scrolled) == 0
        expect(page.get_by_role("heading", level=1)).to_have_count(1)
        page.evaluate("() => document.querySelector('[data-testid=stMain]').scrollTo(0, 500)")
        assert page.evaluate(scrolled) > 0
