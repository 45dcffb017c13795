# ruff: noqa: E501  (some answers have long lines)
from course import Submission

_ORDER = "the order in which they ran: expected ['third', 'second', 'first'], but saw ['first', 'second', 'third']"
_BLOCKS = "it blocks its thread in"

WRONG = {
    "one flag for all": Submission(
        changes={
            "signal": [
                ("    def __init__(self):", "    _cancelled = False\n\n    def __init__(self):"),
                ("        self._cancelled = False\n", "        pass\n"),
                ("        self._cancelled = True\n", "        Signal._cancelled = True\n"),
            ]
        },
        loses={"signal-new": "The flag belongs to the signal (`self.`), not to its class"},
    ),
    "a method in place of the property": Submission(
        changes={"signal": [("    @property\n", "")]},
        loses={
            "signal-new": "is_cancellation_requested of a new signal: expected False, but saw <bound method",
            "signal-cancel": "is_cancellation_requested after it: expected True, but saw <bound method",
        },
    ),
    "every cancel did it": Submission(
        changes={"signal": [("            return False\n", "            return True\n")]},
        loses={"signal-cancel": "the second cancel(): expected False, but saw True"},
    ),
    "a second cancel switches back": Submission(
        changes={
            "signal": [
                (
                    "        self._cancelled = True\n        return True",
                    "        self._cancelled = not self._cancelled\n        return self._cancelled",
                ),
                ("        if self._cancelled:\n            return False\n", ""),
            ]
        },
        loses={"signal-cancel": "more calls of cancel(): expected [False, False"},
    ),
    "a text learnt by heart": Submission(
        answers={
            "throw": """
def throw_if_cancelled(signal, what):
    if signal.is_cancellation_requested:
        raise OperationCanceledError("the payment was cancelled")
"""
        },
        loses={"throw": "It should name the work that it was given"},
    ),
    "one error object for ever": Submission(
        answers={
            "throw": """
ERRORS = {}


def throw_if_cancelled(signal, what):
    if signal.is_cancellation_requested:
        raise ERRORS.setdefault(what, OperationCanceledError(f"{what} was cancelled"))
"""
        },
        loses={"throw": "it raised the same error object twice"},
    ),
    "asyncio's error": Submission(
        changes={"throw": [("raise OperationCanceledError(", "raise asyncio.CancelledError(")]},
        loses={"throw": "it raised CancelledError('the payment was cancelled'), not an OperationCanceledError"},
    ),
    "swallows its own error": Submission(
        answers={
            "throw": """
def throw_if_cancelled(signal, what):
    try:
        if signal.is_cancellation_requested:
            raise OperationCanceledError(f"{what} was cancelled")
    except Exception:
        pass
"""
        },
        loses={"throw": "the signal was cancelled, and it raised nothing"},
    ),
    "never awaited": Submission(
        changes={"throw": [("def throw", "async def throw")]},
        loses={"throw": "it is a coroutine, which nobody awaits"},
    ),
    "ends the program": Submission(
        changes={"throw": [('raise OperationCanceledError(f"{what} was cancelled")', "raise SystemExit(what)")]},
        loses={"throw": "it raised SystemExit('the payment'), not an OperationCanceledError"},
    ),
    "interrupts the program when it begins": Submission(
        changes={"signal": [("        self._cancelled = False\n", "        raise KeyboardInterrupt\n")]},
        loses={
            "signal-new": "it raised KeyboardInterrupt in `Signal.__init__`",
            "signal-cancel": "it raised KeyboardInterrupt in `Signal.__init__`",
        },
    ),
    "sleeps a minute": Submission(
        changes={"signal": [("        self._cancelled = True\n", "        import time\n\n        time.sleep(60)\n")]},
        loses={
            "signal-new": "it blocks its thread in `Signal.cancel`, at `time.sleep(60)`",
            "signal-cancel": "it blocks its thread in `Signal.cancel`, at `time.sleep(60)`",
        },
        limit=0.7,
    ),
    "oldest first": Submission(
        changes={"callbacks": [("self._waiting.pop()", "self._waiting.pop(0)")]},
        loses={
            "callbacks-order": _ORDER,
            "callbacks-errors": "All of them, in the order in which the callbacks ran",
        },
    ),
    "callbacks stay": Submission(
        changes={
            "callbacks": [
                (
                    "        while self._waiting:\n            callback, args = self._waiting.pop()\n",
                    "        for callback, args in reversed(self._waiting):\n",
                )
            ]
        },
        loses={
            "callbacks-once": "what ran in two calls of run(): expected ['a'], but saw ['a', 'a']",
            "callbacks-take-back": "taking back one that has run: expected False, but saw True",
            "callbacks-errors": "it raised ExceptionGroup",
        },
    ),
    "takes back an equal one": Submission(
        changes={"callbacks": [("if other is entry:", "if other == entry:")]},
        loses={"callbacks-take-back": "taking it back a second time: expected False, but saw True"},
    ),
    "the first error ends it": Submission(
        changes={
            "callbacks": [
                (
                    "                errors.append(error)",
                    "                raise ExceptionGroup('failed', [error]) from None",
                )
            ]
        },
        loses={"callbacks-errors": "what ran beside the callback that failed: expected ['oldest'], but saw []"},
    ),
    "errors are swallowed": Submission(
        changes={"callbacks": [("        if errors:\n", "        if not errors and self._waiting:\n")]},
        loses={"callbacks-errors": "a callback failed, and nobody heard of it"},
    ),
    "prints a gigabyte": Submission(
        changes={
            "callbacks": [
                (
                    "        errors = []\n",
                    "        errors = []\n        for _ in range(1_000_000):\n            print('running' * 143)\n",
                )
            ]
        },
        loses={
            f"callbacks-{one}": "it printed more than 1,000,000 characters"
            for one in ("order", "once", "take-back", "errors")
        },
    ),
    "loops until nobody waits": Submission(
        changes={
            "callbacks": [
                (
                    "            callback, args = self._waiting.pop()\n",
                    "            callback, args = self._waiting[-1]\n",
                )
            ]
        },
        loses={
            "callbacks-order": _BLOCKS,
            "callbacks-once": _BLOCKS,
            "callbacks-take-back": _BLOCKS,
            "callbacks-errors": "it",
        },
        limit=0.7,
    ),
    "no lock": Submission(
        changes={
            "token": [
                ("        with self._lock:\n            if not", "        if True:\n            if not"),
                ("        with self._lock:\n            if self", "        if True:\n            if self"),
            ]
        },
        loses={
            "token-race-cancel": "Look and mark under one lock",
            "token-race-register": "Another thread cancelled between a look at the flag and what came of it",
        },
    ),
    "a lock around the callbacks": Submission(
        changes={
            "token": [
                (
                    "        for callback, args in reversed(waiting):\n            callback(*args)\n        return True",
                    "            for callback, args in reversed(waiting):\n                callback(*args)\n        return True",
                )
            ]
        },
        loses={
            "token-marks-first": "it blocks its thread in `Token.register`, at `with self._lock:`",
            "token-no-lock": "Another thread called register() while a callback ran, and waited for ever",
        },
        limit=3,
    ),
    "late ones wait for ever": Submission(
        changes={"token": [("                return\n        callback(*args)\n", "                return\n")]},
        loses={
            "token-late": "Nobody will cancel a second time, so `register` calls it",
            "token-marks-first": "callbacks that registered another one",
            "token-race-register": "what ran when another thread cancelled in the middle of register(): expected ['a'], but saw []",
            "token-no-lock": "what ran in the other thread",
        },
    ),
    "runs first, marks second": Submission(
        answers={
            "token": """
class Token:
    def __init__(self):
        self._lock = threading.Lock()
        self._cancelled = False
        self._waiting = []

    @property
    def is_cancellation_requested(self):
        return self._cancelled

    def register(self, callback, *args):
        with self._lock:
            if not self._cancelled:
                self._waiting.append((callback, args))
                return
        callback(*args)

    def cancel(self):
        if self._cancelled:
            return False
        while self._waiting:
            callback, args = self._waiting.pop()
            callback(*args)
        with self._lock:
            first, self._cancelled = not self._cancelled, True
        return first
"""
        },
        loses={
            "token-marks-first": "Mark first, run callbacks second",
            "token-race-cancel": "it raised IndexError: pop from empty list in `Token.cancel`",
            "token-race-register": "Another thread cancelled between",
            "token-no-lock": "what ran in the other thread",
        },
    ),
    "patches time": Submission(
        changes={
            "token": [
                (
                    "            self._cancelled = True\n",
                    "            self._cancelled = True\n            import time\n\n            time.sleep = print\n",
                )
            ]
        },
        loses={
            f"token-{one}": "your code replaces `time.sleep`"
            for one in ("late", "marks-first", "race-cancel", "race-register", "no-lock")
        },
    ),
    "threads that nobody ends": Submission(
        changes={
            "callbacks": [
                (
                    "        errors = []\n",
                    "        errors = []\n        threading.Thread(target=threading.Event().wait).start()\n",
                )
            ]
        },
        loses={f"callbacks-{one}": "leaves a thread behind" for one in ("order", "once", "take-back", "errors")},
    ),
    "one list of callbacks for all": Submission(
        changes={
            "callbacks": [
                ("    def __init__(self):", "    _waiting = []\n\n    def __init__(self):"),
                ("        self._waiting = []\n", "        pass\n"),
            ]
        },
        loses={"callbacks-order": "The list belongs to the object (`self.`), not to its class"},
    ),
    "a group of one only": Submission(
        changes={"callbacks": [("        if errors:\n", "        if len(errors) == 1:\n")]},
        loses={"callbacks-errors": "three callbacks failed, and nobody heard of it"},
    ),
    "one list for all tokens": Submission(
        answers={
            "token": """
class Token:
    _waiting = []

    def __init__(self):
        self._lock = threading.Lock()
        self._cancelled = False

    @property
    def is_cancellation_requested(self):
        return self._cancelled

    def register(self, callback, *args):
        with self._lock:
            if not self._cancelled:
                self._waiting.append((callback, args))
                return
        callback(*args)

    def cancel(self):
        with self._lock:
            if self._cancelled:
                return False
            self._cancelled = True
            waiting = self._waiting[::-1]
            self._waiting.clear()
        for callback, args in waiting:
            callback(*args)
        return True
"""
        },
        loses={"token-late": 'what ran of another token: expected [], but saw ["another token\'s"]'},
    ),
    "a thread for each callback": Submission(
        changes={
            "token": [
                (
                    "        for callback, args in reversed(waiting):\n            callback(*args)\n",
                    "        for callback, args in reversed(waiting):\n            thread = threading.Thread(target=callback, args=args)\n            thread.start()\n            thread.join()\n",
                )
            ]
        },
        loses={"token-late": "ran on the thread that cancelled: expected [True, True], but saw [False, True]"},
    ),
}

