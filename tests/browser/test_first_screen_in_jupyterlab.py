"""What somebody sees who has just installed the course and opens its first lesson."""

import pytest
from lab import Notebook

NEWS = "@jupyterlab/apputils-extension:announcements"


@pytest.fixture(scope="module")
def lesson(lab, chromium):
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    yield Notebook(page, lab, "00_start_here")
    page.close()
    lab.stop_kernels()


def test_no_toast_and_no_question_lies_on_the_first_lesson(lesson):
    assert lesson.page.evaluate("id => jupyterapp.hasPlugin(id)", NEWS) is False, "install the course again"
    # Toasts come one after the other: when ours is there, those of the start are.
    notice = {"message": "ours", "options": {"autoClose": False}}
    lesson.page.evaluate("notice => jupyterapp.commands.execute('apputils:notify', notice)", notice)
    toasts = lesson.page.locator(".Toastify__toast")
    toasts.filter(has_text="ours").wait_for()
    assert toasts.all_inner_texts() == ["ours"]
    assert lesson.page.locator(".jp-Dialog").count() == 0
    assert lesson.dialogs == []
    assert lesson.requests_elsewhere == []
