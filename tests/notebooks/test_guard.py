import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import nbformat
import psutil
import pytest
from guard import KERNELSPEC, complaints, differences, run_twice, saved
from pages import LESSONS, NOTEBOOKS, ROOT


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_committed_executed_in_order_and_free_of_machine_traces(path):
    assert complaints(path) == []


@pytest.fixture(scope="module")
def runs(request):
    """By path: the two runs of each lesson that is to be tested, four at a time, for a lesson mostly waits."""
    wanted = [
        item.callspec.params["path"] for item in request.session.items if "runs" in getattr(item, "fixturenames", ())
    ]
    with ThreadPoolExecutor(4) as pool:
        # The last lessons, with services and clusters, take longest: so they begin first.
        yield {path: pool.submit(run_twice, path) for path in reversed(wanted)}
        pool.shutdown(cancel_futures=True)


# nbval compares the same way, and `pytest notebooks` runs it. But here the lessons run side by side, and one kernel
# each does for the saved outputs, for the second run, and for what is left behind.
@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_notebook_runs_twice_in_one_kernel_with_the_saved_outputs_and_leaves_nothing_behind(path, runs):
    first, second, left = runs[path].result()
    assert differences(saved(path), first) == []
    assert differences(saved(path), second) == []
    assert left == {}


@pytest.fixture
def notebook(tmp_path):
    """Makes a small notebook file of some cells."""

    def make(*sources, run=True, **changes):
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        made = nbformat.v4.new_notebook(cells=cells)
        made.metadata["kernelspec"] = KERNELSPEC
        made.metadata["language_info"] = {"name": "python"}
        for number, cell in enumerate(cells, 1):
            cell["execution_count"] = number if run else None
        path = tmp_path / "made.ipynb"
        text = json.loads(nbformat.writes(made))
        for where, value in changes.items():
            text["metadata"][where] = value
        path.write_text(json.dumps(text))
        return path

    return make


def test_the_guard_finds_nothing_wrong_with_a_good_notebook(notebook):
    path = notebook("1 + 1", "await __import__('asyncio').sleep(0)")
    assert complaints(path) == []
    first, second, left = run_twice(path)
    assert first == second == [({}, [{"text/plain": "2"}]), ({}, [])]
    assert left == {}


def test_the_guard_itself_leaves_no_kernel_behind(notebook):
    before = set(psutil.Process().children(recursive=True))
    run_twice(notebook("1"))
    assert set(psutil.Process().children(recursive=True)) <= before


@pytest.mark.parametrize(
    ("arguments", "changes", "says"),
    [
        (["1"], {"run": False}, "not run in order from 1"),
        (["1"], {"kernelspec": {"name": "my-env"}}, "kernelspec is"),
        (["1"], {"widgets": {}}, "saved widget state"),
        (["1"], {"language_info": {"name": "python", "version": "3.11.2"}}, "language_info says more"),
        (["1"], {"signature": "abc"}, "metadata that nothing here reads: ['signature']"),
        (["open('/home/ann/notes.txt')"], {}, "a path of somebody's machine: '/home/ann"),
        (["open('/tmp/notes.txt')"], {}, "a path of somebody's machine: '/tmp/notes"),
        (["'C:/Python/Lib/site-packages/x.py: warning'"], {}, "a path of somebody's machine: 'site-packages"),
    ],
)
def test_the_guard_catches_a_notebook_that_is_not_fit_to_commit(notebook, arguments, changes, says):
    (found,) = complaints(notebook(*arguments, **changes))
    assert says in found


def test_the_guard_catches_cells_without_an_id_and_an_older_format(notebook):
    path = notebook("1", "2")
    content = json.loads(path.read_text())
    content["cells"][1]["id"] = content["cells"][0]["id"]
    path.write_text(json.dumps(content))
    assert complaints(path) == ["cells without an id of their own"]
    for cell in content["cells"]:
        del cell["id"]
    content["nbformat_minor"] = 4
    path.write_text(json.dumps(content))
    assert complaints(path) == ["older than nbformat 4.5", "cells without an id of their own"]


