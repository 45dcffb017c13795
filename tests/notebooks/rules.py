"""What readers rely on in every lesson. Each rule answers with what is wrong, in words; an empty list if nothing is."""

from __future__ import annotations

import re
from urllib.parse import unquote

from pages import CODE_SPAN, FENCE, LESSONS, anchors, cells, links, markdown, minutes, name, without_fences
from style import sizes

FIRST = "00_start_here"  # the front page: a tour to click through, and the map; hardly any code, nothing to practise
CLINIC = "11_clinic"  # ten patients, each an exercise

SHORT_GOAL = 240  # characters: two lines of source, which a page shows as one or two


def size(path):
    its = sizes(path)
    first = path.stem == FIRST
    bounds = {
        "cells": (its.cells, (10, 25) if first else (25, 65)),
        "lines in the median code cell": (its.median, (2, 4)),
        "lines in nine of ten code cells at most": (its.p90, (1, 10)),
        "lines in the longest code cell": (its.most, (1, 20)),
        "words a code line": (its.words_a_line, (12, 60) if first else (12, 26)),
    }
    return [
        f"{number} {what}, not {least} to {most}"
        for what, (number, (least, most)) in bounds.items()
        if not least <= number <= most
    ]


def opening(path):
    """Title, two or three questions, minutes, what one needs: all before the reader has scrolled."""
    first = "\n\n".join(cell.source for cell in cells(path)[:5] if cell.kind == "markdown")
    number = int(path.stem[:2])
    title = r"# The Art of Stopping\n" if path.stem == FIRST else rf"# {number} · \S.*\n"
    questions = re.search(r"^\*\*This (?:lesson|page) answers\*\*\n\n((?:- .+\n(?:  .+\n)*)+)", first + "\n", re.M)
    asked = re.split(r"^- ", questions[1], flags=re.M)[1:] if questions else []
    found = []
    if not re.match(title, first):
        found.append(f"the title is not {title!r}")
    if not 2 <= len(asked) <= 3 or not all(one.rstrip().endswith("?") for one in asked):
        found.append(f"not two or three questions under **This lesson answers**: {asked}")
    if minutes(path) is None:
        found.append("no **Minutes:** to read and for the exercises")
    elif (minutes(path)[1] is None) != (path.stem == FIRST):
        found.append("the minutes for the exercises are not named apart")
    if "**You need:**" not in first:
        found.append("no **You need:**")
    return found


def something_to_see_soon(path):
    live = [cell for cell in cells(path)[:5] if cell.kind == "code" and cell.outputs]
    return [] if live else ["none of the first five cells shows a result or something to click"]


def take_away(path):
    text = markdown(path)
    _, heading, after = text.partition("\n## Take away\n")
    numbers = re.findall(r"^(\d+)\. ", after, re.M)
    if not heading:
        return ["no ## Take away"]
    return [] if numbers == list("12345") else [f"Take away has the lines {numbers}, not 1 to 5"]


def dotnet_table(path):
    """The table of what was used, in .NET's words and in ours, behind the take-away."""
    after = markdown(path).partition("\n## Take away\n")[2]
    table = re.search(r"^\| \.NET \| Python, in this course \|\n\|---\|---\|\n((?:\|.+\|\n)+)", after, re.M)
    if not table:
        return ["no table | .NET | Python, in this course | behind Take away"]
    columns = [len(re.split(r"(?<!\\)\|", CODE_SPAN.sub("", row))) - 2 for row in table[1].splitlines()]
    return [] if set(columns) == {2} else [f"rows of the .NET table have {columns} columns"]


def neighbours(path, lessons=LESSONS):
    """The last line leads to the lesson before and to the one behind, as their files are ordered."""
    i = lessons.index(path)
    steps = []
    if i > 0:
        steps.append(f"**Previous:** [{name(lessons[i - 1])}]({lessons[i - 1].name})")
    if i + 1 < len(lessons):
        steps.append(f"**Next:** [{name(lessons[i + 1])}]({lessons[i + 1].name})")
    else:
        steps.append(f"**Next:** back to [{name(lessons[0])}]({lessons[0].name})")
    last = " ".join(markdown(path).rstrip().rpartition("\n\n")[2].split())
    return [] if last == " · ".join(steps) else [f"the last line is {last!r}, not {' · '.join(steps)!r}"]


def exercises(path):
    found, all_cells = [], cells(path)
    stubs = [i for i, cell in enumerate(all_cells) if "exercise" in cell.tags]
    least, most = {FIRST: (0, 0), CLINIC: (10, 10)}.get(path.stem, (2, 4))
    if not least <= len(stubs) <= most:
        found.append(f"{len(stubs)} exercises, not {least} to {most}")
    if stubs and "\n## Exercises\n" not in markdown(path):
        found.append("no ## Exercises above them")
    for number, i in enumerate(stubs, 1):
        found += [f"exercise {number} {what}" for what in exercise(number, path.stem[:2], all_cells[i - 1 : i + 3])]
    return found


