"""Workers die, or are taken away, in the middle of orders: none is lost, and none charged twice."""

import asyncio
import os
import signal
from collections import Counter

import cluster_tasks
import pytest
from distributed import KilledWorker

from cancellation import CancellationToken, CancellationTokenSource
from pizzeria import Ledger, LedgerError, Order, OrderState
from pizzeria.cluster import ClusterPizzeria
from pizzeria.cluster.desk import TAKEN_OVER, Desk
from pizzeria.cluster.switchboard import OP, Switchboard
from pizzeria.events import StateChanged


def kill_a_busy_worker(client):
    """With SIGKILL: it can tidy up nothing. Its nanny starts another one."""
    address = next(address for address, tasks in client.processing().items() if tasks)
    (pid,) = client.run(os.getpid, workers=[address]).values()
    os.kill(pid, signal.SIGKILL)


def orders(number):
    return [Order("Margherita", f"{n} Main St") for n in range(number)]


def started(shop, number, state):
    """An event that is set once so many orders have come to that state."""
    enough = asyncio.Event()
    seen = set()

    def count(event):
        if isinstance(event, StateChanged) and event.state is state:
            seen.add(event.order.id)
            if len(seen) == number:
                enough.set()

    shop.events.subscribe(count)
    return enough


def test_a_killed_worker_loses_no_order_and_charges_none_twice(client):
    async def main():
        async with ClusterPizzeria(client, ovens=10, pace=0.2) as shop:
            lines = []
            shop.events.subscribe(lambda e: lines.append(e.line) if e.line else None)
            half_are_out = started(shop, 30, OrderState.HANDED_OVER)
            tasks = [asyncio.create_task(shop.place_order(order)) for order in orders(60)]
            await asyncio.wait_for(half_are_out.wait(), 30)
            await asyncio.to_thread(kill_a_busy_worker, client)
            receipts = await asyncio.wait_for(asyncio.gather(*tasks), 40)
            assert Counter(receipt.status for receipt in receipts) == {OrderState.COMPLETED: 60}
            assert {receipt.kept for receipt in receipts} == {950}
            steps = Counter(entry.step for entry in shop.ledger.entries())
            assert steps == {"authorize": 60, "capture": 60, "settle": 60}
            assert lines.count(TAKEN_OVER) > 0

    asyncio.run(main())


@pytest.mark.parametrize("state", [OrderState.PAYING, OrderState.COOKING])
def test_orders_of_a_killed_worker_can_be_cancelled(client, state):
    async def main():
        async with ClusterPizzeria(client, ovens=10, pace=0.2) as shop:
            all_there = started(shop, 10, state)
            with CancellationTokenSource() as source:
                tasks = [asyncio.create_task(shop.place_order(order, source.token)) for order in orders(10)]
                await asyncio.wait_for(all_there.wait(), 30)
                await asyncio.to_thread(kill_a_busy_worker, client)
                source.cancel()
                receipts = await asyncio.wait_for(asyncio.gather(*tasks), 40)
            assert {(receipt.status, receipt.kept) for receipt in receipts} == {(OrderState.CANCELLED, 0)}
            steps = Counter(entry.step for entry in shop.ledger.entries())
            assert steps["void"] + steps["refund"] == steps["authorize"] == 10
            assert steps["refund"] == steps["capture"]

    asyncio.run(main())


def test_an_order_that_is_with_the_courier_is_not_made_again(client):
    async def main():
        async with ClusterPizzeria(client, pace=0.2) as shop:
            states = []
            shop.events.subscribe(lambda e: states.append(e.state) if isinstance(e, StateChanged) else None)
            ready, handed_over = started(shop, 1, OrderState.READY), started(shop, 1, OrderState.HANDED_OVER)
            task = asyncio.create_task(shop.place_order(*orders(1)))
            await asyncio.wait_for(ready.wait(), 30)
            await asyncio.to_thread(client.run, cluster_tasks.set_pace, pace=1000)  # the message's
            await asyncio.wait_for(handed_over.wait(), 30)
            await asyncio.to_thread(kill_a_busy_worker, client)
            receipt = await asyncio.wait_for(task, 40)
            assert (receipt.status, receipt.kept) == (OrderState.COMPLETED, 950)
            assert states.count(OrderState.COOKING) == 1
            assert not receipt.message_sent

    asyncio.run(main())


def test_a_worker_that_is_retired_hands_its_orders_to_others(client, late_worker):
    async def main():
        async with ClusterPizzeria(client, ovens=30, pace=0.5) as shop:
            cooking = started(shop, 30, OrderState.COOKING)
            with late_worker as address:
                tasks = [asyncio.create_task(shop.place_order(order)) for order in orders(30)]
                await asyncio.wait_for(cooking.wait(), 30)
                on_it = await asyncio.to_thread(client.processing)
                assert on_it[address]
                await asyncio.to_thread(client.retire_workers, [address])
                receipts = await asyncio.wait_for(asyncio.gather(*tasks), 40)
            assert Counter(receipt.status for receipt in receipts) == {OrderState.COMPLETED: 30}
            assert Counter(entry.step for entry in shop.ledger.entries()) == {
                "authorize": 30,
                "capture": 30,
                "settle": 30,
            }

    asyncio.run(main())


def test_a_worker_that_closes_in_the_middle_of_an_order_undoes_nothing(client, late_worker):
    """Dask then stops its tasks with a CancelledError, which is no cancel by anybody."""

    async def main():
        async with ClusterPizzeria(client, ovens=30, pace=0.5) as shop:
            cooking = started(shop, 30, OrderState.COOKING)
            with late_worker as address:
                tasks = [asyncio.create_task(shop.place_order(order)) for order in orders(30)]
                await asyncio.wait_for(cooking.wait(), 30)
                assert (await asyncio.to_thread(client.processing))[address]
                await asyncio.to_thread(client.run, cluster_tasks.close, workers=[address])
                receipts = await asyncio.wait_for(asyncio.gather(*tasks), 40)
            assert Counter(receipt.status for receipt in receipts) == {OrderState.COMPLETED: 30}

    asyncio.run(main())


