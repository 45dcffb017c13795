"""The pizzeria as three services: what the order service has inside, and the two that it calls."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any, Self

from cancellation import CancellationToken, CancellationTokenSource
from pizzeria.bank import Bank
from pizzeria.events import EventStream
from pizzeria.kitchen import Kitchen
from pizzeria.ledger import Ledger
from pizzeria.order import Order
from pizzeria.orders import CLOSING_TIME
from pizzeria.payment import Payment
from pizzeria.shop import Pizzeria
from pizzeria.web.far_away import BankFarAway, KitchenFarAway, PaymentFarAway, Service, client_for_long_calls
from pizzeria.web.kitchen_service import kitchen_service
from pizzeria.web.payment_service import payment_service
from pizzeria.web.server import serving


class WebPizzeria(Pizzeria):
    """A `Pizzeria` whose payment and kitchen are services of their own, on ports of this machine.

    Inside `async with` they run: each a real server, called over HTTP under the order's token. Leaving it is closing
    time: what is under way is cancelled and undone. Place orders on the event loop of the block.
    `payment_log` and `kitchen_log` are the two services' own events: what each of them saw.
    """

    _loop: asyncio.AbstractEventLoop  # of the services

    def __init__(self, ledger: Ledger | None = None, ovens: int = 3, pace: float = 1.0) -> None:
        self._payment_service = Service("payment")
        self._kitchen_service = Service("kitchen")
        self.payment_log = EventStream()
        self.kitchen_log = EventStream()
        self._running: AsyncExitStack | None = None
        self._under_way: dict[asyncio.Future[None], CancellationTokenSource] = {}  # the orders, each with its cancel
        super().__init__(ledger, ovens, pace)

    async def booked(self, order_id: str, token: CancellationToken) -> list[dict[str, Any]]:
        """What the payment service has booked for an order. `OperationCanceledError` once `token` is cancelled."""
        return await self._payment_service.ask("GET", f"/payments/{order_id}", token) or []

    async def _serve(self, order: Order, token: CancellationToken, pace: float | None = None) -> None:
        if self._running is None:
            raise RuntimeError("this pizzeria's services are not running: order inside `async with` the pizzeria")
        if asyncio.get_running_loop() is not self._loop:
            raise RuntimeError("this pizzeria is at work on another event loop: make a WebPizzeria for each")
        with CancellationTokenSource.create_linked_token_source(token) as stop:
            work = asyncio.ensure_future(super()._serve(order, stop.token, pace))
            self._under_way[work] = stop
            work.add_done_callback(self._under_way.pop)
            cancelled = None
            while not work.done():
                try:
                    await asyncio.wait({work})
                except asyncio.CancelledError as error:  # of the caller's task: it must not reach into the undoing
                    cancelled = error
                    stop.cancel()
            work.result()
            if cancelled is not None:
                raise cancelled

    def _open_bank(self) -> Bank:
        return BankFarAway(self._payment_service)

    def _open_payment(self, bank: Bank) -> Payment:
        return PaymentFarAway(bank, self._payment_service, self._clock, self.events)

    def _open_kitchen(self, ovens: int) -> Kitchen:
        return KitchenFarAway(ovens, self._kitchen_service, self._clock, self.events)

    async def __aenter__(self) -> Self:
        if self._running is not None:
            raise RuntimeError("this pizzeria's services are running already")
        payment = payment_service(self.ledger, self._clock, self.payment_log)
        kitchen = Kitchen(self.ovens, self._clock, self.kitchen_log)
        async with AsyncExitStack() as starting:
            client = await starting.enter_async_context(client_for_long_calls())
            for service, app in (
                (self._payment_service, payment),
                (self._kitchen_service, kitchen_service(kitchen, self._clock, self.kitchen_log)),
            ):
                service.connect(client, await starting.enter_async_context(serving(app)))
            self._running, self._loop = starting.pop_all(), asyncio.get_running_loop()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._running is not None
        running, self._running = self._running, None  # no new order from here on
        try:
            for stop in self._under_way.values():
                stop.cancel(CLOSING_TIME)
            if self._under_way:
                await asyncio.wait(self._under_way)
        finally:
            for service in (self._payment_service, self._kitchen_service):
                service.disconnect()
            await running.aclose()