def exercise(number, lesson, four_cells):
    """What is wrong with one exercise: its task, its stub, its check, and the cell in which its solution is folded."""
    task, _, check, folded = [cell.source for cell in four_cells] + [""] * (4 - len(four_cells))
    headings = re.findall(r"^### (.+)$", task, re.M)
    goal = re.findall(r"^\*\*Goal:\*\* (.+?)(?:\n\n|\Z)", task, re.M | re.DOTALL)
    solution = re.search(r"^<details>\n<summary>Solution</summary>\n\n(.+?)\n\n</details>", folded, re.DOTALL | re.M)
    if not headings or not headings[-1].startswith(f"Exercise {number}: "):
        yield f"has no heading '### Exercise {number}: …' in the cell above its stub"
    if len(goal) != 1 or len(goal[0]) > SHORT_GOAL:
        yield f"has no **Goal:** of one line: {goal}"
    if f"from classroom.checks.lesson_{lesson} import" not in check:
        yield "has no check cell right below its stub"
    if not solution:
        yield "has no solution folded below its check"
    elif [language for _, language, _ in FENCE.findall(solution[1])] != ["python"]:
        yield "has not exactly one block of python in its solution"
    elif not without_fences(solution[1]).strip():
        yield "has a solution without a word why"


def diagrams(path):
    """A diagram that cannot be seen still says something: its title for a screen reader, and the same in words."""
    text, found = markdown(path), []
    for block in FENCE.finditer(text):
        if block[2] != "mermaid":
            continue
        if not re.search(r"^\s*accTitle: \S", block[3], re.M):
            found.append(f"a diagram without accTitle: {block[3][:40]!r}")
        if not text[block.end() :].lstrip().startswith("*In words"):
            found.append(f"a diagram without its words below: {block[3][:40]!r}")
    return found


def pictures(path):
    """Every picture has its words: alt text where it is linked, a text or a table beside a cell that draws it."""
    text, found = without_fences(markdown(path)), []
    linked = re.findall(r"!\[([^\]]*)\]\([^)]*\)", text)
    tags = [re.search(r'\balt="([^"]*)"', tag) for tag in re.findall(r"<img\b[^>]*>", text)]
    for alt in linked + [tag and tag[1] for tag in tags]:
        if len((alt or "").split()) < 3:
            found.append(f"a picture whose alt text tells nothing: {alt!r}")
    all_cells = cells(path)
    for i, cell in enumerate(all_cells):
        drawn = cell.shows("image/png") or cell.shows("image/svg+xml")
        if drawn and not any(map(tells_in_words, all_cells[max(0, i - 1) : i + 2])):
            found.append(f"a drawn picture with neither words nor a table beside it: {cell.source[:40]!r}")
        if "<Figure" in cell.printed() and not drawn:
            found.append(f"a picture that is named, but not to be seen: {cell.source[:40]!r}")
    return found


def tells_in_words(cell):
    """The text beside a picture: "In words" or a table in Markdown, or a printed text of several lines."""
    if cell.kind == "markdown":
        return "In words" in cell.source or "\n|---" in cell.source
    return cell.printed().count("\n") >= 3


def banned(path):
    """clear_output makes outputs race; nest_asyncio changes the loop for good, so it comes last where it is shown."""
    code = [cell.source for cell in cells(path) if cell.kind == "code"]
    allowed_last = path.stem == "05_loops_and_scripts"
    found = [f"clear_output in {source[:40]!r}" for source in code if "clear_output" in source]
    for i, source in enumerate(code):
        if "nest_asyncio" in source and not (allowed_last and i == len(code) - 1):
            found.append(f"nest_asyncio in {source[:40]!r}")
    return found


def relative_links(path):
    """Every link to a file of the course, to a heading in it, or to a heading of the same page, leads somewhere."""
    text = markdown(path)
    targets = [target for _, target in links(text)] + re.findall(r"!\[[^\]]*\]\(([^)\s]+)\)", without_fences(text))
    found = []
    for target in targets:
        if re.match(r"[a-z]+:", target):  # another site: no test here asks the network
            continue
        file, _, anchor = unquote(target).partition("#")
        goal = (path.parent / file).resolve() if file else path
        if not goal.exists():
            found.append(f"{target} leads to no file")
        elif anchor and anchor not in anchors(goal):
            found.append(f"{target} leads to no heading")
    return found
