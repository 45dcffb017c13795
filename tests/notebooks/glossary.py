"""The glossary: its terms, and where the lessons link them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pages import ROOT, cells, links, without_code

GLOSSARY = ROOT / "notebooks" / "glossary.ipynb"


@dataclass(frozen=True)
class Term:
    name: str
    text: str
    lesson: str  # the file name of the lesson that teaches it

    @property
    def anchor(self):
        return self.name.replace(" ", "-")

    def __str__(self):
        return self.anchor


def terms(path=GLOSSARY):
    """The terms in the order of the glossary, one a cell."""
    found = []
    for cell in cells(path)[1:]:
        entry = re.fullmatch(r"## (.+)\n\n(.+)\n\n\*Lesson:\* \[.+\]\((.+)\)", cell.source, re.DOTALL)
        assert entry, f"not a term, its meaning and its lesson: {cell.source!r}"
        found.append(Term(*entry.groups()))
    return found


def index(path=GLOSSARY):
    """What the first cell leads to, in its order."""
    return links(cells(path)[0].source)


def linked(lesson):
    """The glossary's anchors that a lesson links, in its order."""
    text = "\n\n".join(cell.source for cell in cells(lesson) if cell.kind == "markdown")
    return [target.partition("#")[2] for _, target in links(text) if target.startswith("glossary.ipynb#")]


def cells_too_late(term, lesson):
    """How many Markdown cells say the linked word before the one that links it. The opening and headings are free."""
    prose = [cell.source for cell in cells(lesson) if cell.kind == "markdown"]
    for number, text in enumerate(prose):
        word = next((words for words, target in links(text) if target == f"glossary.ipynb#{term.anchor}"), None)
        if word:
            says = re.compile(rf"\b{re.escape(word.strip('*'))}\b", re.IGNORECASE)
            return sum(bool(says.search(without_headings(before))) for before in prose[1:number])
    return 0


def without_headings(text):
    return re.sub(r"^#+ .*$", "", without_code(text), flags=re.MULTILINE)
