# ruff: noqa: E501  (some answers have long lines)
from course import Submission

_MONEY = ("money-meal", "money-cancelled", "money-failure", "money-task")
_DELIVER = ("deliver-whole", "deliver-before", "deliver-after", "deliver-message")
_DEADLINE = ("deadline-result", "deadline-passes", "deadline-caller", "deadline-disposed")
_REFUND = "        await bank.refund(order, CancellationToken.none)\n"

WRONG = {
    "a deadline by its text": Submission(
        changes={"explain": [("isinstance(token.reason, TimeoutError)", "'deadline' in str(token.reason)")]},
        loses={"explain-deadline": "expected 'cancelled', but saw 'too slow'. Texts are for people: ask for the kind"},
    ),
    "asks for the reason only": Submission(
        changes={"explain": [("not token.is_cancellation_requested", "token.reason is None")]},
        loses={"explain-click": "A reason may be None: ask the flag first"},
    ),
    "asks for the truth of a token": Submission(
        changes={"explain": [("not token.is_cancellation_requested", "not token")]},
        loses={
            "explain-click": "of a live token: expected 'on its way', but saw 'cancelled'",
            "explain-deadline": "before the deadline: expected 'on its way', but saw 'cancelled'",
        },
    ),
    "every cancel is a click": Submission(
        changes={"explain": [('    if isinstance(token.reason, TimeoutError):\n        return "too slow"\n', "")]},
        loses={"explain-deadline": "after the deadline: expected 'too slow', but saw 'cancelled'"},
    ),
    "raises in place of answering": Submission(
        changes={"explain": [("    if not token", "    token.throw_if_cancellation_requested()\n    if not token")]},
        loses={
            "explain-click": "it raised OperationCanceledError: The operation was canceled: changed my mind in `explain`",
            "explain-deadline": "it raised OperationCanceledError",
        },
    ),
    "not linked": Submission(
        changes={
            "deadline": [("CancellationTokenSource.create_linked_token_source(token)", "CancellationTokenSource()")]
        },
        loses={"deadline-caller": "the caller cancelled after 10 s, and it ended after 60.0 s. Link the new source"},
    ),
    "no deadline": Submission(
        changes={"deadline": [("        source.cancel_after(seconds)\n", "")]},
        loses={"deadline-passes": "it was given 5 s, and took 100.0 s. Does its source have a deadline?"},
    ),
    "a deadline learnt by heart": Submission(
        changes={"deadline": [("cancel_after(seconds)", "cancel_after(5)")]},
        loses={
            "deadline-result": "raised TimeoutError",
            "deadline-passes": "and was stopped after 5.0 s already",
            "deadline-caller": "and it ended after 5.0 s",
        },
    ),
    "compares tokens": Submission(
        changes={
            "deadline": [
                (
                    "if token.is_cancellation_requested or not source.is_cancellation_requested:",
                    "if error.token == token:",
                )
            ]
        },
        loses={"deadline-caller": "Ask whether *your* token is cancelled; the error carries the linked one"},
    ),
    "takes every deadline for its own": Submission(
        changes={
            "deadline": [
                (
                    "if token.is_cancellation_requested or not source.is_cancellation_requested:",
                    "if not isinstance(error.reason, TimeoutError):",
                )
            ]
        },
        loses={"deadline-caller": "a deadline of the caller's own passed, and it raised TimeoutError"},
    ),
    "no translation": Submission(
        changes={
            "deadline": [
                (
                    '            raise TimeoutError(f"it took longer than {seconds} s") from error\n',
                    "            raise\n",
                )
            ]
        },
        loses={"deadline-passes": "its own 5 s were over, and it raised OperationCanceledError"},
    ),
    "not put away": Submission(
        changes={
            "deadline": [
                (
                    "    with CancellationTokenSource.create_linked_token_source(token) as source:\n",
                    "    source = CancellationTokenSource.create_linked_token_source(token)\n    if source:\n",
                )
            ]
        },
        loses={"deadline-disposed": "its source was not put away: its timer runs on. Use it in a `with` block"},
    ),
    "forgets the result": Submission(
        changes={"deadline": [("            return await work", "            await work")]},
        loses={"deadline-result": "`work` returned 'paid' after 1 of 5 s, and it returned None"},
    ),
    "never awaits the work": Submission(
        changes={"deadline": [("return await work(source.token)", "return work(source.token)")]},
        loses={
            "deadline-result": "a coroutine that nobody awaited: write `await` in front of the call",
            "deadline-passes": "it was given 5 s, and was stopped after 0.0 s already",
            "deadline-caller": "and it ended after 0.0 s",
            "deadline-disposed": "`work` was called 0 times",
        },
    ),
    "a timer thread that nobody ends": Submission(
        changes={
            "deadline": [
                (
                    "        source.cancel_after(seconds)\n",
                    "        import threading\n\n        threading.Timer(600, source.cancel).start()\n        source.cancel_after(seconds)\n",
                )
            ]
        },
        loses={
            "deadline-result": "It has started a thread",
            "deadline-passes": "It has started a thread",
            "deadline-caller": "It has started a thread",
            "deadline-disposed": "leaves a thread behind",
        },
        limit=2,
    ),
    "cancels the caller": Submission(
        answers={
            "deadline": """
async def with_deadline(work, seconds, token):
    try:
        async with asyncio.timeout(seconds):
            return await work(token)
    finally:
        pass
"""
        },
        loses={
            "deadline-passes": "is_cancellation_requested of `work`'s token, when it was stopped: expected [True], but saw [False]",
            "deadline-disposed": "`work` was given the caller's own token",
        },
    ),
    "sleeps a minute": Submission(
        changes={
            "deadline": [("        source.cancel_after(seconds)\n", "        import time\n\n        time.sleep(60)\n")]
        },
        loses=dict.fromkeys(_DEADLINE, "it blocks its thread in `with_deadline`, at `time.sleep(60)`"),
        limit=0.7,
    ),
    "patches asyncio": Submission(
        changes={
            "deadline": [
                (
                    "        source.cancel_after(seconds)\n",
                    "        asyncio.wait_for = None\n        source.cancel_after(seconds)\n",
                )
            ]
        },
        loses=dict.fromkeys(_DEADLINE, "your code replaces `asyncio.wait_for`"),
    ),
    "never refunds": Submission(
        changes={"money": [(_REFUND, "")]},
        loses={
            "money-cancelled": "it stopped, and the money was kept",
            "money-failure": "expected ['charge', 'refund'], but saw ['charge']",
            "money-task": "expected ['charge', 'refund'], but saw ['charge']",
        },
    ),
    "refunds with the cancelled token": Submission(
        changes={"money": [("bank.refund(order, CancellationToken.none)", "bank.refund(order, token)")]},
        loses={"money-cancelled": "Does the refund get a token that is cancelled already?"},
    ),
    "tries for ever to refund with it": Submission(
        changes={
            "money": [
                (
                    _REFUND + "        raise\n",
                    "        while True:\n            try:\n                await bank.refund(order, token)\n                raise\n            except OperationCanceledError:\n                pass\n",
                )
            ]
        },
        loses={"money-cancelled": "it blocks its thread in"},
        limit=2,
    ),
    "refunds twice": Submission(
        changes={"money": [(_REFUND, _REFUND + _REFUND)]},
        loses={
            "money-cancelled": "it refunded 2 times",
            "money-failure": "but saw ['charge', 'refund', 'refund']",
            "money-task": "but saw ['charge', 'refund', 'refund']",
        },
    ),
    "refunds what is delivered": Submission(
        changes={"money": [("    except BaseException:\n", "    finally:\n"), ("        raise\n", "")]},
        loses={
            "money-meal": "A cooked meal is paid, once",
            "money-cancelled": "A meal is paid",
        },
    ),
    "refunds what was never taken": Submission(
        changes={
            "money": [
                (
                    "    await bank.charge(order, token)\n    try:\n",
                    "    try:\n        await bank.charge(order, token)\n",
                )
            ]
        },
        loses={
            "money-cancelled": "What was not taken is not refunded",
            "money-failure": "What was not taken is not refunded: put `try` after the charge",
        },
    ),
    "sees ordinary errors only": Submission(
        changes={"money": [("except BaseException:", "except Exception:")]},
        loses={"money-task": "An asyncio.CancelledError is no Exception"},
    ),
    "sees cancels only": Submission(
        changes={"money": [("except BaseException:", "except (OperationCanceledError, asyncio.CancelledError):")]},
        loses={"money-failure": "expected ['charge', 'refund'], but saw ['charge']"},
    ),
    "swallows what it has undone": Submission(
        changes={"money": [("        raise\n", "        return None\n")]},
        loses={
            "money-cancelled": "it returned None. The caller cannot tell",
            "money-failure": "and it returned None. Let the error pass",
            "money-task": "ended as if it had not been",
        },
    ),
    "a refund that nobody awaits": Submission(
        changes={"money": [("await bank.refund(", "bank.refund(")]},
        loses={
            "money-cancelled": "the coroutine 'Bank.refund' was never awaited: write `await`",
            "money-failure": "the coroutine 'Bank.refund' was never awaited",
            "money-task": "the coroutine 'Bank.refund' was never awaited",
        },
    ),
    "does not pass the token on": Submission(
        changes={"money": [("cook(order, token)", "cook(order, CancellationToken.none)")]},
        loses={
            "money-meal": "what `cook` saw",
            "money-cancelled": "Did `cook` get the token?",
        },
    ),
    "prints a gigabyte": Submission(
        changes={
            "money": [("    try:\n", "    for _ in range(1_000_000):\n        print('paying ' * 143)\n    try:\n")]
        },
        loses={
            **dict.fromkeys(_MONEY, "it printed more than 1,000,000 characters"),
        },
    ),
    "looks once more after the handover": Submission(
        changes={
            "deliver": [
                (
                    "    with suppress(Exception)",
                    "    token.throw_if_cancellation_requested()\n    with suppress(Exception)",
                )
            ]
        },
        loses={
            "deliver-after": "it was cancelled while the courier handed over, too late, and it raised OperationCanceledError"
        },
    ),
    "undoes what cannot be undone": Submission(
        answers={
            "deliver": """
async def deliver(order, bank, courier, token):
    try:
        await courier.arrive(token)
        token.throw_if_cancellation_requested()
        await courier.hand_over(order)
        await courier.send_message(order, token)
    except BaseException:
        await bank.refund(order, CancellationToken.none)
        raise
    return "delivered"
"""
        },
        loses={
            "deliver-after": "The customer has the pizza: nothing is refunded",
            "deliver-message": "expected [], but saw ['refund']. The customer has the pizza",
        },
    ),
    "a message with the order's token": Submission(
        changes={"deliver": [("send_message(order, CancellationToken.none)", "send_message(order, token)")]},
        loses={"deliver-after": "What must be done to the end gets no token that may be cancelled"},
    ),
    "no last look": Submission(
        changes={"deliver": [("        token.throw_if_cancellation_requested()\n", "")]},
        loses={"deliver-before": "Look right before the handover"},
    ),
    "a message that matters too much": Submission(
        changes={"deliver": [("    with suppress(Exception):", "    if order:")]},
        loses={"deliver-message": "The pizza is delivered"},
    ),
    "keeps the money of who cancels": Submission(
        changes={"deliver": [(_REFUND, "")]},
        loses={"deliver-before": "expected ['refund'], but saw []"},
    ),
    "a courier who never looks up": Submission(
        changes={"deliver": [("    try:\n", "    while not token.is_cancellation_requested: pass\n    try:\n")]},
        loses=dict.fromkeys(
            _DELIVER, "it blocks its thread in `deliver`, at `while not token.is_cancellation_requested: pass`"
        ),
        limit=0.7,
    ),
    "a lock taken twice": Submission(
        answers={
            "deliver": """
import threading

LOCK = threading.Lock()


async def deliver(order, bank, courier, token):
    with LOCK, LOCK:
        return "delivered"
"""
        },
        loses=dict.fromkeys(_DELIVER, "it blocks its thread in `deliver`, at `with LOCK, LOCK:`"),
        limit=0.7,
    ),
    "ends the program when cancelled": Submission(
        changes={
            "deliver": [
                (
                    "        token.throw_if_cancellation_requested()\n    except BaseException:\n",
                    "        token.throw_if_cancellation_requested()\n    except OperationCanceledError:\n        raise SystemExit\n    except Exception:\n",
                )
            ]
        },
        loses={"deliver-before": "it raised SystemExit in `deliver`"},
    ),
    "interrupts the program when cancelled": Submission(
        changes={
            "deliver": [
                (
                    "        token.throw_if_cancellation_requested()\n",
                    "        if token.is_cancellation_requested:\n            raise KeyboardInterrupt\n",
                )
            ]
        },
        loses={"deliver-before": "it raised KeyboardInterrupt in `deliver`"},
    ),
    "a table of reasons": Submission(
        answers={
            "explain": """
WORDS = {None: "cancelled", "closing time": "closed"}


def explain(token):
    if not token.is_cancellation_requested:
        return "on its way"
    return "too slow" if isinstance(token.reason, TimeoutError) else WORDS.get(token.reason, "cancelled")
"""
        },
        loses={"explain-click": "it raised TypeError"},
    ),
    "the text of a reason": Submission(
        changes={"explain": [("token.reason == ", "str(token.reason) == ")]},
        loses={
            "explain-click": "with the reason ValueError('closing time'): expected 'cancelled', but saw 'closed'",
        },
    ),
    "every error is a deadline": Submission(
        changes={"explain": [("isinstance(token.reason, TimeoutError)", "isinstance(token.reason, Exception)")]},
        loses={
            "explain-click": "with the reason ValueError('closing time'): expected 'cancelled', but saw 'too slow'",
        },
    ),
    "every error after the deadline is the deadline": Submission(
        changes={"deadline": [("except OperationCanceledError as error", "except Exception as error")]},
        loses={"deadline-result": "after its time was over, and it raised TimeoutError"},
    ),
    "a name that is not there, at the deadline": Submission(
        changes={"deadline": [("        source.cancel_after(seconds)\n", "        source.cancel_after(second)\n")]},
        loses={
            "deadline-result": "it raised NameError",
            "deadline-passes": "it raised NameError: name 'second' is not defined",
            "deadline-caller": "it raised NameError: name 'second' is not defined",
            "deadline-disposed": "`work` was called 0 times",
        },
    ),
    "a name that is not there, at the bank": Submission(
        changes={"money": [("    await bank.charge", "    logger.info(order)\n    await bank.charge")]},
        loses=dict.fromkeys(_MONEY, "NameError"),
    ),
    "sees ordinary errors only, on the way": Submission(
        changes={"deliver": [("except BaseException:", "except Exception:")]},
        loses={"deliver-before": "An asyncio.CancelledError is no Exception"},
    ),
    "a courier who is not told": Submission(
        changes={"deliver": [("courier.arrive(token)", "courier.arrive(CancellationToken.none)")]},
        loses={"deliver-before": "expected [], but saw ['arrive']. Did `arrive` get the token?"},
    ),
    "messages that fail by the network only": Submission(
        changes={"deliver": [("suppress(Exception)", "suppress(OSError)")]},
        loses={"deliver-message": "it raised ValueError"},
    ),
    "a name that is not there, on the way": Submission(
        changes={"deliver": [("    try:\n", "    logger.info(order)\n    try:\n")]},
        loses={
            "deliver-whole": "NameError",
            "deliver-before": "it was cancelled on the way, and it raised NameError",
            "deliver-after": "NameError",
            "deliver-message": "NameError",
        },
    ),
}

