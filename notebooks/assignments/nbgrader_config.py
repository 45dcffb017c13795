"""The course as nbgrader sees it. Its commands are run in this folder; README.md lists them."""

import os
import sys
from pathlib import Path

# nbgrader calls `alembic` by name: let it be found also where the environment is not activated.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])

c = get_config()  # noqa: F821  (nbgrader gives it to this file)

c.CourseDirectory.course_id = "art-of-stopping"
c.CourseDirectory.root = str(Path(__file__).parent)
c.CourseDirectory.ignore = [".ipynb_checkpoints", "*.pyc", "__pycache__"]

# Students' code is run in processes of its own, which nothing in it can harm, and not in a kernel.
c.Autograde.autograde_preprocessors = [
    "classroom.grading.autograde.GradeApart",
    "nbgrader.preprocessors.LimitOutput",
    "nbgrader.preprocessors.SaveAutoGrades",
    "nbgrader.preprocessors.AssignLatePenalties",
    "nbgrader.preprocessors.CheckCellMetadata",
]

# Who has deleted a test gets it back, and the points for what it finds; who has copied one has one.
c.Autograde.sanitize_preprocessors = [
    "nbgrader.preprocessors.ClearOutput",
    "nbgrader.preprocessors.DeduplicateIds",
    "nbgrader.preprocessors.OverwriteKernelspec",
    "classroom.grading.autograde.PutTestsBack",
    "classroom.grading.autograde.CleanForThePage",  # what students wrote is shown on pages that act with your rights
    "nbgrader.preprocessors.CheckCellMetadata",
]
c.PutTestsBack.add_missing_cells = True

# A verdict folds at the edge of its box, in the feedback and in the Formgrader; in a notebook it is one line.
c.HTMLExporter.filters = {"ansi2html": "classroom.grading.autograde.folded"}

# What a student sees in the place of a solution.
c.ClearSolutions.code_stub = {"python": "# YOUR CODE HERE\nraise NotImplementedError()"}
c.ClearSolutions.text_stub = "YOUR ANSWER HERE"
