"""A token for a request handler: cancelled when the client hangs up, or when the time that it gave is over.

    @app.get("/orders/{id}")
    async def get_order_details(id: str, token: RequestToken): ...

ASP.NET Core gives its handlers the same: https://learn.microsoft.com/dotnet/api/microsoft.aspnetcore.http.httpcontext.requestaborted
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, HTTPException, Request
from starlette.types import Message, Receive

from cancellation import CancellationToken, CancellationTokenSource, OperationCanceledError

HANG_UP = "the client hung up"  # the reason of the cancel
HUNG_UP = 499  # the status that web servers write into their logs for it
TIME_LEFT = "Time-Left"  # the header: for how many seconds from now the client wants the answer

_READ_AHEAD = 16  # messages of a body that wait for the handler; a server makes them at most 64 KiB long


async def request_token(request: Request) -> AsyncIterator[CancellationToken]:
    """The dependency behind `RequestToken`.

    The token is cancelled within a turn of the event loop after the server has noticed that the connection is
    gone; also while the handler reads its body or streams its answer. It says `HANG_UP` as its reason, or a
    `TimeoutError` where the request's `Time-Left` header ran out: a header that is no time is answered with 400.
    A handler may let the `OperationCanceledError` pass: then a client whose time is over is answered with 504.
    When the answer is sent nothing of it is left, and nothing cancels the token any more. Work that goes on after
    the answer (FastAPI's background tasks) needs a token of its own.
    """
    with CancellationTokenSource(time_left(request)) as source:
        line = _Line(request.receive)
        request._receive = line.receive  # the handler reads its body there: who waits for the hang-up reads it, too
        listening = asyncio.create_task(line.listen(source))
        try:
            yield source.token
        except OperationCanceledError as error:
            if not source.is_cancellation_requested:
                raise
            if isinstance(source.token.reason, TimeoutError):
                raise HTTPException(504, f"the time that the request gave is over: {error}") from error
            raise HTTPException(HUNG_UP, HANG_UP) from error  # nobody will read it; but it is no fault of the server's
        finally:
            listening.cancel()
            await asyncio.wait({listening})


RequestToken = Annotated[CancellationToken, Depends(request_token)]


class _Line:
    """The client's end of the connection. A server tells of a hang-up only to those who go on listening."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._messages: asyncio.Queue[Message] = asyncio.Queue(_READ_AHEAD)
        self._hung_up: Message | None = None

    async def listen(self, source: CancellationTokenSource) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._hung_up = message
                if not _answer_is_sent(self._receive):
                    source.cancel(HANG_UP)
            await self._messages.put(message)
            if self._hung_up:
                return

    async def receive(self) -> Message:
        if self._hung_up and self._messages.empty():
            return self._hung_up
        return await self._messages.get()


def _answer_is_sent(receive: object) -> bool:
    """Servers say "http.disconnect" also when the answer has been sent. uvicorn knows which it is.

    Between it and the handler stand the middlewares, each with the `receive` of the one before. Where a server does
    not tell, or a middleware hides it (Starlette's BaseHTTPMiddleware does), every disconnect counts as a hang-up:
    after the answer has been sent, a token may then say that it is cancelled.
    """
    while (owner := getattr(receive, "__self__", None)) is not None:
        if hasattr(owner, "response_complete"):
            return bool(owner.response_complete)
        receive = getattr(owner, "_receive", None)
    return False


def time_left(request: Request) -> float | None:
    text = request.headers.get(TIME_LEFT)
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise HTTPException(400, f"{TIME_LEFT} must be a number of seconds from 0 up, not {text!r}")
    return seconds
