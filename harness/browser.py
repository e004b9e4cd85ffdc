"""Drive the app in Chromium: start it, open a page, edit a cell, read a heatmap.

Locators that hold in Streamlit 1.67:
  .st-key-KEY                                the element or container with that key
  [data-testid=stDataFrame]                  an editor or a table; its canvas is [data-testid=data-grid-canvas]
  #glide-cell-COLUMN-ROW                     a cell in the editor's hidden accessibility grid, with its text
  [data-testid=portal] .gdg-clip-region      the open cell
  [data-testid=stPlotlyChart] .js-plotly-plot
  .st-key-probs .heatmap                     a matrix that we draw; its property `values` holds the numbers
  [data-testid=stApp][data-test-script-state=notRunning]
"""

import contextlib
import math
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlparse

from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Playwright, Request, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeout

ROOT = Path(__file__).resolve().parents[1]
DESKTOP = (1440, 900)
ROW_HEIGHT = 36  # of our editors, so that their rows line up with the heatmaps'
START_SECONDS = 60
IDLE_MS = 30_000

NO_CHROMIUM = "There is no Chromium on this machine. Install the package chromium, or run: playwright install chromium"
CHROMIUM_FLAGS = [
    "--no-sandbox",  # Chromium refuses to start for root without it
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    # Nothing of its own leaves the machine.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-sync",
    "--metrics-recording-only",
    "--no-first-run",
    "--no-pings",
]

# On a link to a page, Streamlit asks there for what only the root has, and the console shows the 404.
SEARCH_FOR_THE_ROOT = re.compile(r"//[^/]+/[^/]+/_stcore/(health|host-config)$")


# The server


@dataclass(frozen=True)
class Server:
    """A running server, and where it writes its log."""

    url: str
    process: subprocess.Popen[bytes]
    log_file: Path

    def log(self) -> str:
        return self.log_file.read_text("utf-8", errors="replace")


@contextlib.contextmanager
def serve(script: Path = ROOT / "app.py", *options: str, folder: Path = ROOT, port: int = 0) -> Iterator[Server]:
    """The script behind Streamlit, until the block ends.

    Args:
      script: what to run.
      options: further options of `streamlit run`.
      folder: the working directory, for its configuration.
      port: 0 for a free one.
    Raises: RuntimeError with the server's log if it does not answer.
    """
    port = port or free_port()
    command = [
        *("streamlit", "run", str(script)),
        f"--server.port={port}",
        "--server.address=127.0.0.1",
        "--server.headless=true",
        "--browser.gatherUsageStats=false",
        *options,
    ]
    with serve_module(command, port, folder=folder, health="/_stcore/health") as server:
        yield server


@contextlib.contextmanager
def serve_module(command: list[str], port: int, *, folder: Path = ROOT, health: str = "/") -> Iterator[Server]:
    """What `python -m` with this command serves on the port, once the address `health` answers, until the block ends.

    Raises: RuntimeError with the server's log if it does not answer.
    """
    with tempfile.TemporaryDirectory() as scratch:
        log_file = Path(scratch) / "server.log"
        with log_file.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *command], cwd=folder, stdout=log, stderr=subprocess.STDOUT
            )
        server = Server(f"http://127.0.0.1:{port}", process, log_file)
        try:
            _wait_until_healthy(server, health)
            yield server
        finally:
            _end(process)


def free_port() -> int:
    """A port of this machine that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_healthy(server: Server, health: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.process.poll() is None:
        with (
            contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError),
            urllib.request.urlopen(server.url + health, timeout=2) as answer,
        ):
            if answer.status == 200:
                return
        time.sleep(0.1)  # between two questions to a server that starts
    code = server.process.poll()
    what = f"was silent for {START_SECONDS} s" if code is None else f"ended with code {code}"
    raise RuntimeError(f"The server {what}. Its log:\n{server.log()}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


# The browser


def find_chromium(playwright: Playwright) -> str | None:
    """The system's Chromium or Chrome, else the one that `playwright install` fetched, else None."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    own = playwright.chromium.executable_path
    return own if Path(own).exists() else None


def launch(playwright: Playwright) -> Browser:
    """A headless Chromium that talks to nobody but the pages it is shown.

    Raises: FileNotFoundError if there is none on this machine.
    """
    path = find_chromium(playwright)
    if path is None:
        raise FileNotFoundError(NO_CHROMIUM)
    return playwright.chromium.launch(executable_path=path, headless=True, args=CHROMIUM_FLAGS)


