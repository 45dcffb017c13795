"""The payment, as a service of its own. It alone has the ledger."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Path

from cancellation import CancellationTokenSource
from pizzeria.bank import LedgerHere
from pizzeria.clock import Clock
from pizzeria.events import EventStream
from pizzeria.ledger import Entry, Ledger, LedgerError
from pizzeria.order import Order
from pizzeria.payment import Payment
from pizzeria.web.problems import answer_with_problems
from pizzeria.web.request_token import RequestToken
from pizzeria.web.wire import OrderForm, OrderId, OwnPace, Stream, told_while

Id = Annotated[OrderId, Path()]


def payment_service(ledger: Ledger, clock: Clock, events: EventStream) -> FastAPI:
    """`POST /payments` pays and tells of it line by line; a hang-up stops it. `DELETE` gives the money back.

    `events`: where this service tells what it does; its own, not the order service's.
    """
    app = FastAPI(title="Payment")
    answer_with_problems(app)
    payment = Payment(LedgerHere(ledger), clock, events)
    under_way: dict[str, tuple[CancellationTokenSource, asyncio.Event]] = {}  # by order: its cancel, and its end

    @app.post("/payments")
    async def pay(form: OrderForm, token: RequestToken, pace: OwnPace = None) -> Stream:
        order = form.order()
        if order.id in under_way or ledger.entries(order.id):
            raise HTTPException(409, f"order {order.id} is paid for, or has been, already")
        stop = CancellationTokenSource.create_linked_token_source(token)
        under_way[order.id] = stop, asyncio.Event()
        return Stream(told_while(paid(order, stop, pace), order, events), media_type="application/x-ndjson")

    async def paid(order: Order, stop: CancellationTokenSource, pace: float | None) -> None:
        try:
            with stop:
                await payment.process_payment(order, stop.token, pace=pace)
        finally:
            under_way.pop(order.id)[1].set()

    @app.get("/payments/{id}")
    async def entries(id: Id, token: RequestToken) -> list[dict[str, Any]]:
        token.throw_if_cancellation_requested()
        found = ledger.entries(id)
        if not found:
            raise HTTPException(404, f"no payment is known for order {id}")
        return [entry._asdict() for entry in found]

    @app.post("/payments/{id}/settle")
    async def settle(id: Id) -> dict[str, Any]:
        try:
            return ledger.settle(id)._asdict()
        except LedgerError as error:
            raise HTTPException(409, str(error)) from error

    @app.delete("/payments/{id}")
    async def give_back(id: Id) -> dict[str, Any] | None:
        """Stop the payment if it is under way, and void or refund it. Nothing to give back: null, also next time."""
        if id in under_way:
            stop, ended = under_way[id]
            stop.cancel("the order is undone")
            await ended.wait()
        entry: Entry | None = ledger.undo(id)
        return entry and entry._asdict()

    return app
