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
        "            if self._canceled:\n                with tree.lock:\n                    pass\n                callback(*args)\n            return EMPTY\n        return reg",
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
        "                pass\n            callback(*args)\n            return EMPTY\n        registration",
        "                pass\n            return EMPTY\n        registration",
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
        "            raise_it(tree.run_callbacks(marked, throw_on_first_exception))",
        "            with tree.lock:\n                raise_it(tree.run_callbacks(marked, throw_on_first_exception))",
    ),
    # registrations
    M(
        "unregister always says True",
        "token.py",
        "        if token._callbacks.pop(self, MISSING) is MISSING:\n            return False",
        "        token._callbacks.pop(self, MISSING)",
    ),
    M(
        "unregister keeps the callback alive",
        "token.py",
        "self._todo = self._context = None",
        "self._context = None",
    ),
    M("dispose of a registration does not wait", "token.py", "            end.wait()", "            pass"),
    M("dispose_async does not wait", "token.py", "            await end.wait_async()", "            pass"),
    M(
        "dispose waits for itself",
        "token.py",
        "or not self._canceled or self._runner == get_ident():",
        "or not self._canceled:",
    ),
    M(
        "dispose waits for what is over",
        "token.py",
        "        finally:\n            self._finish()\n",
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
        "        if entry._todo is None:  # meanwhile\n            tree.ended(entry)\n",
        "",
    ),
    # reason and origin
    M(
        "a reason is overwritten",
        "tree.py",
        "            if token._canceled or token._disposed:\n                continue\n            if by",
        "            token._reason = reason if token._canceled else token._reason\n            if token._canceled or token._disposed:\n                continue\n            if by",
    ),
    M("the origin is the nearest parent", "source.py", "parent._origin or parent)", "parent)"),
    M(
        "a deadline's reason is a text",
        "deadline.py",
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
        "                    if entry is not came_by:\n                        unlink(token, entry)\n                    else:  # stays",
        "                    if entry is came_by:  # stays",
    ),
    M(
        "a disposed child stays with its parents",
        "tree.py",
        "        held = parent._callbacks.pop(entry, MISSING)\n        if not",
        "        held = parent._callbacks.get(entry, MISSING)\n        if not",
    ),
    M(
        "a dropped child stays with its parents",
        "tree.py",
        "        take_out(parent, entry)\n\n\ndef link",
        "        pass\n\n\ndef link",
    ),
    M(
        "a dropped child is lost to its listeners",
        "tree.py",
        "parent._callbacks[entry] = child if listened_on else None",
        "parent._callbacks[entry] = None",
    ),
    M(
        "parent and child hold each other",
        "tree.py",
        "child._links[entry] = None if listened_on else parent",
        "child._links[entry] = parent",
    ),
    M(
        "a child is held when its listeners have left",
        "tree.py",
        "parent._callbacks[entry] = child if listened_on else None",
        "parent._callbacks[entry] = child",
    ),
    M(
        "listeners are not counted down",
        "token.py",
        "        if not token._plain:\n            token._settle()\n        return True",
        "        return True",
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
        "tree.py",
        "    if child._canceled:  # through",
        "    if False:  # through",
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
        "    return round(seconds * NANOSECONDS) if",
        "    return seconds * NANOSECONDS + 0.5 if",
    ),
    M(
        "a waiter does not count as a listener",
        "token.py",
        "return bool(self._waiters) or self",
        "return self",
    ),
    M(
        "a finished child keeps its link",
        "tree.py",
        "        child._links.pop(entry, None)\n    entry._finish()\n\n\ndef drop",
        "        pass\n    entry._finish()\n\n\ndef drop",
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
        "for parent in tokens if len(tokens) == 1 else dict.fromkeys(tokens):",
        "for parent in tokens:",
    ),
    M(
        "disposing a child does not wait for its callbacks",
        "source.py",
        "                    end.wait()",
        "                    pass",
    ),
    M(
        "disposing oneself stops one's own cancel",
        "source.py",
        "if token._callbacks and not token._canceled:",
        "if token._callbacks:",
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
        "        if token._disposed:\n            raise disposed()\n        if cancel_token(",
        "        if cancel_token(",
    ),
    M(
        "cancel_after looks at dispose before its argument",
        "source.py",
        "        seconds = None if delay is None else to_seconds(delay)\n        token = self._token\n        if token._disposed:\n            raise disposed()\n",
        "        token = self._token\n        if token._disposed:\n            raise disposed()\n        seconds = None if delay is None else to_seconds(delay)\n",
    ),
    M(
        "cancel_after(0) cancels at once",
        "source.py",
        "        deadline = Deadline(seconds)\n",
        "        deadline = Deadline(seconds)\n        if not seconds:\n            cancel_token(token, 'now')\n",
    ),
    M(
        "an earlier deadline still counts",
        "source.py",
        "        if previous is not None:\n            previous.dispose()\n        if token._canceled",
        "        if token._canceled",
    ),
    M(
        "a cancel leaves the deadline armed",
        "tree.py",
        "        deadline.dispose()\n    return marked",
        "        pass\n    return marked",
    ),
    M(
        "try_reset leaves the deadline armed",
        "source.py",
        "            deadline, token._deadline = token._deadline, None\n            canceled",
        "            deadline = None\n            canceled",
    ),
    M(
        "try_reset keeps callbacks",
        "source.py",
        "                and token._callbacks.pop(entry, MISSING) is not MISSING\n            ]\n        # Without",
        "                and False\n            ]\n        # Without",
    ),
    M(
        "try_reset drops links",
        "source.py",
        "        return not canceled\n\n    def dispose",
        "        for link in list(token._links or ()):\n            tree.unlink(token, link)\n        return not canceled\n\n    def dispose",
    ),
    M(
        "a deadline that is firing beats the one that took its place",
        "tree.py",
        "(root._deadline is None or root._deadline.reason is not reason):",
        "root._deadline is None:",
    ),
    M(
        "a deadline that fires before it is set is lost",
        "source.py",
        "        previous = self._exchange_deadline(deadline)\n",
        "        previous = None\n",
    ),
    M(
        "cancel_async runs callbacks here",
        "source.py",
        "        thread.start()\n        started = True",
        "        started = False",
    ),
    M(
        "cancel_async hides errors",
        "source.py",
        "            self._error = tree.run_callbacks(marked)",
        "            tree.run_callbacks(marked)",
    ),
    # waiting
    M(
        "waiters are not woken",
        "source.py",
        "    try:\n        wake_all(marked)\n    finally:  # the error of a loop that cannot be woken costs no callback\n        if marked and",
        "    try:\n        pass\n    finally:\n        if marked and",
    ),
    M(
        "waiters are woken after the callbacks",
        "source.py",
        "        wake_all(marked)\n    finally:  # the error of a loop that cannot be woken costs no callback\n        if marked and token._callbacks:  # links to marked children are among these\n            raise_it(tree.run_callbacks(marked, throw_on_first_exception))",
        "        if marked and token._callbacks:\n            raise_it(tree.run_callbacks(marked, throw_on_first_exception))\n    finally:\n        wake_all(marked)",
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
        "    if here := asyncio._get_running_loop() is loop:",
        "    if here := True:",
    ),
    M(
        "a loop wakes one turn late",
        "wakeups.py",
        "    if here := asyncio._get_running_loop() is loop:",
        "    if here := False:",
    ),
    M(
        "a signal handler does not wake its own loop",
        "wakeups.py",
        '        if asyncio.current_task() is not None and not hasattr(loop, "_nest_patched"):\n            return',
        "        return",
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
    M(
        "dispose leaves waiters waiting",
        "source.py",
        "        if token._waiters:\n            wake_all([token])\n",
        "",
    ),
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
        "        del awaitable  # a traceback",
        "        pass  # a traceback",
    ),
    M(
        "a cancelled token starts the awaitable",
        "waiting.py",
        "        if not asyncio.isfuture(awaitable):\n            raise",
        "        if not asyncio.isfuture(awaitable):\n            await awaitable\n            raise",
    ),
    M("an awaitable never started warns", "waiting.py", "            awaitable.close()  #", "            pass  #"),
    M(
        "run_until_canceled takes any cancel for the token's",
        "waiting.py",
        "            if task and task.cancelling() > canceled_before:\n                raise\n            raise Op",
        "            raise Op",
    ),
    M(
        "run_until_canceled compares with no earlier cancels",
        "waiting.py",
        "            if task and task.cancelling() > canceled_before:",
        "            if task and task.cancelling() > 0:",
    ),
    M(
        "run_until_canceled does not wait for the cleanup",
        "waiting.py",
        "            return await awaitable\n    finally:\n        del awaitable\n",
        '            return await __import__("asyncio").shield(awaitable)\n    finally:\n        del awaitable\n',
    ),
    M(
        "a task is cancelled while it runs",
        "waiting.py",
        'if getattr(coroutine, "cr_running", False) or getattr(coroutine, "gi_running", False):',
        "if False:",
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
        "self._move_to(until if timer is None else timer.due)",
        "self._move_to(until)",
    ),
    M("a forked child has no clock", "clock.py", "    for timer in pending:\n        _alarm.add(timer)", "    pass"),
    M("a forked child inherits a held lock", "tree.py", "    lock = RLock()\n\n\nif has", "    pass\n\n\nif has"),
    M(
        "a lock that a signal handler cannot enter again",
        "tree.py",
        "at any point.\nlock = RLock()",
        'at any point.\nlock = __import__("threading").Lock()',
    ),
    # who holds whom
    M(
        "a child is not counted when a token is no longer plain",
        "tree.py",
        "                token._idle = idle\n",
        "                token._idle = 0\n",
    ),
    M(
        "a signal handler's link is counted wrong",
        "tree.py",
        "if entries == token._callbacks:  # else",
        "if True:  # else",
    ),
    M(
        "a token that is no longer plain is not settled",
        "tree.py",
        "                break\n    token._settle()\n",
        "                break\n",
    ),
    M(
        "a registration counts as an idle child",
        "tree.py",
        "sum(held is None and isinstance(entry, Link) for",
        "sum(held is None for",
    ),
    M(
        "a link is not counted",
        "tree.py",
        "            parent._callbacks[entry] = None\n            parent._idle += 1",
        "            parent._callbacks[entry] = None",
    ),
    M(
        "an idle child that leaves stays counted",
        "tree.py",
        "                parent._idle -= 1\n",
        "                pass\n",
    ),
    M(
        "a child that is held is counted as idle when it leaves",
        "tree.py",
        "            if held is None:\n                parent._idle",
        "            if held is not MISSING:\n                parent._idle",
    ),
    M(
        "a parent is not settled when a child leaves",
        "tree.py",
        "        parent._settle()\n    return held is not MISSING",
        "    return held is not MISSING",
    ),
    M(
        "a settled child is counted the wrong way",
        "tree.py",
        "parent._idle += -1 if listened_on else 1",
        "parent._idle += 1 if listened_on else -1",
    ),
    M(
        "a settled child is not counted",
        "tree.py",
        "                    parent._idle += -1 if listened_on else 1\n",
        "",
    ),
    M(
        "the settling ends at the parent",
        "tree.py",
        "                        pending.append(parent)",
        "                        pass",
    ),
    M(
        "the settling passes by a parent's deadline",
        "tree.py",
        "                    if parent._links or parent._deadline is not None:",
        "                    if parent._links:",
    ),
    M(
        "the settling looks only once",
        "tree.py",
        "                while parent is not None:\n",
        "                if parent is not None:\n",
    ),
    M(
        "a cancelled child is settled",
        "tree.py",
        "            if child._canceled or child._disposed:  # and so",
        "            if child._disposed:  # and so",
    ),
    M(
        "a disposed child is settled",
        "tree.py",
        "            if child._canceled or child._disposed:  # and so",
        "            if child._canceled:  # and so",
    ),
    M(
        "who listens is looked at in the wrong order",
        "token.py",
        "self._idle < len(self._callbacks)",
        "len(self._callbacks) > self._idle",
    ),
    M(
        "a registration does not settle",
        "token.py",
        "        self._settle()\n        if self._canceled or self._disposed or self is",
        "        if self._canceled or self._disposed or self is",
    ),
    M(
        "a waiter does not settle",
        "token.py",
        "        self._waiters[wake] = loop\n        if not self._plain:\n            self._settle()\n",
        "        self._waiters[wake] = loop\n",
    ),
    M(
        "a waiter that leaves does not settle",
        "token.py",
        " is not MISSING and not self._plain:\n            self._settle()",
        " is not MISSING and not self._plain:\n            pass",
    ),
    M(
        "only links settle, deadlines do not",
        "token.py",
        "        if self._links or self._deadline is not None:\n            tree.settle",
        "        if self._links:\n            tree.settle",
    ),
    M(
        "a parent that was plain a moment ago is not counted",
        "tree.py",
        "        parent._callbacks[entry] = None\n        if not parent._plain:  # meanwhile\n            recount(parent)\n",
        "        parent._callbacks[entry] = None\n",
    ),
    M(
        "a link leaves a parent that was plain a moment ago",
        "tree.py",
        "MISSING)\n        if not parent._plain:  # meanwhile\n            recount(parent)\n",
        "MISSING)\n",
    ),
    M(
        "dispose waits for a disposed parent",
        "token.py",
        "if entry._todo is None or not self._canceled or",
        "if entry._todo is None or",
    ),
    M(
        "a late register overtakes the marks",
        "token.py",
        "        if self._canceled:\n            with tree.lock:  # all below it says so, too, before any callback runs\n                pass\n",
        "        if self._canceled:\n",
    ),
    M(
        "a register meanwhile overtakes the marks",
        "token.py",
        "            if self._canceled:\n                with tree.lock:\n                    pass\n",
        "            if self._canceled:\n",
    ),
    # deadlines
    M(
        "a deadline holds its token though nobody listens",
        "deadline.py",
        "            ring.held = token if listened_on else None",
        "            ring.held = token",
    ),
    M(
        "a deadline lets go of a token that is listened on",
        "deadline.py",
        "            ring.held = token if listened_on else None",
        "            ring.held = None\n            break",
    ),
    M(
        "a deadline does not look who listens already",
        "deadline.py",
        "        self.hold(token)\n\n",
        "\n",
    ),
    M(
        "settling forgets the deadline",
        "tree.py",
        "                child._deadline.hold(child)",
        "                pass",
    ),
    M(
        "a deadline looks only once who listens",
        "deadline.py",
        "        while ring is not None and (ring",
        "        if ring is not None and (ring",
    ),
    M(
        "a dropped deadline stays with the clock",
        "deadline.py",
        "it had its timer\n        self.dispose()",
        "it had its timer\n        pass",
    ),
    M(
        "a deadline that is taken back while it fires cancels",
        "tree.py",
        "            if by_deadline and token is root and",
        "            if False and",
    ),
    M(
        "a deadline cancels as a hand would",
        "deadline.py",
        "self._cancel(token, self._reason, False, True)",
        "self._cancel(token, self._reason)",
    ),
    M(
        "a deadline on a plain token is not counted",
        "source.py",
        "        if token._plain:\n            tree.recount(token)\n",
        "",
    ),
    M(
        "a deadline set amid a cancel stays",
        "source.py",
        "        if token._canceled or token._disposed:  # meanwhile\n            self._set_deadline(None)\n",
        "",
    ),
    M(
        "try_reset overlooks a signal handler's cancel",
        "source.py",
        "            deadline, token._deadline = token._deadline, None\n            canceled = token._canceled  # looked at now: a signal handler may have come in before\n",
        "            canceled = token._canceled\n            deadline, token._deadline = token._deadline, None\n",
    ),
    M(
        "cancel says False though dispose came between",
        "source.py",
        "        if not token._canceled:  # it was disposed meanwhile\n            raise disposed()\n",
        "",
    ),
    M(
        "dispose leaves the deadline armed",
        "source.py",
        "            token._plain = False\n        if token._deadline is not None:\n            self._set_deadline(None)\n",
        "            token._plain = False\n",
    ),
    M(
        "a clock that died keeps its tokens",
        "clock.py",
        "        for timer in self._timers.dispose():  #",
        "        for timer in []:  #",
    ),
    M("a deadline that was firing is lost in a fork", "clock.py", " + ([self._firing] if self._firing else [])", ""),
    M(
        "a firing timer is forgotten before it has called back",
        "clock.py",
        "            if (callback := self.callback) is not None:\n                callback()\n",
        "            callback, self.callback = self.callback, None\n            if callback is not None:\n                callback()\n",
    ),
    M(
        "a deadline without threads rings early",
        "clock.py",
        "if (left := timer.due - time.monotonic()) > 0:",
        "if (left := timer.due - time.monotonic()) > 1e9:",
    ),
    M(
        "a deadline without threads hides its error",
        "clock.py",
        "                threading.excepthook(threading.ExceptHookArgs((type(error), error, error.__traceback__, None)))",
        "                pass",
    ),
    M(
        "a deadline without threads and without a loop is lost in silence",
        "clock.py",
        "    if loop is None:\n        raise RuntimeError(",
        "    if loop is None:\n        print(",
    ),
    # wake-ups
    M(
        "a task's step writes to the pipe all the same",
        "wakeups.py",
        "        if asyncio.current_task() is not None and not hasattr",
        "        if False and not hasattr",
    ),
    M("nest_asyncio's loop sleeps on", "wakeups.py", ' and not hasattr(loop, "_nest_patched"):', ":"),
    M(
        "a signal handler within no task's step wakes nobody",
        "wakeups.py",
        "        if asyncio.current_task() is not None and not hasattr(",
        "        if not hasattr(",
    ),
    M(
        "no words where no loop runs",
        "wakeups.py",
        "    except RuntimeError as error:\n        raise RuntimeError(",
        "    except RuntimeError as error:\n        raise KeyError(",
    ),
    # scopes
    M(
        "a scope begins on a cancelled token",
        "waiting.py",
        "        self._token.throw_if_cancellation_requested()\n        self._entered",
        "        self._entered",
    ),
    M(
        "a scope is entered twice",
        "waiting.py",
        "        if self._entered:\n            raise",
        "        if False:\n            raise",
    ),
    M("a scope has no patience", "waiting.py", "        self._patience = 2  #", "        self._patience = 0  #"),
    M("a scope is patient for ever", "waiting.py", "            self._patience -= 1\n", ""),
    M(
        "a scope comes again one turn later",
        "waiting.py",
        "loop.call_soon(loop.call_soon, self._stop)",
        "loop.call_soon(self._stop)",
    ),
    M(
        "a task that has its result loses it",
        "waiting.py",
        "        if awaited is not None and awaited.done() and not awaited.cancelled():\n            return False\n",
        "",
    ),
    M(
        "a cancelled future counts as a result",
        "waiting.py",
        "awaited.done() and not awaited.cancelled():",
        "awaited.done():",
    ),
    M(
        "only the task itself is looked at",
        "waiting.py",
        "    while isinstance(awaited, asyncio.Task):",
        "    if isinstance(awaited, asyncio.Task):",
    ),
    M(
        "a future of another kind is cancelled at once",
        "waiting.py",
        " or type(awaited) is asyncio.Future\n",
        " or True\n",
    ),
    M(
        "a plain future waits for its turn",
        "waiting.py",
        "awaited is None or type(awaited) is asyncio.Future\n",
        "awaited is None\n",
    ),
    M("a generator's steps are not seen", "waiting.py", ' or getattr(coroutine, "gi_running", False):', ":"),
    M(
        "a disposed source stops the block",
        "waiting.py",
        "        if not self._token._canceled or task is None:",
        "        if task is None:",
    ),
    M("a scope leaves its waiter", "waiting.py", "        self._token._remove_waiter(self._stop)\n", ""),
    M(
        "a coroutine driven by hand has no scope",
        "waiting.py",
        "            return await (scoped if task else asyncio.ensure_future(scoped))",
        "            return await scoped",
    ),
    M(
        "a finished future gives nothing",
        "waiting.py",
        "        awaitable.cancel()  # which does nothing to a finished one\n        try:\n            result",
        "        awaitable.cancel()\n        if True:\n            raise OperationCanceledError(None, token)\n        try:\n            result",
    ),
    M("until_canceled leaves its stream open", "waiting.py", "            await close()\n", "            pass\n"),
    M(
        "until_canceled takes an item under a cancelled token",
        "waiting.py",
        "        while True:\n            token.throw_if_cancellation_requested()\n",
        "        while True:\n",
    ),
    M(
        "until_canceled waits for an item under no scope",
        "waiting.py",
        "await run_until_canceled(anext(iterator), token)",
        "await anext(iterator)",
    ),
    M(
        "wait_async has no timeout",
        "token.py",
        "timer = None if seconds is None else loop.call_later(seconds, wake)",
        "timer = None",
    ),
    M("wait_async leaves its timer", "token.py", "                timer.cancel()", "                pass"),
    M(
        "a wait whose time is over says True",
        "token.py",
        "            if timer is not None:\n                timer.cancel()\n        if not self._canceled:\n            self._raise_if_disposed()\n        return self._canceled",
        "            if timer is not None:\n                timer.cancel()\n        if not self._canceled:\n            self._raise_if_disposed()\n        return True",
    ),
    # cancel_async, advance_async, run_to_end, to_thread
    M(
        "each await of a cancel_async raises the same error",
        "source.py",
        "return error.derive(error.exceptions)",
        "return error",
    ),
    M(
        "cancel_async's error is told though it was awaited",
        "source.py",
        "        if not self._awaited:\n",
        "        if True:\n",
    ),
    M(
        "cancel_async's error is lost when nobody awaits it",
        "source.py",
        "            raise_it(self._take_error())  #",
        "            pass  #",
    ),
    M(
        "cancel_async without a thread is lost",
        "source.py",
        "            run(end.run, marked)\n        finally:",
        "            pass\n        finally:",
    ),
    M(
        "cancel_async without callbacks starts a thread",
        "source.py",
        "if any(one._callbacks for one in marked):",
        "if marked:",
    ),
    M(
        "cancel_async after dispose says nothing",
        "source.py",
        "(token._canceled and not token._disposed) else disposed())",
        "True else disposed())",
    ),
    M(
        "advance_async does not rest before it",
        "clock.py",
        "                await self._rest()\n                fired",
        "                fired",
    ),
    M(
        "advance_async rests only before it",
        "clock.py",
        "            while fired:\n                await self._rest()\n",
        "            await self._rest()\n            while fired:\n",
    ),
    M("advance_async rests for one turn", "clock.py", "_REST = 100  #", "_REST = 1  #"),
    M("the end of asyncio.run cuts run_to_end off", "cleanup.py", "    asyncio.tasks._unregister_task(work)\n", ""),
    M(
        "run_to_end is cut off by the second cancel",
        "cleanup.py",
        "                canceled = canceled or error\n",
        "                canceled = canceled or error\n                work.cancel()\n",
    ),
    M(
        "run_to_end swallows the cancel",
        "cleanup.py",
        "        if canceled is not None:\n            raise canceled from failure\n",
        "",
    ),
    M("run_to_end has no bound", "cleanup.py", "                    work.cancel()\n", "                    pass\n"),
    M("run_to_end counts its time anew after each cancel", "cleanup.py", "max(0, end - loop.time())", "seconds"),
    M(
        "run_to_end leaves the work running when its time is over",
        "cleanup.py",
        "        while not work.done():",
        "        while not work.done() and not too_late:",
    ),
    M(
        "run_to_end's time over is a CancelledError",
        "cleanup.py",
        "        if too_late and isinstance(failure, asyncio.CancelledError):",
        "        if False:",
    ),
    M("run_to_end forgets what failed", "cleanup.py", "raise canceled from failure", "raise canceled"),
    M(
        "to_thread leaves its thread when the task is cancelled",
        "threads.py",
        "            while not (end.done() or executed.done()):",
        "            if not (end.done() or executed.done()):",
    ),
    M(
        "to_thread does not tell its thread of the task's cancel",
        "threads.py",
        "                    _cancel(source, loop)",
        "                    pass",
    ),
    M(
        "to_thread cancels without a reason",
        "threads.py",
        'source.cancel("the task that waits for the thread was cancelled")',
        "source.cancel()",
    ),
    M("to_thread begins under a cancelled token", "threads.py", "    token.throw_if_cancellation_requested()\n", ""),
    M(
        "to_thread begins what was cancelled in the queue",
        "threads.py",
        "source.token.register(job.cancel)",
        "source.token.register(int)",
    ),
    M(
        "to_thread swallows the task's cancel",
        "threads.py",
        "        if canceled is not None:\n            raise canceled from",
        "        if False:\n            raise canceled from",
    ),
    M(
        "a deadline is lost where there is no timer to be had",
        "source.py",
        "                    token._deadline = previous\n",
        "                    pass\n",
    ),
    M(
        "a disarmed deadline keeps the token in its timer",
        "deadline.py",
        "            ring.held = None  # a timer",
        "            pass  # a timer",
    ),
    M(
        "a failed cleanup is not told",
        "waiting.py",
        "            if error is not None and error.__cause__ is not None:",
        "            if False:",
    ),
    M(
        "a job that the executor gave up is waited for",
        "threads.py",
        "            while not (end.done() or executed.done()):",
        "            while not end.done():",
    ),
    M(
        "a disposed middle costs the square of its children",
        "tree.py",
        "    while links:\n        entry = links.pop()\n",
        "    for entry in reversed([e for e in list(token._callbacks) if isinstance(e, Link)]):\n",
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
        command = [sys.executable, "-m", "pytest", "-v", "-o", "addopts=", "-p", "no:cacheprovider", "--timeout=20"]
        command += [f"--maxfail={ENOUGH}", *map(str, files)]
        environment = {"PYTHONPATH": folder, "PATIENCE": "3", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
        with tempfile.TemporaryFile("w+") as output:
            try:
                code = subprocess.run(
                    command, env=os.environ | environment, stdout=output, stderr=output, timeout=300, check=False
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
