"""Streamlit's page names what the first page draws with; every other answer passes as it is."""

import re

import pytest
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from tests.asgi import Fetched, fetch, http
from xent_host.early_files import EarlyFiles
from xent_ui.page_internals import first_page_files, page_bytes, static_folder

OTHER = "<html><head></head><body>" + "x" * (len(page_bytes()) - 40) + "</body></html>"
PAGE = page_bytes().decode()


def get(path: str, **headers: str) -> Fetched:
    routes = [
        Route("/other", lambda _request: HTMLResponse(OTHER.ljust(len(PAGE)))),
        Route("/short", lambda _request: HTMLResponse("<html><head></head></html>")),
        Route("/refused", lambda _request: HTMLResponse(PAGE, status_code=403)),
        Route("/text", lambda _request: StreamingResponse(iter([PAGE[:9], PAGE[9:]]), media_type="text/plain")),
        Mount("/", StaticFiles(directory=static_folder(), html=True)),
    ]
    return fetch(EarlyFiles(Starlette(routes=routes)), http(path, **headers))


def test_the_page_names_its_scripts_before_its_head_ends_and_is_the_same_otherwise() -> None:
    answer = get("/")
    head, _end, _body = answer.body.decode().partition("</head>")
    links = re.findall(r'<link rel="modulepreload" crossorigin href="\./static/js/([^"]+)">\n', head)

    assert links[-len(first_page_files()) :] == first_page_files()
    assert len(set(links)) == len(links)
    assert all((static_folder() / "static" / "js" / name).is_file() for name in links)
    assert int(answer.headers["content-length"]) == len(answer.body)
    for name in first_page_files():
        link = f'<link rel="modulepreload" crossorigin href="./static/js/{name}">\n'
        head = head.replace(link, "")
    assert head + _end + _body == PAGE


def test_the_editor_of_tables_comes_with_all_that_it_imports() -> None:
    names = {name.partition(".")[0] for name in first_page_files()}
    assert {"DataFrame", "arrowFormatUtils", "Metric", "BidiComponent"} <= names
    assert "index" not in names  # which the page names itself
    assert not {"PlotlyChart", "DeckGlJsonChart"} & names


@pytest.mark.parametrize("path", ["/other", "/short", "/refused", "/text", "/static/js/none.js"])
def test_every_other_answer_passes_as_it_is(path: str) -> None:
    answer = get(path)
    assert first_page_files()[0].encode() not in answer.body
    assert int(answer.headers.get("content-length", len(answer.body))) == len(answer.body)


def test_what_a_browser_has_already_is_not_sent_again() -> None:
    assert get("/", if_none_match=get("/").headers["etag"]).status == 304
