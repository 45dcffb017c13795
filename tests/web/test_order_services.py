import asyncio
import json
import random
import re
import signal
import subprocess
import sys
from contextlib import asynccontextmanager, nullcontext
from urllib.request import urlopen

import pytest
from fastapi import FastAPI
from hanging_up import Line, ask, nothing_left, until

from cancellation import CancellationToken, CancellationTokenSource
from pizzeria import Ledger, LedgerError, Order, OrderCounter, Pizzeria
from pizzeria.events import Money, StateChanged, Step
from pizzeria.web import OnlinePizzeria, ServiceError, WebPizzeria, order_service, serving
from pizzeria.web.far_away import BankFarAway

MARGHERITA = {"pizza": "Margherita", "address": "12 Main St", "id": "one"}


@asynccontextmanager
async def open_pizzeria(pace=0.05, ovens=3):
    """The three services, and what payment and kitchen saw."""
    shop = WebPizzeria(pace=pace, ovens=ovens)
    async with nothing_left(), serving(order_service(shop)) as url:
        yield shop, url
    assert all(entry.step in ("settle", "refund", "void") for entry in last_entries(shop.ledger))


def last_entries(ledger):
    return {entry.order_id: entry for entry in ledger.entries()}.values()


def run(test):
    asyncio.run(asyncio.wait_for(test(), 60))


async def seen(stream, number):
    """Wait for so many events of a service."""
    events = []
    end = stream.subscribe(events.append)
    await until(lambda: sum(isinstance(event, Step) for event in events) >= number)
    end()


def test_an_order_over_http_passes_through_all_three_services():
    async def test():
        async with open_pizzeria() as (shop, url):
            paid, cooked = [], []
            shop.payment_log.subscribe(paid.append)
            shop.kitchen_log.subscribe(cooked.append)
            status, headers, body = await ask(url, "POST", "/orders", MARGHERITA)
            assert (status, headers["location"]) == (201, "/orders/one")
            assert json.loads(body) | {"id": "one", "status": "completed", "charged": 950} == json.loads(body)
            assert sum(isinstance(event, Step) for event in paid) == 5
            assert sum(isinstance(event, Step) for event in cooked) == 10
            status, _, body = await ask(url, "GET", "/orders/one")
            assert [entry["step"] for entry in json.loads(body)["payments"]] == ["authorize", "capture", "settle"]

    run(test)


def test_a_customer_who_hangs_up_while_paying_is_not_charged():
    async def test():
        async with open_pizzeria(pace=1) as (shop, url):
            line = await Line.open(url)
            line.request("POST", "/orders", MARGHERITA)
            await seen(shop.payment_log, 1)
            await line.hang_up()
            await until(lambda: len(shop.ledger.entries("one")) == 2)
            assert [entry.step for entry in shop.ledger.entries("one")] == ["authorize", "void"]

    run(test)


def test_a_customer_who_hangs_up_while_they_cook_is_refunded_and_the_oven_is_free():
    async def test():
        async with open_pizzeria(ovens=1) as (shop, url):
            cooking = asyncio.create_task(seen(shop.kitchen_log, 1))
            line = await Line.open(url)
            line.request("POST", "/orders", MARGHERITA)
            await cooking
            shop.pace = 60  # whoever does not hear the cancel cooks for hours
            await line.hang_up()
            await until(lambda: len(shop.ledger.entries("one")) == 3)
            assert shop.ledger.entries("one")[-1].step == "refund"
            shop.pace = 0.01
            assert (
                json.loads((await ask(url, "POST", "/orders", MARGHERITA | {"id": "two"}))[2])["status"] == "completed"
            )

    run(test)


def test_of_two_hundred_customers_those_who_hang_up_pay_nothing_and_nothing_is_left_behind():
    async def test():
        chance = random.Random(7)

        async def customer(url, number):
            line = await Line.open(url)
            line.request("POST", "/orders", MARGHERITA | {"id": f"order-{number}"})
            if number % 2:
                await asyncio.sleep(chance.uniform(0, 1.5))
                await line.hang_up()
                return None
            status, headers = await line.head()
            assert status == 201
            details = json.loads(await line.body(headers))
            await line.hang_up()
            return details["status"]

        async with open_pizzeria(pace=0.2, ovens=50) as (shop, url):
            statuses = await asyncio.gather(*(customer(url, number) for number in range(200)))
            assert statuses[::2] == ["completed"] * 100
            await until(lambda: all(e.step in ("settle", "refund", "void") for e in last_entries(shop.ledger)), 30)
            kept = {entry.order_id for entry in last_entries(shop.ledger) if entry.step == "settle"}
            assert {f"order-{number}" for number in range(0, 200, 2)} <= kept
            assert shop.ledger.kept() == 950 * len(kept)
            assert len(kept) < 200  # some hang-ups came in time

    run(test)


