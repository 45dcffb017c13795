"""Thousands of orders at once, under one token, and a report over them."""

import asyncio
import threading

import pytest
from fake_shop import Shop

from cancellation import CancellationToken, CancellationTokenSource, OperationCanceledError
from pizzeria import Ledger, Order, OrderState, Pizzeria


def test_ten_thousand_orders_at_once_at_pace_0_all_complete_and_pay():
    async def main():
        shop = Pizzeria(pace=0, ovens=100)
        source = CancellationTokenSource()
        orders = [Order("Margherita", f"{n} Main St") for n in range(10_000)]
        receipts = await asyncio.gather(*(shop.place_order(order, source.token) for order in orders))
        assert all(receipt.status is OrderState.COMPLETED for receipt in receipts)
        assert shop.ledger.kept() == 10_000 * 950
        assert shop.ovens_in_use == 0

    asyncio.run(main())


def test_of_ten_thousand_running_orders_one_cancel_stops_one_and_the_last_stops_all():
    async def main():
        shop = Shop(ovens=10)
        kitchen = CancellationTokenSource()
        sources = [CancellationTokenSource.create_linked_token_source(kitchen.token) for _ in range(10_000)]
        tasks = [
            asyncio.create_task(shop.place_order(Order("Margherita", f"{n} Main St"), source.token))
            for n, source in enumerate(sources)
        ]
        await shop.run(3)  # some cook, the others wait in line
        sources[1234].cancel()
        assert (await tasks[1234]).status is OrderState.CANCELLED
        await shop.run(0)
        assert sum(task.done() for task in tasks) == 1
        kitchen.cancel()
        receipts = await asyncio.gather(*tasks)
        assert all(receipt.status is OrderState.CANCELLED for receipt in receipts)
        assert shop.ledger.kept() == 0
        assert shop.ovens_in_use == 0

    asyncio.run(main())


def sold(orders):
    ledger = Ledger()
    for n in range(orders):
        ledger.authorize(f"{n:05}", 100)
        ledger.capture(f"{n:05}")
        if n % 2:
            ledger.refund(f"{n:05}")
        else:
            ledger.settle(f"{n:05}")
    return ledger


def test_the_report_adds_up_order_by_order():
    with sold(4) as ledger:
        assert ledger.report() == [("00000", 100, 100), ("00001", 0, 100), ("00002", 100, 200), ("00003", 0, 200)]


@pytest.mark.parametrize("cancel_from", ["another thread", "a deadline"])
def test_a_long_report_is_stopped_in_the_middle_and_the_ledger_goes_on(cancel_from):
    # 30,000 orders would take minutes: what ends this test in time is the interrupt.
    with sold(30_000) as ledger:
        source = CancellationTokenSource()
        if cancel_from == "a deadline":
            source.cancel_after(0.5)
        else:
            threading.Timer(0.5, source.cancel, ["enough"]).start()
        with pytest.raises(OperationCanceledError) as raised:
            ledger.report(source.token)
        assert raised.value.token == source.token
        assert ledger.kept() == 15_000 * 100
        ledger.authorize("after", 100)
        assert ledger.undo("after").step == "void"


def test_a_report_whose_token_is_cancelled_before_never_begins():
    with sold(1) as ledger, pytest.raises(OperationCanceledError):
        ledger.report(CancellationToken(canceled=True))