RIGHT = {
    "with origins and flags": Submission(
        answers={
            "explain": """
def explain(token):
    match token.is_cancellation_requested, token.reason:
        case False, _:
            return "on its way"
        case _, TimeoutError():
            return "too slow"
        case _, "closing time":
            return "closed"
    return "cancelled"
""",
            "deadline": """
async def with_deadline(work, seconds, token):
    own = CancellationTokenSource(seconds)
    both = CancellationTokenSource.create_linked_token_source(own.token, token)
    try:
        return await work(both.token)
    except OperationCanceledError as error:
        if own.is_cancellation_requested and both.token.origin == own.token:
            raise TimeoutError() from error
        raise
    finally:
        both.dispose()
        own.dispose()
""",
            "money": """
async def pay_and_cook(order, bank, cook, token):
    meal = paid = None
    try:
        await bank.charge(order, token)
        paid = True
        meal = await cook(order, token)
        return meal
    finally:
        if paid and meal is None:
            await bank.refund(order, CancellationToken.none)
""",
            "deliver": """
async def deliver(order, bank, courier, token):
    handed_over = False
    try:
        await courier.arrive(token)
        if token.is_cancellation_requested:
            raise OperationCanceledError("too early", token)
        handed_over = True
        await courier.hand_over(order)
    finally:
        if not handed_over:
            await bank.refund(order, CancellationToken.none)
    try:
        await courier.send_message(order, CancellationToken())
    except Exception as error:
        print("no message:", error)
    return "delivered"
""",
        },
    ),
    "cancels, then puts away": Submission(
        answers={
            "deadline": """
async def with_deadline(work, seconds, token):
    source = CancellationTokenSource.create_linked_token_source(token)
    source.cancel_after(seconds)
    try:
        return await work(source.token)
    except OperationCanceledError as error:
        if source.is_cancellation_requested and not token.is_cancellation_requested:
            raise TimeoutError(seconds) from error
        raise
    finally:
        source.cancel()
        source.dispose()
""",
        },
    ),
    "with helpers of common names": Submission(
        answers={
            "money": """
async def sell(order, cook, token):
    token.throw_if_cancellation_requested()
    return await cook(order, token)


def begin(bank, order, token):
    return bank.charge(order, token)


async def pay_and_cook(order, bank, cook, token):
    await begin(bank, order, token)
    try:
        return await sell(order, cook, token)
    except BaseException:
        await bank.refund(order, CancellationToken.none)
        raise
"""
        }
    ),
    "with context managers": Submission(
        answers={
            "deadline": """
from contextlib import contextmanager


@contextmanager
def own_source(seconds, token):
    with CancellationTokenSource.create_linked_token_source(token) as source:
        source.cancel_after(seconds)
        try:
            yield source
        except OperationCanceledError:
            if source.is_cancellation_requested and not token.is_cancellation_requested:
                raise TimeoutError(f"{seconds} s are over") from None
            raise


async def with_deadline(work, seconds, token):
    with own_source(seconds, token) as source:
        return await work(source.token)
""",
            "money": """
from contextlib import AsyncExitStack


async def pay_and_cook(order, bank, cook, token):
    await bank.charge(order, token)
    async with AsyncExitStack() as undo:
        undo.push_async_callback(bank.refund, order, CancellationToken.none)
        token.throw_if_cancellation_requested()
        meal = await cook(order, token)
        undo.pop_all()
    return meal
""",
            "deliver": """
from contextlib import AsyncExitStack


async def deliver(order, bank, courier, token):
    async with AsyncExitStack() as undo:
        undo.push_async_callback(bank.refund, order, CancellationToken.none)
        await courier.arrive(token)
        token.throw_if_cancellation_requested()
        undo.pop_all()
    await courier.hand_over(order)
    message = asyncio.create_task(courier.send_message(order, CancellationToken.none))
    await asyncio.wait({message})
    message.exception()
    return "delivered"
""",
        },
    ),
    "with the package's scopes": Submission(
        answers={
            "explain": """
KINDS = {"closing time": "closed"}


def explain(token):
    try:
        token.throw_if_cancellation_requested()
    except OperationCanceledError as error:
        if isinstance(error.reason, TimeoutError):
            return "too slow"
        return KINDS.get(error.reason, "cancelled") if isinstance(error.reason, str) else "cancelled"
    return "on its way"
""",
            "deadline": """
from cancellation import run_until_canceled


async def with_deadline(work, seconds, token):
    with CancellationTokenSource.create_linked_token_source(token) as source:
        source.cancel_after(seconds)
        task = asyncio.ensure_future(work(source.token))
        await asyncio.wait({task})
        error = task.exception()
        if isinstance(error, OperationCanceledError) and source.is_cancellation_requested:
            if not token.is_cancellation_requested:
                raise TimeoutError
        return task.result()
""",
            "money": """
from cancellation import cancel_scope


async def pay_and_cook(order, bank, cook, token):
    await bank.charge(order, token)
    try:
        async with cancel_scope(token):
            return await cook(order, token)
    except asyncio.CancelledError:
        await bank.refund(order, CancellationToken.none)
        raise
    except Exception:
        await bank.refund(order, CancellationToken.none)
        raise
""",
        },
    ),
}