def test_an_order_that_no_worker_survives_fails_and_is_undone(client, cluster, monkeypatch):
    monkeypatch.setattr(cluster.scheduler, "allowed_failures", 0)

    async def main():
        async with ClusterPizzeria(client, pace=0.5) as shop:
            cooking = started(shop, 1, OrderState.COOKING)
            states = []
            shop.events.subscribe(lambda e: states.append(e.state) if isinstance(e, StateChanged) else None)
            task = asyncio.create_task(shop.place_order(*orders(1)))
            await asyncio.wait_for(cooking.wait(), 30)
            await asyncio.to_thread(kill_a_busy_worker, client)
            with pytest.raises(KilledWorker):
                await asyncio.wait_for(task, 40)
            assert states[-1] is OrderState.FAILED
            assert [entry.step for entry in shop.ledger.entries()] == ["authorize", "capture", "refund"]

    asyncio.run(main())


class TestDesk:
    """The fence, without a network: what a worker may do that was only thought dead."""

    def desk(self):
        self.said = []
        return Desk(Ledger(), None, None, lambda order, text: self.said.append(text))

    def ask(self, desk, attempt, step, *arguments):
        return desk._try([], self.order.id, attempt, step, arguments)

    order = Order("Margherita", "12 Main St")

    def test_the_newest_try_has_the_order_and_earlier_ones_are_refused(self):
        desk = self.desk()
        desk.expect(self.order, CancellationToken.none)
        assert self.ask(desk, "first", "begin") == []
        self.ask(desk, "first", "authorize", 950)
        assert [entry.step for entry in self.ask(desk, "second", "begin")] == ["authorize"]
        for step in ("capture", "settle", "undo"):
            assert isinstance(self.ask(desk, "first", step), LedgerError)
        assert self.said == [TAKEN_OVER]
        assert desk.ledger.entries()[-1].step == "authorize"

    def test_what_was_done_is_not_done_again(self):
        desk = self.desk()
        desk.expect(self.order, CancellationToken.none)
        for attempt in ("first", "second", "third"):
            self.ask(desk, attempt, "begin")
            self.ask(desk, attempt, "authorize", 950)
            self.ask(desk, attempt, "capture")
        assert [entry.step for entry in desk.ledger.entries()] == ["authorize", "capture"]

    def test_what_another_pizzeria_did_for_an_order_with_this_id_is_not_taken_for_its_own_nor_undone(self):
        desk = self.desk()
        desk.ledger.authorize(self.order.id, 950)
        desk.expect(self.order, CancellationToken.none)
        assert self.ask(desk, "first", "begin") == []
        assert self.ask(desk, "first", "authorize", 950).refused == "authorize"
        assert self.ask(desk, "first", "undo") is None
        assert self.ask(desk, "second", "begin") == self.ask(desk, "second", "entries") == []
        for step in ("capture", "settle"):
            assert isinstance(self.ask(desk, "second", step), LedgerError)
        assert [entry.step for entry in desk.ledger.entries()] == ["authorize"]

    def test_an_order_that_was_taken_back_or_closed_can_be_begun_by_nobody(self):
        desk = self.desk()
        desk.expect(self.order, CancellationToken.none)
        assert desk.take_back(self.order.id)
        assert isinstance(self.ask(desk, "first", "begin"), LedgerError)
        desk.expect(self.order, CancellationToken.none)
        self.ask(desk, "second", "begin")
        assert not desk.take_back(self.order.id)
        desk.close(self.order.id)
        assert isinstance(self.ask(desk, "second", "authorize", 950), LedgerError)
        assert desk.ledger.entries() == []


def test_a_worker_that_the_scheduler_has_given_up_has_no_say_any_more():
    class Scheduler:
        def __init__(self):
            self.workers, self.stream_handlers, self.to_clients = {"alive": None}, {}, []
            self.worker_plugins = {"desk": None}

        def add_plugin(self, plugin, name):
            pass

        async def register_worker_plugin(self, *_, **__):
            pass

        def client_send(self, client, message):
            self.to_clients.append(message["worker"])

    async def main():
        scheduler = Scheduler()
        await Switchboard(scheduler).ready()
        for worker in ("given up", "alive"):
            scheduler.stream_handlers[OP](worker=worker, to="client", channel="desk", data=b"")
        assert scheduler.to_clients == ["alive"]

    asyncio.run(main())


def test_one_worker_that_could_not_be_told_does_not_shut_out_later_clients():
    class Scheduler:
        def __init__(self):
            self.stream_handlers, self.worker_plugins, self.failures = {}, {}, [ModuleNotFoundError("pizzeria")]

        def add_plugin(self, plugin, name):
            pass

        async def register_worker_plugin(self, _, plugin, name, idempotent):
            if name not in self.worker_plugins:  # as Dask does: known from here on, also where it then fails
                self.worker_plugins[name] = plugin
                if self.failures:
                    raise self.failures.pop()

    async def main():
        scheduler = Scheduler()
        switchboard = Switchboard(scheduler)
        with pytest.raises(ModuleNotFoundError):
            await switchboard.ready()
        assert scheduler.worker_plugins == {}  # a worker that joins now is not refused
        await switchboard.ready()
        assert list(scheduler.worker_plugins) == [OP]

    asyncio.run(main())
