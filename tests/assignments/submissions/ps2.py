# ruff: noqa: E501  (some answers have long lines)
from course import Submission

_LOOK = "        token.throw_if_cancellation_requested()\n"
_STEP = "        await oven.step()\n"
_RISE = "    await delay(minutes * 60, token)\n"
_PREPARE = ("prepare-whole", "prepare-cancelled", "prepare-before")
_SERVE = ("serve-failures", "serve-token", "serve-task")
_SWALLOWED = "It has swallowed the cancel"

WRONG = {
    "never looks": Submission(
        changes={"prepare": [(_LOOK, "")]},
        loses={
            "prepare-cancelled": "it was cancelled in step 4, and went on to step 10. Look at the token before every step",
            "prepare-before": "the steps that it did: expected 0, but saw 10",
        },
    ),
    "looks after the step": Submission(
        changes={"prepare": [(_LOOK + _STEP, _STEP + _LOOK)]},
        loses={"prepare-before": "Look before the first step, too"},
    ),
    "returns in silence": Submission(
        changes={"prepare": [(_LOOK, "        if token.is_cancellation_requested:\n            return\n")]},
        loses={
            "prepare-cancelled": "stopped, and returned None. Its caller cannot tell",
            "prepare-before": "it was cancelled from the start, and returned None",
        },
    ),
    "looks where the visible test cancels": Submission(
        changes={"prepare": [("for _ in", "for step in"), (_LOOK, "        if step % 4 == 0:\n    " + _LOOK)]},
        loses={"prepare-cancelled": "Look at the token before every step"},
    ),
    "never awaits": Submission(
        changes={"prepare": [("await oven.step()", "oven.step()")]},
        loses={
            "prepare-whole": "expected 10, but saw 0. And the coroutine 'Oven.step' was never awaited: write `await`",
            "prepare-cancelled": "was never awaited",
        },
    ),
    "all steps at once": Submission(
        answers={
            "prepare": """
async def prepare_meal(oven, token):
    token.throw_if_cancellation_requested()
    await asyncio.gather(*[oven.step() for _ in range(10)])
    return "meal"
"""
        },
        loses={
            "prepare-whole": "ten steps take 3 s one after the other; it took 0.3 s",
            "prepare-cancelled": "it was cancelled in step 4, and went on to step 10",
        },
    ),
    "raises an error without the token": Submission(
        changes={
            "prepare": [
                (_LOOK, "        if token.is_cancellation_requested:\n            raise OperationCanceledError()\n")
            ]
        },
        loses={"prepare-before": "its error carries no token"},
    ),
    "loops until it is cancelled": Submission(
        changes={
            "prepare": [
                (
                    "    for _ in range(10):\n" + _LOOK + _STEP,
                    "    while not token.is_cancellation_requested:\n        pass\n",
                )
            ]
        },
        loses={
            "prepare-whole": "it blocks its thread in `prepare_meal`",
            "prepare-cancelled": "it blocks its thread in `prepare_meal`",
            "prepare-before": "it was cancelled from the start, and returned 'meal'",
        },
        limit=0.7,
    ),
    "ends the program": Submission(
        changes={
            "prepare": [(_LOOK, "        if token.is_cancellation_requested:\n            raise SystemExit(1)\n")]
        },
        loses={
            "prepare-cancelled": "it raised SystemExit in `prepare_meal`, at `raise SystemExit(1)`",
            "prepare-before": "That ends the whole program, not a piece of work",
        },
    ),
    "interrupts the program": Submission(
        changes={"prepare": [("    for _ in", "    raise KeyboardInterrupt\n    for _ in")]},
        loses=dict.fromkeys(_PREPARE, "it raised KeyboardInterrupt in `prepare_meal`"),
    ),
    "a name that is not there, at the meal": Submission(
        changes={"prepare": [("await oven.step()", "await ofen.step()")]},
        loses={
            "prepare-whole": "NameError",
            "prepare-cancelled": "it raised NameError: name 'ofen' is not defined in `prepare_meal`, at `await ofen.step()`",
        },
    ),
    "asyncio's error": Submission(
        changes={
            "prepare": [
                (_LOOK, "        if token.is_cancellation_requested:\n            raise asyncio.CancelledError\n")
            ]
        },
        loses={
            "prepare-cancelled": "stopped, and raised CancelledError(). Its caller cannot tell. Let the token raise",
            "prepare-before": "it was cancelled from the start, and raised CancelledError()",
        },
    ),
    "cleans up after a meal only": Submission(
        changes={
            "oven": [
                (
                    "    try:\n        return await cook(oven, token)\n    finally:\n        await oven",
                    "    meal = await cook(oven, token)\n    if True:\n        await oven",
                ),
                ("switch_off()", "switch_off()\n    return meal"),
            ]
        },
        loses={
            "oven-cancelled": "the oven, when the token was cancelled while it cooked: expected ['on', 'off'], but saw ['on']"
        },
    ),
    "cleans up after ordinary errors only": Submission(
        answers={
            "oven": """
async def with_oven(oven, cook, token):
    token.throw_if_cancellation_requested()
    oven.switch_on()
    try:
        meal = await cook(oven, token)
    except Exception:
        await oven.switch_off()
        raise
    await oven.switch_off()
    return meal
"""
        },
        loses={"oven-cancelled": "Also an asyncio.CancelledError runs a `finally`"},
    ),
    "a cleanup that nobody awaits": Submission(
        changes={"oven": [("await oven.switch_off()", "oven.switch_off()")]},
        loses={
            "oven-meal": "the coroutine 'Oven.switch_off' was never awaited",
            "oven-cancelled": "expected ['on', 'off'], but saw ['on']",
        },
    ),
    "cleans up twice": Submission(
        changes={
            "oven": [
                ("    finally:", "    except Exception:\n        await oven.switch_off()\n        raise\n    finally:")
            ]
        },
        loses={"oven-cancelled": "expected ['on', 'off'], but saw ['on', 'off', 'off']"},
    ),
    "keeps the news to itself": Submission(
        changes={"oven": [("    finally:", "    except OperationCanceledError:\n        return None\n    finally:")]},
        loses={"oven-cancelled": "the token was cancelled while it cooked, and it returned None. Let the error pass"},
    ),
    "cleans up unless it is cancelled": Submission(
        changes={
            "oven": [
                (
                    "        await oven.switch_off()\n",
                    "        if not token.is_cancellation_requested:\n            await oven.switch_off()\n",
                )
            ]
        },
        loses={"oven-cancelled": "the token was cancelled while it cooked: expected ['on', 'off'], but saw ['on']"},
    ),
    "a cleanup that is cancelled": Submission(
        changes={
            "oven": [
                (
                    "        await oven.switch_off()\n",
                    "        from cancellation import run_until_canceled\n\n        await run_until_canceled(oven.switch_off(), token)\n",
                )
            ]
        },
        loses={"oven-cancelled": "Switch it off in a `finally`, whatever the token says"},
    ),
    "a name that is not there, in the oven": Submission(
        changes={"oven": [("    oven.switch_on()\n", "    logger.info('on')\n    oven.switch_on()\n")]},
        loses={
            "oven-meal": "NameError",
            "oven-cancelled": "the token was cancelled while it cooked, and it raised NameError(\"name 'logger' is not",
            "oven-never-on": "NameError",
        },
    ),
    "switches on before it looks": Submission(
        changes={
            "oven": [
                (
                    "    token.throw_if_cancellation_requested()\n    oven.switch_on()\n",
                    "    oven.switch_on()\n    token.throw_if_cancellation_requested()\n",
                )
            ]
        },
        loses={"oven-never-on": "expected [], but saw ['on']. Look before you switch on"},
    ),
    "switches off what was never on": Submission(
        changes={"oven": [("    oven.switch_on()\n    try:\n", "    try:\n        oven.switch_on()\n")]},
        loses={"oven-never-on": "What is not on is not switched off"},
    ),
    "waits for a lock that it holds": Submission(
        changes={
            "oven": [
                (
                    "    oven.switch_on()\n",
                    "    import threading\n\n    lock = threading.Lock()\n    lock.acquire()\n    lock.acquire()\n    oven.switch_on()\n",
                )
            ]
        },
        loses={
            "oven-meal": "it blocks its thread in `with_oven`, at `lock.acquire()`",
            "oven-cancelled": "it blocks its thread in `with_oven`, at `lock.acquire()`",
            "oven-never-on": "it blocks its thread in `with_oven`, at `lock.acquire()`",
        },
        limit=0.7,
    ),
    "a sleep that hears nothing": Submission(
        changes={
            "soon": [(_RISE, "    await asyncio.sleep(minutes * 60)\n    token.throw_if_cancellation_requested()\n")]
        },
        loses={"soon-latency": "it was cancelled, and stopped 240.0 s later. A sleep hears no token"},
    ),
    "a look every second": Submission(
        changes={
            "soon": [
                (
                    _RISE,
                    "    for _ in range(minutes * 60):\n        token.throw_if_cancellation_requested()\n        await asyncio.sleep(1)\n",
                )
            ]
        },
        loses={"soon-latency": "or short sleeps with a look between"},
    ),
    "blocks the thread": Submission(
        changes={"soon": [(_RISE, "    import time\n\n    time.sleep(minutes * 60)\n")]},
        loses={
            "soon-whole": "it blocks its thread in `let_rise`, at `time.sleep(minutes * 60)`",
            "soon-latency": "so that nobody else gets a turn, and no cancel can arrive",
        },
        limit=0.7,
    ),
    "patches asyncio": Submission(
        changes={"soon": [(_RISE, "    asyncio.sleep = delay\n    await asyncio.sleep(minutes * 60, token)\n")]},
        loses={
            "soon-whole": "your code replaces `asyncio.sleep`",
            "soon-latency": "your code replaces `asyncio.sleep`",
        },
    ),
    "patches time": Submission(
        changes={"soon": [(_RISE, "    import time\n\n    time.monotonic = lambda: 0\n" + _RISE)]},
        loses={
            "soon-whole": "your code replaces `time.monotonic`",
            "soon-latency": "your code replaces `time.monotonic`",
        },
    ),
    "no turn for others": Submission(
        changes={"soon": [("            await asyncio.sleep(0)\n", "")]},
        loses={"soon-count": "it counted 20,000 pizzas before anybody else had a turn"},
    ),
    "a turn for others, and no look": Submission(
        changes={"soon": [("            token.throw_if_cancellation_requested()\n", "")]},
        loses={"soon-count": "Look at the token after each turn that you give"},
    ),
    "a look every four thousand": Submission(
        changes={"soon": [("% 500", "% 4000")]},
        loses={"soon-count": "it counted 4,000 pizzas before anybody else had a turn"},
    ),
    "counts on a thread that nobody ends": Submission(
        changes={
            "soon": [
                (
                    "    total = 0\n",
                    "    import threading\n\n    threading.Thread(target=threading.Event().wait).start()\n    total = 0\n",
                )
            ]
        },
        loses={"soon-count": "leaves a thread behind"},
    ),
    "notes the cancel and goes on": Submission(
        changes={"serve": [("        except OperationCanceledError:\n            raise\n", "")]},
        loses={"serve-token": "an OperationCanceledError is an Exception, so name it first"},
    ),
    "asks the token who cancelled": Submission(
        answers={
            "serve": """
async def serve_all(guests, serve, note, token):
    served = []
    for guest in guests:
        try:
            await serve(guest, token)
            served.append(guest)
        except Exception as error:
            if token.is_cancellation_requested:
                raise
            note(guest, error)
    return served
"""
        },
        loses={"serve-token": "though the token was not cancelled, and it returned []. Whoever cancelled, let it pass"},
    ),
    "a name that is not there, in the service": Submission(
        changes={"serve": [("    served = []\n", "    served = []\n    logger.info(guests)\n")]},
        loses={
            "serve-failures": "NameError",
            "serve-token": "it raised NameError: name 'logger' is not defined in `serve_all`, at `logger.info(guests)`",
            "serve-task": "it raised NameError: name 'logger' is not defined in `serve_all`",
        },
    ),
    "a bare except": Submission(
        changes={
            "serve": [
                (
                    "        except OperationCanceledError:\n            raise\n        except Exception as error:\n",
                    "        except BaseException as error:\n",
                )
            ]
        },
        loses={"serve-token": _SWALLOWED, "serve-task": "`except Exception` lets it pass, a bare `except:` does not"},
    ),
    "ends, and says all is well": Submission(
        changes={
            "serve": [
                (
                    "        except OperationCanceledError:\n            raise\n",
                    "        except (OperationCanceledError, asyncio.CancelledError):\n            break\n",
                )
            ]
        },
        loses={"serve-token": "nobody above can know", "serve-task": "ended as if it had not been"},
    ),
    "the first failure ends it": Submission(
        changes={
            "serve": [("            note(guest, error)\n", "            note(guest, error)\n            break\n")]
        },
        loses={"serve-failures": "whom it tried to serve: expected ['Ann', 'Bob', 'Eve'], but saw ['Ann', 'Bob']"},
    ),
    "prints a gigabyte": Submission(
        changes={
            "serve": [
                (
                    "    served = []\n",
                    "    served = []\n    for _ in range(1_000_000):\n        print('serving' * 143)\n",
                )
            ]
        },
        loses=dict.fromkeys(_SERVE, "it printed more than 1,000,000 characters"),
    ),
    "another token": Submission(
        changes={
            "serve": [
                ("serve(guest, token)\n        except", "serve(guest, CancellationTokenSource().token)\n        except")
            ]
        },
        loses={
            "serve-failures": "`serve` was given another token than its own. Pass the token on",
            "serve-token": "and it went on to guest 3",
        },
    ),
}

