"""A started public server whose memory nears its limit: who keeps most is ended and told why, neighbours go on."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from streamlit.proto.Common_pb2 import StringArray

from harness.browser import ROOT, Server, serve
from harness.visitor import Visitor, npy, visit
from xent_ui.server.memory import MEMORY_VARIABLE

LIMIT_MB = 620  # a warm server takes about 440
FILLERS = 10
MOST_SECONDS = 2.0  # that an edit of the neighbour waits
SECONDS = 30.0  # in which memory has to be back


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv(MEMORY_VARIABLE, str(LIMIT_MB))
    with serve(ROOT / "hosted.py") as one:
        yield one


def resident_mb(server: Server) -> int:
    pages = int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1])
    return pages * 4096 // 2**20


async def fill(url: str) -> None:
    """A visit that keeps two files of 30 MB, until it is ended."""
    data = npy(np.zeros((75_000, 100), dtype=np.float32))
    try:
        async with Visitor(url, page="your-logits", source="127.0.0.2") as visitor:
            await visitor.settle()
            await visitor.set("dump_source", string_array_value=StringArray(data=["Upload"]))
            for name in ("one.npy", "two.npy"):
                await visitor.upload("dump_logits_file", name, data)
            await visitor.settle()
            await asyncio.sleep(SECONDS)
    except Exception:  # an ended visit breaks in many ways
        return


@pytest.mark.long
def test_the_largest_are_ended_and_a_neighbour_goes_on(server: Server) -> None:
    async def scene() -> tuple[float, int]:
        async with Visitor(server.url) as neighbour:
            fillers = [asyncio.create_task(fill(server.url)) for _ in range(FILLERS)]
            until, number, longest = time.monotonic() + SECONDS, 0, 0.0
            while time.monotonic() < until and (
                "memory_visit_ends" not in server.log() or resident_mb(server) > LIMIT_MB
            ):
                longest = max(longest, await neighbour.edit(0, 0, f"1.{number:03}"))
                number += 1
                await asyncio.sleep(0.2)
            await neighbour.edit(0, 0, "7.5")
            for task in fillers:
                task.cancel()
            await asyncio.gather(*fillers, return_exceptions=True)
            return longest, resident_mb(server)

    longest, resident = visit(scene())
    assert "memory_visit_ends" in server.log()
    assert resident <= LIMIT_MB
    assert longest <= MOST_SECONDS
