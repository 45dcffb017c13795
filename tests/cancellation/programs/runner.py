"""A runner of commands: a cancel asks the process to end, waits, and kills it if it does not."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import PIPE, STDOUT, Process
from contextlib import suppress

from cancellation import CancellationToken, run_to_end, run_until_canceled


async def run(*command: str, token: CancellationToken, patience: float = 5) -> tuple[int, str]:
    """The exit code and the output of `command`. If it is cancelled, no process is left when the error comes out."""
    token.throw_if_cancellation_requested()
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=STDOUT)
    try:
        output, _ = await run_until_canceled(process.communicate(), token)
    except BaseException:
        await run_to_end(stop(process, patience))  # also when a second cancel comes
        raise
    code = await process.wait()
    return code, output.decode()


async def stop(process: Process, patience: float) -> None:
    """Terminate it; if it has not ended after `patience` seconds, kill it."""
    with suppress(ProcessLookupError):  # it has just ended
        process.terminate()
    try:
        async with asyncio.timeout(patience):
            await process.communicate()  # reads on: a process that finds its pipe full could not end
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()
