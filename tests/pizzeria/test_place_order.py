import asyncio
import gc
import threading
import weakref
from contextlib import suppress

import pytest
from fake_shop import Shop, turn_loop

from cancellation import CancellationToken, CancellationTokenSource
from pizzeria import LedgerError, Order, OrderState, Pizzeria, waste
from pizzeria.bank import LedgerHere
from pizzeria.events import CancelRequested, EventStream, MessageSent, Money, StateChanged, Step
from pizzeria.orders import CLOSING_TIME

THE_ARTICLES_LINES = [
    "🍽️ Order received...",
    "💳 Processing payment...",
    "💰 Payment successful.",
    "👨‍🍳 Preparing meal...",
    "🍕 Meal ready!",
    "✅ Order completed successfully!",
]


async def placed(shop, order, token=CancellationToken.none):
    task = asyncio.create_task(shop.place_order(order, token))
    await turn_loop()
    return task


def test_a_complete_order_says_the_articles_lines_and_keeps_the_money(shop, order):
    async def main():
        task = await placed(shop, order)
        await shop.run(6.5)
        return await task

    receipt = asyncio.run(main())
    on_its_way = "🛵 Your order is on its way"
    assert [line for line in shop.lines() if line != on_its_way] == THE_ARTICLES_LINES
    assert shop.lines().index(on_its_way) > shop.lines().index("🍕 Meal ready!")
    assert receipt.lines == shop.lines()
    assert (receipt.status, receipt.kept, receipt.oven_seconds) == (OrderState.COMPLETED, 950, 3.0)
    assert receipt.message_sent
    assert shop.ledger.kept(order.id) == 950
    assert shop.ovens_in_use == 0


def test_payment_checks_five_times_half_a_second_apart_and_the_kitchen_ten_times_at_three_tenths(shop, order):
    async def main():
        await placed(shop, order)
        await shop.run(6.5)

    asyncio.run(main())
    at = {"payment": [], "kitchen": []}
    for event in shop.recorded:
        if isinstance(event, Step):
            at[event.service].append(round(event.at, 3))
    assert at["payment"] == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert at["kitchen"] == [2.5, 2.8, 3.1, 3.4, 3.7, 4.0, 4.3, 4.6, 4.9, 5.2]


def test_cancelled_during_payment_nothing_is_charged_and_the_kitchen_never_starts(shop, order):
    async def main():
        source = CancellationTokenSource()
        task = await placed(shop, order, source.token)
        await shop.run(1.2)
        source.cancel()
        return await task

    receipt = asyncio.run(main())
    assert shop.lines() == [
        "🍽️ Order received...",
        "💳 Processing payment...",
        "🧹 Cleaning up before stopping...",
        "🚫 Order cancelled by user.",
    ]
    assert (receipt.status, receipt.charged, receipt.refunded) == (OrderState.CANCELLED, 0, 0)
    assert not receipt.kitchen_started
    assert receipt.oven_seconds_saved == 3.0
    assert [entry.step for entry in shop.ledger.entries(order.id)] == ["authorize", "void"]
    assert shop.ovens_in_use == 0


def test_cancelled_while_cooking_the_money_goes_back_once_and_the_oven_is_free(shop, order):
    async def main():
        source = CancellationTokenSource()
        task = await placed(shop, order, source.token)
        await shop.run(3.5)
        assert shop.ovens_in_use == 1
        source.cancel()
        return await task

    receipt = asyncio.run(main())
    assert (receipt.charged, receipt.refunded, receipt.kept) == (950, 950, 0)
    assert [entry.step for entry in shop.ledger.entries(order.id)] == ["authorize", "capture", "refund"]
    assert (receipt.oven_seconds, receipt.oven_seconds_saved) == (1.2, 1.8)
    assert shop.ovens_in_use == 0


