"""Estimates the bytes that each visit keeps: what it typed, computed and uploaded."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Collection
from itertools import islice
from time import monotonic
from types import MemberDescriptorType
from typing import Any

import numpy as np
import torch
from google.protobuf.message import Message
from streamlit.runtime import get_instance

from xent_host.removed_files import REMOVED
from xent_ui.streamlit_internals import held_files

VISIT_SECONDS = 0.01  # in which a visit is looked at; what was not reached by then does not count
SAMPLE = 1_000  # members of a container that stand for all of it

_LEAVES = (str, bytes, bytearray, int, float, complex, bool, type(None))


def kept_bytes(value: object, seconds: float = VISIT_SECONDS) -> int:
    """An estimate of what a value takes with all that it holds; each thing counts once.

    Of a large container a sample stands for all. Nothing of the value is called: no length, no comparison of its own.
    """
    until, seen, total = monotonic() + seconds, set[int](), 0.0
    waiting: deque[tuple[object, float]] = deque([(value, 1.0)])
    while waiting and monotonic() < until:
        one, times = waiting.popleft()
        if id(one) in seen:
            continue
        seen.add(id(one))
        own, members, size = _own_bytes(one), _members(one), 0
        total += times * own
        if size := len(members):
            sample = min(size, SAMPLE)
            waiting.extend((member, times * size / sample) for member in islice(members, sample))
    return int(total)


def _own_bytes(one: object) -> int:
    kind = type(one)
    if issubclass(kind, np.ndarray):
        return int(np.ndarray.nbytes.__get__(one))
    if kind is torch.Tensor:
        return int(one.untyped_storage().nbytes())  # type: ignore[attr-defined]
    if issubclass(kind, Message):
        return int(one.ByteSize())  # type: ignore[attr-defined]
    return object.__sizeof__(one) if kind not in _LEAVES else sys.getsizeof(one)


def _members(one: object) -> Collection[object]:
    kind = type(one)
    if kind in _LEAVES or issubclass(kind, (type, np.ndarray, torch.Tensor, Message)):
        return ()
    if issubclass(kind, dict):
        return [*list(dict.keys(one)), *list(dict.values(one))]  # type: ignore[arg-type]
    if kind in (list, tuple, set, frozenset, deque):
        members: list[object] = list(one)  # type: ignore[call-overload]
        return members
    try:
        attributes = object.__getattribute__(one, "__dict__")
    except AttributeError:
        attributes = {}
    slots = [
        slot.__get__(one)
        for slot in vars(kind).values()
        if isinstance(slot, MemberDescriptorType) and _is_set(slot, one)
    ]
    in_tuple: list[object] = list(tuple.__iter__(one)) if isinstance(one, tuple) else []
    return [*(list(dict.values(attributes)) if type(attributes) is dict else []), *slots, *in_tuple]


def _is_set(slot: Any, one: object) -> bool:
    try:
        slot.__get__(one)
    except AttributeError:
        return False
    return True


def visits_bytes() -> dict[str, int]:
    """What each visit keeps, of those that were left too. For the thread of the event loop alone."""
    runtime, held = get_instance(), dict[str, int]()
    for info in runtime._session_mgr.list_sessions():
        state = info.session.session_state
        held[info.session.id] = kept_bytes((state._old_state, state._new_session_state, state._new_widget_state))
    for files in (held_files(runtime.uploaded_file_mgr), REMOVED.sizes()):
        for visit, sizes in files.items():
            held[visit] = held.get(visit, 0) + sum(sizes)
    return held
