import asyncio
import threading
from contextlib import asynccontextmanager

import pytest
from fastapi import BackgroundTasks, FastAPI, Request
from fastapi.responses import StreamingResponse
from hanging_up import Line, ask, nothing_left, until
from starlette.requests import ClientDisconnect

from cancellation import OperationCanceledError, delay
from pizzeria.web import HANG_UP, RequestToken, request_token, serving
from pizzeria.web.problems import answer_with_problems


@asynccontextmanager
async def served(handler, method="GET", wrap=None, pieces=None):
    """`pieces`: collects what the server passes on of the requests."""
    app = FastAPI()
    answer_with_problems(app)
    app.add_api_route("/", handler, methods=[method])
    if pieces is not None:
        app.add_middleware(Collect, pieces=pieces)
    if wrap is not None:
        app.middleware("http")(wrap)
    async with nothing_left(), serving(app) as url:
        yield url


class Collect:
    def __init__(self, app, pieces):
        self._app = app
        self._pieces = pieces

    async def __call__(self, scope, receive, send):
        async def receive_and_note():
            message = await receive()
            self._pieces.append(message)
            return message

        await self._app(scope, receive_and_note, send)


async def call_through(request, call_next):
    return await call_next(request)


def run(test):
    asyncio.run(asyncio.wait_for(test(), 30))


def test_a_handlers_token_is_cancelled_when_its_client_hangs_up():
    async def test():
        tokens = []

        async def handler(token: RequestToken):
            tokens.append(token)
            await delay(60, token)

        async with served(handler) as url:
            line = await Line.open(url)
            line.request("GET", "/")
            await until(lambda: tokens)
            assert not tokens[0].is_cancellation_requested
            await line.hang_up()
            await asyncio.wait_for(tokens[0].wait_async(), 10)
            assert tokens[0].reason == HANG_UP

    run(test)


def test_a_request_that_ends_well_cancels_nothing_and_leaves_nothing():
    async def test():
        tokens = []

        async def handler(token: RequestToken):
            tokens.append(token)
            return "done"

        async with served(handler) as url:
            for _ in range(3):
                assert (await ask(url, "GET", "/"))[::2] == (200, '"done"')
        assert [token.is_cancellation_requested for token in tokens] == [False] * 3

    run(test)


def test_on_one_connection_each_request_has_its_own_token():
    async def test():
        tokens = []

        async def handler(token: RequestToken):
            tokens.append(token)
            if len(tokens) == 3:
                await delay(60, token)
            return "done"

        async with served(handler) as url:
            line = await Line.open(url)
            for _ in range(2):
                line.request("GET", "/")
                assert (await line.answer())[0] == 200
            line.request("GET", "/")
            await until(lambda: len(tokens) == 3)
            await line.hang_up()
            await asyncio.wait_for(tokens[2].wait_async(), 10)
        assert [token.is_cancellation_requested for token in tokens] == [False, False, True]

    run(test)


def test_a_handler_that_reads_its_own_body_gets_all_of_it():
    async def test():
        async def handler(request: Request, token: RequestToken):
            return len(await request.body())

        async with served(handler, "POST") as url:
            assert (await ask(url, "POST", "/", "x" * 60_000))[2] == "60000"

    run(test)


def test_a_hang_up_is_heard_while_the_body_is_still_on_its_way():
    async def test():
        tokens = []

        async def handler(request: Request, token: RequestToken):
            tokens.append(token)
            async for _ in request.stream():
                pass

        async with served(handler, "POST") as url:
            line = await Line.open(url)
            line.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1000\r\n\r\nonly the beginning")
            await until(lambda: tokens)
            await line.hang_up()
            await asyncio.wait_for(tokens[0].wait_async(), 10)

    run(test)


