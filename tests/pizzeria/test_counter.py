"""The counter without a browser: clicks from a cell and from other threads. The real page is in tests/browser."""

import asyncio
import threading

import pytest
from fake_shop import Shop, turn_loop

from cancellation import CancellationToken
from pizzeria import Ledger, Order, OrderCounter, OrderState, Pizzeria, cells
from pizzeria.counter import Timeline
from pizzeria.events import Step


def run(scenario, shop=None):
    """Run `scenario(counter)` on an event loop, as a notebook cell would."""

    async def main():
        counter = OrderCounter(shop or Shop())
        try:
            await scenario(counter)
        finally:
            counter.stop()
            await counter.finished()

    asyncio.run(main())


async def click(button, seconds=0.0, shop=None):
    button.click()
    await turn_loop()
    if shop is not None:
        await shop.run(seconds)


def text(widget):
    return widget.value


def test_place_then_cancel_from_a_cell_stops_the_payment_and_charges_nothing():
    shop = Shop()

    async def scenario(counter):
        await click(counter.place, 1, shop)
        assert counter.orders[0].status == "Paying"
        counter.cancel.click()
        (receipt,) = await counter.finished()
        assert receipt.status is OrderState.CANCELLED
        assert shop.ledger.kept() == 0
        assert "Nothing was charged. The kitchen never started, and the oven is free." in text(
            counter.orders[0]._receipt
        )

    run(scenario, shop)


def test_click_click_and_finished_in_one_cell_without_a_pause_cancels_the_order():
    async def scenario(counter):
        counter.place.click()
        counter.cancel.click()
        (receipt,) = await counter.finished()
        assert receipt.status is OrderState.CANCELLED

    run(scenario, Pizzeria(pace=10))


def test_a_whole_order_completes_and_its_receipt_says_what_was_charged():
    shop = Shop()

    async def scenario(counter):
        await click(counter.place, 6.5, shop)
        assert counter.orders[0].status == "Completed"
        assert "€9.50 charged, the meal cooked, the message sent." in text(counter.orders[0]._receipt)
        assert "Order 1 is completed." in text(counter._message)

    run(scenario, shop)


def test_progress_is_told_in_words_beside_the_bars():
    shop = Shop()

    async def scenario(counter):
        await click(counter.place, 1.2, shop)
        card = counter.orders[0]
        assert "3 of 5" in text(card._payment._words)
        assert "not started" in text(card._kitchen._words)
        assert card._payment._bar.value == 3
        await shop.run(2)
        assert "done" in text(card._payment._words)
        assert "3 of 10" in text(card._kitchen._words)
        await click(card.cancel)
        assert "stopped at 3 of 10" in text(card._kitchen._words)
        assert card.cancel.layout.display == "none"

    run(scenario, shop)


def test_each_of_ten_orders_is_cancelled_by_its_own_button_only():
    shop = Shop(ovens=10)

    async def scenario(counter):
        for _ in range(10):
            await click(counter.place)
        for card in counter.orders[::2]:
            await click(card.cancel)
        await shop.run(8)
        statuses = {card.number: card.status for card in counter.orders}
        assert statuses == {n: "Cancelled" if n % 2 == 0 else "Completed" for n in range(1, 11)}

    run(scenario, shop)


def test_cancel_order_takes_the_newest_that_can_still_be_cancelled():
    shop = Shop()

    async def scenario(counter):
        await click(counter.place)
        await click(counter.place)
        await click(counter.cancel)
        assert [card.status for card in counter.orders] == ["Cancelled", "Paying"]
        await click(counter.cancel)
        assert [card.status for card in counter.orders] == ["Cancelled", "Cancelled"]
        await click(counter.cancel)
        assert "There is no order to cancel. Place one first." in text(counter._message)

    run(scenario, shop)


def in_thread(act, *, with_loop=False):
    """Do it on another thread, and wait for that without a turn of this thread's loop."""

    async def on_a_loop():
        act()

    thread = threading.Thread(target=(lambda: asyncio.run(on_a_loop())) if with_loop else act)
    thread.start()
    thread.join()


each_way_of_click = pytest.mark.parametrize("do", [lambda act: act(), in_thread], ids=["from a cell", "on a thread"])


