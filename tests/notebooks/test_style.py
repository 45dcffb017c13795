import nbformat
import pytest
import rules
from guard import KERNELSPEC
from pages import ASSIGNMENTS, LESSONS, NOTEBOOKS, READMES, ROOT
from style import Sizes, sizes, table


def each(paths):
    return pytest.mark.parametrize("path", paths, ids=lambda path: str(path.relative_to(ROOT).with_suffix("")))


@each(LESSONS)
def test_code_comes_in_small_cells_with_enough_words_between(path):
    assert rules.size(path) == []


@each(LESSONS)
def test_a_lesson_opens_with_its_questions_its_minutes_and_what_one_needs(path):
    assert rules.opening(path) == []


@each(LESSONS)
def test_there_is_something_to_see_or_click_within_the_first_five_cells(path):
    assert rules.something_to_see_soon(path) == []


@each(LESSONS)
def test_five_numbered_lines_can_be_taken_away(path):
    assert rules.take_away(path) == []


@each(LESSONS)
def test_a_table_says_what_the_lesson_used_in_dotnets_words(path):
    assert rules.dotnet_table(path) == []


@each(LESSONS)
def test_the_last_line_leads_to_the_lesson_before_and_the_one_behind(path):
    assert rules.neighbours(path) == []


@each(LESSONS)
def test_every_exercise_has_a_goal_a_stub_a_check_and_a_folded_solution_that_says_why(path):
    assert rules.exercises(path) == []


@each(NOTEBOOKS + ASSIGNMENTS)
def test_every_diagram_has_a_title_and_its_words_below(path):
    assert rules.diagrams(path) == []


@each(NOTEBOOKS + ASSIGNMENTS + READMES)
def test_every_picture_has_its_words(path):
    assert rules.pictures(path) == []


@each(NOTEBOOKS + ASSIGNMENTS + READMES)
def test_every_relative_link_leads_to_a_file_and_a_heading_that_exist(path):
    assert rules.relative_links(path) == []


@each(NOTEBOOKS)
def test_nothing_clears_outputs_or_patches_the_loop_where_it_should_not(path):
    assert rules.banned(path) == []


def test_the_command_prints_a_row_for_every_lesson():
    rows = list(table())
    assert rows[0].startswith("lesson ")
    assert [row.split()[0] for row in rows[1:]] == [path.stem for path in LESSONS]


# A lesson as it should be. Cells are divided by a line with ---; code begins with >>>, an exercise's stub with ??>.
GOOD = """
# 3 · Bread

**This lesson answers**

- Why bread?
- What is
  in it?

**Minutes:** 5 to read and run, 10 for the exercises. **You need:** [02 The token](02_b.ipynb).
---
>>> 1 + 1
---
## Exercises

### Exercise 1: more bread

**Goal:** let `bread` return bread.
---
??> def bread(): ...
---
>>> from classroom.checks.lesson_03 import check_bread
---
<details>
<summary>Solution</summary>

```python
def bread(): return "bread"
```

That is bread.

</details>

### Exercise 2: less bread

**Goal:** let `bread` return nothing,
and [see above](#Take-away) `x[1](nowhere)`.
---
??> def bread(): ...
---
>>> from classroom.checks.lesson_03 import check_no_bread
---
*To read again:* [02](02_b.ipynb#Words-of-old)

<details>
<summary>Solution</summary>

```python
def bread(): pass
```

Nothing.

</details>

![A loaf of bread](loaf.png)

```mermaid
flowchart TD
    accTitle: Flour becomes bread
    flour --> bread
```

*In words: flour becomes bread.*

## Take away

1. One
2. Two
3. Three
4. Four
5. Five

| .NET | Python, in this course |
|---|---|
| `a | b` | `c` |

**Previous:** [02 Words](02_b.ipynb) ·
**Next:** back to [02 Words](02_b.ipynb)
"""
PICTURE = [nbformat.v4.new_output("display_data", {"image/png": "iVBORw0KGgo=", "text/plain": "<Figure>"})]


