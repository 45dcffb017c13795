"""Do one thing in the midst of another: at each point where a signal handler, or another thread, could come in."""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import cancellation

PACKAGE = str(Path(cancellation.__file__).parent)

# CPython looks for signals, and lets another thread go on, where a function begins, after a call, and where a loop
# turns back.
AFTER = ("RESUME", "CALL", "PRECALL", "JUMP_BACKWARD", "POP_JUMP_BACKWARD")
# Without the GIL another thread may come in anywhere; what it does is seen or overtaken by these instructions.
SHARED = ("LOAD_ATTR", "STORE_ATTR", "LOAD_METHOD", "CALL", "BINARY_S", "STORE_S", "CONTAINS", "BEFORE_WITH")


def interrupted(work: Callable[[], object], meanwhile: Callable[[], object], at: int, anywhere: bool = False) -> bool:
    """Do `work`; call `meanwhile` at the `at`-th of the points, in our package, at which Python would run the handler
    of a signal. False if there are fewer. `anywhere`: before each instruction that looks at or changes an object."""
    points = 0

    def step(frame: FrameType, event: str, _: object) -> Any:
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        code = frame.f_code.co_code
        before = "RESUME"  # the instruction that this frame has just done

        def step_on(frame: FrameType, event: str, _: object) -> Any:
            nonlocal points, before
            if event == "opcode":
                now = dis.opname[code[frame.f_lasti]]
                if now.startswith(SHARED) if anywhere else before.startswith(AFTER) and now != "CALL":
                    points += 1
                    if points == at:
                        meanwhile()
                before = now
            return step_on

        frame.f_trace = step_on  # before the next line: Python 3.13 looks at it there
        frame.f_trace_opcodes = True
        return step_on

    tracing = sys.gettrace()
    sys._getframe().f_trace_opcodes = True  # Python 3.12 asks for it here, too
    sys.settrace(step)
    try:
        work()
    finally:
        sys.settrace(tracing)
    return points >= at


def at_every_point(
    make: Callable[[], tuple[Callable[[], object], Callable[[], object], Callable[[], None]]], anywhere: bool = False
) -> int:
    """`make` returns work, what is done in the midst of it, and a check afterwards. Tries every point; how many."""
    at = 0
    while True:
        at += 1
        work, meanwhile, check = make()
        if not interrupted(work, meanwhile, at, anywhere):
            return at - 1
        try:
            check()
        except AssertionError as error:
            error.add_note(f"(at point {at})")
            raise