@pytest.mark.parametrize("running_loop_in_thread", [False, True])
def test_clicks_from_another_thread_with_or_without_a_loop_of_its_own_do_the_same(running_loop_in_thread):
    shop = Shop()

    def click_in_thread(button):
        in_thread(button.click, with_loop=running_loop_in_thread)

    async def scenario(counter):
        threads = set()
        shop.events.subscribe(lambda event: threads.add(threading.get_ident()))
        click_in_thread(counter.place)
        await turn_loop()
        await shop.run(1)
        assert counter.orders[0].status == "Paying"
        click_in_thread(counter.cancel)
        await turn_loop()
        assert counter.orders[0].status == "Cancelled"
        assert threads == {threading.get_ident()}

    run(scenario, shop)


def test_when_nobody_listens_the_card_says_so_and_the_receipt_too():
    shop = Shop()

    async def scenario(counter):
        counter.heeds_token.value = False
        await click(counter.place, 1, shop)
        await click(counter.cancel)
        assert "you cancelled, but nobody listens" in text(counter.orders[0]._status)
        assert "nobody looks at it" in text(counter._message)
        await shop.run(6)
        assert "You cancelled, and yet: €9.50 charged" in text(counter.orders[0]._receipt)

    run(scenario, shop)


def test_an_exception_inside_a_service_appears_in_words():
    shop = Shop()

    async def scenario(counter):
        shop.ledger.capture = lambda order_id: (_ for _ in ()).throw(ConnectionError("the bank <hung> up"))
        await click(counter.place, 3, shop)
        assert counter.orders[0].status == "Failed"
        assert "ConnectionError: the bank &lt;hung&gt; up" in text(counter._message)
        assert "Nothing was charged" in text(counter.orders[0]._receipt)

    run(scenario, shop)


def test_what_users_type_is_shown_as_typed_wherever_it_is_shown():
    evil = "<img src=x onerror=alert(1)>"

    async def scenario(counter):
        counter.address.value = evil
        await click(counter.place)
        shown = [child.value for child in counter.orders[0].children[0].children if hasattr(child, "value")]
        assert any("&lt;img src=x onerror=alert(1)&gt;" in value for value in shown)
        assert not any("<img" in value for value in shown)
        counter.address.value = "<b>" * 100
        await click(counter.place)
        assert "<b>" not in text(counter._message)

    run(scenario)


@pytest.mark.parametrize(
    ("address", "says"), [("", "address must not be empty"), ("x" * 201, "at most 200 characters long, not 201")]
)
def test_an_impossible_address_makes_no_order_and_says_why(address, says):
    async def scenario(counter):
        counter.address.value = address
        await click(counter.place)
        assert counter.orders == []
        assert "No order was made" in text(counter._message)
        assert says in text(counter._message)

    run(scenario)


def test_closing_the_kitchen_cancels_all_its_orders_and_takes_no_more_until_it_opens():
    shop = Shop()

    async def scenario(counter):
        await click(counter.place)
        await click(counter.place)
        await click(counter.close_kitchen)
        assert [card.status for card in counter.orders] == ["Cancelled", "Cancelled"]
        assert counter.orders[0].receipt.lines[-1] == "🚫 Order cancelled by closing time."
        await click(counter.place)
        assert len(counter.orders) == 2
        assert "the kitchen is closed. Open it first." in text(counter._message)
        await click(counter.close_kitchen)
        await click(counter.place)
        assert counter.orders[0].status == "Paying"

    run(scenario, shop)


def test_a_cancel_after_the_handover_is_answered_with_too_late():
    shop = Shop()

    async def scenario(counter):
        await click(counter.place, 5.9, shop)
        assert counter.orders[0].status == "On its way"
        counter._cancel(counter.orders[0])
        assert "Too late: order 1 is on its way." in text(counter._message)
        await click(counter.cancel)
        assert "There is no order to cancel" in text(counter._message)
        await shop.run(1)  # what cannot be cancelled has to end by itself

    run(scenario, shop)


def test_a_deadline_cancels_the_order_and_the_card_says_so():
    shop = Shop()

    async def scenario(counter):
        counter.deadline.value = 2
        await click(counter.place, 2.1, shop)
        assert counter.orders[0].status == "Cancelled"
        assert counter.orders[0].receipt.lines[-1] == "🚫 Order cancelled by deadline."

    run(scenario, shop)


