"""The sizes of the lessons, one row each:  python tests/notebooks/style.py

Lines of a code cell are its lines that are not blank; comments count, a cell without any such line does not.

Words a code line are the words of prose in all Markdown cells over the lines in all code cells. A word is anything
between blanks that holds a letter or a digit: a table's bars, a list's dashes and a heading's # are none, and of a link
the words count but not the address. Tables, headings and the sentences of the solutions folded in <details> count, as
they do in the courses from which the bounds were taken. What stands in fenced blocks, the code of a solution or a
diagram, does not count, neither as words nor as lines. Stubs and checks of exercises are code cells as any other.

p90 is the smallest size which nine cells in ten do not exceed. A bound holds for the numbers as they are printed.
"""

from __future__ import annotations

import math
import re
from dataclasses import astuple, dataclass
from statistics import median

from pages import LESSONS, cells, time, without_fences


@dataclass(frozen=True)
class Sizes:
    cells: int
    code_cells: int
    median: float
    p90: int
    most: int
    words_a_line: float
    exercises: int
    minutes: str


def lines(source):
    return sum(bool(line.strip()) for line in source.splitlines())


def words(text):
    text = re.sub(r"\]\([^)\s]+\)", "]", without_fences(text))
    text = re.sub(r"</?\w+>", "", text)
    return sum(bool(re.search(r"\w", word)) for word in text.split())


def sizes(path):
    found = cells(path)
    code = sorted(filter(None, (lines(cell.source) for cell in found if cell.kind == "code")))
    prose = sum(words(cell.source) for cell in found if cell.kind == "markdown")
    return Sizes(
        cells=len(found),
        code_cells=len(code),
        median=median(code or [0]),
        p90=code[math.ceil(0.9 * len(code)) - 1] if code else 0,
        most=max(code, default=0),
        words_a_line=round(prose / (sum(code) or 1), 1),
        exercises=sum("exercise" in cell.tags for cell in found),
        minutes=time(path),
    )


def table():
    row = "{:<24}{:>6}{:>6}{:>8}{:>5}{:>5}{:>12}{:>11}  {}".format
    yield row("lesson", "cells", "code", "median", "p90", "max", "words/line", "exercises", "minutes")
    for path in LESSONS:
        its = sizes(path)
        yield row(path.stem, *astuple(its))


if __name__ == "__main__":
    print(*table(), sep="\n")