RIGHT = {
    "with helpers of common names": Submission(
        answers={
            "throw": """
def begin(what):
    return f"{what} was"


def order(what):
    return f"{begin(what)} cancelled"


counter = order


def throw_if_cancelled(signal, what):
    if signal.is_cancellation_requested:
        raise OperationCanceledError(counter(what))
"""
        }
    ),
    "with an event and a dict": Submission(
        answers={
            "signal": """
class Signal:
    def __init__(self):
        self._event = threading.Event()

    @property
    def is_cancellation_requested(self):
        return self._event.is_set()

    def cancel(self):
        first = not self._event.is_set()
        self._event.set()
        return first
""",
            "callbacks": """
from functools import partial


class Callbacks:
    def __init__(self):
        self._by_key = {}

    def add(self, callback, *args):
        key = object()
        self._by_key[key] = partial(callback, *args)
        return lambda: self._by_key.pop(key, None) is not None

    def run(self):
        errors = []
        while self._by_key:
            _, callback = self._by_key.popitem()
            try:
                callback()
            except Exception as error:
                errors += [error]
        if errors:
            raise ExceptionGroup("", errors)
""",
        },
    ),
    "a token of the parts above": Submission(
        answers={
            "throw": """
def throw_if_cancelled(signal, what):
    if not signal.is_cancellation_requested:
        return
    error = OperationCanceledError("{} was cancelled".format(what))
    raise error
""",
            "token": """
class Token(Signal):
    def __init__(self):
        super().__init__()
        self._lock = threading.RLock()
        self._callbacks = Callbacks()

    def register(self, callback, *args):
        with self._lock:
            late = self.is_cancellation_requested
            if not late:
                self._callbacks.add(callback, *args)
        if late:
            callback(*args)

    def cancel(self):
        with self._lock:
            first = super().cancel()
        if first:
            self._callbacks.run()
        return first
""",
        },
    ),
    "without a lock around the list": Submission(
        answers={
            "token": """
from collections import deque


class Token:
    def __init__(self):
        self._first = threading.Lock()  # whoever gets it has cancelled
        self._callbacks = deque()
        self.is_cancellation_requested = False

    def register(self, callback, *args):
        self._callbacks.append((callback, args))
        if self.is_cancellation_requested:
            self._run()

    def cancel(self):
        if not self._first.acquire(blocking=False):
            return False
        self.is_cancellation_requested = True
        self._run()
        return True

    def _run(self):
        while True:
            try:
                callback, args = self._callbacks.pop()
            except IndexError:
                return
            callback(*args)
"""
        },
    ),
    "on the package's own": Submission(
        answers={
            "token": """
from cancellation import CancellationTokenSource


class Token:
    def __init__(self):
        self._source = CancellationTokenSource()

    @property
    def is_cancellation_requested(self):
        return self._source.is_cancellation_requested

    def register(self, callback, *args):
        self._source.token.register(callback, *args)

    def cancel(self):
        return self._source.cancel()
"""
        },
    ),
}