def test_an_order_can_be_cancelled_from_elsewhere_and_again():
    async def test():
        async with open_pizzeria(pace=1) as (shop, url):
            line = await Line.open(url)
            line.request("POST", "/orders", MARGHERITA)
            await seen(shop.payment_log, 1)
            for _ in range(2):
                status, _, body = await ask(url, "DELETE", "/orders/one")
                assert (status, json.loads(body)["status"]) == (200, "cancelled")
            status, _, body = await line.answer()
            assert json.loads(body)["status"] == "cancelled"
            await line.hang_up()
            assert [entry.step for entry in shop.ledger.entries("one")] == ["authorize", "void"]

    run(test)


def test_after_the_handover_a_cancel_is_too_late_and_of_an_unknown_order_it_says_so():
    async def test():
        async with open_pizzeria(pace=0) as (_, url):
            await ask(url, "POST", "/orders", MARGHERITA)
            status, headers, body = await ask(url, "DELETE", "/orders/one")
            assert (status, headers["content-type"]) == (409, "application/problem+json")
            assert "too late: order one is completed" in body
            assert (await ask(url, "DELETE", "/orders/two"))[0] == 404

    run(test)


def test_the_log_is_told_live_and_goes_on_behind_the_event_that_was_read_last():
    async def test():
        async with open_pizzeria() as (_, url):
            line = await Line.open(url)
            line.request("POST", "/orders", MARGHERITA)
            await line.head()
            status, headers, log = await ask(url, "GET", "/orders/one/events")  # ends with the order
            assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
            assert log.index("Order received") < log.index("Processing payment") < log.index("completed successfully")
            number = log.count("id: ")
            rest = (await ask(url, "GET", "/orders/one/events", Last_Event_ID=str(number - 1)))[2]
            assert rest == log[log.index(f"id: {number}\n") :]
            assert (await ask(url, "GET", "/orders/one/events", Last_Event_ID="last"))[0] == 400
            await line.hang_up()

    run(test)


def test_who_only_follows_an_order_does_not_cancel_it_by_hanging_up():
    async def test():
        async with open_pizzeria(pace=0.2) as (_, url):
            line = await Line.open(url)
            line.request("POST", "/orders", MARGHERITA)
            _, headers = await line.head()
            reader = await Line.open(url)
            reader.request("GET", "/orders/one/events")
            await reader.head()
            await reader.chunk()
            await reader.hang_up()
            assert json.loads(await line.body(headers))["status"] == "completed"
            await line.hang_up()

    run(test)


def test_a_deadline_is_passed_on_as_the_time_that_is_left():
    async def test():
        async with open_pizzeria(pace=1) as (shop, url):
            said = []
            shop.events.subscribe(lambda event: said.append(event.line) if event.line else None)
            body = (await ask(url, "POST", "/orders", MARGHERITA, Time_Left="0.2"))[2]
            assert json.loads(body)["status"] == "cancelled"
            assert said[-1] == "🚫 Order cancelled by deadline."
            assert shop.ledger.kept() == 0

    run(test)


def test_an_order_that_was_refunded_by_hand_is_not_handed_over():
    async def test():
        async with open_pizzeria() as (shop, url):
            shop.events.subscribe(
                lambda event: shop.ledger.refund("one") if getattr(event, "state", None) == "ready" else None
            )
            details = json.loads((await ask(url, "POST", "/orders", MARGHERITA))[2])
            assert details["status"] == "failed"
            assert "cannot settle order one" in details["reason"]
            assert shop.ledger.kept() == 0

    run(test)


