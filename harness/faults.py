"""What hostile visitors do to the others: files, links, editor states and messages that no browser sends.

None may go without an answer, end in an error of ours, leave a visit that goes no further, or slow the neighbours down.
The neighbours edit at irregular times, as people do. At regular ones, two of them would always or never meet, and their
times alone would tell more of that than of the server. What they are compared with is measured before every attack, for
the same reason: files with nothing at all, and what comes in visits of its own with as many visits that are honest.
"""

import asyncio
import itertools
import json
import math
import random
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import websockets
from streamlit.proto.Common_pb2 import StringArray

from harness import hostile_inputs
from harness.browser import ROOT, serve
from harness.load import edit_for, edit_until, p95_ms
from harness.ratios import Result
from harness.visitor import (
    EDITOR,
    LOGITS,
    LOSS_DIGITS,
    PRESET,
    TARGET,
    UploadRefused,
    Visitor,
    WrongAnswer,
    loss_of,
    visit,
)
from xent_core.presets import PRESETS

HOSTILE = 1000  # files and links together
STATES, MESSAGES = 100, 50
VALUES = 3  # for each widget of each page
NEIGHBOURS, NEIGHBOURS_PAUSE = 5, 0.5
ALONE_SECONDS = 15.0  # without anything hostile, before each attack
SEED = 20
A_SECOND = 3  # half of what deploy/nginx.conf.template lets one address begin
PAGES = ("", *(path.stem.replace("_", "-") for path in sorted(ROOT.glob("pages/*/*.py")) if path.stem != "batch"))
UPLOADS_OF_A_VISIT = 6  # as many as a visit may hold
ERROR_OF_OURS = "This page met an error"  # how the notice of it begins
HONEST = json.dumps({"edited_rows": {"0": {"class 0": "5"}}, "added_rows": [], "deleted_rows": []})


@dataclass
class Toll:
    """What came, at a steady pace, and what became of it."""

    came: int = 0
    words: int = 0  # answered with words about it
    hung_up: int = 0
    faults: list[str] = field(default_factory=list)
    begun: float = field(default_factory=time.perf_counter)

    async def turn(self) -> None:
        """Wait until the next one may come."""
        await asyncio.sleep(self.begun + self.came / A_SECOND - time.perf_counter())
        self.came += 1

    def note(self, what: object, visitor: Visitor) -> None:
        """Take down how the page answered."""
        errors = [alert for alert in visitor.alerts if alert.startswith(ERROR_OF_OURS)]
        self.words += bool(visitor.alerts)
        for error in visitor.problems + errors:
            self.fault(what, error)

    def fault(self, what: object, why: object) -> None:
        """Take down what must not be."""
        self.faults.append(f"{str(what)[:60]!r}: {str(why)[:100]}")


@dataclass
class Others:
    """How long the neighbours wait where nothing hostile comes, in seconds, and what comes then."""

    when: str
    waits: list[float] = field(default_factory=list)


def measure(
    *,
    hostile_count: int = HOSTILE,
    states: int = STATES,
    messages: int = MESSAGES,
    alone_seconds: float = ALONE_SECONDS,
    values: int = VALUES,
) -> list[Result]:
    """All of it beside neighbours who edit, whose every answer is checked; then every widget of every page, alone."""
    with serve(ROOT / "hosted.py") as server:
        results = visit(_measure(server.url, hostile_count, states, messages, alone_seconds))
        return [*results, *([_swept(server.url, values)] if values else [])]


def _swept(url: str, values: int) -> Result:
    tolls = [visit(sweep(url, page, set(), values=values)) for page in PAGES]
    came, faults = sum(toll.came for toll in tolls), [fault for toll in tolls for fault in toll.faults]
    return Result(
        "faults by values of every widget of every page",
        len(faults),
        limit=0,
        detail=f"{len(faults)} in {came}" + "".join(f"; {fault}" for fault in faults[:3]),
    )


