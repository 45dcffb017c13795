"""The payment service, when what is said about one payment arrives in any order: no reservation is left.

The service is called as a server would call it, turn by turn of the event loop and on a clock that the tests move: so
every order of arrival comes to pass. What is left is read with SQLite itself, once the ledger is closed.
"""

import asyncio
import json
import sqlite3
from collections import Counter
from contextlib import asynccontextmanager

import pytest
from hanging_up import Line, ask, nothing_left, until

from cancellation import FakeTimeProvider
from pizzeria import Ledger, LedgerError
from pizzeria.bank import LedgerHere
from pizzeria.clock import Clock
from pizzeria.events import EventStream, Step
from pizzeria.ledger import Entry
from pizzeria.web import serving
from pizzeria.web.payment_service import payment_service

FUNGHI = {"pizza": "Funghi", "address": "7 Side Alley"}


class Request:
    """One request as uvicorn hands it on: after a hang-up it says so, and swallows what is still sent."""

    def __init__(self, method, path, body=None):
        self.scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(b"content-type", b"application/json")],
        }
        self._body = b"" if body is None else json.dumps(body).encode()
        self._news = asyncio.Event()
        self._news.set()  # the body
        self.disconnected = self.raises = self.response_started = self.response_complete = False
        self.status, self.answer = None, b""

    def hang_up(self):
        self.disconnected = True
        self._news.set()

    async def receive(self):
        if not self.disconnected and not self.response_complete:
            await self._news.wait()
            self._news.clear()
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": self._body}

    async def send(self, message):
        if self.raises:
            raise OSError("nobody is there")
        if self.disconnected:
            return
        if message["type"] == "http.response.start":
            self.status, self.response_started = message["status"], True
        else:
            self.answer += message["body"]
            if not message.get("more_body"):
                self.response_complete = True
                self._news.set()


class Service:
    """A payment service on a fake clock, with its ledger in a file."""

    def __init__(self, path=None, *, ledger=None):
        self.clock = FakeTimeProvider()
        self.ledger = Ledger(path) if ledger is None else ledger
        self.app = payment_service(self.ledger, Clock(1.0, self.clock), EventStream())
        self._running = []

    def call(self, request):
        self._running.append(asyncio.create_task(self.app(request.scope, request.receive, request.send)))
        return request

    def pay(self, id):
        return self.call(Request("POST", "/payments", FUNGHI | {"id": id}))

    def undo(self, id):
        return self.call(Request("DELETE", f"/payments/{id}"))

    async def end(self):
        """All requests come to their ends, with nothing left running."""
        while not all(task.done() for task in self._running):
            await asyncio.sleep(0)
            self.clock.advance(0.5)
        failures = [task.exception() for task in self._running if task.exception() is not None]
        self._running.clear()
        assert failures == []
        assert asyncio.all_tasks() == {asyncio.current_task()}


FIRST_TURNS = 16  # of a request: by then its handler waits, or has answered
LATER_TURNS = 4  # after a pause of the payment
POINTS = FIRST_TURNS + LATER_TURNS * 6


async def play(service, id, acts):
    """`acts`: what happens at which point. Between two points the loop takes a turn, and now and then time passes."""
    requests = {}

    def act(name):
        if name.startswith("hang up"):
            requests["POST" + name.removeprefix("hang up")].hang_up()
        else:
            requests[name] = service.pay(id) if name.startswith("POST") else service.undo(id)

    for point in range(POINTS):
        for name in (name for name, at in acts if at == point):
            act(name)
        await asyncio.sleep(0)
        if point >= FIRST_TURNS and (point - FIRST_TURNS) % LATER_TURNS == 0:
            service.clock.advance(0.5)
    await service.end()
    return requests


def booked(path):
    """By order: the steps, read past the Ledger."""
    with sqlite3.connect(path) as database:
        rows = database.execute("SELECT order_id, step FROM entries ORDER BY number").fetchall()
    database.close()
    steps = {}
    for order_id, step in rows:
        steps.setdefault(order_id, []).append(step)
    return {order_id: tuple(done) for order_id, done in steps.items()}


NOTHING, VOIDED, REFUNDED, TAKEN = (
    (),
    ("authorize", "void"),
    ("authorize", "capture", "refund"),
    ("authorize", "capture"),
)


def pairs():
    """POST comes at point 0, or after the others; DELETE and hang-up at every point; either may never come."""
    never = POINTS
    for deleted in (*range(POINTS), never):
        for hung_up in (*range(POINTS), never):
            yield (("POST", 0), ("DELETE", deleted), ("hang up", hung_up))
    for post in range(1, FIRST_TURNS):
        for hung_up in (*range(post, POINTS), never):
            yield (("DELETE", 0), ("POST", post), ("hang up", hung_up))


