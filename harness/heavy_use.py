"""Heavy but legal use: what it does to the neighbours who edit, and whether another visitor's file still comes.

Each load repeats what a page offers, as fast as it is answered. Its answers are checked as everybody's are.
"""

import argparse
import asyncio
import contextlib
import io
import json
import random
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import numpy as np
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Common_pb2 import StringArray

from harness.browser import ROOT, serve
from harness.load import edit_until, largest_table
from harness.ratios import Result, table
from harness.visitor import EDITOR, LOSS_DIGITS, Visitor, WrongAnswer, loss_of, visit
from xent_ui.state.sheet import MAX_CLASSES, MAX_ROWS

NEIGHBOURS, NEIGHBOURS_PAUSE = 4, 0.5
ALONE_SECONDS, BESIDE_SECONDS = 10.0, 20.0
REWRITING, RERUNNING, READING = 10, 15, 4
DOWNLOADS = 400
PACKED_ROWS, PACKED_CLASSES = 2_000, 1_000
CSV_ROWS, CSV_CLASSES = 6_000, 64  # 3.8 MB
AIM_P95_MS, AIM_LONGEST_MS = 250, 2_000
AIM_DOWNLOAD_SECONDS = 5.0  # of another visitor's file, while hundreds are asked for and after
IsOver = Callable[[], bool]


class Downloader(Visitor):
    """A visitor who also knows which files the page makes when a button is pressed."""

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(url, **options)
        self.files: dict[str, str] = {}  # what to ask for, by the key of the button
        self.asked = 0

    def _note_widget(self, delta: Any, part: Any) -> None:
        super()._note_widget(delta, part)
        if part.WhichOneof("type") == "download_button" and part.download_button.HasField("deferred_file_id"):
            button = part.download_button
            self.files[button.id.split("-", 2)[-1]] = button.deferred_file_id

    async def ask(self, key: str) -> str:
        """Ask for the file of a button, and do not wait for it; the number of the request."""
        message = BackMsg()
        self.asked += 1
        request = message.backend_operation_request
        request.request_id, request.session_id = str(self.asked), self.session
        request.deferred_file.file_id = self.files[key]
        await self.socket.send(message.SerializeToString())
        return request.request_id

    async def answers(self, count: int) -> list[str]:
        """Of so many answers the words with which files were refused; "" for a file."""
        return [
            (await self._receive_until("backend_operation_response")).backend_operation_response.error_msg
            for _ in range(count)
        ]


async def rewrite(url: str, is_over: IsOver) -> int:
    """Ten visits that each write all cells of the largest table anew."""
    return sum(await asyncio.gather(*(_rewrite(url, is_over, seed) for seed in range(REWRITING))))


async def _rewrite(url: str, is_over: IsOver, seed: int) -> int:
    query, logits, target = largest_table()
    numbers = random.Random(seed)
    times = 0
    async with Visitor(url, query=query, logits=logits, target=target) as visitor:
        while not is_over():
            visitor.logits = [[round(numbers.uniform(-9, 9), 2) for _ in range(MAX_CLASSES)] for _ in range(MAX_ROWS)]
            cells = {
                str(row): {f"class {label}": str(logit) for label, logit in enumerate(logits)}
                for row, logits in enumerate(visitor.logits)
            }
            await visitor.set(EDITOR, string_value=_json(cells))
            expected = loss_of(visitor.logits, visitor.target)
            if visitor.problems or visitor.loss is None or abs(visitor.loss - expected) > LOSS_DIGITS:
                raise WrongAnswer(f"The loss shown is {visitor.loss}, expected {expected:.4f}. {visitor.problems}")
            times += 1
    return times


def _json(cells: dict[str, dict[str, str]]) -> str:
    return json.dumps({"edited_rows": cells, "added_rows": [], "deleted_rows": []})


async def rerun_precision(url: str, is_over: IsOver) -> int:
    """Fifteen visits that run the page Precision over and over."""
    return sum(await asyncio.gather(*(_rerun(url, is_over, "precision") for _ in range(RERUNNING))))


