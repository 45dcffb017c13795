import asyncio
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from hanging_up import Line, ask, nothing_left, until

from cancellation import delay
from pizzeria.web import HANG_UP, RequestToken, serving
from pizzeria.web.problems import answer_with_problems


@asynccontextmanager
async def served(handler, method="GET", wrap=None):
    app = FastAPI()
    answer_with_problems(app)
    app.add_api_route("/", handler, methods=[method])
    if wrap is not None:
        app.middleware("http")(wrap)
    async with nothing_left(), serving(app) as url:
        yield url


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
