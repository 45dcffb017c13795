"""Clicks as they arrive at a kernel: on its main shell, or on a subshell with another thread and another loop."""

import pytest
from front_end import FrontEnd

MAKE_COUNTER = """
import asyncio, threading, time
from pizzeria import MENU, OrderCounter, Pizzeria
shop = Pizzeria(pace=0.4)
threads = []
shop.events.subscribe(lambda event: threads.append(threading.current_thread().name))
counter = OrderCounter(shop)
"""


@pytest.fixture
def front_end():
    front_end = FrontEnd()
    front_end.run(MAKE_COUNTER)
    yield front_end
    front_end.close()


@pytest.fixture(params=["main shell", "subshell"])
def route(request, front_end):
    if request.param == "main shell":
        return None
    subshell = front_end.create_subshell()
    if subshell is None:
        pytest.skip("this ipykernel has no subshells (they came with 7.0), so no click can arrive on one")
    return subshell


def buttons(front_end):
    names = ("place", "cancel", "close_kitchen")
    return dict(zip(names, front_end.value(f"[getattr(counter, n).model_id for n in {names}]"), strict=True))


def shows(front_end, *statuses):
    """The cards' statuses, oldest order first."""
    return lambda: (
        [next((word for word in statuses if word in text), text) for text in front_end.texts("pizza-order-status")]
        == list(statuses)
    )


@pytest.mark.parametrize(
    "meanwhile",
    [
        pytest.param(None, id="while no cell runs"),
        pytest.param("time.sleep(0.5)", id="while a cell sleeps"),
        pytest.param("await asyncio.sleep(0.5)", id="while a cell awaits"),
    ],
)
def test_place_and_cancel_clicked_in_the_page_stop_the_order_wherever_the_clicks_arrive(front_end, route, meanwhile):
    front_end.run("shop.pace = 2")  # the payment takes 5 s, far longer than the two cells
    button = buttons(front_end)
    running = front_end.start(meanwhile) if meanwhile else None
    front_end.click(button["place"], route)
    if running:
        front_end.wait_for_end(running)
    front_end.wait_until(shows(front_end, "Paying"))
    running = front_end.start(meanwhile) if meanwhile else None
    front_end.click(button["cancel"], route)
    if running:
        front_end.wait_for_end(running)
    front_end.wait_until(shows(front_end, "Cancelled"))
    front_end.wait_until(lambda: front_end.texts("pizza-order-receipt") != [""])
    assert "Nothing was charged. The kitchen never started" in front_end.texts("pizza-order-receipt")[0]
    assert front_end.value("set(threads)") == {"MainThread"}
    assert front_end.value("shop.ledger.kept(), shop.ovens_in_use") == (0, 0)


def test_an_order_placed_by_a_click_completes(front_end, route):
    front_end.click(buttons(front_end)["place"], route)
    front_end.wait_until(shows(front_end, "Completed"))
    assert front_end.value("set(threads)") == {"MainThread"}


def test_of_two_orders_the_card_that_is_clicked_is_cancelled(front_end, route):
    place = buttons(front_end)["place"]
    for _ in range(2):
        front_end.click(place, route)
    front_end.wait_until(lambda: len(front_end.ids("pizza-order-cancel")) == 2)
    front_end.click(front_end.ids("pizza-order-cancel")[0], route)
    front_end.wait_until(shows(front_end, "Cancelled", "Completed"))


def test_clicks_go_on_arriving_after_many_of_them(front_end, route):
    button = buttons(front_end)
    for number in range(1, 6):
        front_end.click(button["place"], route)
        front_end.wait_until(lambda number=number: len(front_end.texts()) == number)
        front_end.click(button["cancel"], route)
        front_end.wait_until(shows(front_end, *["Cancelled"] * number))


def test_what_is_ticked_and_typed_before_the_click_counts(front_end, route):
    front_end.set(front_end.value("counter.heeds_token.model_id"), route, value=False)
    front_end.set(front_end.value("counter.address.model_id"), route, value="7 Side <b>St</b>")
    button = buttons(front_end)
    front_end.click(button["place"], route)
    front_end.wait_until(shows(front_end, "Paying"))
    front_end.click(button["cancel"], route)
    front_end.wait_until(shows(front_end, "Completed"))
    assert "You cancelled, and yet" in front_end.texts("pizza-order-receipt")[0]
    assert "7 Side &lt;b&gt;St&lt;/b&gt;" in front_end.texts("pizza-order-title")[0]


def test_whatever_is_typed_and_chosen_right_before_each_click_counts(front_end, route):
    address, pizza, heeds, place = front_end.value(
        "[counter.address.model_id, counter.pizza.model_id, counter.heeds_token.model_id, counter.place.model_id]"
    )
    for number in range(1, 11):
        front_end.set(address, route, value=f"{number} Main St")
        front_end.set(pizza, route, index=number % 5)
        front_end.set(heeds, route, value=number % 2 == 0)
        front_end.click(place, route)
        front_end.wait_until(lambda number=number: len(front_end.texts()) == number)
    orders = front_end.value(
        "[(c.order.address, list(MENU).index(c.order.pizza), c.receipt.heeds_token) for c in reversed(counter.orders)]"
    )
    assert orders == [(f"{number} Main St", number % 5, number % 2 == 0) for number in range(1, 11)]


def test_closing_the_kitchen_cancels_every_order(front_end, route):
    button = buttons(front_end)
    front_end.click(button["place"], route)
    front_end.click(button["place"], route)
    front_end.wait_until(shows(front_end, "Paying", "Paying"))
    front_end.click(button["close_kitchen"], route)
    front_end.wait_until(shows(front_end, "Cancelled", "Cancelled"))


def test_running_the_cell_again_leaves_one_counter_that_answers(front_end, route):
    old = buttons(front_end)["place"]
    front_end.click(old, route)
    front_end.wait_until(shows(front_end, "Paying"))
    front_end.run(MAKE_COUNTER)
    front_end.wait_until(shows(front_end, "Cancelled"))
    front_end.click(old, route)
    front_end.click(buttons(front_end)["place"], route)
    front_end.wait_until(shows(front_end, "Cancelled", "Paying"))


def test_an_error_in_a_service_appears_in_the_counter(front_end, route):
    front_end.run("shop.ledger.capture = lambda order_id: 1 / 0")
    front_end.click(buttons(front_end)["place"], route)
    front_end.wait_until(shows(front_end, "Failed"))
    front_end.wait_until(lambda: "ZeroDivisionError" in front_end.texts("pizza-counter-message")[0])
