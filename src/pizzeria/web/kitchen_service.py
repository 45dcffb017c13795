"""The kitchen, as a service of its own. It alone has the ovens."""

from __future__ import annotations

from functools import partial

from fastapi import FastAPI

from cancellation import CancellationToken
from pizzeria.clock import Clock
from pizzeria.events import EventStream, StateChanged
from pizzeria.kitchen import Kitchen
from pizzeria.order import Order, OrderState
from pizzeria.web.problems import answer_with_problems
from pizzeria.web.request_token import RequestToken
from pizzeria.web.wire import OrderForm, OwnPace, Stream, told_while


def kitchen_service(kitchen: Kitchen, clock: Clock, events: EventStream) -> FastAPI:
    """`POST /meals` waits for an oven, cooks, and tells of it line by line; a hang-up frees line and oven.

    `events`: where this service and its `kitchen` tell what they do; their own, not the order service's.
    """
    app = FastAPI(title="Kitchen")
    answer_with_problems(app)

    @app.post("/meals")
    async def cook(form: OrderForm, token: RequestToken, pace: OwnPace = None) -> Stream:
        order = form.order()
        cooking = told_while(partial(cooked, order, token, pace), order, events)
        return Stream(cooking, media_type="application/x-ndjson")

    async def cooked(order: Order, token: CancellationToken, pace: float | None) -> None:
        async with kitchen.oven(order, token, pace=pace):
            events.publish(StateChanged(order, clock.now, OrderState.COOKING))
            await kitchen.prepare_meal(order, token, pace=pace)

    return app
