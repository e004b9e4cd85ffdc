"""What many downloads leave to another visitor, on a server that runs; the loads that `harness.heavy_use` measures."""

import asyncio

import pytest

from harness.browser import ROOT, serve
from harness.heavy_use import LOADS, Downloader, large_csv, packed_dump
from harness.visitor import visit
from xent_core.codec import read_file
from xent_host.download_queue import AT_ONCE, TOO_MANY

ASKED = 40


async def _ask_for_many(url: str) -> tuple[list[str], list[str]]:
    async with Downloader(url, page="export") as greedy, Downloader(url, page="export") as other:
        for _ in range(ASKED):
            await greedy.ask("download_cross-entropy_html")
        refused = asyncio.ensure_future(greedy.answers(ASKED))
        await other.ask("download_cross-entropy_csv")
        return await refused, await other.answers(1)


@pytest.mark.long
def test_a_visit_that_asks_for_many_files_gets_few_of_them_and_another_gets_its_own() -> None:
    with serve(ROOT / "hosted.py") as server:
        greedy, other = visit(_ask_for_many(server.url))

    assert other == [""]
    assert set(greedy) == {"", TOO_MANY}
    assert AT_ONCE <= greedy.count("") < ASKED / 2  # more than at once, where some were made before the last were asked


def test_the_loads_are_files_that_the_app_reads() -> None:
    assert len(LOADS) == 5
    assert 3_500_000 < len(large_csv()) < 4_000_000
    assert len(packed_dump()) > 2**18
    small = b"\n".join(large_csv().splitlines()[:3])
    assert read_file("a.csv", small).problem.num_classes == 64
