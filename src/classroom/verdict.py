"""The answer to an exercise, and the running of a student's code to find it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, repr=False)
class Verdict:
    """A check's answer. As the last value of a cell it reads as its text."""

    passed: bool
    text: str

    def __repr__(self) -> str:
        return f"{'✅' if self.passed else '⬜ Not yet:'} {self.text}"


def well_done(text: str) -> Verdict:
    return Verdict(True, text)


def not_yet(text: str) -> Verdict:
    """`text` says what was seen, and what to look at."""
    return Verdict(False, text)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a student's coroutine: a result, an error, or no end within the time."""

    ended: bool
    result: object = None
    error: BaseException | None = None


async def outcome_of(function: Callable[..., Awaitable[object]], *arguments: object, limit: float = 5.0) -> Outcome:
    """Run `await function(*arguments)` for at most `limit` seconds. Whatever it does, this returns.

    Code that never gives the loop a turn (`while True: pass`, `time.sleep`) it cannot stop; graders have
    something stronger.
    """

    async def run() -> object:
        return await function(*arguments)

    task = asyncio.ensure_future(run())
    # Not wait_for: that waits for the task's end after cancelling it, and some code swallows the cancel.
    await asyncio.wait({task}, timeout=limit)
    if not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=1)
        if task.done() and not task.cancelled():
            task.exception()  # looked at, so that nobody warns of it
        return Outcome(ended=False)
    if task.cancelled():
        return Outcome(ended=True, error=asyncio.CancelledError())
    return Outcome(True, None if task.exception() else task.result(), task.exception())