def write(path, text):
    cells = []
    for source in text.strip().split("\n---\n"):
        if not source.startswith((">>> ", "??> ")):
            cells.append(nbformat.v4.new_markdown_cell(source))
            continue
        cells.append(nbformat.v4.new_code_cell(source[4:]))
        if source == ">>> 1 + 1":
            cells[-1]["outputs"] = [nbformat.v4.new_output("execute_result", {"text/plain": "2"}, execution_count=1)]
        if "plot" in source:
            cells[-1]["outputs"] = PICTURE
        if source == ">>> Figure()":
            cells[-1]["outputs"] = [nbformat.v4.new_output("display_data", {"text/plain": "<Figure size 7x3>"})]
        if source.startswith("??> "):
            cells[-1]["metadata"]["tags"] = ["exercise"]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": KERNELSPEC}), path)
    return path


@pytest.fixture
def lesson(tmp_path):
    """Writes a lesson that follows an older one, with a picture beside it."""
    (tmp_path / "loaf.png").touch()
    write(tmp_path / "02_b.ipynb", "# 2 · Words\n\n## Words of `old`")
    return lambda text=GOOD: write(tmp_path / "03_bread.ipynb", text)


def complaints(rule, path):
    """The rule's complaints about a lesson that has one other before it."""
    return (
        rules.neighbours(path, [path.with_name("02_b.ipynb"), path])
        if rule == "neighbours"
        else getattr(rules, rule)(path)
    )


RULES = [
    "opening",
    "something_to_see_soon",
    "take_away",
    "dotnet_table",
    "neighbours",
    "exercises",
    "diagrams",
    "pictures",
    "relative_links",
    "banned",
]


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_has_nothing_to_say_about_a_good_lesson(lesson, rule):
    assert complaints(rule, lesson()) == []


@pytest.mark.parametrize(
    ("rule", "good", "bad", "says"),
    [
        ("opening", "# 3 · Bread", "# Bread", "the title is not"),
        ("opening", "# 3 · Bread", "# 4 · Bread", "the title is not"),
        ("opening", "- What is\n  in it?\n", "", "not two or three questions"),
        ("opening", "- Why bread?", "- Bread.", "not two or three questions"),
        ("opening", "- Why bread?", "- Why?\n- Who?\n- Why bread?", "not two or three questions"),
        ("opening", "5 to read and run, 10 for the exercises", "15", "no **Minutes:**"),
        ("opening", ", 10 for the exercises", "", "the minutes for the exercises are not named apart"),
        ("opening", "**You need:**", "Needs", "no **You need:**"),
        ("something_to_see_soon", ">>> 1 + 1", ">>> one = 1", "none of the first five cells"),
        ("take_away", "5. Five\n", "", "Take away has the lines ['1', '2', '3', '4']"),
        ("take_away", "5. Five\n", "5. Five\n6. Six\n", "Take away has the lines"),
        ("take_away", "## Take away", "## The end", "no ## Take away"),
        ("dotnet_table", "| .NET | Python, in this course |", "| .NET | Python |", "no table"),
        ("dotnet_table", "| `a | b` | `c` |", "| `a` |", "rows of the .NET table"),
        ("neighbours", "**Previous:** [02 Words]", "**Previous:** [02 Old]", "the last line is"),
        ("neighbours", "**Previous:** [02 Words](02_b.ipynb) ·", "", "the last line is"),
        ("exercises", "### Exercise 2: ", "### Exercise 3: ", "exercise 2 has no heading"),
        ("exercises", "**Goal:** let `bread` return bread.", "Return bread.", "exercise 1 has no **Goal:**"),
        ("exercises", "let `bread` return bread.", "bread, " * 40, "exercise 1 has no **Goal:**"),
        (
            "exercises",
            "\n---\n>>> from classroom.checks.lesson_03 import check_bread",
            "",
            "exercise 1 has no check cell",
        ),
        (
            "exercises",
            "<details>\n<summary>Solution</summary>\n\n```python\ndef bread(): pass",
            "",
            "exercise 2 has no sol",
        ),
        ("exercises", "def bread(): pass", "pass\n```\n\n```python\npass", "exercise 2 has not exactly one block"),
        ("exercises", "That is bread.", "", "exercise 1 has a solution without a word"),
        (
            "exercises",
            "??> def bread(): ...\n---\n>>> from classroom.checks.lesson_03 import check_no",
            ">>> 1",
            "1 exer",
        ),
        ("exercises", "## Exercises\n", "", "no ## Exercises"),
        ("diagrams", "    accTitle: Flour becomes bread\n", "", "a diagram without accTitle"),
        ("diagrams", "*In words: flour becomes bread.*", "Bread.", "a diagram without its words"),
        ("pictures", "![A loaf of bread]", "![]", "a picture whose alt text"),
        ("pictures", "![A loaf of bread]", "![loaf]", "a picture whose alt text"),
        ("pictures", "![A loaf of bread](loaf.png)", '<img src="loaf.png">', "a picture whose alt text"),
        ("pictures", "---\n>>> 1 + 1", "---\n>>> plot()", "a drawn picture"),
        ("pictures", ">>> 1 + 1", ">>> Figure()", "a picture that is named, but not to be seen"),
        ("relative_links", "(loaf.png)", "(crumb.png)", "crumb.png leads to no file"),
        ("relative_links", "(02_b.ipynb)", "(04_c.ipynb)", "04_c.ipynb leads to no file"),
        ("relative_links", "#Words-of-old", "#words-of-old", "02_b.ipynb#words-of-old leads to no heading"),
        ("relative_links", "(#Take-away)", "(#Takeaway)", "#Takeaway leads to no heading"),
        ("banned", ">>> 1 + 1", ">>> clear_output()", "clear_output in"),
        ("banned", ">>> 1 + 1", ">>> import nest_asyncio", "nest_asyncio in"),
    ],
)
def test_a_rule_finds_the_lesson_that_breaks_it(lesson, rule, good, bad, says):
    assert good in GOOD
    (first, *_) = complaints(rule, lesson(GOOD.replace(good, bad)))
    assert says in first


