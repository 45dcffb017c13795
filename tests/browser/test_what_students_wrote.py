"""What students wrote, on the pages that nbgrader makes of it: the feedback, and the Formgrader, in which a script
would act with the teacher's rights."""

from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output, new_raw_cell
from written import ALIKE, HONEST, LURKS, PNG, RUNS, SVG

pytest.importorskip("nbgrader", reason="teachers have nbgrader")

from nbconvert.exporters import HTMLExporter
from nbgrader.converters import GenerateFeedback
from nbgrader.coursedir import CourseDirectory
from nbgrader.server_extensions.formgrader import handlers
from traitlets.config import PyFileConfigLoader

from classroom.grading import autograde
from classroom.grading.autograde import CleanForThePage
from classroom.grading.clean import AS_TEXT, CLEANED, QUOTED, Patience, clean_html, clean_markdown, clean_raw

COURSE = Path(__file__).parents[2] / "notebooks" / "assignments"

# Elements, attributes and words with which a text could act, load, hide or imitate something.
SUSPICIOUS = r"""() => {
    const found = [...document.body.querySelectorAll(
        'script, style, link, meta, base, iframe, object, embed, svg, math, form, button, textarea, select, video, ' +
        'audio, input:not([type=checkbox]), .btn, .full-credit')];
    const page = /^(https?:|mailto:|#)/i, picture = /^(data:image\/(png|jpeg);|[\w%]+[^:?]*\.png$)/;
    for (const element of document.body.querySelectorAll('*')) {
        const link = element.getAttribute('href'), source = element.getAttribute('src');
        if (element.getAttributeNames().some(name => name.startsWith('on')) || element.style.position
            || (link !== null && !page.test(link)) || (source !== null && !picture.test(source))) found.push(element);
        // As MathJax reads it: across a <wbr> and a comment, and not in code.
        let text = '';
        for (const node of element.closest('pre, code') ? [] : element.childNodes) {
            if (node.nodeType === Node.TEXT_NODE) text += node.data;
            else if (node.nodeName === 'BR') text += ' ';
            else if (node.nodeName !== 'WBR' && node.nodeType !== Node.COMMENT_NODE) text += '<>';
        }
        const formulas = text.match(/\$[^$]+\$|\\begin\{.*\\end\{/gs) ?? [];
        const macro = /\\(href|class|style|require\{H|bbox|hspace\{-|smash|genfrac\{\}\{\}\{9|renew|def|let|\\\[-)/;
        if (formulas.some(one => macro.test(one) || one.split('\\!').length > 50)) found.push(element);
        if (/px/.test(element.style.textDecoration) || /mathjax/i.test(element.id)) found.push(element);
    }
    return found.map(element => element.outerHTML.slice(0, 200));
}"""

# All that a hand could do, and then a turn for what that has begun.
TOUCH_AND_CLICK = """() => {
    for (const element of document.body.querySelectorAll('*')) {
        for (const event of ['mouseover', 'focus']) element.dispatchEvent(new Event(event, {bubbles: true}));
        if (/^java/i.test(element.protocol ?? '')) element.click();
    }
    return new Promise(resolve => setTimeout(resolve));
}"""

# What an answer shows: its HTML, but for comments and for the spaces in a style.
LOOKS = """() => {
    const answer = document.querySelector('.text_cell_render'), comments = [];
    const all = document.createNodeIterator(answer, NodeFilter.SHOW_COMMENT);
    for (let node; (node = all.nextNode()); ) comments.push(node);
    comments.forEach(node => node.remove());
    answer.querySelectorAll('[style]').forEach(one => one.setAttribute('style', one.style.cssText));
    return answer.innerHTML.trim();
}"""


def exporter(page):
    """As nbgrader makes it for one of its pages, with the settings of the course."""
    config = PyFileConfigLoader("nbgrader_config.py", path=str(COURSE)).load_config()
    if page == "feedback":
        converter = GenerateFeedback(coursedir=CourseDirectory(config=config), config=config)
        exporter = HTMLExporter(config=converter.config)
        for preprocessor in converter.preprocessors:
            if "GetGrades" not in str(preprocessor):  # which wants a grade book
                exporter.register_preprocessor(preprocessor)
        return exporter
    config.HTMLExporter.template_name = "formgrade"
    config.HTMLExporter.extra_template_basedirs = [handlers.template_path]
    return HTMLExporter(config=config)