def test_cancelled_in_the_line_for_an_oven_the_next_in_line_gets_it(order):
    async def main():
        shop = Shop(ovens=1)
        first, second, third = (Order("Funghi", f"{n} Main St") for n in (1, 2, 3))
        source = CancellationTokenSource()
        tasks = [await placed(shop, first), await placed(shop, second, source.token), await placed(shop, third)]
        await shop.run(3)  # first is cooking, the others wait
        source.cancel()
        assert (await tasks[1]).status is OrderState.CANCELLED
        await shop.run(2.6)  # first has left the oven, third has begun
        cooking = [e.order for e in shop.recorded if isinstance(e, StateChanged) and e.state is OrderState.COOKING]
        assert cooking == [first, third]
        await shop.run(4)
        assert [(await task).status for task in (tasks[0], tasks[2])] == [OrderState.COMPLETED] * 2
        assert shop.ovens_in_use == 0

    asyncio.run(main())


def test_when_nobody_looks_the_customer_is_charged_the_meal_cooked_and_the_message_sent(order):
    async def main():
        shop = Shop(heeds_token=False)
        source = CancellationTokenSource()
        task = await placed(shop, order, source.token)
        await shop.run(1)
        source.cancel()
        await shop.run(6)
        receipt = await task
        assert (receipt.status, receipt.kept, receipt.message_sent) == (OrderState.COMPLETED, 950, True)
        assert [type(e) for e in shop.recorded].count(CancelRequested) == 1  # it was heard, and ignored

    asyncio.run(main())


@pytest.mark.parametrize(
    ("cancel", "line"),
    [
        (lambda source: source.cancel(), "🚫 Order cancelled by user."),
        (lambda source: source.cancel("changed my mind"), "🚫 Order cancelled by user."),
        (lambda source: source.cancel(TimeoutError("too long")), "🚫 Order cancelled by deadline."),
        (lambda source: source.cancel(CLOSING_TIME), "🚫 Order cancelled by closing time."),
    ],
)
def test_the_last_line_says_who_cancelled(shop, order, cancel, line):
    async def main():
        source = CancellationTokenSource()
        task = await placed(shop, order, source.token)
        cancel(source)
        return await task

    receipt = asyncio.run(main())
    assert receipt.lines[-1] == line


def test_a_deadline_on_the_same_clock_cancels_the_order(shop, order):
    async def main():
        source = CancellationTokenSource(2, time_provider=shop.clock)
        task = await placed(shop, order, source.token)
        await shop.run(2)
        return await task

    receipt = asyncio.run(main())
    assert receipt.lines[-1] == "🚫 Order cancelled by deadline."
    assert isinstance(receipt.reason, TimeoutError)


def test_an_order_whose_token_is_cancelled_before_it_is_placed_touches_no_money(shop, order):
    async def main():
        return await shop.place_order(order, CancellationToken(canceled=True))

    receipt = asyncio.run(main())
    assert receipt.status is OrderState.CANCELLED
    assert shop.ledger.kept() == 0
    assert not receipt.kitchen_started


def test_after_the_handover_a_cancel_is_too_late(shop, order):
    async def main():
        source = CancellationTokenSource()
        shop.events.subscribe(
            lambda e: source.cancel() if getattr(e, "state", None) is OrderState.HANDED_OVER else None
        )
        task = await placed(shop, order, source.token)
        await shop.run(6.5)
        return await task

    receipt = asyncio.run(main())
    assert (receipt.status, receipt.kept) == (OrderState.COMPLETED, 950)


def test_a_cancel_in_the_last_moment_before_the_handover_still_counts(shop, order):
    async def main():
        source = CancellationTokenSource()
        shop.events.subscribe(lambda e: source.cancel() if getattr(e, "state", None) is OrderState.READY else None)
        task = await placed(shop, order, source.token)
        await shop.run(6.5)
        return await task

    receipt = asyncio.run(main())
    assert (receipt.status, receipt.kept, receipt.message_sent) == (OrderState.CANCELLED, 0, False)


