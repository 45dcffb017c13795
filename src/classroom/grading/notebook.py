"""For students: `%%grade` runs the visible tests, `%self_check` all of them once more before handing in."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from classroom.grading.graded_cell import GradedCell, read_graded_cell
from classroom.grading.nursery import AT_ONCE, nursery

_kept: _Cells | None = None  # of this kernel


class _NotYet(Exception):
    """A failed test. In a notebook it shows its text alone: the grader's own calls are of no interest there."""

    def _render_traceback_(self) -> list[str]:
        return [f"⬜ Not yet. {self}"]


class _Cells:
    """The text of the cells that have been run, each as it was last."""

    def __init__(self) -> None:
        self._answers: dict[str, str] = {}
        self._graded: dict[str, GradedCell] = {}

    def keep(self, info: Any) -> None:
        """Called before each cell runs."""
        name = info.cell_id or info.raw_cell  # some front ends name no cell
        self._answers.pop(name, None)  # a cell that is run again is now the newest
        if not info.raw_cell.lstrip().startswith(("%%grade", "%self_check")):
            self._answers[name] = info.raw_cell

    def grade(self, line: str, cell: str) -> None:
        """`%%grade 06 Callbacks run newest first`: run the test in this cell; an error if the answer fails it."""
        graded = read_graded_cell(f"%%grade {line}\n{cell}")
        self._graded[graded.title] = graded
        verdict = graded.verdict(self._answers.values())
        if not verdict.passed:
            raise _NotYet(verdict.text)
        print(verdict)

    def self_check(self, line: str) -> None:
        """`%self_check 12`: all tests that were run so far, once more, on the code as it is now; 12 is their number."""
        cells = list(self._answers.values())
        with nursery() as start, ThreadPoolExecutor(AT_ONCE) as pool:
            verdicts = list(pool.map(lambda graded: graded.verdict(cells, start=start), self._graded.values()))
        for verdict in verdicts:
            print(verdict)
        passed, known = sum(verdict.passed for verdict in verdicts), int(line)
        print(f"\n{passed} of {known} visible tests pass. The hidden ones ask the same with other values.")
        if len(verdicts) < known:
            print(f"{known - len(verdicts)} have not been run yet: choose Run All Cells, then look here again.")


def install(shell: Any) -> None:
    """Make the magics known to this kernel, and keep the text of every cell from here on. Twice is as good as once."""
    global _kept
    if _kept is None:
        _kept = _Cells()
        shell.events.register("pre_run_cell", _kept.keep)
    shell.register_magic_function(_kept.grade, "cell", "grade")
    shell.register_magic_function(_kept.self_check, "line", "self_check")
