"""Waking those who wait on a token: threads through their lock, tasks through their event loop."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future

    from cancellation.token import CancellationToken

MISSING: Any = object()


def wake_all(tokens: Iterable[CancellationToken]) -> None:
    """Wake whoever waits on these tokens, in the order in which they began to; each loop once."""
    by_loop: dict[AbstractEventLoop, list[Callable[[], object]]] = {}
    for token in tokens:
        waiters = token._waiters
        for wake in list(waiters):
            loop = waiters.pop(wake, MISSING)
            if loop is None:
                wake()
            elif loop is not MISSING:
                by_loop.setdefault(loop, []).append(wake)
    for loop, wakes in by_loop.items():
        wake_on(loop, wakes)


def wake_on(loop: AbstractEventLoop, wakes: list[Callable[[], object]]) -> None:
    """Call each of `wakes` on `loop`: at once if it is running here; never, without harm, if it is closed."""
    if here := sys.modules["asyncio"]._get_running_loop() is loop:
        _call_all(wakes)
    try:
        # Also if here: this may be a signal handler, and then the loop sleeps on until somebody writes to it.
        loop.call_soon_threadsafe(_call_all, [] if here else wakes)
    except RuntimeError:
        if not loop.is_closed():
            raise


def finish(future: Future[bool], result: bool) -> None:
    """Complete a future that may have been completed or cancelled meanwhile."""
    if not future.done():
        future.set_result(result)


def _call_all(functions: list[Callable[[], object]]) -> None:
    for function in functions:
        function()