def desktop_page(browser: Browser) -> Page:
    """An empty page of a visitor whom the browser does not know, as large as DESKTOP."""
    width, height = DESKTOP
    return browser.new_context(viewport={"width": width, "height": height}).new_page()


@dataclass
class Journal:
    """What a page said and asked for that it should not have."""

    errors: list[str] = field(default_factory=list)  # console errors and uncaught exceptions
    warnings: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)  # addresses of other machines

    def watch(self, page: Page) -> None:
        page.on("console", self._note_message)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", self._note_request)
        page.on("websocket", lambda socket: self._note_address(socket.url))

    def assert_quiet(self) -> None:
        """No console error so far, and not a request that left this machine."""
        assert not self.errors, "the console shows:\n" + "\n".join(self.errors)
        assert not self.outside, "requests left this machine:\n" + "\n".join(self.outside)

    def _note_message(self, message: ConsoleMessage) -> None:
        source = message.location.get("url", "")
        if message.type == "error" and not SEARCH_FOR_THE_ROOT.search(source):
            self.errors.append(f"{message.text} ({source})")
        elif message.type == "warning":
            self.warnings.append(message.text)

    def _note_request(self, request: Request) -> None:
        self._note_address(request.url)

    def _note_address(self, url: str) -> None:
        address = urlparse(url)
        if address.scheme not in ("data", "blob", "about") and address.hostname not in ("127.0.0.1", "localhost"):
            self.outside.append(url)


# Pages


def open_page(page: Page, url: str) -> None:
    """Go there and wait until the page has run once."""
    page.goto(url)
    expect(page.get_by_test_id("stMain").get_by_test_id("stElementContainer").first).to_be_attached(timeout=IDLE_MS)
    wait_idle(page)


def wait_idle(page: Page) -> None:
    """Wait until the page is connected and its script has ended.

    Both also hold before the first run and in the 150 ms before an edit is sent: wait for the number you expect.
    """
    page.wait_for_selector(
        "[data-testid=stApp][data-test-connection-state=CONNECTED][data-test-script-state=notRunning]",
        timeout=IDLE_MS,
    )


def wait_drawn(page: Page) -> None:
    """Wait until every chart and every table shows itself: their code loads late, after the script has ended."""
    wait_idle(page)
    page.wait_for_load_state("networkidle")
    page.wait_for_function(
        """() => {
            const wide = element => element?.getBoundingClientRect().width > 0;
            const all = (outer, inner) => [...document.querySelectorAll(outer)].every(
                element => !element.checkVisibility() || wide(element.querySelector(inner)));
            return !document.querySelector('[data-testid=stSkeleton]')
                && all('[data-testid=stPlotlyChart]', '.js-plotly-plot .main-svg')
                && all('.heatmap', 'table, canvas')
                && all('[data-testid=stDataFrame]', '[data-testid=data-grid-canvas]');
        }""",
        timeout=IDLE_MS,
    )


def wait_rested(page: Page) -> None:
    """Wait until the part of the page has come that follows an edit once the hand rests."""
    page.wait_for_function("() => (document.querySelector('p[data-rest]')?.dataset.rest ?? '0') !== '0'")
    wait_idle(page)


def go_to(page: Page, title: str) -> None:
    """Choose a page in the menu."""
    page.get_by_test_id("stSidebarNav").get_by_role("link", name=title, exact=True).click()
    wait_idle(page)


def metric(page: Page, key: str) -> Locator:
    """The value of the first metric in the container of that key; for the loss, `metric(page, "loss")`."""
    return page.locator(f".st-key-{key}").get_by_test_id("stMetricValue").first


# Editors


def editor(page: Page, key: str) -> Locator:
    """The first editor in the container of that key."""
    return page.locator(f".st-key-{key}").get_by_test_id("stDataFrame").first


def cell(grid: Locator, row: int, column: int) -> Locator:
    """The hidden accessible cell; row 0 is the first of the data, column 0 the first shown: the row name."""
    return grid.locator(f"#glide-cell-{column}-{row}")


