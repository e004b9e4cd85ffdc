"""A visit in a browser: its cookie, what a dropped line and a reload leave of it, and what an idle tab reads."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, WebSocket, expect

from harness.browser import (
    IDLE_MS,
    ROOT,
    Journal,
    Server,
    cell,
    edit_cell,
    editor,
    expect_kept,
    go_to,
    metric,
    open_page,
    serve,
    wait_drawn,
)

PATIENCE = """
class Patience(idle_visits.IdleLimits):
    seconds = property(lambda limits: 0.0 if os.path.exists({file!r}) else 3600.0, lambda limits, value: None)


app = st.App("""


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[tuple[Server, Path]]:
    """The same server, whose patience ends when this file is there."""
    file = tmp_path / "no-more-patience"
    text = (ROOT / "hosted.py").read_text("utf-8")
    for old, new in {
        "app = st.App(": PATIENCE.format(file=str(file)),
        "Middleware(idle_visits.IdleVisits)": "Middleware(idle_visits.IdleVisits, limits=Patience(look_seconds=0.2))",
        '"app.py"': repr(str(ROOT / "app.py")),
    }.items():
        assert old in text
        text = text.replace(old, new)
    script = tmp_path / "hosted.py"
    script.write_text(text, "utf-8")
    with serve(script) as server:
        yield server, file


def drop_lines(page: Page) -> None:
    """Close every websocket of the page, as a bad line does; the program in the page opens a new one."""
    page.evaluate("() => window.lines.splice(0).forEach(line => line.close())")


KEEP_LINES = """() => {
    window.lines = [];
    const Line = window.WebSocket;
    window.WebSocket = class extends Line { constructor(...all) { super(...all); window.lines.push(this); } };
}"""


@pytest.mark.long
def test_no_script_reads_the_cookie_and_a_visit_outlives_its_line_and_its_page(
    page: Page, hosted: Server, journal: Journal
) -> None:
    offered: list[WebSocket] = []
    page.on("websocket", lambda line: offered.append(line))
    page.add_init_script(f"({KEEP_LINES})()")
    open_page(page, f"{hosted.url}/?preset=worked-batch")
    wait_drawn(page)
    [cookie] = [cookie for cookie in page.context.cookies() if cookie["name"].startswith("xent_visit_")]
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["expires"]) == (True, "Lax", -1)
    assert "xent_visit" not in page.evaluate("document.cookie")

    edit_cell(page, editor(page, "logits"), 0, 1, "5")
    # by hand: log(e⁵ + e² + e³) - 3 = 2.169846, 1.407606 and 0.407606 stay: their mean
    expect(metric(page, "loss")).to_have_text("1.9950", timeout=IDLE_MS)
    token = "() => window.xentSession"
    before = page.evaluate(token)
    drop_lines(page)
    expect(cell(editor(page, "logits"), 0, 1)).to_have_attribute("aria-readonly", "false", timeout=IDLE_MS)
    wait_drawn(page)
    edit_cell(page, editor(page, "logits"), 0, 1, "1")
    expect(metric(page, "loss")).to_have_text("1.4076", timeout=IDLE_MS)
    assert len(offered) == 2
    assert page.evaluate(token) == before  # the same session of the server, not a new one that the tab told its table

    edit_cell(page, editor(page, "logits"), 0, 1, "5")
    expect(metric(page, "loss")).to_have_text("1.9950", timeout=IDLE_MS)
    page.reload()
    expect(metric(page, "loss")).to_have_text("1.9950", timeout=IDLE_MS)
    assert [one for one in page.context.cookies() if one["name"].startswith("xent_visit_")] == [cookie]


@pytest.mark.long
def test_a_browser_downloads_and_uploads_what_is_its_own(page: Page, hosted: Server, journal: Journal) -> None:
    open_page(page, hosted.url)
    go_to(page, "Export")
    wait_drawn(page)
    with page.expect_download(timeout=IDLE_MS) as told:
        page.locator("[class*=st-key-download_cross-entropy_json]").get_by_role("button").click()
    text = Path(told.value.path()).read_text("utf-8")
    assert '"logits"' in text
    uploader = page.locator(".st-key-import_file input[type=file]")
    uploader.set_input_files({"name": "a.json", "mimeType": "application/json", "buffer": text.encode()})
    expect(page.get_by_text("a.json").first).to_be_visible(timeout=IDLE_MS)
    expect(page.locator(".st-key-import_error")).to_have_count(0)
    journal.assert_quiet()


@pytest.mark.long
def test_a_tab_that_was_idle_reads_why_it_has_ended_and_goes_back_to_its_table(
    page: Page, impatient: tuple[Server, Path]
) -> None:
    server, file = impatient
    open_page(page, f"{server.url}/?preset=worked-batch")
    wait_drawn(page)
    edit_cell(page, editor(page, "logits"), 0, 1, "5")
    expect(metric(page, "loss")).to_have_text("1.9950", timeout=IDLE_MS)
    expect_kept(page, "5")
    file.touch()
    page.wait_for_url(re.compile("/away$"), timeout=IDLE_MS)
    expect(page.get_by_role("heading", name="This visit has ended")).to_be_visible()
    file.unlink()
    page.go_back()
    expect(metric(page, "loss")).to_have_text("1.9950", timeout=IDLE_MS)