def step_seconds(shop, card):
    """How long each of an order's steps is to take, at its own pace or the shop's."""
    return [event.seconds for event in shop.recorded if isinstance(event, Step) and event.order is card.order]


@each_way_of_click
def test_a_pace_chosen_at_the_counter_is_the_orders_and_not_the_shops(do):
    shop = Shop(pace=3)

    async def scenario(counter):
        for choice in (0, 0.1, 0, 1.0):
            counter.pace.value = choice
            do(counter.place.click)
            await turn_loop()
        steps = [step_seconds(shop, card) for card in reversed(counter.orders)]
        assert steps == [[1.5], [0.05], [1.5], [0.5]]  # a check of the payment takes 0.5 s
        assert shop.pace == 3

    run(scenario, shop)


@each_way_of_click
def test_the_switch_of_the_counter_is_the_orders_and_not_the_shops(do):
    shop = Shop()

    async def scenario(counter):
        counter.heeds_token.value = False
        do(counter.place.click)
        await turn_loop()
        counter.heeds_token.value = True
        receipt = await shop.place_order(Order("Funghi", "7 Side Alley"), CancellationToken(True))  # from a cell
        assert (receipt.status, receipt.charged) == (OrderState.CANCELLED, 0)
        assert shop.heeds_token
        await shop.run(7)

    run(scenario, shop)


@each_way_of_click
def test_what_is_chosen_after_the_click_does_not_reach_the_order(do):
    shop = Shop()

    def click_and_choose_again(counter):
        counter.place.click()
        counter.heeds_token.value, counter.pace.value, counter.deadline.value = False, 1.0, 2
        counter.address.value, counter.pizza.value = "7 Side Alley", "Funghi"
        shop.heeds_token = False

    async def scenario(counter):
        counter.pace.value = 0.5
        do(lambda: click_and_choose_again(counter))
        await turn_loop()
        (card,) = counter.orders
        assert (card.order.address, card.order.pizza) == ("12 Main St", "Margherita")
        assert step_seconds(shop, card) == [0.25]
        await shop.run(2.5)
        assert (card.status, card.receipt.heeds_token) == ("Cooking", True)
        await click(counter.cancel)
        assert card.status == "Cancelled"

    run(scenario, shop)


def test_orders_side_by_side_each_keep_what_was_chosen_at_their_click():
    shop = Shop()

    async def scenario(counter):
        counter.heeds_token.value, counter.pace.value = False, 0.5
        await click(counter.place)
        counter.heeds_token.value, counter.pace.value = True, 0
        await click(counter.place, 1.6, shop)
        careless, careful = reversed(counter.orders)
        assert (careless.status, careful.status) == ("Cooking", "Paying")
        await click(careless.cancel)
        await click(careful.cancel)
        assert (careless.status, careful.status) == ("Cooking", "Cancelled")
        await shop.run(3)
        assert careless.receipt.cancel_was_ignored
        assert step_seconds(shop, careless) == pytest.approx([0.25] * 5 + [0.15] * 10)

    run(scenario, shop)


def test_the_summary_counts_orders_money_and_oven_time():
    shop = Shop()

    async def scenario(counter):
        await click(counter.place)
        await click(counter.place, 3.5, shop)
        await click(counter.cancel)
        await shop.run(3)
        assert "2 orders · 1 completed · 1 cancelled · charged €19.00 · refunded €9.50 · oven time saved 1.8 s" in text(
            counter._summary
        )

    run(scenario, shop)


def test_the_summary_counts_orders_under_way_from_the_first_on():
    shop = Shop()

    async def scenario(counter):
        await click(counter.place)
        assert "1 order · 1 under way · 0 completed · 0 cancelled · charged €0.00" in text(counter._summary)
        await click(counter.place, 2.6, shop)
        assert "2 orders · 2 under way · 0 completed · 0 cancelled · charged €19.00" in text(counter._summary)

    run(scenario, shop)


