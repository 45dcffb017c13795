"""The exercises as they stand in the notebooks: stub, check, and the solution folded below."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@dataclass(frozen=True)
class Exercise:
    lesson: str
    number: int
    before: tuple[str, ...]  # the code cells above it
    stub: str
    check: str
    solution: str

    def __str__(self):
        return f"{self.lesson}-{self.number}"


def exercises():
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        number = 0
        for i, cell in enumerate(cells):
            if "exercise" not in cell["metadata"].get("tags", []):
                continue
            number += 1
            after = "".join("".join(c["source"]) for c in cells[i + 2 :] if c["cell_type"] == "markdown")
            solution = re.search(r"<details>\n<summary>Solution</summary>.*?```python\n(.*?)```", after, re.DOTALL)
            assert solution, f"{path.name}: exercise {number} has no solution folded below its check"
            yield Exercise(
                path.stem,
                number,
                tuple("".join(c["source"]) for c in cells[:i] if c["cell_type"] == "code"),
                "".join(cell["source"]),
                "".join(cells[i + 1]["source"]),
                solution.group(1),
            )
