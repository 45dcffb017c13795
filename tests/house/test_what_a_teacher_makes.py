"""What nbgrader and JupyterLab make in the course folder is no part of the project: git, ruff and pytest pass it by."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COURSE = "notebooks/assignments"
OURS = [f"{COURSE}/README.md", f"{COURSE}/nbgrader_config.py", f"{COURSE}/source/ps1/write_a_token.ipynb"]
NOTEBOOKS = [
    f"{COURSE}/release/ps1/write_a_token.ipynb",
    f"{COURSE}/source_with_tests/ps1/write_a_token.ipynb",
    f"{COURSE}/submitted/bob/ps1/write_a_token.ipynb",
    f"{COURSE}/autograded/bob/ps1/write_a_token.ipynb",
    f"{COURSE}/solution/bob/ps1/write_a_token.ipynb",
    f"{COURSE}/downloaded/ps1/extracted/bob_write_a_token.ipynb",
    f"{COURSE}/exchange/course/inbound/bob+ps1/write_a_token.ipynb",
    f"{COURSE}/source/ps1/.ipynb_checkpoints/write_a_token-checkpoint.ipynb",
    f"{COURSE}/source/.ipynb_checkpoints/write_a_token-checkpoint.ipynb",
]
OTHERS = [
    f"{COURSE}/gradebook.db",
    f"{COURSE}/gradebook.db.2030-01-31-12-00-00.000000",  # of `nbgrader db upgrade`
    f"{COURSE}/gradebook.db-journal",
    f"{COURSE}/grades.csv",
    f"{COURSE}/canvas-export.csv",
    f"{COURSE}/students.csv",
    f"{COURSE}/.nbgrader.log",
    f"{COURSE}/ps1.zip",
    f"{COURSE}/feedback/bob/ps1/write_a_token.html",
    f"{COURSE}/submitted/bob/ps1/timestamp.txt",
    f"{COURSE}/submitted/bob/ps1/helper.py",
    f"{COURSE}/downloaded/ps1/archive/all.zip",
]


def git(*arguments, given=""):
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    run = subprocess.run(["git", *arguments], cwd=ROOT, input=given, capture_output=True, text=True, check=False)
    if run.returncode > 1:
        pytest.skip("not a git checkout")
    return run.stdout.splitlines()


def test_git_ignores_what_is_made_and_nothing_of_ours():
    made = NOTEBOOKS + OTHERS
    assert git("check-ignore", "--no-index", "--stdin", given="\n".join(OURS + made)) == made
    assert git("ls-files", "--cached", "--ignored", "--exclude-standard") == []


@pytest.fixture(scope="module")
def after_a_term(tmp_path_factory):
    """The project's folder without its history, and with all of the above, in which ruff would find faults."""
    folder = tmp_path_factory.mktemp("term")
    shutil.copy(ROOT / "pyproject.toml", folder)
    for helper in ("notebooks/pages.py", "assignments/course.py"):
        (folder / "tests" / helper).parent.mkdir(parents=True)
        shutil.copy(ROOT / "tests" / helper, folder / "tests" / helper)
    cell = {
        "cell_type": "code",
        "id": "a",
        "source": "import os",
        "metadata": {},
        "outputs": [],
        "execution_count": None,
    }
    notebook = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    for name in OURS + NOTEBOOKS + OTHERS:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(notebook) if file.suffix == ".ipynb" else "import os\n" if file.suffix == ".py" else ""
        file.write_text(text, encoding="utf-8")
    return folder


def run(folder, *arguments):
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=False).stdout


def test_ruff_sees_nothing_of_it(after_a_term):
    seen = run(after_a_term, "-m", "ruff", "check", "--show-files").splitlines()
    theirs = [Path(file).relative_to(after_a_term).as_posix() for file in seen]
    assert sorted(file for file in theirs if file.startswith(COURSE)) == OURS[1:]


def test_pytest_collects_nothing_of_it(after_a_term):
    seen = run(after_a_term, "-m", "pytest", "--collect-only", "-q", "notebooks").splitlines()
    assert [line.partition("::")[0] for line in seen if ".ipynb" in line] == OURS[2:]


@pytest.mark.parametrize(
    "expression", ["[str(path) for path in __import__('pages').ASSIGNMENTS]", "__import__('course').ASSIGNMENTS"]
)
def test_the_projects_own_tests_look_at_nothing_of_it(after_a_term, expression):
    code = f"import sys; sys.path[:0] = ['tests/notebooks', 'tests/assignments']; print(*{expression}, sep='\\n')"
    (only,) = run(after_a_term, "-c", code).splitlines()
    assert only in ("ps1", str(after_a_term / OURS[2]))
