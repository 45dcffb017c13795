"""nbgrader itself, from handing out to grade book, on each assignment: a reference, a blank, a wrong and a wild one.

The rest of the zoo goes without nbgrader (test_zoo.py): its verdicts come from the same code.
"""

import csv
import html
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import nbformat
import pytest
from course import ASSIGNMENTS, COURSE, Submission, nbgrader_id, notebook_path, points, source
from submissions import WRONG

WILD = [  # cells that a student tried things out in, and left; none is part of an answer
    "while True:\n    pass",
    "raise SystemExit",
    "import os\nos._exit(1)",
    "import time\ntime.sleep = lambda seconds: None\ntime.sleep(60)",
    "import asyncio\nwhile True:\n    try:\n        await asyncio.sleep(1)\n    except BaseException:\n        pass",
    "print('x' * 10**9)",
    "this is not Python",
    "%timeit while",
    "x = " + "-" * 20_000 + "1",
    "!true\n" * 501,
    "list = [1, 2]",
    "seen = await prepare_meal(None, None)",
    "Signal().cancel(5)",
    "explain(None).upper()",
]


def wild(notebook):
    """With all of the above, a test rewritten to nothing, its points raised, and another one deleted."""
    first, second, *_ = [i for i, cell in enumerate(notebook.cells) if is_test(cell)]
    notebook.cells[first].source = "pass"
    notebook.cells[first].metadata.nbgrader["points"] = 100
    del notebook.cells[second]
    for text in WILD:
        notebook.cells.insert(3, nbformat.v4.new_code_cell(text))
    return notebook


def is_test(cell):
    return cell.cell_type == "code" and cell.metadata.get("nbgrader", {}).get("grade", False)


def wrong(assignment):
    """The first of the zoo."""
    return next(submission for (name, _), submission in WRONG.items() if name == assignment)


