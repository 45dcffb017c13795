"""Wrong answers that people really give, by exercise: the answer, and words that must be in the check's verdict."""

from wrong_answers import lesson_02, lesson_06, lesson_07

WRONG_ANSWERS = {
    **lesson_02.WRONG_ANSWERS,
    **lesson_06.WRONG_ANSWERS,
    **lesson_07.WRONG_ANSWERS,
}