def test_a_failing_bank_undoes_the_order_and_its_error_comes_out(shop, order, monkeypatch):
    async def main():
        monkeypatch.setattr(shop.ledger, "capture", lambda order_id: 1 / 0)
        task = await placed(shop, order)
        await shop.run(3)
        with pytest.raises(ZeroDivisionError):
            await task

    asyncio.run(main())
    assert shop.lines()[-1] == "⚠️ Order failed: ZeroDivisionError: division by zero"
    assert [entry.step for entry in shop.ledger.entries(order.id)] == ["authorize", "void"]


def test_a_message_that_cannot_be_sent_does_not_stop_a_pizza_that_is_on_its_way(shop, order):
    async def main():
        def fail(event):
            raise ConnectionError("no signal")

        shop._orders._notification.notify_customer = lambda order, token, *, pace: fail(order)
        task = await placed(shop, order)
        await shop.run(6.5)
        return await task

    receipt = asyncio.run(main())
    assert (receipt.status, receipt.kept, receipt.message_sent) == (OrderState.COMPLETED, 950, False)
    assert "⚠️ The message could not be sent: ConnectionError: no signal" in receipt.lines


def test_cancelling_the_task_undoes_the_order_and_stays_a_task_cancel(shop, order):
    async def main():
        task = await placed(shop, order)
        await shop.run(3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert shop.ledger.kept() == 0
    assert shop.lines()[-1] == "🚫 Order cancelled by user."
    assert shop.ovens_in_use == 0


def test_cancelling_the_task_after_the_handover_leaves_the_order_completed(shop, order):
    async def main():
        task = await placed(shop, order)
        shop.events.subscribe(lambda e: task.cancel() if getattr(e, "state", None) is OrderState.HANDED_OVER else None)
        await shop.run(6.5)
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert shop.lines()[-1] == "✅ Order completed successfully!"
    assert shop.ledger.kept() == 950


def test_a_cancel_after_the_loop_was_closed_under_an_order_hurts_nobody(order):
    loop = asyncio.new_event_loop()
    shop, source = Pizzeria(), CancellationTokenSource()
    task = loop.create_task(shop.place_order(order, source.token))
    loop.run_until_complete(asyncio.sleep(0.01))
    loop.close()
    source.cancel()
    assert not task.done()
    task._log_destroy_pending = False  # asyncio would complain, and rightly


class FarBank(LedgerHere):
    """It settles at once; then its answer travels until the caller has no more patience."""

    async def settle(self, order_id):
        self._ledger.settle(order_id)
        await asyncio.Event().wait()


def test_cancelling_the_task_while_a_far_bank_settles_is_too_late_the_pizza_goes_out(order):
    class FarShop(Shop):
        def _open_bank(self):
            return FarBank(self.ledger)

    shop = FarShop()

    async def main():
        task = await placed(shop, order)
        await shop.run(6)
        assert [entry.step for entry in shop.ledger.entries()][-1] == "settle"
        task.cancel()
        await shop.run(1)
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert shop.lines()[-2:] == ["🛵 Your order is on its way", "✅ Order completed successfully!"]
    assert shop.ledger.kept() == 950


def test_an_order_that_was_refunded_by_hand_before_the_handover_is_not_handed_over(shop, order):
    async def main():
        task = await placed(shop, order)
        await shop.run(5.6)
        shop.ledger.refund(order.id)
        await shop.run(1)
        with pytest.raises(LedgerError, match="done for it is: authorize, capture, refund"):
            await task

    asyncio.run(main())
    assert shop.lines()[-1].startswith("⚠️ Order failed: LedgerError: cannot settle order")
    assert shop.ledger.kept() == 0


def test_a_cancel_from_another_thread_stops_the_order_and_its_readers_stay_on_the_loop(order):
    async def main():
        shop = Pizzeria(pace=10)
        threads = set()
        shop.events.subscribe(lambda e: threads.add(threading.get_ident()))
        source = CancellationTokenSource()
        task = await placed(shop, order, source.token)
        thread = threading.Thread(target=source.cancel)
        thread.start()
        receipt = await asyncio.wait_for(task, 10)
        thread.join()
        assert receipt.status is OrderState.CANCELLED
        assert threads == {threading.get_ident()}

    asyncio.run(main())


@pytest.mark.parametrize("heeds_token", [True, False])
def test_each_order_of_a_shared_token_is_told_its_cancel_once_and_one_that_comes_later_at_once(heeds_token):
    async def main():
        shop = Shop(heeds_token=heeds_token)
        told = []
        shop.events.subscribe(lambda e: isinstance(e, CancelRequested) and told.append(e.order.address))
        source = CancellationTokenSource()
        first, second, late = (Order("Margherita", address) for address in ("first", "second", "late"))
        tasks = [await placed(shop, order, source.token) for order in (first, second)]
        shop.events.subscribe(lambda e: source.cancel() if e.order is first and type(e) is Step else None)
        await shop.run(1)
        assert told == ["first", "second"]
        tasks.append(await placed(shop, late, source.token))
        assert told == ["first", "second", "late"]
        await shop.run(12)
        await asyncio.gather(*tasks)
        assert told == ["first", "second", "late"]

    asyncio.run(main())


def test_an_order_that_comes_between_a_threads_cancel_and_the_loop_is_told_once():
    async def main():
        shop = Shop(heeds_token=False)
        source = CancellationTokenSource()
        first, late = Order("Margherita", "first"), Order("Margherita", "late")
        tasks = [await placed(shop, first, source.token)]
        tasks.append(asyncio.create_task(shop.place_order(late, source.token)))
        thread = threading.Thread(target=source.cancel)
        thread.start()
        thread.join()
        await shop.run(12)
        await asyncio.gather(*tasks)
        assert [e.order.address for e in shop.recorded if isinstance(e, CancelRequested)] == ["late", "first"]

    asyncio.run(main())


def test_a_token_is_let_go_with_the_last_of_its_orders(shop, order):
    async def main():
        source = CancellationTokenSource()
        token = weakref.ref(source.token)
        task = await placed(shop, order, source.token)
        await shop.run(6.5)
        await task
        del source, task
        gc.collect()
        assert token() is None

    asyncio.run(main())


def test_a_broken_reader_is_reported_and_harms_no_order(shop, order):
    async def main():
        reported = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context["exception"]))
        shop.events.subscribe(lambda event: 1 / 0)
        task = await placed(shop, order)
        await shop.run(6.5)
        assert (await task).status is OrderState.COMPLETED
        assert reported
        assert all(isinstance(error, ZeroDivisionError) for error in reported)

    asyncio.run(main())


