"""The Mermaid diagrams of the course, as JupyterLab draws them. It draws each as a picture: an SVG in a data URL."""

from pathlib import Path

import pytest
from lab import Reader

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
WITH_DIAGRAMS = [
    path.relative_to(NOTEBOOKS).with_suffix("").as_posix()
    for pattern in ("*.ipynb", "assignments/source/*/*.ipynb")
    for path in sorted(NOTEBOOKS.glob(pattern))
    if "```mermaid" in path.read_text(encoding="utf-8")
]

# What a reader of the picture stumbles over, in words. A pixel is left to rounding.
FLAWS = """
() => {
    const inPicture = shape => !shape.closest('defs, marker');
    const placed = element => {
        const range = document.createRange();
        range.selectNodeContents(element);
        const {left, right, top, bottom} = (element.matches('foreignObject') ? range : element).getBoundingClientRect();
        return {words: element.textContent.trim(), left, right, top, bottom};
    };
    const texts = [...document.querySelectorAll('text, foreignObject')].filter(inPicture).map(placed)
        .filter(text => text.words);
    const boxes = [...document.querySelectorAll('rect, polygon, circle, ellipse, .node path, foreignObject')]
        .filter(inPicture).map(box => box.getBoundingClientRect()).filter(box => box.width > 1 && box.height > 1);
    const picture = document.documentElement.getBoundingClientRect();
    const meet = (a, b) =>
        Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
        && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
    const within = (text, box) =>
        text.left > box.left - 1 && text.right < box.right + 1
        && text.top > box.top - 1 && text.bottom < box.bottom + 1;
    const flaws = texts.length ? [] : ['no words'];
    texts.forEach((text, index) => {
        if (!within(text, picture)) flaws.push(`"${text.words}" is cut off`);
        if (boxes.some(box => meet(text, box) && !within(text, box))) flaws.push(`"${text.words}" sticks out of a box`);
        for (const other of texts.slice(index + 1)) {
            if (meet(text, other)) flaws.push(`"${text.words}" and "${other.words}" lie on each other`);
        }
    });
    return flaws;
}
"""


@pytest.fixture(scope="module")
def reader(lab, chromium):
    page = chromium.new_page(viewport={"width": 1400, "height": 1000})
    yield Reader(page, lab)
    page.close()


@pytest.fixture(scope="module")
def flaws_of(chromium):
    """What is wrong in a picture, given its address."""
    page = chromium.new_page(viewport={"width": 1600, "height": 1200})

    def flaws_of(address):
        page.goto(address)
        return page.evaluate(FLAWS)

    yield flaws_of
    page.close()


@pytest.mark.parametrize("name", WITH_DIAGRAMS)
def test_every_diagram_is_drawn_and_each_of_its_words_can_be_read(reader, flaws_of, name):
    reader.open(name)
    seen = 0
    for diagram in reader.diagrams():
        assert "jp-mod-warning" not in diagram.get_attribute("class"), diagram.text_content()
        picture = diagram.locator("img")
        assert picture.evaluate("async img => { await img.decode(); return img.naturalWidth; }") > 0
        assert flaws_of(picture.get_attribute("src")) == []
        seen += 1
    assert seen > 0


@pytest.mark.parametrize(
    ("drawing", "flaws"),
    [
        ("<text x='10' y='20'>one</text><text x='60' y='20'>two</text>", []),
        (
            "<text x='10' y='20'>one</text><text x='20' y='22'>two</text>",
            ['"one" and "two" lie on each other'],
        ),
        ("<rect x='5' y='5' width='90' height='20'/><text x='10' y='20'>one</text>", []),
        ("<rect x='5' y='5' width='20' height='20'/><text x='10' y='20'>one</text>", ['"one" sticks out of a box']),
        ("<text x='190' y='20'>one</text>", ['"one" is cut off']),
        ("<rect x='5' y='5' width='20' height='20'/>", ["no words"]),
    ],
    ids=["apart", "on each other", "in a box", "out of a box", "out of the picture", "no words"],
)
def test_what_is_called_a_flaw_is_one(flaws_of, drawing, flaws):
    style = "font: 16px monospace"
    svg = f"<svg xmlns='http://www.w3.org/2000/svg' width='200' height='40' style='{style}'>{drawing}</svg>"
    assert flaws_of(f"data:image/svg+xml,{svg}") == flaws
