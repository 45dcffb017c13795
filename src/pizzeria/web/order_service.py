"""The order service: the door through which orders come in over HTTP.

POST   /orders               place an order; the answer ends with it, and a hang-up cancels it
GET    /orders/{id}          how it stands, and what the payment service has booked for it
GET    /orders/{id}/events   its log, live, as server-sent events
DELETE /orders/{id}          cancel it from elsewhere
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Path, Request
from fastapi.responses import JSONResponse

from cancellation import CancellationToken, CancellationTokenSource, OperationCanceledError, run_until_canceled
from pizzeria.events import Event
from pizzeria.order import Order, OrderState
from pizzeria.orders import CLOSING_TIME
from pizzeria.receipt import Receipt
from pizzeria.web.far_away import due
from pizzeria.web.problems import answer_with_problems
from pizzeria.web.request_token import RequestToken, time_left
from pizzeria.web.shop import WebPizzeria
from pizzeria.web.wire import OrderForm, OrderId, Stream, to_json

REMEMBERED = 10_000  # orders; the oldest of those that have ended are forgotten
LONGEST_EVENT_ID = 18  # digits

Id = Annotated[OrderId, Path()]


class _Placed:
    """One order: its cancel, what happened so far, and a bell for those who wait for more."""

    task: asyncio.Task[None]

    def __init__(self, order: Order, token: CancellationToken) -> None:
        self.source = CancellationTokenSource.create_linked_token_source(token)
        self.receipt = Receipt(order)
        self.events: list[Event] = []
        self._more = asyncio.Event()

    @property
    def has_ended(self) -> bool:
        return self.task.done()

    def read(self, event: Event) -> None:
        self.events.append(event)
        self.receipt.read(event)
        self.ring()

    def ring(self) -> None:
        self._more.set()
        self._more = asyncio.Event()

    async def more(self) -> None:
        await self._more.wait()

    def details(self) -> dict[str, Any]:
        receipt = self.receipt
        return {
            "id": receipt.order.id,
            "pizza": receipt.order.pizza,
            "address": receipt.order.address,
            "status": str(receipt.status),
            "reason": None if receipt.reason is None else str(receipt.reason),
            "charged": receipt.charged,
            "refunded": receipt.refunded,
            "oven_seconds_saved": receipt.oven_seconds_saved,
            "message_sent": receipt.message_sent,
            "lines": receipt.lines,
        }


def order_service(shop: WebPizzeria) -> FastAPI:
    """The order service of `shop`, whose two other services start and end with it. All errors are problems."""
    placed: dict[str, _Placed] = {}

    @asynccontextmanager
    async def open_to_the_public(_: FastAPI) -> AsyncIterator[None]:
        async with shop:
            end_subscription = shop.events.subscribe(read)
            try:
                yield
            finally:
                running = [one.task for one in placed.values() if not one.has_ended]
                for one in placed.values():
                    if not one.has_ended:
                        one.source.cancel(CLOSING_TIME)
                if running:
                    await asyncio.wait(running)
                end_subscription()

    app = FastAPI(title="The Art of Stopping", lifespan=open_to_the_public)
    answer_with_problems(app)

    def read(event: Event) -> None:
        if (one := placed.get(event.order.id)) is not None:
            one.read(event)

    def find(id: str) -> _Placed:
        if id not in placed:
            raise HTTPException(404, f"no order {id} is known; POST one to /orders")
        return placed[id]

    @app.post("/orders", status_code=201)
    async def place_order(form: OrderForm, request: Request, token: RequestToken) -> Stream:
        """The head of the answer comes at once, with the order's `Location`; its body when the order has ended."""
        order = form.order()
        if order.id in placed:
            raise HTTPException(409, f"order {order.id} has been placed before; leave the id out for another pizza")
        forget_the_oldest()
        one = placed[order.id] = _Placed(order, token)
        one.task = asyncio.create_task(serve(one, time_left(request)))
        one.task.add_done_callback(lambda _: one.ring())
        headers = {"Location": f"/orders/{order.id}"}
        return Stream(answer(one), status_code=201, headers=headers, media_type="application/json")

    async def serve(one: _Placed, seconds: float | None) -> None:
        if seconds is not None:
            due.set(asyncio.get_running_loop().time() + seconds)
        with one.source:
            try:
                await shop.place_order(one.receipt.order, one.source.token)
            except Exception as error:  # the order is undone, and its receipt tells of the failure
                one.receipt.reason = error

    async def answer(one: _Placed) -> AsyncGenerator[str]:
        await asyncio.wait({one.task})
        yield json.dumps(one.details(), ensure_ascii=False)

    def forget_the_oldest() -> None:
        while len(placed) >= REMEMBERED:
            oldest = next((id for id, one in placed.items() if one.has_ended), None)
            if oldest is None:
                raise HTTPException(503, f"{REMEMBERED} orders are under way; try again later", {"Retry-After": "10"})
            del placed[oldest]

    @app.get("/orders/{id}")
    async def get_order_details(id: Id, token: RequestToken) -> dict[str, Any]:
        one = find(id)
        booked = await shop.booked(id, token)
        return {**one.details(), "payments": booked}

    @app.get("/orders/{id}/events")
    async def follow(id: Id, request: Request, token: RequestToken) -> Stream:
        """From the first event on, or behind the one that `Last-Event-ID` names."""
        last = request.headers.get("Last-Event-ID", "0")
        if not last.isdecimal() or len(last) > LONGEST_EVENT_ID:
            raise HTTPException(400, f"Last-Event-ID must be the id of an event, a whole number, not {last[:40]!r}")
        return Stream(log(find(id), int(last), token), media_type="text/event-stream")

    async def log(one: _Placed, told: int, token: CancellationToken) -> AsyncGenerator[str]:
        try:
            while True:
                for event in one.events[told:]:
                    told += 1
                    content = to_json(event)
                    yield f"id: {told}\nevent: {content['kind']}\ndata: {json.dumps(content, ensure_ascii=False)}\n\n"
                if one.has_ended:
                    return
                await run_until_canceled(one.more(), token)
        except OperationCanceledError:
            return  # the reader hung up, which is no matter of the order's

    @app.delete("/orders/{id}")
    async def cancel_order(id: Id, token: RequestToken) -> JSONResponse:
        """Answers when the order has ended; doing it again changes nothing."""
        one = find(id)
        if one.receipt.status.can_be_cancelled and not one.has_ended:
            one.source.cancel("cancelled by the customer")
            await run_until_canceled(asyncio.wait({one.task}), token)
        if one.receipt.status is not OrderState.CANCELLED:
            raise HTTPException(409, f"too late: order {id} is {one.receipt.status}")
        return JSONResponse(one.details())

    return app
