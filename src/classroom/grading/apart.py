"""Runs an answer and a test in a process of their own, and brings back a verdict, whatever the answer does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from tempfile import TemporaryDirectory
from typing import IO

from classroom.grading.answer import answer_to
from classroom.verdict import Verdict

LIMIT = 5.0  # seconds
FLOOD = 1_000_000  # bytes that an answer may print
_START = 60.0  # seconds for Python to start, on however busy a machine
_GRACE = 2.0  # seconds after the limit for the child to say where it is


def run_apart(test: str, cells: Iterable[str], *, limit: float = LIMIT) -> Verdict:
    """Run the source text `test` against the definitions in `cells` that it names, for at most `limit` seconds.

    Passed if the test comes to its end; else the verdict's text says what was seen. The answer is never run in this
    process, nor can it outlive this call (on Windows, processes that it started can). Blocks the calling thread;
    thread-safe.
    """
    answer = answer_to(test, cells)
    job = {"answer": answer.source, "unreadable": answer.unreadable, "test": test, "limit": limit}
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "classroom.grading.child"],  # -P: no module from the folder
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            start_new_session=True,
        )
        try:
            return _verdict_of(process, json.dumps(job).encode(), limit)
        finally:
            _end(process)


def _verdict_of(process: subprocess.Popen[bytes], job: bytes, limit: float) -> Verdict:
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    report = _Reader(process.stdout)
    printed = _Reader(process.stderr, at_most=FLOOD, when_more=process.kill)
    with process.stdin:
        process.stdin.write(job)
    report.begun.wait(_START)
    try:
        process.wait(limit + _GRACE)
    except subprocess.TimeoutExpired:
        return Verdict(False, f"it did not end within {limit:g} s, in a call that nothing can interrupt.")
    _end(process)  # and with it whoever else holds its pipes open
    report.join(_GRACE)
    printed.join(_GRACE)
    if printed.is_too_much:
        return Verdict(
            False, f"it printed more than {FLOOD:,} characters, and was stopped. Print less, and less often."
        )
    try:
        passed, text = json.loads(report.text)
    except ValueError:
        said = printed.text.decode(errors="replace").strip().splitlines()[-1:]
        return Verdict(False, f"it ended its whole process in the middle of the test{f': {said[0]}' if said else '.'}")
    return Verdict(passed, text)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it and all that it started, and put its pipes away."""
    if os.name == "posix":
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


class _Reader(threading.Thread):
    """Reads a pipe to its end, so that nobody waits for it to be read; keeps only the beginning."""

    def __init__(self, pipe: IO[bytes], at_most: int = 100_000, when_more: object = None) -> None:
        super().__init__(daemon=True)
        self.text = b""
        self.begun = threading.Event()
        self.is_too_much = False
        self._pipe = pipe
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
                if count > self._at_most and not self.is_too_much:
                    self.is_too_much = True
                    if callable(self._when_more):
                        self._when_more()
        self.begun.set()
