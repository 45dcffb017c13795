"""The connection between a client and its scheduler is lost while the workers talk."""

import asyncio
from collections import Counter, defaultdict
from contextlib import AsyncExitStack, contextmanager, suppress
from functools import partial
from itertools import pairwise

import cluster_tasks
import pytest
from distributed import Client, SchedulerPlugin

from pizzeria import Order, OrderState
from pizzeria.cluster import ClusterPizzeria
from pizzeria.cluster.line import line_of
from pizzeria.cluster.switchboard import OP, Receiver, Switchboard, plugin_name
from pizzeria.events import Money, StateChanged
from pizzeria.order import MOVES
from pizzeria.receipt import Receipt

BUSY = 60  # orders at once
CUTS = 10
MOMENTS = [OrderState.PAYING, OrderState.COOKING, OrderState.HANDED_OVER]


class Told:
    """By order: its states, and the steps of its money, as the pizzeria's readers hear of them."""

    def __init__(self, shop):
        self.states, self.steps = defaultdict(list), defaultdict(list)
        self._heard = asyncio.Event()
        shop.events.subscribe(self._read)

    def _read(self, event):
        if isinstance(event, StateChanged):
            self.states[event.order.id].append(event.state)
        elif isinstance(event, Money):
            self.steps[event.order.id].append(event.step)
        self._heard.set()

    def number_at(self, state):
        return sum(state in states for states in self.states.values())

    async def number_that_came_to(self, state, number):
        while self.number_at(state) < number:
            self._heard.clear()
            await asyncio.wait_for(self._heard.wait(), 30)


def orders(number):
    return [Order("Margherita", f"{n} Main St") for n in range(number)]


class LateWords(SchedulerPlugin):
    """Words for a client that came while the client was away, and are passed on, once, as soon as it is back."""

    name = "late words"

    def __init__(self, client, say):
        self._client, self._say = client, say
        self.were_said = False

    def add_client(self, scheduler, client):
        if client == self._client and not self.were_said:
            # In the next turn its connection is there, and Dask's first word to it has not left yet.
            asyncio.get_running_loop().call_soon(self._pass_on, scheduler)

    def _pass_on(self, scheduler):
        assert self._client in scheduler.client_comms
        self.were_said = True
        self._say(scheduler)


class SlowPuttingAway(SchedulerPlugin):
    """The scheduler takes its time to close a lost connection, unless the client is connected again before that."""

    name = "slow putting away"

    def __init__(self, client):
        self._client, self._is_back = client, asyncio.Event()
        self.was_slow = False

    def add_client(self, scheduler, client):
        if client == self._client:
            self._is_back.set()

    def remove_client(self, scheduler, client):
        if client == self._client and not self.was_slow:
            self.was_slow = True
            lost = scheduler.client_comms[client]
            lost.close = partial(self._close_slowly, lost.close)

    async def _close_slowly(self, close):
        with suppress(TimeoutError):
            await asyncio.wait_for(self._is_back.wait(), 1)
        await close()


def be_cut_once_at(client, question, answer_comes, cut_off):
    """From now on: the line is cut when the scheduler has answered `question`, and the answer outlives the cut."""
    ask, was_cut = getattr(client, question), False

    async def ask_and_be_cut(*arguments):
        nonlocal was_cut
        answer = await ask(*arguments)
        if not was_cut:  # Dask connects again with the same questions
            was_cut = True
            if answer_comes == "when Dask has connected again":
                await asyncio.to_thread(cut_off, client)
            else:
                connect, is_lost, answered = client._ensure_connected, asyncio.Event(), asyncio.Event()

                async def connect_after_the_answer(timeout=None):
                    is_lost.set()
                    await answered.wait()
                    await connect(timeout)

                client._ensure_connected = connect_after_the_answer
                client.scheduler_comm.comm.abort()
                await is_lost.wait()
                asyncio.get_running_loop().call_soon(answered.set)
        return answer

    setattr(client, question, ask_and_be_cut)


@contextmanager
def scheduler_with(cluster, plugin):
    cluster.scheduler.add_plugin(plugin)
    try:
        yield
    finally:
        cluster.scheduler.remove_plugin(plugin.name)


async def lose_an_order_and_place_another(shop, cut):
    shop.pace = 100
    told = Told(shop)
    placed = asyncio.create_task(shop.place_order(*orders(1)))
    await told.number_that_came_to(OrderState.PAYING, 1)
    await asyncio.to_thread(cut)
    with pytest.raises(ConnectionError, match="the cluster has gone"):
        await asyncio.wait_for(placed, 30)
    shop.pace = 0
    receipt = await asyncio.wait_for(shop.place_order(*orders(1)), 30)
    assert receipt.status is OrderState.COMPLETED