def cleaned(*cells, metadata=None):
    """A notebook of these cells as the autograder keeps it."""
    notebook = new_notebook(metadata=metadata or {})
    notebook.cells = list(cells)
    return CleanForThePage().preprocess(notebook, {})[0]


@pytest.fixture(scope="module")
def show(chromium, tmp_path_factory):
    """Opens a notebook on one of nbgrader's pages."""
    context = chromium.new_context()
    context.add_init_script("window.ran = () => { window.top.hasRun = true; }")
    exporters = {name: exporter(name) for name in ("feedback", "formgrade")}
    file = tmp_path_factory.mktemp("page") / "page.html"
    page = context.new_page()

    def show(notebook, name="feedback"):
        resources = {"nbgrader": {"notebook": "x", "score": 1, "max_score": 2, "late_penalty": 0}}
        html, _ = exporters[name].from_notebook_node(notebook, resources=resources | {"index": 0, "total": 1})
        file.write_text(html, encoding="utf-8")
        page.goto(file.as_uri())
        page.evaluate(TOUCH_AND_CLICK)
        return page

    yield show
    context.close()


def has_run(page):
    return page.evaluate("Boolean(window.hasRun)")


@pytest.mark.parametrize("what", RUNS | LURKS)
def test_nothing_of_an_answer_runs_or_lurks_on_the_page_that_has(what, show):
    text = (RUNS | LURKS)[what]
    page = show(new_notebook(cells=[new_markdown_cell(text)]))
    assert has_run(page) == (what in RUNS)  # as it was written it does
    assert has_run(page) or page.evaluate(SUSPICIOUS)
    page = show(cleaned(new_markdown_cell(text)))
    assert not has_run(page)
    assert page.evaluate(SUSPICIOUS) == []


@pytest.mark.parametrize("kind", [new_markdown_cell, new_raw_cell], ids=["Markdown", "raw"])
def test_nothing_runs_when_they_come_together_nor_in_the_formgrader(kind, show):
    texts = (RUNS | LURKS).values()
    page = show(cleaned(*map(kind, texts)))
    assert not has_run(page)
    assert page.evaluate(SUSPICIOUS) == []
    assert not has_run(show(cleaned(*map(kind, texts)), "formgrade"))
    if kind is new_markdown_cell:  # the words of a raw cell nbconvert cleans as well, in some of its versions
        assert has_run(show(new_notebook(cells=list(map(kind, texts))), "formgrade"))


@pytest.mark.parametrize("what", HONEST)
def test_an_honest_answer_stays_as_it_was_written(what):
    assert clean_markdown(HONEST[what]) == HONEST[what]


@pytest.mark.parametrize("what", RUNS | LURKS)
def test_what_was_cleaned_stays_as_it_is(what):
    text = clean_markdown((RUNS | LURKS)[what])
    assert clean_markdown(text) == text


@pytest.mark.parametrize("what", HONEST)
def test_beside_a_hostile_part_the_honest_one_looks_as_before(what, show):
    before = show(new_notebook(cells=[new_markdown_cell(HONEST[what])])).evaluate(LOOKS)
    page = show(cleaned(new_markdown_cell(f"{HONEST[what]}\n\n<script>ran()</script>")))
    assert before in page.evaluate(LOOKS)
    assert "HTML in this answer was cleaned for this page" in page.inner_text(".text_cell_render")


ATTACHED = {
    "a picture": {"a.png": {"image/png": PNG}},
    "a drawing": {"a.png": {"image/svg+xml": SVG, "image/png": PNG}},
    "a page": {"a.png": {"text/html": "PHNjcmlwdD5yYW4oKTwvc2NyaXB0Pg=="}},
    "a handler": {"a.png": {'image/png;base64,x" onerror="ran()': PNG}},
    "nothing": {},
}


