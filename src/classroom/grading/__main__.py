"""A whole class in one command, in the course's folder: `python -m classroom.grading ps1`.

Runs nbgrader's `autograde` and `generate_feedback` for each student, then its `export`, and lists who has how many
points, and how long it took. What has been graded before and not been handed in anew is not graded again. A submission
that cannot be graded costs nobody else's grade: it is named at the end, with the reason.
"""

from __future__ import annotations

import logging
import sys
import textwrap
import time
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nbgrader.api import Gradebook  # type: ignore[import-untyped]
from nbgrader.apps import AutogradeApp, ExportApp, GenerateFeedbackApp  # type: ignore[import-untyped]
from nbgrader.utils import parse_utc  # type: ignore[import-untyped]


def main(assignment: str) -> None:
    started = time.monotonic()
    warnings.simplefilter("ignore")  # nbgrader's own, of its database
    students = sorted(folder.parent.name for folder in Path("submitted").glob(f"*/{assignment}"))
    if not students:
        sys.exit(f"Nobody has handed in {assignment}: there is no folder submitted/<student>/{assignment} here.")
    refused = {student: why for student in students if (why := _grade(student, assignment))}
    print("nbgrader export --to=grades.csv", flush=True)
    if why := _run(ExportApp, "--to=grades.csv"):
        sys.exit(f"grades.csv could not be written: {why}")
    took = time.monotonic() - started
    with Gradebook("sqlite:///gradebook.db") as gradebook:
        submissions = [one for one in gradebook.assignment_submissions(assignment) if one.student.id not in refused]
        for one in sorted(submissions, key=lambda submission: submission.student.id):
            by_hand = "   + what you grade by hand" if one.needs_manual_grade else ""
            print(f"{one.student.id:<20} {one.score:5g} of {one.max_score:g}{by_hand}")
    print(f"{len(submissions)} submissions of {assignment} in {took:.0f} s: see grades.csv, and the folder feedback.")
    for student, why in refused.items():
        print(f"not graded: {student}: {why}")
    if refused:
        sys.exit(1)


def _grade(student: str, assignment: str) -> str:
    """Why that is not possible; an empty text if all went well."""
    if why := _is_no_time(Path("submitted", student, assignment, "timestamp.txt")):
        return why
    anew = ["--force"] if _is_handed_in_anew(student, assignment) else []
    if anew:
        print(f"nbgrader autograde and generate_feedback {assignment} --student={student}", flush=True)
    arguments = [assignment, f"--student={student}", *anew]
    return _run(AutogradeApp, *arguments) or _run(GenerateFeedbackApp, *arguments)


def _is_no_time(timestamp: Path) -> str:
    """nbgrader falls over a timestamp that it cannot read, and does not say so."""
    try:
        if timestamp.exists() and (text := timestamp.read_text(encoding="utf-8").strip()):
            parse_utc(text)
    except (ValueError, OverflowError) as error:
        return f"its timestamp.txt holds no time ({error}). Write one like 2030-01-31 12:00 UTC, or delete the file."
    return ""


def _is_handed_in_anew(student: str, assignment: str) -> bool:
    """nbgrader compares only what a timestamp.txt says, and many submissions have none."""
    handed_in = Path("submitted", student, assignment).glob("*")
    return _newest(handed_in) > _newest(Path("autograded", student, assignment).glob("*.ipynb"))


def _newest(files: Iterable[Path]) -> float:
    """When the last of them came there: for one that was copied or unpacked with its old time, that is `st_ctime`."""
    states = [file.stat() for file in files if file.is_file()]
    return max((max(state.st_mtime, state.st_ctime) for state in states), default=0.0)


def _run(command: Any, *arguments: str) -> str:
    """Run a command of nbgrader. Why it failed, or an empty text."""
    errors = _Errors()
    app = command.instance()
    try:
        app.initialize([*arguments, "--log-level=CRITICAL"])
        app.log.addHandler(errors)
        app.start()
    except (Exception, SystemExit) as error:
        return textwrap.shorten(next(iter(errors.said), repr(error)), 300)
    finally:
        app.log.removeHandler(errors)
        app.clear_instance()
    return ""


class _Errors(logging.Handler):
    """Keeps what nbgrader says of errors; where it says no more than that there was one, what that was."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        message, error = record.getMessage(), sys.exc_info()[1]
        if error is not None and message.startswith(("There was an error", "Traceback")):
            message = f"{type(error).__name__}: {error}"
        self.said.append(message)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("Which assignment? For example: python -m classroom.grading ps1")
    main(sys.argv[1])
