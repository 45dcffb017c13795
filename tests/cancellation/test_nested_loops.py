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