@pytest.mark.parametrize("beside", ["*In words:* up.", "| a | b |\n|---|---|\n| 1 | 2 |"])
def test_a_drawn_picture_needs_words_or_a_table_beside_it(lesson, beside):
    assert rules.pictures(lesson(f"# 3 · Bread\n---\n>>> plot()\n---\n{beside}")) == []


def test_nest_asyncio_may_stand_in_the_last_code_cell_of_lesson_05(tmp_path):
    assert (
        rules.banned(write(tmp_path / "05_loops_and_scripts.ipynb", ">>> 1 + 1\n---\n>>> nest_asyncio.apply()")) == []
    )
    assert (
        rules.banned(write(tmp_path / "05_loops_and_scripts.ipynb", ">>> nest_asyncio.apply()\n---\n>>> 1 + 1")) != []
    )


def cut(lines_of_code, words, times):
    return "\n---\n".join(
        ["word " * words + "\n---\n>>> " + "\n".join(["x = 1", "", *["x = 2"] * (lines_of_code - 1)])] * times
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (cut(3, 50, 15), None),
        (cut(3, 50, 12), "24 cells"),
        (cut(3, 50, 33), "66 cells"),
        (cut(1, 20, 15), "1 lines in the median"),
        (cut(5, 90, 15), "5 lines in the median"),
        (cut(3, 60, 12) + "\n---\n" + cut(11, 130, 2), "11 lines in nine of ten"),
        (cut(3, 60, 14) + "\n---\n" + cut(21, 300, 1), "21 lines in the longest"),
        (cut(3, 30, 15), "10.0 words a code line"),
        (cut(3, 90, 15), "30.0 words a code line"),
    ],
)
def test_the_sizes_of_a_lesson_have_bounds(lesson, text, says):
    found = rules.size(lesson(text))
    assert (says is None and found == []) or any(says in complaint for complaint in found)


COUNTED = """
# A *short* title

- one `two` [three four](no-words)

| five | - |
|---|---|

```python
no words
```

<details>
<summary>Six</summary>

Seven is eight.

</details>
---
>>> x = 1

# why
"""


def test_sizes_count_what_they_say_they_count(lesson):
    assert sizes(lesson(COUNTED)) == Sizes(
        cells=2, code_cells=1, median=2, p90=2, most=2, words_a_line=6.0, exercises=0, minutes="?"
    )
    assert sizes(lesson()).minutes == "5 + 10"
