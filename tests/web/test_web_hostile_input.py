import asyncio
import json
from contextlib import asynccontextmanager

import pytest
from hanging_up import Line, ask, nothing_left

from pizzeria.web import WebPizzeria, order_service, serving

GOOD = {"pizza": "Funghi", "address": "7 Side Alley"}


@asynccontextmanager
async def open_pizzeria():
    """Whatever was done to it: afterwards an ordinary customer is served, and nothing is left behind."""
    shop = WebPizzeria(pace=0)
    async with nothing_left(), serving(order_service(shop)) as url:
        yield shop, url
        assert json.loads((await ask(url, "POST", "/orders", GOOD))[2])["status"] == "completed"
    assert shop.ledger.kept() == 1050


def run(test):
    asyncio.run(asyncio.wait_for(test(), 60))


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("POST", "/orders", "{bad", 422, "body"),
        ("POST", "/orders", "[]", 422, "body"),
        ("POST", "/orders", None, 422, "body"),
        ("POST", "/orders", GOOD | {"tip": 3}, 422, "body.tip: Extra inputs are not permitted"),
        ("POST", "/orders", GOOD | {"pizza": "Hawaii"}, 422, "pizza must be one of Margherita"),
        ("POST", "/orders", GOOD | {"address": " "}, 422, "address must not be empty"),
        ("POST", "/orders", GOOD | {"address": "x" * 201}, 422, "at most 200 characters"),
        ("POST", "/orders", GOOD | {"address": "\ud800"}, 422, "can be written as UTF-8, not '\\ud800'"),
        ("POST", "/orders", GOOD | {"id": "../../etc/passwd"}, 422, "body.id"),
        ("POST", "/orders", GOOD | {"address": ["7"]}, 422, "body.address"),
        ("GET", "/orders/..%2F..%2Fetc%2Fpasswd", None, 404, "there is nothing at"),
        ("GET", "/orders/a%00b", None, 422, "path.id"),
        ("GET", "/orders/" + "x" * 65, None, 422, "path.id"),
        ("DELETE", "/orders/nobody", None, 404, "no order nobody is known"),
        ("GET", "/", None, 404, "there is nothing at /"),
        ("PUT", "/orders", GOOD, 405, "Method Not Allowed"),
        ("POST", "/orders", "x" * 10_000_000, 413, "the body may have 65536 bytes, not 10000000"),
    ],
)
def test_bad_input_is_refused_as_a_problem_and_nothing_has_happened(method, path, body, status, words):
    async def test():
        async with open_pizzeria() as (shop, url):
            answered, headers, text = await ask(url, method, path, body)
            assert (answered, headers["content-type"]) == (status, "application/problem+json")
            problem = json.loads(text)
            assert (problem["status"], set(problem)) == (status, {"type", "title", "status", "detail"})
            assert words in problem["detail"]
            assert shop.ledger.entries() == []

    run(test)


@pytest.mark.parametrize("number", ["9" * 5000, "9" * 19, "-1", "1e3", "last", ""])
def test_what_is_no_events_id_is_refused_by_its_value(number):
    async def test():
        async with open_pizzeria() as (_, url):
            status, _, text = await ask(url, "GET", "/orders/one/events", Last_Event_ID=number)
            assert status == 400
            assert f"Last-Event-ID must be the id of an event, a whole number, not '{number[:40]}'" in text

    run(test)


@pytest.mark.parametrize(("pieces", "length"), [(20, 10_000), (1, 100_000)])
def test_a_body_without_an_announced_length_is_refused_when_it_is_too_long(pieces, length):
    async def test():
        async with open_pizzeria() as (_, url):
            line = await Line.open(url)
            line.send("POST /orders HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n")
            line.send(f"{length:x}\r\n{'x' * length}\r\n" * pieces + "0\r\n\r\n")
            assert (await asyncio.wait_for(line.answer(), 10))[0] == 413
            await line.hang_up()

    run(test)


def test_whoever_lets_the_head_trickle_in_is_hung_up_on(monkeypatch):
    monkeypatch.setattr("pizzeria.web.server.HEADERS_WITHIN", 0.1)

    async def test():
        async with open_pizzeria() as (_, url):
            silent, slow, later = [await Line.open(url) for _ in range(3)]
            slow.send("GET /orders/one HTTP/1.1\r\nHost: te")
            later.request("GET", "/orders/one")
            assert (await later.answer())[0] == 404
            later.send("GET /or")  # the second request on a connection that is kept
            for line in (silent, slow, later):
                assert await asyncio.wait_for(line.until_closed(), 10) == b""
                await line.hang_up()

    run(test)


def test_what_is_no_http_gets_a_400_and_a_close():
    async def test():
        async with open_pizzeria() as (_, url):
            line = await Line.open(url)
            line.send("EHLO pizzeria\r\n\r\n")
            assert (await asyncio.wait_for(line.until_closed(), 10)).startswith(b"HTTP/1.1 400 ")
            await line.hang_up()

    run(test)
