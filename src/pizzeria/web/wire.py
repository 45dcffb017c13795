"""Events on their way between two services: a line of JSON each."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import fields
from typing import Annotated, Any, Self

from fastapi import Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.types import Receive, Scope, Send

from pizzeria import events
from pizzeria.events import Event, EventStream
from pizzeria.ledger import LedgerError
from pizzeria.order import MENU, Order, OrderState

_KINDS = {
    kind.__name__: kind
    for kind in (
        events.StateChanged,
        events.Line,
        events.Step,
        events.Money,
        events.CancelRequested,
        events.MessageSent,
    )
}
END = "End"  # the kind of a stream's last line; with an `error` where the work failed, and the step `refused`, if any

OrderId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
OwnPace = Annotated[float | None, Query(alias="pace", ge=0, allow_inf_nan=False)]  # an order's; None: the service's


class OrderForm(BaseModel):
    """An order as it comes in a request. `id` may be left out; whoever chooses it can ask for the order by it."""

    model_config = ConfigDict(extra="forbid")

    pizza: str = Field(json_schema_extra={"enum": list(MENU)})
    address: str
    id: OrderId | None = None

    @model_validator(mode="after")
    def _can_be_delivered(self) -> Self:
        self.order()
        return self

    def order(self) -> Order:
        return Order(self.pizza, self.address) if self.id is None else Order(self.pizza, self.address, self.id)

    @staticmethod
    def of(order: Order) -> dict[str, str]:
        return {"pizza": order.pizza, "address": order.address, "id": order.id}


def to_json(event: Event) -> dict[str, Any]:
    """Without the order, which the receiver knows. A reason travels as its text."""
    content = {field.name: getattr(event, field.name) for field in fields(event) if field.name != "order"}
    if content.get("reason") is not None:
        content["reason"] = str(content["reason"])
    return {"kind": type(event).__name__, **content}


def from_json(order: Order, content: dict[str, Any], at: float) -> Event:
    """As it was, but for the time: `at` on the receiver's clock."""
    kind = _KINDS[content["kind"]]
    values = {name: value for name, value in content.items() if name not in ("kind", "at")}
    if "state" in values:
        values["state"] = OrderState(values["state"])
    return kind(order, at, **values)


class Stream(StreamingResponse):
    """An answer in pieces, whose maker hears of a hang-up through its token.

    Starlette's own kills the maker at the hang-up, at each further `await` of its cleanup, too. `at_end` is called
    when nothing more is sent, for whatever reason, also if no piece was ever asked for; by then `pieces` has ended.
    """

    def __init__(
        self,
        pieces: AsyncGenerator[str],
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        at_end: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__(pieces, status_code, headers, media_type)
        self._pieces = pieces
        self._at_end = at_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with aclosing(self._pieces):
                await self.stream_response(send)
        finally:
            self._at_end()


async def told_while(work: Callable[[], Awaitable[None]], order: Order, stream: EventStream) -> AsyncGenerator[str]:
    """Do `work`, and yield each event of `order` as a line meanwhile; at last a line that says how it ended."""
    lines: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def read(event: Event) -> None:
        if event.order.id == order.id:
            lines.put_nowait(to_json(event))

    async def work_and_end() -> None:
        try:
            await work()
        except Exception as error:
            refused = error.refused if isinstance(error, LedgerError) else None
            lines.put_nowait({"kind": END, "error": f"{type(error).__name__}: {error}", "refused": refused})
        else:
            lines.put_nowait({"kind": END})

    end_subscription = stream.subscribe(read)
    working = asyncio.create_task(work_and_end())
    try:
        while True:
            content = await lines.get()
            yield json.dumps(content, ensure_ascii=False) + "\n"
            if content["kind"] == END:
                return
    finally:
        end_subscription()
        working.cancel()  # a formality, unless the server is being stopped
        await asyncio.wait({working})
