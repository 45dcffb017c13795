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
from starlette.requests import HTTPConnection
from starlette.types import Message, Receive

from cancellation import CancellationToken, CancellationTokenSource, OperationCanceledError

HANG_UP = "the client hung up"  # the reason of the cancel
HUNG_UP = 499  # the status that web servers write into their logs for it
TIME_LEFT = "Time-Left"  # the header: for how many seconds from now the client wants the answer

_SERVER_ENDS = "the server ended the request"  # the reason where its task is cancelled
_READ_AHEAD = 1024 * 1024  # bytes of a body that may wait for the handler; ASP.NET Core keeps as many


async def request_token(request: HTTPConnection) -> AsyncIterator[CancellationToken]:
    """The dependency behind `RequestToken`.

    The token is cancelled within a turn of the event loop after the server has noticed that the connection is
    gone; also while the handler reads its body or streams its answer. It says `HANG_UP` as its reason, or a
    `TimeoutError` where the request's `Time-Left` header ran out: a header that is no time is answered with 400.
    It is cancelled, too, when the server ends the request by force.

    A handler may let the `OperationCanceledError` pass: then a client whose time is over is answered with 504.
    Once the head of an answer is sent, nothing can be answered any more: the error breaks the answer off.

    To hear the hang-up, the body is read ahead. Of a body that the handler does not read 1 MiB is kept. A client
    that sends more has to wait, and its hang-up is heard only when the handler reads on.

    When the answer is sent nothing of it is left, and nothing cancels the token any more. Work that goes on after
    the answer (FastAPI's background tasks) needs a token of its own. `RuntimeError` in a websocket's handler.
    """
    if not isinstance(request, Request):
        raise RuntimeError(
            f"RequestToken is for HTTP requests, not for the {request.scope['type']} {request.url.path}: "
            "there a hang-up is a WebSocketDisconnect, raised where the handler receives"
        )
    with CancellationTokenSource(time_left(request)) as source:
        line = _Line(request.receive, source)
        request._receive = line.receive  # the handler reads its body there: who waits for the hang-up reads it, too
        listening = asyncio.create_task(line.listen())
        try:
            yield source.token
        except OperationCanceledError as error:
            if not source.is_cancellation_requested or line.server_says("response_started"):
                raise
            if isinstance(source.token.reason, TimeoutError):
                raise HTTPException(504, f"the time that the request gave is over: {error}") from error
            raise HTTPException(HUNG_UP, HANG_UP) from error  # nobody will read it; but it is no fault of the server's
        except asyncio.CancelledError:
            line.cancel(_SERVER_ENDS)  # a handler on a thread hears of it in no other way
            raise
        finally:
            listening.cancel()
            await asyncio.wait({listening})


RequestToken = Annotated[CancellationToken, Depends(request_token)]


class _Line:
    """The client's end of the connection. A server tells of a hang-up only to those who go on listening."""

    def __init__(self, receive: Receive, source: CancellationTokenSource) -> None:
        self._receive = receive
        self._source = source
        self._unread: bytearray | None = None  # of the body; None: nothing came since the handler read
        self._more_body = True
        self._end: Message | Exception | None = None  # what comes behind the body, at each `receive`
        self._news = asyncio.Event()
        self._room = asyncio.Event()

    async def listen(self) -> None:
        while self._end is None:
            try:
                message = await self._receive()
            except Exception as error:  # a middleware's, for a body that is too long: the reader is to get it
                self._end = error
            else:
                if message["type"] == "http.disconnect":
                    self._hang_up(message)
                else:
                    self._unread = self._unread or bytearray()
                    self._unread += message.get("body", b"")
                    self._more_body = message.get("more_body", False)
            self._news.set()
            while len(self._unread or b"") > _READ_AHEAD:  # who is not received from stops reading from the network
                self._room.clear()
                await self._room.wait()

    async def receive(self) -> Message:
        while self._unread is None and self._end is None:
            self._news.clear()
            await self._news.wait()
        if self._unread is not None:
            body, self._unread = bytes(self._unread), None
            self._room.set()
            return {"type": "http.request", "body": body, "more_body": self._more_body}
        if isinstance(self._end, Exception):
            raise self._end
        assert self._end is not None
        return self._end

    def _hang_up(self, message: Message) -> None:
        self._end = message
        if self.server_says("response_complete"):  # servers say "http.disconnect" then, too
            self._source.cancel_after(None)  # the answer came in time
        else:
            self.cancel(HANG_UP)

    def cancel(self, reason: str) -> None:
        """Whatever a callback of the token raises: it is nothing to the request."""
        try:
            self._source.cancel(reason)
        except Exception as error:
            what = {"message": f"a callback failed when {reason}", "exception": error}
            asyncio.get_running_loop().call_exception_handler(what)

    def server_says(self, what: str) -> bool:
        """How far the answer is, which uvicorn knows: "response_started" or "response_complete".

        Between it and the handler stand the middlewares, each with the `receive` of the one before. Where a server
        does not tell, or a middleware hides it (Starlette's BaseHTTPMiddleware does), the answer is as good as not
        begun: every disconnect counts as a hang-up then, and a token may say that it is cancelled after the answer.
        """
        receive: object = self._receive
        while (owner := getattr(receive, "__self__", None)) is not None:
            if hasattr(owner, what):
                return bool(getattr(owner, what))
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
