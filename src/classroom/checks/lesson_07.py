"""Checks of lesson 07, Threads."""

from __future__ import annotations

import asyncio
import inspect
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator

from cancellation import CancellationToken, CancellationTokenSource, OperationCanceledError
from classroom.verdict import Outcome, Verdict, not_yet, outcome_of, well_done

Bake = Callable[[CancellationToken], object]


async def check_let_rest(let_rest: Callable[[float, CancellationToken], object]) -> Verdict:
    """A pause in a thread that a cancel ends."""
    if inspect.iscoroutinefunction(let_rest):
        return not_yet("it is an `async def`, but it runs in a thread, where no loop would await it. Write `def`.")
    sleeps = 0

    def count_sleeps(_frame: object, event: str, called: object) -> None:
        nonlocal sleeps
        sleeps += event == "c_call" and called is time.sleep

    def watched(seconds: float, token: CancellationToken) -> object:
        sys.setprofile(count_sleeps)  # in this thread alone
        try:
            return let_rest(seconds, token)
        finally:
            sys.setprofile(None)

    started = time.monotonic()
    outcome = await _outcome_in_thread(watched, 0.1, CancellationToken.none)
    if outcome.error is not None or outcome.result != "rested":
        return not_yet(f"when nobody cancels, it should return 'rested', but {_seen(outcome)}.")
    if time.monotonic() - started < 0.1:
        return not_yet("it should rest for 0.1 seconds, but came back sooner.")

    source = CancellationTokenSource()
    asyncio.get_running_loop().call_later(0.05, source.cancel)
    started = time.monotonic()
    outcome = await _outcome_in_thread(watched, 1.0, source.token)
    slept_on = time.monotonic() - started > 0.9
    if slept_on:
        return not_yet(
            "it was cancelled early in a rest of one second, and slept on to the end. `time.sleep` hears nothing."
        )
    if sleeps:
        return not_yet(
            "it stops, but it rests in pieces, and looks in between. `time.sleep` hears nothing, a short one neither. "
            "`token.wait(seconds)` is one rest, and a cancel ends it."
        )
    if isinstance(outcome.error, OperationCanceledError):
        return well_done("It rests, and a cancel wakes it at once.")
    return not_yet(f"when cancelled it woke up, but {_seen(outcome)}. Let the token raise, so that the caller knows.")


def check_count(count: Callable[[Iterable[object], CancellationToken], object]) -> Verdict:
    """A long loop that looks at its token once in a while: neither never nor always."""
    barrel, taken, source = 20_000, 0, CancellationTokenSource()

    def olives(cancel_at: int) -> Iterator[str]:
        nonlocal taken
        for taken in range(1, barrel + 1):
            if taken == cancel_at:
                source.cancel()
            yield "olive"

    spy = _CountsLooks()
    outcome = _outcome(count, olives(0), spy)
    if outcome.error is not None or outcome.result != barrel:
        return not_yet(f"of {barrel} olives, with nobody cancelling, it {_seen(outcome)}.")

    outcome = _outcome(count, olives(5_500), source.token)
    if taken == barrel:
        return not_yet(f"it was cancelled at olive 5500, and counted all {barrel}. Look at the token inside the loop.")
    if not isinstance(outcome.error, OperationCanceledError):
        return not_yet(f"when cancelled it stopped, but {_seen(outcome)}: who asked cannot tell that some are missing.")
    if taken > 7_000:
        return not_yet(f"it was cancelled at olive 5500, and stopped at olive {taken}. Look once in every 1000.")
    if spy.looks > 2 * barrel / 1000:
        return not_yet(
            f"it stops in time, but looked {spy.looks} times at its token for {barrel} olives. Once in 1000 will do."
        )
    return well_done(f"{spy.looks} looks for {barrel} olives, and it stops within a thousand.")


class _CountsLooks:
    """A token for who only looks; nobody cancels it."""

    def __init__(self) -> None:
        self.looks = 0

    @property
    def is_cancellation_requested(self) -> bool:
        self.looks += 1
        return False

    def throw_if_cancellation_requested(self) -> None:
        self.looks += 1


async def check_bake_in_back_room(back_room: Callable[[Bake, CancellationToken], Awaitable[object]]) -> Verdict:
    """A blocking call in a thread, which its caller never leaves alone."""
    threads: list[int] = []

    def quick(token: CancellationToken) -> str:
        threads.append(threading.get_ident())
        return "bread"

    outcome = await outcome_of(back_room, quick, CancellationToken.none, limit=2)
    if outcome.error is not None or outcome.result != "bread":
        return not_yet(f"its `bake` returned 'bread', but it {_seen(outcome)}.")
    if threads == [threading.get_ident()]:
        return not_yet("it called `bake` on the loop's own thread, and the loop stood still. Use `asyncio.to_thread`.")

    began, cleaned_up = threading.Event(), CancellationTokenSource()
    source = CancellationTokenSource()
    could_cancel = False

    def stoppable(token: CancellationToken) -> str:
        nonlocal could_cancel
        began.set()
        try:
            if token.wait(1):
                time.sleep(0.1)  # cleaning up takes its time
            could_cancel = source.is_cancellation_requested
            token.throw_if_cancellation_requested()
            return "bread"
        finally:
            cleaned_up.cancel()

    asyncio.get_running_loop().call_later(0.05, source.cancel)
    outcome = await outcome_of(back_room, stoppable, source.token, limit=3)
    left_alone = began.is_set() and not cleaned_up.is_cancellation_requested
    if left_alone:
        await cleaned_up.token.wait_async()  # the check itself leaves no thread behind
        return not_yet(
            "it was cancelled and came back, while its thread was still at work. Wait for the thread, and let only the "
            "token, inside it, do the stopping."
        )
    if began.is_set() and not could_cancel:
        return not_yet(
            "`bake` ran in a thread, and the loop stood still until it was done: nobody could even cancel. "
            "Await the thread: `await asyncio.to_thread(…)`."
        )
    if outcome.result == "bread":
        return not_yet("it was cancelled early, and baked to the end. Did its token reach `bake`?")
    if not isinstance(outcome.error, OperationCanceledError):
        return not_yet(f"when cancelled it {_seen(outcome)}. Let the OperationCanceledError of `bake` pass.")
    return well_done("The loop stays free, the token goes along, and no thread is left alone.")


def _outcome(function: Callable[..., object], *arguments: object) -> Outcome:
    try:
        return Outcome(True, function(*arguments))
    except Exception as error:
        return Outcome(True, error=error)


async def _outcome_in_thread(function: Callable[..., object], *arguments: object, limit: float = 5.0) -> Outcome:
    """Of `function(*arguments)`, run in a thread of its own, within `limit` seconds."""
    ended, outcomes = CancellationTokenSource(), list[Outcome]()

    def run() -> None:
        outcomes.append(_outcome(function, *arguments))
        ended.cancel()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    await asyncio.wait({asyncio.ensure_future(ended.token.wait_async())}, timeout=limit)
    if not outcomes:
        return Outcome(False)
    thread.join()
    return outcomes[0]


def _seen(outcome: Outcome) -> str:
    if not outcome.ended:
        return "did not end"
    return f"raised {outcome.error!r}" if outcome.error is not None else f"returned {outcome.result!r}"
