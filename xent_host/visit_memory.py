"""Estimates the bytes that each visit keeps: what it typed, computed and uploaded."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from itertools import chain, islice
from time import thread_time
from types import MemberDescriptorType
from typing import Any, cast

import numpy as np
import torch
from google.protobuf.message import Message
from streamlit.runtime import get_instance

from xent_host.removed_files import REMOVED
from xent_host.visit_files import held_bytes
from xent_ui.streamlit_internals import held_files

VISIT_SECONDS = 0.01  # in which a visit is looked at; what was not reached by then does not count
NAMED_SAMPLE, LISTED_SAMPLE = 1_000, 16  # members of a container that stand for all of it: those of a list are alike

_SIZED = (dict, list, tuple, set, frozenset, deque, str, bytes, bytearray)
_LEAVES = (str, bytes, bytearray, int, float, complex, bool, type(None))


def kept_bytes(value: object, seconds: float = VISIT_SECONDS) -> int:
    """An estimate of what a value takes with all that it holds; each thing counts once.

    Of a large container a sample stands for all. Nothing of the value is called: no length, no comparison of its own.
    """
    until, seen, total = thread_time() + seconds, set[int](), 0.0
    waiting: deque[tuple[object, float]] = deque([(value, 1.0)])
    while waiting and thread_time() < until:
        one, times = waiting.popleft()
        if id(one) in seen:
            continue
        seen.add(id(one))
        total += times * _own_bytes(one)
        size, sample = _members(one)
        waiting.extend((member, times * size / len(sample)) for member in sample)
    return int(total)


def _own_bytes(one: object) -> int:
    kind = type(one)
    if issubclass(kind, np.ndarray):
        return int(np.ndarray.nbytes.__get__(one))
    if kind is torch.Tensor:
        return int(cast(torch.Tensor, one).untyped_storage().nbytes())
    if issubclass(kind, Message):
        return int(cast(Message, one).ByteSize())
    base = next((base for base in _SIZED if issubclass(kind, base)), object)
    return int(base.__sizeof__(one))


def _members(one: object) -> tuple[int, list[object]]:
    """How many there are, and a sample of them; nothing is copied but the sample."""
    kind = type(one)
    if kind in _LEAVES or issubclass(kind, (type, np.ndarray, torch.Tensor, Message)):
        return 0, []
    if isinstance(one, dict):
        names, values = islice(dict.keys(one), NAMED_SAMPLE), islice(dict.values(one), NAMED_SAMPLE)
        return 2 * dict.__len__(one), _sample(chain(names, values))
    for base in (list, tuple, set, frozenset, deque):
        if issubclass(kind, base):
            whole = cast(Any, one)  # asked past whatever its own class may answer
            size = base.__len__(whole)
            step = max(size // LISTED_SAMPLE, 1)
            return size, _sample(islice(base.__iter__(whole), 0, None, step))
    try:
        attributes = object.__getattribute__(one, "__dict__")
    except AttributeError:
        attributes = {}
    slots: list[object] = [
        slot.__get__(one)
        for slot in vars(kind).values()
        if isinstance(slot, MemberDescriptorType) and _is_set(slot, one)
    ]
    members = [*slots, attributes]
    return len(members), members


def _sample(members: Iterator[object]) -> list[object]:
    try:
        return list(members)
    except RuntimeError:  # a run of the page changes it at this moment
        return []


def _is_set(slot: Any, one: object) -> bool:
    try:
        slot.__get__(one)
    except AttributeError:
        return False
    return True


async def visits_bytes() -> dict[str, int]:
    """What each visit keeps, of those that were left too. Between two visits, others are answered."""
    runtime, held = get_instance(), dict[str, int]()
    for info in runtime._session_mgr.list_sessions():
        state = info.session._session_state
        kept = state._old_state, state._new_session_state, state._new_widget_state
        held[info.session.id] = kept_bytes(kept)
        await asyncio.sleep(0)
    for visit, sizes in [*held_files(runtime.uploaded_file_mgr).items(), *REMOVED.sizes().items()]:
        held[visit] = held.get(visit, 0) + sum(sizes)
    for visit, size in held_bytes().items():
        held[visit] = held.get(visit, 0) + size
    return held
