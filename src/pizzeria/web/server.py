"""A real server inside a running event loop: in a notebook, or in a test. It ends with its `async with` block."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADERS_WITHIN = 10.0  # seconds for the head of a request; who is slower is hung up on


@asynccontextmanager
async def serving(app: Starlette) -> AsyncIterator[str]:
    """Serve `app` on this loop, to this machine only, on a port that the system picks; its URL.

    When the block is left no new request is taken, those under way have a second to end, and the port is free.
    `app`: a FastAPI or Starlette application, else `TypeError`.
    """
    if not isinstance(app, Starlette):
        raise TypeError(f"app must be a FastAPI or Starlette application, not {app!r}")
    config = uvicorn.Config(
        app,
        http=_Impatient,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        date_header=False,
        timeout_graceful_shutdown=1,
    )
    async with app.router.lifespan_context(app) as state:
        server = _Server(config, state or {})
        with socket.socket() as port:
            port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            port.bind(("127.0.0.1", 0))
            running = asyncio.create_task(server.serve(sockets=[port]))
            started = asyncio.create_task(server.is_ready.wait())
            try:
                await asyncio.wait({running, started}, return_when=asyncio.FIRST_COMPLETED)
                if running.done():
                    await running  # raises what went wrong
                yield f"http://127.0.0.1:{port.getsockname()[1]}"
            finally:
                started.cancel()
                server.leave.set()
                await asyncio.wait({running})


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, state: Mapping[str, Any]) -> None:
        super().__init__(config)
        self._state = state  # what the app's lifespan yields: each request has it as its `state`
        self.is_ready = asyncio.Event()
        self.leave = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # Ctrl+C belongs to the kernel

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.lifespan.state.update(self._state)
        await super().startup(sockets)
        self.is_ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Quietly: that a request which nobody waits for is cancelled at the end is no error to read about."""
        log = logging.getLogger("uvicorn.error")

        def silence(_: logging.LogRecord) -> bool:
            return False

        log.addFilter(silence)  # one of its own for each server, as several may end at once
        try:
            await super().shutdown(sockets)
            if self.server_state.tasks:
                await asyncio.wait(self.server_state.tasks)
        finally:
            log.removeFilter(silence)

    async def main_loop(self) -> None:
        await self.leave.wait()  # uvicorn's own looks ten times a second whether it should leave


class _Impatient(H11Protocol):
    """Hangs up on clients that let their request's head trickle in."""

    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._begin_to_wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._end_to_wait()
        elif self._patience is None:  # the first bytes of the next request
            self._begin_to_wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_to_wait()
        super().connection_lost(exc)

    def _begin_to_wait(self) -> None:
        self._patience = asyncio.get_running_loop().call_later(HEADERS_WITHIN, self.transport.close)

    def _end_to_wait(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
