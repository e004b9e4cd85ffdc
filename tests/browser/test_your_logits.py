"""A dump in Chromium: its loss is PyTorch's, rows are chosen in every picture, one is opened elsewhere."""

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from playwright.sync_api import Locator, Page, expect

from harness.browser import (
    IDLE_MS,
    ROOT,
    WATCH,
    Journal,
    cell,
    editor,
    metric,
    open_dump_by_path,
    open_page,
    wait_drawn,
    wait_idle,
)
from harness.sample_dumps import sparse_dump
from xent_core.dump import analyse
from xent_ui.your_logits.flipped_digits import DIGITS
from xent_ui.your_logits.suspects import PICTURE_ROW_HEIGHT

ROWS, CLASSES = 120, 4
FREEZE_MS = 5 * 200  # the aim is 200; other tests keep the machine busy
TABLE_ROW_HEIGHT = 35  # Streamlit's, of the header too


def dump() -> tuple[np.ndarray, np.ndarray, bytes]:
    """Logits that are mostly right, their labels, and both as an .npz file."""
    chance = np.random.default_rng(3)
    target = chance.integers(0, CLASSES, ROWS)
    logits = chance.normal(size=(ROWS, CLASSES)).astype(np.float32)
    logits[np.arange(ROWS), target] += 2
    file = io.BytesIO()
    np.savez(file, logits=logits, target=target)
    return logits, target, file.getvalue()


def tick(grid: Locator, row: int) -> None:
    """Select a row of a table by the box before it."""
    canvas = grid.get_by_test_id("data-grid-canvas")
    canvas.click(position={"x": 15, "y": TABLE_ROW_HEIGHT * (row + 1.5)}, force=True)


def test_a_dump_is_uploaded_and_its_suspects_looked_at(page: Page, app_url: str, journal: Journal) -> None:
    logits, target, data = dump()
    z, y = torch.tensor(logits).double(), torch.tensor(target)
    open_page(page, f"{app_url}/your-logits")
    expect(metric(page, "budget")).to_have_text("1797", timeout=IDLE_MS)
    page.locator(".st-key-source").get_by_text("Upload", exact=True).click()
    page.locator(".st-key-dump_logits_file input[type=file]").set_input_files(
        {"name": "dump.npz", "mimeType": "application/octet-stream", "buffer": data}
    )
    expect(metric(page, "dump_loss")).to_have_text(f"{float(F.cross_entropy(z, y)):.4f}", timeout=IDLE_MS)
    expect(metric(page, "budget")).to_have_text(str(ROWS))

    ranked = analyse(logits, target).suspects.row  # tests/test_ranking.py says whether it is right
    wait_idle(page)
    grid = editor(page, "suspects")
    expect(cell(grid, 1, 2)).to_have_text(str(ranked[1]), timeout=IDLE_MS)
    expect(page.locator(".st-key-why")).to_contain_text(f"Why is row {ranked[0]} here?", timeout=IDLE_MS)
    tick(grid, 1)
    expect(page.locator(".st-key-why")).to_contain_text(f"Why is row {ranked[1]} here?", timeout=IDLE_MS)
    loss = F.cross_entropy(z[ranked[1]], y[ranked[1]])
    expect(metric(page, "why")).to_have_text(f"{float(loss):.4f}", timeout=IDLE_MS)
    page.get_by_role("button", name="Open in One example").click()
    expect(page.get_by_role("combobox", name="row", exact=True)).to_have_value(f"row {ranked[1]}", timeout=IDLE_MS)
    journal.assert_quiet()


SHOW_PICTURES = """([pictures, header, height]) => {
    // each picture is drawn in its row: brightness of 8 × 8 points of the canvas, from wherever it may begin
    const canvas = document.querySelector(".st-key-suspects [data-testid=data-grid-canvas]");
    if (!canvas) return false;
    const scale = canvas.width / canvas.getBoundingClientRect().width, context = canvas.getContext("2d");
    const correlation = (a, b) => {
        const mean = list => list.reduce((sum, x) => sum + x, 0) / list.length;
        const [p, q] = [a, b].map(list => list.map(x => x - mean(list)));
        const dot = (x, y) => x.reduce((sum, one, i) => sum + one * y[i], 0);
        return dot(p, q) / Math.sqrt(dot(p, p) * dot(q, q) || 1);
    };
    const side = height - 6, points = [...Array(64).keys()];
    return pictures.every((picture, row) => [...Array(60).keys()].some(left => correlation(picture, points.map(i => {
        const x = 34 + left + side * (i % 8 + 0.5) / 8, y = header + row * height + 3 + side * ((i >> 3) + 0.5) / 8;
        return context.getImageData(Math.round(x * scale), Math.round(y * scale), 1, 1).data[0];
    })) > 0.97));
}"""


