"""The counter for a student's own code, without a browser."""

import asyncio

import pytest

from classroom.try_out import TryOut


def begin(say):
    return asyncio.sleep(0, "a pizza"), lambda: say("Cancelled.")


@pytest.mark.parametrize(
    ("words", "says"), [((), "This counter is closed."), (("The lesson is over.",), "The lesson is over.")]
)
def test_a_counter_that_is_stopped_says_why_and_answers_no_more_clicks(words, says):
    async def main():
        counter = TryOut(begin)
        counter.stop(*words)
        assert counter.lines[-1] == says
        assert counter.place.disabled
        assert counter.cancel.disabled

    asyncio.run(main())


def test_a_click_that_was_still_on_its_way_begins_no_order_on_a_stopped_counter():
    async def main():
        counter = TryOut(begin)
        counter.place.click()  # heard in the loop's next turn
        counter.stop("The lesson is over.")
        await asyncio.sleep(0)
        await counter.finished()
        assert counter.lines[1:] == ["The lesson is over."]

    asyncio.run(main())


def test_a_page_without_a_kernel_says_what_to_run_for_a_counter_to_click():
    async def main():
        assert repr(TryOut(begin)) == "<TryOut: run this cell to use it>"

    asyncio.run(main())
