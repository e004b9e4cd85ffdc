"""The short form of `make attack`: what it judges, and that what is tried is found; what is refused is refused."""

import asyncio
import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from harness.aio import in_a_thread
from harness.attacks import verdict
from harness.attacks.attack import Attack, Outcome, Site
from harness.attacks.beside import Waits, memory_back, memory_mb
from harness.attacks.catalogue import ATTACKS, FAMILIES, carry_out, log_faults, logged_limits, places
from harness.attacks.verdict import Measured
from harness.browser import ROOT, Server, serve
from harness.visitor import Visitor, visit


async def nothing(_site: Site, _outcome: Outcome) -> None:
    """No attack."""


def measured(
    edits: list[float], *, is_legal: bool = False, refused: bool = True, after_mb: float = 100.0, **more: Any
) -> Measured:
    outcome = Outcome(came=1)
    if refused:
        outcome.refused("a sentence")
    return Measured(
        attack=Attack("none", "none", "nothing", nothing, is_legal=is_legal),
        place="app",
        outcome=outcome,
        alone=Waits(edits=[0.1] * 20, health=[0.01]),
        beside=Waits(edits=edits, health=[0.01]),
        before_mb=100.0,
        peak_mb=120.0,
        after_mb=after_mb,
        **more,
    )


def test_every_family_has_attacks_each_with_a_name_of_its_own() -> None:
    every = [attack for family in FAMILIES for attack in family.ATTACKS]

    assert len({attack.name for attack in every}) == len(every) == len(ATTACKS)
    assert all(family.ATTACKS for family in FAMILIES)
    assert all(attack.sends for attack in every)


def test_behind_nginx_only_that_is_tried_which_it_could_refuse() -> None:
    chosen = places(list(ATTACKS), with_nginx=True)

    assert chosen["app"] == list(ATTACKS.values())
    assert all(attack.through_nginx for attack in chosen.get("nginx", []))
    assert "nginx" not in places(list(ATTACKS), with_nginx=False)


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (measured([0.12] * 20), "ok"),
        (measured([0.3] * 20), "over: times as long 3 > 1.5"),
        (measured([0.9] * 20), "FAILS: times as long 9 > 1.5"),
        (measured([0.9] * 20, is_legal=True), "over: p95 ms 900 > 250"),
        (measured([0.1] * 99 + [3.0]), "over: longest wait s 3 > 2"),
        (measured([0.1] * 99 + [11.0]), "FAILS: longest wait s 11 > 2"),
        (measured([0.1] * 20, after_mb=130.0), "over: MB after 1.3 > 1.1"),
        (measured([0.1] * 20, after_mb=200.0), "FAILS: MB after 2 > 1.1"),
        (measured([0.1] * 20, refused=False), "FAILS: never refused"),
        (measured([0.1] * 20, died=True), "FAILS: the server ended"),
        (measured([0.1] * 20, log_faults=("1 × a traceback in the log",)), "FAILS: 1 × a traceback in the log"),
        (measured([]), "FAILS: times as long inf > 1.5"),
    ],
)
def test_what_is_promised_is_judged(result: Measured, words: str) -> None:
    assert result.verdict == words
    assert result.passed is not words.startswith("FAILS")
    assert words in verdict.table([result])


def test_what_must_not_stand_in_a_log_is_found() -> None:
    lines = Counter(['{"event": "start"}', '{"path": "/_stcore/upload_file/abc-1/2"}', "Traceback (most recent", "x"])

    assert list(log_faults(lines, [])) == ["1 × a traceback in the log"]
    assert list(log_faults(lines, ["abc-1", ""])) == [
        "1 × a traceback in the log",
        "1 × the id of a visit in the log",
    ]


def test_what_the_server_says_it_refused_counts() -> None:
    lines = Counter({'{"event": "limit", "what": "visits"}': 2, '{"event": "warm"}': 1, "3": 1, "x": 1})

    assert logged_limits(lines) == {"logged visits": 2}


def test_the_memory_of_a_server_is_that_of_its_children_too() -> None:
    own = memory_mb([os.getpid()])
    held = bytearray(b"x" * 50_000_000)

    assert memory_mb([os.getpid()]) > own + 40
    assert in_a_thread(memory_back([os.getpid()], own + 60, 1.0)) > own
    del held


# A few of them, against a server: what is refused is counted, no time is measured


SECONDS = 4.0  # of each, at most
FEW, EVERY_SPELLING = 3, 60  # so many refusals are enough
TRIED = dict.fromkeys(
    ("error-message", "class-names", "files-10000", "empty-states", "ids", "hashes", "take-over", "others-files"), FEW
)
TRIED |= dict.fromkeys(("empty-pings", "unmasked-frames"), FEW)
TRIED |= dict.fromkeys(("closed-addresses", "other-hosts", "odd-origins"), EVERY_SPELLING)


@pytest.fixture(scope="module")
def hosted() -> Iterator[Server]:
    with serve(ROOT / "hosted.py") as server:
        yield server


@pytest.mark.long
@pytest.mark.parametrize("name", TRIED)
def test_the_server_refuses_and_says_so(hosted: Server, name: str) -> None:
    before = Counter(hosted.log().splitlines())
    if (make := ATTACKS[name].prepare) is not None:
        make()

    outcome = visit(_carried_out(name, hosted.url))

    logged = Counter(hosted.log().splitlines()) - before
    assert outcome.came
    assert outcome.faults == []
    assert outcome.refusals + logged_limits(logged) or not ATTACKS[name].is_refused
    assert list(log_faults(logged, outcome.visits)) == []
    assert hosted.process.poll() is None
    assert visit(_edited(hosted.url)) > 0  # whoever comes next is served


async def _carried_out(name: str, url: str) -> Outcome:
    return await asyncio.to_thread(carry_out, name, Site(url, seconds=SECONDS, enough=TRIED[name]))


async def _edited(url: str) -> float:
    async with Visitor(url) as visitor:
        return await visitor.edit(0, 0, "5")