def test_the_same_order_cannot_be_placed_twice(shop, order):
    async def main():
        task = await placed(shop, order)
        with pytest.raises(ValueError, match="under way; make a new Order"):
            await shop.place_order(order)
        await shop.run(6.5)
        await task
        with pytest.raises(ValueError, match="placed before; make a new Order"):
            await shop.place_order(order)

    asyncio.run(main())
    assert shop.ledger.kept() == 950


@pytest.mark.parametrize(
    ("order", "token", "says"),
    [
        ("Margherita", CancellationToken.none, "order must be an Order"),
        (None, None, "order must"),
        (1, 1, "order must"),
    ],
)
def test_what_is_no_order_is_refused(shop, order, token, says):
    with pytest.raises(TypeError, match=says):
        asyncio.run(shop.place_order(order, token))
    assert shop.recorded == []


def test_what_is_no_token_is_refused_before_anything_happens(shop, order):
    with pytest.raises(TypeError, match="token must be a CancellationToken, not 'stop'"):
        asyncio.run(shop.place_order(order, "stop"))
    assert shop.recorded == []


def test_the_message_is_sent_only_for_orders_that_left_the_house(shop):
    async def main():
        sources = [CancellationTokenSource() for _ in range(6)]
        tasks = [await placed(shop, Order("Diavola", f"{n} St"), s.token) for n, s in enumerate(sources)]
        for source in sources[::2]:
            await shop.run(1)
            source.cancel()
        await shop.run(12)
        return [await task for task in tasks]

    receipts = asyncio.run(main())
    sent = [event.order for event in shop.recorded if isinstance(event, MessageSent)]
    assert sent == [r.order for r in receipts if r.status is OrderState.COMPLETED]
    assert len(sent) == 3