@pytest.mark.parametrize("reads_first", [True, False])
def test_a_hang_up_is_heard_while_the_answer_is_streamed(reads_first):
    async def test():
        tokens = []

        async def pieces(token):
            yield "first"
            await delay(60, token)

        async def handler(token: RequestToken):
            tokens.append(token)
            return StreamingResponse(pieces(token))

        async with served(handler) as url:
            line = await Line.open(url)
            line.request("GET", "/")
            if reads_first:
                await line.head()
                assert await line.chunk() == b"first"
            await until(lambda: tokens)
            await line.hang_up()
            await asyncio.wait_for(tokens[0].wait_async(), 10)
            assert tokens[0].reason == HANG_UP

    run(test)


def test_a_streamed_answer_that_ends_well_cancels_nothing():
    async def test():
        tokens = []

        async def pieces():
            yield "a"
            await asyncio.sleep(0.01)
            yield "b"

        async def handler(token: RequestToken):
            tokens.append(token)
            return StreamingResponse(pieces())

        async with served(handler) as url:
            assert (await ask(url, "GET", "/"))[2] == "ab"
        assert not tokens[0].is_cancellation_requested

    run(test)


def test_a_timeout_around_the_work_ends_it_and_leaves_nothing_of_the_token():
    async def test():
        tokens = []

        async def handler(token: RequestToken):
            tokens.append(token)
            try:
                async with asyncio.timeout(0.01):
                    await delay(60, token)
            except TimeoutError:
                return "too slow"

        async with served(handler) as url:
            assert (await ask(url, "GET", "/"))[2] == '"too slow"'
        assert not tokens[0].is_cancellation_requested

    run(test)


def test_a_hang_up_is_heard_behind_a_middleware():
    async def test():
        tokens = []

        async def handler(token: RequestToken):
            tokens.append(token)
            await delay(60, token)

        async with served(handler, wrap=call_through) as url:
            line = await Line.open(url)
            line.request("GET", "/")
            await until(lambda: tokens)
            await line.hang_up()
            await asyncio.wait_for(tokens[0].wait_async(), 10)

    run(test)


def test_the_time_that_a_client_gives_cancels_with_a_timeout_as_the_reason():
    async def test():
        tokens = []

        async def handler(token: RequestToken):
            tokens.append(token)
            await delay(60, token)

        async with served(handler) as url:
            status, headers, body = await ask(url, "GET", "/", Time_Left="0.05")
        assert (status, headers["content-type"]) == (504, "application/problem+json")
        assert "the time that the request gave is over" in body
        assert isinstance(tokens[0].reason, TimeoutError)

    run(test)


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf", ""])
def test_what_is_no_time_is_refused_by_its_name(text):
    async def test():
        async def handler(token: RequestToken):
            raise AssertionError("nothing may have happened")

        async with served(handler) as url:
            status, _, body = await ask(url, "GET", "/", Time_Left=text)
        assert status == 400
        assert f"Time-Left must be a number of seconds from 0 up, not '{text}'" in body

    run(test)


def test_a_hang_up_is_heard_behind_any_number_of_pieces_of_a_body_that_nobody_reads():
    async def test():
        tokens, pieces = [], []

        async def handler(token: RequestToken):
            tokens.append(token)
            await delay(60, token)

        async with served(handler, "POST", pieces=pieces) as url:
            line = await Line.open(url)
            line.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n")
            await until(lambda: tokens)
            for number in range(100):
                line.send("1\r\nx\r\n")
                await until(lambda number=number: len(pieces) > number)
            await line.hang_up()
            await asyncio.wait_for(tokens[0].wait_async(), 10)
            assert tokens[0].reason == HANG_UP

    run(test)


def test_of_a_body_that_nobody_reads_a_mebibyte_waits_and_the_rest_comes_to_whoever_reads_on():
    async def test():
        piece, sent = b"x" * 65_536, 0

        async def receive():
            nonlocal sent
            if sent == 100_000_000 // len(piece):
                return {"type": "http.disconnect"}
            sent += 1
            return {"type": "http.request", "body": piece, "more_body": True}

        request = Request({"type": "http", "headers": []}, receive)
        async with asynccontextmanager(request_token)(request) as token:
            for _ in range(1000):
                await asyncio.sleep(0)
            assert sent * len(piece) <= 2 * 1024 * 1024
            length = 0
            try:
                async for part in request.stream():
                    length += len(part)
            except ClientDisconnect:
                pass  # as it announced more
            assert length == sent * len(piece) > 99_000_000
            assert token.reason == HANG_UP

    run(test)


