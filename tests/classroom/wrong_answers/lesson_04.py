FORGETS_THE_TOKEN = """
async def rest_dough(token):
    token.throw_if_cancellation_requested()
    await delay(0.3)
    return "rested"
"""
LOOKS_AFTERWARDS = """
async def rest_dough(token):
    await asyncio.sleep(0.3)
    token.throw_if_cancellation_requested()
    return "rested"
"""
POLLS = """
async def rest_dough(token):
    for _ in range(30):
        token.throw_if_cancellation_requested()
        await asyncio.sleep(0.01)
    return "rested"
"""
POLLS_TWICE = """
async def rest_dough(token):
    for _ in range(2):
        token.throw_if_cancellation_requested()
        await asyncio.sleep(0.15)
    return "rested"
"""
KEEPS_THE_ERROR = """
async def rest_dough(token):
    try:
        await delay(0.3, token)
    except OperationCanceledError:
        pass
    return "rested"
"""
DOES_NOT_SLEEP = """
async def rest_dough(token):
    token.throw_if_cancellation_requested()
    return "rested"
"""

LOOKS_ONCE = """
async def pay(ask_bank, token):
    token.throw_if_cancellation_requested()
    return await ask_bank()
"""
LEAVES_IT_ALONE = """
async def pay(ask_bank, token):
    asking, bell = asyncio.ensure_future(ask_bank()), asyncio.ensure_future(token.wait_async())
    await asyncio.wait({asking, bell}, return_when=asyncio.FIRST_COMPLETED)
    token.throw_if_cancellation_requested()
    return asking.result()
"""
DOES_NOT_WAIT = """
async def pay(ask_bank, token):
    asking, bell = asyncio.ensure_future(ask_bank()), asyncio.ensure_future(token.wait_async())
    await asyncio.wait({asking, bell}, return_when=asyncio.FIRST_COMPLETED)
    if not asking.done():
        asking.cancel()
        await asyncio.sleep(0)
        token.throw_if_cancellation_requested()
    return asking.result()
"""
ANSWERS_NOTHING = """
async def pay(ask_bank, token):
    try:
        return await run_until_canceled(ask_bank(), token)
    except OperationCanceledError:
        return None
"""
FORGETS_THE_ANSWER = """
async def pay(ask_bank, token):
    await run_until_canceled(ask_bank(), token)
"""

BARE_EXCEPT = """
async def ask_again(ask, token):
    for _ in range(3):
        try:
            return await ask(token)
        except:
            pass
    return "closed"
"""
ONLY_THE_TASK = """
async def ask_again(ask, token):
    for _ in range(3):
        try:
            return await ask(token)
        except asyncio.CancelledError:
            raise
        except Exception:
            pass
    return "closed"
"""
ONLY_THE_TOKEN = """
async def ask_again(ask, token):
    for _ in range(3):
        try:
            return await ask(token)
        except OperationCanceledError:
            raise
        except BaseException:
            pass
    return "closed"
"""
BREAKS_OFF = """
async def ask_again(ask, token):
    for _ in range(3):
        try:
            return await ask(token)
        except OperationCanceledError:
            break
        except ConnectionError:
            pass
    return "closed"
"""
TRIES_ONCE = """
async def ask_again(ask, token):
    return await ask(token)
"""
FOR_EVER = """
async def ask_again(ask, token):
    while True:
        try:
            return await ask(token)
        except BaseException:
            pass
"""

AWAITS_EACH = """
async def close_kitchen(orders):
    for order in orders:
        order.cancel()
    for order in orders:
        await order
    return sum(order.cancelled() for order in orders)
"""
ONE_BY_ONE = """
async def close_kitchen(orders):
    for order in orders:
        order.cancel()
        await asyncio.wait({order})
    return sum(order.cancelled() for order in orders)
"""
COUNTS_ALL = """
async def close_kitchen(orders):
    for order in orders:
        order.cancel()
    await asyncio.wait(orders)
    return len(orders)
"""
COUNTS_TOO_EARLY = """
async def close_kitchen(orders):
    canceled = [order.cancel() for order in orders]
    return canceled.count(True)
"""
COUNTS_WHO_WAS_ASKED = """
async def close_kitchen(orders):
    asked = sum(order.cancel() for order in orders)
    await asyncio.wait(orders)
    return asked
"""
FORGETS_THE_EMPTY_KITCHEN = """
async def close_kitchen(orders):
    for order in orders:
        order.cancel()
    await asyncio.wait(orders)
    return sum(order.cancelled() for order in orders)
"""
ONLY_WAITS = """
async def close_kitchen(orders):
    await asyncio.wait(orders)
    return sum(order.cancelled() for order in orders)
"""

WRONG_ANSWERS = {
    "04_waking_up-1": [
        (FORGETS_THE_TOKEN, "if it gets the token"),
        (LOOKS_AFTERWARDS, "only after it had slept to the end"),
        (POLLS, "times during one sleep, only to look"),
        (POLLS_TWICE, "it woke up once during one sleep, only to look"),
        (KEEPS_THE_ERROR, "it woke up, but then it returned 'rested'"),
        (DOES_NOT_SLEEP, "it came back sooner"),
    ],
    "04_waking_up-2": [
        (LOOKS_ONCE, "waited for the silent bank all the same"),
        (LEAVES_IT_ALONE, "it went on alone"),
        (DOES_NOT_WAIT, "After a cancel, wait"),
        (ANSWERS_NOTHING, "then it returned None"),
        (FORGETS_THE_ANSWER, "answered 'paid', but it returned None"),
    ],
    "04_waking_up-3": [
        (BARE_EXCEPT, "caught an OperationCanceledError"),
        (ONLY_THE_TASK, "caught an OperationCanceledError"),
        (ONLY_THE_TOKEN, "caught the CancelledError of its task"),
        (BREAKS_OFF, "its token was cancelled, and it returned 'closed'"),
        (TRIES_ONCE, "busy 2 times it should return 'paid'"),
        (FOR_EVER, "busy 3 times it should return 'closed', but it returned 'paid'"),
    ],
    "04_waking_up-4": [
        (AWAITS_EACH, "`await order` raises that in you"),
        (ONE_BY_ONE, "First cancel them all"),
        (COUNTS_ALL, "Ask each task"),
        (COUNTS_TOO_EARLY, "when 0 of the 3"),
        (COUNTS_WHO_WAS_ASKED, "one was delivered all the same, but it returned 4"),
        (FORGETS_THE_EMPTY_KITCHEN, "in a kitchen without orders it should return 0"),
        (ONLY_WAITS, "orders that nobody had cancelled"),
    ],
}
