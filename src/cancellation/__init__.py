"""Cooperative cancellation: .NET's CancellationToken, in Python.

    with CancellationTokenSource() as source:
        task = asyncio.create_task(work(source.token))   # pass the token down
        source.cancel("the customer hung up")            # work stops where it looks or waits

Standard library only. Where things are, in the order in which to read them:

    source      the button: cancel it, by hand or by deadline
    token       the other end: look at it, wait on it, have it call you back
    tree        how a cancel runs down linked tokens, and who keeps whom alive
    wakeups     waking threads and event loops
    clock       time, and a fake one for tests; `deadline` holds a token to it
    waiting     asyncio: delay, run_until_canceled, cancel_scope, until_canceled
    cleanup     run_to_end: cleanup that a second cancel does not cut off
    threads     to_thread: blocking work that a cancel reaches
    errors      the two errors
"""

from cancellation.cleanup import run_to_end
from cancellation.clock import FakeTimeProvider, TimeProvider, Timer
from cancellation.errors import ObjectDisposedError, OperationCanceledError
from cancellation.source import CancellationTokenSource
from cancellation.threads import to_thread
from cancellation.token import CancellationToken, CancellationTokenRegistration
from cancellation.waiting import cancel_scope, delay, run_until_canceled, until_canceled

__all__ = [
    "CancellationToken",
    "CancellationTokenRegistration",
    "CancellationTokenSource",
    "FakeTimeProvider",
    "ObjectDisposedError",
    "OperationCanceledError",
    "TimeProvider",
    "Timer",
    "cancel_scope",
    "delay",
    "run_to_end",
    "run_until_canceled",
    "to_thread",
    "until_canceled",
]