@pytest.mark.parametrize("who", ["a worker", "Dask"])
def test_a_client_that_is_talked_to_the_instant_it_connects_again_serves_the_next_order(
    cluster, other_client, cut_off, who
):
    async def main():
        async with ClusterPizzeria(other_client, pace=0) as shop:
            await shop.place_order(*orders(1))
            message = {"to": other_client.id, "channel": shop._name, "data": b"late"}

            def say(scheduler):
                if who == "a worker":
                    scheduler.stream_handlers[OP](worker=next(iter(scheduler.workers)), **message)
                else:
                    scheduler.client_send(other_client.id, {"op": OP, "channel": "of nobody"})

            words = LateWords(other_client.id, say)
            with scheduler_with(cluster, words):
                await lose_an_order_and_place_another(shop, partial(cut_off, other_client))
            assert words.were_said

    asyncio.run(main())


def test_a_client_that_connects_again_faster_than_its_lost_connection_is_closed_serves_the_next_order(
    cluster, other_client, cut_off
):
    async def main():
        async with ClusterPizzeria(other_client, pace=0) as shop:
            slow = SlowPuttingAway(other_client.id)
            with scheduler_with(cluster, slow):
                await lose_an_order_and_place_another(shop, partial(cut_off, other_client))
            assert slow.was_slow

    asyncio.run(main())


@pytest.mark.parametrize("answer_comes", ["while Dask connects again", "when Dask has connected again"])
@pytest.mark.parametrize("question", ["run_on_scheduler", "register_plugin"])
def test_a_line_that_is_cut_while_a_pizzeria_opens_its_branches_costs_no_order(
    cluster, other_client, cut_off, question, answer_comes
):
    """What asks the scheduler to prepare them goes over another connection: its answer outlives the lost one."""

    async def main():
        async with ClusterPizzeria(other_client, pace=0) as shop:
            be_cut_once_at(other_client, question, answer_comes, cut_off)
            for order in orders(2):
                receipt = await asyncio.wait_for(shop.place_order(order), 30)
                assert receipt.status is OrderState.COMPLETED
            assert shop._line.times_lost == 1
            branches = [one for one in cluster.scheduler.worker_plugins if one.startswith(plugin_name(other_client.id))]
            assert branches == [shop._name]

    asyncio.run(main())


def test_a_line_that_is_cut_while_it_opens_is_ready_only_when_it_is_connected_again(other_client, cut_off):
    line = line_of(other_client)
    be_cut_once_at(other_client, "run_on_scheduler", "while Dask connects again", cut_off)

    async def connection_when_ready():
        await line.ready()
        return other_client.scheduler_comm

    assert other_client.sync(connection_when_ready) is not None
    assert line.is_open


@pytest.mark.parametrize("closed", ["the branches", "their desk"])
def test_an_order_that_finds_its_branch_closed_fails_and_the_next_one_is_served_by_a_new_one(
    cluster, other_client, closed
):
    """Dask may have put it away for a reason that the pizzeria has not heard of."""

    async def main():
        async with ClusterPizzeria(other_client, pace=0) as shop:
            await shop.place_order(*orders(1))
            if closed == "the branches":
                await asyncio.to_thread(other_client.unregister_worker_plugin, shop._name)
            else:
                await asyncio.to_thread(other_client.run, cluster_tasks.close_desk, branch=shop._name)
            with pytest.raises(ConnectionError, match=r"no branch is open|the desk at the client .* is closed"):
                await asyncio.wait_for(shop.place_order(*orders(1)), 30)
            for order in orders(2):
                receipt = await asyncio.wait_for(shop.place_order(order), 30)
                assert receipt.status is OrderState.COMPLETED
            branches = [one for one in cluster.scheduler.worker_plugins if one.startswith(plugin_name(other_client.id))]
            assert list(shop._line.channels) == branches == [shop._name]

    asyncio.run(main())


@pytest.mark.parametrize("is_asynchronous", [False, True])
def test_however_often_a_busy_line_is_cut_each_order_ends_once_as_the_ledger_says_and_the_next_one_is_served(
    cluster, cut_off, is_asynchronous
):
    async def main():
        async with AsyncExitStack() as leaving:
            client = Client(cluster.scheduler_address, asynchronous=is_asynchronous, set_as_default=False)
            if is_asynchronous:
                await leaving.enter_async_context(client)
            else:
                leaving.push_async_callback(asyncio.to_thread, client.close)
            shop = await leaving.enter_async_context(ClusterPizzeria(client, ovens=BUSY, pace=0.05))
            told, results = Told(shop), {}
            for cut in range(CUTS):
                new = orders(BUSY)
                placed = asyncio.gather(*map(shop.place_order, new), return_exceptions=True)
                # Each time at another moment of theirs: from the first payment to the last message.
                moment = MOMENTS[cut % len(MOMENTS)]
                await told.number_that_came_to(moment, told.number_at(moment) + 1 + cut)
                await asyncio.to_thread(cut_off, client)
                ended = await asyncio.wait_for(placed, 60)
                results.update({order.id: result for order, result in zip(new, ended, strict=True)})
                receipt = await asyncio.wait_for(shop.place_order(*orders(1)), 30)
                assert receipt.status is OrderState.COMPLETED
            return shop.ledger, told, results

    ledger, told, results = asyncio.run(main())
    for order_id, result in results.items():
        states, steps = told.states[order_id], [entry.step for entry in ledger.entries(order_id)]
        assert all(after in MOVES[before] for before, after in pairwise(states)), states
        assert told.steps[order_id] == steps
        if steps[-1:] == ["settle"]:
            assert states[-1] is result.status is OrderState.COMPLETED
            assert result.kept == 950
        else:
            assert states[-1] is OrderState.FAILED
            assert isinstance(result, ConnectionError)
            assert ledger.kept(order_id) == 0
            assert steps == [] or steps[-1] in ("void", "refund")
    ends = Counter(type(result) for result in results.values())
    assert min(ends[ConnectionError], ends[Receipt]) > 10  # the line was cut in the middle of them


