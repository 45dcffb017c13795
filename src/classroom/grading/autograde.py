"""For nbgrader: grades a submission without running a line of it in nbgrader's own process or in a kernel.

In `nbgrader_config.py` it stands in the place of nbgrader's `Execute`. All graded code cells of a notebook are run
apart, several at a time; what students wrote beside their answers is never run. Before that, tests that are missing
are put back, and what could act on the pages that show the submission is taken out.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from markupsafe import Markup
from nbconvert.filters import ansi2html
from nbformat import NotebookNode
from nbgrader import utils  # type: ignore[import-untyped]
from nbgrader.preprocessors import NbGraderPreprocessor, OverwriteCells  # type: ignore[import-untyped]

from classroom.grading.apart import Start
from classroom.grading.clean import Patience, clean_markdown, clean_raw, show_as_text
from classroom.grading.graded_cell import read_graded_cell
from classroom.grading.nursery import AT_ONCE, nursery
from classroom.verdict import Verdict


class PutTestsBack(OverwriteCells):  # type: ignore[misc]
    """nbgrader's `OverwriteCells`, also where cells were copied, or have lost the names that nbgrader gave them."""

    def add_missing_grade_cells(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        """Each after the cell that it follows in the source; at the end, if that one is missing as well."""
        for cell in nb.cells:  # a copy, or a cell of another problem set: an ordinary cell
            if not cell.metadata.get("nbgrader", {}).get("grade_id"):
                cell.metadata.pop("nbgrader", None)
        source = self.gradebook.find_notebook(self.notebook_id, self.assignment_id)
        graded = {cell.name: cell for cell in source.grade_cells}
        by_hand = {cell.name for cell in source.solution_cells}
        before = ""
        for cell in source.source_cells:
            there = [one.metadata.get("nbgrader", {}).get("grade_id") for one in nb.cells]
            if cell.name in graded and cell.name not in there:
                place = there.index(before) + 1 if before in there else len(there)
                worth = graded[cell.name].max_score
                nb.cells.insert(place, self.missing_cell_transform(cell, worth, is_solution=cell.name in by_hand))
            before = cell.name
        return nb, resources


class CleanForThePage(NbGraderPreprocessor):  # type: ignore[misc]
    """Leaves nothing in a submission that could act in the Formgrader or in the feedback.

    Its place is after `PutTestsBack`, which drops made-up names of cells, and before anything is written.
    """

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        names = {cell.metadata.get("nbgrader", {}).get("grade_id") for cell in nb.cells}
        taken = _IDS | {f"{name}{ending}" for name in names for ending in ("", "-comment", "_extra_credit")}
        nb.metadata = {"language_info": {"name": "python"}} | _only(("kernelspec",), nb.metadata)
        patience = Patience()
        for cell in nb.cells:
            cell.metadata = _only(("nbgrader", "deletable", "editable"), cell.metadata)
            if cell.cell_type != "code" and not patience.is_left():
                cell.source = show_as_text(cell.source)
            elif cell.cell_type == "markdown":
                cell.source = clean_markdown(cell.source, cell.get("attachments"), taken)
            elif cell.cell_type != "code":
                cell.cell_type, cell.source = "raw", clean_raw(cell.source, taken)
        return nb, resources


_IDS = {"notebook", "notebook-container", "statusmessage", "toc", "top"}  # of nbgrader's pages


def _only(names: tuple[str, ...], metadata: Any) -> Any:
    return NotebookNode({name: metadata[name] for name in names if name in metadata})  # type: ignore[no-untyped-call]


class GradeApart(NbGraderPreprocessor):  # type: ignore[misc]
    """Puts each graded cell's verdict where its output would be: text for a pass, an error for a fail."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        for number, (cell, verdict) in enumerate(verdicts(nb), 1):
            cell.execution_count = number
            cell.outputs = [_output(verdict)]
        return nb, resources


def folded(text: str) -> Markup:
    """nbconvert's filter `ansi2html`, whose text folds at the edge of its box: a verdict is one long line."""
    style = "white-space: pre-wrap; overflow-wrap: anywhere; word-break: normal"
    return Markup(f'<span style="{style}">{ansi2html(text)}</span>')  # type: ignore[no-untyped-call]


def verdicts(notebook: Any) -> list[tuple[Any, Verdict]]:
    """Each auto-graded cell of a submitted notebook with its verdict, in order. Thread-safe."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    graded = [cell for cell in code if utils.is_grade(cell) and not utils.is_solution(cell)]
    answers = [cell.source for cell in code if cell not in graded]
    with nursery() as start, ThreadPoolExecutor(AT_ONCE) as pool:
        found = pool.map(lambda cell: _verdict(cell.source, answers, start), graded)
        return list(zip(graded, found, strict=True))


def _verdict(test: str, answers: list[str], start: Start) -> Verdict:
    """One test that cannot be run costs its own points, and no other's."""
    try:
        return read_graded_cell(test).verdict(answers, start=start)
    except Exception as error:
        return Verdict(False, f"this test could not be run, tell your teacher: {type(error).__name__}: {error}")


def _output(verdict: Verdict) -> Any:
    said: dict[str, object]
    if verdict.passed:
        said = {"output_type": "stream", "name": "stdout", "text": f"{verdict}\n"}
    else:
        words = f"⬜ Not yet. {verdict.text}"
        said = {"output_type": "error", "ename": "NotYet", "evalue": verdict.text, "traceback": [words]}
    return NotebookNode(said)  # type: ignore[no-untyped-call]
