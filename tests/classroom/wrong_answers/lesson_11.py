LOOKS_BEFORE_COOKING = """
async def serve(pay, cook, token):
    await pay(token)
    token.throw_if_cancellation_requested()
    return await cook()
"""
FORGETS_THE_PAYMENT = """
async def serve(pay, cook, token):
    await pay()
    return await cook(token)
"""
RETURNS_NOTHING = """
async def serve(pay, cook, token):
    await pay(token)
    await cook(token)
"""
SWALLOWS_IT = """
async def serve(pay, cook, token):
    try:
        await pay(token)
        return await cook(token)
    except OperationCanceledError:
        return None
"""

NEW_SOURCE_AFTER_THE_CANCEL = """
class Counter:
    def __init__(self):
        self.source = CancellationTokenSource()

    def place(self, number, serve):
        return asyncio.create_task(serve(self.source.token))

    def cancel(self, number):
        self.source.cancel()
        self.source = CancellationTokenSource()
"""
ONLY_THE_LAST_SOURCE = """
class Counter:
    def place(self, number, serve):
        self.source = CancellationTokenSource()
        return asyncio.create_task(serve(self.source.token))

    def cancel(self, number):
        self.source.cancel()
"""
ONE_SOURCE_A_CUSTOMER = """
class Counter:
    def __init__(self):
        self.sources = {}

    def place(self, number, serve):
        source = self.sources.setdefault(number, CancellationTokenSource())
        return asyncio.create_task(serve(source.token))

    def cancel(self, number):
        self.sources[number].cancel()
"""
FORGETS_TO_START = """
class Counter:
    def __init__(self):
        self.sources = {}

    def place(self, number, serve):
        self.sources[number] = CancellationTokenSource()

    def cancel(self, number):
        self.sources[number].cancel()
"""

LETS_OTHERS_IN_BETWEEN = """
async def polish(glasses, rub, token):
    for glass in glasses:
        token.throw_if_cancellation_requested()
        rub(glass)
        await asyncio.sleep(0)
    return "shiny"
"""
STILL_BLOCKS = """
async def polish(glasses, rub, token):
    for glass in glasses:
        token.throw_if_cancellation_requested()
        rub(glass)
        token.wait(0.001)
    return "shiny"
"""
ALL_IN_ONE_THREAD = """
async def polish(glasses, rub, token):
    token.throw_if_cancellation_requested()
    await asyncio.to_thread(lambda: [rub(glass) for glass in glasses])
    return "shiny"
"""
LEAVES_THE_THREAD = """
from cancellation import run_until_canceled

async def polish(glasses, rub, token):
    for glass in glasses:
        await run_until_canceled(asyncio.to_thread(rub, glass), token)
    return "shiny"
"""

CATCHES_NOTHING = """
async def deliver_all(deliver, streets, token):
    for street in streets:
        await deliver(street, token)
    return []
"""
LOOKS_AT_THE_TOP = """
async def deliver_all(deliver, streets, token):
    failed = []
    for street in streets:
        token.throw_if_cancellation_requested()
        try:
            await deliver(street, token)
        except Exception:
            failed.append(street)
    return failed
"""
BREAKS_OFF = """
async def deliver_all(deliver, streets, token):
    failed = []
    for street in streets:
        try:
            await deliver(street, token)
        except OperationCanceledError:
            break
        except Exception:
            failed.append(street)
    return failed
"""
KEEPS_THE_TOKEN = """
async def deliver_all(deliver, streets, token):
    failed = []
    for street in streets:
        try:
            await deliver(street)
        except OperationCanceledError:
            raise
        except Exception:
            failed.append(street)
    return failed
"""