def test_a_payment_service_that_starts_anew_instead_of_settling_lets_no_pizza_go(monkeypatch, tmp_path):
    """Its ledger, opened again, gives the money back."""
    path = tmp_path / "money.db"
    ledgers = [Ledger(path)]

    async def test():
        async with WebPizzeria(ledgers[0], pace=0) as shop:

            def start_anew(ledger, order_id):
                ledger.close()
                ledgers.append(Ledger(path))
                for method in ("undo", "entries", "knows"):  # asked from now on
                    monkeypatch.setattr(ledger, method, getattr(ledgers[1], method))
                raise OSError("the service starts anew")

            monkeypatch.setattr(Ledger, "settle", start_anew)
            order = Order("Margherita", "12 Main St")
            states, money = states_of(shop, order.id), []
            shop.events.subscribe(lambda event: money.append(event.step) if isinstance(event, Money) else None)
            with pytest.raises(ServiceError, match="the service starts anew"):
                await shop.place_order(order)
            assert states[-1] == "failed"
            assert "handed over" not in states
            assert money == [entry.step for entry in ledgers[1].entries(order.id)] == ["authorize", "capture", "refund"]

    run(test)
    ledgers[1].close()


@pytest.mark.parametrize("asks_when_the_other", ["asks, too", "has reserved the money", "has been paid"])
def test_a_pizzeria_whose_payment_is_refused_leaves_the_money_of_the_other_one_alone(monkeypatch, asks_when_the_other):
    """Two have one ledger, and get the same order. Neither has heard of it when it looks."""

    async def nobody_knows(*_):
        return False

    async def test():
        monkeypatch.setattr(BankFarAway, "knows", nobody_knows)
        step = {"has reserved the money": "authorize", "has been paid": "capture"}.get(asks_when_the_other)
        order, ledger = Order("Margherita", "12 Main St"), Ledger()
        async with WebPizzeria(ledger, pace=0.05) as one, WebPizzeria(ledger, pace=0.05) as other:
            first = asyncio.create_task(one.place_order(order))
            await until(lambda: step is None or step in [entry.step for entry in ledger.entries(order.id)])
            second = asyncio.create_task(other.place_order(order))
            served, refused = await asyncio.gather(first, second, return_exceptions=True)
            if step is None and isinstance(served, Exception):
                served, refused = refused, served
            assert (served.status, served.kept) == ("completed", 950)
            assert isinstance(refused, LedgerError)
            assert [entry.step for entry in ledger.entries(order.id)] == ["authorize", "capture", "settle"]

    run(test)


def test_an_order_that_was_undone_from_elsewhere_tells_the_refund_that_the_ledger_has():
    async def test():
        async with open_pizzeria() as (shop, url):
            counter = OrderCounter(shop)
            shop.events.subscribe(
                lambda event: shop.ledger.undo(event.order.id) if getattr(event, "state", None) == "cooking" else None
            )
            counter.place.click()
            await counter.finished()
            (card,) = counter.orders
            assert (card.receipt.charged, card.receipt.refunded) == (950, 950)
            assert "€9.50 were charged and refunded." in card._receipt.value
            details = json.loads((await ask(url, "POST", "/orders", MARGHERITA))[2])
            assert (details["status"], details["charged"], details["refunded"]) == ("failed", 950, 950)

    run(test)


def test_a_service_that_is_gone_makes_the_order_fail_in_words():
    async def test():
        async with open_pizzeria() as (shop, url):
            shop._kitchen_service.connect(shop._kitchen_service._client, "http://127.0.0.1:9")
            details = json.loads((await ask(url, "POST", "/orders", MARGHERITA))[2])
            assert details["status"] == "failed"
            assert "the kitchen service at http://127.0.0.1:9 does not answer" in details["reason"]
            assert [entry.step for entry in shop.ledger.entries("one")] == ["authorize", "capture", "refund"]

    run(test)


def test_closing_time_cancels_what_is_under_way():
    async def test():
        shop = WebPizzeria()
        async with nothing_left():
            async with serving(order_service(shop)) as url:
                line = await Line.open(url)
                line.request("POST", "/orders", MARGHERITA)
                await seen(shop.payment_log, 1)
            await line.hang_up()
        assert [entry.step for entry in shop.ledger.entries("one")] == ["authorize", "void"]

    run(test)


