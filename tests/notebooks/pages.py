"""The notebooks as a reader finds them: cells in order, the lessons in order, and what a link can point at."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LESSONS = [path for path in NOTEBOOKS if re.match(r"\d\d_", path.name)]  # the glossary is no lesson
ASSIGNMENTS = sorted((ROOT / "notebooks" / "assignments" / "source").glob("[!.]*/*.ipynb"))
READMES = [ROOT / "README.md", ROOT / "src" / "cancellation" / "README.md"]

FENCE = re.compile(r"^(```+)(\w*)\n(.*?)^\1$", re.MULTILINE | re.DOTALL)
CODE_SPAN = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)


@dataclass(frozen=True)
class Cell:
    kind: str
    source: str
    tags: tuple[str, ...]
    outputs: tuple[dict, ...]

    def shows(self, kind):
        return any(kind in output.get("data", {}) for output in self.outputs)

    def printed(self):
        """What the cell printed, and the text of its value."""
        texts = [output.get("text", output.get("data", {}).get("text/plain", "")) for output in self.outputs]
        return "".join("".join(text) for text in texts)


def cells(path):
    """The cells of a notebook; a Markdown file has none."""
    if path.suffix != ".ipynb":
        return []
    return [
        Cell(
            cell["cell_type"],
            "".join(cell["source"]),
            tuple(cell["metadata"].get("tags", ())),
            tuple(cell.get("outputs", ())),
        )
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
    ]


def markdown(path):
    """All the Markdown of a notebook or of a Markdown file."""
    if path.suffix == ".ipynb":
        return "\n\n".join(cell.source for cell in cells(path) if cell.kind == "markdown")
    return path.read_text(encoding="utf-8")


def without_fences(text):
    return FENCE.sub("", text)


def without_code(text):
    """Prose alone: no fenced blocks, no `code` between backticks."""
    return CODE_SPAN.sub("", without_fences(text))


def links(text):
    """The (words, target) of every Markdown link, in order; pictures are no links."""
    # Of `code` the words stay, so that [`delay`](…) is a link; its brackets go, so that `tasks[1](2)` is none.
    text = CODE_SPAN.sub(lambda span: re.sub(r"[`\[\]()]", "", span[0]), without_fences(text))
    return re.findall(r"(?<!!)\[((?:!\[[^\]]*\]\([^)]*\)|[^\[\]])+)\]\(([^)\s]+)\)", text)


def anchors(path):
    """What may stand behind # in a link to this file: JupyterLab's way in a notebook, GitHub's in a Markdown file."""
    headings = [words.replace("`", "") for words in re.findall(r"^#+ (.+?)\s*$", without_fences(markdown(path)), re.M)]
    if path.suffix == ".ipynb":
        return {words.replace(" ", "-") for words in headings}
    return {re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-") for words in headings}


def name(path):
    """A lesson as the others name it: "02 The token" for the one with the title "# 2 · The token"."""
    number, words = path.stem[:2], path.stem[3:].replace("_", " ")
    title = re.match(r"# \d+ · (.+)", cells(path)[0].source)
    return f"{number} {title[1] if title else words.capitalize()}"


def minutes(path):
    """(minutes to read, minutes for the exercises or None), from the lesson's own opening."""
    found = re.search(
        r"\*\*Minutes:\*\* (\d+) to read and (?:run|click)(?:, (\d+) for the (?:exercises|ten patients))?\.",
        markdown(path),
    )
    return (int(found[1]), found[2] and int(found[2])) if found else None


def time(path):
    """The minutes as a table shows them: those to read, and + those for the exercises."""
    read, practise = minutes(path) or ("?", None)
    return f"{read} + {practise}" if practise else str(read)
