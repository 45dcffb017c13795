"""Checks of lesson 06, Deadlines and links."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from cancellation import (
    CancellationToken,
    CancellationTokenSource,
    FakeTimeProvider,
    ObjectDisposedError,
    OperationCanceledError,
    delay,
)
from classroom.verdict import Outcome, Verdict, not_yet, outcome_of, well_done

Work = Callable[[CancellationToken], Awaitable[object]]


def check_explain(explain: Callable[[CancellationToken], object]) -> Verdict:
    """Words for a token: live, cancelled by a deadline, cancelled by somebody, with a reason or without."""
    cases = (
        ("nobody has cancelled", CancellationTokenSource(), "on its way"),
        ("a deadline has passed", CancellationTokenSource(0), "too slow"),
        ("somebody cancelled and gave a reason", _canceled("changed my mind"), "cancelled"),
        ("somebody cancelled and gave no reason", _canceled(None), "cancelled"),
        ("somebody cancelled and wrote 'deadline' as the reason", _canceled("deadline, says my boss"), "cancelled"),
    )
    for when, source, right in cases:
        try:
            answer = explain(source.token)
        except Exception as error:
            return not_yet(f"when {when}, it raised {error!r}. It is asked for words, so let it return them.")
        if answer != right:
            return not_yet(f"when {when}, it should return {right!r}, but returned {answer!r}.")
    return well_done("A deadline, a click, and a cancel without a word: each is told as what it is.")


def _canceled(reason: object) -> CancellationTokenSource:
    source = CancellationTokenSource()
    source.cancel(reason)
    return source


async def check_place_order(place_order: Callable[[Work, CancellationToken], Awaitable[object]]) -> Verdict:
    """An order that is told apart as paid, cancelled by its own token, or failed by the payment's own deadline."""
    customer, hurried = CancellationTokenSource(), CancellationTokenSource(0.02)
    kitchen = CancellationTokenSource()
    in_kitchen = CancellationTokenSource.create_linked_token_source(kitchen.token)

    async def pays(token: CancellationToken) -> None:
        await asyncio.sleep(0)

    async def is_too_slow(token: CancellationToken) -> None:
        with CancellationTokenSource.create_linked_token_source(token) as source:
            source.cancel_after(0.02)
            await delay(None, source.token)

    async def waits(token: CancellationToken) -> None:
        with CancellationTokenSource.create_linked_token_source(token) as source:
            await delay(None, source.token)

    asyncio.get_running_loop().call_later(0.02, customer.cancel, "changed my mind")
    asyncio.get_running_loop().call_later(0.02, kitchen.cancel, "closing time")
    cases = (
        ("when the bank takes the money", pays, CancellationToken.none, "paid", ""),
        (
            "when the customer cancels",
            waits,
            customer.token,
            "cancelled",
            "The error carries the payment's linked token, not yours: ask your own token.",
        ),
        (
            "when only the payment's own deadline passes",
            is_too_slow,
            CancellationTokenSource().token,
            "failed",
            "Nobody asked this order to stop: its own token can tell you.",
        ),
        (
            "when the order's own deadline passes",
            waits,
            hurried.token,
            "cancelled",
            "It was this order's token that was cancelled, and a deadline may be the reason. Ask the token.",
        ),
        (
            "when the kitchen closes, to which the order is linked",
            waits,
            in_kitchen.token,
            "cancelled",
            "The cancel began in the kitchen, so its origin is not your token. Ask your own token.",
        ),
    )
    for when, pay, token, right, advice in cases:
        outcome = await outcome_of(place_order, pay, token, limit=2)
        if outcome.result != right or outcome.error is not None:
            return not_yet(f"{when}, it should return {right!r}, but {_seen(outcome)}. {advice}".rstrip())
    return well_done("Paid, cancelled, failed: it knows whose cancel it was.")


class _Oven:
    def __init__(self) -> None:
        self.opened = 0
        self.breaks = False
        self.baking = asyncio.Event()
        self.done = asyncio.Event()

    def open(self) -> None:
        self.opened += 1
        self.done.set()

    async def bake(self) -> None:
        self.baking.set()
        if self.breaks:
            raise ConnectionError("the oven broke")
        await self.done.wait()


