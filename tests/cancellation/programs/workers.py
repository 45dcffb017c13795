"""A pool of workers over a queue, that stops in one of two ways: when the queue is empty, or at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from cancellation import CancellationToken, OperationCanceledError, run_until_canceled

Item = TypeVar("Item")
Work = Callable[[Item, CancellationToken], Awaitable[None]]


async def run_pool(
    queue: asyncio.Queue[Item], work: Work[Item], workers: int, closing: CancellationToken, stopping: CancellationToken
) -> None:
    """Work on the items of `queue`, several at a time.

    `closing`: nothing more will come; return when what has come is done. `stopping`: take no further item and stop
    those that run; `OperationCanceledError` when they have ended.
    """
    async with asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(worker(queue, work, closing, stopping))
    stopping.throw_if_cancellation_requested()


async def worker(
    queue: asyncio.Queue[Item], work: Work[Item], closing: CancellationToken, stopping: CancellationToken
) -> None:
    try:
        while True:
            item = await run_until_canceled(next_item(queue, closing), stopping)
            await work(item, stopping)
    except OperationCanceledError as error:
        # Let it out, and the group cancels the tasks of the other workers, which are about to stop by themselves.
        if error.token not in (closing, stopping):
            raise


async def next_item(queue: asyncio.Queue[Item], closing: CancellationToken) -> Item:
    try:
        return queue.get_nowait()  # what has come before the queue was closed is still done
    except asyncio.QueueEmpty:
        return await run_until_canceled(queue.get(), closing)