def test_an_order_is_placed_once():
    async def test():
        async with open_pizzeria(pace=0) as (_, url):
            assert (await ask(url, "POST", "/orders", MARGHERITA))[0] == 201
            status, _, body = await ask(url, "POST", "/orders", MARGHERITA)
            assert status == 409
            assert "order one has been placed before" in body

    run(test)


def test_an_order_that_was_undone_before_it_came_is_refused_in_the_same_words_as_in_process():
    async def test():
        order, ledger = Order("Margherita", "12 Main St"), Ledger()
        ledger.undo(order.id)
        async with WebPizzeria(ledger, pace=0) as shop:
            for door in (Pizzeria(ledger), shop):
                with pytest.raises(ValueError, match=f"order {order.id} has been placed before; make a new Order"):
                    await door.place_order(order)
            assert await shop.booked(order.id, CancellationToken.none) == []

    run(test)


def test_the_services_run_only_inside_their_block():
    async def test():
        shop = WebPizzeria(Ledger())
        with pytest.raises(RuntimeError, match="inside `async with` the pizzeria"):
            await shop.place_order(Order("Funghi", "7 Side Alley"))
        async with shop:
            with pytest.raises(RuntimeError, match="are running already"):
                await shop.__aenter__()

    run(test)


def test_a_counter_works_over_http_and_its_cancel_hangs_up():
    async def test():
        async with open_pizzeria(pace=0.1) as (shop, url):
            counter = OrderCounter(OnlinePizzeria(url))
            counter.place.click()
            await counter.finished()
            paying = asyncio.create_task(seen(shop.payment_log, 1))
            counter.place.click()
            await paying
            counter.cancel.click()
            first, second = await counter.finished()
            assert (first.status, first.charged, first.message_sent) == ("completed", 950, True)
            assert (second.status, second.kept, second.kitchen_started) == ("cancelled", 0, False)
            assert second.lines[-1] == "🚫 Order cancelled by user."
            assert shop.ledger.kept() == 950

    run(test)


def test_what_an_order_chooses_reaches_payment_and_kitchen_over_http_and_stays_with_it():
    async def test():
        async with nothing_left(), WebPizzeria(pace=60) as shop:  # hours
            steps = []
            for log in (shop.payment_log, shop.kitchen_log):
                log.subscribe(lambda event: steps.append(event) if isinstance(event, Step) else None)
            with CancellationTokenSource() as source:
                slow = asyncio.create_task(shop.place_order(Order("Funghi", "7 Side Alley", "slow"), source.token))
                await seen(shop.payment_log, 1)
                fast = Order("Funghi", "7 Side Alley", "fast")
                receipt = await shop.place_order(fast, CancellationToken(True), heeds_token=False, pace=0.02)
                assert (receipt.status, receipt.heeds_token) == ("completed", False)
                assert [e.seconds for e in steps if e.order == fast] == pytest.approx([0.01] * 5 + [0.006] * 10)
                source.cancel()
                assert (await slow).status == "cancelled"
                assert [event.seconds for event in steps if event.order != fast] == [30]

    run(test)


def test_what_is_no_pace_is_refused_by_the_services():
    async def test():
        async with nothing_left(), WebPizzeria() as shop:
            for service, path in ((shop._payment_service, "/payments"), (shop._kitchen_service, "/meals")):
                for pace in ("-1", "inf", "fast"):
                    status, _, body = await ask(service._url, "POST", f"{path}?pace={pace}", MARGHERITA)
                    assert (status, "query.pace: " in body) == (422, True)
            assert shop.ledger.entries() == []

    run(test)


def test_an_order_service_elsewhere_keeps_its_own_pace_and_its_customers_cancel_can_be_left_unheeded():
    async def test():
        async with open_pizzeria(pace=0.05) as (shop, url):
            counter = OrderCounter(OnlinePizzeria(url))
            counter.heeds_token.value, counter.pace.value = False, 1.0
            paying = asyncio.create_task(seen(shop.payment_log, 1))
            counter.place.click()
            await paying
            counter.cancel.click()
            (receipt,) = await counter.finished()
            assert (receipt.status, receipt.cancel_was_ignored) == ("completed", True)
            assert {event.seconds for event in counter.orders[0].events if isinstance(event, Step)} == {0.025, 0.015}

    run(test)


