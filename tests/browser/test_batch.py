"""What a person does on the batch page, in Chromium."""

import math

import pytest
import torch
import torch.nn.functional as F
from playwright.sync_api import Locator, Page, Route, expect

from harness.browser import (
    IDLE_MS,
    Journal,
    cell,
    edit_cell,
    editor,
    expect_heatmap,
    expect_kept,
    expect_not_kept,
    heatmap_z,
    metric,
    open_page,
    paste,
    select_cell,
    selected_cell,
)


def open_batch(page: Page, url: str) -> None:
    open_page(page, url)
    expect(page.locator(".st-key-grad .heatmap td, .st-key-grad .heatmap canvas").first).to_be_visible(timeout=30_000)
    expect(editor(page, "logits").get_by_test_id("data-grid-canvas")).to_be_visible()
    expect(editor(page, "target").get_by_test_id("data-grid-canvas")).to_be_visible()


def expect_loss(page: Page, value: float | torch.Tensor) -> None:
    expect(metric(page, "loss")).to_have_text(f"{float(value):.4f}", timeout=IDLE_MS)


def tick(page: Page, row: int, column: int) -> None:
    """Go to a box of the target with the arrow keys, and toggle it."""
    grid = editor(page, "target")
    for _ in range(2):  # after an edit in another table the first click only brings the focus
        if selected_cell(grid) is None:
            # beside the first box: a click into it would tick it
            grid.get_by_test_id("data-grid-canvas").click(position={"x": 5, "y": 36 * 1.5}, force=True)
            page.wait_for_timeout(300)
    select_cell(page, grid, row, column)
    page.keyboard.press("Space")


def test_a_click_into_a_box_ticks_it(page: Page, app_url: str) -> None:
    open_batch(page, app_url)
    canvas = editor(page, "target").get_by_test_id("data-grid-canvas")
    box = canvas.bounding_box()
    assert box is not None
    # the middle of the first of three equal columns, however wide the fourth is
    for x in range(10, int(box["width"] / 3), 6):
        canvas.click(position={"x": x, "y": 36 * 1.5}, force=True)
        page.wait_for_timeout(400)
        if metric(page, "loss").inner_text() != "1.4076":
            break

    expect_loss(page, (2.4076059 + 1.4076059 + 2.4076059) / 3)


def expect_texts(grid: Locator, rows: list[list[str]]) -> None:
    """Wait until these are the first rows: the texts of the editor lag behind what it shows."""
    for i, row in enumerate(rows):
        for k, text in enumerate(row):
            expect(cell(grid, i, k)).to_have_text(text, timeout=IDLE_MS)


def choose(page: Page, label: str, option: str) -> None:
    page.get_by_role("combobox", name=label).first.click()
    page.get_by_role("option", name=option, exact=True).click()


def test_typing_a_logit_moves_every_number(page: Page, app_url: str, journal: Journal) -> None:
    open_batch(page, app_url)
    expect_loss(page, 1.4076)
    edit_cell(page, editor(page, "logits"), 0, 2, "-3.25")
    logits = torch.tensor([[1.0, -3.25, 3], [1, 2, 3], [1, 2, 3]], requires_grad=True)
    loss = F.cross_entropy(logits, torch.tensor([2, 1, 0]))
    loss.backward()
    expect_loss(page, loss.detach())

    assert logits.grad is not None
    expect_heatmap(page, "grad", logits.grad.tolist(), atol=1e-6)
    expect_heatmap(page, "probs", logits.detach().softmax(1).tolist(), atol=1e-6)
    journal.assert_quiet()


@pytest.mark.long
def test_typing_a_logit_back_brings_the_loss_back(page: Page, app_url: str) -> None:
    open_batch(page, app_url)
    edit_cell(page, editor(page, "logits"), 2, 1, "5")
    expect_loss(page, F.cross_entropy(torch.tensor([[1.0, 2, 3]] * 2 + [[5, 2, 3]]), torch.tensor([2, 1, 0])))
    edit_cell(page, editor(page, "logits"), 2, 1, "1")

    expect_loss(page, 1.4076)


def test_what_is_no_number_is_named_and_the_cell_keeps_its_number(page: Page, app_url: str) -> None:
    open_batch(page, app_url)
    edit_cell(page, editor(page, "logits"), 1, 1, "7,5")

    expect(page.locator(".st-key-findings")).to_contain_text("row 1, class 0")
    expect(page.locator(".st-key-findings")).to_contain_text("7.5")
    expect(cell(editor(page, "logits"), 1, 1)).to_have_text("1")
    expect_loss(page, 1.4076)


