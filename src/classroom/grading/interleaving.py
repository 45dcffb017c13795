"""Races, found every time: one thread is stopped at each of its steps in turn, and another runs meanwhile.

A race that shows once in a million runs shows here in each: two threads, one switch, and every place where the
switch can be.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

_BLOCKED = 0.02  # seconds after which a thread that has not ended is taken to wait for the stopped one
_ENDS = 2.0  # seconds after which a thread is taken to be stuck


class Deadlock(Exception):
    """Two threads wait for each other."""


def all_interleavings(
    arrange: Callable[[], tuple[Callable[[], object], Callable[[], object]]], filename: str = "answer"
) -> Iterator[int]:
    """For each step of a first action: do it up to there, then a second one on another thread, then the rest.

    `arrange()` makes both actions, anew for each round; a round's number is yielded when both have ended, and then
    the caller looks at what came of it. A step is one instruction of code from the file `filename`. `Deadlock` if
    they do not end. An action's error comes out here.
    """
    step, stopped = 0, True
    while stopped:
        step += 1
        first, second = arrange()
        stopped = _run(first, second, step, filename)
        yield step


def _run(first: Callable[[], object], second: Callable[[], object], step: int, filename: str) -> bool:
    """Whether the first action came as far as `step`."""
    there, go_on = threading.Event(), threading.Event()
    left, errors = step, list[BaseException]()

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left
        if frame.f_code.co_filename != filename:
            return None
        frame.f_trace_opcodes = True  # and leave the lines on: without them Python 3.13 and 3.14 tell of no opcode
        if event == "opcode":
            left -= 1
            if left == 0:
                there.set()
                go_on.wait(_ENDS)
        return trace

    def safely(action: Callable[[], object]) -> None:
        try:
            action()
        except BaseException as error:
            errors.append(error)

    def traced() -> None:
        # Python 3.12 looks only here whether opcodes are asked for: https://github.com/python/cpython/issues/103615
        sys._getframe().f_trace_opcodes = True
        sys.settrace(trace)
        try:
            safely(first)
        finally:
            sys.settrace(None)
            there.set()

    stepped = threading.Thread(target=traced, daemon=True)
    other = threading.Thread(target=safely, args=[second], daemon=True)
    stepped.start()
    there.wait(_ENDS)
    stopped = left <= 0
    other.start()
    other.join(_BLOCKED)
    go_on.set()
    stepped.join(_ENDS)
    other.join(_ENDS)
    if stepped.is_alive() or other.is_alive():
        raise Deadlock("two threads wait for each other")
    if errors:
        raise errors[0]
    return stopped
