"""The customer's end: a pizzeria that is somewhere behind a URL."""

from __future__ import annotations

import asyncio
import json

import httpx

from cancellation import CancellationToken, OperationCanceledError, run_until_canceled
from pizzeria.events import CancelRequested, StateChanged
from pizzeria.order import Order, OrderState
from pizzeria.shop import Pizzeria
from pizzeria.web.far_away import ServiceError, client_for_long_calls
from pizzeria.web.wire import OrderForm, from_json


class OnlinePizzeria(Pizzeria):
    """A `Pizzeria` whose orders are placed at the order service at `url`. To cancel one is to hang up.

    Its events are those that the service tells, as they arrive; the money is in the service's ledger, not in this
    one's. Give it to an `OrderCounter`, whose buttons then work over HTTP.
    """

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    async def _serve(self, order: Order, token: CancellationToken) -> None:
        if token.is_cancellation_requested:  # nobody need be called
            for state, reason in ((OrderState.RECEIVED, None), (OrderState.CANCELLED, token.reason)):
                self.events.publish(StateChanged(order, self._clock.now, state, reason))
            return
        async with client_for_long_calls() as client:
            try:
                following = await self._place_and_wait(client, order, token)
                last = await following
            except httpx.HTTPError as error:
                raise ServiceError(f"the order service at {self._url} does not answer: {error!r}") from error
        if last.state is OrderState.FAILED:
            raise ServiceError(f"the order failed: {last.reason}")

    async def _place_and_wait(
        self, client: httpx.AsyncClient, order: Order, token: CancellationToken
    ) -> asyncio.Task[StateChanged]:
        async with client.stream("POST", f"{self._url}/orders", json=OrderForm.of(order)) as answer:
            if answer.is_error:
                raise ServiceError(f"the order was refused: {json.loads(await answer.aread())['detail']}")
            following = asyncio.create_task(self._follow(client, order))
            try:
                await run_until_canceled(answer.aread(), token)
            except OperationCanceledError:
                pass  # leaving this block hangs up
            except BaseException:
                following.cancel()
                raise
        return following

    async def _follow(self, client: httpx.AsyncClient, order: Order) -> StateChanged:
        """Publish what the service tells of the order, to its end. Its last state."""
        last = None
        async with client.stream("GET", f"{self._url}/orders/{order.id}/events") as answer:
            async for line in answer.aiter_lines():
                if line.startswith("data: "):
                    event = from_json(order, json.loads(line.removeprefix("data: ")), self._clock.now)
                    if isinstance(event, StateChanged):
                        last = event
                    if not isinstance(event, CancelRequested):  # told here, when it was requested
                        self.events.publish(event)
        if last is None or not last.state.is_final:
            raise ServiceError(f"the order service told of order {order.id} only up to: {last and last.state}")
        return last