def test_a_tick_moves_the_label(page: Page, app_url: str) -> None:
    open_batch(page, app_url)
    tick(page, 0, 0)
    expect_loss(page, (2.4076059 + 1.4076059 + 2.4076059) / 3)
    expect(cell(editor(page, "target"), 0, 0)).to_have_text("true")
    tick(page, 0, 1)

    expect_loss(page, (1.4076059 + 1.4076059 + 2.4076059) / 3)
    expect_texts(editor(page, "target"), [["false", "true", "false", "false"]])


def test_a_block_from_a_spreadsheet_can_be_pasted(page: Page, app_url: str) -> None:
    open_batch(page, app_url)
    paste(page, editor(page, "logits"), 1, 1, "4\t-.5\t1e-1\n0\t0\t0")
    logits = torch.tensor([[1.0, 2, 3], [4, -0.5, 0.1], [0, 0, 0]])

    expect_loss(page, F.cross_entropy(logits, torch.tensor([2, 1, 0])))


@pytest.mark.long
def test_a_preset_replaces_pending_edits_and_undo_brings_them_back(page: Page, app_url: str) -> None:
    open_batch(page, app_url)
    edit_cell(page, editor(page, "logits"), 0, 2, "9")
    edited = F.cross_entropy(torch.tensor([[1.0, 9, 3], [1, 2, 3], [1, 2, 3]]), torch.tensor([2, 1, 0]))
    expect_loss(page, edited)
    choose(page, "Preset", "Uniform logits: the loss is ln C")
    expect_loss(page, math.log(4))
    expect_texts(editor(page, "logits"), [[f"row {i}", "0", "0", "0", "0"] for i in range(4)])
    page.get_by_role("button", name="Undo").click()

    expect_loss(page, edited)
    expect(cell(editor(page, "logits"), 0, 2)).to_have_text("9")


def test_a_reload_of_the_tab_keeps_what_was_typed(page: Page, app_url: str) -> None:
    open_batch(page, f"{app_url}/?preset=worked-row-0")
    edit_cell(page, editor(page, "logits"), 0, 1, "0.25")
    loss = F.cross_entropy(torch.tensor([[0.25, 2, 3]]), torch.tensor([0]))
    expect_loss(page, loss)
    expect_kept(page, "0.25")
    page.reload()
    expect_loss(page, loss)
    expect(cell(editor(page, "logits"), 0, 1)).to_have_text("0.25")
    page.goto("about:blank")  # from the same address it would be a reload
    page.goto(f"{app_url}/?preset=worked-row-0")
    expect_not_kept(page, "0.25")  # only now is it settled what the tab shows

    expect_loss(page, 2.4076)  # a link that is opened anew shows what it names


@pytest.mark.long
def test_a_reload_of_another_page_keeps_the_table_too(page: Page, app_url: str) -> None:
    open_batch(page, app_url)
    edit_cell(page, editor(page, "logits"), 0, 1, "-1")
    expect_kept(page, '"-1"')
    loss = F.cross_entropy(torch.tensor([[-1.0, 2, 3], [1, 2, 3], [1, 2, 3]]), torch.tensor([2, 1, 0]))
    expect_loss(page, loss)
    page.get_by_test_id("stSidebarNav").get_by_role("link", name="Implementations").click()
    shown = page.locator(".st-key-implementations").get_by_test_id("stMetricValue").first
    expect(shown).to_have_text(f"{float(loss):.4f}", timeout=IDLE_MS)
    page.reload()

    expect(shown).to_have_text(f"{float(loss):.4f}", timeout=IDLE_MS)


@pytest.mark.long
def test_two_tabs_do_not_mix(page: Page, app_url: str) -> None:
    other = page.context.new_page()
    open_batch(page, app_url)
    open_batch(other, app_url)
    page.bring_to_front()
    edit_cell(page, editor(page, "logits"), 0, 1, "5")
    expect_loss(page, F.cross_entropy(torch.tensor([[5.0, 2, 3], [1, 2, 3], [1, 2, 3]]), torch.tensor([2, 1, 0])))
    other.bring_to_front()
    other.reload()

    expect_loss(other, 1.4076)


@pytest.mark.long
def test_leaving_the_page_and_coming_back_keeps_edits_and_labels(page: Page, app_url: str) -> None:
    open_batch(page, app_url)
    edit_cell(page, editor(page, "logits"), 0, 1, "-1")
    tick(page, 1, 0)
    loss = F.cross_entropy(torch.tensor([[-1.0, 2, 3], [1, 2, 3], [1, 2, 3]]), torch.tensor([2, 0, 0]))
    expect_loss(page, loss)
    menu = page.get_by_test_id("stSidebarNav")
    menu.get_by_role("link", name="Step by step").click()
    expect(metric(page, "loss")).to_have_count(0)
    menu.get_by_role("link", name="Batch").click()
    expect_loss(page, loss)
    edit_cell(page, editor(page, "logits"), 0, 2, "0")

    expect_loss(page, F.cross_entropy(torch.tensor([[-1.0, 0, 3], [1, 2, 3], [1, 2, 3]]), torch.tensor([2, 0, 0])))


