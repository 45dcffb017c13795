# ruff: noqa: E501 - the texts to replace are as long as they are
"""Prove the tests: break the package in many plausible ways and see which tests notice.

    python tests/cancellation/mutate.py             all mutants, two at a time; exits with 1 if one survives
    python tests/cancellation/mutate.py order wake  those with one of these words in their name

Each mutant is a copy of the package in a folder of its own with one text replaced. `test_mutants.py` checks, with
every `make test`, that each of these texts is still to be found in the source exactly once.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

HERE = Path(__file__).parent
PACKAGE = HERE.parent.parent / "src" / "cancellation"
ENOUGH = 3  # tests that caught a mutant; then the next one's turn has come


class Mutant(NamedTuple):
    name: str
    file: str
    old: str
    new: str


M = Mutant
MUTANTS = [
    # callbacks
    M(
        "first in, first out",
        "tree.py",
        "else token._callbacks.popitem()",
        "else ((first := next(iter(token._callbacks), None)), token._callbacks.pop(first))",
    ),
    M(
        "callbacks run twice on a second cancel",
        "tree.py",
        "if token._canceled or token._disposed:",
        "if token._disposed:",
    ),
    M("callbacks before marks", "tree.py", "pending.append((child, below))", "pass"),
    M(
        "a late register is lost",
        "token.py",
        "            if self._canceled:\n                callback(*args)\n            return EMPTY\n        return reg",
        "            return EMPTY\n        return reg",
    ),
    M(
        "a late register is not looked for",
        "token.py",
        "        if self._plain:\n",
        "        if not self._links and self is not CancellationToken.none:\n",
    ),
    M(
        "register on a cancelled token runs nothing",
        "token.py",
        "        if self._canceled:\n            callback(*args)\n            return EMPTY\n        registration",
        "        if self._canceled:\n            return EMPTY\n        registration",
    ),
    M(
        "register loses its context",
        "token.py",
        "return self._register(callback, args, copy_context())",
        "return self._register(callback, args, None)",
    ),
    M(
        "unsafe_register keeps a context",
        "token.py",
        "return self._register(callback, args, None)",
        "return self._register(callback, args, copy_context())",
    ),
    M("a coroutine function is accepted", "token.py", "if flags & CO_ASYNC:", "if flags & 0x80:"),
    M(
        "a partial of a coroutine function is accepted",
        "token.py",
        "while isinstance(function, partial):",
        "while False:",
    ),
    M(
        "the first error stops the rest",
        "tree.py",
        "if throw_on_first_exception and len(path) == 1:",
        "if len(path) == 1:",
    ),
    M(
        "throw_on_first_exception reaches into children",
        "tree.py",
        "if throw_on_first_exception and len(path) == 1:",
        "if throw_on_first_exception:",
    ),
    M(
        "errors of children are not nested",
        "tree.py",
        "error = group(errors[-1]) if errors[-1] else None",
        "error = (group(errors[-1]) if came_by is None else errors[-1][0]) if errors[-1] else None",
    ),
    M(
        "a KeyboardInterrupt in a callback stops cancel",
        "token.py",
        "        except BaseException as error:\n            return error",
        "        except Exception as error:\n            return error",
    ),
    M(
        "an aborted cancel leaves its callbacks behind",
        "tree.py",
        "            drop_callbacks(token)\n        del",
        "            pass\n        del",
    ),
    M("the frame of cancel keeps the errors", "tree.py", "        del error, errors  #", "        pass  #"),
    M(
        "a lock is held around callbacks",
        "source.py",
        "        raise_it(tree.run_callbacks(marked, throw_on_first_exception))",
        "        with tree.lock:\n            raise_it(tree.run_callbacks(marked, throw_on_first_exception))",
    ),
    # registrations
    M(
        "unregister always says True",
        "token.py",
        "        if token._callbacks.pop(self, MISSING) is MISSING:\n            return False",
        "        token._callbacks.pop(self, MISSING)",
    ),
    M("unregister keeps the callback alive", "token.py", "self.todo = self._context = None", "self._context = None"),
    M("dispose of a registration does not wait", "token.py", "            end.wait()", "            pass"),
    M("dispose_async does not wait", "token.py", "            await end.wait_async()", "            pass"),
    M(
        "dispose waits for itself",
        "token.py",
        "if entry.todo is None or self._runner == get_ident():",
        "if entry.todo is None:",
    ),
    M(
        "dispose waits for what is over",
        "token.py",
        "        finally:\n            self.finish()\n",
        "        finally:\n            pass\n",
    ),
    M(
        "who waits for a callback is not told of its end",
        "tree.py",
        "        if ends:\n            ended(self)",
        "        pass",
    ),
    M(
        "the end of a callback may be missed",
        "token.py",
        "        if entry.todo is None:  # meanwhile\n            tree.ended(entry)\n",
        "",
    ),
    # reason and origin
    M(
        "a reason is overwritten",
        "tree.py",
        "            if token._canceled or token._disposed:\n                continue\n            token._reason = reason",
        "            token._reason = reason\n            if token._canceled or token._disposed:\n                continue",
    ),
    M("the origin is the nearest parent", "source.py", "parent._origin or parent)", "parent)"),
    M(
        "a deadline's reason is a text",
        "source.py",
        'return TimeoutError(f"deadline of {seconds:g} s passed")',
        'return f"deadline of {seconds:g} s passed"',
    ),
    M(
        "the reason is not the cause",
        "errors.py",
        "        if isinstance(reason, BaseException):\n            self.__cause__ = reason\n\n    @property",
        "        if False:\n            self.__cause__ = reason\n\n    @property",
    ),
    M(
        "the text does not say why",
        "errors.py",
        '(f": {in_words(reason)}" if reason is not None else ".")',
        '"."',
    ),
    M(
        "a pickled error loses its reason",
        "errors.py",
        "            reason = pickle.loads(reason)",
        "            reason = None",
    ),
    # links
    M(
        "a cancelled child stays with its other parents",
        "tree.py",
        "                if entry is not came_by:\n                    unlink(token, entry)\n                else:  # stays",
        "                if entry is came_by:  # stays",
    ),
    M(
        "a disposed child stays with its parents",
        "tree.py",
        "    held = parent._callbacks.pop(entry, MISSING)",
        "    held = parent._callbacks.get(entry, MISSING)",
    ),
    M(
        "a dropped child stays with its parents",
        "tree.py",
        "            parent._callbacks.pop(self, None)",
        "            pass",
    ),
    M(
        "a dropped child is lost to its listeners",
        "tree.py",
        "parent._callbacks[entry] = child if heard else None",
        "parent._callbacks[entry] = None",
    ),
    M(
        "parent and child hold each other",
        "tree.py",
        "child._links[entry] = None if heard else parent",
        "child._links[entry] = parent",
    ),
    M(
        "a child is held when its listeners have left",
        "tree.py",
        "parent._callbacks[entry] = child if heard else None",
        "parent._callbacks[entry] = child",
    ),
    M(
        "listeners are not counted down",
        "tree.py",
        "child._listeners = child._listeners + step",
        "child._listeners = child._listeners + max(step, 0)",
    ),
    M(
        "a source that is disposed during a cancel cuts off those below it",
        "source.py",
        "if token._canceled and parent is not None and link in parent._callbacks:",
        "if False:",
    ),
    M(
        "a source that is disposed during a cancel has its callbacks run",
        "tree.py",
        "                        if child._disposed:\n",
        "                        if False:\n",
    ),
    M(
        "a child stays on parents that live on",
        "source.py",
        "        if child._canceled:  # the cancel may",
        "        if False:  # the cancel may",
    ),
    M(
        "a signal handler's token is thrown away",
        "source.py",
        "                if self._made is None:  # no other",
        "                if True:  # no other",
    ),
    M(
        "no thread now, no deadlines ever",
        "clock.py",
        "                self._thread = None\n                raise",
        "                raise",
    ),
    M(
        "tenths of a second do not add up",
        "clock.py",
        "self._now + round(delay * NANOSECONDS)",
        "self._now + delay * NANOSECONDS + 0.5",
    ),
    M(
        "a waiter does not count as a listener",
        "token.py",
        "        self._waiters[wake] = loop\n        if self._links:\n            tree.listen(self)\n",
        "        self._waiters[wake] = loop\n",
    ),
    M(
        "a finished child keeps its link",
        "tree.py",
        "    child._links.pop(entry, None)\n    entry.finish()\n\n\ndef drop",
        "    entry.finish()\n\n\ndef drop",
    ),
    M(
        "a link to a cancelled parent is not looked at",
        "source.py",
        "            if parent._canceled:  # before, or meanwhile",
        "            if False:",
    ),
    M(
        "the token of a link is cancelled again by each parent",
        "source.py",
        "for parent in dict.fromkeys(tokens):",
        "for parent in tokens:",
    ),
    M(
        "disposing a child does not wait for its callbacks",
        "source.py",
        "                end.wait()\n        if not",
        "                pass\n        if not",
    ),
    M(
        "disposing oneself stops one's own cancel",
        "source.py",
        "        if not token._canceled:  # else they",
        "        if True:  # else they",
    ),
    # source
    M(
        "dispose cancels",
        "source.py",
        "            token._disposed = True\n",
        "            token._disposed = token._canceled = True\n",
    ),
    M(
        "a disposed source can be cancelled",
        "source.py",
        "        self._raise_if_disposed()\n        return cancel_token(",
        "        return cancel_token(",
    ),
    M(
        "cancel_after looks at dispose before its argument",
        "source.py",
        "        seconds = None if delay is None else to_seconds(delay)\n        self._raise_if_disposed()\n",
        "        self._raise_if_disposed()\n        seconds = None if delay is None else to_seconds(delay)\n",
    ),
    M(
        "cancel_after(0) cancels at once",
        "source.py",
        "        deadline = Deadline()\n        self",
        "        deadline = Deadline()\n        if not seconds:\n            cancel_token(token, 'now')\n        self",
    ),
    M("an earlier deadline still counts", "source.py", "            previous.dispose()", "            pass"),
    M(
        "a cancel leaves the deadline armed",
        "tree.py",
        "            armed.dispose()\n            token._deadline = None",
        "            pass",
    ),
    M(
        "try_reset leaves the deadline armed",
        "source.py",
        "                return False\n            self._set_deadline(None)\n",
        "                return False\n",
    ),
    M("try_reset keeps callbacks", "source.py", "                entry.unregister()", "                pass"),
    M(
        "try_reset drops links",
        "source.py",
        "        return True\n\n    def dispose",
        "        for link in list(token._links):\n            tree.unlink(token, link)\n        return True\n\n    def dispose",
    ),
    M(
        "a deadline that is firing beats the one that took its place",
        "tree.py",
        "if deadline is not None and root._deadline is not deadline:",
        "if False:",
    ),
    M(
        "a deadline that fires before it is set is lost",
        "source.py",
        "        self._set_deadline(deadline)  # first",
        "        # first",
    ),
    M(
        "cancel_async runs callbacks here",
        "source.py",
        '            threading.Thread(target=run, args=(end.run, marked), name="cancellation-callbacks").start()',
        "            run(end.run, marked)",
    ),
    M(
        "cancel_async hides errors",
        "source.py",
        "            self._error = tree.run_callbacks(marked)",
        "            tree.run_callbacks(marked)",
    ),
    # waiting
    M("waiters are not woken", "tree.py", "    wake_all(marked)\n", ""),
    M(
        "waiters are woken after the callbacks",
        "tree.py",
        "    wake_all(marked)\n    for token in marked:\n",
        "    for token in marked:\n        token.register(wake_all, [token]) if False else token._callbacks\n",
    ),
    M(
        "a loop in another thread is not woken",
        "wakeups.py",
        "loop.call_soon_threadsafe(_call_all, [] if here else wakes)",
        "loop.call_soon(_call_all, [] if here else wakes)",
    ),
    M(
        "the future is set from the wrong thread",
        "wakeups.py",
        '    if here := sys.modules["asyncio"]._get_running_loop() is loop:',
        "    if here := True:",
    ),
    M(
        "a loop wakes one turn late",
        "wakeups.py",
        '    if here := sys.modules["asyncio"]._get_running_loop() is loop:',
        "    if here := False:",
    ),
    M(
        "a signal handler does not wake its own loop",
        "wakeups.py",
        "    try:\n        # Also if here",
        "    if here:\n        return\n    try:\n        # Also if here",
    ),
    M(
        "a closed loop hurts the canceler",
        "wakeups.py",
        "        if not loop.is_closed():\n            raise",
        "        raise",
    ),
    M(
        "a cancel before the wait is overlooked",
        "token.py",
        "        if self._canceled or self._disposed:  # meanwhile\n            wake_all([self])\n",
        "",
    ),
    M(
        "a cancelled wait leaves its waiter",
        "token.py",
        "            self._remove_waiter(wake)\n",
        "            pass\n",
    ),
    M(
        "a timed out wait leaves its waiter",
        "token.py",
        "            finally:\n                self._remove_waiter(blocked.release)",
        "            finally:\n                pass",
    ),
    M("dispose leaves waiters waiting", "source.py", "        wake_all([token])\n", ""),
    M(
        "a wait polls",
        "token.py",
        "                blocked.acquire(timeout=seconds)",
        '                until = __import__("time").monotonic() + seconds if seconds >= 0 else float("inf")\n                while not blocked.acquire(False) and __import__("time").monotonic() < until:\n                    pass',
    ),
    M("a delay leaves its waiter", "waiting.py", "        token._remove_waiter(canceled)\n", ""),
    M(
        "the frame of run_until_canceled keeps the task and its error",
        "waiting.py",
        "        del awaitable, task, stop, caller  #",
        "        pass  #",
    ),
    M(
        "a cancelled token starts the awaitable",
        "waiting.py",
        "    if token._canceled and not asyncio.isfuture(awaitable):",
        "    if False:",
    ),
    M("an awaitable never started warns", "waiting.py", "            awaitable.close()  #", "            pass  #"),
    M(
        "run_until_canceled takes any cancel for the token's",
        "waiting.py",
        "        if not token._canceled or (caller and caller.cancelling() > canceled_before):",
        "        if not token._canceled:",
    ),
    M(
        "run_until_canceled compares with no earlier cancels",
        "waiting.py",
        "caller.cancelling() > canceled_before)",
        "caller.cancelling() > 0)",
    ),
    M(
        "run_until_canceled does not wait for the cleanup",
        "waiting.py",
        "        return await task\n",
        "        return await asyncio.shield(task) if not token._add_waiter(asyncio.current_task().cancel, task.get_loop()) else None\n",
    ),
    M(
        "a task is cancelled while it runs",
        "waiting.py",
        '        running = getattr(coroutine, "cr_running", False) or getattr(coroutine, "gi_running", False)',
        "        running = False",
    ),
    M(
        "a missing uncancel",
        "waiting.py",
        "if self._interrupted and task.uncancel() <= self._canceled_before and kind",
        "if self._interrupted and task.cancelling() and kind",
    ),
    M(
        "a scope takes a real cancel for its own",
        "waiting.py",
        "task.uncancel() <= self._canceled_before and kind",
        "task.uncancel() >= 0 and kind",
    ),
    M("a scope hides errors of its block", "waiting.py", " and kind is asyncio.CancelledError:", ":"),
    M(
        "a scope interrupts after its block",
        "waiting.py",
        "        task, self._task = self._task, None\n",
        "        task = self._task\n",
    ),
    # time
    M("bool is a number of seconds", "clock.py", " and not isinstance(delay, bool):", ":"),
    M(
        "infinity is a time",
        "clock.py",
        "    if not 0 <= seconds < math.inf:  # NaN fails both",
        "    if not 0 <= seconds:",
    ),
    M("an error in a callback kills the clock", "clock.py", "            self._start()  #", "            pass  #"),
    M("a sooner deadline does not wake the clock", "clock.py", "            self._wake.put(None)", "            pass"),
    M("disposed deadlines pile up", "clock.py", "if len(self._heap) >= self._sweep_at:", "if False:"),
    M(
        "the clock goes back",
        "clock.py",
        "            self._now = max(self._now, int(instant))  #",
        "            self._now = int(instant)  #",
    ),
    M(
        "advance stops at the first error",
        "clock.py",
        "            errors += timer.fire()",
        "            raise_it(*timer.fire())",
    ),
    M(
        "advance jumps to the end at once",
        "clock.py",
        "            self._move_to(timer.due)\n",
        "            self._move_to(until)\n",
    ),
    M("a forked child has no clock", "clock.py", "    for timer in pending:\n        _alarm.add(timer)", "    pass"),
    M("a forked child inherits a held lock", "tree.py", "    lock = RLock()\n\n\nif has", "    pass\n\n\nif has"),
    M(
        "a lock that a signal handler cannot enter again",
        "tree.py",
        "at any point.\nlock = RLock()",
        'at any point.\nlock = __import__("threading").Lock()',
    ),
]


def tests_that_catch(mutant: Mutant | None) -> list[str]:
    """Run the tests of the package against its broken copy; the names of the first that fail."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "cancellation")
        shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
        if mutant is not None:
            path = copy / mutant.file
            path.write_text(path.read_text(encoding="utf-8").replace(mutant.old, mutant.new), encoding="utf-8")
        # The state machine comes last: where a mutant makes it wait for ever, hypothesis tries again and again.
        files = sorted(HERE.glob("test_*.py"), key=lambda file: (file.stem == "test_state_machine", file.name))
        files = [file for file in files if file.stem not in ("test_mutants", "test_package")]
        command = [sys.executable, "-m", "pytest", "-v", "-o", "addopts=", "-p", "no:cacheprovider", "--timeout=10"]
        command += [f"--maxfail={ENOUGH}", *map(str, files)]
        environment = {"PYTHONPATH": folder, "PATIENCE": "3", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
        with tempfile.TemporaryFile("w+") as output:
            try:
                code = subprocess.run(
                    command, env=os.environ | environment, stdout=output, stderr=output, timeout=120, check=False
                ).returncode
            except subprocess.TimeoutExpired:
                code = None
            output.seek(0)
            told = output.read()
    if code == pytest.ExitCode.USAGE_ERROR:
        raise RuntimeError(told)
    if code == 0:
        return []
    return list(dict.fromkeys(re.findall(r"::(\S+?)(?:\[.*\])? (?:FAILED|ERROR)", told))) or [
        "(it hangs)" if code is None else "(it crashes)"
    ]


def main(words: list[str]) -> int:
    chosen = [m for m in MUTANTS if not words or any(word in m.name for word in words)]
    if caught := tests_that_catch(None):
        print("The tests fail on the unbroken package:", *caught)
        return 1
    survivors = 0
    print("| mutant | caught by (the first ones) |\n|---|---|")
    with ThreadPoolExecutor(max_workers=2) as pool:
        for mutant, caught in zip(chosen, pool.map(tests_that_catch, chosen), strict=True):
            survivors += not caught
            print(f"| {mutant.name} | {', '.join(caught) or '**nothing**'} |", flush=True)
    print(f"\n{len(chosen)} mutants, {len(chosen) - survivors} caught")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