@pytest.mark.parametrize("what", ATTACHED)
def test_of_what_is_attached_only_pictures_are_shown(what, show):
    text = "![A plot](attachment:a.png)"
    notebook = cleaned(new_markdown_cell(text, attachments=ATTACHED[what]))
    page = show(notebook)
    assert not has_run(page)
    assert page.evaluate(SUSPICIOUS) == []
    assert (notebook.cells[0].source == text) == (what == "a picture")
    assert page.evaluate("[...document.images].some(image => image.naturalWidth > 0)") == (what == "a picture")


@pytest.mark.parametrize("what", ALIKE)
def test_html_that_only_is_written_in_another_way_looks_as_before_and_nothing_is_said(what, show):
    before = show(new_notebook(cells=[new_markdown_cell(ALIKE[what])])).locator(".text_cell_render")
    height, text = before.bounding_box()["height"], before.inner_text()
    after = show(cleaned(new_markdown_cell(ALIKE[what]))).locator(".text_cell_render")
    assert (after.bounding_box()["height"], after.inner_text()) == (height, text)
    assert CLEANED not in clean_markdown(ALIKE[what])


FORMULAS = [
    text for what, text in LURKS.items() if what.startswith("a formula ") and "<" not in text and "&" not in text
]


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_formula_that_does_more_than_show_itself_is_shown_as_its_text_and_the_answer_around_it_stays(formula, show):
    page = show(cleaned(new_markdown_cell(f"**Yes**, {formula}\n\nand $x_1$ and `1 < 2`")))
    assert page.locator(".text_cell_render code").all_text_contents() == [formula, "1 < 2"]
    assert page.inner_text(".text_cell_render strong") == "Yes"
    assert "$x_1$" in page.inner_text(".text_cell_render")
    assert QUOTED in page.inner_text(".text_cell_render")
    assert CLEANED not in page.inner_text(".text_cell_render")


def test_a_path_between_formulas_is_no_formula(show):
    page = show(cleaned(new_markdown_cell("For $x$ it is in C:\\class today, not for $y$.")))
    assert page.inner_text(".text_cell_render").strip() == "For $x$ it is in C:\\class today, not for $y$."


SLOW = {
    "more than anybody writes": "\\begin{a}" * 30_000,
    "brackets": "[" * 19_990,
    "pictures": "![" * 9_990,
    "links": "[a][" * 4_990,
    "formulas in a line": "\\\\(" * 6_660,
    "formulas in lines of their own": "\\\\[" * 6_660,
    "a picture that is none": "data:image/png;base64," + "_" * 30_000,
}


@pytest.mark.parametrize("what", SLOW)
@pytest.mark.parametrize("clean", [clean_markdown, clean_raw])
def test_a_text_that_nbconvert_would_take_seconds_for_is_shown_as_its_text(clean, what, show):
    page = show(new_notebook(cells=[new_markdown_cell(clean(SLOW[what]))]))
    assert page.inner_text("pre") == SLOW[what]
    assert page.locator("pre").evaluate("box => box.scrollWidth <= box.clientWidth")
    assert AS_TEXT in page.inner_text(".text_cell_render")


@pytest.mark.parametrize("clean", [clean_markdown, clean_raw])
def test_a_large_picture_is_no_long_text(clean):
    picture = f"![A plot](data:image/png;base64,{PNG * 1000})"
    assert clean(picture) == picture


def test_when_the_time_for_a_notebook_is_over_the_rest_of_it_is_shown_as_its_text(monkeypatch):
    ticks = iter([0, 1, 3, 5, 7])  # seconds: at the beginning, and before each text
    monkeypatch.setattr(autograde, "Patience", lambda: Patience(5, lambda: next(ticks)))
    notebook = cleaned(*(new_markdown_cell(f"<b onclick=x>{n}</b>") for n in range(2)), *map(new_raw_cell, "34"))
    assert [AS_TEXT in cell.source for cell in notebook.cells] == [False, False, True, True]


def test_the_time_for_a_notebook_has_an_end():
    patience = Patience(0.01)
    assert patience.is_left()
    while patience.is_left():
        pass
    assert not patience.is_left()


