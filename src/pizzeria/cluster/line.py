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

from cancellation import CancellationTokenSource, ObjectDisposedError
from pizzeria.cluster import travel
from pizzeria.cluster.switchboard import OP, hang_up, install

_lines: weakref.WeakKeyDictionary[Client, Line] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def line_of(client: Client) -> Line:
    """The line of `client`, the same each time. Thread-safe. What prevents it comes out of awaiting `ready`."""
    with _lock:
        if client not in _lines:
            _lines[client] = Line(client)
        return _lines[client]


def raise_if_closed(client: Client) -> None:
    if client.status in ("closing", "closed"):
        raise ConnectionError("the client is closed: its workers cannot be reached any more. Make a new Client")


class Line:
    """Messages go out in the order in which they were given, those of one moment together. Thread-safe.

    When Dask has lost the connection and made a new one, maybe to a new scheduler, the line opens anew: the scheduler
    hears again which tokens there are. The channels are closed then, as the plugins at their other ends have gone.
    """

    def __init__(self, client: Client) -> None:
        self._client = weakref.ref(cast(Any, client))  # distributed has types for half of it
        self._loop = cast(Any, client.loop)
        self._outbox: deque[tuple[str, object]] = deque()
        self.is_open = False
        self.times_lost = 0  # the connection, as far as Dask has noticed
        self._opening: asyncio.Task[None] | None = None
        self.sources: dict[str, CancellationTokenSource] = {}  # by name, those that are not put away
        self.channels: dict[str, Callable[[str, bytes], object]] = {}  # called with a worker's address and its words

    async def ready(self) -> None:
        """Wait until all workers can hear. Await it on the client's loop. `ConnectionError` if the client is closed."""
        await asyncio.shield(self._start())
        while not self.is_open and (client := self._client()) is not None:
            raise_if_closed(client)
            await asyncio.shield(self._start())  # the connection was lost meanwhile

    def send(self, kind: str, message: object) -> None:
        # It takes its turn among what Dask was told to send: no token is put away before a task that has it is sent.
        self._loop.add_callback(self._post, kind, message)

    def tell_worker(self, worker: str, channel: str, data: bytes) -> None:
        self._send_now({"op": OP, "to": worker, "channel": channel, "data": data})

    def _start(self) -> asyncio.Task[None]:
        if self._opening is None or (self._opening.done() and not self.is_open):
            self._opening = asyncio.ensure_future(self._install())
        return self._opening

    async def _install(self) -> None:
        client = self._client()
        if client is None or client.status in ("closing", "closed"):
            return
        client._stream_handlers[OP] = self._heard
        client._reconnect, client._ensure_connected = self._reconnect, self._connect_again
        times_lost = self.times_lost
        try:
            await client.run_on_scheduler(install)
        except OSError:  # of the connection, not of what is at its other end
            raise
        except Exception as error:  # Dask passes on what a worker raises as a bare Exception with its text
            raise RuntimeError(
                f"the cluster cannot hear of cancels: {error}. Install this course's packages on its scheduler and on "
                "every worker, in the versions that are here"
            ) from error
        if self.times_lost != times_lost:
            return  # the answer came over another connection, and outlived the one that was lost: the line opens anew
        self.is_open = True
        self._flush()

    async def _reconnect(self) -> None:
        """What Dask does when the connection is lost; then the line opens anew."""
        client = self._client()
        assert client is not None  # it calls this
        self.is_open = False
        self.times_lost += 1
        self.channels.clear()
        tried = asyncio.Event()
        self._opening = asyncio.ensure_future(self._install_anew(tried))
        try:
            await type(client)._reconnect(client)
        finally:
            tried.set()

    async def _connect_again(self, timeout: float | None = None) -> None:
        """What Dask does then, again and again until it succeeds, the time is over, or it meets what is no OSError.

        Two things go wrong with a connection that follows the lost one too closely, so this waits until the scheduler
        has put that away, and takes a failed greeting for what can be tried again. It may go once Dask's scheduler
        tells two connections of one client apart: https://github.com/dask/distributed/issues/5667
        - Once it has closed the lost connection, Dask's scheduler forgets the client's newest (`Scheduler.add_client`,
          `del self.client_comms[client]`): it is deaf until its next heartbeat fails.
        - A message that comes together with the greeting ends Dask's reconnecting for good (`assert len(msg) == 1` in
          `Client._ensure_connected`).
        """
        client = self._client()
        assert client is not None  # it calls this
        if client.scheduler_comm is None:
            try:
                await asyncio.wait_for(client.run_on_scheduler(hang_up, client.id), timeout)
            except OSError:  # of the connection, or the time is over
                raise
            except Exception:  # another scheduler, perhaps, that lacks these packages: then nothing was lost there
                pass
        try:
            await type(client)._ensure_connected(client, timeout)
        except AssertionError as error:
            raise ConnectionError("the scheduler's greeting did not come alone") from error

    async def _install_anew(self, tried: asyncio.Event) -> None:
        await tried.wait()
        self._outbox.extendleft(reversed(self._known()))
        await self._install()

    def _known(self) -> list[tuple[str, object]]:
        """What a scheduler must hear that knows nothing of this client."""
        known: list[tuple[str, object]] = []
        for name, source in list(self.sources.items()):
            with suppress(ObjectDisposedError):  # at this moment
                token = source.token
                known.append(("opened", name))
                if token.is_cancellation_requested:
                    known.append(("canceled", (name, travel.pack(token.reason))))
        return known

    def _post(self, kind: str, message: object) -> None:
        self._outbox.append((kind, message))
        self._loop.add_callback(self._flush)

    def _flush(self) -> None:
        if not self.is_open:
            self._start()
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
