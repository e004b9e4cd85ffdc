"""What each visitor may do, done by many at once or all the time, and one address that takes the whole place."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from functools import cache, partial

import websockets
from streamlit.proto.Common_pb2 import StringArray

from harness import heavy_use
from harness.attacks.attack import Attack, Outcome, Site
from harness.heavy_use import IsOver
from harness.visitor import UploadRefused, Visitor
from xent_core import Problem
from xent_core.codec import to_json
from xent_ui.server.limits import PUBLIC

QUOTA_VISITS, VISITS = 6, 200
DOWNLOAD_SECONDS = 15.0
ENTER_SECONDS = 20.0  # for one who comes where a single address holds every place


async def heavy(site: Site, outcome: Outcome, load: Callable[[str, IsOver], Awaitable[int]]) -> None:
    """What each visitor may do, from the neighbours' own address, as in a class."""
    end = time.perf_counter() + site.seconds - 2
    outcome.sent(await load(site.url, lambda: time.perf_counter() >= end))


async def downloads(site: Site, outcome: Outcome) -> None:
    """A visit that asks for hundreds of files and leaves; then a neighbour asks for one."""
    end = time.perf_counter() + DOWNLOAD_SECONDS
    outcome.sent(await heavy_use.download(site.url, lambda: time.perf_counter() >= end))
    took = await heavy_use.other_download(site.url)
    if took > heavy_use.AIM_DOWNLOAD_SECONDS:
        outcome.fault(f"a neighbour's CSV comes after {took:.1f} s")


@cache
def largest_file() -> bytes:
    """As large as one upload may be, less what is wrapped around it."""
    return bytes(PUBLIC.upload_mb * 2**20 - 4096)


async def _fill(site: Site, outcome: Outcome, visitor: Visitor) -> None:
    await visitor.settle()
    await visitor.set("dump_source", string_array_value=StringArray(data=["Upload"]))
    for number in range(3):
        outcome.sent()
        with outcome.hung_up():
            await visitor.upload("dump_logits_file", f"{number}.npy", largest_file())


async def quota(site: Site, outcome: Outcome) -> None:
    """Six visits of one address hold as much as all visits may; then a neighbour has a small file."""
    async with contextlib.AsyncExitStack() as stack:
        visitors = [await stack.enter_async_context(site.visitor("your-logits")) for _ in range(QUOTA_VISITS)]
        for visitor in visitors:
            with contextlib.suppress(TimeoutError, KeyError):
                await _fill(site, outcome, visitor)
        async with Visitor(site.url, page="export", source="127.0.0.1") as neighbour:
            try:
                await neighbour.upload("import_file", "batch.json", to_json(Problem([[1, 2, 3]], [0])).encode())
            except UploadRefused as refused:
                outcome.fault(f"a neighbour's small file is refused, status {refused.status}")


async def one_address(site: Site, outcome: Outcome) -> None:
    """200 visits of one address; then a neighbour comes."""
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(VISITS + 4):
            outcome.sent()
            with outcome.hung_up():
                await stack.enter_async_context(site.connect())
        try:
            async with asyncio.timeout(ENTER_SECONDS), Visitor(site.url, source="127.0.0.1") as neighbour:
                await neighbour.edit(0, 0, "5")
        except (TimeoutError, OSError, websockets.WebSocketException) as error:
            outcome.fault(f"a neighbour does not get in: {error!r:.60}")
        await asyncio.sleep(1)


FAMILY = "shares"
HEAVY = {
    "rewriting": ("10 visits type all 4096 cells anew", heavy_use.rewrite, None),
    "precision": ("15 visits run Precision", heavy_use.rerun_precision, None),
    "csv-on-export": ("a table of 3.8 MB on Export", heavy_use.open_csv, heavy_use.large_csv),
    "packed-rows": ("4 visits look at rows of a packed dump", heavy_use.read_packed_rows, heavy_use.packed_dump),
}
legal = partial(Attack, family=FAMILY, is_legal=True, is_refused=False)
ATTACKS = (
    *(
        legal(name, sends=what, run=partial(heavy, load=load), seconds=20, prepare=prepare)
        for name, (what, load, prepare) in HEAVY.items()
    ),
    legal("downloads", sends="400 downloads of the whole screen; a neighbour has one", run=downloads, ends_itself=True),
    legal(
        "quota",
        sends="6 visits of an address hold all that may be uploaded; a neighbour has a small file",
        run=quota,
        ends_itself=True,
        more_mb=1000,
        prepare=largest_file,
    ),
    legal("one-address", sends="200 visits of one address; a neighbour comes", run=one_address, ends_itself=True),
)
