"""Runs an answer and a test in a process of their own, and brings back a verdict, whatever the answer does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import IO

from classroom.grading.answer import answer_to
from classroom.grading.job import Job
from classroom.verdict import Verdict

LIMIT = 5.0  # seconds
FLOOD = 1_000_000  # bytes that an answer may print
_START = 60.0  # seconds for Python to start, on however busy a machine
_GRACE = 2.0  # seconds after the limit for the child to say where it is


@dataclass(frozen=True, slots=True)
class Child:
    """A process that tries a job. `end` ends it and all that it started; twice is as good as once."""

    report: IO[bytes]  # a line when it begins, and one with the verdict
    printed: IO[bytes]
    end: Callable[[], None]


Start = Callable[[Job, str], Child]  # in this folder


def run_apart(test: str, cells: Iterable[str], *, limit: float = LIMIT, start: Start | None = None) -> Verdict:
    """Run the source text `test` against the definitions in `cells` that it names, for at most `limit` seconds.

    Passed if the test comes to its end; else the verdict's text says what was seen. The answer is never run in this
    process, nor can it outlive this call (on Windows, processes that it started can). `start` makes its process:
    a fresh one, or one of a `Nursery`. Blocks the calling thread; thread-safe.
    """
    answer = answer_to(test, cells)
    job = Job(answer=answer.source, unreadable=list(answer.unreadable), test=test, limit=limit)
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        child = (start or fresh_process)(job, folder)
        try:
            return _verdict_of(child, limit)
        finally:
            child.end()


def fresh_process(job: Job, folder: str) -> Child:
    """A Python of its own for one job: on every system, and from any state of this process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "classroom.grading.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None

    def end() -> None:
        if process.returncode is None:
            end_group(process.pid)
        process.kill()
        process.wait()

    with process.stdin:
        process.stdin.write(json.dumps(job).encode())
    return Child(process.stdout, process.stderr, end)


def end_group(leader: int) -> None:
    """End a process that leads a session, and all that it started, where the system has such groups."""
    if os.name == "posix":
        with suppress(ProcessLookupError):
            os.killpg(leader, signal.SIGKILL)


def _verdict_of(child: Child, limit: float) -> Verdict:
    report = _Reader(child.report, lines=2)
    printed = _Reader(child.printed, at_most=FLOOD, when_more=child.end)
    report.begun.wait(_START)
    ended = report.ended.wait(limit + _GRACE)
    child.end()  # and with it whoever else holds its pipes open
    report.join(_GRACE)
    printed.join(_GRACE)
    if printed.is_too_much:
        return Verdict(False, f"it printed more than {FLOOD:,} characters, and was stopped. Print less.")
    if not ended:
        return Verdict(False, f"it did not end within {limit:g} s, in a call that nothing can interrupt.")
    try:
        passed, text = json.loads(report.text)
        text = text.encode(errors="backslashreplace").decode()  # a lone surrogate could be stored nowhere
    except ValueError:
        said = printed.text.decode(errors="replace").strip().splitlines()[-1:]
        return Verdict(False, f"it ended its whole process in the middle of the test{f': {said[0]}' if said else '.'}")
    return Verdict(passed, text)


class _Reader(threading.Thread):
    """Reads a pipe to its end, so that nobody waits for it to be read; keeps only the beginning."""

    def __init__(
        self, pipe: IO[bytes], *, lines: int = 0, at_most: int = FLOOD, when_more: Callable[[], None] | None = None
    ) -> None:
        super().__init__(daemon=True)
        self.text = b""
        self.begun = threading.Event()
        self.ended = threading.Event()  # the pipe, or so many lines
        self.is_too_much = False
        self._pipe = pipe
        self._lines = lines
        self._at_most = at_most
        self._when_more = when_more
        self.start()

    def run(self) -> None:
        count = 0
        with self._pipe as pipe:
            while part := os.read(pipe.fileno(), 65536):
                self.begun.set()
                count += len(part)
                if len(self.text) < 10_000:
                    self.text += part
                if self._lines and self.text.count(b"\n") >= self._lines:
                    self.ended.set()
                if count > self._at_most and not self.is_too_much:
                    self.is_too_much = True
                    if self._when_more is not None:
                        self._when_more()
        self.begun.set()
        self.ended.set()
