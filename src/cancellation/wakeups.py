"""Waking what waits on a token: threads through their lock, tasks through their event loop."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future

    from cancellation.token import CancellationToken

MISSING: Any = object()


def running_loop(what: str) -> AbstractEventLoop:
    """The event loop that runs here. `RuntimeError` in words where none does."""
    from asyncio import get_running_loop

    try:
        return get_running_loop()
    except RuntimeError as error:
        raise RuntimeError(
            f"{what} needs a running asyncio event loop; there is none here. In a thread use token.wait(). "
            "Under trio no asyncio loop runs."
        ) from error


def wake_all(tokens: Iterable[CancellationToken]) -> None:
    """Wake the waiters of these tokens, in the order in which they began to wait; each loop once."""
    by_loop: dict[AbstractEventLoop, list[Callable[[], object]]] = {}
    for token in tokens:
        waiters = token._waiters
        if not waiters:
            continue
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
    asyncio = sys.modules["asyncio"]
    if here := asyncio._get_running_loop() is loop:
        _call_all(wakes)
        # Within a task's step the loop looks at its ready queue before it sleeps. Anywhere else this may be a signal
        # handler, and the loop asleep: it then wakes only for what is written to it. With nest_asyncio it may be
        # asleep within a task's step, too: a nested run keeps the outer task as the current one.
        if asyncio.current_task() is not None and not hasattr(loop, "_nest_patched"):
            return
    try:
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
