"""The assignments as they stand in the course folder, and submissions made from them."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import nbformat

from classroom.grading.answer import answer_to
from classroom.grading.graded_cell import read_graded_cell

COURSE = Path(__file__).parents[2] / "notebooks" / "assignments"
ASSIGNMENTS = sorted({path.parent.name for path in (COURSE / "source").glob("[!.]*/*.ipynb")})


@cache
def notebook_path(assignment):
    (path,) = (COURSE / "source" / assignment).glob("*.ipynb")
    return path


@cache
def source(assignment):
    return nbformat.read(notebook_path(assignment), as_version=4)


def nbgrader_id(cell):
    return cell.metadata.get("nbgrader", {}).get("grade_id")


def answer(assignment, name):
    """The reference's text of the answer cell `name`."""
    (cell,) = (cell for cell in source(assignment).cells if nbgrader_id(cell) == f"answer-{name}")
    return cell.source


def points(assignment):
    """By graded cell, the points; those that are given by hand left out."""
    return {
        nbgrader_id(cell): cell.metadata.nbgrader.points
        for cell in source(assignment).cells
        if cell.cell_type == "code" and cell.metadata.get("nbgrader", {}).get("grade")
    }


@dataclass(frozen=True)
class Submission:
    """The reference with some answers changed.

    `answers`: by answer cell, the whole new text. `changes`: by answer cell, pairs of text to replace in the
    reference's. `loses`: by graded cell, words that the feedback must have; all other cells keep their points.
    `limit`: seconds a test, less than a class gets, for answers that are known to hang.
    """

    answers: dict[str, str] = field(default_factory=dict)
    changes: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    loses: dict[str, str] = field(default_factory=dict)
    limit: float = 5.0

    def notebook(self, assignment):
        notebook = deepcopy(source(assignment))
        for cell in notebook.cells:
            kind, _, name = (nbgrader_id(cell) or "").partition("-")
            if kind != "answer":
                continue
            if name in self.answers:
                cell.source = self.answers[name].strip("\n")
            for old, new in self.changes.get(name, []):
                assert cell.source.count(old) == 1, f"{old!r} is not once in answer-{name}"
                cell.source = cell.source.replace(old, new)
        return notebook


_seen = {}


def grade(assignment, submission, start):
    """By graded cell, the verdict: as nbgrader comes to it with this course's config, but without nbgrader.

    A test and the very statements that it needs are run once: the reference's many parts in the zoo are the same.
    """
    code = [cell for cell in submission.notebook(assignment).cells if cell.cell_type == "code"]
    graded = [cell for cell in code if cell.metadata.get("nbgrader", {}).get("grade")]
    others = [cell.source for cell in code if cell not in graded]

    def verdict(cell):
        test = read_graded_cell(cell.source)
        key = test, answer_to(test.test, others)
        if key not in _seen:
            _seen[key] = test.verdict(others, limit=submission.limit, start=start)
        return nbgrader_id(cell), _seen[key]

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(pool.map(verdict, graded))
