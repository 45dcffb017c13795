"""For nbgrader: grades a submission without running a line of it in nbgrader's own process or in a kernel.

In `nbgrader_config.py` it stands in the place of nbgrader's `Execute`. All graded code cells of a notebook are run
apart, several at a time; what students wrote beside their answers is never run.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from nbformat import NotebookNode
from nbgrader import utils  # type: ignore[import-untyped]
from nbgrader.preprocessors import NbGraderPreprocessor  # type: ignore[import-untyped]

from classroom.grading.graded_cell import read_graded_cell
from classroom.grading.nursery import AT_ONCE, nursery
from classroom.verdict import Verdict


class GradeApart(NbGraderPreprocessor):  # type: ignore[misc]
    """Puts each graded cell's verdict where its output would be: text for a pass, an error for a fail."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        for number, (cell, verdict) in enumerate(verdicts(nb), 1):
            cell.execution_count = number
            cell.outputs = [_output(verdict)]
        return nb, resources


def verdicts(notebook: Any) -> list[tuple[Any, Verdict]]:
    """Each auto-graded cell of a submitted notebook with its verdict, in order. Thread-safe."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    graded = [cell for cell in code if utils.is_grade(cell) and not utils.is_solution(cell)]
    answers = [cell.source for cell in code if cell not in graded]
    with nursery() as start, ThreadPoolExecutor(AT_ONCE) as pool:
        found = pool.map(lambda cell: read_graded_cell(cell.source).verdict(answers, start=start), graded)
        return list(zip(graded, found, strict=True))


def _output(verdict: Verdict) -> Any:
    said: dict[str, object]
    if verdict.passed:
        said = {"output_type": "stream", "name": "stdout", "text": f"{verdict}\n"}
    else:
        words = f"⬜ Not yet. {verdict.text}"
        said = {"output_type": "error", "ename": "NotYet", "evalue": verdict.text, "traceback": [words]}
    return NotebookNode(said)  # type: ignore[no-untyped-call]
