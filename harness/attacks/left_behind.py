"""What visits leave in memory and in the temporary folder: when they go, and when the server is killed."""

import asyncio
import contextlib
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from streamlit.proto.Common_pb2 import StringArray

from harness.attacks.attack import Attack, Outcome, Site
from harness.browser import ROOT, serve
from harness.visitor import Visitor, npy, visit

LEAVERS, LEFT_ROWS = 12, 20_000  # × 100 classes × 4 bytes: 8 MB
SWEPT_SECONDS = 10.0  # after the start


async def _analyse(visitor: Visitor, name: str, data: bytes) -> None:
    await visitor.settle()
    await visitor.set("dump_source", string_array_value=StringArray(data=["Upload"]))
    await visitor.upload("dump_logits_file", name, data)
    await visitor.settle()


async def leaving(site: Site, outcome: Outcome) -> None:
    """Visits that upload 8 MB and leave; nobody comes after them."""
    data = npy(np.zeros((LEFT_ROWS, 100), dtype=np.float32))
    for number in range(LEAVERS):
        outcome.sent()
        with outcome.hung_up():
            async with site.visitor("your-logits") as visitor:
                await _analyse(visitor, f"{number}.npy", data)


def table() -> bytes:
    """A dump in Parquet, which is read from the temporary folder."""
    numbers = np.random.default_rng(3).normal(size=(5000, 4)).astype(np.float32)
    columns = {f"class {label}": numbers[:, label] for label in range(4)}
    return pd.DataFrame({**columns, "target": np.zeros(5000, dtype=np.int64)}).to_parquet()


@contextlib.contextmanager
def _temporary_folder(folder: str):
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = folder
    try:
        yield
    finally:
        os.environ.pop("TMPDIR")
        if before is not None:
            os.environ["TMPDIR"] = before


async def killed(_site: Site, outcome: Outcome) -> None:
    """A server of its own is killed while somebody looks at a dump, and started again: its files are gone."""
    await asyncio.to_thread(_killed, outcome)


def _killed(outcome: Outcome) -> None:
    with tempfile.TemporaryDirectory() as folder, _temporary_folder(folder):

        async def look(url: str, kill) -> None:
            async with Visitor(url, page="your-logits") as visitor:
                await _analyse(visitor, "dump.parquet", table())
                kill()

        with contextlib.suppress(OSError), serve(ROOT / "hosted.py") as server:
            with contextlib.suppress(Exception):  # the visit breaks with the server
                visit(look(server.url, server.process.kill))
            server.process.kill()
            server.process.wait()
        held = _files(folder)
        outcome.sent(len(held))
        with serve(ROOT / "hosted.py"):
            end = time.monotonic() + SWEPT_SECONDS
            while left := _files(folder) & held:
                if time.monotonic() > end:
                    outcome.fault(f"{len(left)} files and folders of a killed server stay: {sorted(left)[0]}")
                    return
                time.sleep(0.5)  # between two looks at the folder


def _files(folder: str) -> set[str]:
    """What lies there, without the log that this program keeps itself."""
    return {str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.name != "server.log"}


FAMILY = "left-behind"
ATTACKS = (
    Attack(
        "leaving",
        FAMILY,
        f"{LEAVERS} visits upload 8 MB and leave",
        leaving,
        through_nginx=True,
        ends_itself=True,
        is_legal=True,
        is_refused=False,
    ),
    Attack(
        "killed",
        FAMILY,
        "a server is killed while a Parquet file is open",
        killed,
        ends_itself=True,
        is_legal=True,
        is_refused=False,
    ),
)