@pytest.mark.long
def test_the_suspects_of_the_digits_show_their_pictures(page: Page, app_url: str, journal: Journal) -> None:
    with np.load(DIGITS) as held:
        images = held["images"]
    ranked = analyse(DIGITS, fit_temperature=False).suspects.row
    open_page(page, f"{app_url}/your-logits")
    expect(metric(page, "budget")).to_have_text("1797", timeout=IDLE_MS)
    grid = editor(page, "suspects")
    expect(cell(grid, 1, 3)).to_have_text(str(ranked[1]), timeout=IDLE_MS)
    grid.scroll_into_view_if_needed()

    first = [images[row].ravel().tolist() for row in ranked[:6]]
    page.wait_for_function(SHOW_PICTURES, arg=[first, TABLE_ROW_HEIGHT, PICTURE_ROW_HEIGHT], timeout=IDLE_MS)
    picture = page.get_by_alt_text(f"Picture of row {ranked[0]}")
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 96
    journal.assert_quiet()


def chosen_words(page: Page) -> Locator:
    return page.locator(".st-key-dump_chosen")


def drag(page: Page, key: str, start: float, end: float) -> None:
    """Drag over a picture from one share of its width to another."""
    plot = page.locator(f".st-key-{key} .nsewdrag").first
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + start * box["width"], y)
    page.mouse.down()
    page.mouse.move(box["x"] + (start + end) / 2 * box["width"], y, steps=4)
    page.mouse.move(box["x"] + end * box["width"], y, steps=4)
    page.mouse.up()


@pytest.mark.long
def test_the_digits_go_all_the_way(page: Page, app_url: str, journal: Journal, tmp_path: Path) -> None:
    """A small classifier is trained; its dump goes through the command line, the page and the report."""
    dump_file, report = tmp_path / "digits.npz", tmp_path / "report.html"
    for command in (
        ["scripts.make_digits_dump", str(dump_file), "--seed", "3"],
        ["xent_core", "analyse", str(dump_file), "--report", str(report), "--json"],
    ):
        ran = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, timeout=180)
        assert ran.returncode == 0, ran.stderr
    numbers = json.loads(ran.stdout)
    with np.load(dump_file) as held:
        z, y = torch.tensor(held["logits"]).double(), torch.tensor(held["target"])
        ids = held["ids"]
    loss = f"{float(F.cross_entropy(z, y)):.4f}"
    assert f"{numbers['loss']:.4f}" == loss

    open_dump_by_path(page, app_url, dump_file)
    expect(metric(page, "dump_loss")).to_have_text(loss, timeout=IDLE_MS)
    expect(page.locator(".st-key-budget")).to_contain_text(f"{numbers['accuracy']:.2%}")
    first = int(analyse(dump_file).suspects.row[0])
    wait_drawn(page)
    expect(cell(editor(page, "suspects"), 0, 3)).to_have_text(str(first), timeout=IDLE_MS)
    expect(cell(editor(page, "suspects"), 0, 4)).to_have_text(str(ids[first]))

    journal.assert_quiet()
    page.goto(report.as_uri())
    expect(page.get_by_role("heading", level=1)).to_have_text("digits.npz")
    expect(page.locator(".numbers")).to_contain_text(f"{numbers['accuracy']:.2%}")
    suspect = page.locator("table").last.locator("tr").nth(1)
    expect(suspect).to_contain_text(str(first))
    assert suspect.locator("img").evaluate("image => image.naturalWidth") == 96


@pytest.mark.long
def test_what_is_chosen_in_one_picture_is_shown_by_the_others(page: Page, app_url: str, journal: Journal) -> None:
    open_page(page, f"{app_url}/your-logits")
    expect(metric(page, "budget")).to_have_text("1797", timeout=IDLE_MS)
    wait_drawn(page)
    drag(page, "loss_histogram", 0.5, 0.99)
    expect(chosen_words(page)).to_contain_text("of 1797 rows are chosen", timeout=IDLE_MS)
    expect(chosen_words(page)).to_contain_text("loss")
    expect(page.locator(".st-key-pairs")).to_contain_text("Of the rows in the chosen ranges.")
    wait_drawn(page)
    matrix = page.locator(".st-key-pair_matrix .nsewdrag").first
    matrix.scroll_into_view_if_needed()
    wait_drawn(page)
    box = matrix.bounding_box()
    assert box is not None
    matrix.click(
        position={"x": 0.25 * box["width"], "y": 0.35 * box["height"]}
    )  # where it stands still: label 3, prediction 2
    expect(page.get_by_role("combobox", name="prediction")).to_have_value("digit 2", timeout=IDLE_MS)
    expect(page.get_by_role("combobox", name="label")).to_have_value("digit 3")
    wait_drawn(page)
    page.get_by_role("button", name="All rows").click()
    expect(chosen_words(page)).to_have_count(0, timeout=IDLE_MS)
    journal.assert_quiet()