def selected_cell(grid: Locator) -> tuple[int, int] | None:
    """(row, column) of the selected cell."""
    chosen = grid.locator("[role=gridcell][aria-selected=true]")
    if chosen.count() == 0:
        return None
    column, row = (chosen.first.get_attribute("id") or "").split("-")[2:]  # glide-cell-COLUMN-ROW
    return int(row), int(column)


def select_cell(page: Page, grid: Locator, row: int, column: int) -> None:
    """Select a cell with one click and the arrow keys: no widths of columns needed."""
    _focus(page, grid)
    while (at := selected_cell(grid)) != (row, column):
        assert at is not None, "the editor lost its selection"
        if at[1] != column:
            page.keyboard.press("ArrowRight" if at[1] < column else "ArrowLeft")
        else:
            page.keyboard.press("ArrowDown" if at[0] < row else "ArrowUp")
        # the hidden grid tells of a move late: the one just made may have been to the cell that it named before it
        with contextlib.suppress(PlaywrightTimeout):
            page.wait_for_function(
                """([grid, old]) => {
                    const chosen = grid.querySelector('[role=gridcell][aria-selected=true]');
                    return chosen && chosen.id !== old;
                }""",
                arg=[grid.element_handle(), f"glide-cell-{at[1]}-{at[0]}"],
                timeout=2_000,
            )


def _focus(page: Page, grid: Locator) -> None:
    canvas = grid.get_by_test_id("data-grid-canvas")
    expect(canvas).to_be_visible()
    if selected_cell(grid) is not None and grid.evaluate("grid => grid.contains(document.activeElement)"):
        return
    canvas.click(position={"x": 60, "y": ROW_HEIGHT * 1.5}, force=True)
    expect(grid.locator("[role=gridcell][aria-selected=true]")).to_have_count(1)
    if _open_cell(page).count():  # the second click on a selected cell opens it
        page.keyboard.press("Escape")
        expect(_open_cell(page)).to_have_count(0)


def _open_cell(page: Page) -> Locator:
    return page.get_by_test_id("portal").locator(".gdg-clip-region")


def type_into_cell(page: Page, grid: Locator, row: int, column: int, text: str) -> None:
    """Open a cell and put the text in, without the Enter that would send it.

    Two things matter: Enter opens the cell, because its code loads late and would miss the first keys typed;
    and the event loop turns once after the text is in, because an Enter before that sends the old text.
    """
    select_cell(page, grid, row, column)
    page.keyboard.press("Enter")
    box = _open_cell(page).locator(".gdg-input")
    expect(box).to_be_visible()
    box.fill(text)
    expect(box).to_have_value(text)
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done, 0)))")


def edit_cell(page: Page, grid: Locator, row: int, column: int, text: str) -> None:
    """Type a text into a cell and send it; wait afterwards for what it should change."""
    type_into_cell(page, grid, row, column, text)
    page.keyboard.press("Enter")
    expect(_open_cell(page)).to_have_count(0)


def paste(page: Page, grid: Locator, row: int, column: int, text: str) -> None:
    """Paste a block, tabs between cells and a line per row, with its upper left corner in that cell.

    The texts of the hidden cells lag behind until the next key: wait for a number outside the editor.
    """
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate("text => navigator.clipboard.writeText(text)", text)
    select_cell(page, grid, row, column)
    page.keyboard.press("ControlOrMeta+v")


# Heatmaps


def heatmap_z(page: Page, key: str) -> list[list[float]] | None:
    """The numbers of the first matrix in the container of that key, drawn by us or by Plotly; None while there is none.

    Plotly's are NaN where it draws nothing.
    """
    z: list[list[float]] | None = page.evaluate(
        """key => {
            const ours = document.querySelector(`.st-key-${key} .heatmap`);
            if (ours?.values) return ours.values;
            const plots = document.querySelectorAll(`.st-key-${key} .js-plotly-plot`);
            for (const plot of plots) for (const [drawn] of plot.calcdata ?? [])
                if (drawn.trace.type === 'heatmap') return drawn.z.map(row => Array.from(row, v => v ?? NaN));
            return null;
        }""",
        key,
    )
    return z


def expect_heatmap(page: Page, key: str, rows: list[list[float]], *, atol: float = 5e-5) -> None:
    """Wait until the heatmap shows these numbers, by default to four decimals."""
    deadline = time.monotonic() + IDLE_MS / 1000
    while not _close(shown := heatmap_z(page, key), rows, atol):
        assert time.monotonic() < deadline, f"heatmap {key} shows {shown}, expected {rows}"
        page.wait_for_timeout(50)


