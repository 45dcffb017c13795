"""The sweep: an order is cancelled at every point where it can be, alone and together with a failure.

The points are found by stepping. One run without a cancel counts them: every event that a service publishes (there
the cancel comes from inside the service, between two of its lines), and every turn of the event loop (there it comes
from outside, while the service waits or is about to go on). Then each point gets a run of its own.
"""

import asyncio
from collections import Counter
from itertools import pairwise

import pytest
from fake_shop import Shop

from cancellation import CancellationTokenSource
from pizzeria import Order, OrderState
from pizzeria.events import CancelRequested, Event, MessageSent, Money, StateChanged, Step
from pizzeria.order import MOVES
from pizzeria.receipt import Receipt

PRICE = 950


class Broken(Exception):
    """What fails beside the cancel."""


def fails_before(shop, method):
    def fail(*_):
        raise Broken(f"{method} failed")

    setattr(shop.ledger, method, fail)


def fails_after(shop, method):
    """The bank has done it, and the line breaks before it can say so."""
    real = getattr(shop.ledger, method)

    def fail(*arguments):
        real(*arguments)
        raise Broken(f"{method} was done, and its answer lost")

    setattr(shop.ledger, method, fail)


def ledger_is_opened_again_around_settle(shop):
    """The bank's machine starts anew before it has settled: its ledger repairs itself, and the money goes back."""

    def fail(order_id):
        shop.ledger.undo(order_id)
        raise Broken("the bank started anew")

    shop.ledger.settle = fail


def oven_breaks(shop):
    pause = shop._clock.pause

    async def fail(seconds, token):
        await pause(seconds, token)
        if any(isinstance(event, Step) and (event.service, event.step) == ("kitchen", 4) for event in shop.recorded):
            raise Broken("the oven broke")

    shop._clock.pause = fail


def message_fails(shop):
    async def fail(order, token, *, pace):
        raise Broken("no signal")

    shop._orders._notification.notify_customer = fail


FAILURES = {
    "nothing": lambda shop: None,
    "bank refuses the reservation": lambda shop: fails_before(shop, "authorize"),
    "bank loses its answer to the reservation": lambda shop: fails_after(shop, "authorize"),
    "bank refuses the capture": lambda shop: fails_before(shop, "capture"),
    "bank loses its answer to the capture": lambda shop: fails_after(shop, "capture"),
    "ledger refuses to settle": lambda shop: fails_before(shop, "settle"),
    "ledger loses its answer to settle": lambda shop: fails_after(shop, "settle"),
    "ledger is opened again around settle": ledger_is_opened_again_around_settle,
    "oven breaks": oven_breaks,
    "message fails": message_fails,
}
CANCELS = {
    "by its token": lambda source, task: source.cancel(),
    "by its task": lambda source, task: task.cancel(),
    "by both": lambda source, task: (source.cancel(), task.cancel()),
}


async def run_one(failure, cancel, point):
    """One order, cancelled at `point` (None: never). Returns the shop, the task, and how many points there were."""
    shop = Shop(ovens=1)
    FAILURES[failure](shop)
    source = CancellationTokenSource()
    order = Order("Margherita", "12 Main St")
    points = 0
    task = None

    def pass_point(_: Event | None = None):
        nonlocal points
        if points == point:
            CANCELS[cancel](source, task)
        points += 1

    shop.events.subscribe(pass_point)
    task = asyncio.create_task(shop.place_order(order, source.token))
    while not task.done():
        for _ in range(4):
            pass_point()
            await asyncio.sleep(0)
        shop.clock.advance(0.1 + 1e-9)
    return shop, order, task, points


def check(shop, order, task, where):
    """What must hold at the end, whatever happened."""
    states = [event.state for event in shop.recorded if isinstance(event, StateChanged)]
    if not states:  # its task was cancelled before it began
        assert task.cancelled(), where
        assert shop.ledger.entries() == [], where
        return
    assert states[0] is OrderState.RECEIVED, where
    assert all(after in MOVES[before] for before, after in pairwise(states)), (where, states)
    assert states[-1].is_final, (where, states)
    last = next(i for i, event in enumerate(shop.recorded) if getattr(event, "state", None) is states[-1])
    assert not any(isinstance(e, Step | Money | CancelRequested | MessageSent) for e in shop.recorded[last:]), where

    kept = PRICE if states[-1] is OrderState.COMPLETED else 0
    assert shop.ledger.kept(order.id) == kept, (where, shop.ledger.entries())
    receipt = Receipt(order)
    for event in shop.recorded:
        receipt.read(event)
    money = (shop.ledger.charged(order.id), shop.ledger.refunded(order.id))
    assert (receipt.charged, receipt.refunded) == money, where  # what people read is what the ledger has
    steps = Counter(entry.step for entry in shop.ledger.entries(order.id))
    assert max(steps.values(), default=1) == 1, where
    assert steps["void"] + steps["refund"] + steps["settle"] == (1 if steps["authorize"] else 0), (where, steps)
    assert shop.ovens_in_use == 0, where
    assert not shop._kitchen._free.locked(), where
    assert asyncio.all_tasks() == {asyncio.current_task()}, where

    if states[-1] is OrderState.FAILED:
        assert isinstance(task.exception(), Broken), where
    elif not task.cancelled():
        assert task.result().status is states[-1], where


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("cancel", CANCELS)
def test_wherever_an_order_is_cancelled_and_whatever_fails_beside_it_the_books_balance(failure, cancel):
    async def main():
        shop, order, task, points = await run_one(failure, cancel, None)
        check(shop, order, task, "not cancelled")
        outcomes = Counter()
        for point in range(points):
            shop, order, task, _ = await run_one(failure, cancel, point)
            check(shop, order, task, f"{failure}, cancelled {cancel} at point {point}")
            outcomes.update(e.state for e in shop.recorded if isinstance(e, StateChanged) and e.state.is_final)
        if "reservation" not in failure:  # that one fails before there is much to cancel
            assert outcomes[OrderState.CANCELLED] >= 20, outcomes  # the sweep does reach the order while it runs

    asyncio.run(main())


def test_wherever_one_of_two_orders_is_cancelled_the_other_gets_the_oven_and_completes():
    async def run_two(point):
        shop = Shop(ovens=1)
        source = CancellationTokenSource()
        orders = [Order("Margherita", "1 Main St"), Order("Margherita", "2 Main St")]
        points = 0

        def pass_point(_=None):
            nonlocal points
            if points == point:
                source.cancel()
            points += 1

        shop.events.subscribe(pass_point)
        tasks = [
            asyncio.create_task(shop.place_order(orders[0], source.token)),
            asyncio.create_task(shop.place_order(orders[1])),
        ]
        while not all(task.done() for task in tasks):
            for _ in range(3):
                pass_point()
                await asyncio.sleep(0)
            shop.clock.advance(0.1 + 1e-9)
        return shop, tasks, points

    async def main():
        _, _, points = await run_two(None)
        outcomes = Counter()
        for point in range(points):
            shop, tasks, _ = await run_two(point)
            first, second = (task.result() for task in tasks)
            assert second.status is OrderState.COMPLETED, point
            assert shop.ledger.kept() == PRICE * (1 + (first.status is OrderState.COMPLETED)), point
            assert shop.ovens_in_use == 0
            assert not shop._kitchen._free.locked()
            outcomes[first.status] += 1
        assert outcomes[OrderState.CANCELLED] > 50

    asyncio.run(main())
