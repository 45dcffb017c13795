import nbformat
import pytest
from course_map import expected, rows
from pages import LESSONS, ROOT, markdown

MAP = rows(markdown(LESSONS[0]))
README = rows(markdown(ROOT / "README.md"))


def test_the_map_on_the_front_page_says_what_the_lessons_say_of_themselves():
    assert [(lesson, after, minutes) for lesson, _, after, minutes in MAP] == expected(here=LESSONS[0])


def test_the_readme_says_what_the_lessons_say_of_themselves():
    assert [(lesson, after, minutes) for lesson, _, after, minutes in README] == expected("notebooks/")


def test_map_and_readme_tell_the_same_of_what_each_lesson_teaches():
    assert [what for _, what, _, _ in MAP] == [what for _, what, _, _ in README]
    assert all(len(what.split()) >= 4 for _, what, _, _ in MAP)


@pytest.fixture
def lessons(tmp_path):
    openings = {
        "00_start": "# The Start\n\n**Minutes:** 10 to read and click. **You need:** nothing.",
        "02_bread": "# 2 · Good bread\n\n**Minutes:** 20 to read and run, 10 for the exercises. **You need:**\n"
        "[00](00_start.ipynb), and `a.b` flour. [01](01_a.ipynb) is not needed.",
        "03_oven": "# 3 · Oven\n\n**Minutes:** 5 to read and run, 15 for the exercises. **You need:**\n"
        "[00](00_start.ipynb) to\n[02](02_bread.ipynb).\n\n[01](01_a.ipynb)",
    }
    for stem, text in openings.items():
        cells = [nbformat.v4.new_markdown_cell(text)]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / f"{stem}.ipynb")
    return sorted(tmp_path.glob("*.ipynb"))


def test_a_row_is_made_of_a_lessons_own_opening(lessons):
    assert expected("n/", lessons=lessons) == [
        ("[00 Start](n/00_start.ipynb)", "–", "10"),
        ("[02 Good bread](n/02_bread.ipynb)", "00", "20 + 10"),
        ("[03 Oven](n/03_oven.ipynb)", "00–02", "5 + 15"),
    ]
    assert expected(here=lessons[0], lessons=lessons)[0][0] == "**00 Start**"


def test_rows_are_read_as_they_are_written():
    table = "| Lesson | What it teaches | After | Minutes |\n|---|---|---|---|\n| [02](x) | a `b` | 00 | 5 |"
    assert rows(f"Text\n\n{table}\n\n| c |") == [("[02](x)", "a `b`", "00", "5")]
    assert rows("no table") == []
