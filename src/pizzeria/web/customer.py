"""The customer's end: a pizzeria that is somewhere behind a URL."""

from __future__ import annotations

import asyncio
import json

import httpx

from cancellation import CancellationToken, CancellationTokenSource, OperationCanceledError, run_until_canceled
from pizzeria.events import CancelRequested, StateChanged
from pizzeria.order import Order, OrderState
from pizzeria.shop import Pizzeria
from pizzeria.web.far_away import ServiceError, client_for_long_calls
from pizzeria.web.wire import OrderForm, from_json

PATIENCE = 10.0  # seconds from a cancel on, for the order service to tell how the order ended


class OnlinePizzeria(Pizzeria):
    """A `Pizzeria` whose orders are placed at the order service at `url`. To cancel one is to hang up.

    Its events are those that the service tells, as they arrive; the money is in the service's ledger, not in this
    one's. The pace is the service's, too: an order cannot choose its own. Give it to an `OrderCounter`, whose buttons
    then work over HTTP. `ServiceError` where the order service refuses, fails, or has not told ten seconds after a
    cancel how the order ended. `TypeError` or `ValueError` for what is no URL.
    """

    def __init__(self, url: str) -> None:
        if not isinstance(url, str):
            raise TypeError(f"url must be text, not {url!r}")
        try:
            parts = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise ValueError(f"url must be like http://127.0.0.1:8000, not {url!r}: {error}") from error
        if parts.scheme not in ("http", "https") or not parts.host or (parts.port or 0) > 65535:
            raise ValueError(f"url must be like http://127.0.0.1:8000, not {url!r}")
        super().__init__()
        self._url = url.rstrip("/")

    async def _serve(self, order: Order, token: CancellationToken, pace: float | None = None) -> None:
        if token.is_cancellation_requested:  # nobody need be called
            for state, reason in ((OrderState.RECEIVED, None), (OrderState.CANCELLED, token.reason)):
                self.events.publish(StateChanged(order, self._clock.now, state, reason))
            return
        with CancellationTokenSource() as patience, token.register(patience.cancel_after, PATIENCE):
            try:
                last = await run_until_canceled(self._place_and_hear(order, token), patience.token)
            except OperationCanceledError as error:
                raise ServiceError(
                    f"the order service at {self._url} has not told within {PATIENCE:g} s of the cancel "
                    f"how order {order.id} ended: ask it for /orders/{order.id}"
                ) from error
            except httpx.HTTPError as error:
                raise ServiceError(f"the order service at {self._url} does not answer: {error!r}") from error
        if last.state is OrderState.FAILED:
            raise ServiceError(f"the order failed: {last.reason}")

    async def _place_and_hear(self, order: Order, token: CancellationToken) -> StateChanged:
        """Place the order, hang up once `token` is cancelled, and hear of the order to its end. Its last state."""
        async with client_for_long_calls() as client:
            async with client.stream("POST", f"{self._url}/orders", json=OrderForm.of(order)) as answer:
                # Here a cancel waits for the head of the answer: without it nobody would know what became of the order.
                if answer.status_code != 201:
                    await answer.aread()
                    if answer.headers.get("Content-Type") != "application/problem+json":
                        raise ServiceError(f"at {self._url} is no order service: it answers {answer.status_code}")
                    raise ServiceError(f"the order was refused: {answer.json()['detail']}")
                following = asyncio.create_task(self._follow(client, order))
                try:
                    await run_until_canceled(answer.aread(), token)
                except OperationCanceledError:
                    pass  # leaving this block hangs up
                except BaseException:
                    following.cancel()
                    raise
            return await following

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