@pytest.mark.long
def test_a_dump_of_four_gigabytes_is_summed_up_on_screen_while_it_streams(
    page: Page, app_url: str, journal: Journal, tmp_path: Path
) -> None:
    """A sparse file of zeros: every loss is ln 1000, and what matters is that nothing waits for it."""
    sparse_dump(tmp_path, 1_000_000)
    open_dump_by_path(page, app_url, tmp_path / "large.npy", tmp_path / "labels.npy")
    expect(page.get_by_text("Of the rows so far.")).to_be_visible(timeout=IDLE_MS)
    page.evaluate(WATCH)
    expect(metric(page, "dump_loss")).to_have_text("6.9078")
    expect(metric(page, "budget")).to_have_text("1000000", timeout=4 * IDLE_MS)
    waits = page.evaluate("() => window.__waits")

    assert waits["server"] < FREEZE_MS
    assert waits["browser"] < FREEZE_MS
    journal.assert_quiet()


@pytest.mark.long
def test_epochs_are_mapped_and_a_point_or_an_area_is_chosen(
    page: Page, app_url: str, journal: Journal, tmp_path: Path
) -> None:
    chance = np.random.default_rng(3)
    target = chance.integers(0, CLASSES, ROWS)
    log = [chance.normal(size=(ROWS, CLASSES)) + strength * np.eye(CLASSES)[target] for strength in (0, 1, 2, 3)]
    for number, logits in enumerate(log):
        np.savez(tmp_path / f"epoch_{number}.npz", logits=logits.astype(np.float32), target=target)
    open_dump_by_path(page, app_url, tmp_path)
    page.get_by_role("button", name="Epochs of one run").click()
    epochs = page.locator(".st-key-epochs")
    expect(epochs).to_contain_text("learnt and forgotten", timeout=IDLE_MS)
    wait_drawn(page)
    found = analyse(tmp_path, epochs=True).epochs
    assert found is not None

    row = int(np.argmin(found.confidence))  # alone at the bottom
    point = epochs.locator(".scatterlayer .trace").first.locator("path.point").nth(row)
    point.hover(force=True)  # what lies above it takes the mouse for it
    expect(epochs.locator(".hoverlayer .hovertext")).to_be_visible()
    page.mouse.down()
    page.mouse.up()
    why = page.locator(".st-key-why")
    expect(why).to_contain_text(f"Why is row {row} here?", timeout=IDLE_MS)
    expect(why).to_contain_text("Over 4 epochs")
    expect(chosen_words(page)).to_have_count(0)
    page.get_by_role("radio", name="Drag over an area").click()
    expect(epochs).to_contain_text("follow an area", timeout=IDLE_MS)
    wait_drawn(page)
    drag(page, "data_map", 0.3, 0.95)
    expect(chosen_words(page)).to_contain_text(f"of {ROWS} rows are chosen", timeout=IDLE_MS)
    expect(chosen_words(page)).to_contain_text("variability")
    journal.assert_quiet()


def upload(page: Page, data: bytes) -> None:
    page.locator(".st-key-source").get_by_text("Upload", exact=True).click()
    page.locator(".st-key-dump_logits_file input[type=file]").set_input_files(
        {"name": "dump.npz", "mimeType": "application/octet-stream", "buffer": data}
    )
    expect(metric(page, "budget")).to_have_text(str(ROWS), timeout=IDLE_MS)


@pytest.mark.long
def test_an_upload_comes_back_with_its_page_and_after_a_reload_it_is_asked_for(
    page: Page, app_url: str, journal: Journal
) -> None:
    data = dump()[2]
    open_page(page, f"{app_url}/your-logits")
    upload(page, data)
    wait_drawn(page)
    page.locator(".xent-gallery .card").first.get_by_role("button", name="Drop").click()
    expect(page.get_by_role("button", name="Save as CSV (1)")).to_be_enabled(timeout=IDLE_MS)
    page.get_by_role("button", name="Open in One example").click()
    expect(page.get_by_role("combobox", name="row", exact=True)).to_be_visible(timeout=IDLE_MS)
    page.go_back()
    expect(page.get_by_text("Still open: dump.npz")).to_be_visible(timeout=IDLE_MS)
    expect(metric(page, "budget")).to_have_text(str(ROWS), timeout=IDLE_MS)
    expect(page.locator(".xent-gallery .done")).to_have_text(f"1 of {ROWS} decided", timeout=IDLE_MS)
    wait_drawn(page)

    page.reload()
    expect(page.get_by_text("Before the reload a file of yours was open here.")).to_be_visible(timeout=IDLE_MS)
    wait_drawn(page)
    upload(page, data)
    expect(page.locator(".xent-gallery .done")).to_have_text(f"1 of {ROWS} decided", timeout=IDLE_MS)
    expect(page.get_by_text("Before the reload")).to_have_count(0)
    journal.assert_quiet()