def _close(shown: list[list[float]] | None, rows: list[list[float]], atol: float) -> bool:
    if shown is None or [len(row) for row in shown] != [len(row) for row in rows]:
        return False
    pairs = [pair for both in zip(shown, rows, strict=True) for pair in zip(*both, strict=True)]
    return all(abs(a - b) <= atol or (math.isnan(a) and math.isnan(b)) for a, b in pairs)


def expect_kept(page: Page, text: str) -> None:
    """Wait until the tab has stored this text with the table, so that a reload brings it back."""
    page.wait_for_function(f"text => {_IS_KEPT}", arg=text, timeout=IDLE_MS)


def expect_not_kept(page: Page, text: str) -> None:
    """Wait until the tab has stored a table without this text in place of the one with it."""
    page.wait_for_function(f"text => !({_IS_KEPT})", arg=text, timeout=IDLE_MS)


_IS_KEPT = """Object.entries(sessionStorage).some(([key, kept]) =>
    key.startsWith('cross-entropy-explorer') && (JSON.parse(kept)?.state ?? '').includes(text))"""


# The live component


@dataclass(frozen=True)
class FastDrag:
    """What a drag left on the screen: pictures in all and after the hand let go, and how long these took."""

    pictures: int
    late_pictures: int
    backlog_ms: float
    shown: float


def drag_fast(page: Page, events: int, seconds: float) -> FastDrag:
    """Drag the first logit to and fro, each pointer event to another place and the last to nine tenths of the way."""
    told = page.evaluate(
        """async ([count, seconds]) => {
            const track = document.querySelector('.st-key-live [role=slider]');
            const loss = document.querySelector('.st-key-live [data-quantity=loss]');
            const box = track.getBoundingClientRect();
            const send = (kind, part) => track.dispatchEvent(new PointerEvent(kind, {
                bubbles: true, pointerId: 1, button: 0, buttons: 1,
                clientX: box.left + box.width * part, clientY: box.top + box.height / 2,
            }));
            track.setPointerCapture = () => {};  // no pointer of the system belongs to these events
            const pictures = [];
            new MutationObserver(() => pictures.push(performance.now()))
                .observe(loss, {childList: true, characterData: true, subtree: true});
            const start = performance.now();
            send('pointerdown', 0.5);
            for (let i = 0; i < count; i++) {
                send('pointermove', 0.1 + 0.8 * ((37 * i) % count) / count);
                const due = start + 1000 * seconds * (i + 1) / count;
                await new Promise(done => setTimeout(done, Math.max(0, due - performance.now())));
            }
            send('pointerup', 0.9);
            const released = performance.now();
            await new Promise(done => setTimeout(done, 1500));
            return {
                pictures: pictures.length,
                late_pictures: pictures.filter(time => time > released).length,
                backlog_ms: Math.max(0, pictures.at(-1) - released),
                shown: Number(track.getAttribute('aria-valuenow')),
            };
        }""",
        [events, seconds],
    )
    return FastDrag(**told)


# Dumps


# the longest wait, in ms, for the browser's own clock and for the server's loop while something runs
WATCH = """() => {
    const waits = window.__waits = {browser: 0, server: 0};
    let last = performance.now();
    setInterval(() => {
        const now = performance.now();
        waits.browser = Math.max(waits.browser, now - last - 10);
        last = now;
    }, 10);
    (async () => {
        for (;;) {
            const start = performance.now();
            await fetch('/_stcore/health', {cache: 'no-store'});
            waits.server = Math.max(waits.server, performance.now() - start);
            await new Promise(done => setTimeout(done, 10));
        }
    })();
}"""


def open_dump_by_path(page: Page, url: str, logits: Path, target: Path | None = None) -> None:
    """The page Your logits, with a dump on this computer."""
    open_page(page, url)
    go_to(page, "Your logits")
    expect(metric(page, "budget")).to_have_text("1797", timeout=IDLE_MS)
    page.locator(".st-key-source").get_by_text("File on this computer", exact=True).click()
    for label, path in (("Path of the labels, if they lie in another file", target), ("Path of the logits", logits)):
        if path is not None:
            page.get_by_label(label, exact=True).fill(str(path))
            page.keyboard.press("Enter")