def test_closing_the_kitchen_says_how_many_orders_it_reached_and_that_stays():
    shop = Shop()

    async def scenario(counter):
        await click(counter.close_kitchen)
        assert ">The kitchen is closed.<" in text(counter._message)
        await click(counter.close_kitchen)
        await click(counter.place, 6.1, shop)
        for _ in range(3):
            await click(counter.place)
        await click(counter.close_kitchen)
        assert [card.status for card in counter.orders] == ["Cancelled"] * 3 + ["Completed"]
        assert "The kitchen is closed. One cancel has reached 3 orders, through a link." in text(counter._message)
        assert "is cancelled" not in text(counter._message)

    run(scenario, shop)


def test_one_order_is_not_orders():
    shop = Shop()

    async def scenario(counter):
        assert "with 0 orders:" in repr(counter)
        await click(counter.place)
        await click(counter.cancel)
        assert ">1 order · 0 completed · 1 cancelled" in text(counter._summary)
        assert "with 1 order:" in repr(counter)

    run(scenario, shop)


def test_the_timeline_is_shown_on_demand_with_a_table_that_says_the_same():
    shop = Shop()

    async def scenario(counter):
        await click(counter.show_timeline)
        assert "nothing to draw yet" in text(counter._message)
        await click(counter.place, 1.2, shop)
        await click(counter.cancel)
        await click(counter.show_timeline)
        await counter._drawing
        assert 'src="data:image/png;base64,' in text(counter._timeline)
        assert "1 Margherita  payment" in text(counter._timeline)
        await click(counter.show_timeline)
        assert text(counter._timeline) == ""

    run(scenario, shop)


def test_however_many_orders_end_at_once_the_timeline_is_drawn_once_more_and_by_one_thread_at_a_time(monkeypatch):
    shop = Shop()
    drawings = []
    may_end = threading.Event()

    def png(timeline):
        drawings.append(str(timeline))
        assert may_end.wait(60)
        return b""

    monkeypatch.setattr(Timeline, "png", png)

    async def scenario(counter):
        for _ in range(3):
            await click(counter.place)
        await click(counter.show_timeline)
        assert "Look below the orders for the timeline." in text(counter._message)
        await click(counter.close_kitchen)
        may_end.set()
        await counter._drawing
        assert [drawing.count("cancelled") for drawing in drawings] == [0, 3]
        assert counter.show_timeline.description == "Hide timeline"
        await click(counter.show_timeline)
        assert text(counter._timeline) == ""

    run(scenario, shop)


def test_a_timeline_that_cannot_be_drawn_says_why_and_can_be_tried_again(monkeypatch):
    shop = Shop()

    def png(timeline):
        raise ImportError("no matplotlib")

    async def scenario(counter):
        await click(counter.place)
        with monkeypatch.context() as without:
            without.setattr(Timeline, "png", png)
            counter.show_timeline.click()
            await counter._drawing
        assert "The timeline cannot be drawn. ImportError: no matplotlib" in text(counter._message)
        await click(counter.show_timeline)
        await counter._drawing
        assert "image/png" in text(counter._timeline)

    run(scenario, shop)


def test_status_changes_are_announced_politely_to_screen_readers():
    async def scenario(counter):
        await click(counter.place)
        assert text(counter._announcement) == '<div role="status" aria-live="polite">Order 1: Paying</div>'

    run(scenario)


def test_what_is_said_twice_is_announced_twice():
    async def scenario(counter):
        said = []
        counter._announcement.observe(lambda change: said.append(change.new), "value")
        await click(counter.cancel)
        await click(counter.cancel)
        assert len(said) == 2
        assert all("There is no order to cancel." in words for words in said)

    run(scenario)


class Kernel:
    """Stands in for IPython's shell: says which cell is running, and in which run."""

    def __init__(self):
        self.request = {}

    def get_parent(self):
        return self.request

    def run_cell(self, cell, run):
        self.request = {"header": {"msg_id": run}, "metadata": {"cellId": cell}}


@pytest.fixture
def kernel(monkeypatch):
    kernel = Kernel()
    monkeypatch.setattr(cells, "get_ipython", lambda: kernel)
    monkeypatch.setattr(cells, "_made", {})
    return kernel


def test_running_the_cell_again_cancels_the_old_counters_orders_and_silences_its_buttons(kernel):
    async def main():
        shop = Shop()
        kernel.run_cell("a", "run 1")
        old = OrderCounter(shop)
        await click(old.place)
        kernel.run_cell("a", "run 2")
        new = OrderCounter(shop)
        await turn_loop()
        assert old.orders[0].status == "Cancelled"
        old.place.click()
        await click(new.place)
        assert (len(old.orders), len(new.orders)) == (1, 1)
        new.stop()
        await new.finished()

    asyncio.run(main())


