"""The package as one gets it: what an import loads and costs, and that its README tells the truth."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import io
import re
import shutil
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import anyio
import cantok
import pytest

import cancellation
from cancellation import CancellationTokenSource, OperationCanceledError, cancel_scope

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


def test_there_are_code_blocks_of_about_ten_lines() -> None:
    assert len(CODE) == 3
    assert all(len(block.splitlines()) <= 20 for block in CODE)


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
