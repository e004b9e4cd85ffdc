"""What the app uses of Streamlit's page in the browser: more lines for the list in `streamlit_internals`."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from pkgutil import resolve_name

from xent_ui.streamlit_internals import DECORATES, PROTECTS, Internal

CELL_EDITOR_CODE = "data-grid-overlay-editor.*.js"
# of what the first page draws first; what these import comes with them
FIRST_PAGE_CODE = ("Metric", "Html", "BidiComponent", "Selectbox", "Button", "DataFrame", "rehype-katex")
CONTAINER_CLASS = "st-key-"  # followed by the key
TEXT_COLOUR = 0x000037
OPEN_CELL, OPEN_CELL_PLACE, EDITOR = "gdg-clip-region", "portal", "stDataFrame"  # in the browser: of an editor
MAIN, MENU_LINK, POPOVER = "stMain", "stSidebarNavLink", "stPopoverBody"  # MAIN is what scrolls
SCRIPT_STATE = "data-test-script-state"  # an attribute of the app, by which a script knows that a run is going on

_SCRIPT = re.compile(r'"\./static/js/([\w.\-]+\.js)"')
_IMPORT = re.compile(r'(?:from|import)"\./([\w.\-]+\.js)"')


def cell_editor_files() -> list[str]:
    """The names of the files in static/js/ with the code of an open cell of a table."""
    return sorted(path.name for path in (static_folder() / "static" / "js").glob(CELL_EDITOR_CODE))


@cache
def first_page_files() -> list[str]:
    """The names of the files in static/js/ that the first page needs and Streamlit's page does not name."""
    folder = static_folder() / "static" / "js"
    waiting, found, named = [f"{code}.*.js" for code in FIRST_PAGE_CODE], set[str](), set(_SCRIPT.findall(_page()))
    while waiting:
        for path in folder.glob(waiting.pop()):
            if path.name not in found:
                found.add(path.name)
                waiting += _IMPORT.findall(path.read_text("utf-8"))
    return sorted(found - named)


@cache
def editor_can_be_watched() -> bool:
    """Whether a script in the page finds the editors and the cell that is open in one."""
    names = ("data-grid-*.js", OPEN_CELL), ("DataFrame.*.js", EDITOR), ("index.*.js", OPEN_CELL_PLACE)
    return all(_is_in_script(*name) for name in names)


def inline_scripts() -> list[str]:
    """The scripts in Streamlit's page itself, whose hashes a Content-Security-Policy names."""
    return re.findall(r"<script>(.*?)</script>", _page(), re.DOTALL)


def static_folder() -> Path:
    """Where Streamlit's page and its files lie."""
    return Path(resolve_name("streamlit").__file__).parent / "static"


@cache
def page_bytes() -> bytes:
    """Streamlit's page, which is the same for every address."""
    return (static_folder() / "index.html").read_bytes()


def _page() -> str:
    return page_bytes().decode()


def _are_inline_scripts_found() -> bool:
    return len(inline_scripts()) == len(re.findall(r"<script\b(?![^>]*\bsrc=)", _page()))


def _is_in_script(files: str, text: str) -> bool:
    return any(text in path.read_text("utf-8") for path in (static_folder() / "static" / "js").glob(files))


def _are_first_page_files_found() -> bool:
    folder = static_folder() / "static" / "js"
    named = _SCRIPT.search(_page()) and "</head>" in _page()
    return bool(named) and all(any(folder.glob(f"{code}.*.js")) for code in FIRST_PAGE_CODE)


INTERNALS = (
    Internal(
        "the inline scripts of static/index.html",
        "lets the Content-Security-Policy allow these scripts and no others",
        "the policy is wrong: the browser refuses Streamlit's own page",
        PROTECTS,
        _are_inline_scripts_found,
    ),
    Internal(
        f"static/js/{CELL_EDITOR_CODE} beside the entry script",
        "has the browser fetch the code of an open cell with the page",
        "it is fetched with the first key, and on a slow line keys are lost",
        DECORATES,
        lambda: cell_editor_files() and re.search(r'<script type="module"[^>]*\bsrc="[^"]*static/js/', _page()),
    ),
    Internal(
        "the names of the scripts in static/js/ by what they draw",
        "lets the page of a public server name what the first page draws with",
        "these scripts are fetched later, one after the other",
        DECORATES,
        _are_first_page_files_found,
    ),
    Internal(
        f"{EDITOR}, {OPEN_CELL_PLACE} and {OPEN_CELL} in the browser",
        "lets an edit ask for its answer at once, and holds keys while a cell opens",
        "the editor sends its edits itself, 150 ms later, and fast typing loses keys",
        DECORATES,
        editor_can_be_watched.__wrapped__,
    ),
    Internal(
        "the class st-key-… of a container, in the browser",
        "lets the live component find its numbers at once",
        "it looks for them in the whole page at each change, which is slower",
        DECORATES,
        lambda: _is_in_script("index.*.js", CONTAINER_CLASS),
    ),
    Internal(
        f"{MAIN}, {MENU_LINK} and {POPOVER} in the browser",
        "begins every page at its top, and closes a popover before a click on the menu",
        "the next page opens as far down as the last one was scrolled, and an open popover swallows the click",
        DECORATES,
        lambda: all(_is_in_script("index.*.js", name) for name in (MAIN, MENU_LINK, POPOVER)),
    ),
    Internal(
        f"the colour {TEXT_COLOUR:06x} in pictures",
        "is the colour that Streamlit replaces by the theme's text colour",
        "the texts in pictures are of this dark blue in both themes",
        DECORATES,
        lambda: _is_in_script("PlotlyChart.*.js", f"{TEXT_COLOUR:06x}"),
    ),
    Internal(
        f"{SCRIPT_STATE} in the browser",
        "keeps the rest of a page from being asked for while another run is on its way",
        "who changes the page right after an edit may be brought back to the former page",
        DECORATES,
        lambda: _is_in_script("index.*.js", SCRIPT_STATE),
    ),
)
