"""Answers that are as right as the printed solution, and go another way, by exercise."""

OTHER_RIGHT_ANSWERS = {
    "01_without_a_token-1": [
        """
def to_pay_back(receipts):
    total = 0
    for receipt in receipts:
        if receipt.cancel_requested:
            total += receipt.kept
    return total
"""
    ],
    "01_without_a_token-2": [
        """
def steps_for_nothing(events):
    cancels = [event.at for event in events if type(event).__name__ == "CancelRequested"]
    return sum(type(event).__name__ == "Step" and event.at > cancels[0] for event in events) if cancels else 0
""",
        """
def steps_for_nothing(events):
    count, cancelled = 0, False
    for event in events:
        cancelled = cancelled or hasattr(event, "reason") and not hasattr(event, "state")
        count += cancelled and hasattr(event, "service")
    return count
""",
    ],
    "01_without_a_token-3": [
        """
from cancellation import CancellationTokenSource
from pizzeria import Order

async def listens(shop):
    source = CancellationTokenSource(0.03)
    receipt = await shop.place_order(Order("Funghi", "7 Side Alley"), source.token)
    return str(receipt.status) == "cancelled"
"""
    ],
    "02_the_token-1": [
        """
from cancellation import OperationCanceledError

async def bake_bread(token):
    for _ in range(20):
        if token.is_cancellation_requested:
            raise OperationCanceledError(None, token)
        await asyncio.sleep(0.01)
    return "bread"
""",
        """
from cancellation import delay

async def bake_bread(token):
    for _ in range(20):
        await delay(0.01, token)
    return "bread"
""",
    ],
    "02_the_token-2": [
        """
async def bake_bread(token):
    for _ in range(20):
        await asyncio.sleep(0.01)
        token.throw_if_cancellation_requested()
    return "bread"

async def order_bread(token):
    answer = "cancelled"
    with contextlib.suppress(OperationCanceledError):
        answer = await bake_bread(token)
    return answer

import contextlib
"""
    ],
    "03_cooperation-1": [
        """
from itertools import takewhile

def wash(plates, scrub, token):
    return [scrub(plate) for plate in takewhile(lambda _: not token.is_cancellation_requested, plates)]
"""
    ],
    "03_cooperation-2": [
        """
from contextlib import ExitStack

async def use_oven(oven, token):
    with ExitStack() as leaving:
        leaving.callback(oven.close_door)
        leaving.callback(oven.turn_off)
        oven.turn_on()
        return await oven.bake(token)
"""
    ],
    "03_cooperation-3": [
        """
def send_flyers(streets, post, token):
    for house in (house for street in streets for house in street):
        token.throw_if_cancellation_requested()
        post(house)
"""
    ],
    "04_waking_up-1": [
        """
async def rest_dough(token):
    await run_until_canceled(asyncio.sleep(0.3), token)
    return "rested"
""",
        """
async def rest_dough(token):
    async with cancel_scope(token):
        await asyncio.sleep(0.3)
    return "rested"
""",
        """
async def rest_dough(token):
    try:
        async with asyncio.timeout(0.3):
            await token.wait_async()
    except TimeoutError:
        return "rested"
    token.throw_if_cancellation_requested()
""",
        """
async def rest_dough(token):
    done, pending = await asyncio.wait({asyncio.ensure_future(token.wait_async())}, timeout=0.3)
    for waiting in pending:
        waiting.cancel()
    token.throw_if_cancellation_requested()
    return "rested"
""",
    ],
    "04_waking_up-2": [
        """
async def pay(ask_bank, token):
    async with cancel_scope(token):
        return await ask_bank()
"""
    ],
    "04_waking_up-3": [
        """
async def ask_again(ask, token):
    for _ in range(3):
        try:
            return await ask(token)
        except OperationCanceledError:
            raise
        except Exception:
            continue
    return "closed"
"""
    ],
    "04_waking_up-4": [
        """
async def close_kitchen(orders):
    for order in orders:
        order.cancel()
    results = await asyncio.gather(*orders, return_exceptions=True)
    return sum(isinstance(result, asyncio.CancelledError) for result in results)
""",
        """
async def close_kitchen(orders):
    for order in orders:
        order.cancel()
    count = 0
    for order in orders:
        try:
            await order
        except asyncio.CancelledError:
            count += 1
    return count
""",
    ],
    "05_loops_and_scripts-1": [
        """
def start_order(loop, order, tasks):
    loop.call_soon_threadsafe(lambda: tasks.add(loop.create_task(order())))
"""
    ],
    "05_loops_and_scripts-2": [
        """
async def wait_for_click(button):
    loop, clicked = asyncio.get_running_loop(), asyncio.Event()
    button.on_click(lambda _: loop.call_soon_threadsafe(clicked.set))
    await clicked.wait()
""",
        """
async def wait_for_click(button):
    loop = asyncio.get_running_loop()
    clicked = loop.create_future()

    def finish():
        if not clicked.done():
            clicked.set_result(None)

    button.on_click(lambda _: loop.call_soon_threadsafe(finish))
    await clicked
""",
    ],
    "05_loops_and_scripts-3": [
        '''
SCRIPT = """
import asyncio

async def main():
    print("delivered")

with asyncio.Runner() as runner:
    runner.run(main())
"""
'''
    ],
    "06_deadlines_and_links-1": [
        """
def explain(token):
    if isinstance(token.reason, TimeoutError):
        return "too slow"
    return "cancelled" if token.is_cancellation_requested else "on its way"
"""
    ],
    "06_deadlines_and_links-2": [
        """
async def place_order(pay, token):
    try:
        await pay(token)
        return "paid"
    except OperationCanceledError:
        if token.origin is not None:
            return "cancelled"
        return "failed"
"""
    ],
    "06_deadlines_and_links-3": [
        """
async def bake(oven, token):
    registration = token.register(oven.open)
    try:
        await oven.bake()
    finally:
        registration.unregister()
""",
        """
async def bake(oven, token):
    with token.unsafe_register(lambda: oven.open()):
        return await oven.bake()
""",
    ],
    "06_deadlines_and_links-4": [
        """
async def with_deadline(work, seconds, token, clock):
    with CancellationTokenSource(seconds, time_provider=clock) as alarm:
        with CancellationTokenSource.create_linked_token_source(token, alarm.token) as both:
            return await work(both.token)
""",
        """
async def with_deadline(work, seconds, token, clock):
    source = CancellationTokenSource.create_linked_token_source(token, time_provider=clock)
    try:
        source.cancel_after(seconds)
        return await work(source.token)
    finally:
        source.dispose()
""",
    ],
    "07_threads-1": [
        """
def let_rest(seconds, token):
    if token.wait(seconds):
        token.throw_if_cancellation_requested()
    return "rested"
""",
        """
import threading

def let_rest(seconds, token):
    awake = threading.Event()
    with token.register(awake.set):
        awake.wait(seconds)
    token.throw_if_cancellation_requested()
    return "rested"
""",
    ],
    "07_threads-2": [
        """
def count(olives, token):
    counted = 0
    for counted, _ in enumerate(olives, 1):
        if not counted % 512:
            token.throw_if_cancellation_requested()
    return counted
"""
    ],
    "07_threads-3": [
        """
async def bake_in_back_room(bake, token):
    return await asyncio.get_running_loop().run_in_executor(None, bake, token)
"""
    ],
    "08_money_and_cleanup-1": [
        """
def due(steps):
    if "settle" in steps or "void" in steps or "refund" in steps or not steps:
        return None
    return "refund" if "capture" in steps else "void"
"""
    ],
    "08_money_and_cleanup-2": [
        """
async def pay_and_cook(bank, cook, token):
    await bank.authorize(token)
    done = False
    try:
        await bank.capture(token)
        meal = await cook(token)
        done = True
        return meal
    finally:
        if not done:
            await bank.undo(CancellationToken.none)
"""
    ],
    "08_money_and_cleanup-3": [
        """
def first_row(connection, question, token):
    def look():
        return token.is_cancellation_requested

    connection.set_progress_handler(look, 100)
    try:
        row = connection.cursor().execute(question).fetchone()
    except sqlite3.OperationalError as error:
        if token.is_cancellation_requested:
            raise OperationCanceledError(None, token) from error
        raise
    finally:
        connection.set_progress_handler(None, 1)
    return row
"""
    ],
    "09_services-1": [
        """
def answer_to_delete(status):
    match status:
        case None:
            return 404
        case "handed over" | "completed" | "failed":
            return 409
    return 200
"""
    ],
    "09_services-2": [
        """
from cancellation import cancel_scope

async def forward(client, address, token):
    async with cancel_scope(token):
        answer = await client.get(address)
    return answer.json()
"""
    ],
    "10_cluster-1": [
        """
def bake_all(client, bake, loaves, token):
    return client.map(bake, loaves, token=token, pure=False)
""",
        """
def bake_all(client, bake, loaves, token):
    return [client.submit(bake, loaf, token=token) for loaf in loaves]
""",
    ],
    "10_cluster-2": [
        """
from cancellation import OperationCanceledError

def stop_all(source, futures):
    source.cancel("enough")
    stopped = 0
    for future in futures:
        try:
            future.result()
        except OperationCanceledError:
            stopped += 1
        except Exception:
            pass
    return stopped
"""
    ],
    "10_cluster-3": [
        """
def charge(ledger, order):
    done = {entry.step for entry in ledger.entries() if entry.order_id == order.id}
    for step in ("authorize", "capture"):
        if step in done:
            continue
        ledger.authorize(order.id, order.cents) if step == "authorize" else ledger.capture(order.id)
"""
    ],
    "11_clinic-2": [
        """
class Counter:
    def __init__(self):
        self.orders = []

    def place(self, number, serve):
        source = CancellationTokenSource()
        self.orders.append((number, source))
        return asyncio.create_task(serve(source.token))

    def cancel(self, number):
        for customer, source in self.orders:
            if customer == number:
                source.cancel()
"""
    ],
    "11_clinic-3": [
        """
async def polish(glasses, rub, token):
    loop = asyncio.get_running_loop()
    for glass in glasses:
        token.throw_if_cancellation_requested()
        await loop.run_in_executor(None, rub, glass)
    return "shiny"
"""
    ],
    "11_clinic-4": [
        """
async def deliver_all(deliver, streets, token):
    failed = []
    for street in streets:
        try:
            await deliver(street, token)
        except Exception as error:
            if isinstance(error, OperationCanceledError):
                raise
            failed += [street]
    return failed
"""
    ],
    "11_clinic-5": [
        """
async def serve_in_time(pay, cook, order, clock):
    order.cancel_after(1800)
    alarm = CancellationTokenSource(300, time_provider=clock)
    bank = CancellationTokenSource.create_linked_token_source(order.token, alarm.token, time_provider=clock)
    with alarm, bank:
        await pay(bank.token)
    await cook(order.token)
    return "served"
"""
    ],
    "11_clinic-6": [
        """
async def pay_patiently(ask_bank, token):
    for _ in range(3):
        try:
            return await ask_bank(token)
        except OperationCanceledError:
            if token.is_cancellation_requested:
                raise
    return "the bank does not answer"
"""
    ],
    "11_clinic-7": [
        """
from contextlib import suppress

async def with_music(serve, play):
    music = asyncio.ensure_future(play())
    try:
        return await serve()
    finally:
        music.cancel()
        with suppress(asyncio.CancelledError):
            await music
"""
    ],
    "11_clinic-8": [
        """
async def night_watch(token):
    loop, closing = asyncio.get_running_loop(), asyncio.Event()
    with token.register(loop.call_soon_threadsafe, closing.set):
        await closing.wait()
    return "lights out"
"""
    ],
    "11_clinic-9": [
        """
async def cook_or_refund(bank, cook, token):
    await bank.charge(token)
    meal = None
    try:
        meal = await cook(token)
    finally:
        if meal is None:
            await bank.refund(CancellationToken.none)
    return meal
"""
    ],
    "11_clinic-10": [
        """
async def hand_over(pack, courier, refund, token):
    left = False
    try:
        await pack(token)
        token.throw_if_cancellation_requested()
        courier.leave()
        left = True
    finally:
        if not left:
            refund()
    await courier.message(CancellationToken.none)
"""
    ],
}
