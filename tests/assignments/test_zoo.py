"""Wrong submissions lose exactly the points of their mistake, and are told of it; right ones get full marks."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from course import ASSIGNMENTS, Submission, grade, points
from submissions import RIGHT, WRONG

REFERENCE = {(assignment, "the reference"): Submission() for assignment in ASSIGNMENTS}
ALL = REFERENCE | RIGHT | WRONG


@pytest.fixture(scope="module")
def verdicts(request, start):
    """By submission, the verdicts of those that are to be tested: three at a time, for many of them mostly wait."""
    wanted = [
        item.callspec.params["key"] for item in request.session.items if "verdicts" in getattr(item, "fixturenames", ())
    ]
    with ThreadPoolExecutor(3) as pool:
        yield {key: pool.submit(grade, key[0], ALL[key], start) for key in wanted}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("key", REFERENCE | RIGHT, ids=" ".join)
def test_the_reference_and_right_answers_written_differently_get_full_marks(key, verdicts):
    found = verdicts[key].result()
    assert {cell: verdict for cell, verdict in found.items() if not verdict.passed} == {}
    assert found.keys() == points(key[0]).keys()


@pytest.mark.parametrize("key", WRONG, ids=" ".join)
def test_a_wrong_answer_loses_the_points_of_its_mistake_and_is_told_of_it(key, verdicts):
    lost = {cell: verdict.text for cell, verdict in verdicts[key].result().items() if not verdict.passed}
    assert lost.keys() == WRONG[key].loses.keys(), lost
    for cell, words in WRONG[key].loses.items():
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