def test_a_counter_whose_cell_was_run_again_says_so(kernel):
    async def main():
        kernel.run_cell("a", "run 1")
        old = OrderCounter(Shop())
        await click(old.place)
        kernel.run_cell("a", "run 2")
        OrderCounter(Shop()).stop()
        await old.finished()
        assert "This counter was replaced: its cell was run again." in text(old._message)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("words", "says"),
    [((), "This counter is closed."), (("The servers <of this lesson> have ended.",), "&lt;of this lesson&gt;")],
    ids=["no words", "words"],
)
def test_a_counter_that_is_stopped_says_why_also_when_its_orders_have_ended(kernel, words, says):
    async def main():
        kernel.run_cell("a", "run 1")
        counter = OrderCounter(Shop())
        await click(counter.place)
        counter.stop(*words)
        assert says in text(counter._message)
        await counter.finished()
        assert counter.orders[0].status == "Cancelled"
        assert counter.orders[0].receipt.reason == (words or (says,))[0]
        assert says in text(counter._message)
        kernel.run_cell("a", "run 2")
        OrderCounter(Shop()).stop()
        assert says in text(counter._message)  # that it was replaced afterwards did not stop it

    asyncio.run(main())


def test_a_click_that_was_still_on_its_way_changes_nothing_on_a_stopped_counter():
    async def main():
        shop = Shop()
        counter = OrderCounter(shop)
        for buttons in (["close_kitchen", "place"], ["place"], ["cancel"], ["show_timeline"]):
            counter = OrderCounter(shop)
            clicks = threading.Thread(target=lambda: [getattr(counter, name).click() for name in buttons])  # noqa: B023
            clicks.start()
            clicks.join()
            counter.stop("The course is over.")
            await turn_loop()
            assert counter.orders == []
            assert "The course is over." in text(counter._message)
        assert shop.ledger.entries() == []

    asyncio.run(main())


def test_an_order_that_fails_on_a_stopped_counter_says_so_on_its_card_and_leaves_the_words():
    class Broken(Ledger):
        def undo(self, order_id):
            raise RuntimeError("disk full")

    async def main():
        counter = OrderCounter(Shop(ledger=Broken()))
        await click(counter.place)
        counter.stop("The course is over.")
        await counter.finished()
        assert counter.orders[0].status == "Failed"
        assert "The course is over." in text(counter._message)

    asyncio.run(main())


@pytest.mark.parametrize("words", [None, 3, b"closed"])
def test_words_that_are_no_text_stop_nothing(words):
    async def main():
        counter = OrderCounter(Shop())
        with pytest.raises(TypeError, match="words must be text, not"):
            counter.stop(words)
        await click(counter.place)
        assert counter.orders[0].status == "Paying"
        counter.stop()
        await counter.finished()

    asyncio.run(main())


def test_counters_of_other_cells_and_of_the_same_run_live_side_by_side(kernel):
    async def main():
        kernel.run_cell("a", "run 1")
        first, second = OrderCounter(Shop()), OrderCounter(Shop())
        kernel.run_cell("b", "run 2")
        third = OrderCounter(Shop())
        for counter in (first, second, third):
            await click(counter.place)
            assert counter.orders[0].status == "Paying"
            counter.stop()
            await counter.finished()

    asyncio.run(main())


def test_a_counter_made_where_no_loop_runs_says_where_to_make_it():
    with pytest.raises(RuntimeError, match="make it in a notebook cell, or inside an async function"):
        OrderCounter(Pizzeria())


def test_a_counter_needs_a_pizzeria():
    async def main():
        with pytest.raises(TypeError, match="shop must be a Pizzeria, not 'Luigi'"):
            OrderCounter("Luigi")

    asyncio.run(main())


def test_a_page_without_a_kernel_says_what_to_run_for_a_counter_to_click():
    async def scenario(counter):
        assert repr(counter) == "<OrderCounter with 0 orders: run this cell to use it>"

    run(scenario)