async def _measure(url: str, hostile_count: int, states: int, messages: int, alone_seconds: float) -> list[Result]:
    neighbours = range(NEIGHBOURS)
    await edit_for(url, 2.0, neighbours, NEIGHBOURS_PAUSE)  # a server that has been visited

    async def beside(attack: Coroutine[Any, Any, Toll]) -> tuple[Toll, list[float]]:
        attacking = asyncio.create_task(attack)
        waits = await edit_until(attacking.done, url, neighbours, NEIGHBOURS_PAUSE)
        return await attacking, waits

    # of the same minutes as what is compared with them: a machine is not always as fast
    alone, beside_honest = Others("alone"), Others("beside as many honest visits")
    found: list[tuple[str, Toll, list[float], Others]] = []
    for name, attack, others in (
        ("files", _upload(url, hostile_count // 2), alone),
        ("links", _open_links(url, hostile_count - hostile_count // 2), beside_honest),
        ("editor states", _edit(url, states), beside_honest),
        ("values of widgets", _set_widgets(url, states), beside_honest),
        ("messages", _send(url, messages), beside_honest),
    ):
        if others is alone:
            alone.waits += await edit_for(url, alone_seconds, neighbours, NEIGHBOURS_PAUSE)
        else:
            _toll, waits = await beside(_come(url, math.ceil(alone_seconds * A_SECOND)))
            beside_honest.waits += waits
        found.append((name, *await beside(attack), others))
    return [result for name, toll, waits, others in found for result in _results(name, toll, waits, others)]


def _results(name: str, toll: Toll, waits: list[float], others: Others) -> tuple[Result, Result]:
    answers = f"{toll.words} answered with words, {toll.hung_up} by hanging up"
    shown = "".join(f"; {fault}" for fault in toll.faults[:3])
    return (
        Result(
            f"faults by hostile {name}",
            len(toll.faults),
            limit=0,
            detail=f"{len(toll.faults)} in {toll.came}: {answers}{shown}",
        ),
        Result(
            f"p95 of the neighbours beside hostile {name}",
            p95_ms(waits) / p95_ms(others.waits),
            limit=1.5,
            detail=f"{p95_ms(waits):.0f} ms against {p95_ms(others.waits):.0f} ms {others.when}, "
            f"all {len(waits)} answers right",
        ),
    )


async def _come(url: str, count: int) -> Toll:
    """So many visits that do what a visitor does: each makes an edit."""
    toll = Toll()
    for _ in range(count):
        await toll.turn()
        async with Visitor(url) as visitor:
            await visitor.edit(0, 0, "5")
    return toll


async def _upload(url: str, count: int) -> Toll:
    toll = Toll()
    files = sorted(hostile_inputs.files(SEED, count), key=lambda file: file.uploader)
    for uploader, group in itertools.groupby(files, key=lambda file: file.uploader):
        while some := list(itertools.islice(group, UPLOADS_OF_A_VISIT)):
            async with Visitor(url, page=hostile_inputs.UPLOADERS[uploader]) as visitor:
                await visitor.settle()
                for key, choice in (("dump_source", "Upload"), ("doctor_source", "Open a file")):
                    if key in visitor.widgets:
                        await visitor.set(key, string_array_value=StringArray(data=[choice]))
                for file in some:
                    await toll.turn()
                    await _upload_one(visitor, file, toll)
    return toll


async def _upload_one(visitor: Visitor, file: hostile_inputs.File, toll: Toll) -> None:
    # what the page shows where it takes a file; the doctor's findings are words
    sign = {hostile_inputs.IMPORT: "import_open", hostile_inputs.DUMP: "lorenz", hostile_inputs.DOCTOR: ""}[
        file.uploader
    ]
    try:
        await visitor.upload(file.uploader, file.name, file.data)
        await visitor.settle()
    except UploadRefused as refused:
        if refused.status >= 500:
            toll.fault(file.name, refused)
        return
    except TimeoutError:
        toll.fault(file.name, "no answer")
        return
    toll.note(file.name, visitor)
    if not visitor.alerts and sign not in visitor.widgets:
        toll.fault(file.name, "not a word")


async def _open_links(url: str, count: int) -> Toll:
    toll = Toll()
    for link in hostile_inputs.links(SEED, count):
        await toll.turn()
        try:
            async with Visitor(url, query=link) as visitor:
                toll.note(link, visitor)
                if visitor.loss is None:
                    toll.fault(link, "no loss")
        except TimeoutError:
            toll.fault(link, "no answer")
    return toll


async def _edit(url: str, count: int) -> Toll:
    toll = Toll()
    for state in hostile_inputs.editor_states(SEED, count):
        await toll.turn()
        try:
            async with Visitor(url) as visitor:
                await visitor.set(EDITOR, string_value=state)
                toll.note(state, visitor)
                await _go_on(visitor, state, toll)
        except TimeoutError:
            toll.fault(state, "no answer")
    return toll


async def _go_on(visitor: Visitor, after: str, toll: Toll) -> None:
    """The same visit takes an honest edit."""
    await visitor.run()
    if not (editors := [name for name in visitor.widgets if name.startswith("logits_editor")]):
        toll.fault(after, f"no editor afterwards. {visitor.alerts} {visitor.problems}")
        return
    visitor.values.clear()
    visitor.loss = None
    await visitor.set(editors[-1], string_value=HONEST)
    if visitor.loss is None or visitor.problems:
        toll.fault(after, f"an honest edit afterwards: {visitor.alerts} {visitor.problems}")


async def _set_widgets(url: str, count: int) -> Toll:
    toll = Toll()
    numbers = random.Random(SEED)
    for number in range(count):
        await toll.turn()
        async with Visitor(url) as visitor:
            name, widget = sorted(visitor.widgets.items())[number % len(visitor.widgets)]
            value = hostile_inputs.widget_value(numbers, widget.identifier)
            try:
                await visitor.run(value, fragment=widget.fragment)
                toll.note(f"{name}: {value}", visitor)
                await _go_on(visitor, f"{name}: {value}", toll)
            except TimeoutError:
                toll.fault(f"{name}: {value}", "no answer")
    return toll


async def sweep(url: str, page: str, seen: set[str], *, values: int, clicks: int | None = None) -> Toll:
    """Give every widget of a page so many values, most of which it cannot have, also those that only a click shows.

    Args:
      seen: the widgets that had their turn, which are left out; those that have it now join them.
      clicks: so many of the choices of the page are made, and what they show is tried; None for all.
    """
    toll = Toll()
    numbers = random.Random(SEED)
    async with Visitor(url, page=page) as visitor:
        await visitor.settle()
        choices = [(key, choice) for key, widget in visitor.widgets.items() for choice in widget.choices]
    if clicks is not None:
        choices = numbers.sample(choices, min(clicks, len(choices)))
    for click in [None, *choices]:
        while True:
            async with Visitor(url, page=page) as visitor:
                await _open_all(visitor, click)
                if not (unseen := sorted(key for key in visitor.widgets if _without_revision(key) not in seen)):
                    break
                tried = await _try_values(visitor, unseen, numbers, values, toll)
                toll.came += values * len(tried)
                seen.update(map(_without_revision, tried))
    return toll


def _without_revision(key: str) -> str:
    """The same for `rows_0` and `rows_1`, which is that box after a change of the table."""
    return key.rstrip("0123456789")


async def _open_all(visitor: Visitor, click: tuple[str, str] | None) -> None:
    """Open what is folded, and make a choice."""
    await visitor.settle()
    for key, widget in list(visitor.widgets.items()):
        if widget.kind in ("checkbox", "expandable", "popover"):
            await visitor.set(key, bool_value=True)
    if click is not None:
        key, choice = click
        await visitor.set(key, string_array_value=StringArray(data=[choice]))
        await visitor.settle()


async def _try_values(visitor: Visitor, keys: list[str], numbers: random.Random, values: int, toll: Toll) -> list[str]:
    """Give these widgets bad values until one is off the screen, then make an honest edit; those that got some."""
    tried = []
    for key in keys:
        if key not in visitor.widgets:
            break
        widget = visitor.widgets[key]
        for _ in range(values):
            value = hostile_inputs.widget_value(numbers, widget.identifier)
            try:
                await visitor.run(value, fragment=widget.fragment)
                toll.note(f"{key}: {value}", visitor)
            except TimeoutError:
                toll.fault(f"{key}: {value}", "no answer")
        tried.append(key)
    try:
        await _edit_honestly(visitor, tried, toll)
    except TimeoutError:
        toll.fault(tried, "no answer to an honest edit")
    return tried


async def _edit_honestly(visitor: Visitor, after: object, toll: Toll) -> None:
    """On the batch page, with a preset on the table, an edit has the loss that follows from it."""
    visitor.values.clear()
    await visitor.go("")
    await visitor.set("Reset", trigger_value=True)
    await visitor.set("preset_choice", string_value=PRESETS[PRESET].title)
    visitor.values.clear()
    visitor.loss = None
    [*_former, editor] = [key for key in visitor.widgets if key.startswith("logits_editor")]
    await visitor.set(editor, string_value=HONEST)
    expected = loss_of([[5.0, *LOGITS[0][1:]], *LOGITS[1:]], TARGET)
    if visitor.problems or visitor.loss is None or abs(visitor.loss - expected) > LOSS_DIGITS:
        toll.fault(after, f"an honest edit gives {visitor.loss}: {visitor.alerts} {visitor.problems}")


async def _send(url: str, count: int) -> Toll:
    toll = Toll()
    for message in hostile_inputs.messages(SEED, count):
        await toll.turn()
        async with Visitor(url) as visitor:
            await visitor.socket.send(message)
            try:
                await visitor.run()  # which may be the run that the message stops
                await visitor.edit(0, 0, "5")
            except websockets.ConnectionClosed:
                toll.hung_up += 1
            except (TimeoutError, WrongAnswer) as error:
                toll.fault(message, error)
    return toll