def test_whichever_of_payment_undo_and_hang_up_comes_first_no_reservation_is_left(tmp_path):
    path, played = tmp_path / "money.db", {}

    async def main():
        service = Service(path)
        for number, acts in enumerate(pairs()):
            id = f"order-{number}"
            requests = await play(service, id, acts)
            played[id] = acts, requests
            if "DELETE" in requests:
                assert requests["DELETE"].status == 200, acts
        service.ledger.close()

    asyncio.run(main())
    steps, outcomes = booked(path), Counter()
    for id, (acts, requests) in played.items():
        done = steps.get(id, NOTHING)
        outcomes[done] += 1
        undone = {NOTHING, VOIDED, REFUNDED}
        assert done in (undone if "DELETE" in requests else undone | {TAKEN}), acts
        if "DELETE" in requests and requests["DELETE"].answer != b"null":
            assert json.loads(requests["DELETE"].answer)["step"] == done[-1], acts
        elif "DELETE" in requests:
            assert done == NOTHING, acts  # else the undo was done, and nobody told of it
    assert all(outcomes[done] > 5 for done in (NOTHING, VOIDED, REFUNDED, TAKEN)), outcomes  # all do come about


def test_payments_and_undos_that_come_twice_end_as_if_they_had_come_once(tmp_path):
    path, played = tmp_path / "money.db", {}

    async def main():
        service = Service(path)
        sometimes = (0, 1, 2, 3, 5, 8, 12, FIRST_TURNS + 2, POINTS - 1)
        for first in sometimes:
            for second in sometimes:
                for acts in (
                    [("POST", 0), ("DELETE", first), ("POST again", second)],
                    [("POST", 0), ("POST again", first), ("DELETE", second)],
                    [("POST", 0), ("DELETE", first), ("DELETE again", second)],
                    [("DELETE", 0), ("POST", first), ("DELETE again", second)],
                    [("POST", 0), ("POST again", first), ("hang up", second)],
                ):
                    id = f"order-{len(played)}"
                    played[id] = acts, await play(service, id, acts)
        service.ledger.close()

    asyncio.run(main())
    steps = booked(path)
    for id, (acts, requests) in played.items():
        done = steps.get(id, NOTHING)
        assert done in {NOTHING, VOIDED, REFUNDED, TAKEN}, acts
        assert done != TAKEN or "DELETE" not in requests, acts
        statuses = [request.status for name, request in requests.items() if name.startswith("POST")]
        assert statuses.count(200) <= 1, acts  # one pays, and the other is refused
        told = [json.loads(request.answer) for name, request in requests.items() if name.startswith("DELETE")]
        assert all(entry is None or entry["step"] == done[-1] for entry in told), acts
        assert done == NOTHING or None not in told, acts  # each is told of the undo, whoever did it


def test_a_request_that_is_ended_by_force_leaves_no_reservation_whenever_that_is(tmp_path):
    """The server stops; or, as some do, it raises where the answer is sent to nobody."""
    path = tmp_path / "money.db"

    async def main():
        service = Service(path)
        for point in range(POINTS):
            for how in ("ended", "raising"):
                request = Request("POST", "/payments", FUNGHI | {"id": f"{how}-{point}"})
                task = asyncio.create_task(service.app(request.scope, request.receive, request.send))
                for turn in range(POINTS):
                    if turn == point and how == "ended":
                        task.cancel()
                    elif turn == point:
                        request.raises = True
                    await asyncio.sleep(0)
                    if turn >= FIRST_TURNS and (turn - FIRST_TURNS) % LATER_TURNS == 0:
                        service.clock.advance(0.5)
                await asyncio.wait({task}, timeout=10)
                assert task.done(), (how, point)
                assert task.cancelled() or isinstance(task.exception(), OSError | None), (how, point)
                done = tuple(entry.step for entry in service.ledger.entries(f"{how}-{point}"))
                assert done in {NOTHING, VOIDED, REFUNDED, TAKEN}, (how, point)
                undo = service.undo(f"{how}-{point}")
                async with asyncio.timeout(10):
                    await service.end()
                assert undo.status == 200
        assert asyncio.all_tasks() == {asyncio.current_task()}
        service.ledger.close()

    asyncio.run(main())
    assert set(booked(path).values()) <= {VOIDED, REFUNDED}


def test_a_payment_that_never_reserved_anything_undoes_nothing_whenever_it_is_ended():
    """Two services have one ledger: the other one's reservation stays."""

    async def main():
        with Ledger() as ledger:
            service = Service(ledger=ledger)
            refused = set()
            for reserved in range(FIRST_TURNS):
                for hung_up in range(FIRST_TURNS):
                    id = f"order-{reserved}-{hung_up}"
                    request = service.pay(id)
                    for turn in range(FIRST_TURNS):
                        if turn == reserved and not ledger.knows(id):
                            ledger.authorize(id, 1050)
                            refused.add(id)
                        if turn == hung_up:
                            request.hang_up()
                        await asyncio.sleep(0)
                    await service.end()
            assert len(refused) > FIRST_TURNS
            assert {tuple(entry.step for entry in ledger.entries(id)) for id in refused} == {("authorize",)}

    asyncio.run(main())


