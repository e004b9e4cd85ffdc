"""Coroutines in a process that may drive a browser, whose event loop runs in the main thread: no second one can."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def in_a_thread(coroutine: Coroutine[Any, Any, T]) -> T:
    """What the coroutine gives, run to its end in a thread of its own."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()  # noqa: TID251  # the one place: a new thread has no loop