SETS_IT_AGAIN = """
async def serve_in_time(pay, cook, order, clock):
    order.cancel_after(5 * 60)
    await pay(order.token)
    order.cancel_after(30 * 60)
    await cook(order.token)
    return "served"
"""
FORGETS_THE_BANK = """
async def serve_in_time(pay, cook, order, clock):
    order.cancel_after(30 * 60)
    await pay(order.token)
    await cook(order.token)
    return "served"
"""
NOT_LINKED = """
async def serve_in_time(pay, cook, order, clock):
    order.cancel_after(30 * 60)
    with CancellationTokenSource(5 * 60, time_provider=clock) as bank:
        await pay(bank.token)
    await cook(order.token)
    return "served"
"""
REAL_CLOCK = """
async def serve_in_time(pay, cook, order, clock):
    order.cancel_after(30 * 60)
    with CancellationTokenSource.create_linked_token_source(order.token) as bank:
        bank.cancel_after(5 * 60)
        await pay(bank.token)
    await cook(order.token)
    return "served"
"""
COOKS_WITH_THE_BANKS_TOKEN = """
async def serve_in_time(pay, cook, order, clock):
    order.cancel_after(30 * 60)
    bank = CancellationTokenSource.create_linked_token_source(order.token, time_provider=clock)
    bank.cancel_after(5 * 60)
    await pay(bank.token)
    await cook(bank.token)
    return "served"
"""

ASKS_FOR_A_DEADLINE = """
async def pay_patiently(ask_bank, token):
    for _ in range(3):
        try:
            return await ask_bank(token)
        except OperationCanceledError as error:
            if not isinstance(error.reason, TimeoutError):
                raise
    return "the bank does not answer"
"""
WAITS_FOR_TIMEOUT_ERROR = """
async def pay_patiently(ask_bank, token):
    for _ in range(3):
        try:
            return await ask_bank(token)
        except TimeoutError:
            pass
    return "the bank does not answer"
"""
ASKS_FOR_THE_ORIGIN = """
async def pay_patiently(ask_bank, token):
    for _ in range(3):
        try:
            return await ask_bank(token)
        except OperationCanceledError as error:
            if error.origin == token:
                raise
    return "the bank does not answer"
"""
LOOKS_BEFORE_EACH_CALL = """
async def pay_patiently(ask_bank, token):
    for _ in range(3):
        token.throw_if_cancellation_requested()
        try:
            return await ask_bank(token)
        except OperationCanceledError:
            pass
    return "the bank does not answer"
"""

GIVES_IT_ONE_TURN = """
async def with_music(serve, play):
    music = asyncio.create_task(play())
    try:
        return await serve()
    finally:
        music.cancel()
        await asyncio.sleep(0)
"""
LETS_ITS_ERROR_OUT = """
async def with_music(serve, play):
    music = asyncio.create_task(play())
    try:
        return await serve()
    finally:
        music.cancel()
        await music
"""
ONLY_WHEN_ALL_IS_WELL = """
async def with_music(serve, play):
    music = asyncio.create_task(play())
    meal = await serve()
    music.cancel()
    await asyncio.wait({music})
    return meal
"""
SWALLOWS_ITS_OWN_CANCEL = """
async def with_music(serve, play):
    music = asyncio.create_task(play())
    meal = None
    try:
        meal = await serve()
    except asyncio.CancelledError:
        pass
    finally:
        music.cancel()
        await asyncio.wait({music})
    return meal
"""

CALLS_SOON = """
async def night_watch(token):
    closing, loop = asyncio.Event(), asyncio.get_running_loop()
    token.register(loop.call_soon, closing.set)
    await closing.wait()
    return "lights out"
"""
POLLS = """
async def night_watch(token):
    while not token.is_cancellation_requested:
        await asyncio.sleep(0.01)
    return "lights out"
"""
BLOCKS = """
async def night_watch(token):
    token.wait()
    return "lights out"
"""
RAISES = """
async def night_watch(token):
    await delay(None, token)
    return "lights out"
"""

