"""Files that are small where they come in and large where they are read: `harness.file_bombs`, through the pages."""

import time
from functools import partial

from streamlit.proto.Common_pb2 import StringArray

from harness import file_bombs
from harness.attacks.attack import Attack, Outcome, Site
from harness.visitor import Visitor

PAGES = {file_bombs.DUMP: ("your-logits", "dump_logits_file"), file_bombs.EXPORT: ("export", "import_file")}
SENTENCE_SECONDS = 5.0  # from the file to the sentence
SLACK = 5.0
SHOWS = ("lorenz", "import_open")  # what is on a page that took a file


async def bombs(site: Site, outcome: Outcome, ending: str) -> None:
    """One file after the other, each in a visit of its own, at every door that takes its kind."""
    for bomb in file_bombs.bombs():
        if not bomb.name.endswith(f".{ending}"):
            continue
        data = bomb.data()
        for door in bomb.doors:
            page, key = PAGES[door]
            outcome.sent()
            with outcome.hung_up():
                async with site.visitor(page) as visitor:
                    await visitor.settle()
                    if page == "your-logits":
                        await visitor.set("dump_source", string_array_value=StringArray(data=["Upload"]))
                    await _put(visitor, key, bomb.name, data, outcome)


async def _put(visitor: Visitor, key: str, name: str, data: bytes, outcome: Outcome) -> None:
    begun = time.perf_counter()
    await visitor.upload(key, name, data)
    await visitor.settle()
    seconds = time.perf_counter() - begun
    outcome.page(visitor)
    if not visitor.alerts and not set(SHOWS) & set(visitor.widgets):
        outcome.fault(f"{name}: not a word")
    if seconds > SLACK * SENTENCE_SECONDS:
        outcome.fault(f"{name}: a sentence after {seconds:.0f} s")


FAMILY = "files"
ATTACKS = tuple(
    Attack(
        f"{ending}-bombs",
        FAMILY,
        f"files of the kind {ending} that grow",
        partial(bombs, ending=ending),
        is_legal=True,
        ends_itself=True,
    )
    for ending in file_bombs.FORMATS
)