def test_the_guard_catches_cells_that_were_run_in_another_order(notebook):
    path = notebook("1", "2")
    content = json.loads(path.read_text())
    content["cells"][0]["execution_count"] = 3
    path.write_text(json.dumps(content))
    assert complaints(path) == [
        "not run in order from 1: nbval compares nothing where the count is missing; counts are [3, 2]"
    ]


def test_plain_pytest_compares_saved_outputs_strictly(notebook):
    path = notebook("1 + 1", "2 + 2")
    content = json.loads(path.read_text())
    for cell, result in zip(content["cells"], ["2", "5"], strict=True):
        cell["outputs"] = [
            {
                "output_type": "execute_result",
                "data": {"text/plain": result},
                "metadata": {},
                "execution_count": cell["execution_count"],
            }
        ]
    path.write_text(json.dumps(content))
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", ROOT / "pyproject.toml", path]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    run = subprocess.run(command, cwd=path.parent, env=environment, capture_output=True, text=True, timeout=100)
    assert "1 failed, 1 passed" in run.stdout
    assert "mismatch 'text/plain'" in run.stdout


def test_the_guard_catches_metadata_of_cells_that_a_tool_left(notebook):
    path = notebook("1", "2")
    content = json.loads(path.read_text())
    content["cells"][0]["metadata"] = {"tags": ["exercise"]}
    content["cells"][1]["metadata"] = {"execution": {"iopub.status.busy": "2026-01-01"}}
    path.write_text(json.dumps(content))
    (found,) = complaints(path)
    assert found.startswith("cells with more metadata than tags: [{'execution'")


def test_the_guard_catches_a_warning_that_was_saved(notebook):
    path = notebook("1")
    content = json.loads(path.read_text())
    content["cells"][0]["outputs"] = [{"output_type": "stream", "name": "stderr", "text": ["Oh"]}]
    path.write_text(json.dumps(content))
    assert complaints(path) == ["cell 1 saved a warning: 'Oh'"]


def test_the_guard_catches_an_error_that_was_saved(notebook):
    path = notebook("1 / 0")
    content = json.loads(path.read_text())
    content["cells"][0]["outputs"] = [
        {"output_type": "error", "ename": "ZeroDivisionError", "evalue": "", "traceback": []}
    ]
    path.write_text(json.dumps(content))
    assert complaints(path) == ["cell 1 ends in an error: ZeroDivisionError"]


def test_the_guard_catches_what_a_notebook_leaves_behind(notebook):
    path = notebook(
        "import asyncio; task = asyncio.create_task(asyncio.sleep(100))",
        "import threading; threading.Thread(target=threading.Event().wait, daemon=True, name='left').start()",
        "import socket; server = socket.create_server(('127.0.0.1', 0))",
        "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=-1)",
    )
    _, _, left = run_twice(path)
    assert list(left) == ["tasks", "threads", "ports", "processes"]


def test_the_guard_catches_a_second_run_that_differs(notebook):
    first, second, _ = run_twice(notebook("seen = globals().get('seen', 0) + 1", "seen"))
    assert differences(first, second) == [
        "code cell 2 shows ({}, [{'text/plain': '2'}]), not ({}, [{'text/plain': '1'}])"
    ]


def test_the_guard_catches_outputs_that_are_not_the_saved_ones(notebook):
    def value(text):
        return {"output_type": "execute_result", "data": {"text/plain": [text]}, "execution_count": 1, "metadata": {}}

    def printed(text, name="stdout"):
        return {"output_type": "stream", "name": name, "text": [text]}

    good = [("1 + 1", [value("2")]), ("print(1)", [printed("1\n")]), ("one = 1", [])]
    bad = [("1 + 1", [value("3")]), ("1 + 1", []), ("one = 1", [value("1")]), ("print(1)", [printed("1\n", "stderr")])]
    path = notebook(*[source for source, _ in good + bad])
    content = json.loads(path.read_text())
    for cell, (_, outputs) in zip(content["cells"], good + bad, strict=True):
        cell["outputs"] = outputs
    path.write_text(json.dumps(content))
    first, second, _ = run_twice(path)
    found = differences(saved(path), first)
    assert found == differences(saved(path), second)
    assert [words.partition(" shows ")[0] for words in found] == [f"code cell {number}" for number in (4, 5, 6, 7)]