ONLY_THE_CANCEL = """
async def cook_or_refund(bank, cook, token):
    await bank.charge(token)
    try:
        return await cook(token)
    except OperationCanceledError:
        await bank.refund(CancellationToken.none)
        raise
"""
EXCEPTIONS_ONLY = """
async def cook_or_refund(bank, cook, token):
    await bank.charge(token)
    try:
        return await cook(token)
    except Exception:
        await bank.refund(CancellationToken.none)
        raise
"""
ALWAYS = """
async def cook_or_refund(bank, cook, token):
    await bank.charge(token)
    try:
        return await cook(token)
    finally:
        await bank.refund(CancellationToken.none)
"""
TWICE = """
async def cook_or_refund(bank, cook, token):
    await bank.charge(token)
    try:
        try:
            return await cook(token)
        except OperationCanceledError:
            await bank.refund()
            raise
    except BaseException:
        await bank.refund()
        raise
"""
REFUNDS_WHAT_WAS_NOT_TAKEN = """
async def cook_or_refund(bank, cook, token):
    try:
        await bank.charge(token)
        return await cook(token)
    except BaseException:
        await bank.refund(CancellationToken.none)
        raise
"""
NO_REFUND_AT_ALL = """
async def cook_or_refund(bank, cook, token):
    await bank.charge(token)
    return await cook(token)
"""
KEEPS_THE_ERROR = """
async def cook_or_refund(bank, cook, token):
    await bank.charge(token)
    try:
        return await cook(token)
    except BaseException:
        await bank.refund(CancellationToken.none)
"""

REPORTS_IT_CANCELLED = """
async def hand_over(pack, courier, refund, token):
    left = False
    try:
        await pack(token)
        token.throw_if_cancellation_requested()
        courier.leave()
        left = True
        await courier.message(token)
    except OperationCanceledError:
        if not left:
            refund()
        raise
"""
NO_LAST_LOOK = """
async def hand_over(pack, courier, refund, token):
    try:
        await pack(token)
    except OperationCanceledError:
        refund()
        raise
    courier.leave()
    await courier.message()
"""
MESSAGE_FIRST = """
async def hand_over(pack, courier, refund, token):
    try:
        await pack(token)
        await courier.message(token)
        courier.leave()
    except OperationCanceledError:
        refund()
        raise
"""
ONLY_AFTER_A_CANCEL = """
async def hand_over(pack, courier, refund, token):
    try:
        await pack(token)
        token.throw_if_cancellation_requested()
    except OperationCanceledError:
        refund()
        raise
    courier.leave()
    await courier.message(CancellationToken.none)
"""
NOT_FOR_TASKS = """
async def hand_over(pack, courier, refund, token):
    try:
        await pack(token)
        token.throw_if_cancellation_requested()
    except Exception:
        refund()
        raise
    courier.leave()
    await courier.message(CancellationToken.none)
"""
SENDS_IT_ANYWAY = """
async def hand_over(pack, courier, refund, token):
    try:
        await pack(token)
        token.throw_if_cancellation_requested()
    except OperationCanceledError:
        refund()
        raise
    except Exception:
        pass
    courier.leave()
    await courier.message(CancellationToken.none)
"""
KEEPS_THE_BOX_A_SECRET = """
async def hand_over(pack, courier, refund, token):
    try:
        await pack(token)
        token.throw_if_cancellation_requested()
    except OperationCanceledError:
        refund()
        raise
    except Exception:
        refund()
        return
    courier.leave()
    await courier.message(CancellationToken.none)
"""
HEARS_NOBODY = """
async def hand_over(pack, courier, refund, token):
    await pack()
    courier.leave()
    await courier.message()
"""