RIGHT = {
    "with looks of one's own": Submission(
        answers={
            "prepare": """
async def prepare_meal(oven, token):
    steps = 0
    while steps < 10:
        if token.is_cancellation_requested:
            raise OperationCanceledError("no meal", token)
        await oven.step()
        steps += 1
    return "meal"
""",
            "oven": """
async def with_oven(oven, cook, token):
    if token.is_cancellation_requested:
        raise OperationCanceledError(token=token)
    oven.switch_on()
    try:
        meal = await cook(oven, token)
    except BaseException:
        await oven.switch_off()
        raise
    await oven.switch_off()
    return meal
""",
            "soon": """
async def let_rise(minutes, token):
    until = asyncio.get_running_loop().time() + minutes * 60
    while asyncio.get_running_loop().time() < until:
        token.throw_if_cancellation_requested()
        await asyncio.sleep(0.05)


async def count(pizzas, token):
    total = 0
    for pizza in pizzas:
        await asyncio.sleep(0)
        if token.is_cancellation_requested:
            raise OperationCanceledError("not counted")
        total += pizza.price
    return total
""",
            "serve": """
async def serve_all(guests, serve, note, token):
    served = list(guests)
    for guest in guests:
        try:
            await serve(guest, token)
        except Exception as error:
            if isinstance(error, OperationCanceledError):
                raise
            served.remove(guest)
            note(guest, error)
    return served
""",
        },
    ),
    "with helpers of common names": Submission(
        answers={
            "oven": """
class Oven:
    def __init__(self, oven):
        self.oven = oven

    async def __aenter__(self):
        self.oven.switch_on()
        return self.oven

    async def __aexit__(self, *_):
        await self.oven.switch_off()


def begin(oven, token):
    token.throw_if_cancellation_requested()
    return Oven(oven)


async def with_oven(oven, cook, token):
    async with begin(oven, token) as counter:
        return await cook(counter, token)
"""
        }
    ),
    "with the package's scopes": Submission(
        answers={
            "prepare": """
from cancellation import run_until_canceled


async def prepare_meal(oven, token):
    async def cook():
        for _ in range(10):
            await oven.step()
        return "meal"

    return await run_until_canceled(cook(), token)
""",
            "oven": """
from contextlib import AsyncExitStack


async def with_oven(oven, cook, token):
    token.throw_if_cancellation_requested()
    async with AsyncExitStack() as stack:
        oven.switch_on()
        stack.push_async_callback(oven.switch_off)
        return await cook(oven, token)
""",
            "soon": """
from itertools import islice

from cancellation import cancel_scope


async def let_rise(minutes, token):
    async with cancel_scope(token):
        await asyncio.sleep(minutes * 60)


async def count(pizzas, token):
    pizzas = iter(pizzas)
    total = 0
    while some := list(islice(pizzas, 1000)):
        total += sum(pizza.price for pizza in some)
        await delay(0, token)
    return total
""",
        },
    ),
    "with tasks and classes": Submission(
        answers={
            "prepare": """
class Meal:
    def __init__(self, oven, token):
        self.oven, self.token = oven, token

    async def steps(self, how_many):
        if how_many:
            self.token.throw_if_cancellation_requested()
            await self.oven.step()
            await self.steps(how_many - 1)
        return "meal"


prepare_meal = lambda oven, token: Meal(oven, token).steps(10)  # noqa: E731
""",
            "soon": """
async def let_rise(minutes, token):
    cancelled = asyncio.ensure_future(token.wait_async())
    try:
        await asyncio.wait({cancelled}, timeout=minutes * 60)
        token.throw_if_cancellation_requested()
    finally:
        cancelled.cancel()


TURN = 100


async def count(pizzas, token):
    total = left = 0
    for pizza in pizzas:
        if left == 0:
            left = TURN
            await asyncio.sleep(0)
            token.throw_if_cancellation_requested()
        left -= 1
        total = total + pizza.price
    return total
""",
            "serve": """
async def serve_all(guests, serve, note, token):
    async def try_to(guest):
        try:
            await serve(guest, token)
        except OperationCanceledError:
            raise
        except Exception as error:
            note(guest, error)
            return []
        return [guest]

    return [guest for one in guests for guest in await try_to(one)]
""",
        },
    ),
}
