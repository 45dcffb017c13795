"""A graded cell: `%%grade 06 Callbacks run newest first`, and below it the text of a test."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from classroom.grading.apart import LIMIT, Start, run_apart
from classroom.verdict import Verdict

LESSONS = {
    "00": "Start here",
    "01": "Without a token",
    "02": "The token",
    "03": "Cooperation",
    "04": "Waking up",
    "05": "Loops and scripts",
    "06": "Deadlines and links",
    "07": "Threads",
    "08": "Money and cleanup",
    "09": "Services",
    "10": "Cluster",
    "11": "Clinic",
}

_HEAD = re.compile(r"^%%grade[ \t]+(\d\d)[ \t]+(.+)\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class GradedCell:
    title: str  # the one behaviour that it looks at
    lesson: str  # where to read about it
    test: str

    def verdict(self, cells: Iterable[str], *, limit: float = LIMIT, start: Start | None = None) -> Verdict:
        """Of the answer in `cells`; see `run_apart`. The text is a sentence or two, and names the lesson."""
        verdict = run_apart(self.test, cells, limit=limit, start=start)
        if verdict.passed:
            return Verdict(True, self.title)
        return Verdict(False, f"{self.title}: {verdict.text}{self._read_again()}")

    def _read_again(self) -> str:
        return f" Read again: lesson {self.lesson}, {LESSONS[self.lesson]}." if self.lesson else ""


def read_graded_cell(source: str) -> GradedCell:
    """A graded cell without that first line is a test, too. `ValueError` for a lesson that there is not."""
    head = _HEAD.search(source)  # not always the first line: nbgrader writes a note above a cell that it puts back
    if head is None:
        return GradedCell("This test", "", source)
    lesson, title = head.groups()
    if lesson not in LESSONS:
        raise ValueError(f"lesson must be one of {', '.join(LESSONS)}, not {lesson!r}")
    return GradedCell(title.strip(), lesson, source[head.end() :])
