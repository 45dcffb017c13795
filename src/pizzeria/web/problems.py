"""Errors as RFC 9457 has them: what went wrong, for programs and for people, as `application/problem+json`."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pizzeria.web.request_token import HUNG_UP

_TITLES = {status.value: status.phrase for status in HTTPStatus} | {HUNG_UP: "Client Closed Request"}
LONGEST_BODY = 64 * 1024  # bytes; an order has some hundred
_LONGEST_TO_READ_AWAY = 64 * 1024 * 1024  # bytes; of more than that the client sees no answer, but a close


def problem(status: int, detail: str) -> JSONResponse:
    """An answer that says what is wrong, and what is allowed."""
    content = {"type": "about:blank", "title": _TITLES[status], "status": status, "detail": detail}
    return JSONResponse(content, status, media_type="application/problem+json")


def answer_with_problems(app: FastAPI) -> None:
    """Every error that leaves a handler of `app` becomes a problem, and a body that is too long is not read."""
    app.add_middleware(_ShortBodies)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _failed)


async def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    detail = error.detail
    if error.status_code == 404 and detail == HTTPStatus.NOT_FOUND.phrase:
        detail = f"there is nothing at {request.url.path}"
    answer = problem(error.status_code, detail)
    answer.headers.update(error.headers or {})
    return answer


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    complaints = (f"{'.'.join(map(str, wrong['loc']))}: {wrong['msg']}" for wrong in error.errors())
    return problem(422, "; ".join(complaints))


async def _failed(request: Request, error: Exception) -> JSONResponse:
    return problem(500, f"{type(error).__name__}: {error}")


class _ShortBodies:
    """Refuses a body that is too long, by its announced length or as it comes. Nothing of it is kept."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > LONGEST_BODY:
            await _read_away(receive)
            await problem(413, f"the body may have {LONGEST_BODY} bytes, not {int(announced)}")(scope, receive, send)
            return
        await self._app(scope, _Counted(receive).receive, send)


class _Counted:
    """A body that is read up to the allowed length."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._length = 0

    async def receive(self) -> Message:
        message = await self._receive()
        self._length += len(message.get("body", b""))
        if self._length > LONGEST_BODY:
            if message.get("more_body"):
                await _read_away(self._receive)
            raise HTTPException(413, f"the body may have {LONGEST_BODY} bytes")
        return message


async def _read_away(receive: Receive) -> None:
    """What the client has still to send; most look at the answer only when they have sent it all."""
    length = 0
    while length < _LONGEST_TO_READ_AWAY:
        message = await receive()
        length += len(message.get("body", b""))
        if not message.get("more_body"):
            return