def test_orders_that_others_place_in_the_shop_do_not_disturb_the_counter():
    shop = Shop()

    async def scenario(counter):
        other = asyncio.create_task(shop.place_order(Order("Funghi", "2 Side St")))
        await click(counter.place, 7, shop)
        await other
        assert [card.status for card in counter.orders] == ["Completed"]

    run(scenario, shop)


def test_a_stopped_counter_is_let_go_by_the_shop_when_its_orders_have_ended():
    async def main():
        shop = Shop()
        before = len(shop.events._readers)
        counter = OrderCounter(shop)
        await click(counter.place)
        counter.stop()
        await counter.finished()
        assert counter.orders[0].status == "Cancelled"
        assert len(shop.events._readers) == before

    asyncio.run(main())


def test_each_order_keeps_the_switch_as_it_was_at_its_click():
    shop = Shop()

    async def scenario(counter):
        counter.place.click()
        counter.heeds_token.value = False
        counter.place.click()
        await turn_loop()
        counter.close_kitchen.click()
        await shop.run(7)
        first, second = await counter.finished()
        assert (first.status, first.heeds_token) == (OrderState.CANCELLED, True)
        assert (second.status, second.heeds_token) == (OrderState.COMPLETED, False)

    run(scenario, shop)


def test_closing_the_kitchen_counts_whom_it_reached_and_says_where_nobody_looks():
    shop = Shop()

    async def scenario(counter):
        await click(counter.place)
        counter.orders[0].cancel.click()  # by its own button, a moment before
        counter.heeds_token.value = False
        await click(counter.place)
        counter.close_kitchen.click()
        assert "One cancel has reached 1 order, through a link. But nobody looks at the token of 1 order." in text(
            counter._message
        )
        await shop.run(7)

    run(scenario, shop)


def test_cancel_says_so_when_all_orders_are_cancelled_already():
    shop = Shop(heeds_token=False)

    async def scenario(counter):
        await click(counter.place)
        await click(counter.cancel)
        await click(counter.cancel)
        assert "All orders are cancelled already." in text(counter._message)
        await shop.run(7)

    run(scenario, shop)


def test_an_order_that_the_shop_never_took_has_failed_in_words_and_cannot_be_cancelled():
    shop = Shop()

    async def scenario(counter):
        shop.ledger.close()
        await click(counter.place)
        await counter.finished()
        (card,) = counter.orders
        assert (card.status, card.can_be_cancelled) == ("Failed", False)
        assert "LedgerError: this ledger was closed" in text(counter._message)
        assert "1 failed" in text(counter._summary)
        await click(counter.cancel)
        assert "There is no order to cancel." in text(counter._message)

    run(scenario, shop)


def test_money_that_did_not_go_back_is_not_called_refunded(monkeypatch):
    shop = Shop()

    async def scenario(counter):
        await click(counter.place, 3, shop)
        with monkeypatch.context() as patch:
            patch.setattr(shop.ledger, "undo", lambda _: 1 / 0)
            await click(counter.cancel)
            await counter.finished()
        assert "€9.50 were charged, and have not gone back" in text(counter.orders[0]._receipt)

    run(scenario, shop)


def test_a_meal_that_was_ready_when_the_order_was_cancelled_is_told_as_that():
    shop = Shop()

    async def scenario(counter):
        await click(counter.place)
        while counter.orders[0].status != "Ready":
            await shop.run(0.1)
        await click(counter.cancel)
        await counter.finished()
        assert "€9.50 were charged and refunded. The meal was ready, and nobody gets it." in text(
            counter.orders[0]._receipt
        )

    run(scenario, shop)


def test_a_cancel_that_came_too_late_is_told_as_that_and_not_as_ignored():
    shop = Shop()

    async def scenario(counter):
        await click(counter.place)
        (card,) = counter.orders
        while card.status != "On its way":
            await shop.run(0.1)
        card.source.cancel()
        assert "On its way</b> – the cancel came too late" in text(card._status)
        await shop.run(1)
        assert "Your cancel came too late: the courier had left. €9.50 charged" in text(card._receipt)

    run(scenario, shop)


def test_a_click_on_a_counter_whose_loop_has_ended_says_what_to_do():
    async def main():
        return OrderCounter(Shop())

    counter = asyncio.run(main())
    counter.place.click()
    assert "The event loop of this counter has ended: run its cell again." in text(counter._message)
