"""The package as one gets it: what an import loads and costs, and that its README tells the truth."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import io
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import cantok
import pytest
from token_helpers import PATIENCE, Worker

import cancellation
from cancellation import CancellationTokenSource, OperationCanceledError, TimeProvider, cancel_scope, clock

README = (Path(cancellation.__file__).parent / "README.md").read_text(encoding="utf-8")
CODE = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def run_python(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.strip()


def test_import_loads_neither_asyncio_nor_anything_outside_the_standard_library() -> None:
    program = (
        "import sys; before = set(sys.modules); import cancellation;"
        "print(*{m.partition('.')[0] for m in set(sys.modules) - before if not m.startswith('_')})"
    )
    loaded = set(run_python(program).split())
    assert "asyncio" not in loaded
    assert loaded - set(sys.stdlib_module_names) == {"cancellation"}


@pytest.mark.parametrize("heavy", ["asyncio", "concurrent", "dataclasses", "inspect", "logging", "pickle", "socket"])
def test_import_leaves_what_is_slow_to_load_to_those_who_use_it(heavy: str) -> None:
    program = f"import sys; sys.modules.pop({heavy!r}, None); import cancellation; print({heavy!r} in sys.modules)"
    assert run_python(program) == "False"


def test_all_names_are_there_and_documented() -> None:
    assert sorted(cancellation.__all__) == cancellation.__all__
    for name in cancellation.__all__:
        thing = getattr(cancellation, name)
        assert thing.__doc__, name
        for member, value in vars(thing).items() if isinstance(thing, type) else ():
            if not member.startswith("_") and (callable(value) or isinstance(value, (property, staticmethod))):
                inherited = any(getattr(getattr(base, member, None), "__doc__", None) for base in thing.__mro__)
                assert inherited, f"{name}.{member} says nothing of itself"


@pytest.mark.parametrize("number", range(len(CODE)))
def test_code_in_the_readme_does_what_its_comments_say(number: int) -> None:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(CODE[number], f"README block {number}", "exec"), {"__name__": "readme"})
    said = [m[1] for m in re.finditer(r"print\(.*?\) +# (.*)", CODE[number])]
    assert out.getvalue().splitlines() == said


def test_each_code_block_is_short_and_shows_a_result() -> None:
    for block in CODE:
        assert len([line for line in block.splitlines() if line]) <= 20, block
        assert re.search(r"print\(.*?\) +# |^ *assert ", block, re.MULTILINE), block


@pytest.mark.parametrize("name", ["delay", "until_canceled", "run_to_end", "to_thread", "wait_async", "advance_async"])
def test_the_readme_shows_each_function_at_work(name: str) -> None:
    assert any(re.search(rf"\b{name}\(", block) for block in CODE)


@pytest.mark.parametrize("name", cancellation.__all__)
def test_the_readme_mentions_every_public_name(name: str) -> None:
    assert re.search(rf"\b{name}\b", README)


# What the README says of callbacks, and of where the token runs, and no other test shows.


def test_a_callback_that_belongs_on_a_loop_runs_there_and_must_be_taken_back_before_the_loop_closes() -> None:
    async def main() -> None:
        loop, ran_on = asyncio.get_running_loop(), loop_thread()
        with source.token.register(loop.call_soon_threadsafe, lambda: ran_on.set_result(threading.get_ident())):
            await asyncio.to_thread(source.cancel)
            assert await asyncio.wait_for(ran_on, PATIENCE) == threading.get_ident()

    def loop_thread() -> asyncio.Future[int]:
        return asyncio.get_running_loop().create_future()

    source = CancellationTokenSource()
    asyncio.run(main())

    loop, late = asyncio.new_event_loop(), CancellationTokenSource()
    late.token.register(loop.call_soon_threadsafe, print)
    loop.close()
    with pytest.raises(ExceptionGroup, match="Event loop is closed"):
        late.cancel()


def test_a_thread_that_blocks_on_a_socket_is_woken_by_shutdown() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, CancellationTokenSource() as source:
        reader = Worker(lambda: ours.recv(1))
        source.token.register(ours.shutdown, socket.SHUT_RDWR)
        source.cancel()
        assert reader.result() == b""


@pytest.mark.skipif(sys.platform != "linux", reason="the README says so of Linux")
def test_a_thread_that_blocks_on_a_socket_is_not_woken_by_close() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, CancellationTokenSource() as source:
        reader = Worker(lambda: ours.recv(1))
        sleeping = Path(f"/proc/self/task/{reader.native_id}/stat")
        while ") S " not in sleeping.read_text():  # until it waits in recv
            time.sleep(0.001)
        source.token.register(ours.close)
        source.cancel()
        theirs.send(b"!")  # closed and cancelled, it goes on to read
        assert reader.result() == b"!"


def test_a_yield_inside_a_scope_lets_the_cancel_hit_who_takes_the_item() -> None:
    async def items() -> AsyncIterator[int]:
        async with cancel_scope(source.token):
            yield 1

    async def take() -> None:
        async with contextlib.aclosing(items()) as stream:  # type: ignore[type-var]
            async for _ in stream:
                asyncio.get_running_loop().call_soon(source.cancel)
                with pytest.raises(asyncio.CancelledError):
                    await asyncio.sleep(PATIENCE)

    source = CancellationTokenSource()
    asyncio.run(take())


@pytest.mark.parametrize("stripped", [False, True])
def test_a_cancel_with_the_error_that_is_being_handled_makes_a_cycle_unless_its_traceback_is_taken_off(
    stripped: bool,
) -> None:
    def fail() -> weakref.ref[CancellationTokenSource]:
        source = CancellationTokenSource()
        try:
            raise ValueError("the oven is cold")
        except ValueError as error:
            source.cancel(error.with_traceback(None) if stripped else error)
        return weakref.ref(source)

    gc.collect()
    gc.disable()
    try:
        source = fail()
        assert (source() is None) is stripped
    finally:
        gc.enable()
    gc.collect()
    assert source() is None


def test_a_timer_of_ones_own_needs_dispose_alone() -> None:
    class Mine:
        def dispose(self) -> None:
            disposed.append(self)

    class MyClock(TimeProvider):
        def create_timer(self, callback: Any, delay: float) -> Any:
            callbacks.append(callback)
            return Mine()

    disposed, callbacks = list[Mine](), list[Any]()
    source = CancellationTokenSource(5, time_provider=MyClock())
    source.cancel_after(6)
    assert len(disposed) == 1  # the first timer
    source.token.register(lambda: 1 / 0)
    with pytest.raises(ExceptionGroup, match="division by zero"):  # for the clock to report
        callbacks.pop()()
    assert isinstance(source.token.reason, TimeoutError)


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(clock, "_alarm", clock._Alarm())
    monkeypatch.setattr(threading.Thread, "start", start)


@pytest.mark.usefixtures("no_threads")
def test_without_threads_a_deadline_rides_on_the_running_loop_and_ends_with_it() -> None:
    async def set_deadlines() -> CancellationTokenSource:
        assert await CancellationTokenSource(0.01).token.wait_async(PATIENCE)
        return CancellationTokenSource(0.01)

    async def wait(source: CancellationTokenSource) -> bool:
        return await source.token.wait_async(0.05)

    lost = asyncio.run(set_deadlines())
    assert not asyncio.run(wait(lost))
    with pytest.raises(RuntimeError, match="needs a thread of its own or, where there is none, a running event loop"):
        CancellationTokenSource(0.01)


def test_without_threads_wait_says_what_to_do_instead_of_hanging(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancellation.token, "HAS_THREADS", False)
    with pytest.raises(RuntimeError, match=r"use await token\.wait_async\(\)"):
        CancellationTokenSource().token.wait()


SUBINTERPRETER = """
import _interpreters
problem = _interpreters.exec(_interpreters.create(), '''if True:
    import asyncio
    from cancellation import CancellationTokenSource

    async def main():
        return await CancellationTokenSource(0.01).token.wait_async(20)

    assert asyncio.run(main())
    try:
        CancellationTokenSource(0.01)
    except RuntimeError as error:
        assert "Set it within a coroutine" in str(error), error
    else:
        raise AssertionError("no error")
''')
print("done" if problem is None else problem.formatted)
"""


@pytest.mark.skipif(sys.version_info < (3, 13), reason="Python's module for subinterpreters is new in 3.13")
def test_in_an_isolated_subinterpreter_deadlines_ride_on_the_running_loop() -> None:
    assert run_python(SUBINTERPRETER) == "done"


def test_a_signal_handler_may_set_a_deadline_when_the_clock_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(self: threading.Thread) -> None:
        raise AssertionError("a thread was started in a signal handler")

    assert CancellationTokenSource(0.001).token.wait(PATIENCE)  # the first deadline starts the clock's thread
    source = CancellationTokenSource()
    before = signal.signal(signal.SIGINT, lambda *_: source.cancel_after(0.01))
    try:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", start)
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    assert source.token.wait(PATIENCE)


def test_in_a_signal_handler_a_callback_cannot_have_a_lock_that_the_interrupted_code_holds() -> None:
    source, lock, had = CancellationTokenSource(), threading.Lock(), list[bool]()
    source.token.register(lambda: had.append(lock.acquire(blocking=False)))
    before = signal.signal(signal.SIGINT, lambda *_: source.cancel() and None)
    try:
        with lock:
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    assert had == [False]


# The table of facts. Of ourselves nearly every test here is a proof; these are about the others.

TABLE = [line.strip("| ").split(" | ") for line in README.splitlines() if line.startswith("|")]
COLUMNS = ["this", ".NET 8", "Go `context`", "`AbortSignal`", "anyio `CancelScope`", "`asyncio.timeout`", "cantok"]


def fact(row: str, column: str) -> str:
    for cells in TABLE:
        if cells[0] == row:
            return cells[1 + COLUMNS.index(column)]
    raise AssertionError(f"no row {row!r}")


def test_the_table_is_whole() -> None:
    assert [c.strip() for c in TABLE[0]] == COLUMNS or [c.strip() for c in TABLE[0][1:]] == COLUMNS
    assert {len(cells) for cells in TABLE[2:]} == {8}


def test_facts_about_cantok() -> None:
    token = cantok.SimpleToken()
    assert bool(token) is True
    token.cancel()
    assert bool(token) is False
    assert fact("truth of the object", "cantok") == "true while not cancelled"

    parent = cantok.SimpleToken()
    child = cantok.SimpleToken(parent)
    threading.Thread(target=parent.cancel).start()
    deadline = time.monotonic() + 20
    while not child.is_cancelled():
        assert time.monotonic() < deadline
    assert fact("cancel from another thread", "cantok") == "yes"

    with pytest.raises(cantok.TimeoutCancellationError):
        cantok.TimeoutToken(0).check()
    with pytest.raises(cantok.CancellationError) as info:
        token.check()
    assert not isinstance(info.value, cantok.TimeoutCancellationError)
    assert fact("deadline told from a click", "cantok") == "by the type of the error"
    forgotten = weakref.ref(child := cantok.SimpleToken(parent))
    del child
    gc.collect()
    assert forgotten() is None
    assert fact("forgetting a child", "cantok") == "it is collected"
    assert not hasattr(token, "register")
    assert "step" in cantok.SimpleToken.wait.__code__.co_varnames  # it wakes every `step` to look
    assert fact("threads wait without polling", "cantok") == "no"


def test_facts_about_asyncio_timeout() -> None:
    async def main() -> list[str]:
        log: list[str] = []
        with pytest.raises(TimeoutError):  # noqa: PT012
            async with asyncio.timeout(0.001) as timeout:
                try:
                    await asyncio.sleep(1000)
                finally:
                    await asyncio.sleep(0.001)  # not hit again
                    log.append("cleaned up")
        assert timeout
        return log

    assert asyncio.run(main()) == ["cleaned up"]
    assert fact("it hits again in cleanup", "`asyncio.timeout`") == "no"
    assert fact("the cancel hits any `await`", "`asyncio.timeout`") == "yes"
    assert fact("deadline told from a click", "`asyncio.timeout`") == "`TimeoutError`"


def test_facts_about_anyio() -> None:
    async def main(log: list[str]) -> None:
        with anyio.CancelScope() as scope:
            assert scope
            asyncio.get_running_loop().call_soon(scope.cancel)
            try:
                await anyio.sleep(1000)
            finally:
                try:
                    await anyio.sleep(1000)
                except asyncio.CancelledError:
                    log.append("hit again")
                    raise

    log: list[str] = []
    asyncio.run(main(log))
    assert log == ["hit again"]
    assert fact("it hits again in cleanup", "anyio `CancelScope`") == "yes, until the scope ends"
    assert fact("the cancel hits any `await`", "anyio `CancelScope`") == "yes"
    assert "reason" in anyio.CancelScope.cancel.__code__.co_varnames
    assert fact("why: a reason", "anyio `CancelScope`") == "yes, a text"


NODE = """
const log = [], a = new AbortController(), b = new AbortController(), why = {};
const any = AbortSignal.any([a.signal, b.signal]);
a.signal.addEventListener("abort", () => log.push("older"));
a.signal.addEventListener("abort", () => { throw new Error("reported") });
a.signal.addEventListener("abort", () => log.push("newer"));
process.on("uncaughtException", error => log.push(error.message));
a.abort(why);
log.push(a.signal.reason === why && any.reason === why);
a.signal.addEventListener("abort", () => log.push("late"));
const timeout = AbortSignal.timeout(1);
timeout.addEventListener("abort", () => log.push(timeout.reason.name, Boolean(timeout)));
setTimeout(() => console.log(log.join(" ")), 200);
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node.js here")
def test_facts_about_abort_signal() -> None:
    done = subprocess.run(["node", "-e", NODE], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["older", "newer", "true", "reported", "TimeoutError", "true"]
    assert fact("callbacks", "`AbortSignal`") == "oldest first"
    assert fact("errors of callbacks", "`AbortSignal`") == "reported, not raised"
    assert fact("the reason through links", "`AbortSignal`") == "the same value"
    assert fact("a callback added after the cancel", "`AbortSignal`") == "never runs"
    assert fact("deadline told from a click", "`AbortSignal`") == "`TimeoutError`"
    assert fact("truth of the object", "`AbortSignal`") == "always true"


def test_facts_about_ourselves() -> None:
    async def main() -> list[Any]:
        source = CancellationTokenSource()
        log: list[Any] = []
        asyncio.get_running_loop().call_soon(source.cancel)
        with pytest.raises(OperationCanceledError):  # noqa: PT012
            async with cancel_scope(source.token):
                try:
                    await asyncio.sleep(1000)
                finally:
                    await asyncio.sleep(0.001)
                    log.append("cleaned up")
        source.token.register(log.append, "late")
        return log

    assert asyncio.run(main()) == ["cleaned up", "late"]
    assert fact("it hits again in cleanup", "this") == "no"
    assert fact("a callback added after the cancel", "this") == "runs at once"
    assert fact("the cancel hits any `await`", "this") == "in `cancel_scope`"
