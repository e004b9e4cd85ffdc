"""What each visitor may do, done by many at once or all the time, and one address that takes the whole place."""

import asyncio
import contextlib
import functools
import itertools
import json

import numpy as np
import websockets
from streamlit.proto.Common_pb2 import StringArray

from harness.attacks.attack import Attack, Outcome, Site, repeat, together
from harness.visitor import EDITOR, UploadRefused, Visitor, npy
from xent_core import Problem
from xent_core.codec import to_csv, to_json, to_token
from xent_ui.server.limits import PUBLIC
from xent_ui.state.sheet import MAX_CLASSES, MAX_ROWS

REWRITERS, PRECISE, QUOTA_VISITS, VISITS = 10, 15, 6, 200
ENTER_SECONDS = 20.0  # for one who comes where a single address holds every place


@functools.cache
def largest_table() -> str:
    """The query that opens a table of the greatest size."""
    numbers = np.random.default_rng(0)
    logits = numbers.integers(-9, 10, (MAX_ROWS, MAX_CLASSES)).astype(np.float32)
    return f"p={to_token(Problem(logits, numbers.integers(0, MAX_CLASSES, MAX_ROWS)))}"


@functools.cache
def whole_edit(number: int) -> str:
    """The state of an editor in which every cell was typed anew."""
    row = {f"class {label}": f"{(number + label) % 17 / 4}" for label in range(MAX_CLASSES)}
    return json.dumps({"edited_rows": {str(i): row for i in range(MAX_ROWS)}, "added_rows": [], "deleted_rows": []})


async def rewriting(site: Site, outcome: Outcome) -> None:
    """Ten visits, each of which types all 4096 cells anew, again and again."""

    async def one() -> None:
        await repeat(
            outcome,
            lambda: site.visitor(query=largest_table()),
            lambda visitor, number: visitor.set(EDITOR, string_value=whole_edit(number % 4)),
            itertools.count(),
        )

    await together(*(one() for _ in range(REWRITERS)))


async def precision(site: Site, outcome: Outcome) -> None:
    """Fifteen visits that run the page Precision again and again."""

    async def one() -> None:
        await repeat(
            outcome,
            lambda: site.visitor("precision", query=largest_table()),
            lambda visitor, _number: visitor.run(),
            itertools.count(),
        )

    await together(*(one() for _ in range(PRECISE)))


@functools.cache
def large_csv() -> bytes:
    """A table of 3.8 MB that a spreadsheet could have written."""
    numbers = np.random.default_rng(1)
    rows = 3_800_000 // (64 * 9)
    return to_csv(Problem(numbers.normal(size=(rows, 64)).astype(np.float32).round(4), numbers.integers(0, 64, rows)))


async def csv_on_export(site: Site, outcome: Outcome) -> None:
    """An ordinary table of 3.8 MB on Export, read again and again."""
    await repeat(
        outcome,
        lambda: site.visitor("export"),
        lambda visitor, number: visitor.upload("import_file", f"table{number}.csv", large_csv()),
        itertools.count(),
    )


@functools.cache
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
                await stack.enter_async_context(
                    websockets.connect(
                        site.url.replace("http", "ws") + "/_stcore/stream",
                        subprotocols=[websockets.Subprotocol("streamlit")],
                        origin=site.url,
                        local_addr=(site.source, 0),
                        max_size=None,
                        compression=None,
                    )
                )
        try:
            async with asyncio.timeout(ENTER_SECONDS), Visitor(site.url, source="127.0.0.1") as neighbour:
                await neighbour.edit(0, 0, "5")
        except (TimeoutError, OSError, websockets.WebSocketException) as error:
            outcome.fault(f"a neighbour does not get in: {error!r:.60}")
        await asyncio.sleep(1)


@functools.cache
def packed_dump() -> tuple[bytes, bytes]:
    """Logits that are packed, so that one row of them costs as much as many, and their target."""
    import io

    numbers = np.random.default_rng(2)
    rows = 40_000
    file = io.BytesIO()
    logits = numbers.integers(-9, 9, (rows, 100)).astype(np.float32)
    np.savez_compressed(file, logits=logits, target=numbers.integers(0, 100, rows))
    return file.getvalue(), npy(np.zeros(1))


async def packed_rows(site: Site, outcome: Outcome) -> None:
    """Single rows of a packed dump, looked at one after the other."""

    async def look(visitor: Visitor, number: int) -> None:
        if "dump_logits_file" not in visitor.widgets:
            await visitor.set("dump_source", string_array_value=StringArray(data=["Upload"]))
        if "dump_row" not in visitor.widgets:
            await visitor.upload("dump_logits_file", "dump.npz", packed_dump()[0])
            await visitor.settle()
        await visitor.set("dump_row", int_value=(number * 7919) % 40_000)

    await repeat(outcome, lambda: site.visitor("your-logits"), look, itertools.count())


FAMILY = "shares"
ATTACKS = (
    Attack(
        "rewriting",
        FAMILY,
        "10 visits type all 4096 cells anew",
        rewriting,
        seconds=20,
        is_legal=True,
        is_refused=False,
        prepare=largest_table,
    ),
    Attack(
        "precision",
        FAMILY,
        "15 visits run Precision",
        precision,
        seconds=20,
        is_legal=True,
        is_refused=False,
        prepare=largest_table,
    ),
    Attack(
        "csv-on-export",
        FAMILY,
        "a table of 3.8 MB on Export",
        csv_on_export,
        is_legal=True,
        is_refused=False,
        prepare=large_csv,
    ),
    Attack(
        "packed-rows",
        FAMILY,
        "rows of a packed dump",
        packed_rows,
        is_legal=True,
        is_refused=False,
        prepare=packed_dump,
    ),
    Attack(
        "quota",
        FAMILY,
        "6 visits hold all that may be uploaded; a neighbour has a small file",
        quota,
        ends_itself=True,
        is_legal=True,
        is_refused=False,
        more_mb=700,
        prepare=largest_file,
    ),
    Attack(
        "one-address",
        FAMILY,
        "200 visits of one address; a neighbour comes",
        one_address,
        ends_itself=True,
        is_legal=True,
        is_refused=False,
    ),
)
