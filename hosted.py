"""The app on a server for strangers: streamlit run hosted.py.  On your own computer: streamlit run app.py."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from time import perf_counter

os.environ["XENT_PUBLIC"] = "1"  # before anything asks

from xent_host import startup_check

startup_check.check_streamlit()  # before anything is imported that may have moved

from xent_host import allocator, temporary_folder

allocator.apply()  # before anything large is there
temporary_folder.apply()  # before anything is written there

import streamlit as st
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from xent_core import __version__
from xent_host import (
    download_queue,
    error_reports,
    http_protocol,
    idle_visits,
    left_visits,
    library_logs,
    message_batches,
    removed_files,
    run_scheduler,
    server_facts,
    server_options,
    table_edits,
    theme_once,
    unread_answers,
    visit_cookie,
    visit_files,
    widget_filter,
)
from xent_host.compressed_files import CompressedFiles
from xent_host.connection_limits import ConnectionLimiter
from xent_host.early_files import EarlyFiles
from xent_host.memory_guard import MemoryGuard, RoomForMessages
from xent_host.request_check import RequestCheck
from xent_host.security_headers import SecurityHeaders
from xent_host.upload_limits import StreamlitFiles
from xent_ui.server import job_pool
from xent_ui.server.log import LOG, event
from xent_ui.server.memory import memory_limit
from xent_ui.streamlit_internals import run_first_page

server_options.apply()
memory_limit()  # raises where the option is none
GUARD = MemoryGuard()
http_protocol.apply()
unread_answers.apply()
widget_filter.apply()
run_scheduler.apply()
message_batches.apply()
theme_once.apply()
download_queue.apply()
visit_cookie.apply()
visit_files.apply()
removed_files.apply()
left_visits.apply()
server_facts.apply()
table_edits.apply()
error_reports.quieten_streamlit()


@asynccontextmanager
async def lifespan(_app: st.App) -> AsyncIterator[None]:
    """Before the first visitor: the heavy imports and one run of the first page. After the last: an end to all work."""
    event("start")
    begun = perf_counter()
    StreamlitFiles().sizes()  # raises where the limits on uploads cannot be enforced
    import_module("xent_ui.shell.warm_up")
    await run_first_page()
    event("warm", seconds=round(perf_counter() - begun, 3))
    library_logs.apply()  # what hinders the start is still told in full
    guard = asyncio.create_task(GUARD.watch())
    yield
    guard.cancel()
    job_pool.stop_all()
    temporary_folder.remove()
    LOG.tell()
    event("stop")


async def health(_request: Request) -> JSONResponse:
    """Ok; until the first page has run, no request at all is answered."""
    return JSONResponse({"status": "ok", "version": __version__})


app = st.App(
    "app.py",
    lifespan=lifespan,
    routes=[Route("/healthz", health), Route(f"{server_options.base_path()}/{idle_visits.PLACE}", idle_visits.away)],
    middleware=[
        Middleware(SecurityHeaders),
        Middleware(RequestCheck),
        Middleware(visit_cookie.VisitCookies),
        Middleware(idle_visits.IdleVisits),
        Middleware(ConnectionLimiter),
        Middleware(RoomForMessages, admit=GUARD.admit),
        Middleware(EarlyFiles),
        Middleware(CompressedFiles, base_path=server_options.base_path()),
    ],
    on_script_error=error_reports.report,
)
