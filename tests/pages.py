"""A page of the app through AppTest, with a preset or a table of its own."""

from pathlib import Path

from streamlit.testing.v1 import AppTest

from xent_ui.state.sheet import Sheet

APP = str(Path(__file__).parents[1] / "app.py")


def open_page(page: str, preset: str = "worked-batch", sheet: Sheet | None = None) -> AppTest:
    """The page in the menu's file `page`, with this preset or sheet on the table."""
    app = AppTest.from_file(APP, default_timeout=60)
    app.query_params["preset"] = preset
    app.run()
    if sheet is not None:
        app.session_state["visit"].sheet = sheet
    app.switch_page(page).run()
    assert not app.exception
    return app