@pytest.mark.parametrize("heeds_token", [True, False])
def test_a_cancel_on_another_thread_is_told_before_what_comes_of_it(order, heeds_token):
    async def main():
        shop = Pizzeria(pace=0.02, heeds_token=heeds_token)
        events = []
        shop.events.subscribe(events.append)
        source = CancellationTokenSource()
        task = await placed(shop, order, source.token)
        ended = threading.Event()
        source.token.register(ended.wait, 10)  # it runs first, and the order ends before the watch hears of the cancel
        task.add_done_callback(lambda _: ended.set())
        await asyncio.to_thread(source.cancel, "from afar")
        receipt = await task
        told = [event for event in events if isinstance(event, CancelRequested)]
        assert [event.reason for event in told] == ["from afar"]
        assert receipt.cancel_requested
        end = next(event for event in events if isinstance(event, StateChanged) and event.state.is_final)
        assert events.index(told[0]) < events.index(end)

    asyncio.run(main())


def test_a_token_cancelled_before_is_told_once_and_first(shop, order):
    receipt = asyncio.run(shop.place_order(order, CancellationToken(True)))
    kinds = [type(event) for event in shop.recorded]
    assert kinds.index(CancelRequested) == 0
    assert kinds.count(CancelRequested) == 1
    assert receipt.cancel_requested


def test_an_order_that_is_refused_tells_nothing_of_itself(shop, order):
    async def main():
        task = await placed(shop, order)
        await shop.run(7)
        await task
        shop.recorded.clear()
        with pytest.raises(ValueError, match="has been placed before"):
            await shop.place_order(order, CancellationToken(True))

    asyncio.run(main())
    assert shop.recorded == []


@pytest.mark.parametrize("event", ["settle", "handed over", "completed"])
@pytest.mark.parametrize("error", [asyncio.CancelledError, KeyboardInterrupt])
def test_what_interrupts_the_handover_comes_out_and_the_order_is_completed(shop, order, event, error):
    def interrupt(told):
        if event in (getattr(told, "step", None), getattr(told, "state", None)):
            raise error

    async def main():
        shop.events.subscribe(interrupt)
        task = asyncio.create_task(shop._serve(order, CancellationToken.none))
        with pytest.raises(error):
            await asyncio.gather(task, shop.run(7))

    with suppress(KeyboardInterrupt):
        asyncio.run(main())
    states = [event.state for event in shop.recorded if isinstance(event, StateChanged)]
    assert states[-3:] == [OrderState.READY, OrderState.HANDED_OVER, OrderState.COMPLETED]
    assert [event.step for event in shop.recorded if isinstance(event, Money)].count("settle") == 1
    assert shop.ledger.kept() == 950


def test_a_pizzeria_works_on_one_event_loop_after_the_other_also_where_orders_wait_for_an_oven():
    shop = Pizzeria(ovens=1, pace=0)

    async def three():
        orders = [Order("Margherita", f"{n} Main St") for n in range(3)]
        return await asyncio.gather(*(shop.place_order(order) for order in orders))

    for _ in range(2):
        assert [receipt.status for receipt in asyncio.run(three())] == [OrderState.COMPLETED] * 3
    assert shop.ovens_in_use == 0


def test_a_pizzeria_refuses_to_cook_on_two_event_loops_at_once(order):
    shop = Pizzeria(ovens=2, pace=0)

    async def main():
        def cook_slowly(event):
            if getattr(event, "state", None) is OrderState.COOKING:
                shop.pace = 100
                cooking.set()

        cooking = asyncio.Event()
        shop.events.subscribe(cook_slowly)
        with CancellationTokenSource() as source:
            task = await placed(shop, order, source.token)
            await cooking.wait()
            await turn_loop()
            shop.pace = 0
            elsewhere = shop.place_order(Order("Funghi", "7 Side Alley"))
            with pytest.raises(RuntimeError, match="at work on another event loop: make a Pizzeria for each"):
                await asyncio.to_thread(asyncio.run, elsewhere)
            source.cancel()
            await task
        assert shop.ledger.kept() == 0

    asyncio.run(main())


