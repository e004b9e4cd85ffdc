"""What the web server's own words become: an event with type and place, or nothing."""

import json

import pytest

from xent_host.protocol_log import LOG
from xent_ui.server.limits import PUBLIC_VARIABLE


def test_an_error_is_an_event_without_its_message(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PUBLIC_VARIABLE, "1")
    try:
        float("SECRET")
    except ValueError:
        LOG.exception("Exception in ASGI application\n")
    LOG.error("ASGI callable should return None, but returned '%s'.", "SECRET")
    LOG.warning("Invalid HTTP request received.")
    LOG.info('%s - "WebSocket %s" [accepted]', "SECRET", "SECRET")

    out = "".join(capsys.readouterr())
    assert "SECRET" not in out
    assert [json.loads(line)["type"] for line in out.splitlines()] == [
        "ValueError",
        "ASGI callable should return None, but returned '%s'.",
    ]
