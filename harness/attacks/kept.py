"""What many visits keep besides files, all at once: pasted texts, the paths of descents. Then they leave."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from functools import cache, partial

from streamlit.proto.Common_pb2 import StringArray

from harness.attacks.attack import Attack, Outcome, Site
from harness.load import largest_table
from harness.visitor import Visitor
from xent_ui.server.limits import PUBLIC
from xent_ui.server.memory import DEFAULT_MB

VISITS, AT_ONCE = 120, 4
TEXT_CHARACTERS = 900_000
LASTING_SECONDS = 5.0  # in which all are there
SMALL_PASTE = "1, 2, 3\n" * 12_000  # 96 kB: is asked for room as well


@cache
def text() -> str:
    """Nearly as long as one may be; not a table, so that nothing but the text is kept."""
    return "1.5 minus 2 " * (TEXT_CHARACTERS // 12)


async def _paste(visitor: Visitor, what: str) -> None:
    await visitor.set("doctor_source", string_array_value=StringArray(data=["Paste logits and target"]))
    for key in ("doctor_logits", "doctor_target"):
        await visitor.set(key, string_value=what)


async def _descend(visitor: Visitor) -> None:
    logits = visitor.logits
    await visitor.set("descent_steps", int_value=PUBLIC.path_cells // (len(logits) * len(logits[0])))
    await visitor.settle()


async def _keep(
    site: Site, outcome: Outcome, begin: Callable[[], Visitor], act: Callable[[Visitor], Awaitable[None]]
) -> None:
    """Many visits do so and stay; then a neighbour pastes something, and is taken."""
    places = asyncio.Semaphore(AT_ONCE)
    async with contextlib.AsyncExitStack() as stack:

        async def one() -> None:
            async with places:
                outcome.sent()
                with outcome.hung_up():
                    visitor = await stack.enter_async_context(begin())
                    await visitor.settle()
                    await act(visitor)
                    outcome.page(visitor)

        await asyncio.gather(*(one() for _ in range(VISITS)))
        await asyncio.sleep(LASTING_SECONDS)
        async with Visitor(site.url, page="doctor", source="127.0.0.1") as neighbour:
            await neighbour.settle()
            await _paste(neighbour, SMALL_PASTE)
            if neighbour.problems:
                outcome.fault(f"a neighbour's text is refused: {neighbour.problems[0]:.60}")


async def kept_texts(site: Site, outcome: Outcome) -> None:
    """Two texts of 900 000 characters in each of 120 visits of one address."""
    await _keep(site, outcome, partial(site.visitor, "doctor"), partial(_paste, what=text()))


async def kept_paths(site: Site, outcome: Outcome) -> None:
    """The longest path of the largest table in each of 120 visits of one address."""
    query, logits, target = largest_table()
    begin = partial(site.visitor, "gradient-descent", query=query, logits=logits, target=target)
    await _keep(site, outcome, begin, _descend)


ATTACKS = tuple(
    Attack(
        name,
        "kept",
        f"{VISITS} visits of an address keep {what} each; a neighbour pastes",
        run,
        is_legal=True,
        is_refused=False,
        ends_itself=True,
        more_mb=DEFAULT_MB - 400,  # a server takes about 440
        prepare=prepare,
    )
    for name, what, run, prepare in (
        ("kept-texts", "1.8 MB of text", kept_texts, text),
        ("kept-paths", "the longest descent", kept_paths, largest_table),
    )
)
