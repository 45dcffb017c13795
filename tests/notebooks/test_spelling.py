import nbformat
import pytest
import spelling
from pages import ASSIGNMENTS, NOTEBOOKS, READMES, ROOT

TOKEN = sorted((ROOT / "src" / "cancellation").glob("*.py"))


def each(paths):
    return pytest.mark.parametrize("path", paths, ids=lambda path: str(path.relative_to(ROOT).with_suffix("")))


def test_no_word_of_a_notebook_is_misspelt(tmp_path):
    assert spelling.misspelt(*[spelling.as_text(path, tmp_path) for path in NOTEBOOKS + ASSIGNMENTS]) == []


def test_no_word_of_the_readmes_and_the_packages_is_misspelt():
    assert spelling.misspelt(*READMES, ROOT / "src", ROOT / "Makefile", ROOT / "pyproject.toml") == []


@each(NOTEBOOKS + ASSIGNMENTS + READMES)
def test_prose_is_british(path):
    assert spelling.american_words(path) == []


@each(NOTEBOOKS + TOKEN)
def test_names_in_code_are_dotnets(path):
    assert spelling.british_names(path) == []


@pytest.fixture
def notebook(tmp_path):
    def make(prose, code, printed=""):
        cells = [nbformat.v4.new_markdown_cell(prose), nbformat.v4.new_code_cell(code)]
        cells[1]["outputs"] = [nbformat.v4.new_output("stream", text=printed)]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "made.ipynb")
        return tmp_path / "made.ipynb"

    return make


@pytest.mark.parametrize("texts", [("I recieve it", "1"), ("One", "# recieve it"), ("One", "1", "recieve it")])
def test_a_misspelt_word_is_found_wherever_it_stands(notebook, tmp_path, texts):
    (found,) = spelling.misspelt(spelling.as_text(notebook(*texts), tmp_path))
    assert "recieve ==> receive" in found


def test_american_prose_is_found_but_not_between_backticks(notebook):
    prose = (
        "The **canceled** order: `token.canceled`.\n\n```\ncanceled\n```\n\nIt was cancelled, in the program's center."
    )
    assert spelling.american_words(notebook(prose, "canceled = 1")) == [
        "canceled is cancelled in prose",
        "center is centre in prose",
    ]


def test_a_name_spelt_in_the_british_way_is_found_but_not_pythons_own(notebook):
    code = "def stop(was_cancelled):\n    cancellation = task.cancelled()  # cancelled\n    raise CancelledError"
    assert spelling.british_names(notebook("", code)) == ["was_cancelled"]
