import asyncio
import subprocess
import sys

import pytest
from fake_shop import Shop, turn_loop

from cancellation import CancellationToken, CancellationTokenSource
from pizzeria import Order, OrderState, Receipt, timeline, waste
from pizzeria.events import StateChanged, Step


def run_orders(*cancel_after, heeds_token=True, ovens=3):
    """Orders placed together, each cancelled after so many seconds (None: never). The events and the receipts."""

    async def main():
        shop = Shop(heeds_token=heeds_token, ovens=ovens)
        sources = [CancellationTokenSource(after, time_provider=shop.clock) for after in cancel_after]
        tasks = [
            asyncio.create_task(shop.place_order(Order("Margherita", f"{n} Main St"), source.token))
            for n, source in enumerate(sources, 1)
        ]
        await turn_loop()
        await shop.run(13)
        return shop.recorded, [await task for task in tasks]

    return asyncio.run(main())


def test_the_table_says_what_each_service_did_where_the_cancel_came_and_what_it_saved():
    events, _ = run_orders(3.5)
    assert str(timeline(events)).splitlines() == [
        "order         what       from   to  seconds",
        "1 Margherita  payment     0.0  2.5      2.5",
        "1 Margherita  kitchen     2.5  3.5      1.0",
        "1 Margherita  cancel      3.5                requested",
        "1 Margherita  kitchen     3.5  5.3      1.8  saved: never done",
        "1 Margherita  cancelled",
    ]


def test_an_order_that_nobody_stops_shows_its_whole_way_and_the_cancel_that_nobody_heard():
    events, _ = run_orders(1.2, heeds_token=False)
    table = str(timeline(events))
    assert [line.split()[2] for line in table.splitlines()[1:]] == [
        "payment",
        "cancel",
        "kitchen",
        "courier",
        "message",
        "completed",
    ]
    assert "saved" not in table


def test_what_was_saved_is_counted_at_the_shops_pace_also_for_an_order_that_never_began():
    async def main():
        shop = Shop(pace=2)
        task = asyncio.create_task(shop.place_order(Order("Margherita", "1 Main St")))
        await shop.run(13)
        await task
        shop.pace = 0.5
        await shop.place_order(Order("Margherita", "2 Main St"), CancellationToken(True))
        task = asyncio.create_task(shop.place_order(Order("Margherita", "3 Main St")))
        await shop.run(1.5)
        shop.pace = 1
        await shop.run(0.5)
        task.cancel()
        await turn_loop()
        assert sum(getattr(event, "service", "") == "kitchen" for event in shop.recorded) == 10 + 3
        return shop.recorded

    saved = [line.split()[:6] for line in str(timeline(asyncio.run(main()))).splitlines() if "saved" in line]
    assert [(row[0], row[2], row[5]) for row in saved] == [
        ("2", "payment", "1.2"),  # 2.5 s at the pace of 0.5
        ("2", "kitchen", "1.5"),
        ("3", "kitchen", "2.1"),  # three steps were begun, the last ones at the pace of 1
    ]


def test_what_orders_of_other_paces_saved_is_counted_at_each_ones_own():
    async def main():
        shop = Shop()
        fast = asyncio.create_task(shop.place_order(Order("Margherita", "1 Main St"), pace=0.5))
        await shop.run(1)
        await shop.place_order(Order("Margherita", "2 Main St"), CancellationToken(True))
        await shop.place_order(Order("Margherita", "3 Main St"), CancellationToken(True), pace=2)
        fast.cancel()
        await turn_loop()
        return shop.recorded

    told = str(timeline(asyncio.run(main()))).splitlines()
    saved = [line.split()[:6] for line in told if "saved" in line]
    assert [(row[0], row[2], row[5]) for row in saved] == [
        ("1", "payment", "0.2"),  # one check was left
        ("1", "kitchen", "1.5"),
        ("2", "payment", "2.5"),
        ("2", "kitchen", "3.0"),
        ("3", "payment", "5.0"),
        ("3", "kitchen", "6.0"),
    ]


