"""Wrong answers that people really give, by exercise: the answer, and words that must be in the check's verdict."""

import pkgutil
from importlib import import_module

WRONG_ANSWERS = {
    exercise: answers
    for lesson in pkgutil.iter_modules(__path__, f"{__name__}.")
    for exercise, answers in import_module(lesson.name).WRONG_ANSWERS.items()
}
