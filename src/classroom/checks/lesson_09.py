"""Checks of lesson 09, Services."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import httpx
from fastapi import FastAPI

from cancellation import CancellationToken, CancellationTokenSource, OperationCanceledError
from classroom.verdict import Verdict, not_yet, outcome_of, well_done
from pizzeria.order import OrderState
from pizzeria.web import RequestToken, serving


def check_answer_to_delete(answer_to_delete: Callable[[str | None], object]) -> Verdict:
    """The status code of a `DELETE`, by the order's state."""
    cases: list[tuple[str | None, int]] = [(None, 404)]
    for state in OrderState:
        cases.append((str(state), 200 if state.can_be_cancelled or state is OrderState.CANCELLED else 409))
    for status, expected in cases:
        try:
            answer = answer_to_delete(status)
        except Exception as error:
            return not_yet(f"for the status {status!r} it raised {error!r}.")
        if answer != expected:
            hint = " To cancel again is no error." if status == "cancelled" else ""
            return not_yet(f"for the status {status!r} it should return {expected}, but returned {answer!r}.{hint}")
    return well_done("Known or not, in time or too late: everybody gets the right number.")


Forward = Callable[[httpx.AsyncClient, str, CancellationToken], Awaitable[object]]


async def check_forward(forward: Forward) -> Verdict:
    """A call that ends with its token, so that the service at its other end hears it."""
    called, stopped = asyncio.Event(), asyncio.Event()
    kitchen = FastAPI()

    @kitchen.get("/quick")
    async def quick() -> str:
        return "pizza"

    @kitchen.get("/slow")
    async def slow(token: RequestToken) -> None:
        called.set()
        await token.wait_async()
        stopped.set()

    async with serving(kitchen) as address, httpx.AsyncClient(timeout=None, trust_env=False) as client:
        outcome = await outcome_of(forward, client, f"{address}/quick", CancellationToken.none)
        if outcome.error is not None or outcome.result != "pizza":
            seen = f"raised {outcome.error!r}" if outcome.error is not None else f"returned {outcome.result!r}"
            return not_yet(f"with a kitchen that answers 'pizza', it should return that, but it {seen}.")
        source = CancellationTokenSource()
        answering = asyncio.create_task(outcome_of(forward, client, f"{address}/slow", source.token, limit=3))
        waiting = asyncio.create_task(called.wait())
        await asyncio.wait({answering, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        source.cancel()
        outcome = await answering
        if not called.is_set():
            return not_yet("it did not call the kitchen at all.")
        if not outcome.ended:
            return not_yet("the customer hung up, and it went on waiting for the kitchen, which cooks on for nobody.")
        if not isinstance(outcome.error, OperationCanceledError):
            seen = f"raised {outcome.error!r}" if outcome.error is not None else f"returned {outcome.result!r}"
            return not_yet(f"the customer hung up, and it {seen}, not an OperationCanceledError.")
        try:
            await asyncio.wait_for(stopped.wait(), 3)
        except TimeoutError:
            return not_yet("the customer hung up, and the caller heard of it; but the call to the kitchen goes on.")
    return well_done("The customer's hang-up reaches the kitchen.")
