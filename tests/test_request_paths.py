"""What a path names, and which spellings no browser sends."""

import pytest

from xent_host.request_paths import below_core, is_closed, is_download, is_plain


@pytest.mark.parametrize(
    "path",
    ["/", "", "*", "/step-by-step", "/static/js/index.a-B_c.js", "/a/_stcore/upload_file/1/2", "/été/x y", "/…", "/a."],
)
def test_what_browsers_send_is_plain(path: str) -> None:
    assert is_plain(path)


@pytest.mark.parametrize(
    "path",
    [
        *(f"/_stcore/metrics{chr(code)}" for code in (*range(32), *range(127, 160), 0x2028, 0x2029)),
        "/_stcore\n/metrics",
        "\n/_stcore/metrics",
        "//_stcore/metrics",
        "/_stcore//metrics",
        "/x/../_stcore/metrics",
        "/./_stcore/metrics",
        "/_stcore/upload_file/visit/..",
        "/_stcore/metrics/.",
        "/_stcore\\metrics",
        "/_stcore/stream\r\n",
    ],
)
def test_what_no_browser_sends_is_not(path: str) -> None:
    assert not is_plain(path)


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("/_stcore/stream", ["stream"]),
        ("/_stcore/upload_file/A/b", ["upload_file", "A", "b"]),
        ("/under/a/base/_stcore/health/", ["health"]),
        ("/_STCORE/Metrics", ["Metrics"]),
        ("/_stcore", []),
        ("/_stcorex/metrics", []),
        ("/metrics", []),
    ],
)
def test_what_lies_below_the_core(path: str, parts: list[str]) -> None:
    assert below_core(path) == parts


@pytest.mark.parametrize(
    ("path", "closed"),
    [
        ("/_stcore/metrics", True),
        ("/_stcore/metrics/", True),
        ("/_STCORE/METRICS", True),
        ("/base/_stcore/agent/mcp", True),
        ("/_stcore/script-health-check", True),
        ("/auth/login", True),
        ("/base/oauth2callback", True),
        ("/component/x/index.html", True),
        ("/app/static/x", True),
        ("/_stcore/metricsx", False),
        ("/auth", False),
        ("/_stcore/bidi-components/x.js", False),
        ("/_stcore/health", False),
        ("/metrics", False),
    ],
)
def test_what_is_no_visitors_business(path: str, closed: bool) -> None:
    assert is_closed(path) is closed


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/media/a.csv", True), ("/base/media/a.csv", True), ("/static/media.js", False), ("/media", False), ("/", False)],
)
def test_what_may_be_a_download(path: str, expected: bool) -> None:
    assert is_download(path) is expected