def test_a_subscription_ends_alone_and_only_once():
    events, heard = EventStream(), []
    read = heard.append
    end_first, end_second = events.subscribe(read), events.subscribe(read)
    end_first()
    end_first()
    events.publish("an event")
    assert heard == ["an event"]
    end_second()
    events.subscribe(read)
    end_second()
    events.publish("another")
    assert heard == ["an event", "another"]


async def reads_later(event): ...


@pytest.mark.parametrize("reader", [None, 5, reads_later])
def test_a_reader_must_be_an_ordinary_function(reader):
    with pytest.raises(TypeError, match="reader must be an ordinary function"):
        Pizzeria().events.subscribe(reader)


def test_a_cancel_after_the_handover_is_no_waste(shop, order):
    async def main():
        source = CancellationTokenSource()
        shop.events.subscribe(lambda e: getattr(e, "state", None) is OrderState.HANDED_OVER and source.cancel())
        task = await placed(shop, order, source.token)
        await shop.run(7)
        return await task

    receipt = asyncio.run(main())
    assert (receipt.status, receipt.cancel_requested) == (OrderState.COMPLETED, True)
    assert receipt.cancel_came_too_late
    assert waste([receipt]).listening.orders == 0


def test_what_an_order_chooses_for_itself_does_not_stay_in_the_shop(shop, order):
    async def main():
        task = asyncio.create_task(shop.place_order(order, CancellationToken(True), heeds_token=False, pace=0))
        await turn_loop(100)
        careless = await task
        careful = await shop.place_order(Order("Funghi", "7 Side Alley"), CancellationToken(True))
        return careless, careful

    careless, careful = asyncio.run(main())
    assert (careless.status, careless.heeds_token) == (OrderState.COMPLETED, False)
    assert (careful.status, careful.heeds_token) == (OrderState.CANCELLED, True)
    assert (shop.heeds_token, shop.pace) == (True, 1)


def test_an_order_can_choose_to_be_heeded_in_a_careless_shop(order):
    shop = Shop(heeds_token=False)
    receipt = asyncio.run(shop.place_order(order, CancellationToken(True), heeds_token=True))
    assert (receipt.status, receipt.heeds_token) == (OrderState.CANCELLED, True)


def test_an_orders_own_pace_holds_for_each_of_its_steps_whatever_the_shops_becomes(shop, order):
    def seconds_of_steps(placed):
        return [event.seconds for event in shop.recorded if isinstance(event, Step) and event.order is placed]

    async def main():
        other = Order("Funghi", "7 Side Alley")
        own = asyncio.create_task(shop.place_order(order, pace=2))
        shops = await placed(shop, other)
        shop.pace = 0.5
        await shop.run(13.5)
        await asyncio.gather(own, shops)
        return other

    other = asyncio.run(main())
    assert seconds_of_steps(order) == pytest.approx([1.0] * 5 + [0.6] * 10)
    assert seconds_of_steps(other) == pytest.approx([0.5] + [0.25] * 4 + [0.15] * 10)
    ends = {e.order: e.at for e in shop.recorded if getattr(e, "state", None) is OrderState.COMPLETED}
    assert ends[order] == pytest.approx(2 * 6, abs=0.1)  # courier and message, too: twice the article's six seconds
    assert ends[other] < 6


@pytest.mark.parametrize(
    ("choice", "error", "says"),
    [
        ({"heeds_token": 1}, TypeError, "heeds_token must be True or False, not 1"),
        ({"pace": -2}, ValueError, "pace must be a finite number from 0 up .*, not -2"),
        ({"pace": "fast"}, TypeError, "pace must be a number, not 'fast'"),
    ],
)
def test_what_no_order_can_choose_is_refused_before_anything_is_told(shop, order, choice, error, says):
    with pytest.raises(error, match=says):
        asyncio.run(shop.place_order(order, **choice))
    assert shop.recorded == []
    assert shop.ledger.entries() == []
