"""The table of lessons, as the front page and the README show it, and as the lessons' own openings say."""

from __future__ import annotations

import re

from pages import LESSONS, markdown, name, time

HEAD = "| Lesson | What it teaches | After | Minutes |"


def rows(text):
    """The rows of the table of lessons: (lesson, what it teaches, after which, minutes), each as it is written."""
    table = re.search(re.escape(HEAD) + r"\n\|[-|]+\|\n((?:\|.+\|\n)+)", text + "\n")
    return (
        [tuple(field.strip() for field in row.strip("|").split("|")) for row in table[1].splitlines()] if table else []
    )


def after(lesson):
    """The lessons that one needs, from the first sentence of **You need:**, such as "02, 06" or "02–08"."""
    needs = re.search(r"\*\*You need:\*\*\s(.+?)(?:\.\s|\.?\Z|\n\n)", markdown(lesson), re.DOTALL)
    numbers = re.sub(r"\[[^\]]*\]\((\d\d)_[^)]*\)", r"<\1>", needs[1]) if needs else ""
    return ", ".join(re.findall(r"\d\d(?:–\d\d)?", re.sub(r">\s+to\s+<", "–", numbers))) or "–"


def expected(folder="", here=None, lessons=LESSONS):
    """(lesson, after which, minutes) of every row; `here` is the lesson that shows the table, so not linked."""
    names = {lesson: f"[{name(lesson)}]({folder}{lesson.name})" for lesson in lessons}
    if here:
        names[here] = f"**{name(here)}**"
    return [(names[lesson], after(lesson), time(lesson)) for lesson in lessons]
