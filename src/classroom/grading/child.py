"""The process in which an answer meets a test: `python -m classroom.grading.child`, a job on stdin, a report on stdout.

Whatever the answer does, one of three things ends it: the test's end, the watch at `limit`, or the parent.
"""

from __future__ import annotations

import ast
import asyncio
import builtins
import inspect
import json
import linecache
import os
import random
import sys
import threading
import time
import traceback
import warnings
from contextlib import suppress
from importlib import import_module
from types import CodeType, FrameType, ModuleType
from typing import NoReturn

from classroom.grading import time_travel, tools
from classroom.grading.job import Job
from classroom.verdict import Verdict

MEMORY = 1 << 30  # bytes
WATCH = "grading-watch"  # the thread that looks at the clock
_COMPANIONS = frozenset({WATCH})
_PATIENCE = 0.5  # seconds for threads to end after the test
_SHARED = (asyncio, asyncio.events, time, threading, random)  # whoever patches these patches them for everybody


class Report:
    """One line of JSON on the descriptor that was stdout, once; whoever comes second is not heard."""

    def __init__(self) -> None:
        self._descriptor = os.dup(1)
        os.dup2(2, 1)  # what the answer prints goes where errors go; the parent reads it, and counts
        self._free = threading.Lock()

    def begin(self) -> None:
        os.write(self._descriptor, b"\n")  # imports are over: the limit counts from here

    def end(self, verdict: Verdict) -> NoReturn:
        self._free.acquire()
        os.write(self._descriptor, json.dumps([verdict.passed, verdict.text[:3000]]).encode() + b"\n")
        os._exit(0)  # no thread, task or exit handler of the answer has a say in it


