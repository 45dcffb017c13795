"""A branch of the pizzeria: its services on one worker, with ovens of their own. The ledger stays with the client."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import cast

from distributed import Worker, WorkerPlugin, get_worker

from cancellation import CancellationToken
from pizzeria.bank import Bank
from pizzeria.cluster.switchboard import OP, Receiver
from pizzeria.cluster.telephone import BranchClosed, Telephone
from pizzeria.events import CancelRequested, Event, Money, StateChanged
from pizzeria.ledger import Entry
from pizzeria.order import Order, OrderState
from pizzeria.shop import Pizzeria

_ENDS = {"settle": OrderState.COMPLETED, "refund": OrderState.CANCELLED, "void": OrderState.CANCELLED}


class Branch(WorkerPlugin):
    """`name`: also of the channel to the desk. `client`: the id of the one who has it. `ovens`: of each worker.
    `opened`: when the pizzeria opened, in seconds since 1970."""

    _receiver: Receiver
    _desk: Telephone
    _shop: Pizzeria
    _late: float  # so many seconds after the pizzeria this branch opened

    def __init__(self, name: str, client: str, ovens: int, opened: float) -> None:
        self.name = name
        self._client = client
        self._ovens = ovens
        self._opened = opened

    def setup(self, worker: Worker) -> None:
        self._desk = Telephone(worker, self._client, self.name)
        self._receiver = cast(Receiver, worker.plugins[OP])
        self._receiver.connect(self.name, self._desk.hear)
        self._shop = _Services(self._desk, self._ovens)
        self._late = time.time() - self._opened
        self._shop.events.subscribe(self._pass_on)

    def teardown(self, worker: Worker) -> None:
        self._receiver.disconnect(self.name)
        self._desk.hear(None)  # whoever still waits for an answer will get none

    async def serve(self, order: Order, token: CancellationToken, shop_pace: float, own_pace: float | None) -> None:
        """Serve the order, or what is left of it to do where another worker had begun it, and was lost."""
        done = await self._desk.begin(order.id)
        try:
            if done and done[-1].step in _ENDS:
                self._tell_end(order, done, token)
            else:
                self._shop.pace = shop_pace
                await self._shop.place_order(order, token, pace=own_pace)
        finally:
            self._desk.end(order.id)

    def _tell_end(self, order: Order, done: list[Entry], token: CancellationToken) -> None:
        """It had ended: with the courier, or undone. Only the telling of it was lost with the worker."""
        now = time.time() - self._opened
        for entry in done:
            self._desk.tell(Money(order, now, entry.step, entry.cents))
        state = _ENDS[done[-1].step]
        line = "✅ Order completed successfully!" if state is OrderState.COMPLETED else "🚫 Order cancelled."
        self._desk.tell(StateChanged(order, now, state, token.reason, line=line))

    def _pass_on(self, event: Event) -> None:
        if isinstance(event, CancelRequested):  # that is told where it was requested
            return
        self._desk.tell(replace(event, at=event.at + self._late))


class _Services(Pizzeria):
    """The whole pizzeria but for the ledger."""

    def __init__(self, bank: Bank, ovens: int) -> None:
        self._bank = bank
        super().__init__(ovens=ovens)

    def _open_bank(self) -> Bank:
        return self._bank


async def serve_order(
    order: Order, token: CancellationToken, own_pace: float | None = None, *, branch: str, pace: float
) -> None:
    """The task. As a coroutine it runs on the worker's event loop, beside all others of that worker.

    `pace`: the pizzeria's. `own_pace`: the order's, if it has one.
    """
    plugin = get_worker().plugins.get(branch)
    if plugin is None:
        raise BranchClosed(f"no branch is open here for order {order.id}: the client that placed it was cut off")
    await cast(Branch, plugin).serve(order, token, pace, own_pace)
