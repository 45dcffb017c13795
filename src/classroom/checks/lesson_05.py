"""Checks of lesson 05, Loops and scripts."""

from __future__ import annotations

import asyncio
import concurrent.futures
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Self

from classroom.verdict import Verdict, not_yet, well_done

Order = Callable[[], Coroutine[Any, Any, str]]
StartOrder = Callable[[asyncio.AbstractEventLoop, Order, "set[object]"], object]

_SOON = 2.0  # seconds for what should come at once; only a wrong answer, or a very busy machine, waits for them


class _Loop:
    """A loop that runs in a thread of its own, where nothing else happens.

    Its debug mode makes an error of every call from another thread that would not wake it.
    """

    def __enter__(self) -> Self:
        self.loop = asyncio.new_event_loop()
        self.loop.set_debug(True)
        self.loop.slow_callback_duration = 60
        self.loop.set_exception_handler(lambda *_: None)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def _run(self) -> None:
        self.loop.run_forever()
        self.loop.close()

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self.loop)
        self._thread.join(_SOON)  # code that never gives its loop a turn keeps the thread, which is a daemon

    async def _end(self) -> None:
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        if rest:
            await asyncio.wait(rest, timeout=0.5)
        self.loop.stop()

    def has_turns(self) -> bool:
        answered = threading.Event()
        self.loop.call_soon_threadsafe(answered.set)
        return answered.wait(_SOON)


def _as_a_click(callback: Callable[[], object]) -> BaseException | None:
    """Call it on another thread, inside another loop. What it raised."""
    raised: list[BaseException] = []

    async def click() -> None:
        try:
            callback()
        except Exception as error:
            raised.append(error)

    def run() -> None:
        with asyncio.Runner() as runner:  # not asyncio.run: nest_asyncio may have changed that
            runner.run(click())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return raised[0] if raised else None


def _is_unsafe(error: BaseException) -> bool:
    return isinstance(error, RuntimeError) and "Non-thread-safe" in str(error)


def check_start_order(start_order: StartOrder) -> Verdict:
    """A click that starts an order on the loop where orders live."""
    began = threading.Event()
    made: list[Coroutine[Any, Any, str]] = []
    tasks: set[object] = set()

    async def cook() -> str:
        began.set()
        return "pizza"

    def order() -> Coroutine[Any, Any, str]:
        made.append(cook())
        return made[-1]

    try:
        with _Loop() as quiet:
            error = _as_a_click(lambda: start_order(quiet.loop, order, tasks))
            if error is not None and _is_unsafe(error):
                return not_yet(
                    "called on another thread, it touched `loop` directly: that wakes nobody, and the order would "
                    "begin late or never. Hand all of it over with `loop.call_soon_threadsafe`."
                )
            if error is not None:
                return not_yet(f"called on another thread, it raised {error!r}.")
            if any(isinstance(task, asyncio.Task) and task.get_loop() is not quiet.loop for task in tasks):
                return not_yet(
                    "called on another thread, it started the order on the loop of *that* thread. "
                    "`asyncio.create_task` takes the loop on which it is called: use `loop`, and "
                    "`loop.call_soon_threadsafe`."
                )
            if not began.wait(_SOON):
                return not_yet("called on another thread, it started nothing: the order never began.")
            if not any(isinstance(task, asyncio.Task | concurrent.futures.Future) for task in tasks):
                return not_yet("the order began on the right loop, but its task is not in `tasks`: it might vanish.")

            began.clear()
            quiet.loop.call_soon_threadsafe(start_order, quiet.loop, order, tasks)
            if not began.wait(_SOON):
                return not_yet("called on the loop's own thread, as a cell does, it started nothing.")
    finally:
        for coroutine in made:
            coroutine.close()
    return well_done("From whatever thread the click comes, the order runs where it belongs.")


class _Button:
    """As much of a button as the exercise needs."""

    def __init__(self) -> None:
        self.has_handler = threading.Event()
        self._handlers: list[Callable[[_Button], object]] = []

    def on_click(self, callback: Callable[[_Button], object], remove: bool = False) -> None:
        if remove:
            self._handlers.remove(callback)
        else:
            self._handlers.append(callback)
            self.has_handler.set()

    def click(self) -> None:
        for handler in list(self._handlers):
            handler(self)


def check_wait_for_click(wait_for_click: Callable[[_Button], Awaitable[object]]) -> Verdict:
    """A coroutine that a click wakes, from another thread and from its own."""

    async def wait(button: _Button) -> None:
        await wait_for_click(button)

    with _Loop() as quiet:
        button = _Button()
        waiting = asyncio.run_coroutine_threadsafe(wait(button), quiet.loop)
        if not button.has_handler.wait(_SOON):
            if waiting.done() and (error := waiting.exception()) is not None:
                return not_yet(f"it raised {error!r}.")
            return not_yet("it gave the button no callback. `button.on_click` takes one.")
        has_turns = quiet.has_turns()
        if waiting.done():
            return not_yet("it came back before anybody had clicked.")
        error = _as_a_click(button.click)
        if not has_turns:
            return not_yet("while it waits, its loop stands still: nothing else has a turn. Await something instead.")
        if error is not None and _is_unsafe(error):
            return not_yet(
                "clicked on another thread, the callback touched asyncio directly: the loop is not woken, and the "
                "click is noticed late or never. A token may be cancelled from any thread."
            )
        if error is not None:
            return not_yet(f"clicked on another thread, the callback raised {error!r}.")
        try:
            waiting.result(_SOON)
        except concurrent.futures.TimeoutError:
            return not_yet("it was clicked on another thread, and did not come back.")
        except Exception as raised:
            return not_yet(f"it was clicked, and raised {raised!r}.")

        button = _Button()
        waiting = asyncio.run_coroutine_threadsafe(wait(button), quiet.loop)
        button.has_handler.wait(_SOON)
        quiet.loop.call_soon_threadsafe(button.click)
        try:
            waiting.result(_SOON)
        except Exception:
            return not_yet("it was clicked on its own loop, as a cell does, and did not come back.")
    return well_done("A click wakes it, from another thread and from its own.")


def check_script(script: str) -> Verdict:
    """The text, run by a Python of its own."""
    try:
        done = subprocess.run(
            [sys.executable, "-X", "utf8", "-c", script], capture_output=True, text=True, encoding="utf-8", timeout=20
        )
    except subprocess.TimeoutExpired:
        return not_yet("it had not ended after twenty seconds.")
    last_words = done.stderr.strip().splitlines()[-1:] or [""]
    if "'await' outside function" in last_words[0]:
        return not_yet(
            "Python says: 'await' outside function. Top-level await is for notebooks; a script has `asyncio.run`."
        )
    if "was never awaited" in done.stderr:
        return not_yet("`main()` made a coroutine, and nobody ran it. Give it to `asyncio.run`.")
    if done.returncode != 0:
        return not_yet(f"it ended in an error: {last_words[0]}.")
    if done.stdout.strip() != "delivered":
        return not_yet(f"it should print 'delivered', but printed {done.stdout.strip()!r}.")
    if "async def main" not in script:
        return not_yet("it prints 'delivered', but without its `async def main`: that was to stay.")
    return well_done("A script of its own: `asyncio.run` makes the loop, runs `main`, and closes it.")
