"""What it costs to cancel thousands of running orders with one token, beside a bare TaskGroup of sleeping tasks.

Both are measured in turns, and the best of each counts. `make bench` prints the ratios.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable

from cancellation import CancellationTokenSource
from pizzeria import Order, Pizzeria


async def orders(number: int) -> float:
    """Seconds from `cancel()` until the last of so many paying orders has given its money back and ended."""
    shop = Pizzeria(ovens=number)
    source = CancellationTokenSource()
    async with asyncio.TaskGroup() as group:
        for n in range(number):
            group.create_task(shop.place_order(Order("Margherita", f"{n} Main St"), source.token))
        await all_to_begin()
        begin = time.perf_counter()
        source.cancel()
    return time.perf_counter() - begin


async def sleeping_tasks(number: int) -> float:
    """The same for a task group that is cancelled while so many tasks sleep."""
    begin = 0.0

    async def run() -> None:
        nonlocal begin
        async with asyncio.TaskGroup() as group:
            for _ in range(number):
                group.create_task(asyncio.sleep(100))
            await all_to_begin()
            begin = time.perf_counter()
            running.cancel()
            await asyncio.sleep(100)

    running = asyncio.create_task(run())
    await asyncio.wait([running])
    return time.perf_counter() - begin


async def all_to_begin() -> None:
    for _ in range(5):
        await asyncio.sleep(0)
    gc.collect()


def best(number: int, *runs: Callable[[int], Awaitable[float]], rounds: int) -> list[float]:
    times = [[asyncio.run(run(number)) for run in runs] for _ in range(rounds)]  # type: ignore[arg-type]
    return [min(column) / number for column in zip(*times, strict=True)]


def test_cancelling_ten_thousand_orders_beside_a_bare_task_group(benchmark):
    measured = benchmark.enabled
    number, rounds = (10_000, 7) if measured else (100, 1)
    ours, bare = best(number, orders, sleeping_tasks, rounds=rounds)
    benchmark.group = "beside a bare TaskGroup that cancels as many sleeping tasks (at most 3)"
    benchmark.extra_info["ratio"] = ours / bare, f"cancel of {number:,} orders, {ours * 1e6:.1f} us each"
    benchmark.pedantic(lambda: None)
    assert not measured or ours <= 3 * bare


def test_an_order_of_ten_thousand_costs_what_one_of_a_thousand_costs(benchmark):
    measured = benchmark.enabled
    few, rounds = (1000, 7) if measured else (10, 1)
    (small,) = best(few, orders, rounds=rounds)
    (large,) = best(10 * few, orders, rounds=rounds)
    benchmark.group = "per order, cancel of 10,000 beside cancel of 1,000"
    benchmark.extra_info["ratio"] = large / small, "the larger over the smaller"
    benchmark.pedantic(lambda: None)
    assert not measured or large <= 1.5 * small