def test_the_pace_of_an_order_that_does_not_tell_it_is_taken_from_the_others():
    order, other = Order("Margherita", "1 Main St"), Order("Margherita", "2 Main St")
    events = [
        StateChanged(order, 0, OrderState.RECEIVED),
        StateChanged(order, 0, OrderState.CANCELLED),
        Step(other, 1, "payment", 1, 5, seconds=1),
    ]
    saved = [line.split()[5] for line in str(timeline(events)).splitlines() if "saved" in line]
    assert saved == ["5.0", "6.0"]


def test_a_shop_at_a_hundred_times_the_pace_has_its_table_in_milliseconds():
    async def main():
        shop = Shop(pace=0.01)
        await shop.place_order(Order("Margherita", "1 Main St"), CancellationToken(True))
        task = asyncio.create_task(shop.place_order(Order("Margherita", "12 Main St")))
        for _ in range(80):
            await turn_loop()
            shop.clock.advance(0.001)
        await task
        return shop.recorded

    table = str(timeline(asyncio.run(main())))
    assert [line.split()[2:] for line in table.splitlines() if "payment" in line] == [
        ["payment", "0.000", "0.025", "0.025", "saved:", "never", "done"],  # no step was seen before it
        ["payment", "0.000", "0.025", "0.025"],
    ]


def test_waiting_for_an_oven_is_told_apart_from_cooking():
    events, _ = run_orders(None, None, ovens=1)
    waits = [line for line in str(timeline(events)).splitlines() if "waiting for an oven" in line]
    assert waits == ["2 Margherita  kitchen     2.5  5.5      3.0  waiting for an oven"]


def test_the_picture_has_a_lane_a_service_and_marks_the_cancel_in_words():
    events, _ = run_orders(3.5, None)
    figure = timeline(events).draw()
    (axes,) = figure.axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == [f"{n} {lane}" for n in (1, 2) for lane in ("payment", "kitchen", "courier", "message")]
    assert [text.get_text() for text in axes.texts] == ["cancel"]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["work", "saved: never done"]
    assert {patch.get_hatch() for patch in axes.patches} >= {"////"}  # readable without colour
    assert timeline(events)._repr_png_().startswith(b"\x89PNG")


def test_no_events_make_an_empty_timeline():
    assert str(timeline([])) == "order  what  from  to  seconds"
    assert timeline([]).png().startswith(b"\x89PNG")


def test_waste_compares_those_who_listen_with_those_who_do_not():
    _, listening = run_orders(1.0, 3.5, None)
    _, careless = run_orders(1.0, 3.5, None, heeds_token=False)
    report = waste([*listening, *careless])
    assert (report.listening.orders, report.listening.ignored) == (2, 0)
    assert (report.listening.oven_seconds_wasted, report.listening.oven_seconds_saved) == (1.2, 4.8)
    assert (report.listening.cents_kept, report.listening.messages_sent) == (0, 0)
    assert (report.not_listening.orders, report.not_listening.ignored) == (2, 2)
    assert (report.not_listening.oven_seconds_wasted, report.not_listening.oven_seconds_saved) == (6.0, 0.0)
    assert (report.not_listening.cents_kept, report.not_listening.messages_sent) == (1900, 2)


def test_waste_prints_as_a_table_and_draws_without_relying_on_colour():
    _, listening = run_orders(3.5)
    report = waste(listening)
    assert "oven time saved                      1.8 s           0.0 s" in str(report)
    (axes,) = report.draw().axes
    assert {patch.get_hatch() for patch in axes.patches} == {None, "////"}
    assert report._repr_png_().startswith(b"\x89PNG")


def test_matplotlib_is_loaded_only_when_something_is_drawn():
    code = "import sys, pizzeria; pizzeria.timeline([]); print('matplotlib' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout == "False\n"


def test_what_is_no_event_or_no_receipt_is_refused():
    order = Order("Margherita", "12 Main St")
    with pytest.raises(TypeError, match="events must be those that a pizzeria's `events` tell, not Receipt"):
        timeline([Receipt(order)])
    with pytest.raises(TypeError, match="orders must be the receipts that `place_order` returns, not Order"):
        waste([order])