def test_nothing_in_the_metadata_or_beside_the_cells_runs_and_no_name_of_the_page_is_taken(show):
    breaks_out = '"><script>ran()</script></script>'
    cells = [
        new_markdown_cell("# answer\n\n# answer-comment\n\n# notebook\n\n# title", metadata={"tags": [breaks_out]}),
        new_markdown_cell("x", metadata={"nbgrader": {"grade_id": "answer", "grade": True, "solution": True}}),
        new_code_cell("1", metadata={"magics_language": breaks_out, "tags": [breaks_out]}),
        new_code_cell(breaks_out),
        nbformat.NotebookNode(id="strange", cell_type=breaks_out, type=breaks_out, source=breaks_out, metadata={}),
    ]
    metadata = {"title": breaks_out, "language_info": {"name": breaks_out, "pygments_lexer": breaks_out}}
    metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": breaks_out}}
    notebook = cleaned(*cells, metadata=metadata)
    assert [cell.cell_type for cell in notebook.cells] == ["markdown", "markdown", "code", "code", "raw"]
    assert breaks_out not in str([notebook.metadata, [cell.metadata for cell in notebook.cells]])
    notebook.cells[1].metadata.nbgrader |= {"score": 1, "points": 2}
    for name in ("feedback", "formgrade"):
        page = show(notebook, name)
        assert not has_run(page)
        assert page.locator(".text_cell_render [id]").evaluate_all("all => all.map(one => one.id)") == ["title"]


def test_what_a_test_says_of_an_answer_is_text_on_the_page_and_folds_in_its_box(show):
    words = f"it raised ValueError: {RUNS['a picture that is not there']} " + "and so on " * 40 + "x" * 300
    outputs = [new_output("error", ename="NotYet", evalue=words, traceback=[words]), new_output("stream", text=words)]
    for name in ("feedback", "formgrade"):
        page = show(new_notebook(cells=[new_code_cell("1", outputs=outputs)]), name)
        assert not has_run(page)
        for width in (1400, 700):
            page.set_viewport_size({"width": width, "height": 900})
            boxes = page.locator(".output pre")
            assert [text.strip() for text in boxes.all_text_contents()] == [words] * 2
            assert boxes.evaluate_all("boxes => boxes.every(box => box.scrollWidth <= box.clientWidth)")
            assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_raw_cell_keeps_its_words(show):
    text = "a < b & c\n<b>bold</b> <i onclick=ran()>slanted</i>"
    page = show(cleaned(new_raw_cell(text)))
    assert "a < b & c bold slanted" in " ".join(page.inner_text("#notebook").split())
    plain = "if 0 < a and 1 < b & c:\n    d <= 3"
    assert clean_raw(plain) == plain


@pytest.mark.parametrize(
    ("html", "left"),
    [
        ("<p>a<b onclick=x>b</b></p>", "<p>a<b>b</b></p>"),
        ("<style>p { color: red }</style>x", "x"),
        ('<span class="k btn">x</span>', '<span class="k">x</span>'),
        ('<td style="position:fixed;text-align:center">x</td>', "x"),
        ('<p style="position:fixed;text-align:center">x</p>', '<p style="text-align:center">x</p>'),
        ('<img src="../up.png" alt="x">', '<img alt="x">'),
        ('<img src="%2e%2e/up.png" alt="x">', '<img alt="x">'),
        ('<h1 id="mine">x</h1><p id="mine">y</p>', '<h1 id="mine">x</h1><p>y</p>'),
        ('<a name="top" id="mjx-eqn-1">x</a>', "<a>x</a>"),
        ('<div class="alert alert-info btn">x</div>', '<div class="alert alert-info">x</div>'),
        ('<img src=".//up.png" alt="x">', '<img alt="x">'),
        ('<img src="./../up.png" alt="x">', '<img alt="x">'),
        ('<p style="color: url(x); font-style: italic">x</p>', '<p style="font-style:italic">x</p>'),
    ],
)
def test_of_html_only_what_shows_something_is_left(html, left):
    assert clean_html(html, taken={"top"}) == left
