READS_THE_TEXT = """
def explain(token):
    if not token.is_cancellation_requested:
        return "on its way"
    return "too slow" if "deadline" in str(token.reason) else "cancelled"
"""
ASKS_THE_REASON_ONLY = """
def explain(token):
    if token.reason is None:
        return "on its way"
    return "too slow" if isinstance(token.reason, TimeoutError) else "cancelled"
"""
ALL_ALIKE = """
def explain(token):
    return "cancelled" if token.is_cancellation_requested else "on its way"
"""
TESTS_THE_TOKEN_ITSELF = """
def explain(token):
    if not token:
        return "on its way"
    return "too slow" if isinstance(token.reason, TimeoutError) else "cancelled"
"""
RAISES = """
def explain(token):
    token.throw_if_cancellation_requested()
    return "on its way"
"""

COMPARES_TOKENS = """
async def place_order(pay, token):
    try:
        await pay(token)
    except OperationCanceledError as error:
        return "cancelled" if error.token == token else "failed"
    return "paid"
"""
COMPARES_ORIGINS = """
async def place_order(pay, token):
    try:
        await pay(token)
    except OperationCanceledError as error:
        return "cancelled" if error.origin == token else "failed"
    return "paid"
"""
ALWAYS_CANCELLED = """
async def place_order(pay, token):
    try:
        await pay(token)
    except OperationCanceledError:
        return "cancelled"
    return "paid"
"""
ASKS_FOR_A_DEADLINE = """
async def place_order(pay, token):
    try:
        await pay(token)
    except OperationCanceledError as error:
        return "failed" if isinstance(error.reason, TimeoutError) else "cancelled"
    return "paid"
"""
CATCHES_THE_WRONG_ERROR = """
async def place_order(pay, token):
    try:
        await pay(token)
    except asyncio.CancelledError:
        return "cancelled"
    except TimeoutError:
        return "failed"
    return "paid"
"""

CALLS_INSTEAD_OF_REGISTERING = """
async def bake(oven, token):
    token.register(oven.open())
    await oven.bake()
"""
NEVER_TAKES_IT_BACK = """
async def bake(oven, token):
    token.register(oven.open)
    await oven.bake()
"""
TAKES_IT_BACK_ONLY_WHEN_ALL_WENT_WELL = """
async def bake(oven, token):
    registration = token.register(oven.open)
    await oven.bake()
    registration.unregister()
"""
OPENS_AFTERWARDS = """
async def bake(oven, token):
    await oven.bake()
    if token.is_cancellation_requested:
        oven.open()
"""
FORGETS_TO_BAKE = """
async def bake(oven, token):
    with token.register(oven.open):
        pass
"""

NOT_LINKED = """
async def with_deadline(work, seconds, token, clock):
    with CancellationTokenSource(seconds, time_provider=clock) as source:
        return await work(source.token)
"""
REAL_CLOCK = """
async def with_deadline(work, seconds, token, clock):
    with CancellationTokenSource.create_linked_token_source(token) as source:
        source.cancel_after(seconds)
        return await work(source.token)
"""
NO_DEADLINE = """
async def with_deadline(work, seconds, token, clock):
    with CancellationTokenSource.create_linked_token_source(token, time_provider=clock) as source:
        return await work(source.token)
"""
NOT_PUT_AWAY = """
async def with_deadline(work, seconds, token, clock):
    source = CancellationTokenSource.create_linked_token_source(token, time_provider=clock)
    source.cancel_after(seconds)
    return await work(source.token)
"""
PUT_AWAY_ONLY_WHEN_ALL_WENT_WELL = """
async def with_deadline(work, seconds, token, clock):
    source = CancellationTokenSource.create_linked_token_source(token, time_provider=clock)
    source.cancel_after(seconds)
    result = await work(source.token)
    source.dispose()
    return result
"""
GIVES_THE_CALLERS_TOKEN = """
async def with_deadline(work, seconds, token, clock):
    with CancellationTokenSource.create_linked_token_source(token, time_provider=clock) as source:
        source.cancel_after(seconds)
        return await work(token)
"""
FORGETS_THE_RESULT = """
async def with_deadline(work, seconds, token, clock):
    with CancellationTokenSource.create_linked_token_source(token, time_provider=clock) as source:
        source.cancel_after(seconds)
        await work(source.token)
"""

WRONG_ANSWERS = {
    "06_deadlines_and_links-1": [
        (READS_THE_TEXT, "wrote 'deadline' as the reason, it should return 'cancelled', but returned 'too slow'"),
        (ASKS_THE_REASON_ONLY, "gave no reason, it should return 'cancelled', but returned 'on its way'"),
        (ALL_ALIKE, "a deadline has passed, it should return 'too slow', but returned 'cancelled'"),
        (TESTS_THE_TOKEN_ITSELF, "nobody has cancelled, it should return 'on its way', but returned 'cancelled'"),
        (RAISES, "It is asked for words"),
    ],
    "06_deadlines_and_links-2": [
        (COMPARES_TOKENS, "carries the payment's linked token, not yours"),
        (COMPARES_ORIGINS, "its origin is not your token"),
        (ALWAYS_CANCELLED, "Nobody asked this order to stop"),
        (ASKS_FOR_A_DEADLINE, "a deadline may be the reason"),
        (CATCHES_THE_WRONG_ERROR, "should return 'cancelled', but raised OperationCanceledError"),
    ],
    "06_deadlines_and_links-3": [
        (CALLS_INSTEAD_OF_REGISTERING, "without calling it"),
        (NEVER_TAKES_IT_BACK, "its callback is still on the token"),
        (TAKES_IT_BACK_ONLY_WHEN_ALL_WENT_WELL, "the baking failed, and its callback stayed on the token"),
        (OPENS_AFTERWARDS, "the oven stayed shut"),
        (FORGETS_TO_BAKE, "never called `oven.bake()`"),
    ],
    "06_deadlines_and_links-4": [
        (NOT_LINKED, "Link the new source to `token`"),
        (REAL_CLOCK, "`time_provider=clock`"),
        (NO_DEADLINE, "It needs a deadline"),
        (NOT_PUT_AWAY, "not put away at the end"),
        (PUT_AWAY_ONLY_WHEN_ALL_WENT_WELL, "when the work failed, the source was not put away"),
        (GIVES_THE_CALLERS_TOKEN, "got the caller's own token"),
        (FORGETS_THE_RESULT, "but it returned None"),
    ],
}