def test_a_body_that_is_too_long_is_refused_to_the_handler_that_reads_it():
    async def test():
        async def handler(request: Request, token: RequestToken):
            return len(await request.body())

        async with served(handler, "POST") as url:
            line = await Line.open(url)
            line.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n")
            line.send(f"{100_000:x}\r\n{'x' * 100_000}\r\n0\r\n\r\n")
            assert (await asyncio.wait_for(line.answer(), 10))[0] == 413
            await line.hang_up()

    run(test)


def test_a_callback_that_fails_is_told_of_and_the_handler_hears_the_hang_up_all_the_same():
    async def test():
        notes, told = [], []
        asyncio.get_running_loop().set_exception_handler(lambda _, what: told.append(what["exception"]))

        async def handler(request: Request, token: RequestToken):
            token.register(lambda: 1 / 0)
            notes.append("begun")
            try:
                async for _ in request.stream():
                    pass
            except ClientDisconnect:
                notes.append("heard")

        async with served(handler, "POST") as url:
            line = await Line.open(url)
            line.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1000\r\n\r\nonly the beginning")
            await until(lambda: notes)
            await line.hang_up()
            await until(lambda: "heard" in notes)
        assert [type(error.exceptions[0]) for error in told] == [ZeroDivisionError]

    run(test)


def test_a_handler_on_a_thread_hears_that_the_server_ends_its_request_by_force():
    async def test():
        begun, heard = threading.Event(), threading.Event()

        def handler(token: RequestToken):
            begun.set()
            if token.wait(60):
                heard.set()

        app = FastAPI()
        app.add_api_route("/", handler)
        async with serving(app) as url:
            line = await Line.open(url)
            line.request("GET", "/")
            assert await asyncio.to_thread(begun.wait, 10)
        assert await asyncio.to_thread(heard.wait, 10)
        await line.hang_up()

    run(test)


def test_a_deadline_in_the_middle_of_an_answer_breaks_it_off_and_the_log_says_why(caplog):
    async def test():
        async def pieces(token):
            yield "first"
            await delay(60, token)

        async def handler(token: RequestToken):
            return StreamingResponse(pieces(token))

        async with served(handler) as url:
            line = await Line.open(url)
            line.request("GET", "/", Time_Left="0.2")
            assert (await line.head())[0] == 200
            assert await line.chunk() == b"first"
            assert await asyncio.wait_for(line.until_closed(), 10) == b""
            await line.hang_up()
        assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [OperationCanceledError]

    run(test)


def test_a_deadline_that_the_answer_has_met_cancels_nothing_of_what_comes_after_it():
    async def test():
        afterwards = []

        async def work(token):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(token.wait_async(), 1.3)
            afterwards.append(token.is_cancellation_requested)

        async def handler(token: RequestToken, tasks: BackgroundTasks):
            tasks.add_task(work, token)
            return "done"

        async with served(handler) as url:
            line = await Line.open(url)
            line.request("GET", "/", Time_Left="1")
            assert (await line.answer())[0] == 200
            await until(lambda: afterwards)
            await line.hang_up()
        assert afterwards == [False]

    run(test)


def test_a_websocket_that_asks_for_a_token_is_told_what_it_has_instead():
    async def test():
        app = FastAPI()

        @app.websocket("/live")
        async def live(token: RequestToken):
            raise AssertionError("it has no token")

        scope = {"type": "websocket", "path": "/live", "headers": [], "query_string": b"", "subprotocols": []}
        with pytest.raises(
            RuntimeError, match=r"for HTTP requests, not for the websocket /live: .*WebSocketDisconnect"
        ):
            await app(scope, None, None)

    run(test)
