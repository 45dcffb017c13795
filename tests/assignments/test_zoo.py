"""Wrong submissions lose exactly the points of their mistake, and are told of it; right ones get full marks."""

import pytest
from course import ASSIGNMENTS, Submission, grade, points
from submissions import RIGHT, WRONG


def case(key):
    return " ".join(key) if isinstance(key, tuple) else key


@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_the_reference_gets_full_marks(assignment):
    verdicts = grade(assignment, Submission())
    assert {cell: verdict for cell, verdict in verdicts.items() if not verdict.passed} == {}
    assert verdicts.keys() == points(assignment).keys()


@pytest.mark.parametrize("key", RIGHT, ids=case)
def test_a_right_answer_written_differently_gets_full_marks(key):
    verdicts = grade(key[0], RIGHT[key])
    assert {cell: verdict for cell, verdict in verdicts.items() if not verdict.passed} == {}


@pytest.mark.parametrize("key", WRONG, ids=case)
def test_a_wrong_answer_loses_the_points_of_its_mistake_and_is_told_of_it(key):
    submission = WRONG[key]
    lost = {cell: verdict.text for cell, verdict in grade(key[0], submission).items() if not verdict.passed}
    assert lost.keys() == submission.loses.keys(), lost
    for cell, words in submission.loses.items():
        assert words in lost[cell]
        assert "Read again: lesson" in lost[cell]


@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_every_graded_cell_is_lost_by_some_wrong_answer(assignment):
    lost = {cell for (name, _), submission in WRONG.items() if name == assignment for cell in submission.loses}
    assert points(assignment).keys() - lost == set()


@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_the_zoo_is_large_enough(assignment):
    assert sum(name == assignment for name, _ in WRONG) >= 10
    assert sum(name == assignment for name, _ in RIGHT) >= 3
