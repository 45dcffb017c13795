from pathlib import Path

import pytest

NOTEBOOKS = sorted(path.stem for path in (Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_run_all_in_jupyterlab_ends_with_every_cell_executed_and_no_error(open_notebook, name):
    notebook = open_notebook(name)
    notebook.run_all()
    cells = notebook.cells()
    assert cells == [[number, []] for number in range(1, len(cells) + 1)]
    assert notebook.page_errors == []
    assert notebook.requests_elsewhere == []
    notebook.screenshot(f"{name}-after-run-all")
