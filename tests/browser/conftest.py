"""One JupyterLab for all browser tests, and a browser for each of their files."""

import os

import pytest
from lab import Lab, Notebook, find_browser


@pytest.fixture(scope="session")
def executable():
    """The path of a Chromium. Without one the tests skip, or fail where REQUIRE_BROWSER is set."""
    path = find_browser()
    if path is None:
        reason = "no Chromium found on PATH: install one, for example with 'sudo apt-get install chromium'"
        if os.environ.get("REQUIRE_BROWSER", "0") not in ("", "0"):
            pytest.fail(reason)
        pytest.skip(reason)
    return path


@pytest.fixture(scope="session")
def lab(executable, tmp_path_factory):
    lab = Lab(tmp_path_factory.mktemp("lab"))
    yield lab
    lab.close()


@pytest.fixture(scope="module")  # no longer: while playwright runs, this thread can run no other event loop
def chromium(executable):
    from lab import OPTIONS
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def open_notebook(lab, chromium):
    """Opens a notebook of the course in a browser of its own history, with a fresh kernel."""
    contexts = []

    def open_notebook(name, width=1280, height=900):
        context = chromium.new_context(viewport={"width": width, "height": height})
        contexts.append(context)
        return Notebook(context.new_page(), lab, name)

    yield open_notebook
    for context in contexts:
        context.close()
    lab.stop_kernels()
