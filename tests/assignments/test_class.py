"""`python -m classroom.grading` on a class in which much went wrong: everybody is graded whose notebook can be read."""

import csv
import os
import shutil
import subprocess
import sys

import nbformat
import pytest
from course import COURSE
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output, new_raw_cell

RIGHT = "def work():\n    return 1"


def cell(grade_id, source, **nbgrader):
    nbgrader = {"schema_version": 3, "grade_id": grade_id, "grade": False, "solution": False, "task": False} | nbgrader
    return new_code_cell(source, metadata={"nbgrader": nbgrader})


def graded_cell(number):
    text = f"%%grade 06 Work number {number}\ncompare('work()', work(), 1)"
    return cell(f"test-{number}", text, grade=True, locked=True, points=number)


def small(answer=RIGHT):
    """An assignment of two answers and three tests, worth six points."""
    answers = [cell("answer-work", answer, solution=True, locked=False)]
    answers += [cell("answer-more", "more = 1", solution=True, locked=False)]
    return new_notebook(cells=[new_code_cell("'title'"), *answers, *map(graded_cell, (1, 2, 3))])


def without_metadata(notebook):
    for one in notebook.cells:
        one.metadata.pop("nbgrader", None)
    return notebook


def with_copies(notebook):
    notebook.cells += [new_code_cell(one.source, metadata=one.metadata) for one in notebook.cells]
    return notebook


def with_a_cell_of_another_assignment(notebook):
    notebook.cells.append(cell("test-of-ps9", "pass", grade=True, locked=True, points=5))
    return notebook


def without_an_answer_and_its_test(notebook):
    del notebook.cells[2:4]
    return notebook


def with_scripts(notebook):
    script = "<script>ran()</script>"
    notebook.cells += [new_markdown_cell(f"*Because* {script}"), new_raw_cell(f"so {script}"), new_code_cell("1")]
    notebook.cells[-1].outputs = [new_output("display_data", {"text/html": script, "application/javascript": "ran()"})]
    notebook.metadata.title = script
    return notebook


def of_a_newer_nbgrader(notebook):
    notebook.cells[1].metadata.nbgrader["schema_version"] = 99
    return notebook


DAMAGED = [without_metadata, with_copies, with_a_cell_of_another_assignment, without_an_answer_and_its_test]
REFUSED = {  # by student, what is said of the notebook
    "empty": "not graded: empty: NotJSONError: Notebook does not appear to be JSON",
    "html": "not graded: html: NotJSONError: Notebook does not appear to be JSON",
    "newer": "not graded: newer: One or more notebooks in the assignment use an newer version",
    "nothing": "not graded: nothing: No notebooks were matched by",
    "yesterday": "not graded: yesterday: its timestamp.txt holds no time (Unknown string format: yesterday). Write one",
}


class Class:
    def __init__(self, folder):
        self.folder = folder
        shutil.copy(COURSE / "nbgrader_config.py", folder)
        self.write(small("### BEGIN SOLUTION\ndef work():\n    return 1\n### END SOLUTION"), "source", "small")
        self.run("nbgrader", "generate_assignment", "small", "--create").check_returncode()

    def write(self, notebook, *places):
        path = self.folder.joinpath(*places, "small.ipynb")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(notebook if isinstance(notebook, str) else nbformat.writes(notebook), encoding="utf-8")
        return path

    def hand_in(self, student, notebook):
        return self.write(notebook, "submitted", student, "small")

    def run(self, module, *arguments):
        command = [sys.executable, "-W", "ignore", "-m", module, *arguments]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=110, check=False)

    def graded(self):
        """What is printed, and by student the points."""
        run = self.run("classroom.grading", "small")
        assert run.stderr == ""
        with open(self.folder / "grades.csv", encoding="utf-8") as file:
            return run.stdout, {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)}

    def feedback(self, student):
        return (self.folder / "feedback" / student / "small" / "small.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def handed_out(tmp_path_factory):
    return Class(tmp_path_factory.mktemp("class"))


@pytest.fixture(scope="module")
def graded(handed_out):
    handed_out.hand_in("aaron", small())
    handed_out.hand_in("zoe", small("def work():\n    raise ValueError(chr(0xd800))"))
    for damage in DAMAGED:
        handed_out.hand_in(damage.__name__, damage(small()))
    handed_out.hand_in("scripts", with_scripts(small()))
    handed_out.hand_in("empty", "")
    handed_out.hand_in("html", "<html>Please log in.</html>")
    handed_out.hand_in("newer", of_a_newer_nbgrader(small()))
    handed_out.hand_in("nothing", "").unlink()
    handed_out.hand_in("yesterday", small()).with_name("timestamp.txt").write_text("yesterday")
    return handed_out.graded()


def test_a_notebook_that_cannot_be_read_costs_nobody_else_the_grade_and_is_named_with_the_reason(graded, handed_out):
    said, grades = graded
    assert [words for words in REFUSED.values() if words not in said] == []
    assert said.count("not graded: ") == len(REFUSED)
    assert grades["aaron"] == 6
    assert "aaron                    6 of 6" in said
    assert "✅ Work number 3" in handed_out.feedback("aaron")


def test_an_error_with_half_a_character_costs_its_own_points_and_has_its_feedback(graded, handed_out):
    assert graded[1]["zoe"] == 0
    assert "it raised ValueError: \\ud800 in" in handed_out.feedback("zoe").replace("&#39;", "'")


@pytest.mark.parametrize("damage", DAMAGED, ids=lambda damage: damage.__name__)
def test_all_tests_are_graded_in_a_notebook(damage, graded, handed_out):
    assert graded[1][damage.__name__] == 6
    assert all(f"✅ Work number {number}" in handed_out.feedback(damage.__name__) for number in (1, 2, 3))


def test_no_script_of_a_submission_is_stored_or_shown_and_its_words_and_points_are(graded, handed_out):
    stored = handed_out.folder / "autograded" / "scripts" / "small" / "small.ipynb"
    for text in (stored.read_text(encoding="utf-8"), handed_out.feedback("scripts")):
        assert "ran()" not in text
        assert "<em>Because</em>" in text
    assert graded[1]["scripts"] == 6


def test_git_ignores_all_that_the_commands_have_made(graded, handed_out):
    names = [path.relative_to(handed_out.folder) for path in handed_out.folder.rglob("*") if path.is_file()]
    made = sorted(str(name) for name in names if name.parts[0] not in ("source", "nbgrader_config.py"))
    assert {name.partition("/")[0] for name in made} >= {
        "release",
        "autograded",
        "feedback",
        "gradebook.db",
        "grades.csv",
    }
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    git = ["git", "check-ignore", "--no-index", "--stdin"]
    run = subprocess.run(git, cwd=COURSE, input="\n".join(made), capture_output=True, text=True, check=False)
    if run.returncode > 1:
        pytest.skip("not a git checkout")
    assert run.stdout.splitlines() == made


def test_what_is_handed_in_anew_is_graded_anew_with_or_without_a_timestamp(handed_out, graded):
    handed_out.hand_in("anew", small("def work():\n    return 2"))
    assert handed_out.graded()[1]["anew"] == 0
    path = handed_out.hand_in("anew", small())
    os.utime(path, (0, 0))  # as an archive or a mail program may write it
    said, grades = handed_out.graded()
    assert grades["anew"] == 6
    assert "Not yet." not in handed_out.feedback("anew")
    assert "--student=anew" in said
    assert "--student=aaron" not in said  # he is left alone
    said, _ = handed_out.graded()
    assert "--student=anew" not in said