def test_a_click_on_a_cell_says_why_it_holds_its_number(page: Page, app_url: str) -> None:
    open_batch(page, app_url)
    page.locator(".st-key-grad .heatmap tbody td").nth(4).click()

    # KaTeX keeps the formula as it was written in an annotation
    expect(page.locator(".st-key-why annotation").first).to_contain_text("0.2447 - 1", timeout=IDLE_MS)
    expect(page.locator(".st-key-why annotation").first).to_contain_text("-0.2518")
    expect(page.locator(".st-key-grad .heatmap td.chosen")).to_have_text("−0.2518")


@pytest.mark.long
def test_a_cell_can_be_asked_about_by_keyboard_alone(page: Page, app_url: str) -> None:
    open_batch(page, app_url)
    row = page.locator(".st-key-why").get_by_role("combobox", name="row")
    row.focus()
    row.press("ArrowDown")
    page.keyboard.press("Home")
    page.keyboard.press("Enter")

    expect(page.locator(".st-key-why annotation").first).to_contain_text("z_{0,0}", timeout=IDLE_MS)


@pytest.mark.long
def test_the_check_opens_to_a_picture_of_the_differences(page: Page, app_url: str) -> None:
    open_batch(page, app_url)
    page.locator(".st-key-check summary").click()

    expect(page.locator(".st-key-check .heatmap table")).to_have_count(2, timeout=IDLE_MS)
    differences = heatmap_z(page, "check")
    assert differences is not None
    assert max(abs(value) for row in differences for value in row) < 1e-6


@pytest.mark.long
def test_the_exact_numbers_can_be_downloaded(page: Page, app_url: str) -> None:
    open_batch(page, app_url)
    page.locator(".st-key-numbers summary").click()
    page.locator(".st-key-numbers").get_by_role("tab", name="gradient").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="gradient as CSV").click()
    lines = download.value.path().read_text("utf-8").splitlines()
    logits = torch.tensor([[1.0, 2, 3]] * 3, requires_grad=True)
    F.cross_entropy(logits, torch.tensor([2, 1, 0])).backward()

    assert logits.grad is not None
    assert lines[0] == "row,class 0,class 1,class 2"
    read = torch.tensor([[float(text) for text in line.split(",")[1:]] for line in lines[1:]])
    assert torch.equal(read, logits.grad)  # to the last bit


def test_rows_of_editors_and_heatmaps_line_up(page: Page, app_url: str) -> None:
    open_batch(page, app_url)
    selectors = [
        *(f".st-key-{key} [data-testid=stDataFrame]" for key in ("logits", "target")),
        *(f".st-key-{key} .heatmap" for key in ("probs", "grad")),
    ]
    # all in one frame: on a busy machine they move together while the page opens
    edges = page.evaluate(
        "selectors => selectors.map(one => document.querySelector(one).getBoundingClientRect().top)", selectors
    )

    assert max(edges) - min(edges) <= 2
    assert max(edges) + 4 * 36 < 900  # the first screen holds them without scrolling


@pytest.mark.parametrize("path", ["/batch", "/step-by-step"])
def test_a_link_to_a_page_opens_it_on_a_server_that_knows_nobody(page: Page, app_url: str, path: str) -> None:
    open_page(page, app_url + path)

    expect(page.get_by_test_id("stMain").get_by_role("heading").first).to_be_visible(timeout=30_000)
    expect(page.get_by_test_id("stException")).to_have_count(0)


@pytest.mark.long
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_a_phone(page: Page, app_url: str, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": 390, "height": 844})
    open_batch(page, f"{app_url}/?preset=digits")

    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    main = page.get_by_test_id("stMain")
    assert main.evaluate("main => main.scrollWidth <= main.clientWidth + 1")


@pytest.mark.long
def test_what_is_typed_first_arrives_whole_on_a_slow_line(page: Page, app_url: str) -> None:
    """Streamlit fetches the code of an open cell at the first key; the keys until it came would be lost."""
    open_batch(page, app_url)
    page.wait_for_load_state("networkidle")
    late: list[str] = []

    def linger(route: Route) -> None:
        late.append(route.request.url)
        page.wait_for_timeout(1500)
        route.continue_()

    page.route("**/*.js", linger)
    select_cell(page, editor(page, "logits"), 0, 1)
    page.keyboard.type("-3.25", delay=50)
    page.keyboard.press("Enter")

    expect(cell(editor(page, "logits"), 0, 1)).to_have_text("-3.25", timeout=IDLE_MS)
    assert not late
