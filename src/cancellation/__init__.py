"""Cooperative cancellation: .NET's CancellationToken, in Python.

    with CancellationTokenSource() as source:
        task = asyncio.create_task(work(source.token))   # pass the token down
        source.cancel("the customer hung up")            # work stops where it looks or waits

Standard library only. Start reading in `source` (the button), then `token` (the other end).
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
