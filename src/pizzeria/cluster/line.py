"""A client's line to the switchboard: one for all its tokens and orders."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import groupby
from operator import itemgetter
from typing import Any, cast

from distributed import Client
from distributed.comm.core import CommClosedError

from cancellation import CancellationTokenSource
from pizzeria.cluster import travel
from pizzeria.cluster.switchboard import OP, install

_lines: weakref.WeakKeyDictionary[Client, Line] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def line_of(client: Client) -> Line:
    """The line of `client`, the same each time. Thread-safe. What prevents it comes out of awaiting `ready`."""
    with _lock:
        if client not in _lines:
            _lines[client] = Line(client)
        return _lines[client]


class Line:
    """Messages go out in the order in which they were given, those of one moment together. Thread-safe."""

    def __init__(self, client: Client) -> None:
        self._client = weakref.ref(cast(Any, client))  # distributed has types for half of it
        self._loop = cast(Any, client.loop)
        self._outbox: deque[tuple[str, object]] = deque()
        self.is_open = False
        self._opening: asyncio.Task[None] | None = None
        self.sources: weakref.WeakValueDictionary[str, CancellationTokenSource] = weakref.WeakValueDictionary()
        self.channels: dict[str, Callable[[str, bytes], object]] = {}  # called with a worker's address and its words
        self._loop.add_callback(self._start)

    async def ready(self) -> None:
        """Wait until all workers can hear. Await it on the client's loop."""
        await asyncio.shield(self._start())

    def send(self, kind: str, message: object) -> None:
        self._outbox.append((kind, message))
        self._loop.add_callback(self._flush)

    def tell_worker(self, worker: str, channel: str, data: bytes) -> None:
        self._send_now({"op": OP, "to": worker, "channel": channel, "data": data})

    def _start(self) -> asyncio.Task[None]:
        if self._opening is None:
            self._opening = asyncio.ensure_future(self._install())
        return self._opening

    async def _install(self) -> None:
        client = self._client()
        if client is not None:
            client._stream_handlers[OP] = self._heard
            await client.run_on_scheduler(install)
            self.is_open = True
            self._flush()

    def _flush(self) -> None:
        if not self.is_open:
            return  # as soon as it is, all that waits goes out
        messages = [self._outbox.popleft() for _ in range(len(self._outbox))]
        for kind, group in groupby(messages, itemgetter(0)):
            self._send_now({"op": OP, kind: [message for _, message in group]})

    def _send_now(self, message: dict[str, Any]) -> None:
        client = self._client()
        if client is not None and client.scheduler_comm is not None:
            with suppress(CommClosedError):  # who has left tells nothing; the switchboard ends his orders
                client.scheduler_comm.send(message)

    def _heard(
        self,
        *,
        canceled: Iterable[tuple[str, bytes]] = (),
        worker: str = "",
        channel: str = "",
        data: bytes = b"",
    ) -> None:
        for name, reason in canceled:
            if (source := self.sources.get(name)) is not None:
                source.cancel(travel.unpack(reason))
        if channel in self.channels:
            self.channels[channel](worker, data)
