from pathlib import Path

import pytest
from lab import Notebook

LESSONS = sorted(path.stem for path in (Path(__file__).parents[2] / "notebooks").glob("[0-9]*.ipynb"))


@pytest.fixture(scope="module")
def open_lesson(lab, chromium):
    """Opens a lesson in a page of one browser, which keeps JupyterLab's scripts: so it need not load them each time."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    yield lambda name: Notebook(context.new_page(), lab, name)
    context.close()
    lab.stop_kernels()


@pytest.fixture(scope="module")
def run_all(open_lesson, request):
    """Runs a notebook; the next two already run beside it, for a lesson mostly waits."""
    waiting = [
        item.callspec.params["name"] for item in request.session.items if "run_all" in getattr(item, "fixturenames", ())
    ]
    running = {}

    def run_all(name):
        while waiting and (name not in running or len(running) < 3):
            beginning = waiting.pop(0)
            running[beginning] = open_lesson(beginning)
            running[beginning].start_all()
        notebook = running.pop(name)
        notebook.wait(timeout=100)
        return notebook

    return run_all


@pytest.mark.parametrize("name", LESSONS)
def test_run_all_in_jupyterlab_ends_with_every_cell_executed_and_no_error(run_all, name):
    notebook = run_all(name)
    cells = notebook.cells()
    assert cells == [[number, []] for number in range(1, len(cells) + 1)]
    assert notebook.page_errors == []
    assert notebook.requests_elsewhere == []
    notebook.screenshot(f"{name}-after-run-all")
    notebook.close()


def test_clicks_land_where_the_lesson_on_loops_says_that_they_do(open_lesson):
    lesson = open_lesson("05_loops_and_scripts")
    lesson.run_cell(0)
    lesson.run_cell(1)
    button = lesson.output(1).locator("button")
    for click in ("1: main thread, this loop", "2: another thread, another loop", "3: another thread, another loop"):
        button.click()
        button.get_by_text(f"Click {click}").wait_for()
    lesson.close()
