RETURNS_WOKEN = """
def let_rest(seconds, token):
    return "woken" if token.wait(seconds) else "rested"
"""
LOOKS_AFTER_SLEEPING = """
def let_rest(seconds, token):
    time.sleep(seconds)
    token.throw_if_cancellation_requested()
    return "rested"
"""
RESTS_IN_PIECES = """
def let_rest(seconds, token):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        token.throw_if_cancellation_requested()
        time.sleep(0.05)
    return "rested"
"""
ASYNC = """
async def let_rest(seconds, token):
    await delay(seconds, token)
    return "rested"
"""
DOES_NOT_REST = """
def let_rest(seconds, token):
    token.throw_if_cancellation_requested()
    return "rested"
"""

LOOKS_ONCE = """
def count(olives, token):
    token.throw_if_cancellation_requested()
    return sum(1 for _ in olives)
"""
BREAKS = """
def count(olives, token):
    counted = 0
    for _ in olives:
        if counted % 1000 == 0 and token.is_cancellation_requested:
            break
        counted += 1
    return counted
"""
LOOKS_EVERY_TIME = """
def count(olives, token):
    counted = 0
    for _ in olives:
        token.throw_if_cancellation_requested()
        counted += 1
    return counted
"""
LOOKS_RARELY = """
def count(olives, token):
    counted = 0
    for _ in olives:
        if counted % 10_000 == 0:
            token.throw_if_cancellation_requested()
        counted += 1
    return counted
"""

LEAVES_THE_THREAD = """
from cancellation import run_until_canceled

async def bake_in_back_room(bake, token):
    return await run_until_canceled(asyncio.to_thread(bake, token), token)
"""
BLOCKS_THE_LOOP = """
from concurrent.futures import ThreadPoolExecutor

async def bake_in_back_room(bake, token):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(bake, token).result()
"""
KEEPS_THE_TOKEN = """
from cancellation import CancellationToken

async def bake_in_back_room(bake, token):
    return await asyncio.to_thread(bake, CancellationToken.none)
"""
FORGETS_THE_RESULT = """
async def bake_in_back_room(bake, token):
    await asyncio.to_thread(bake, token)
"""
SWALLOWS = """
from cancellation import OperationCanceledError

async def bake_in_back_room(bake, token):
    try:
        return await asyncio.to_thread(bake, token)
    except OperationCanceledError:
        return None
"""

WRONG_ANSWERS = {
    "07_threads-1": [
        (RETURNS_WOKEN, "it woke up, but returned 'woken'"),
        (LOOKS_AFTER_SLEEPING, "slept on to the end"),
        (RESTS_IN_PIECES, "it rests in pieces, and looks in between"),
        (ASYNC, "where no loop would await it"),
        (DOES_NOT_REST, "came back sooner"),
    ],
    "07_threads-2": [
        (LOOKS_ONCE, "counted all 20000"),
        (BREAKS, "who asked cannot tell that some are missing"),
        (LOOKS_EVERY_TIME, "looked 20000 times"),
        (LOOKS_RARELY, "stopped at olive 10001"),
    ],
    "07_threads-3": [
        (LEAVES_THE_THREAD, "while its thread was still at work"),
        (BLOCKS_THE_LOOP, "the loop stood still until it was done"),
        (KEEPS_THE_TOKEN, "Did its token reach `bake`?"),
        (FORGETS_THE_RESULT, "but it returned None"),
        (SWALLOWS, "Let the OperationCanceledError of `bake` pass"),
    ],
}