async def _rerun(url: str, is_over: IsOver, page: str) -> int:
    times = 0
    async with Visitor(url, page=page) as visitor:
        while not is_over():
            await visitor.run()
            times += 1
    return times


async def download(url: str, is_over: IsOver) -> int:
    """A visit that asks for the whole screen as HTML hundreds of times and leaves, then another, and so on."""
    query, logits, target = largest_table()
    asked = 0
    while not is_over():
        async with Downloader(url, query=query, logits=logits, target=target, page="export") as visitor:
            for _ in range(DOWNLOADS):
                await visitor.ask("download_cross-entropy_html")
                asked += 1
                if is_over():
                    break
    return asked


async def other_download(url: str) -> float:
    """The seconds until another visitor has a CSV. Raises: WrongAnswer."""
    async with Downloader(url, page="export") as visitor:
        start = time.perf_counter()
        await visitor.ask("download_cross-entropy_csv")
        [words] = await visitor.answers(1)
        if words:
            raise WrongAnswer(f"The CSV was refused: {words}")
        return time.perf_counter() - start


async def read_packed_rows(url: str, is_over: IsOver) -> int:
    """Visits that look at one row after the other of a dump that is packed, so that it is read from its beginning."""
    return sum(await asyncio.gather(*(_read_rows(url, is_over, seed) for seed in range(READING))))


async def _read_rows(url: str, is_over: IsOver, seed: int) -> int:
    numbers = random.Random(seed)
    times = 0
    async with Visitor(url, page="your-logits") as visitor:
        await visitor.settle()
        await visitor.set("dump_source", string_array_value=StringArray(data=["Upload"]))
        await visitor.upload("dump_logits_file", "packed.npz", packed_dump())
        await visitor.settle()
        if visitor.problems or "lorenz" not in visitor.widgets:
            raise WrongAnswer(f"The dump was not analysed. {visitor.alerts} {visitor.problems}")
        while not is_over():
            await visitor.set("dump_row", int_value=numbers.randrange(PACKED_ROWS))
            await visitor.settle()
            times += 1
    return times


def packed_dump() -> bytes:
    """A dump as np.savez_compressed writes it."""
    numbers = np.random.default_rng(0)
    file = io.BytesIO()
    logits = numbers.integers(-9, 9, (PACKED_ROWS, PACKED_CLASSES)).astype(np.float32)
    np.savez_compressed(file, logits=logits, target=numbers.integers(0, PACKED_CLASSES, PACKED_ROWS))
    return file.getvalue()


async def open_csv(url: str, is_over: IsOver) -> int:
    """A visit that opens one CSV of 3.8 MB after the other on Export."""
    data = large_csv()
    times = 0
    while not is_over():
        async with Visitor(url, page="export") as visitor:
            for number in range(3):
                if not is_over():
                    await visitor.upload("import_file", f"{number}.csv", data)
                    await visitor.settle()
                    if visitor.problems:
                        raise WrongAnswer(f"The CSV was not read: {visitor.problems}")
                    times += 1
    return times


def large_csv() -> bytes:
    """A table of logits and labels as a spreadsheet writes it."""
    numbers = random.Random(0)
    head = ",".join([*(f"c{label}" for label in range(CSV_CLASSES)), "label"])
    rows = (
        ",".join(
            [*(f"{numbers.uniform(-99, 99):.5f}" for _ in range(CSV_CLASSES)), str(numbers.randrange(CSV_CLASSES))]
        )
        for _ in range(CSV_ROWS)
    )
    return "\n".join([head, *rows]).encode()


LOADS: dict[str, Callable[[str, IsOver], Awaitable[int]]] = {
    f"{REWRITING} that rewrite {MAX_ROWS * MAX_CLASSES} cells": rewrite,
    f"{RERUNNING} that re-run Precision": rerun_precision,
    f"{DOWNLOADS} downloads of the screen": download,
    f"{READING} that read rows of a packed dump": read_packed_rows,
    "CSV of 3.8 MB on Export": open_csv,
}


