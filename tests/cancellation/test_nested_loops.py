"""Where nest_asyncio has been applied, as some notebooks do. In a process of its own: it patches asyncio for good."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, {nest}
{nest}.apply()
from cancellation import *

async def inner(source):
    await delay(0.001)
    source.cancel("from the inner loop")

async def main():
    # waits, scopes and runs, cancelled from a run nested in the running loop
    for wait in (
        lambda t: delay(1000, t),
        lambda t: run_until_canceled(asyncio.sleep(1000), t),
        lambda t: scope(t),
        lambda t: t.wait_async(),
    ):
        source = CancellationTokenSource()
        task = asyncio.ensure_future(wait(source.token))
        await asyncio.sleep(0)
        asyncio.get_event_loop().run_until_complete(inner(source))
        try:
            await task
        except OperationCanceledError as error:
            assert error.reason == "from the inner loop"
    # a block whose token is cancelled by a nested run inside of it, with and without a further await
    source = CancellationTokenSource()
    try:
        async with cancel_scope(source.token):
            asyncio.run(inner(source))
            await asyncio.sleep(1000)
    except OperationCanceledError:
        print("stopped")
    source = CancellationTokenSource()
    async with cancel_scope(source.token):
        asyncio.run(inner(source))
    await asyncio.sleep(0.001)
    assert asyncio.current_task().cancelling() == 0
    # a callback that runs a loop inside cancel()
    source = CancellationTokenSource()
    source.token.register(lambda: asyncio.run(asyncio.sleep(0.001)))
    source.cancel()
    await source.token.wait_async()
    # cleanup and threads, cancelled from a nested run, and work of them that runs a loop itself
    ended = []
    async def refund():
        asyncio.run(asyncio.sleep(0.001))
        await asyncio.sleep(0.001)
        ended.append("refund")
    def work(token):
        token.wait()
        ended.append(token.reason)
    async def stop(task):
        await asyncio.sleep(0.001)
        task.cancel()
    for wait in run_to_end(refund()), to_thread(work):
        task = asyncio.ensure_future(wait)
        await asyncio.sleep(0)
        asyncio.run(stop(task))
        try:
            await task
        except asyncio.CancelledError:
            pass
    assert ended == ["refund", "the task that waits for the thread was cancelled"], ended
    # a stream whose token is cancelled by a nested run in the loop over it
    async def numbers():
        n = 0
        try:
            while True:
                yield n
                n += 1
        finally:
            ended.append("closed")
    source = CancellationTokenSource()
    try:
        async for n in until_canceled(numbers(), source.token):
            if n == 2:
                asyncio.run(inner(source))
    except OperationCanceledError:
        assert (n, ended[-1]) == (2, "closed")
    # a task that sleeps again, on a clock that a nested run moves
    clock = FakeTimeProvider()
    async def sleeper():
        for _ in range(3):
            await delay(1, time_provider=clock)
        ended.append("slept")
    task = asyncio.ensure_future(sleeper())
    asyncio.run(clock.advance_async(3))
    await task
    print("well")

async def scope(token):
    async with cancel_scope(token):
        await asyncio.sleep(1000)

asyncio.run(main())
"""


NESTS = ["nest_asyncio2"] if sys.version_info >= (3, 14) else ["nest_asyncio", "nest_asyncio2"]


@pytest.mark.parametrize("nest", NESTS)  # the first is archived: https://github.com/erdewit/nest_asyncio
def test_everything_works_in_nested_loops(nest: str) -> None:
    program = PROGRAM.replace("{nest}", nest)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.split(), done.stderr) == (["stopped", "well"], "")
