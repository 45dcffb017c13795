"""What the text of a test may use: it finds these names without an import, and no answer can replace them."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Awaitable, Callable

from classroom.grading.interleaving import all_interleavings
from classroom.verdict import Outcome, outcome_of

__all__ = ["NotYet", "all_interleavings", "compare", "ending_of", "expect", "now", "seen"]


class NotYet(Exception):
    """A behaviour is not what was asked for; the text says what was seen."""


def expect(fact: object, words: str) -> None:
    """`words` say what was seen instead, and what to look at."""
    if not fact:
        raise NotYet(words)


def compare(what: str, saw: object, expected: object, advice: str = "") -> None:
    """Let `saw` be equal to `expected`, and of the same kind: 1 is not True."""
    if inspect.iscoroutine(saw):
        saw.close()  # or Python warns of it, too
        raise NotYet(f"{what}: it is a coroutine, which nobody awaits. Write `def` in place of `async def`.")
    if type(saw) is not type(expected) or saw != expected:
        raise NotYet(f"{what}: expected {expected!r}, but saw {_short(saw)}. {advice}".rstrip())


async def ending_of(function: Callable[..., Awaitable[object]], *arguments: object, limit: float = 600) -> Outcome:
    """What comes of `await function(*arguments)` within `limit` seconds of the loop's time.

    It always returns, but for one error: what is not written yet has no ending to look at.
    """
    outcome = await outcome_of(function, *arguments, limit=limit)
    if isinstance(outcome.error, NotImplementedError):
        raise outcome.error
    return outcome


def seen(outcome: Outcome) -> str:
    """An outcome, to be read after "it"."""
    if not outcome.ended:
        return "did not end"
    if outcome.error is not None:
        return f"raised {_short(outcome.error)}"
    if inspect.iscoroutine(outcome.result):
        return "returned a coroutine that nobody awaited: write `await` in front of the call"
    return f"returned {_short(outcome.result)}"


def now() -> float:
    """Seconds on the loop's clock, which jumps while everybody waits."""
    return asyncio.get_running_loop().time()


def _short(value: object) -> str:
    try:
        text = repr(value)
    except Exception:
        text = f"a {type(value).__name__} whose repr fails"
    text = re.sub(r" at 0x[0-9a-fA-F]+", "", text)  # an address tells a student nothing
    return text if len(text) <= 200 else f"{text[:200]}…"
