"""The payment, as a service of its own. It alone has the ledger."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Path

from cancellation import CancellationToken, CancellationTokenSource
from pizzeria.bank import LedgerHere
from pizzeria.clock import Clock
from pizzeria.events import EventStream
from pizzeria.ledger import UNDOING, Ledger, LedgerError
from pizzeria.order import Order
from pizzeria.payment import Payment
from pizzeria.web.problems import answer_with_problems
from pizzeria.web.request_token import RequestToken
from pizzeria.web.wire import OrderForm, OrderId, OwnPace, Stream, told_while

Id = Annotated[OrderId, Path()]


def payment_service(ledger: Ledger, clock: Clock, events: EventStream) -> FastAPI:
    """`POST /payments` pays and tells of it line by line; a hang-up stops and undoes it. `DELETE` gives the money back.

    These may arrive in any order, and twice: no reservation is left. A payment whose `DELETE` came first is refused.

    `events`: where this service tells what it does; its own, not the order service's.
    """
    app = FastAPI(title="Payment")
    answer_with_problems(app)
    payment = Payment(LedgerHere(ledger), clock, events)
    under_way: dict[str, CancellationTokenSource] = {}  # by order

    @app.post("/payments")
    async def pay(form: OrderForm, token: RequestToken, pace: OwnPace = None) -> Stream:
        order = form.order()
        if order.id in under_way or ledger.entries(order.id):
            raise HTTPException(409, f"order {order.id} is paid for, or has been, already")
        if ledger.knows(order.id):
            raise HTTPException(409, f"order {order.id} was undone before it was paid for")
        stop = under_way[order.id] = CancellationTokenSource.create_linked_token_source(token)
        paying = told_while(partial(paid, order, stop.token, pace), order, events)
        return Stream(paying, media_type="application/x-ndjson", at_end=partial(put_away, order.id))

    async def paid(order: Order, token: CancellationToken, pace: float | None) -> None:
        if token.is_cancellation_requested:
            if not ledger.knows(order.id):  # else it is another service's, or was undone by a `DELETE`
                ledger.undo(order.id)
            token.throw_if_cancellation_requested()
        try:
            await payment.process_payment(order, token, pace=pace)
            token.throw_if_cancellation_requested()
        except BaseException as error:
            if not (isinstance(error, LedgerError) and error.refused == "authorize"):
                ledger.undo(order.id)  # the client may be gone, and never send its `DELETE`
            raise

    def put_away(id: str) -> None:
        under_way.pop(id).dispose()

    @app.get("/payments/{id}")
    async def entries(id: Id, token: RequestToken) -> list[dict[str, Any]]:
        """Oldest first; none where the order was undone before it was paid for."""
        token.throw_if_cancellation_requested()
        found = ledger.entries(id)
        if not found and not ledger.knows(id):
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
        """Stop the payment if it is under way, and void or refund it. The answer is that entry, also next time, and
        also if it was undone elsewhere; null where no money was reserved, or the order is settled.

        The ledger has the last word: a payment that is still under way after this is refused its next step.
        """
        ledger.undo(id)
        if id in under_way:
            under_way[id].cancel("the order is undone")
        entries = ledger.entries(id)
        return entries[-1]._asdict() if entries and entries[-1].step in UNDOING else None

    return app
