"""A worker's telephone to the desk at the client: it asks for the money's steps, and tells what happens."""

from __future__ import annotations

import asyncio
import itertools
import pickle
from dataclasses import replace
from typing import Any
from uuid import uuid4

from distributed import Worker
from distributed.core import Status

from pizzeria.bank import Bank
from pizzeria.cluster import travel
from pizzeria.cluster.switchboard import OP
from pizzeria.events import Event, StateChanged
from pizzeria.ledger import Entry


class BranchClosed(ConnectionError):
    """The client that placed the order was cut off, and its branch here put away."""


class Telephone(Bank):
    """The client's ledger, as the services on a worker reach it. Used on the worker's loop.

    What a step refuses comes out as the ledger raised it; `BranchClosed` once the desk is.
    """

    def __init__(self, worker: Worker, client: str, channel: str) -> None:
        self._worker = worker
        self._client = client
        self._channel = channel
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._attempts: dict[str, str] = {}  # by order
        self._outbox: list[tuple[Any, ...]] = []
        self._hung_up = False

    async def begin(self, order_id: str) -> list[Entry]:
        """Take the order over, from whoever had it: he is not listened to any more. What was done of it so far."""
        self._attempts[order_id] = uuid4().hex
        entries: list[Entry] = await self._ask(order_id, "begin")
        return entries

    def end(self, order_id: str) -> None:
        self._attempts.pop(order_id, None)
        self.flush()

    async def knows(self, order_id: str) -> bool:
        return False  # the client has looked; what is there is from a worker that was lost, and is gone on with

    async def authorize(self, order_id: str, cents: int) -> Entry:
        entry: Entry = await self._ask(order_id, "authorize", cents)
        return entry

    async def capture(self, order_id: str) -> Entry:
        entry: Entry = await self._ask(order_id, "capture")
        return entry

    async def settle(self, order_id: str) -> Entry:
        entry: Entry = await self._ask(order_id, "settle")
        return entry

    async def undo(self, order_id: str) -> Entry | None:
        entry: Entry | None = await self._ask(order_id, "undo")
        return entry

    async def entries(self, order_id: str) -> list[Entry]:
        entries: list[Entry] = await self._ask(order_id, "entries")
        return entries

    def tell(self, event: Event) -> None:
        """Pass an event on to the client's readers."""
        if isinstance(event, StateChanged) and event.reason is not None:
            event = replace(event, reason=travel.pack(event.reason))  # as a token's reason travels
        self._post("event", event)

    def flush(self) -> None:
        """Send what has been said so far: one message for all that was said in one turn of the loop."""
        if self._outbox:
            data = pickle.dumps(self._outbox)
            self._outbox = []
            self._worker.batched_send({"op": OP, "to": self._client, "channel": self._channel, "data": data})

    def hear(self, data: bytes | None) -> None:
        """The desk's answers; None: it is closed for good."""
        if data is None:
            self._hung_up = True
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(_gone())
            return
        for number, value in pickle.loads(data):
            answer = self._waiting.get(number)
            if answer is None or answer.done():  # whoever asked has been stopped
                continue
            if isinstance(value, Exception):
                answer.set_exception(value)
            else:
                answer.set_result(value)

    async def _ask(self, order_id: str, step: str, *arguments: object) -> Any:
        if self._worker.status not in (Status.running, Status.paused, Status.closing_gracefully):
            # Dask stops the tasks of a worker that closes, and gives them to others: nothing is to be undone.
            raise asyncio.CancelledError("the worker closes")
        if self._hung_up:
            raise _gone()
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        self._post("step", number, order_id, self._attempts[order_id], step, arguments)
        try:
            return await answer
        finally:
            del self._waiting[number]

    def _post(self, *message: object) -> None:
        if not self._outbox:
            asyncio.get_running_loop().call_soon(self.flush)
        self._outbox.append(message)


def _gone() -> BranchClosed:
    return BranchClosed("the desk at the client that keeps the ledger is closed")
