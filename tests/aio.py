"""Coroutines in tests, some of which share their process with a browser, which has the event loop of its thread."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def in_a_thread(coroutine: Coroutine[Any, Any, T]) -> T:
    """What the coroutine gives, run to its end in a thread of its own."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()  # noqa: TID251  # in a thread