class Course:
    """A copy of the course, in which everything is run for one assignment."""

    def __init__(self, folder, assignment):
        self.folder, self.assignment = folder, assignment
        shutil.copytree(COURSE / "source" / assignment, folder / "source" / assignment)
        shutil.copy(COURSE / "nbgrader_config.py", folder)
        self.name = notebook_path(assignment).name
        self.nbgrader("generate_assignment", assignment, "--create")
        self.release = nbformat.read(folder / "release" / assignment / self.name, as_version=4)
        self.hand_in("reference", Submission().notebook(assignment))
        self.hand_in("blank", self.release)
        self.hand_in("wild", wild(Submission().notebook(assignment)))
        self.hand_in("wrong", wrong(assignment).notebook(assignment))
        self.said = self.run("classroom.grading", assignment).stdout
        with open(folder / "grades.csv", encoding="utf-8") as file:
            self.grades = {row["student_id"]: row for row in csv.DictReader(file)}

    def nbgrader(self, *arguments):
        return self.run("nbgrader", *arguments)

    def run(self, module, *arguments):
        command = [sys.executable, "-W", "ignore", "-m", module, *arguments]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=110, check=True)

    def hand_in(self, student, notebook):
        folder = self.folder / "submitted" / student / self.assignment
        folder.mkdir(parents=True)
        nbformat.write(notebook, folder / self.name)

    def feedback(self, student):
        path = self.folder / "feedback" / student / self.assignment / self.name.replace(".ipynb", ".html")
        return html.unescape(re.sub(r"<[^>]+>", "", path.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def courses(tmp_path_factory):
    with ThreadPoolExecutor(2) as pool:
        yield {name: pool.submit(Course, tmp_path_factory.mktemp(name), name) for name in ASSIGNMENTS}
        pool.shutdown(cancel_futures=True)


@pytest.fixture(params=ASSIGNMENTS)
def course(request, courses):
    return courses[request.param].result()


def secrets(cell):
    """The lines of a source cell that a student must not see."""
    inside, found = False, []
    for line in cell.source.splitlines():
        if re.match(r"\s*### (BEGIN|END) (SOLUTION|HIDDEN TESTS)", line):
            inside = "BEGIN" in line
        elif inside:
            found.append(line.strip())
    if nbgrader_id(cell) and cell.cell_type == "markdown":
        found += cell.source.splitlines()
    return found


def test_the_released_notebook_has_no_solution_and_no_hidden_test(course):
    released = {nbgrader_id(cell): cell.source for cell in course.release.cells if nbgrader_id(cell)}
    hidden = 0
    for cell in source(course.assignment).cells:
        lines = secrets(cell)
        everything = [line.strip() for line in cell.source.splitlines()]
        shown = [line.strip() for line in released.get(nbgrader_id(cell), "").splitlines()]
        assert [line for line in lines if everything.count(line) == 1 and line in shown] == []
        hidden += len(lines)
    assert hidden > 50
    text = nbformat.writes(course.release)
    assert re.search("SOLUTION|HIDDEN", text) is None
    assert all("outputs" not in cell or cell.outputs == [] for cell in course.release.cells)


def test_the_reference_gets_all_points_that_a_machine_gives(course):
    assert float(course.grades["reference"]["score"]) == sum(points(course.assignment).values())


def test_what_is_written_in_words_waits_for_a_human_and_has_its_points(course):
    by_hand = [cell for cell in source(course.assignment).cells if cell.cell_type == "markdown" and nbgrader_id(cell)]
    assert len(by_hand) == 1
    expected = sum(points(course.assignment).values()) + by_hand[0].metadata.nbgrader.points
    assert float(course.grades["reference"]["max_score"]) == expected
    assert re.search(r"reference .* \+ what you grade by hand", course.said)


def test_a_blank_one_gets_nothing_and_is_told_what_is_missing(course):
    assert float(course.grades["blank"]["score"]) == 0
    assert course.feedback("blank").count("this is not written yet") >= len(points(course.assignment)) / 2


def test_neither_what_stands_beside_the_answers_nor_changed_and_deleted_tests_harm_a_grade(course):
    assert course.grades["wild"]["score"] == course.grades["reference"]["score"]
    assert course.grades["wild"]["max_score"] == course.grades["reference"]["max_score"]


def test_a_wrong_one_loses_its_points_and_its_feedback_names_the_mistake(course):
    submission = wrong(course.assignment)
    worth = points(course.assignment)
    assert float(course.grades["wrong"]["score"]) == sum(worth.values()) - sum(worth[cell] for cell in submission.loses)
    feedback = course.feedback("wrong")
    for words in submission.loses.values():
        assert words in feedback
    assert feedback.count("⬜ Not yet.") == len(submission.loses)
    assert "Read again: lesson" in feedback


def test_the_whole_class_and_the_time_are_printed(course):
    assert re.search(rf"4 submissions of {course.assignment} in \d+ s", course.said)


@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_the_table_of_points_in_the_notebook_is_that_of_its_cells(assignment):
    cells = source(assignment).cells
    (table,) = (cell.source for cell in cells if cell.source.startswith("# Problem set"))
    rows = re.findall(r"^\| \d [^|]+\| (\d*) ?\| (\d+) \|$", table, re.MULTILINE)
    assert sum(int(tests) for tests, _ in rows if tests) == len(points(assignment))
    given = [cell.metadata.nbgrader.points for cell in cells if cell.metadata.get("nbgrader", {}).get("grade")]
    assert sum(int(worth) for _, worth in rows) == sum(given)
    (check,) = (cell.source for cell in cells if nbgrader_id(cell) == "self-check")
    assert check == f"%self_check {len(points(assignment))}"


@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_the_graded_cells_are_committed_with_the_verdict_that_they_give(assignment):
    for cell in source(assignment).cells:
        if is_test(cell):
            (output,) = cell.outputs
            assert output.text.startswith("✅ ")
