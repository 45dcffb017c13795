"""The pizzeria on a Dask cluster: the same door, the same events, the same ledger; the work is done by workers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Self, TypeVar
from uuid import uuid4

from distributed import Client

from cancellation import CancellationToken
from pizzeria.cluster.branch import Branch, serve_order
from pizzeria.cluster.desk import Desk
from pizzeria.cluster.line import line_of, raise_if_closed
from pizzeria.cluster.source import ClusterTokenSource
from pizzeria.cluster.switchboard import plugin_name
from pizzeria.cluster.telephone import BranchClosed
from pizzeria.events import Event, Line, Money, StateChanged
from pizzeria.ledger import Entry, Ledger
from pizzeria.order import Order, OrderState
from pizzeria.orders import CLOSING_TIME
from pizzeria.shop import Pizzeria

T = TypeVar("T")


class ClusterPizzeria(Pizzeria):
    """Takes orders like a `Pizzeria`, and has each done as a Dask task by one of the cluster's workers.

    `client`: a `distributed.Client`, asynchronous or not. `ledger`: stays in this process, which alone writes in it.
    `ovens`: of each worker. A worker has as many orders under way at once as it has threads; they wait most of the
    time, and none takes a thread, so give it hundreds (`threads_per_worker`). A change of `pace` reaches the workers
    with the next order.

    An order whose worker is lost is begun anew by another, and charged once; after three lost workers Dask gives it
    up with a `KilledWorker` error, and it is undone. Another client can cancel an order, under its id:
    `ClusterTokenSource(other_client, order.id).cancel()`. When the client leaves, or loses its connection, its orders
    stop and are undone; one that the courier has is completed all the same. Those placed after Dask has connected
    again are served as ever. Give ids that are unique on the cluster, like those that an `Order` makes: a cancel by
    id cancels all orders of that id.

    Use it on one event loop, and `await close()` it, or put it in an `async with` block.
    """

    def __init__(
        self,
        client: Client,
        ledger: Ledger | None = None,
        ovens: int = 3,
        pace: float = 1.0,
        heeds_token: bool = True,
    ) -> None:
        if not isinstance(client, Client):
            raise TypeError(f"client must be a distributed.Client, not {client!r}")
        super().__init__(ledger, ovens, pace, heeds_token)
        self._client: Any = client  # distributed has types for half of it
        self._opened = time.time()
        self._name = ""  # of its branches: new ones each time they are opened
        self._found_closed = ""  # the name of those that an order found closed
        self._line = line_of(client)
        self._desk = Desk(self.ledger, self._answer, self._pass_on, self._note)
        self._opening: asyncio.Task[None] | None = None  # on the client's loop, as is all that follows
        self._new: list[tuple[Order, CancellationToken, float | None, asyncio.Future[Any]]] = []
        self._under_way: dict[asyncio.Future[bool], ClusterTokenSource] = {}
        self._told: dict[str, set[str]] = {}  # by order under way: the money's steps that its readers have heard of
        self._loop: asyncio.AbstractEventLoop | None = None  # the readers'

    @property
    def ovens_in_use(self) -> int:
        """On all workers, as far as is known here."""
        return sum(receipt.status is OrderState.COOKING for receipt in self._receipts.values())

    async def close(self) -> None:
        """Cancel what is under way, wait for its end, and close the branches on the workers."""
        for stop in list(self._under_way.values()):
            if not stop.is_cancellation_requested:
                stop.cancel(CLOSING_TIME)
        await asyncio.gather(*self._under_way, return_exceptions=True)
        if self._client.status == "running":
            await self._on_clients_loop(self._close_branches())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _serve(self, order: Order, token: CancellationToken, pace: float | None = None) -> None:
        if token.is_cancellation_requested or self.ledger.knows(order.id):
            await super()._serve(order, token, pace)  # undone, or refused: no worker is needed for that
            return
        raise_if_closed(self._client)
        self._loop = asyncio.get_running_loop()
        if not self._line.is_open:
            await self._on_clients_loop(self._line.ready())  # else a source would wait for it, and block this loop
        # Two sources: whoever knows the id may cancel, but one who has the same id for another order does not.
        with self._source_by_id(order) as by_id, ClusterTokenSource(self._client) as stop:
            with (
                by_id.token.unsafe_register(lambda: stop.cancel(by_id.token.reason)),
                token.unsafe_register(lambda: stop.cancel(token.reason)),
            ):
                done = await self._by_a_worker(order, stop, pace)
            if not done:
                await super()._serve(order, stop.token, pace)

    def _source_by_id(self, order: Order) -> ClusterTokenSource:
        try:
            return ClusterTokenSource(self._client, order.id)
        except ValueError as error:
            raise ValueError(
                f"order {order.id} is under way in another pizzeria of this client, or a token source here has its "
                "name; make a new Order for another pizza"
            ) from error

    async def _by_a_worker(self, order: Order, stop: ClusterTokenSource, pace: float | None) -> bool:
        """False if it was cancelled before a worker had begun it."""
        work = asyncio.ensure_future(self._on_clients_loop(self._submit_and_wait(order, stop.token, pace)))
        self._under_way[work] = stop
        work.add_done_callback(self._under_way.pop)
        told = self._told[order.id] = set()
        cancelled = None
        try:
            await asyncio.wait({work})
        except asyncio.CancelledError as error:  # of the caller's task: the order is undone first
            cancelled = error
            stop.cancel()
            await asyncio.wait({work})
        finally:
            del self._told[order.id]
        try:
            done = work.result()
        except Exception as error:
            stop.cancel()  # a worker may still be about it
            self._tell_what_was_lost(order, told, error)
            if self._receipts[order.id].status is OrderState.FAILED:
                raise
            done = True
        finally:
            self._desk.forget(order.id)
        if cancelled is not None:
            if not done:
                await super()._serve(order, stop.token, pace)
            raise cancelled
        return done

    def _tell_what_was_lost(self, order: Order, told: set[str], error: Exception) -> None:
        """Tell how the order ended, as the ledger has it, where its worker cannot: Dask has given the order up, or the
        connection is lost, and with it what the worker said last. `told`: the steps that the readers have heard of."""
        status = self._receipts[order.id].status
        if status.is_final:
            return
        undone, entries = None, list[Entry]()
        if self._desk.has_reserved(order.id):
            undone, entries = self.ledger.undo(order.id), self.ledger.entries(order.id)
        now = self._clock.now
        for entry in entries:
            if entry.step not in told:
                line = "" if undone is None or entry.step != undone.step else "🧹 Cleaning up before stopping..."
                self.events.publish(Money(order, now, entry.step, entry.cents, line=line))
        if entries and entries[-1].step == "settle":
            if status is not OrderState.HANDED_OVER:
                self.events.publish(StateChanged(order, now, OrderState.HANDED_OVER))
            line = "✅ Order completed successfully!"
            self.events.publish(StateChanged(order, now, OrderState.COMPLETED, line=line))
        else:
            line = f"⚠️ Order failed: {type(error).__name__}: {error}"
            self.events.publish(StateChanged(order, now, OrderState.FAILED, error, line=line))

    def _read(self, event: Event) -> None:
        if type(event) is Money and (told := self._told.get(event.order.id)) is not None:
            told.add(event.step)
        super()._read(event)

    async def _on_clients_loop(self, what: Coroutine[object, object, T]) -> T:
        loop = self._client.loop.asyncio_loop
        if loop is asyncio.get_running_loop():
            return await what
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(what, loop))

    # From here on: on the client's loop.

    async def _branches(self) -> None:
        """Open them, if they are not: never yet, or they were closed when the connection was lost."""
        is_open = self._name in self._line.channels and self._name != self._found_closed
        if self._opening is None or (self._opening.done() and not is_open):
            self._opening = asyncio.ensure_future(self._open_branches())
        await asyncio.shield(self._opening)

    async def _open_branches(self) -> None:
        await self._close_branches()  # those that an order found closed
        while True:
            await self._line.ready()
            times_lost = self._line.times_lost
            name = plugin_name(self._client.id, uuid4().hex)
            await self._client.register_plugin(Branch(name, self._client.id, self.ovens, self._opened))
            if self._line.times_lost == times_lost:
                break
            await self._put_away(name)  # mostly the scheduler has, with the connection that was lost meanwhile
        self._name = name
        self._line.channels[name] = self._desk.hear

    async def _close_branches(self) -> None:
        if self._line.channels.pop(self._name, None) is not None:
            await self._put_away(self._name)

    async def _put_away(self, name: str) -> None:
        with suppress(OSError, ValueError):  # what is gone, a worker or the branches, has nothing to put away
            await self._client.unregister_worker_plugin(name)

    async def _submit_and_wait(self, order: Order, token: CancellationToken, pace: float | None) -> bool:
        await self._branches()
        name = self._name
        self._desk.expect(order, token)
        future = await self._submit(order, token, pace)
        end = asyncio.ensure_future(future.exception())
        taken_back = False

        def take_back() -> None:
            nonlocal taken_back
            if self._desk.take_back(order.id):
                taken_back = True
                end.cancel()

        loop = asyncio.get_running_loop()
        try:
            with token.unsafe_register(loop.call_soon_threadsafe, take_back):
                error = await end
            status = future.status
        except asyncio.CancelledError:
            if taken_back:
                return False
            status, error = "cancelled", None  # the client's loop ends
        finally:
            self._desk.close(order.id)
            future.release()
        if isinstance(error, BranchClosed):
            self._found_closed = name
        if error is not None:
            raise error
        if status != "finished":  # of a cancelled future Dask says that it has no error
            raise ConnectionError("the cluster has gone, or was told to forget the order")
        return True

    def _submit(self, order: Order, token: CancellationToken, pace: float | None) -> asyncio.Future[Any]:
        """The orders of one moment travel as one graph: a thousand cost little more than one."""
        loop = asyncio.get_running_loop()
        if not self._new:
            loop.call_soon(self._submit_all)
        submitted: asyncio.Future[Any] = loop.create_future()
        self._new.append((order, token, pace, submitted))
        return submitted

    def _submit_all(self) -> None:
        new, self._new = self._new, []
        orders, tokens, own_paces, waiting = zip(*new, strict=True)
        futures = self._client.map(
            serve_order,
            orders,
            tokens,
            own_paces,
            branch=self._name,
            pace=self.pace,
            key=[f"order-{order.id}-{uuid4().hex}" for order in orders],  # the id need not be the cluster's only one
            pure=False,
        )
        for submitted, future in zip(waiting, futures, strict=True):
            submitted.set_result(future)

    def _answer(self, worker: str, data: bytes) -> None:
        self._line.tell_worker(worker, self._name, data)

    def _pass_on(self, events: list[Event]) -> None:
        assert self._loop is not None
        if asyncio.get_running_loop() is self._loop:
            self._publish(events)
        else:
            self._loop.call_soon_threadsafe(self._publish, events)

    def _publish(self, events: list[Event]) -> None:
        for event in events:
            self.events.publish(event)

    def _note(self, order: Order, text: str) -> Line:
        return Line(order, self._clock.now, line=text)
