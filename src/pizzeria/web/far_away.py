"""Payment, kitchen and bank as the order service sees them: over HTTP, under the order's token."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from typing import Any

import httpx

from cancellation import CancellationToken, run_until_canceled
from pizzeria.bank import Bank
from pizzeria.clock import Clock
from pizzeria.events import EventStream, StateChanged
from pizzeria.kitchen import Kitchen
from pizzeria.ledger import Entry, LedgerError
from pizzeria.order import Order, OrderState
from pizzeria.payment import Payment
from pizzeria.web.request_token import TIME_LEFT
from pizzeria.web.wire import END, OrderForm, from_json

due: ContextVar[float | None] = ContextVar("due", default=None)  # when the order's time is over, on the loop's clock


def client_for_long_calls() -> httpx.AsyncClient:
    """An answer takes as long as the order takes: its token ends the wait. Any number of calls at once."""
    unlimited = httpx.Limits(max_connections=None, max_keepalive_connections=20)
    return httpx.AsyncClient(timeout=httpx.Timeout(None, connect=5), limits=unlimited, trust_env=False)


class ServiceError(RuntimeError):
    """A service failed, or could not be reached. The text says which, and what it answered."""


class ServiceRefusal(ServiceError, LedgerError):
    """A service refused, because of what was done before: it has done nothing."""


class Service:
    """One service, once connected. A call ends with its answer, or when `token` is cancelled: then it hangs up."""

    _client: httpx.AsyncClient

    def __init__(self, name: str) -> None:
        self._name = name
        self._url = ""

    def connect(self, client: httpx.AsyncClient, url: str) -> None:
        self._client, self._url = client, url

    def disconnect(self) -> None:
        self._url = ""

    async def ask(self, method: str, path: str, token: CancellationToken = CancellationToken.none) -> Any:
        """A short question, also when the order's time is over; None where the service knows nothing of it (404)."""
        self._check_connected()
        request = self._client.request(method, self._url + path)
        try:
            answer = await run_until_canceled(request, token)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        if answer.status_code == 404:
            return None
        self._check(answer.status_code, answer.text)
        return answer.json()

    @asynccontextmanager
    async def telling(
        self, path: str, order: Order, token: CancellationToken, pace: float | None, *, first_step: str | None = None
    ) -> AsyncIterator[AsyncIterator[str]]:
        """Have `order` worked on, and hear of it line by line. Leaving the block hangs up.

        `first_step`: of the money, if this begins with one: what is refused where the service refuses the order.
        """
        self._check_connected()
        own = {} if pace is None else {"pace": pace}
        end = due.get()
        left = {} if end is None else {TIME_LEFT: f"{max(0.0, end - asyncio.get_running_loop().time()):.3f}"}
        async with AsyncExitStack() as call:
            request = self._client.stream("POST", self._url + path, params=own, json=OrderForm.of(order), headers=left)
            try:
                answer = await run_until_canceled(call.enter_async_context(request), token)
            except httpx.HTTPError as error:
                raise self._unreachable(error) from error
            if answer.is_error:
                await answer.aread()
            self._check(answer.status_code, answer.text if answer.is_error else "", refused=first_step)
            yield answer.aiter_lines()

    async def hear(
        self,
        lines: AsyncIterator[str],
        order: Order,
        clock: Clock,
        events: EventStream,
        *,
        until: OrderState | None = None,
    ) -> None:
        """Publish what `lines` tell, to the end, or up to the state `until`, which is the order service's to tell."""
        try:
            async for line in lines:
                content = json.loads(line)
                if content["kind"] == END:
                    if "error" in content:
                        text = f"the {self._name} service failed: {content['error']}"
                        refused = content.get("refused")
                        raise ServiceError(text) if refused is None else ServiceRefusal(text, refused)
                    return
                event = from_json(order, content, clock.now)
                if isinstance(event, StateChanged):
                    if event.state is until:
                        return
                else:
                    events.publish(event)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        raise ServiceError(f"the {self._name} service stopped in the middle of its answer")

    def _check(self, status: int, text: str, refused: str | None = None) -> None:
        if status == 409:
            raise ServiceRefusal(f"the {self._name} service answered {status}: {text}", refused)
        if status >= 400:
            raise ServiceError(f"the {self._name} service answered {status}: {text}")

    def _check_connected(self) -> None:
        if not self._url:
            raise RuntimeError(f"the {self._name} service is not running: order inside `async with` the pizzeria")

    def _unreachable(self, error: Exception) -> ServiceError:
        return ServiceError(f"the {self._name} service at {self._url} does not answer: {type(error).__name__} {error}")


class PaymentFarAway(Payment):
    """`pizzeria.payment.Payment`, done by its service."""

    def __init__(self, bank: Bank, service: Service, clock: Clock, events: EventStream) -> None:
        super().__init__(bank, clock, events)
        self._service = service

    async def process_payment(self, order: Order, token: CancellationToken, *, pace: float | None = None) -> None:
        async with self._service.telling("/payments", order, token, pace, first_step="authorize") as lines:
            await run_until_canceled(self._service.hear(lines, order, self._clock, self._events), token)


class KitchenFarAway(Kitchen):
    """`pizzeria.kitchen.Kitchen`, whose ovens are at its service."""

    def __init__(self, ovens: int, service: Service, clock: Clock, events: EventStream) -> None:
        super().__init__(ovens, clock, events)
        self._service = service
        self._meals: dict[str, AsyncIterator[str]] = {}  # by order: what is still to be heard of it

    @asynccontextmanager
    async def oven(self, order: Order, token: CancellationToken, *, pace: float | None = None) -> AsyncIterator[None]:
        async with self._service.telling("/meals", order, token, pace) as lines:
            has_oven = self._service.hear(lines, order, self._clock, self._events, until=OrderState.COOKING)
            await run_until_canceled(has_oven, token)
            self._meals[order.id] = lines
            self._having_one.add(order.id)
            try:
                yield
            finally:
                self._having_one.discard(order.id)
                del self._meals[order.id]

    async def prepare_meal(self, order: Order, token: CancellationToken, *, pace: float | None = None) -> None:
        rest = self._service.hear(self._meals[order.id], order, self._clock, self._events)
        await run_until_canceled(rest, token)


class BankFarAway(Bank):
    """The ledger, asked through the payment service. What these do must be done: no token ends them."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def knows(self, order_id: str) -> bool:
        return await self._service.ask("GET", f"/payments/{order_id}") is not None

    async def authorize(self, order_id: str, cents: int) -> Entry:
        raise NotImplementedError("the payment service itself reserves the money")

    async def capture(self, order_id: str) -> Entry:
        raise NotImplementedError("the payment service itself takes the money")

    async def settle(self, order_id: str) -> Entry:
        return Entry(**await self._service.ask("POST", f"/payments/{order_id}/settle"))

    async def undo(self, order_id: str) -> Entry | None:
        entry = await self._service.ask("DELETE", f"/payments/{order_id}")
        return entry and Entry(**entry)

    async def entries(self, order_id: str) -> list[Entry]:
        return [Entry(**entry) for entry in await self._service.ask("GET", f"/payments/{order_id}") or []]
