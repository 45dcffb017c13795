"""An outbox relay: rows of a table go to a receiver that often fails. None is lost, and none is sent twice."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
from collections.abc import Awaitable, Callable

from cancellation import CancellationToken, CancellationTokenSource, OperationCanceledError, delay, run_to_end

Send = Callable[
    [int, str], Awaitable[None]
]  # it may be called again with the same number: the receiver knows it by that


async def relay(outbox: sqlite3.Connection, send: Send, token: CancellationToken, pause: float = 1) -> None:
    """Send what is in the outbox, oldest first, and what comes in later, until `token` is cancelled."""
    while True:
        token.throw_if_cancellation_requested()
        row = outbox.execute("SELECT number, text FROM outbox WHERE NOT sent ORDER BY number LIMIT 1").fetchone()
        if row is None:
            await delay(pause, token)
            continue
        try:
            # From the first byte sent until the row is marked nothing may come in between, not even a Task.cancel.
            await run_to_end(deliver(outbox, send, *row), within=10)
        except (ConnectionError, TimeoutError):
            await delay(pause, token)


async def deliver(outbox: sqlite3.Connection, send: Send, number: int, text: str) -> None:
    await send(number, text)
    with outbox:
        outbox.execute("UPDATE outbox SET sent = TRUE WHERE number = ?", [number])


async def main(outbox: sqlite3.Connection, send: Send, pause: float = 1) -> str:
    """Relay until SIGTERM comes, as it does when a container is stopped. Returns why it ended."""
    loop = asyncio.get_running_loop()
    with CancellationTokenSource() as source:
        loop.add_signal_handler(signal.SIGTERM, source.cancel, "SIGTERM")
        try:
            await relay(outbox, send, source.token, pause)
        except OperationCanceledError as error:
            return str(error.reason)
        finally:
            loop.remove_signal_handler(signal.SIGTERM)
    return "never"