async def check_bake(bake: Callable[[_Oven, CancellationToken], Awaitable[object]]) -> Verdict:
    """A callback that stands on the token while the work runs, and no longer."""
    oven, source = _Oven(), CancellationTokenSource()
    run = asyncio.ensure_future(outcome_of(bake, oven, source.token, limit=0.3))
    baking = asyncio.ensure_future(oven.baking.wait())
    await asyncio.wait({baking, run}, return_when=asyncio.FIRST_COMPLETED)
    baking.cancel()
    if oven.opened:
        return not_yet("it opened the oven before anybody cancelled. Register `oven.open` itself, without calling it.")
    if not oven.baking.is_set():
        return not_yet(f"it never called `oven.bake()`: it {_seen(await run)}.")
    source.cancel()
    at_once = oven.opened
    outcome = await run
    if not at_once:
        return not_yet(
            "somebody cancelled while it baked, and the oven stayed shut. Register `oven.open` on the token."
        )
    if outcome.error is not None and not isinstance(outcome.error, OperationCanceledError):
        return not_yet(f"when cancelled it raised {outcome.error!r}.")

    oven, source = _Oven(), CancellationTokenSource()
    oven.done.set()
    await outcome_of(bake, oven, source.token, limit=1)
    source.cancel()
    if oven.opened:
        return not_yet(
            "it was cancelled after the baking was done, and opened the oven all the same: its callback is still on "
            "the token. Take it back when the baking ends."
        )
    oven, source = _Oven(), CancellationTokenSource()
    oven.breaks = True
    await outcome_of(bake, oven, source.token, limit=1)
    source.cancel()
    if oven.opened:
        return not_yet(
            "the baking failed, and its callback stayed on the token. Take it back on every way out: a `with` block "
            "does."
        )
    return well_done("The oven opens at the cancel, and the token is left as it was found.")


async def check_with_deadline(
    with_deadline: Callable[[Work, float, CancellationToken, FakeTimeProvider], Awaitable[object]],
) -> Verdict:
    """A step with its caller's token and a deadline of its own, on a clock that the check moves."""
    given: list[CancellationToken] = []
    clock = FakeTimeProvider()

    async def quick(token: CancellationToken) -> str:
        given.append(token)
        return "a pizza"

    async def breaks(token: CancellationToken) -> None:
        given.append(token)
        raise ConnectionError("busy")

    async def endless(token: CancellationToken) -> None:
        given.append(token)
        await token.wait_async()
        token.throw_if_cancellation_requested()

    async def outcome_when(happens: Callable[[], object], token: CancellationToken) -> Outcome:
        given.clear()
        run = asyncio.ensure_future(outcome_of(with_deadline, endless, 300, token, clock, limit=0.2))
        for _ in range(5):  # turns for it to begin
            await asyncio.sleep(0)
        happens()
        return await run

    customer = CancellationTokenSource()
    outcome = await outcome_of(with_deadline, quick, 300, customer.token, clock, limit=1)
    if outcome.result != "a pizza" or outcome.error is not None:
        return not_yet(f"its work returned 'a pizza', but it {_seen(outcome)}.")
    quick_token = given[0]
    if quick_token == customer.token:
        return not_yet(
            "its work got the caller's own token. Link a source to that, and give the work the token of the source."
        )

    outcome = await outcome_when(lambda: clock.advance(299), customer.token)
    if outcome.ended:
        return not_yet("299 of 300 seconds had passed on `clock`, and the work was stopped already.")
    outcome = await outcome_when(lambda: clock.advance(300), customer.token)
    if not outcome.ended:
        return not_yet(
            "300 seconds had passed on `clock`, and the work's token was not cancelled. It needs a deadline, and "
            "`time_provider=clock` for it."
        )
    outcome = await outcome_when(lambda: customer.cancel("changed my mind"), customer.token)
    if not outcome.ended:
        return not_yet("the caller's token was cancelled, and the work's was not. Link the new source to `token`.")
    if not isinstance(outcome.error, OperationCanceledError):
        return not_yet(f"when the caller cancelled, it {_seen(outcome)}. Let the OperationCanceledError pass.")
    if not _is_disposed(quick_token):
        return not_yet("all works, but the source that it made was not put away at the end. Use it in a `with` block.")
    outcome = await outcome_of(with_deadline, breaks, 300, CancellationTokenSource().token, clock, limit=1)
    if not isinstance(outcome.error, ConnectionError):
        return not_yet(f"its work raised a ConnectionError, but it {_seen(outcome)}.")
    if not _is_disposed(given[-1]):
        return not_yet(
            "when the work failed, the source was not put away. Do it on every way out: a `with` block does."
        )
    return well_done("Both ways to stop reach the work, and nothing is left behind.")


def _is_disposed(token: CancellationToken) -> bool:
    """Of a token that was not cancelled before its work ended."""
    try:
        token.wait(0)
    except ObjectDisposedError:
        return True
    return False


def _seen(outcome: Outcome) -> str:
    if not outcome.ended:
        return "did not end"
    return f"raised {outcome.error!r}" if outcome.error is not None else f"returned {outcome.result!r}"