@pytest.mark.parametrize("is_cancelled", [False, True])
def test_an_order_that_was_handed_over_when_the_connection_was_lost_is_completed_and_its_receipt_says_so(
    client, other_client, cut_off, is_cancelled
):
    async def main():
        async with ClusterPizzeria(other_client, pace=0.2) as shop:
            told = Told(shop)
            placed = asyncio.create_task(shop.place_order(*orders(1)))
            await told.number_that_came_to(OrderState.READY, 1)
            await asyncio.to_thread(client.run, cluster_tasks.set_pace, pace=1000)  # the message's
            await told.number_that_came_to(OrderState.HANDED_OVER, 1)
            if is_cancelled:
                placed.cancel()
            await asyncio.to_thread(cut_off, other_client)
            if is_cancelled:
                with pytest.raises(asyncio.CancelledError):
                    await asyncio.wait_for(asyncio.shield(placed), 30)
            else:
                receipt = await asyncio.wait_for(placed, 30)
                assert (receipt.status, receipt.kept) == (OrderState.COMPLETED, 950)
                assert receipt.lines[-1] == "✅ Order completed successfully!"
            assert [list(steps) for steps in told.steps.values()] == [["authorize", "capture", "settle"]]
            (states,) = told.states.values()
            assert states[-2:] == [OrderState.HANDED_OVER, OrderState.COMPLETED]

    asyncio.run(main())


class Scheduler:
    """As much of Dask's as a switchboard uses."""

    def __init__(self):
        self.workers, self.worker_plugins = {"worker": None}, {}
        self.stream_handlers, self.to_clients, self.to_workers = {}, [], []

    def add_plugin(self, plugin, name):
        pass

    async def unregister_worker_plugin(self, _, name):
        if self.worker_plugins.pop(name, None) is None:
            raise ValueError(name)

    def client_send(self, client, message):
        self.to_clients.append(message["channel"])

    def worker_send(self, worker, message):
        self.to_workers.append(message)


@pytest.mark.parametrize(
    "noticed",
    [["remove_client"], ["remove_client", "add_client"], ["add_client"], ["add_client", "remove_client"]],
    ids=" ".join,
)
def test_what_workers_said_to_a_lost_connection_does_not_reach_the_new_one_whichever_is_noticed_first(noticed):
    async def main():
        scheduler = Scheduler()
        switchboard = Switchboard(scheduler)
        old, new, others = plugin_name("me", "old"), plugin_name("me", "new"), plugin_name("another", "old")
        scheduler.worker_plugins = dict.fromkeys([old, others])

        def say(*channels):
            for channel in channels:
                scheduler.stream_handlers[OP](worker="worker", to="me", channel=channel, data=b"")

        say(old)
        for notice in noticed:
            getattr(switchboard, notice)(scheduler, "me")
            say(old, others)  # at once,
        await asyncio.sleep(0)
        say(old)  # and when all is tidied up
        assert list(scheduler.worker_plugins) == [others]
        scheduler.worker_plugins[new] = None
        say(new)
        assert scheduler.to_clients == [old, *[others] * len(noticed), new]

    asyncio.run(main())


def test_a_lost_connection_closes_its_own_channels_and_none_that_was_opened_over_the_next_one():
    """What is said of the lost one comes over another road than the new branch, and may come after it."""

    async def main():
        scheduler, receiver, heard = Scheduler(), Receiver(), []
        old, new, others = plugin_name("me", "old"), plugin_name("me", "new"), plugin_name("another", "old")
        scheduler.worker_plugins = dict.fromkeys([old, others])
        Switchboard(scheduler).remove_client(scheduler, "me")
        for channel in (old, new, others):
            receiver.connect(channel, lambda word, channel=channel: heard.append((channel, word)))
        for message in scheduler.to_workers:
            receiver._heard(**{name: value for name, value in message.items() if name != "op"})
        assert heard == [(old, None)]

    asyncio.run(main())
