"""Take the picture of the counter that README and lesson 00 show: from a real JupyterLab, in a real browser.

    .venv/bin/python docs/take_pictures.py

Needs a Chromium on the PATH.
"""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "browser"))

from lab import OPTIONS, Lab, Notebook, find_browser  # noqa: E402


def take(browser, lab):
    page = browser.new_context(viewport={"width": 1280, "height": 1100}, device_scale_factor=2).new_page()
    notebook = Notebook(page, lab, "00_start_here")
    notebook.run_cell(0)
    counter = page.locator(".pizza-counter").first
    place = counter.locator(".pizza-counter-place")
    statuses = counter.locator(".pizza-order-status")

    place.click()
    statuses.nth(0).get_by_text("Completed").wait_for()
    counter.locator(".pizza-counter-pizza select").select_option(index=3)
    place.click()
    statuses.nth(1).get_by_text("Cooking").wait_for()
    counter.locator(".pizza-counter-pizza select").select_option(index=2)
    place.click()
    counter.get_by_text("2 of 5").wait_for()
    counter.locator(".pizza-counter-cancel").click()
    statuses.nth(2).get_by_text("Cancelled").wait_for()
    counter.screenshot(path=ROOT / "docs" / "counter.png")


def main():
    executable = find_browser() or sys.exit("no Chromium found on PATH: install one, then try again")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        lab = Lab(Path(folder))
        browser = playwright.chromium.launch(executable_path=executable, args=OPTIONS)
        try:
            take(browser, lab)
        finally:
            browser.close()
            lab.close()


if __name__ == "__main__":
    main()
