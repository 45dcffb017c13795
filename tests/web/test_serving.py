import asyncio
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI, Request
from hanging_up import ask, nothing_left

from pizzeria.web import serving


def run(test):
    asyncio.run(asyncio.wait_for(test(), 30))


def test_what_the_lifespan_of_an_app_yields_is_the_state_of_its_requests():
    async def test():
        @asynccontextmanager
        async def lifespan(_):
            yield {"menu": ["Margherita"]}

        app = FastAPI(lifespan=lifespan)

        @app.get("/")
        async def menu(request: Request):
            return request.state.menu

        async with nothing_left(), serving(app) as url:
            assert (await ask(url, "GET", "/"))[::2] == (200, '["Margherita"]')

    run(test)


def test_what_is_no_application_is_refused_by_its_name():
    async def bare(scope, receive, send):
        pass

    async def test():
        with pytest.raises(TypeError, match=r"app must be a FastAPI or Starlette application, not <function .*bare"):
            await serving(bare).__aenter__()

    run(test)


def test_servers_that_end_at_the_same_time_leave_the_log_of_the_next_one_alone(caplog):
    async def test():
        app = FastAPI()

        @app.get("/")
        async def bug():
            raise ZeroDivisionError

        async def one():
            async with serving(app):
                started.release()
                await leave.wait()

        started, leave = asyncio.Semaphore(0), asyncio.Event()
        servers = [asyncio.create_task(one()) for _ in range(2)]
        for _ in servers:
            await started.acquire()
        leave.set()
        await asyncio.gather(*servers)
        async with serving(app) as url:
            assert (await ask(url, "GET", "/"))[0] == 500
        assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [ZeroDivisionError]

    run(test)