WRONG_ANSWERS = {
    "11_clinic-1": [
        (LOOKS_BEFORE_COOKING, "the customer cancelled early in the cooking, and the cooking went on to its end"),
        (FORGETS_THE_PAYMENT, "the customer cancelled early in the payment, and the payment went on to its end"),
        (RETURNS_NOTHING, "should pay and return 'a meal', but it returned None"),
        (SWALLOWS_IT, "its caller cannot tell what happened"),
    ],
    "11_clinic-2": [
        (NEW_SOURCE_AFTER_THE_CANCEL, "the order of customer 2 was cancelled with it"),
        (ONLY_THE_LAST_SOURCE, "the order of customer 2 was cancelled instead"),
        (ONE_SOURCE_A_CUSTOMER, "customer 1 cancelled, and orders anew"),
        (FORGETS_TO_START, "order 1 never began"),
    ],
    "11_clinic-3": [
        (LETS_OTHERS_IN_BETWEEN, "hardly more than one turn for each"),
        (STILL_BLOCKS, "nobody else on the loop had a turn"),
        (ALL_IN_ONE_THREAD, "at the third glass, all ten were rubbed"),
        (LEAVES_THE_THREAD, "while a glass was still being rubbed"),
    ],
    "11_clinic-4": [
        (CATCHES_NOTHING, "the tour ended there"),
        (LOOKS_AT_THE_TOP, "the cancel itself was still lost"),
        (BREAKS_OFF, "its caller believes that the tour is done"),
        (KEEPS_THE_TOKEN, "its caller believes that the tour is done"),
    ],
    "11_clinic-5": [
        (SETS_IT_AGAIN, "the order was stopped after 34 minutes, not after 30"),
        (FORGETS_THE_BANK, "the payment may take five minutes. It took 6, and nobody stopped it."),
        (NOT_LINKED, "when the customer cancelled in minute 2 of `pay`, it went on"),
        (REAL_CLOCK, "It took 6, and nobody stopped it. Its token is a new one: on which clock"),
        (COOKS_WITH_THE_BANKS_TOKEN, "deadline of 300 s passed"),
    ],
    "11_clinic-6": [
        (ASKS_FOR_A_DEADLINE, "Both deadlines have a TimeoutError as their reason"),
        (WAITS_FOR_TIMEOUT_ERROR, "the bank was too slow 2 times, and nobody cancelled: it should return 'paid'"),
        (ASKS_FOR_THE_ORIGIN, "the order's token is linked to the kitchen's. The bank was called 3 times"),
        (LOOKS_BEFORE_EACH_CALL, "the customer cancelled during the third call"),
    ],
    "11_clinic-7": [
        (GIVES_IT_ONE_TURN, "the music was still being switched off"),
        (LETS_ITS_ERROR_OUT, "That is the end of the music, not of the meal"),
        (ONLY_WHEN_ALL_IS_WELL, "`serve` failed, and when the error came out the music was still playing"),
        (SWALLOWS_ITS_OWN_CANCEL, "that cancel was swallowed"),
    ],
    "11_clinic-8": [
        (CALLS_SOON, "nobody told the loop, which slept on"),
        (POLLS, "wakes up again and again"),
        (BLOCKS, "nothing else on its loop has a turn"),
        (RAISES, "it should return 'lights out', but it raised OperationCanceledError"),
    ],
    "11_clinic-9": [
        (ONLY_THE_CANCEL, "the oven broke during the cooking"),
        (EXCEPTIONS_ONLY, "the order's whole task was cancelled"),
        (NO_REFUND_AT_ALL, "wrote ['charge']. The customer has paid for nothing."),
        (ALWAYS, "the meal was cooked and is eaten, and the bank wrote ['charge', 'refund']"),
        (TWICE, "the money went back more than once"),
        (REFUNDS_WHAT_WAS_NOT_TAKEN, "before the money was taken, and the bank wrote ['refund']"),
        (KEEPS_THE_ERROR, "its caller cannot tell what happened"),
    ],
    "11_clinic-10": [
        (REPORTS_IT_CANCELLED, "this order is complete, and its caller should hear so"),
        (NO_LAST_LOOK, "in the last moment of packing"),
        (MESSAGE_FIRST, "went out before it was"),
        (HEARS_NOBODY, "Nobody looked in time"),
        (ONLY_AFTER_A_CANCEL, "the box tore while the pizza was being packed, and the log says []"),
        (NOT_FOR_TASKS, "the order's whole task was cancelled while the pizza was being packed, and the log says []"),
        (SENDS_IT_ANYWAY, "Nothing was packed"),
        (KEEPS_THE_BOX_A_SECRET, "its caller cannot tell what happened"),
    ],
}
