"""Streamlit's own message about the theme, read once."""

import pytest
from streamlit.proto.NewSession_pb2 import NewSession
from streamlit.runtime import app_session

from xent_host import theme_once

SECTIONS = ("theme", "theme.light", "theme.dark", "theme.sidebar")


def filled() -> NewSession:
    """The part of Streamlit's message that it fills, as it does."""
    message = NewSession()
    theme = message.custom_theme
    for part, section in zip((theme, theme.light, theme.dark, theme.sidebar), SECTIONS, strict=True):
        app_session._populate_theme_msg(part, section)
    return message


def test_each_message_says_what_streamlits_own_says_and_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"theme": {"primaryColor": "#123456", "base": "dark"}, "theme.light": {"textColor": "#654321"}}
    asked: list[str] = []

    def options_of(section: str) -> dict[str, object]:
        asked.append(section)
        return dict(options.get(section, {}))

    monkeypatch.setattr(app_session, "_populate_theme_msg", app_session._populate_theme_msg)
    monkeypatch.setattr(app_session.config, "get_options_for_section", options_of)
    expected = filled()
    theme_once.apply()
    asked.clear()

    assert filled() == filled() == expected
    assert expected.custom_theme.primary_color == "#123456"
    assert expected.custom_theme.light.text_color == "#654321"
    assert not filled().custom_theme.HasField("dark")
    assert sorted(asked) == sorted(SECTIONS)


def test_without_streamlits_name_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(app_session, "_populate_theme_msg")

    theme_once.apply()

    assert not hasattr(app_session, "_populate_theme_msg")