def run(test):
    asyncio.run(asyncio.wait_for(test(), 60))


@asynccontextmanager
async def open_payment_service(path):
    with Ledger(path) as ledger:
        events = EventStream()
        async with nothing_left(), serving(payment_service(ledger, Clock(1.0, FakeTimeProvider()), events)) as url:
            yield ledger, events, url


def test_a_payment_whose_undo_came_first_is_refused_in_words_also_after_a_restart(tmp_path):
    async def test():
        async with open_payment_service(tmp_path / "money.db") as (_, _, url):
            for _ in range(2):
                status, _, body = await ask(url, "DELETE", "/payments/a")
                assert (status, body) == (200, "null")
            status, _, body = await ask(url, "GET", "/payments/a")
            assert (status, body) == (200, "[]")  # known, with nothing booked
            assert (await ask(url, "GET", "/payments/b"))[0] == 404
        async with open_payment_service(tmp_path / "money.db") as (ledger, _, url):
            status, _, body = await ask(url, "POST", "/payments", FUNGHI | {"id": "a"})
            assert (status, json.loads(body)["detail"]) == (409, "order a was undone before it was paid for")
            assert ledger.entries() == []

    run(test)


def test_a_payment_whose_client_hangs_up_and_never_comes_back_is_voided(tmp_path):
    async def test():
        async with open_payment_service(tmp_path / "money.db") as (ledger, events, url):
            paying = asyncio.Event()
            events.subscribe(lambda event: paying.set() if isinstance(event, Step) else None)
            line = await Line.open(url)
            line.request("POST", "/payments", FUNGHI | {"id": "a"})
            await paying.wait()
            await line.hang_up()
            await until(lambda: len(ledger.entries("a")) == 2)
            assert ledger.entries("a")[-1].step == "void"

    run(test)


@pytest.mark.parametrize("steps", [VOIDED, REFUNDED], ids=" ".join)
def test_an_undo_whose_answer_was_lost_can_be_asked_for_again_and_tells_the_same_also_after_a_restart(tmp_path, steps):
    *before, end = steps
    told = []

    async def test():
        async with open_payment_service(tmp_path / "money.db") as (ledger, _, url):
            for step in before:
                getattr(ledger, step)("a", *[950] * (step == "authorize"))
            told.extend([(await ask(url, "DELETE", "/payments/a"))[2] for _ in range(2)])
            assert json.loads(told[0]) == ledger.entries("a")[-1]._asdict()
            assert json.loads(told[0])["step"] == end
        async with open_payment_service(tmp_path / "money.db") as (ledger, _, url):
            told.append((await ask(url, "DELETE", "/payments/a"))[2])
            assert [entry.step for entry in ledger.entries("a")] == list(steps)
        assert len(set(told)) == 1

    run(test)


def test_a_payment_that_was_given_back_by_a_restart_is_told_as_given_back(tmp_path):
    async def test():
        with Ledger(tmp_path / "money.db") as ledger:
            ledger.authorize("a", 950)
            ledger.capture("a")
        async with open_payment_service(tmp_path / "money.db") as (ledger, _, url):
            told = json.loads((await ask(url, "DELETE", "/payments/a"))[2])
            assert told == ledger.repaired[0]._asdict()
            assert told["step"] == "refund"

    run(test)


def test_of_a_settled_payment_an_undo_gives_nothing_back(tmp_path):
    async def test():
        async with open_payment_service(tmp_path / "money.db") as (ledger, _, url):
            ledger.authorize("a", 950)
            ledger.capture("a")
            ledger.settle("a")
            status, _, body = await ask(url, "DELETE", "/payments/a")
            assert (status, body, ledger.kept()) == (200, "null", 950)

    run(test)


def test_a_settle_that_overtakes_its_payment_is_refused_and_the_payment_can_be_undone(tmp_path):
    async def main():
        service = Service(tmp_path / "money.db")
        early = service.call(Request("POST", "/payments/a/settle"))
        for _ in range(FIRST_TURNS):
            await asyncio.sleep(0)
        assert early.status == 409
        await play(service, "a", [("POST", 0), ("DELETE", POINTS - 1)])
        assert [entry.step for entry in service.ledger.entries("a")] == list(REFUNDED)
        service.ledger.close()

    asyncio.run(main())


def test_in_one_process_too_an_undo_that_comes_first_refuses_the_reservation():
    async def main():
        with Ledger() as ledger:
            bank = LedgerHere(ledger)
            assert await bank.undo("a") is None
            assert await bank.knows("a")
            with pytest.raises(LedgerError, match="cannot authorize order a: it was undone before it was paid for"):
                await bank.authorize("a", 950)
            assert not await bank.knows("b")
            assert isinstance(await bank.authorize("b", 950), Entry)

    asyncio.run(main())
