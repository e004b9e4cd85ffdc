"""Streamlit's scripts and styles come compressed, the same once they are unpacked, and nothing else does."""

import asyncio
import gzip

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from harness.aio import in_a_thread
from tests.asgi import answer, fetch, http
from xent_host import compressed_files
from xent_host.compressed_files import CompressedFiles, files
from xent_ui.page_internals import static_folder

GZIP = "br;q=1, gzip"
LARGEST = max(files("").items(), key=lambda item: item[1].stat().st_size)


def app(base_path: str = "") -> CompressedFiles:
    routes = [
        Route("/other", lambda _request: PlainTextResponse("x" * 5000)),
        Mount(base_path or "/", StaticFiles(directory=static_folder(), html=True)),
    ]
    return CompressedFiles(Starlette(routes=routes), base_path)


@pytest.mark.parametrize("base_path", ["", "/under/here"])
def test_a_script_comes_compressed_and_is_the_same(base_path: str) -> None:
    address, path = base_path + LARGEST[0], LARGEST[1]
    asked, whole = app(base_path), path.read_bytes()

    small = fetch(asked, http(address, accept_encoding=GZIP))
    assert small.status == 200
    assert small.headers["content-encoding"] == "gzip"
    assert small.headers["vary"] == "Accept-Encoding"
    assert "javascript" in small.headers["content-type"]
    assert int(small.headers["content-length"]) == len(small.body) < len(whole) / 3
    assert gzip.decompress(small.body) == whole

    plain = fetch(asked, http(address))
    assert "content-encoding" not in plain.headers
    assert plain.body == whole

    part = fetch(asked, http(address, accept_encoding=GZIP, range="bytes=0-9"))
    assert (part.status, part.body) == (206, whole[:10])
    assert "content-encoding" not in part.headers

    head = fetch(asked, http(address, "HEAD", accept_encoding=GZIP))
    assert (int(head.headers["content-length"]), head.body) == (len(whole), b"")


def test_what_a_browser_has_already_is_not_sent_again() -> None:
    asked = app()
    tag = fetch(asked, http(LARGEST[0], accept_encoding=GZIP)).headers["etag"]
    assert tag.startswith('W/"')

    again = fetch(asked, http(LARGEST[0], accept_encoding=GZIP, if_none_match=tag))
    assert (again.status, again.body) == (304, b"")
    assert "content-encoding" not in again.headers


def test_a_file_is_compressed_once_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    times = list[object]()
    monkeypatch.setattr(compressed_files, "_compress", lambda path: times.append(path) or b"small")
    asked = app()

    async def three() -> list[bytes]:
        answers = await asyncio.gather(*(answer(asked, http(LARGEST[0], accept_encoding=GZIP)) for _ in range(3)))
        return [body["body"] for _start, body in answers]

    assert in_a_thread(three()) == [b"small"] * 3
    assert times == [LARGEST[1]]


@pytest.mark.parametrize("address", ["/other", "/index.html", "/static/js/is-not-there.js", "/static/../index.html"])
def test_whatever_else_is_asked_for_passes_as_it_is(address: str) -> None:
    assert "content-encoding" not in fetch(app(), http(address, accept_encoding=GZIP)).headers


def test_all_scripts_and_styles_of_the_page_are_among_them() -> None:
    assert {path.suffix for path in files("").values()} == {".js", ".css"}
    assert all(address.startswith("/static/") for address in files(""))
    assert len(files("")) > 200
