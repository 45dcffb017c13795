"""Run by test_kill.py in a process of its own: kill a pizzeria again and again, and reopen its ledger.

usage: kill_loop.py LEDGER ROUNDS

Each round forks a child that takes orders and writes a byte into a pipe for each event; the parent kills it with
SIGKILL after so many bytes, a few microseconds sooner or later, and looks at what is left in the file.
"""

import asyncio
import json
import os
import signal
import sqlite3
import sys
import time

from cancellation import CancellationTokenSource
from pizzeria import Ledger, Order, Pizzeria


def take_orders(path, pipe):
    async def main():
        shop = Pizzeria(Ledger(path), pace=0.0005)
        shop.events.subscribe(lambda event: os.write(pipe, b"."))
        while True:
            sources = [CancellationTokenSource() for _ in range(6)]
            orders = [shop.place_order(Order("Margherita", f"{n} Main St"), s.token) for n, s in enumerate(sources)]
            asyncio.get_running_loop().call_later(0.002, sources[0].cancel)
            asyncio.get_running_loop().call_later(0.004, sources[1].cancel)
            await asyncio.gather(*orders)

    asyncio.run(main())


def unfinished(path):
    """What the killed process left open, read past the Ledger."""
    with sqlite3.connect(path) as database:
        rows = database.execute("SELECT order_id, step FROM entries").fetchall()
    database.close()
    over = {order_id for order_id, step in rows if step in ("void", "refund", "settle")}
    return {order_id for order_id, _ in rows} - over


def main(path, rounds):
    results = []
    for number in range(rounds):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            take_orders(path, writing)
        os.close(writing)
        wanted = 3 + 2 * number
        while wanted > 0:
            wanted -= len(os.read(reading, wanted))
        until = time.perf_counter() + number % 7 * 0.0003
        while time.perf_counter() < until:
            pass
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reading)
        left = unfinished(path)
        with Ledger(path) as ledger:
            settled = sum(entry.cents for entry in ledger.entries() if entry.step == "settle")
            results.append(
                {
                    "left": sorted(left),
                    "repaired": sorted(entry.order_id for entry in ledger.repaired),
                    "still open": sorted(unfinished_in(ledger)),
                    "kept": ledger.kept(),
                    "settled": settled,
                }
            )
    print(json.dumps(results))


def unfinished_in(ledger):
    steps = {}
    for entry in ledger.entries():
        steps.setdefault(entry.order_id, []).append(entry.step)
    return [order_id for order_id, done in steps.items() if done[-1] not in ("void", "refund", "settle")]


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
