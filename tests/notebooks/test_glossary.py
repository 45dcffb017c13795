import re

import nbformat
import pytest
from glossary import GLOSSARY, cells_too_late, index, linked, terms
from pages import LESSONS, ROOT
from style import words

TERMS = terms()


def test_terms_stand_in_the_order_of_the_alphabet_and_the_index_leads_to_each():
    assert [term.name for term in TERMS] == sorted((term.name for term in TERMS), key=str.lower)
    assert index() == [(term.name, f"#{term.anchor}") for term in TERMS]


def test_there_are_enough_terms_and_not_too_many_to_read():
    assert 20 <= len(TERMS) <= 30


@pytest.mark.parametrize("term", TERMS, ids=str)
def test_a_term_is_explained_in_a_few_short_sentences(term):
    assert 2 <= len(re.findall(r"[.?!:](?=\s|\"|$)", term.text)) <= 6
    assert words(term.text) <= 65


@pytest.mark.parametrize("term", TERMS, ids=str)
def test_the_lesson_that_teaches_a_term_links_it(term):
    assert term.anchor in linked(GLOSSARY.with_name(term.lesson))


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_links_its_terms_near_their_first_use(path):
    late = {term.name: cells_too_late(term, path) for term in TERMS}
    assert {name: cells for name, cells in late.items() if cells > 2} == {}


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_links_a_term_once(path):
    assert sorted(linked(path)) == sorted(set(linked(path)))


@pytest.mark.parametrize("path", [LESSONS[0], ROOT / "README.md"], ids=lambda path: path.stem)
def test_the_glossary_is_found_from_the_front_pages(path):
    assert "glossary.ipynb)" in path.read_text(encoding="utf-8")


@pytest.fixture
def write(tmp_path):
    def write(name, *texts):
        cells = [nbformat.v4.new_markdown_cell(text) for text in texts]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / name)
        return tmp_path / name

    return write


@pytest.fixture
def oven(write):
    return terms(
        write("glossary.ipynb", "# Glossary", "## Hot oven\n\nIt is hot.\n\n*Lesson:* [02 Heat](02_heat.ipynb)")
    )[0]


def test_a_term_is_read_from_its_cell(oven, write):
    assert (oven.name, oven.text, oven.lesson, oven.anchor) == ("Hot oven", "It is hot.", "02_heat.ipynb", "Hot-oven")
    with pytest.raises(AssertionError, match="not a term"):
        terms(write("glossary.ipynb", "# Glossary", "## Hot oven\n\nIt is hot."))


def test_the_links_of_a_lesson_are_found(write):
    text = "An [oven](glossary.ipynb#Oven), a **[hot oven](glossary.ipynb#Hot-oven)**, a `[fire](glossary.ipynb#Fire)`."
    assert linked(write("02_heat.ipynb", "# 2 · Heat", text)) == ["Oven", "Hot-oven"]


def test_a_link_far_behind_the_first_use_is_found(oven, write):
    uses = ["# 2 · Heat\n\nThe hot oven", "A Hot oven.", "## Hot oven", "`hot oven`", "Hot ovens, a hot oven."]
    assert cells_too_late(oven, write("02_heat.ipynb", *uses, "A [hot oven](glossary.ipynb#Hot-oven).")) == 2
    assert cells_too_late(oven, write("02_heat.ipynb", *uses[:1], "A [hot oven](glossary.ipynb#Hot-oven).")) == 0
