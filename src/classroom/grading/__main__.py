"""A whole class in one command, in the course's folder: `python -m classroom.grading ps1`.

Runs nbgrader's `autograde`, `generate_feedback` and `export` for that assignment, then lists who has how many points,
and how long it took. What has been graded before and not been handed in anew is not graded again.
"""

from __future__ import annotations

import sys
import time
import warnings

from nbgrader.api import Gradebook  # type: ignore[import-untyped]
from nbgrader.apps import AutogradeApp, ExportApp, GenerateFeedbackApp  # type: ignore[import-untyped]


def main(assignment: str) -> None:
    started = time.monotonic()
    warnings.simplefilter("ignore")  # nbgrader's own, of its database
    for app, *arguments in (
        (AutogradeApp, assignment),
        (GenerateFeedbackApp, assignment),
        (ExportApp, "--to=grades.csv"),
    ):
        print("nbgrader", app.name.removeprefix("nbgrader-").replace("-", "_"), *arguments, flush=True)
        app.launch_instance([*arguments, "--log-level=ERROR"])
        app.clear_instance()
    took = time.monotonic() - started
    with Gradebook("sqlite:///gradebook.db") as gradebook:
        submissions = gradebook.assignment_submissions(assignment)
        for one in sorted(submissions, key=lambda submission: submission.student.id):
            by_hand = "   + what you grade by hand" if one.needs_manual_grade else ""
            print(f"{one.student.id:<20} {one.score:5g} of {one.max_score:g}{by_hand}")
    print(f"{len(submissions)} submissions of {assignment} in {took:.0f} s: see grades.csv, and the folder feedback.")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("Which assignment? For example: python -m classroom.grading ps1")
    main(sys.argv[1])
