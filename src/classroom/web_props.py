"""What the assignment on services plays with: a server on the loopback, customers who may hang up, a kitchen."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import uvicorn
from starlette.requests import Request

from cancellation import CancellationToken, CancellationTokenSource, delay

STEP = 0.03  # seconds for each step of the kitchen
STEPS = 30  # of a meal


class Kitchen:
    """`log` has one entry for each step that was begun: the order's id. On one event loop."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self._cooking = 0
        self._changed = asyncio.Event()

    async def cook(self, order_id: str, token: CancellationToken) -> None:
        """Cook a meal in 30 steps, a second in all. `OperationCanceledError` once `token` is cancelled."""
        self._cooking += 1
        try:
            for _ in range(STEPS):
                token.throw_if_cancellation_requested()
                self.log.append(order_id)
                self._tell()
                await delay(STEP, token)
        finally:
            self._cooking -= 1
            self._tell()

    async def until_step(self, order_id: str, step: int) -> None:
        """Wait until this step of the order has begun."""
        while self.log.count(order_id) < step:
            await self._changed.wait()

    async def until_idle(self) -> None:
        """Wait until nothing is being cooked."""
        while self._cooking:
            await self._changed.wait()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class BankService:
    """A web app: a POST takes its time, then answers `{"paid": …}`, with status 402 where nothing was paid.

    `log` has a line for each thing that happened: "asked …", "answered …", "hung up …", with the path.
    """

    def __init__(self, seconds: float, paid: bool = True) -> None:
        self.log: list[str] = []
        self._seconds = seconds
        self._paid = paid

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        self.log.append(f"asked {scope['method']} {scope['path']}")
        hang_up = asyncio.ensure_future(receive())
        done, _ = await asyncio.wait({hang_up}, timeout=self._seconds)
        if done:
            self.log.append(f"hung up {scope['path']}")
            return
        hang_up.cancel()
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200 if self._paid else 402, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps({"paid": self._paid}).encode()})
        self.log.append(f"answered {scope['path']}")


class Call:
    """One request of one customer, who can wait for the answer or hang up."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def answer(self) -> tuple[int, Any]:
        """The status, and the body as what its JSON says, or as text if it is none."""
        raw = await self._reader.read()
        self._writer.close()
        head, _, body = raw.partition(b"\r\n\r\n")
        status = int(head.split()[1]) if head else 0  # 0: the server hung up
        try:
            return status, json.loads(body)
        except ValueError:
            return status, body.decode(errors="replace")

    def hang_up(self) -> None:
        """Close the connection, as a browser does whose tab is closed."""
        self._writer.close()


class Service:
    """A web app that is being served on the loopback, at `url`."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._port = port

    async def call(self, path: str) -> Call:
        """Send a GET request."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(f"GET {path} HTTP/1.0\r\nHost: pizzeria\r\n\r\n".encode())
        await writer.drain()
        return Call(reader, writer)


async def token_of_request(request: Request) -> AsyncIterator[CancellationToken]:
    """A FastAPI dependency: the request's own token, cancelled when its client hangs up."""

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        source.cancel("the customer hung up")

    with CancellationTokenSource() as source:
        watching = asyncio.create_task(watch())
        try:
            yield source.token
        finally:
            watching.cancel()


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:  # they belong to the kernel
        yield


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[Service]:
    """Serve a web app on the running loop, for the block. Leaving the block ends the server, its requests included."""
    with socket.create_server(("127.0.0.1", 0)) as listener:  # from here on it can be called
        server = _Server(uvicorn.Config(app, log_level="critical", lifespan="off", timeout_graceful_shutdown=1))
        task = asyncio.create_task(server.serve([listener]))
        try:
            yield Service(listener.getsockname()[1])
        finally:
            server.should_exit = True
            await task
