"""How long a hang-up takes: to the handler's token, and through the order service to payment and kitchen.

`make bench` prints the longest of a few runs over its bound.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable

from fastapi import FastAPI

from pizzeria.events import Event, StateChanged, Step
from pizzeria.web import RequestToken, WebPizzeria, order_service, serving

HANDLER, SERVICES = 0.05, 0.15  # seconds


async def call(url: str, head: str, body: bytes = b"") -> asyncio.StreamWriter:
    host, port = url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    lines = f"{head} HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(lines.encode() + body)
    return writer


async def order(url: str, id: str) -> asyncio.StreamWriter:
    return await call(
        url, "POST /orders", json.dumps({"pizza": "Funghi", "address": "7 Side Alley", "id": id}).encode()
    )


async def to_the_handler() -> float:
    app, asked = FastAPI(), asyncio.Event()
    heard: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    @app.get("/")
    async def handler(token: RequestToken) -> None:
        asked.set()
        await token.wait_async()
        heard.set_result(time.perf_counter())

    async with serving(app) as url:
        line = await call(url, "GET /")
        await asked.wait()
        begin = time.perf_counter()
        line.close()
        return await heard - begin


async def to_the_payment() -> float:
    """Until it has stopped and the money that was set aside is free again."""
    shop, paying = WebPizzeria(), asyncio.Event()
    shop.payment_log.subscribe(lambda event: isinstance(event, Step) and paying.set())
    async with serving(order_service(shop)) as url:
        line = await order(url, "one")
        await paying.wait()
        begin = time.time()
        line.close()
        while len(entries := shop.ledger.entries("one")) < 2:  # noqa: ASYNC110  (a ledger tells nobody)
            await asyncio.sleep(0.001)
        return entries[-1].at - begin


async def to_the_kitchen() -> float:
    """Until the only oven is free, and the next order has it."""
    shop = WebPizzeria(pace=0.05, ovens=1)
    cooking: asyncio.Queue[float] = asyncio.Queue()

    def read(event: Event) -> None:
        if isinstance(event, StateChanged):
            cooking.put_nowait(time.perf_counter())
            shop.pace = 20  # by itself the oven is not free for a minute

    shop.kitchen_log.subscribe(read)
    async with serving(order_service(shop)) as url:
        first = await order(url, "one")
        await cooking.get()
        shop.pace = 0.05
        second = await order(url, "two")
        while len(shop.ledger.entries("two")) < 2:  # noqa: ASYNC110  (paid, so it is in the line)
            await asyncio.sleep(0.001)
        begin = time.perf_counter()
        first.close()
        try:
            return await cooking.get() - begin
        finally:
            second.close()


def measure(benchmark, run: Callable[[], Awaitable[float]], words: str, bound: float) -> None:  # type: ignore[no-untyped-def]
    measured = benchmark.enabled
    longest = max(asyncio.run(run()) for _ in range(10 if measured else 1))  # type: ignore[arg-type]
    benchmark.group = f"{words}, over {bound * 1e3:.0f} ms (below 1: kept)"
    benchmark.extra_info["ratio"] = longest / bound, f"the longest of 10: {longest * 1e3:.1f} ms"
    benchmark.pedantic(lambda: None)
    assert not measured or longest < bound


def test_hang_up_to_a_handlers_token(benchmark):
    measure(benchmark, to_the_handler, "from a hang-up to the handler's token", HANDLER)


def test_hang_up_to_the_payment(benchmark):
    measure(benchmark, to_the_payment, "from a hang-up to the payment that has given the money back", SERVICES)


def test_hang_up_to_the_kitchen(benchmark):
    measure(benchmark, to_the_kitchen, "from a hang-up to the kitchen whose oven the next order has", SERVICES)
