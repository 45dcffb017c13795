"""Every exercise: its stub gets a friendly answer, its solution and others pass, and usual wrong answers are named."""

import ast
import asyncio
import inspect

import pytest
from lessons import exercises
from other_right_answers import OTHER_RIGHT_ANSWERS
from wrong_answers import WRONG_ANSWERS

EXERCISES = {str(exercise): exercise for exercise in exercises()}


def check(exercise, answer):
    """Run `answer` in place of the stub, then the check cell; its verdict. Above, only definitions run."""
    namespace = {"__name__": "__main__"}
    for source in exercise.before:
        tree = ast.parse(source)
        tree.body = [
            node
            for node in tree.body
            if isinstance(node, ast.Import | ast.ImportFrom | ast.ClassDef)
            or (isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.decorator_list)
            or (isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant | ast.Name))
        ]
        exec(compile(tree, str(exercise), "exec"), namespace)

    async def main():
        for source in (answer, exercise.check):
            tree = ast.parse(source)
            last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
            await run(tree, "exec")
        return await run(ast.Expression(last.value), "eval")

    async def run(tree, mode):
        value = eval(compile(tree, str(exercise), mode, flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), namespace)
        return await value if inspect.iscoroutine(value) else value

    return asyncio.run(main())


@pytest.mark.parametrize("name", EXERCISES)
def test_the_solution_in_the_notebook_put_into_the_stub_passes_the_check(name):
    verdict = check(EXERCISES[name], EXERCISES[name].solution)
    assert verdict.passed, verdict


@pytest.mark.parametrize(
    ("name", "answer"), [(name, answer) for name, answers in OTHER_RIGHT_ANSWERS.items() for answer in answers]
)
def test_another_right_answer_passes_the_check(name, answer):
    verdict = check(EXERCISES[name], answer)
    assert verdict.passed, verdict


@pytest.mark.parametrize("name", EXERCISES)
def test_the_stub_as_shipped_gets_a_friendly_not_yet(name):
    verdict = check(EXERCISES[name], EXERCISES[name].stub)
    assert not verdict.passed
    assert repr(verdict).startswith("⬜ Not yet: ")


@pytest.mark.parametrize(
    ("name", "answer", "words"), [(name, *wrong) for name, wrongs in WRONG_ANSWERS.items() for wrong in wrongs]
)
def test_a_usual_wrong_answer_is_named_in_words(name, answer, words):
    verdict = check(EXERCISES[name], answer)
    assert not verdict.passed
    assert words in repr(verdict)


@pytest.mark.parametrize("name", EXERCISES)
def test_at_least_two_wrong_answers_of_each_exercise_are_tried(name):
    assert len(WRONG_ANSWERS.get(name, [])) >= 2
