"""The installed Streamlit has all that the app uses of its insides; without what only speeds up, the app goes on."""

import re
from pathlib import Path

import pytest
import streamlit
from streamlit import net_util
from streamlit.runtime.pages_manager import PagesManager
from streamlit.testing.v1 import AppTest

from harness.aio import in_a_thread
from harness.browser import ROOT
from xent_host import server_options
from xent_host.startup_check import INTERNALS
from xent_ui import page_internals, streamlit_internals
from xent_ui.figures import theme
from xent_ui.page_internals import TEXT_COLOUR
from xent_ui.shell import cell_editor_prefetch
from xent_ui.streamlit_internals import Internal


@pytest.mark.parametrize("internal", INTERNALS, ids=lambda internal: internal.name)
def test_the_installed_streamlit_has_it(internal: Internal) -> None:
    assert internal.check()
    assert internal.is_there()


def test_every_line_says_what_why_and_what_happens_when_it_moves() -> None:
    assert len({internal.name for internal in INTERNALS}) == len(INTERNALS)
    for internal in INTERNALS:
        assert internal.name
        assert internal.why
        assert internal.if_moved


def test_the_list_knows_the_streamlit_that_is_required() -> None:
    [required] = re.findall(r"^streamlit==(\S+)", (ROOT / "requirements.txt").read_text("utf-8"), re.MULTILINE)

    assert required == streamlit.__version__


def test_the_colour_of_texts_in_pictures_is_the_one_that_streamlit_replaces() -> None:
    assert f"#{TEXT_COLOUR:06x}" == theme.INK


def test_a_check_that_breaks_says_no() -> None:
    assert not Internal("a", "b", "c", streamlit_internals.PROTECTS, lambda: 1 / 0).is_there()


def test_pages_run_without_what_only_speeds_up_or_decorates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_internals, "CELL_EDITOR_CODE", "gone.*.js")
    monkeypatch.delattr(PagesManager, "uses_pages_directory")

    assert page_internals.cell_editor_files() == []
    assert streamlit_internals.page_files_are_searched() is False


def test_the_app_runs_where_nobody_can_tell_whether_it_is_cold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cell_editor_prefetch, "_FILES", [])
    monkeypatch.setattr(streamlit_internals, "resolve_name", _nothing)
    page = AppTest.from_file(str(Path(ROOT) / "app.py"), default_timeout=120).run()

    assert not page.exception
    assert page.metric


def _nothing(name: str) -> object:
    raise ImportError(name)


def test_options_are_set_where_nobody_can_tell_who_set_them(monkeypatch: pytest.MonkeyPatch) -> None:
    set_to: dict[str, object] = {}
    monkeypatch.setattr(net_util, "get_external_ip", net_util.get_external_ip)  # which is put back afterwards
    monkeypatch.delattr("streamlit.config.get_where_defined")
    monkeypatch.setattr("streamlit.config.set_option", set_to.__setitem__)
    server_options.apply()

    assert set_to.keys() == {*server_options.STREAMLIT_OPTIONS, "server.allowedHosts"}


def test_a_server_starts_where_the_first_page_cannot_be_run_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamlit.runtime.get_instance", object)

    assert in_a_thread(streamlit_internals.run_first_page()) is None


def test_a_first_page_that_fails_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    class Runtime:
        async def does_script_run_without_error(self) -> tuple[bool, str]:
            return False, "error"

    monkeypatch.setattr("streamlit.runtime.get_instance", Runtime)

    with pytest.raises(RuntimeError, match="The first page does not run: error"):
        in_a_thread(streamlit_internals.run_first_page())
