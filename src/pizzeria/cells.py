"""Running a notebook cell again replaces what it made the first time."""

from __future__ import annotations

import sys
from typing import Protocol

from IPython.core.getipython import get_ipython


class Stoppable(Protocol):
    def stop(self, words: str) -> None: ...


_made: dict[str, tuple[str, list[Stoppable]]] = {}  # by cell: in which run, and what


def replace_earlier_run(new: Stoppable) -> None:
    """Stop what an earlier run of the current cell made. Several of one run live side by side."""
    get_parent = getattr(get_ipython(), "get_parent", None)
    if get_parent is None:  # not in a kernel: no cells, nothing runs again
        return
    request = get_parent()
    run = request.get("header", {}).get("msg_id", "")
    cell = request.get("metadata", {}).get("cellId") or _place_in_main()
    earlier_run, things = _made.get(cell, ("", []))
    if earlier_run != run:
        for thing in things:
            thing.stop("This counter was replaced: its cell was run again.")
        things = []
    _made[cell] = run, [*things, new]


def _place_in_main() -> str:
    """For front ends that do not name the cell: its code's file, which ipykernel names after the code."""
    frame = sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__") != "__main__":
        frame = frame.f_back
    return frame.f_code.co_filename
