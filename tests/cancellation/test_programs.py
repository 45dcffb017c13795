"""Five programs of the kind that engineers write, run: they stop when they are told to, and leave nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from programs import agent, downloads, outbox, runner, workers
from token_helpers import in_loop, turns

from cancellation import (
    CancellationToken,
    CancellationTokenSource,
    FakeTimeProvider,
    OperationCanceledError,
    delay,
    run_until_canceled,
    to_thread,
)

none = CancellationToken.none
FOREVER = 1000


@pytest.mark.parametrize("path", sorted(Path(agent.__file__).parent.glob("*.py")), ids=lambda path: path.name)
def test_each_program_can_be_read_on_one_page(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 60


# The outbox relay


class Receiver:
    """It refuses every third call, and loses every fourth answer; what it has received it knows by its number."""

    def __init__(self) -> None:
        self.calls = 0
        self.received: dict[int, str] = {}
        self.stop_at = 0  # at this number SIGTERM comes

    async def __call__(self, number: int, text: str) -> None:
        self.calls += 1
        if self.calls % 3 == 0:
            raise ConnectionError("refused")
        if number == self.stop_at:
            signal.raise_signal(signal.SIGTERM)  # on this thread: the loop hears of it before it sleeps
        await asyncio.sleep(0.001)
        assert self.received.setdefault(number, text) == text
        if self.calls % 4 == 0:
            raise ConnectionError("the answer was lost")


def new_outbox(rows: int) -> sqlite3.Connection:
    database = sqlite3.connect(":memory:")
    with database:
        database.execute("CREATE TABLE outbox (number INTEGER PRIMARY KEY, text TEXT, sent BOOLEAN DEFAULT FALSE)")
        database.executemany("INSERT INTO outbox (text) VALUES (?)", [(f"order {n}",) for n in range(1, rows + 1)])
    return database


def sent(database: sqlite3.Connection) -> list[int]:
    return [number for (number,) in database.execute("SELECT number FROM outbox WHERE sent ORDER BY number")]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGTERM to be caught here")
def test_the_outbox_relay_stopped_by_sigterm_loses_no_row_and_sends_none_twice() -> None:
    database, receiver = new_outbox(20), Receiver()
    for stop_at in (5, 6, 7, 14, 20):
        receiver.stop_at = stop_at
        assert asyncio.run(outbox.main(database, receiver, pause=0.001)) == "SIGTERM"
        assert list(receiver.received) == list(range(1, stop_at + 1))  # all, each once, in order
        in_doubt = set(receiver.received) - set(sent(database))
        assert in_doubt <= {stop_at}  # its answer was lost: it goes out again, under its number
    database.close()


@in_loop
async def test_the_outbox_relay_marks_what_was_received_also_when_its_task_is_cancelled_meanwhile() -> None:
    database = new_outbox(3)
    receiving, let_go = asyncio.Event(), asyncio.Event()

    async def send(number: int, text: str) -> None:
        receiving.set()
        await let_go.wait()

    task = asyncio.create_task(outbox.relay(database, send, none))
    await receiving.wait()
    task.cancel()
    await turns()
    let_go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sent(database) == [1]
    database.close()


# The download manager


class Server:
    """An HTTP server that sends half of each file, and the rest when it is let."""

    def __init__(self) -> None:
        self.running: set[str] = set()
        self.most = 0
        self.let_go = asyncio.Event()
        self.changed = asyncio.Condition()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        writer.write(b"HTTP/1.0 200 OK\r\n\r\n" + b"a" * 2000)
        await self._change(self.running.add, name)
        self.most = max(self.most, len(self.running))
        hung_up = asyncio.ensure_future(reader.read())
        await asyncio.wait([hung_up, asyncio.ensure_future(self.let_go.wait())], return_when="FIRST_COMPLETED")
        writer.write(b"b" * 2000)
        writer.close()
        await self._change(self.running.discard, name)

    async def _change(self, change: object, name: str) -> None:
        async with self.changed:
            change(name)  # type: ignore[operator]
            self.changed.notify_all()

    async def until(self, *names: str) -> None:
        async with self.changed:
            await self.changed.wait_for(lambda: self.running == {f"/{name}" for name in names})


def test_the_download_manager_cancels_one_or_all_and_leaves_no_partial_file(tmp_path: Path) -> None:
    async def main() -> None:
        server = Server()
        listening = await asyncio.start_server(server, "127.0.0.1", 0)
        base = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
        source = CancellationTokenSource()
        manager = downloads.Downloads(tmp_path, source.token, limit=3)
        tasks = {name: asyncio.create_task(manager.download(base + name)) for name in ("a", "b", "c", "d", "e")}
        await server.until("a", "b", "c")
        manager.cancel(base + "d")  # which waits for its turn
        manager.cancel(base + "a")
        await server.until("b", "c", "e")
        source.cancel("the window was closed")
        await asyncio.wait(tasks.values())
        for name, reason in (
            ("a", "not wanted"),
            ("d", "not wanted"),
            ("b", "window"),
            ("c", "window"),
            ("e", "window"),
        ):
            with pytest.raises(OperationCanceledError, match=reason):
                tasks[name].result()
        await server.until()
        assert os.listdir(tmp_path) == []
        assert server.most == 3

        server.let_go.set()
        path = await downloads.Downloads(tmp_path, none).download(base + "f.txt")
        assert path.read_bytes() == b"a" * 2000 + b"b" * 2000
        assert os.listdir(tmp_path) == ["f.txt"]
        listening.close()
        await listening.wait_closed()

    asyncio.run(asyncio.wait_for(main(), 60))


# The worker pool


def filled_queue(items: int) -> asyncio.Queue[int]:
    queue: asyncio.Queue[int] = asyncio.Queue()
    for item in range(items):
        queue.put_nowait(item)
    return queue


@in_loop
async def test_the_worker_pool_drains_its_queue_when_it_is_closed() -> None:
    queue, closing, done = filled_queue(10), CancellationTokenSource(), list[int]()

    async def work(item: int, token: CancellationToken) -> None:
        if item == 3:
            closing.cancel()
        await delay(0, token)
        done.append(item)

    await workers.run_pool(queue, work, 3, closing.token, none)
    assert sorted(done) == list(range(10))


@in_loop
async def test_the_idle_workers_of_a_pool_that_is_closed_go_home() -> None:
    queue, closing, done = filled_queue(0), CancellationTokenSource(), list[int]()

    async def work(item: int, token: CancellationToken) -> None:
        done.append(item)

    pool = asyncio.create_task(workers.run_pool(queue, work, 3, closing.token, none))
    await turns()
    queue.put_nowait(1)
    closing.cancel()  # in the same turn
    await pool
    assert done == [1]


@in_loop
async def test_the_worker_pool_stops_at_once_and_each_item_is_done_stopped_or_left() -> None:
    queue, stopping = filled_queue(1000), CancellationTokenSource()
    done, stopped = list[int](), list[int]()

    async def work(item: int, token: CancellationToken) -> None:
        if item == 20:
            stopping.cancel("enough")
        if item < 18:
            done.append(item)
            return
        try:
            await delay(FOREVER, token)
        finally:
            await turns()  # cleanup that nothing cuts off
            stopped.append(item)

    with pytest.raises(OperationCanceledError, match="enough"):
        await workers.run_pool(queue, work, 3, none, stopping.token)
    assert (done, sorted(stopped)) == (list(range(18)), [18, 19, 20])
    assert queue.qsize() == 1000 - 21


@in_loop
async def test_an_error_of_one_item_ends_the_worker_pool() -> None:
    async def work(item: int, token: CancellationToken) -> None:
        raise KeyError(item)

    with pytest.raises(ExceptionGroup) as info:
        await workers.run_pool(filled_queue(1), work, 2, none, none)
    assert [type(error) for error in info.value.exceptions] == [KeyError]


# The runner of commands


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


POLITE = "import time; open('ready', 'w').close(); time.sleep(1000)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + POLITE


def test_the_runner_gives_exit_code_and_output() -> None:
    code, output = asyncio.run(runner.run(*python("print('hello'); raise SystemExit(3)"), token=none))
    assert (code, output.split()) == (3, ["hello"])


def test_the_runner_begins_no_process_on_a_cancelled_token(tmp_path: Path) -> None:
    with pytest.raises(OperationCanceledError):
        asyncio.run(runner.run(*python(f"open({str(tmp_path / 'begun')!r}, 'w')"), token=CancellationToken(True)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGTERM to be ignored here")
@pytest.mark.parametrize(
    ("program", "end"), [(POLITE, -signal.SIGTERM), (STUBBORN, -signal.SIGKILL)], ids=["polite", "stubborn"]
)
@pytest.mark.parametrize("how", ["token", "task", "twice"])
def test_the_runner_terminates_waits_and_kills(
    program: str, end: int, how: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("ready")
    processes: list[asyncio.subprocess.Process] = []
    create = asyncio.create_subprocess_exec

    async def create_and_keep(*command: str, **options: int) -> asyncio.subprocess.Process:
        processes.append(await create(*command, **options))  # type: ignore[arg-type]
        return processes[-1]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", create_and_keep)

    async def main() -> None:
        source = CancellationTokenSource()
        task = asyncio.create_task(
            runner.run(*python(program), token=source.token, patience=0.05 if program == STUBBORN else 20)
        )
        await asyncio.to_thread(Path("ready").read_bytes)  # until the process has opened the pipe, and closed it
        if how == "token":
            source.cancel()
        else:
            task.cancel()
        if how == "twice":
            await turns()
            task.cancel()
        with pytest.raises(OperationCanceledError if how == "token" else asyncio.CancelledError):
            await task
        assert processes[0].returncode == end

    asyncio.run(asyncio.wait_for(main(), 60))


# The agent


async def model(messages: list[str]) -> AsyncIterator[str | agent.ToolCall]:
    """It looks for the weather first, and then says what it has heard; after that it talks for ever."""
    if len(messages) == 1:
        yield "Let me look."
        yield agent.ToolCall("weather", "Rome")
        yield agent.ToolCall("archive", "Rome")
        return
    for word in (*messages[2:], "…"):
        yield word
    if "for ever" in messages[0]:
        await asyncio.sleep(FOREVER)


async def weather(city: str, token: CancellationToken) -> str:
    return await run_until_canceled(asyncio.sleep(0, f"sunny in {city}"), token)


def look_into(city: str, token: CancellationToken) -> str:
    token.wait()  # it is a long way down
    token.throw_if_cancellation_requested()
    return "never"


async def archive(city: str, token: CancellationToken) -> str:
    return await to_thread(look_into, city, token=token)


TOOLS: dict[str, agent.Tool] = {"weather": weather, "archive": archive}


@in_loop
async def test_the_agent_tells_its_model_of_a_tool_that_is_out_of_time_and_goes_on() -> None:
    clock, said = FakeTimeProvider(), list[str]()
    talk = asyncio.create_task(agent.Agent(model, TOOLS, 5, clock).answer("How is it?", none, said.append))
    await clock.advance_async(5)  # the second tool waits, and then its time is over
    await talk
    assert said == ["Let me look.", "sunny in Rome", "archive failed: deadline of 5 s passed", "…"]


@in_loop
async def test_the_agent_stops_in_the_midst_of_a_tool_or_of_a_word() -> None:
    for last, seconds in (("Let me look.", FOREVER), ("…", 0.001)):
        source, said, spoken = CancellationTokenSource(), list[str](), asyncio.Event()

        def say(word: str, last: str = last, said: list[str] = said, spoken: asyncio.Event = spoken) -> None:
            said.append(word)
            if word == last:
                spoken.set()

        talk = asyncio.create_task(agent.Agent(model, TOOLS, seconds).answer("for ever", source.token, say))
        await spoken.wait()
        await turns()
        source.cancel("stop button")
        with pytest.raises(OperationCanceledError, match="stop button"):
            await talk
        assert said[-1] == last