def test_a_customer_hears_of_a_failure_in_words():
    async def test():
        async with open_pizzeria() as (shop, url):
            customer = OnlinePizzeria(url)
            shop._kitchen_service.connect(shop._kitchen_service._client, "http://127.0.0.1:9")
            with pytest.raises(ServiceError, match="the kitchen service"):
                await customer.place_order(Order("Funghi", "7 Side Alley"))
            order = Order("Funghi", "7 Side Alley", "one")
            await ask(url, "POST", "/orders", MARGHERITA)
            with pytest.raises(ServiceError, match="has been placed before"):
                await customer.place_order(order)
        with pytest.raises(ServiceError, match="does not answer"):
            await customer.place_order(Order("Funghi", "7 Side Alley"))

    run(test)


def test_a_token_cancelled_beforehand_orders_nothing():
    async def test():
        async with open_pizzeria() as (shop, url):
            source = CancellationTokenSource()
            source.cancel()
            receipt = await OnlinePizzeria(url).place_order(Order("Funghi", "7 Side Alley"), source.token)
            assert (receipt.status, receipt.charged) == ("cancelled", 0)
            assert shop.ledger.entries() == []

    run(test)


def states_of(shop, order_id):
    """What is told of an order from here on."""
    states = []
    shop.events.subscribe(
        lambda event: (
            states.append(event.state) if isinstance(event, StateChanged) and event.order.id == order_id else None
        )
    )
    return states


@pytest.mark.parametrize("how", ["in peace", "after a cancel", "by an error"])
def test_leaving_the_services_block_undoes_what_is_under_way(how):
    async def test():
        order, source, shop = Order("Funghi", "7 Side Alley"), CancellationTokenSource(), WebPizzeria()
        states = states_of(shop, order.id)
        async with nothing_left():
            with pytest.raises(ZeroDivisionError) if how == "by an error" else nullcontext():
                async with shop:
                    shop.pace = 0.05
                    placed = asyncio.create_task(shop.place_order(order, source.token))
                    await until(lambda: "cooking" in states)
                    shop.pace = 60
                    if how == "after a cancel":
                        source.cancel()
                    if how == "by an error":
                        raise ZeroDivisionError
            receipt = await placed
        closing = "user" if how == "after a cancel" else "closing time"
        assert receipt.lines[-1] == f"🚫 Order cancelled by {closing}."
        assert (receipt.charged, receipt.refunded) == (1050, 1050)
        assert shop.ledger.kept() == 0
        with pytest.raises(RuntimeError, match="order inside `async with` the pizzeria"):
            await shop.place_order(Order("Funghi", "7 Side Alley"))

    run(test)


def test_a_cancel_in_the_instant_of_the_capture_shows_the_charge_that_is_refunded():
    async def test():
        async with open_pizzeria() as (shop, url):
            customer, source = OnlinePizzeria(url), CancellationTokenSource()
            shop.payment_log.subscribe(
                lambda event: source.cancel() if isinstance(event, Money) and event.step == "capture" else None
            )
            direct = await shop.place_order(Order("Funghi", "7 Side Alley"), source.token)
            assert (direct.status, direct.charged, direct.refunded) == ("cancelled", 1050, 1050)
            source = CancellationTokenSource()
            online = await customer.place_order(Order("Funghi", "7 Side Alley", "one"), source.token)
            assert (online.status, online.charged, online.refunded) == ("cancelled", 1050, 1050)
            details = json.loads((await ask(url, "GET", "/orders/one"))[2])
            assert (details["charged"], details["refunded"]) == (1050, 1050)

    run(test)


def test_a_task_that_is_cancelled_twice_still_tells_how_its_order_ended():
    async def test():
        async with WebPizzeria(pace=0.05) as shop:
            for turns in (0, 1, 2, 4, 8, 16, 32):
                order = Order("Funghi", "7 Side Alley")
                states = states_of(shop, order.id)
                placed = asyncio.create_task(shop.place_order(order))
                await until(lambda states=states: "cooking" in states)
                placed.cancel()
                for _ in range(turns):
                    await asyncio.sleep(0)
                placed.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await placed
                assert states[-1] == "cancelled"
                assert shop.ledger.entries(order.id)[-1].step == "refund"

    run(test)