@contextlib.contextmanager
def loading(url: str, name: str, seconds: float) -> Iterator[subprocess.Popen[str]]:
    """That load in a process of its own: what it costs its visitors is not the server's."""
    command = [sys.executable, "-m", "harness.heavy_use", str(list(LOADS).index(name)), f"--seconds={seconds}"]
    process = subprocess.Popen([*command, f"--url={url}"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def beside(url: str, name: str, seconds: float) -> tuple[list[float], int]:
    """The seconds of each answer to the neighbours while that load lasts, and how often it was answered."""
    with loading(url, name, seconds) as process:
        waits = await edit_until(lambda: process.poll() is not None, url, range(NEIGHBOURS), NEIGHBOURS_PAUSE)
        return waits, int(process.stdout.read() if process.stdout and process.returncode == 0 else -1)


async def measure_on(url: str, seconds: float = BESIDE_SECONDS, names: Sequence[str] = tuple(LOADS)) -> list[Result]:
    """Each load beside the neighbours, on a server that runs."""
    packed_dump(), large_csv()  # made before somebody waits
    end = time.perf_counter() + ALONE_SECONDS
    alone = await edit_until(lambda: time.perf_counter() >= end, url, range(NEIGHBOURS), NEIGHBOURS_PAUSE)
    results = []
    for name in names:
        waits, times = await beside(url, name, seconds)
        results += _results(name, waits, alone, f"{times} times")
        if LOADS[name] is download:
            took = await other_download(url)
            results.append(
                Result(
                    f"another's CSV after {name} over {AIM_DOWNLOAD_SECONDS:g} s",
                    took / AIM_DOWNLOAD_SECONDS,
                    limit=1,
                    detail=f"{took:.2f} s",
                )
            )
    return results


def _results(name: str, waits: list[float], alone: list[float], times: str) -> list[Result]:
    p50, p95 = (1e3 * float(np.quantile(waits, part)) for part in (0.5, 0.95))
    p50_alone, p95_alone = (1e3 * float(np.quantile(alone, part)) for part in (0.5, 0.95))
    longest = 1e3 * max(waits)
    detail = (
        f"p50 {p50:.0f} ms, p95 {p95:.0f}, longest {longest:.0f}; alone {p50_alone:.0f} and {p95_alone:.0f}; {times}"
    )
    return [
        Result(f"p95 of the neighbours beside {name} over {AIM_P95_MS} ms", p95 / AIM_P95_MS, limit=1, detail=detail),
        Result(
            f"their longest wait over {AIM_LONGEST_MS} ms",
            longest / AIM_LONGEST_MS,
            limit=1,
            detail=f"{longest:.0f} ms",
        ),
    ]


def measure(seconds: float = BESIDE_SECONDS, names: Sequence[str] = tuple(LOADS)) -> list[Result]:
    """Each load beside the neighbours, on a server of its own."""
    with serve(ROOT / "hosted.py") as server:
        return visit(measure_on(server.url, seconds, names))


def main() -> None:
    """Measure, and print a table; with the address of a server, load that one, and print how often it answered."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("load", nargs="*", help=f"numbers of loads, from 0: {', '.join(LOADS)}")
    parser.add_argument("--seconds", type=float, default=BESIDE_SECONDS)
    parser.add_argument("--url", help="of a server, which is loaded with one load")
    options = parser.parse_args()
    names = [name for number, name in enumerate(LOADS) if not options.load or str(number) in options.load]
    if options.url:
        end = time.perf_counter() + options.seconds
        said = str(visit(_counted(LOADS[names[0]], options.url, lambda: time.perf_counter() >= end)))
    else:
        said = table(measure(options.seconds, names))
    sys.stdout.write(said + "\n")


async def _counted(load: Callable[[str, IsOver], Awaitable[int]], url: str, is_over: IsOver) -> int:
    return await load(url, is_over)


if __name__ == "__main__":
    main()
