"""Spelling: misspelt words by codespell's lists, and one English for the prose, another for the names in code."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tokenize
from pathlib import Path

import codespell_lib
from pages import cells, markdown, without_code

# American words that a British text may hold as well: in another sense, or in both spellings.
ALSO_BRITISH = {
    "dialog",
    "focused",
    "judgment",
    "license",
    "meter",
    "practice",
    "program",
    "stories",
    "story",
    "writable",
}


def american():
    """American words and their British forms. Words in -ize are left out: "authorize" is .NET's, and Oxford's."""
    pairs = (Path(codespell_lib.__file__).parent / "data" / "dictionary_en-GB_to_en-US.txt").read_text().split()
    words = {american: british for british, american in (pair.split("->") for pair in pairs)}
    words |= {"canceler": "canceller", "cancelers": "cancellers"}
    return {word: words[word] for word in words if "iz" not in word and word not in ALSO_BRITISH}


def misspelt(*files):
    """codespell's findings, a line each: the file, the line, the word and what it should be."""
    command = [sys.executable, "-m", "codespell_lib", *files]
    run = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert run.returncode in (0, 65), run.stderr  # 65: found some
    return run.stdout.splitlines()


def as_text(notebook, folder):
    """A file of all that a notebook says: its Markdown, its code, and what it printed; but no pictures' bytes."""
    parts = [text for cell in cells(notebook) for text in (cell.source, cell.printed())]
    file = folder / f"{notebook.stem}.txt"
    file.write_text("\n\n".join(parts), encoding="utf-8")
    return file


def american_words(path):
    """American spelling in prose. What stands between backticks is code, and keeps .NET's and Python's names."""
    british = american()
    found = re.findall(r"[a-z]+", without_code(markdown(path)).lower())
    return [f"{word} is {british[word]} in prose" for word in found if word in british]


def british_names(path):
    """Names that this code makes and spells "cancelled". .NET's is "canceled"; Python's own are attributes."""
    british, found = re.compile("cancelled|cancelling|canceller", re.IGNORECASE), []
    for source in sources(path):
        before = ""
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            name = token.string
            if token.type == tokenize.NAME and british.search(name) and before != "." and name != "CancelledError":
                found.append(name)
            before = name
    return found


def sources(path):
    """Python texts: a whole module, or the code cells of a notebook."""
    if path.suffix == ".py":
        return [path.read_text(encoding="utf-8")]
    return [cell.source for cell in cells(path) if cell.kind == "code" and not cell.source.startswith("%%")]
