"""Checks of lesson 02, The token."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from cancellation import CancellationToken, CancellationTokenSource, OperationCanceledError
from classroom.verdict import Verdict, not_yet, outcome_of, well_done

Service = Callable[[CancellationToken], Awaitable[object]]


async def check_bake_bread(bake_bread: Service) -> Verdict:
    """A service that looks at its token in each of 20 rounds, and raises when it is cancelled."""
    clock = asyncio.get_running_loop().time
    started = clock()
    full = await outcome_of(bake_bread, CancellationToken.none, limit=5)
    if full.error is not None:
        return not_yet(f"with a token that nobody cancels, it raised {full.error!r}.")
    if full.result != "bread":
        return not_yet(f"with a token that nobody cancels, it should return 'bread', but returned {full.result!r}.")

    whole = clock() - started

    source = CancellationTokenSource()
    asyncio.get_running_loop().call_later(whole / 4, source.cancel)
    started = clock()
    outcome = await outcome_of(bake_bread, source.token, limit=5)
    to_the_end = clock() - started > 0.7 * whole
    if isinstance(outcome.error, OperationCanceledError):
        if to_the_end:
            return not_yet("it raised, but only after the baking was done. Look at the token inside the loop.")
        return well_done("It bakes, and when it is cancelled it stops within one wait.")
    if outcome.error is not None:
        return not_yet(f"when cancelled it raised {outcome.error!r}, not an OperationCanceledError.")
    if not to_the_end:
        return not_yet(
            f"it stopped, but returned {outcome.result!r} as if nothing had happened: its caller cannot tell that it "
            "was cancelled. Let the token raise."
        )
    return not_yet("it was cancelled early on, and baked to the end. Look at the token in each round of the loop.")


async def check_order_bread(order_bread: Service) -> Verdict:
    """A caller that passes the token on, and answers "bread" or "cancelled"."""
    full = await outcome_of(order_bread, CancellationToken.none, limit=5)
    if full.error is not None or full.result != "bread":
        seen = f"raised {full.error!r}" if full.error is not None else f"returned {full.result!r}"
        return not_yet(f"with a token that nobody cancels, it should return 'bread', but {seen}.")
    source = CancellationTokenSource()
    asyncio.get_running_loop().call_later(0.05, source.cancel)
    outcome = await outcome_of(order_bread, source.token, limit=5)
    if isinstance(outcome.error, OperationCanceledError):
        return not_yet(
            "when cancelled it let the OperationCanceledError out. Catch it here, where one knows what to say."
        )
    if outcome.error is not None:
        return not_yet(f"when cancelled it raised {outcome.error!r}.")
    if outcome.result == "bread":
        return not_yet(
            "it was cancelled early on and brought bread all the same. Did you pass *its* token on, and does your "
            "`bake_bread` look at it (exercise 1)?"
        )
    if outcome.result != "cancelled":
        return not_yet(f"when cancelled it should return 'cancelled', but returned {outcome.result!r}.")
    return well_done("The token goes through, and the cancel comes back as an answer.")