def test_a_timeout_that_comes_while_an_order_is_undone_comes_out_as_a_timeout(monkeypatch):
    async def test():
        async with WebPizzeria(pace=0.05) as shop:
            order, source, limit = Order("Funghi", "7 Side Alley"), CancellationTokenSource(), asyncio.timeout(None)
            states = states_of(shop, order.id)
            undo = Ledger.undo

            def time_out_and_undo(ledger, order_id):
                limit.reschedule(0)
                return undo(ledger, order_id)

            async def place():
                async with limit:
                    await shop.place_order(order, source.token)

            monkeypatch.setattr(Ledger, "undo", time_out_and_undo)
            placed = asyncio.create_task(place())
            await until(lambda: "cooking" in states)
            source.cancel()
            with pytest.raises(TimeoutError):
                await placed
            assert states[-1] == "cancelled"
            assert shop.ledger.kept() == 0

    run(test)


def test_no_time_at_all_cancels_an_order_by_deadline():
    async def test():
        async with open_pizzeria() as (shop, url):
            details = json.loads((await ask(url, "POST", "/orders", MARGHERITA, Time_Left="0"))[2])
            assert details["status"] == "cancelled"
            assert details["lines"][-1] == "🚫 Order cancelled by deadline."
            assert shop.ledger.kept() == 0

    run(test)


def test_an_order_from_another_event_loop_is_refused_in_words():
    async def test():
        async with WebPizzeria(pace=0.05) as shop:
            order = Order("Funghi", "7 Side Alley")
            with pytest.raises(RuntimeError, match="at work on another event loop: make a WebPizzeria for each"):
                await asyncio.to_thread(lambda: asyncio.run(shop.place_order(order)))
            assert (await shop.place_order(order)).status == "completed"

    run(test)


def test_a_cancel_hangs_up_also_on_an_order_service_that_is_silent(monkeypatch):
    monkeypatch.setattr("pizzeria.web.customer.PATIENCE", 0.1)

    async def test():
        called, hung_up = asyncio.Event(), asyncio.Event()

        async def silent(reader, writer):
            called.set()
            await reader.read()
            hung_up.set()
            writer.close()

        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        async with nothing_left(), server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            source, order = CancellationTokenSource(), Order("Funghi", "7 Side Alley")
            placed = asyncio.create_task(OnlinePizzeria(url).place_order(order, source.token))
            await called.wait()
            source.cancel()
            with pytest.raises(ServiceError, match=rf"not told within 0.1 s of the cancel how order {order.id} ended"):
                await asyncio.wait_for(placed, 10)
            await asyncio.wait_for(hung_up.wait(), 10)

    run(test)


@pytest.mark.parametrize("url", ["", "127.0.0.1:8000", "http://[::", "http://127.0.0.1:99999", "ftp://127.0.0.1"])
def test_what_is_no_address_of_a_web_server_is_refused_by_its_value(url):
    with pytest.raises(ValueError, match=rf"url must be like http://127.0.0.1:8000, not {re.escape(repr(url))}"):
        OnlinePizzeria(url)


def test_a_slash_at_the_end_of_the_url_does_no_harm():
    async def test():
        async with open_pizzeria(pace=0) as (_, url):
            receipt = await OnlinePizzeria(f"{url}/").place_order(Order("Funghi", "7 Side Alley"))
            assert receipt.status == "completed"

    run(test)


def test_a_server_that_is_no_order_service_is_named_as_what_it_is():
    async def test():
        async with nothing_left(), serving(FastAPI()) as url:
            with pytest.raises(ServiceError, match=f"at {url} is no order service: it answers 404"):
                await OnlinePizzeria(url).place_order(Order("Funghi", "7 Side Alley"))

    run(test)


def test_uvicorn_serves_the_app_by_its_name(tmp_path):
    program = [sys.executable, "-m", "uvicorn", "pizzeria.web:app", "--host", "127.0.0.1", "--port", "0"]
    server = subprocess.Popen(program, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    try:
        url = next(line.split(" on ")[1].split()[0] for line in server.stderr if "running on" in line)
        with urlopen(f"{url}/openapi.json", timeout=20) as answer:
            assert "/orders/{id}/events" in json.load(answer)["paths"]
    finally:
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=20)
