"""A dump in Chromium: uploaded, its loss PyTorch's, a suspect and a pair chosen, a row opened elsewhere."""

import io

import numpy as np
import torch
import torch.nn.functional as F
from playwright.sync_api import Locator, Page, expect

from tests.browser.helpers import IDLE_MS, Journal, cell, editor, go_to, metric, open_page, wait_idle

ROWS, CLASSES = 120, 4
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
    open_page(page, app_url)
    go_to(page, "Your logits")
    expect(metric(page, "budget")).to_have_text("1797", timeout=IDLE_MS)
    page.locator(".st-key-source").get_by_text("Upload", exact=True).click()
    page.locator(".st-key-dump_logits_file input[type=file]").set_input_files(
        {"name": "dump.npz", "mimeType": "application/octet-stream", "buffer": data}
    )
    expect(metric(page, "dump_loss")).to_have_text(f"{float(F.cross_entropy(z, y)):.4f}", timeout=IDLE_MS)
    expect(metric(page, "budget")).to_have_text(str(ROWS))

    others = logits.copy()
    others[np.arange(ROWS), target] = -np.inf
    ranked = np.argsort(logits[np.arange(ROWS), target] - others.max(1), kind="stable")
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