class Trial:
    """One answer, one test."""

    def __init__(self, job: Job) -> None:
        self.ended = threading.Event()  # the test's; what remains is bounded
        self._job = job
        self._loop = time_travel.TimeTravelLoop(_COMPANIONS)
        asyncio.set_event_loop(self._loop)
        time_travel.let_all_see_the_time_of(self._loop)
        self._main = threading.get_ident()
        self._unawaited: list[str] = []
        warnings.simplefilter("always")
        warnings.showwarning = self._on_warning  # type: ignore[assignment]
        self._as_it_was = [(module, dict(vars(module))) for module in _SHARED]

    def run(self) -> Verdict:
        try:
            self._loop.run_until_complete(self._run())
            self.ended.set()
            self._loop.run_until_complete(self._put_pool_away())
        except tools.NotYet as not_yet:
            verdict = Verdict(False, str(not_yet))
        except BaseException as error:
            verdict = Verdict(False, self._in_words(error))
        else:
            verdict = self._after()
        if patched := self._patched():
            return Verdict(
                False,
                f"your code replaces `{patched}`, which all code in a process shares. Leave the module as it is, and "
                "give your function what it needs as a parameter.",
            )
        if not verdict.passed and self._unawaited:
            return Verdict(False, f"{verdict.text} And {self._unawaited[0]}: write `await` in front of the call.")
        return verdict

    async def _run(self) -> None:
        answer = ModuleType("answer")
        sys.modules["answer"] = answer
        await _execute(self._job["answer"], "answer", vars(answer))
        theirs = {name: value for name, value in vars(answer).items() if name not in vars(builtins)}
        await _execute(self._job["test"], "test", theirs | {name: getattr(tools, name) for name in tools.__all__})

    async def _put_pool_away(self) -> None:
        """As `asyncio.run` does at its end: who awaited `asyncio.to_thread` has left nothing behind."""
        await asyncio.wait({self._loop.create_task(self._loop.shutdown_default_executor())}, timeout=_PATIENCE)

    def _after(self) -> Verdict:
        until = time.monotonic() + _PATIENCE
        for thread in self._threads():
            thread.join(max(0, until - time.monotonic()))
            if thread.is_alive():
                return Verdict(
                    False,
                    f"it does what it should, but leaves a thread behind ({thread.name}) that goes on for ever. "
                    "Let it look at the token, and wait for its end.",
                )
        return Verdict(True, "")

    def _threads(self) -> list[threading.Thread]:
        """Those that the answer started."""
        ours = {WATCH, "cancellation-timers"}
        return [one for one in threading.enumerate() if one.ident != self._main and one.name not in ours]

    def _patched(self) -> str | None:
        for module, names in self._as_it_was:
            for name, value in names.items():
                if not name.startswith("_") and vars(module).get(name) is not value:
                    return f"{module.__name__}.{name}"
        return None

    def _on_warning(self, message: Warning | str, category: type[Warning], *_: object) -> None:
        if "was never awaited" in str(message):
            self._unawaited.append(str(message).replace("coroutine ", "the coroutine "))

    def _in_words(self, error: BaseException) -> str:
        """What came out of the answer, or out of the test for lack of a fitting answer."""
        where = _place([frame for frame, _ in traceback.walk_tb(error.__traceback__)])
        if isinstance(error, NameError) and not where and error.name is not None:
            return f"there is no `{error.name}`.{self._unreadable()}"
        if isinstance(error, NotImplementedError):
            return f"this is not written yet: it raised NotImplementedError{where}."
        if isinstance(error, AssertionError) and not where:
            return str(error) or "an assertion of the test failed."
        if isinstance(error, SystemExit | KeyboardInterrupt):
            return (
                f"it raised {type(error).__name__}{where}. That ends the whole program, not a piece of work: raise "
                "OperationCanceledError."
            )
        if isinstance(error, MemoryError):
            return f"it used more than {MEMORY >> 30} GiB of memory{where}."
        if isinstance(error, time_travel.EverybodyWaits):
            return f"it waits for ever{self._where_tasks_wait()}: nothing is left that could wake it."
        if isinstance(error, SyntaxError):
            return f"your code cannot be read: {error.msg}, line {error.lineno}: {(error.text or '').strip()!r}."
        if isinstance(error, RuntimeError) and "Event loop stopped before" in str(error):
            return "it stopped the event loop, on which everybody else's work runs as well."
        used = "" if where else "used as the task says, "
        return f"{used}it raised {type(error).__name__}: {error}{where}."

    def _unreadable(self) -> str:
        if self._job["unreadable"]:
            return f" A cell cannot be read as Python: {self._job['unreadable'][0]}."
        return " Keep the name that the task gave, at the beginning of a line."

    def stuck(self) -> Verdict:
        """Where the answer is when the time is over. Called on the watch's thread."""
        frames = sys._current_frames()
        where = _place(_stack(frames.get(self._main)))
        if where:
            said = f"it blocks its thread{where}, so that nobody else gets a turn, and no cancel can arrive."
        elif where := self._where_tasks_wait():
            said = f"it still waits{where}."
        else:
            places = [_place(_stack(frame)) for ident, frame in frames.items() if ident != threading.get_ident()]
            said = f"it still waits{next(filter(None, places), '')}."
        if threads := self._threads():
            said += f" It has started a thread ({threads[0].name}) that still runs."
        return Verdict(False, f"it did not end within {self._job['limit']:g} s: {said}")

    def _where_tasks_wait(self) -> str:
        for task in asyncio.all_tasks(self._loop):
            frames = []
            waits: object = task.get_coro()
            while waits is not None:
                frames.append(getattr(waits, "cr_frame", None) or getattr(waits, "ag_frame", None))
                waits = getattr(waits, "cr_await", None) or getattr(waits, "ag_await", None)
            if where := _place([frame for frame in frames if isinstance(frame, FrameType)]):
                return where
        return ""


async def _execute(source: str, filename: str, namespace: dict[str, object]) -> None:
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    code = compile(source, filename, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    assert isinstance(code, CodeType)
    namespace["__builtins__"] = __builtins__
    result = eval(code, namespace)
    if inspect.isawaitable(result):
        await result


def _stack(frame: FrameType | None) -> list[FrameType]:
    """From the outermost in."""
    frames = []
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return frames[::-1]


def _place(frames: list[FrameType]) -> str:
    """Where in the answer that is, in words; an empty text if it is not in the answer."""
    for frame in reversed(frames):
        if frame.f_code.co_filename == "answer":
            line = linecache.getline("answer", frame.f_lineno).strip()
            return f" in `{frame.f_code.co_qualname}`, at `{line}`"
    return ""


def import_what_is_named_in(source: str) -> None:
    """Libraries take their time to load; that time is not the answer's."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        else:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for name in names:
            with suppress(Exception):  # where it is not there, the import itself will say so
                import_module(name)


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    try:
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    except (ValueError, OSError):  # macOS
        return


def run(job: Job) -> NoReturn:
    """Try the job, report on standard output, and end the process."""
    report = Report()
    import_what_is_named_in(job["answer"])
    import_what_is_named_in(job["test"])
    _limit_memory()
    trial = Trial(job)

    def watch() -> None:
        if not trial.ended.wait(job["limit"]):
            report.end(trial.stuck())

    threading.Thread(target=watch, name=WATCH, daemon=True).start()
    report.begin()
    report.end(trial.run())


if __name__ == "__main__":
    run(json.load(sys.stdin))
