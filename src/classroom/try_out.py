"""A counter for code of one's own: order, watch, cancel."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from html import escape

import ipywidgets as widgets

from pizzeria.cells import replace_earlier_run

Say = Callable[[object], None]
Begin = Callable[[Say], tuple[Coroutine[object, object, object], Callable[[], object]]]


class TryOut(widgets.VBox):  # type: ignore[misc]
    """Two buttons and a log. `begin(say)` is called for each order: it returns the work, and a function to cancel it.

    `say(line)` writes into the log. How an order ends, a result or an error, is said there too. Make it in a
    notebook cell; running the cell again replaces it, and cancels its order. From a cell `place.click()`,
    `cancel.click()` and `await finished()` do what the hand does.
    """

    def __init__(self, begin: Begin) -> None:
        self._begin = begin
        self._loop = asyncio.get_running_loop()  # a click may arrive on another thread, and on another loop
        self._order: asyncio.Task[object] | None = None
        self._cancel: Callable[[], object] = lambda: self.say("There is no order to cancel. Place one first.")
        self.lines: list[str] = []
        self.place = widgets.Button(description="Place order", icon="cutlery", button_style="primary")
        self.cancel = widgets.Button(description="Cancel order", icon="hand-stop-o")
        self._log = widgets.HTML()
        super().__init__([widgets.HBox([self.place, self.cancel]), self._log])
        self._on_click(self.place, self._place)
        self._on_click(self.cancel, lambda: self._cancel())
        self.say("Place an order, then cancel it.")
        replace_earlier_run(self)

    def say(self, line: object) -> None:
        """Add a line to the log. On the loop's thread."""
        self.lines.append(str(line))
        lines = "".join(f"<div>{escape(line)}</div>" for line in self.lines[-30:])
        self._log.value = f"<div role='log' aria-live='polite'>{lines}</div>"

    async def finished(self) -> list[str]:
        """Wait for the order's end; all lines of the log."""
        await asyncio.sleep(0)  # a click from a cell is heard in the loop's next turn
        while self._order is not None and not self._order.done():
            await asyncio.wait({self._order})
        await asyncio.sleep(0)  # its end is told
        return self.lines

    def stop(self, words: str = "This counter is closed.") -> None:
        """Cancel the order and answer no more clicks. `words` tell the reader why."""
        self.place.disabled = self.cancel.disabled = True
        self.say(words)
        if self._order is not None:
            self._order.cancel()

    def __repr__(self) -> str:  # what a reader without a kernel sees
        return "<TryOut: run this cell to use it>"

    def _on_click(self, button: widgets.Button, act: Callable[[], object]) -> None:
        button.on_click(lambda _: self._loop.call_soon_threadsafe(self._safely, act))

    def _safely(self, act: Callable[[], object]) -> None:
        if self.place.disabled:  # stopped, perhaps since the click, which may have come on another thread
            return
        try:
            act()
        except Exception as error:  # from a callback it would go where no student looks
            self.say(f"That did not work: {_in_words(error)}")

    def _place(self) -> None:
        if self._order is not None and not self._order.done():
            self.say("One order at a time: cancel it, or wait for its end.")
            return
        self.say("🍽️ Order received...")
        work, self._cancel = self._begin(self.say)
        self._order = self._loop.create_task(work)
        self._order.add_done_callback(self._ended)

    def _ended(self, order: asyncio.Task[object]) -> None:
        if order.cancelled():
            self.say("🚫 The order's task was cancelled.")
        elif (error := order.exception()) is not None:
            self.say(f"🚫 The order ended with {_in_words(error)}")
        else:
            self.say(f"✅ The order is complete: {order.result()!r}")


def _in_words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
