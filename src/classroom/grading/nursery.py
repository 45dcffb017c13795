"""Many tests at the price of one start: a process that has loaded the libraries, and forks itself for each job.

It runs no line of an answer itself, and has one thread, so that a fork of it is as good as a fresh process. On Linux
only: elsewhere a fork is not safe, or not there, and each job gets a fresh process.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

from classroom.grading.apart import Child, Start, end_group, fresh_process
from classroom.grading.child import import_what_is_named_in, run
from classroom.grading.job import Job

AT_ONCE = 2 * (os.cpu_count() or 1)  # tests: many of them mostly wait
_ANSWERS = 20.0  # seconds for a nursery to answer, libraries and a busy machine included
_HEAD = struct.Struct("!cI")  # b"S" and the length of a job to start, or b"E" and the process to end


@contextmanager
def nursery() -> Iterator[Start]:
    """For `run_apart(…, start=…)`, in any number of threads, inside the block."""
    if sys.platform != "linux":
        yield fresh_process
        return
    nurseries = _Nurseries()
    try:
        yield nurseries.start
    finally:
        nurseries.end()


class _Nurseries:
    """One at a time. An answer can stop or kill its parent: then the next test gets a new one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # one order at a time: each is answered at once
        self._nursery = _Nursery()

    def start(self, job: Job, folder: str) -> Child:
        with self._lock:
            try:
                nursery = self._nursery
                process, report, printed = nursery.start(job, folder)
            except OSError:
                nursery = self._renewed()
                process, report, printed = nursery.start(job, folder)
        ended = threading.Lock()

        def end() -> None:
            if ended.acquire(blocking=False):
                with self._lock:
                    self._end(process, nursery)

        return Child(report, printed, end)

    def _end(self, process: int, nursery: _Nursery) -> None:
        if nursery is self._nursery:
            try:
                nursery.end_child(process)
                return
            except OSError:
                self._renewed()
        end_group(process)  # its nursery is gone

    def _renewed(self) -> _Nursery:
        self._nursery.end()
        self._nursery = _Nursery()
        return self._nursery

    def end(self) -> None:
        self._nursery.end()


class _Nursery:
    """The grading process' end of the line. `OSError` from an order: the nursery is gone, or is silent."""

    def __init__(self) -> None:
        self._line, theirs = socket.socketpair()
        self._line.settimeout(_ANSWERS)
        with theirs:
            # -P: no module from the folder in which we happen to be
            command = [sys.executable, "-P", "-m", "classroom.grading.nursery", str(theirs.fileno())]
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)

    def start(self, job: Job, folder: str) -> tuple[int, IO[bytes], IO[bytes]]:
        """The process, its report, and what it prints."""
        body = json.dumps([job, folder]).encode()
        report, report_there = os.pipe()
        printed, printed_there = os.pipe()
        try:
            socket.send_fds(self._line, [_HEAD.pack(b"S", len(body))], [report_there, printed_there])
            self._line.sendall(body)
            _, process = _HEAD.unpack(_read(self._line, _HEAD.size))
        except OSError:
            os.close(report)
            os.close(printed)
            raise
        finally:
            os.close(report_there)
            os.close(printed_there)
        return process, os.fdopen(report, "rb"), os.fdopen(printed, "rb")

    def end_child(self, process: int) -> None:
        self._line.sendall(_HEAD.pack(b"E", process))
        _read(self._line, _HEAD.size)

    def end(self) -> None:
        self._process.kill()  # even a stopped one ends by that
        self._process.wait()
        self._line.close()


def _read(line: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        part = line.recv(count - len(found))
        if not part:
            raise ConnectionError("the nursery is gone")
        found += part
    return found


def main(line: socket.socket) -> None:
    """The nursery itself: start and end processes until nobody is on the line."""
    while True:
        head, pipes, _, _ = socket.recv_fds(line, _HEAD.size, 2)
        if not head:
            return
        order, number = _HEAD.unpack(head)
        if order == b"E":
            end_group(number)
            os.waitpid(number, 0)
            line.sendall(head)
            continue
        job, folder = json.loads(_read(line, number))
        with suppress(Exception):  # where it cannot be read, the child will say so
            import_what_is_named_in(job["test"])
        process = os.fork()
        if process == 0:
            line.close()
            _become_child(job, folder, pipes)
        for pipe in pipes:
            os.close(pipe)
        line.sendall(_HEAD.pack(b"S", process))


def _become_child(job: Job, folder: str, pipes: list[int]) -> None:
    os.setsid()
    os.chdir(folder)
    for place, pipe in enumerate(pipes, 1):  # standard output is for the report, standard error for what is printed
        os.dup2(pipe, place)
        os.close(pipe)
    run(job)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as the_line:
        main(the_line)
