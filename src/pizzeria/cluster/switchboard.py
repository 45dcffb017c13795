"""The switchboard: what runs on the scheduler, and on each worker, so that a cancel is pushed and never asked for.

All goes over the connections that Dask keeps open anyway, in order with its own messages: to a worker that the
scheduler gives a task, it has said before which tokens are cancelled. There is one handler a process, for all tokens.
"""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar

from distributed import Scheduler, SchedulerPlugin, Worker, WorkerPlugin

from pizzeria.cluster import travel

OP = "cancellation"  # the name of the messages, of the plugins and of the scheduler's extension


def plugin_name(client: str, name: str = "") -> str:
    """Of a plugin on the workers that is to go with its client."""
    return f"{OP}/{client}/{name}"


@dataclass(slots=True)
class _Shared:
    """A token that somebody may yet cancel, or pass on."""

    clients: set[str] = field(default_factory=set)  # who has a source for it
    reason: bytes | None = None  # of the cancel; None while not cancelled


class Switchboard(SchedulerPlugin):
    """On the scheduler: knows who shares which token, and passes messages on. Used on the scheduler's loop."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._shared: dict[str, _Shared] = {}
        self._tidying: dict[str, asyncio.Task[None]] = {}  # by name: the plugins that are being put away
        scheduler.stream_handlers[OP] = self._heard
        scheduler.add_plugin(self, name=OP)
        self._registering: asyncio.Task[None] | None = None

    async def ready(self) -> None:
        """Wait until all workers can hear. Where that failed, the next one who asks tries again."""
        if self._registering is None:
            self._registering = asyncio.ensure_future(self._register())
        await asyncio.shield(self._registering)

    def shared(self) -> list[str]:
        """The names of the tokens that are not put away yet; for tests and the curious."""
        return list(self._shared)

    def add_worker(self, scheduler: Scheduler, worker: str) -> None:
        """Before its first task, a new worker hears which tokens are cancelled."""
        canceled = [(name, shared.reason) for name, shared in self._shared.items() if shared.reason is not None]
        if canceled:
            scheduler.worker_send(worker, {"op": OP, "canceled": canceled})

    def add_client(self, scheduler: Scheduler, client: str) -> None:
        """One that was here before has lost its connection, even where the loss is noticed only later."""
        if self._plugins_of(client) or any(client in shared.clients for shared in self._shared.values()):
            self.remove_client(scheduler, client)

    def remove_client(self, scheduler: Scheduler, client: str) -> None:
        """Its orders stop: nobody waits for them any more. Its plugins go. What others share with it stays."""
        reason = travel.pack(ConnectionError("the client that placed it has gone"))
        mine = [name for name, shared in self._shared.items() if client in shared.clients]
        self._cancel(client, [(name, reason) for name in mine if self._shared[name].clients == {client}])
        left = self._plugins_of(client)
        self._tell_workers(left=left)  # by name: the client may have opened others by the time the workers hear it
        self._close(client, mine)
        for name in left:
            self._tidying[name] = asyncio.ensure_future(self._unregister(name))

    async def _register(self) -> None:
        try:
            await self._scheduler.register_worker_plugin(None, pickle.dumps(Receiver()), name=OP, idempotent=True)
        except BaseException:
            self._registering = None
            self._scheduler.worker_plugins.pop(OP, None)  # else Dask takes it for registered
            raise

    async def _unregister(self, name: str) -> None:
        try:
            with suppress(OSError, ValueError):  # of a worker that goes at this moment, or of one who was faster
                await self._scheduler.unregister_worker_plugin(None, name)
        finally:
            del self._tidying[name]

    def _plugins_of(self, client: str) -> list[str]:
        """Those at whose channels the client listens, in this connection of its."""
        prefix = plugin_name(client)
        return [name for name in self._scheduler.worker_plugins if name.startswith(prefix) and self._is_open(name)]

    def _is_open(self, channel: str) -> bool:
        return channel in self._scheduler.worker_plugins and channel not in self._tidying

    def _heard(
        self,
        *,
        client: str | None = None,
        worker: str | None = None,
        opened: Iterable[str] = (),
        canceled: Iterable[tuple[str, bytes]] = (),
        closed: Iterable[str] = (),
        to: str = "",
        channel: str = "",
        data: bytes = b"",
    ) -> None:
        if channel and worker:
            # A worker that was given up has no say any more: others have its tasks. And what was meant for a client's
            # lost connection must not reach its new one: together with Dask's greeting there it would be taken for a
            # failure to connect (see `Line`), and nobody listens to that channel any more.
            if worker in self._scheduler.workers and self._is_open(channel):
                self._scheduler.client_send(to, {"op": OP, "worker": worker, "channel": channel, "data": data})
        elif channel:
            if to in self._scheduler.workers:
                self._scheduler.worker_send(to, {"op": OP, "channel": channel, "data": data})
        elif client:
            self._open(client, opened)
            self._cancel(client, canceled)
            self._close(client, closed)

    def _open(self, client: str, names: Iterable[str]) -> None:
        late = []
        for name in names:
            shared = self._shared.setdefault(name, _Shared())
            shared.clients.add(client)
            if shared.reason is not None:
                late.append((name, shared.reason))
        if late:
            self._scheduler.client_send(client, {"op": OP, "canceled": late})

    def _cancel(self, client: str, cancels: Iterable[tuple[str, bytes]]) -> None:
        news: list[tuple[str, bytes]] = []
        others: dict[str, list[tuple[str, bytes]]] = {}
        for name, reason in cancels:
            shared = self._shared.get(name)
            if shared is not None and shared.reason is None:
                shared.reason = reason
                travel.cancel(name, reason)  # what waits here in a task goes out as cancelled
                news.append((name, reason))
                for other in shared.clients - {client}:
                    others.setdefault(other, []).append((name, reason))
        if news:
            self._tell_workers(canceled=news)
        for other, names in others.items():
            self._scheduler.client_send(other, {"op": OP, "canceled": names})

    def _close(self, client: str, names: Iterable[str]) -> None:
        done = []
        for name in names:
            shared = self._shared.get(name)
            if shared is None:
                continue
            shared.clients.discard(client)
            if not shared.clients:
                del self._shared[name]
                done.append(name)
        if done:
            travel.forget(done)
            self._tell_workers(forgotten=done)

    def _tell_workers(self, **message: object) -> None:
        for worker in list(self._scheduler.workers):
            self._scheduler.worker_send(worker, {"op": OP, **message})


async def install(dask_scheduler: Scheduler) -> None:
    """Run on the scheduler by each client that shares tokens: when it returns, all workers can hear of cancels."""
    if OP not in dask_scheduler.extensions:
        dask_scheduler.extensions[OP] = Switchboard(dask_scheduler)
    await dask_scheduler.extensions[OP].ready()


async def hang_up(client: str, dask_scheduler: Scheduler) -> None:
    """Run on the scheduler by a client that lost its connection: when it returns, that is put away."""
    if (lost := dask_scheduler.client_comms.get(client)) is not None:
        lost.abort()  # type: ignore[no-untyped-call]
    while client in dask_scheduler.client_comms:  # noqa: ASYNC110  (Dask tells nobody when it has put it away)
        await asyncio.sleep(0.005)


class Receiver(WorkerPlugin):
    """On a worker: the one who hears of cancels, for all its tasks. Its tokens' callbacks run on the worker's loop."""

    name: ClassVar[str] = OP

    def __init__(self) -> None:
        self.channels: dict[str, Callable[[bytes | None], object]] = {}  # called with None: the client has gone

    def setup(self, worker: Worker) -> None:
        worker.stream_handlers[OP] = self._heard  # for good: a message without a handler would end the connection

    def connect(self, channel: str, hear: Callable[[bytes | None], object]) -> None:
        """Have `hear` called with what the client of `channel` sends to it."""
        self.channels[channel] = hear

    def disconnect(self, channel: str) -> None:
        self.channels.pop(channel, None)

    def _heard(
        self,
        *,
        canceled: Iterable[tuple[str, bytes]] = (),
        forgotten: Iterable[str] = (),
        left: Iterable[str] = (),
        channel: str = "",
        data: bytes = b"",
        **_: Any,
    ) -> None:
        for name, reason in canceled:
            travel.cancel(name, reason)
        travel.forget(forgotten)
        for name in left:
            if name in self.channels:
                self.channels[name](None)
        if channel in self.channels:
            self.channels[channel](data)
