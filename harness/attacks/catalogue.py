"""Every attack by its name, and one of them carried out beside neighbours."""

import asyncio
import contextlib
import json
import multiprocessing
import os
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from harness import hosting
from harness.aio import in_a_thread
from harness.attacks import addresses, files, kept, left_behind, messages, shares, text
from harness.attacks.attack import Attack, Outcome, Site
from harness.attacks.beside import Watch, memory_back, memory_mb
from harness.attacks.verdict import Measured
from harness.browser import ROOT, Server, serve
from harness.visitor import visit

FAMILIES = (text, messages, shares, addresses, files, kept, left_behind)
ATTACKS = {attack.name: attack for family in FAMILIES for attack in family.ATTACKS}
POLITENESS = 10  # of the attacker's process: the machine that it takes the cores from would be another one
LOG_FAULTS = {
    "a traceback": re.compile("^Traceback "),
    "a warning of Streamlit's": re.compile("missing ScriptRunContext"),
}
OVERTIME_SECONDS = 30.0  # of an attacker who does not stop
WHOLE_SECONDS = 120.0  # of an attack with an end
LOOK_SECONDS = 0.1  # between two looks whether an attack is over
CONNECT_SECONDS = 1.0  # until the neighbours are there


@dataclass(frozen=True)
class Times:
    """How long each part takes, in seconds.

    Attributes:
      alone: the neighbours by themselves, before each attack.
      attack: at most; some take less.
      after: until memory has to be back.
    """

    alone: float = 10.0
    attack: float = 20.0
    after: float = 75.0


QUICK = Times(alone=4.0, attack=5.0, after=10.0)


class Place:
    """A server that is attacked: by itself, or two of them behind nginx; started anew where one has ended."""

    def __init__(self, name: str, options: Sequence[str] = ()) -> None:
        self.name, self.options = name, options
        self._stack = contextlib.ExitStack()
        self.url, self.servers, self._proxy_log = "", list[Server](), Path()

    def __enter__(self) -> "Place":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(self) -> None:
        """Start it; one that runs is ended first. A busy machine gets a second try."""
        try:
            self._start()
        except RuntimeError:
            self._start()

    def _start(self) -> None:
        self._stack.close()
        if self.name == "nginx":
            site = self._stack.enter_context(hosting.two_replicas_behind_nginx())
            self.url, self.servers, self._proxy_log = site.url, list(site.replicas.values()), site.log_file
        else:
            server = self._stack.enter_context(serve(ROOT / "hosted.py", *self.options))
            self.url, self.servers = server.url, [server]

    def processes(self) -> list[int]:
        """The servers' numbers."""
        return [server.process.pid for server in self.servers]

    def has_ended(self) -> bool:
        """Whether one of them runs no more."""
        return any(server.process.poll() is not None for server in self.servers)

    def log(self) -> str:
        """What the servers and nginx have written so far."""
        proxy = self._proxy_log.read_text("utf-8", errors="replace") if self._proxy_log.is_file() else ""
        return "".join([*(server.log() for server in self.servers), proxy])


def places(names: Sequence[str], *, with_nginx: bool) -> dict[str, list[Attack]]:
    """Which attacks are tried where."""
    chosen = [ATTACKS[name] for name in names]
    found = {"app": chosen}
    if with_nginx and hosting.NGINX:
        found["nginx"] = [attack for attack in chosen if attack.through_nginx]
    return found


def measure(place: Place, attack: Attack, times: Times) -> Measured:
    """The attack beside neighbours, and what it left behind."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as attacker:
        attacker.submit(prepare, attack.name).result()
        return visit(_measure(place, attack, times, attacker))


async def _measure(place: Place, attack: Attack, times: Times, attacker: ProcessPoolExecutor) -> Measured:
    seconds = WHOLE_SECONDS if attack.ends_itself else min(attack.seconds, times.attack)
    watch = Watch(place.url, place.processes())
    async with watch.stretch() as alone:
        await asyncio.sleep(CONNECT_SECONDS + times.alone)
    before_mb, lines = memory_mb(place.processes()), Counter(place.log().splitlines())
    async with watch.stretch() as beside:
        await asyncio.sleep(CONNECT_SECONDS)
        attacking = asyncio.get_running_loop().run_in_executor(
            attacker, carry_out, attack.name, Site(place.url, seconds=seconds)
        )
        try:
            async with asyncio.timeout(seconds + OVERTIME_SECONDS):
                outcome = await attacking
        except TimeoutError:
            for process in multiprocessing.active_children():
                process.kill()
            outcome = Outcome(-1, faults=["the attacker did not stop"])
    after_mb = await memory_back(place.processes(), before_mb, times.after)
    logged = Counter(place.log().splitlines()) - lines
    outcome.refusals += logged_limits(logged)
    return Measured(
        attack=attack,
        place=place.name,
        outcome=outcome,
        alone=alone,
        beside=beside,
        before_mb=before_mb,
        peak_mb=max(watch.peak_mb, before_mb),
        after_mb=after_mb,
        log_faults=tuple(log_faults(logged, outcome.visits)),
        died=place.has_ended(),
    )


def prepare(name: str) -> None:
    """In the attacker's process, before anything is measured: its imports, and what it sends."""
    os.nice(POLITENESS)
    if (make := ATTACKS[name].prepare) is not None:
        make()


def carry_out(name: str, site: Site) -> Outcome:
    """In the attacker's process: the attack, for so long."""
    outcome = Outcome()

    async def until_it_is_over() -> None:
        end = time.monotonic() + site.seconds
        attacking = asyncio.ensure_future(ATTACKS[name].run(site, outcome))
        while not attacking.done() and time.monotonic() < end:
            if site.enough and outcome.refusals.total() >= site.enough:
                break
            await asyncio.wait([attacking], timeout=LOOK_SECONDS)
        attacking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await attacking

    try:
        in_a_thread(until_it_is_over())
    except Exception as error:  # the attack's own mistake, or an answer that it did not expect
        outcome.fault(f"the attack ends with {error!r:.200}")
    return outcome


def log_faults(lines: Counter[str], visits: Iterable[str]) -> Iterator[str]:
    """What must not stand in the lines of a log, as "3 × a traceback in the log"."""
    for what, pattern in LOG_FAULTS.items():
        if count := sum(times for line, times in lines.items() if pattern.search(line)):
            yield f"{count} × {what} in the log"
    if count := sum(any(visit in line for visit in visits if visit) for line in lines):
        yield f"{count} × the id of a visit in the log"


def logged_limits(lines: Counter[str]) -> Counter[str]:
    """Which limits the server says it has kept, and how often it says so: "logged message_parts"."""
    found: Counter[str] = Counter()
    for line, times in lines.items():
        with contextlib.suppress(ValueError):
            match json.loads(line):
                case {"event": "limit" | "upload-refused", "what": what}:
                    found[f"logged {what}"] += times
    return found


def run_all(
    names: Sequence[str], times: Times, *, with_nginx: bool = True, options: Sequence[str] = ()
) -> Iterator[Measured]:
    """The attacks one after the other, each as soon as it was measured."""
    for where, attacks in places(names, with_nginx=with_nginx).items():
        if not attacks:
            continue
        with Place(where, options) as place:
            for attack in attacks:
                measured = measure(place, attack, times)
                yield measured
                if not measured.passed:
                    place.start()  # the next one meets a server that is well
