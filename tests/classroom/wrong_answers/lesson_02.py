SWALLOWS = """
async def bake_bread(token):
    for _ in range(20):
        if token.is_cancellation_requested:
            return None
        await asyncio.sleep(0.01)
    return "bread"
"""
LOOKS_ONCE = """
async def bake_bread(token):
    token.throw_if_cancellation_requested()
    for _ in range(20):
        await asyncio.sleep(0.01)
    return "bread"
"""
LOOKS_TOO_LATE = """
async def bake_bread(token):
    for _ in range(20):
        await asyncio.sleep(0.01)
    token.throw_if_cancellation_requested()
    return "bread"
"""
FORGETS_THE_BREAD = """
async def bake_bread(token):
    for _ in range(20):
        token.throw_if_cancellation_requested()
        await asyncio.sleep(0.01)
"""
GOOD_BREAD = """
async def bake_bread(token):
    for _ in range(20):
        token.throw_if_cancellation_requested()
        await asyncio.sleep(0.01)
    return "bread"
"""
LETS_IT_OUT = (
    GOOD_BREAD
    + """
async def order_bread(token):
    return await bake_bread(token)
"""
)
PASSES_NONE = (
    GOOD_BREAD
    + """
from cancellation import CancellationToken

async def order_bread(token):
    try:
        return await bake_bread(CancellationToken.none)
    except OperationCanceledError:
        return "cancelled"
"""
)

WRONG_ANSWERS = {
    "02_the_token-1": [
        (SWALLOWS, "its caller cannot tell that it was cancelled"),
        (LOOKS_ONCE, "baked to the end"),
        (LOOKS_TOO_LATE, "only after the baking was done"),
        (FORGETS_THE_BREAD, "should return 'bread', but returned None"),
    ],
    "02_the_token-2": [
        (LETS_IT_OUT, "let the OperationCanceledError out"),
        (PASSES_NONE, "Did you pass *its* token on, and does"),
    ],
}
