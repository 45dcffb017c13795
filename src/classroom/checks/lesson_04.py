"""Checks of lesson 04, Waking up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any

from cancellation import CancellationToken, CancellationTokenSource, OperationCanceledError
from classroom.verdict import Outcome, Verdict, not_yet, outcome_of, well_done

Service = Callable[[CancellationToken], Awaitable[object]]


async def check_rest_dough(rest_dough: Service) -> Verdict:
    """A sleep of 0.3 seconds that a cancel ends, and that does not wake up in between to look."""
    loop, turns = asyncio.get_running_loop(), list[float]()

    async def note_turns() -> object:
        return await asyncio.create_task(_NotesTurns(_run(rest_dough, CancellationToken.none), turns))

    started = loop.time()
    full = await outcome_of(note_turns)
    whole = loop.time() - started
    if full.error is not None or full.result != "rested":
        return not_yet(f"when nobody cancels, it should return 'rested', but it {_seen(full)}.")
    if whole < 0.29:
        return not_yet("when nobody cancels, it should sleep for 0.3 seconds, but it came back sooner.")

    source = CancellationTokenSource()
    loop.call_later(whole / 6, source.cancel)
    started = loop.time()
    outcome = await outcome_of(rest_dough, source.token)
    slept_on = loop.time() - started > 0.8 * whole
    if slept_on and outcome.error is None:
        return not_yet(
            "it was cancelled early on, and slept to the end all the same. `asyncio.sleep` hears nothing; "
            "`delay` does, if it gets the token."
        )
    if slept_on:
        return not_yet(f"it {_seen(outcome)}, but only after it had slept to the end. Use `delay`.")
    if not isinstance(outcome.error, OperationCanceledError):
        return not_yet(f"it woke up, but then it {_seen(outcome)}. Let the OperationCanceledError out.")
    # At its ends it may have as many turns as it likes: `wait_for` takes two to come back, on Python 3.11.
    if between := sum(0.05 < turn - turns[0] < 0.25 for turn in turns):
        how_often = "once" if between == 1 else f"{between} times"
        return not_yet(f"it stops, but it woke up {how_often} during one sleep, only to look. `delay` sleeps through.")
    return well_done("It sleeps through, and a cancel wakes it at once.")


class _NotesTurns(Coroutine[Any, Any, object]):
    """A coroutine that notes in `turns` when its task has resumed it."""

    def __init__(self, coroutine: Coroutine[Any, Any, object], turns: list[float]) -> None:
        self._coroutine = coroutine
        self._turns = turns

    def send(self, value: Any) -> Any:
        self._turns.append(asyncio.get_running_loop().time())
        return self._coroutine.send(value)

    def throw(self, *error: Any) -> Any:
        return self._coroutine.throw(*error)

    def close(self) -> None:
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, object]:
        return self._coroutine.__await__()


async def check_pay(pay: Callable[[Callable[[], Awaitable[object]], CancellationToken], Awaitable[object]]) -> Verdict:
    """A call without a token, stopped from outside and waited for."""

    async def answers() -> str:
        await asyncio.sleep(0)
        return "paid"

    outcome = await outcome_of(pay, answers, CancellationToken.none)
    if outcome.error is not None or outcome.result != "paid":
        return not_yet(f"the bank answered 'paid', but it {_seen(outcome)}.")

    bank = _SilentBank()
    source = CancellationTokenSource()
    paying = asyncio.ensure_future(outcome_of(pay, bank.ask, source.token, limit=5))
    await asyncio.wait({paying}, timeout=0.05)
    if paying.done():
        return not_yet(f"nobody had cancelled and the bank had not answered yet, but it {_seen(paying.result())}.")
    source.cancel()
    await asyncio.wait({paying}, timeout=1)
    cleaned_up = bank.closed
    heard = paying.done()
    bank.answer.set()  # whatever still waits may go
    outcome = await paying
    if not heard:
        return not_yet("it was cancelled, and waited for the silent bank all the same. Look at `run_until_canceled`.")
    if not bank.interrupted:
        return not_yet(
            f"when cancelled it {_seen(outcome)}, but the call to the bank was never stopped: it went on alone. "
            "`run_until_canceled` stops it."
        )
    if not cleaned_up:
        return not_yet(
            f"when cancelled it {_seen(outcome)} while the bank was still closing the line. After a cancel, wait."
        )
    if not isinstance(outcome.error, OperationCanceledError):
        return not_yet(f"the call was stopped, but then it {_seen(outcome)}, and not an OperationCanceledError.")
    return well_done("The bank is stopped, its line is closed, and the order hears of it last.")


class _SilentBank:
    """Gives no answer until `answer` is set; closes its line in a few turns of the loop."""

    def __init__(self) -> None:
        self.answer = asyncio.Event()
        self.interrupted = self.closed = False

    async def ask(self) -> str:
        try:
            await self.answer.wait()
        except asyncio.CancelledError:
            self.interrupted = True
            raise
        finally:
            await asyncio.sleep(0.02)
            self.closed = True
        return "too late"


async def check_ask_again(
    ask_again: Callable[[Service, CancellationToken], Coroutine[Any, Any, object]],
) -> Verdict:
    """Three tries when the bank is busy; one when somebody cancels."""
    asked = 0

    def bank(busy: int) -> Service:
        async def ask(token: CancellationToken) -> str:
            nonlocal asked
            asked += 1
            await asyncio.sleep(0)
            if asked <= busy:
                raise ConnectionError("busy")
            return "paid"

        nonlocal asked
        asked = 0
        return ask

    for busy, answer in ((0, "paid"), (2, "paid"), (3, "closed")):
        outcome = await outcome_of(ask_again, bank(busy), CancellationToken.none)
        if outcome.error is not None or outcome.result != answer:
            return not_yet(
                f"with a bank that is busy {busy} times it should return {answer!r}, but it {_seen(outcome)}."
            )

    async def waits(token: CancellationToken) -> str:
        nonlocal asked
        asked += 1
        if asked < 5:  # else whoever asks for ever would never come to an end
            await token.wait_async()
            token.throw_if_cancellation_requested()
        return "paid"

    for cancel, name in ((True, "token"), (False, "task")):
        source, asked = CancellationTokenSource(), 0
        ending = asyncio.ensure_future(_run(ask_again, waits, source.token))
        await asyncio.sleep(0.01)
        if cancel:
            source.cancel()
        else:
            ending.cancel()
            asyncio.get_running_loop().call_later(0.05, source.cancel)
        await asyncio.wait({ending}, timeout=1)
        outcome = _outcome(ending)
        kind = OperationCanceledError if cancel else asyncio.CancelledError
        what = "an OperationCanceledError" if cancel else "the CancelledError of its task"
        if asked > 1:
            return not_yet(
                f"its {name} was cancelled during the first try, and it asked the bank {asked} times. It must have "
                f"caught {what}. Let that pass."
            )
        if not isinstance(outcome.error, kind):
            return not_yet(f"its {name} was cancelled, and it {_seen(outcome)}. Let {what} pass.")
    return well_done("A busy bank is asked again. A cancel, of the token or of the task, is no busy bank.")


async def _run(function: Callable[..., Awaitable[object]], *arguments: object) -> object:
    return await function(*arguments)


async def check_close_kitchen(close_kitchen: Callable[[list[asyncio.Task[str]]], Awaitable[object]]) -> Verdict:
    """Cancel all, then wait for all, then count."""
    cleaning, cleaned, alone = set[int](), set[int](), False

    async def order(number: int, *, ready: bool = False, late: bool = False) -> str:
        nonlocal alone
        try:
            if not ready:
                await asyncio.sleep(5)
            return "delivered"
        except asyncio.CancelledError:
            cleaning.add(number)
            alone = alone or any(task.cancelling() == 0 for task in orders[:3])
            await asyncio.sleep(0.02)
            cleaned.add(number)
            if late:
                return "delivered"
            raise

    orders = [asyncio.create_task(order(number)) for number in range(3)]
    orders.append(asyncio.create_task(order(3, ready=True)))
    orders.append(asyncio.create_task(order(4, late=True)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    outcome = await outcome_of(close_kitchen, list(orders), limit=1)
    in_time = len(cleaned - {4})
    for task in orders:
        if not task.cancelling():
            task.cancel()
    await asyncio.wait(orders, timeout=1)
    if not outcome.ended:
        return not_yet("it waited for orders that nobody had cancelled.")
    if isinstance(outcome.error, asyncio.CancelledError):
        return not_yet(
            "the CancelledError of an order came out of it: `await order` raises that in you, and so does `gather` "
            "without `return_exceptions=True`. Wait with `asyncio.wait`."
        )
    if outcome.error is not None:
        return not_yet(f"it {_seen(outcome)}.")
    if in_time < 3:
        return not_yet(f"it came back when {in_time} of the 3 cancelled orders had cleaned up. Wait for all of them.")
    if alone:
        return not_yet("it cancelled one order and waited for it before it cancelled the next. First cancel them all.")
    if outcome.result != 3:
        return not_yet(
            f"3 orders were cancelled, one had been delivered before, and one was delivered all the same, but it "
            f"{_seen(outcome)}. Ask each task, when it is done, whether it was `cancelled()`."
        )
    nobody = await outcome_of(close_kitchen, list[asyncio.Task[str]](), limit=1)
    if nobody.error is not None or nobody.result != 0:
        return not_yet(f"in a kitchen without orders it should return 0, but it {_seen(nobody)}.")
    return well_done("All were asked first, all have cleaned up, and only those that were cancelled are counted.")


def _outcome(task: asyncio.Future[object]) -> Outcome:
    if not task.done():
        return Outcome(False)
    if task.cancelled():
        return Outcome(True, error=asyncio.CancelledError())
    return Outcome(True, None if task.exception() else task.result(), task.exception())


def _seen(outcome: Outcome) -> str:
    if not outcome.ended:
        return "did not end"
    return f"raised {outcome.error!r}" if outcome.error is not None else f"returned {outcome.result!r}"
