"""How long a cancel takes to stop five hundred orders that run on two worker processes. `make bench` prints it."""

from __future__ import annotations

import asyncio
import time

from distributed import Client

from cancellation import CancellationTokenSource
from pizzeria import Order, OrderState
from pizzeria.cluster import ClusterPizzeria, OwnCluster
from pizzeria.events import Event, StateChanged

BOUND = 0.25  # seconds


async def cancel_all(client: Client, number: int) -> tuple[float, float]:
    """Seconds from `cancel()` until the last order has stopped on its worker and given its money back; and until
    the last receipt is here."""
    async with ClusterPizzeria(client, ovens=number) as shop:
        cooking, last_stop = 0, 0.0
        all_cook = asyncio.Event()

        def watch(event: Event) -> None:
            nonlocal cooking, last_stop
            if isinstance(event, StateChanged) and event.state is OrderState.COOKING:
                cooking += 1
                if cooking == number:
                    all_cook.set()
            if isinstance(event, StateChanged) and event.state is OrderState.CANCELLED:
                last_stop = max(last_stop, event.at)

        shop.events.subscribe(watch)
        source = CancellationTokenSource()
        orders = [
            asyncio.create_task(shop.place_order(Order("Margherita", f"{n} St"), source.token)) for n in range(number)
        ]
        await all_cook.wait()
        begin, begin_at = time.perf_counter(), shop._clock.now
        source.cancel()
        receipts = await asyncio.gather(*orders)
        assert all(receipt.status is OrderState.CANCELLED and receipt.kept == 0 for receipt in receipts)
        return last_stop - begin_at, time.perf_counter() - begin


def test_cancel_of_five_hundred_orders_on_two_workers(benchmark):
    measured = benchmark.enabled
    number, rounds = (500, 5) if measured else (10, 1)
    with (
        OwnCluster(workers=2, orders_at_once=number) as cluster,
        Client(cluster.address) as client,
    ):
        stopped, told = min(asyncio.run(cancel_all(client, number)) for _ in range(rounds))
    benchmark.group = f"{number} running orders on 2 workers, over {BOUND * 1e3:.0f} ms (below 1: kept)"
    benchmark.extra_info["ratio"] = stopped / BOUND, f"until the last one has stopped, {stopped * 1e3:.0f} ms"
    benchmark.pedantic(lambda: None)
    assert not measured or stopped < BOUND, told
