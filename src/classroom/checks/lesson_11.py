"""Checks of lesson 11, The clinic. Each lets the cancel come at a chosen step, and says what it saw from outside."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Any, Protocol, Self, TypeVarTuple

from cancellation import CancellationToken, CancellationTokenSource, FakeTimeProvider, OperationCanceledError
from classroom.verdict import Outcome, Verdict, not_yet, outcome_of, well_done

Step = Callable[..., Awaitable[object]]
Ts = TypeVarTuple("Ts")


def _nothing() -> None:
    pass


async def _ten_turns(token: CancellationToken, happens: Callable[[], object] = _nothing) -> None:
    """Work that looks at its token ten times; in the middle of it something happens."""
    for turn in range(10):
        if turn == 3:
            happens()
        token.throw_if_cancellation_requested()
        await asyncio.sleep(0)


def _cancel_this_task() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()


def _was_canceled(outcome: Outcome) -> bool:
    return isinstance(outcome.error, OperationCanceledError)


def _seen(outcome: Outcome) -> str:
    if not outcome.ended:
        return "did not end"
    return f"raised {outcome.error!r}" if outcome.error is not None else f"returned {outcome.result!r}"


async def check_serve(serve: Callable[[Step, Step, CancellationToken], Awaitable[object]]) -> Verdict:
    """A payment and a kitchen, both of which the order's token reaches."""
    done: list[str] = []

    def service(name: str, happens: Callable[[], object] = _nothing) -> Step:
        async def work(token: CancellationToken = CancellationToken.none) -> str:
            await _ten_turns(token, happens)
            done.append(name)
            return name

        return work

    outcome = await outcome_of(serve, service("money"), service("a meal"), CancellationTokenSource().token)
    if outcome.result != "a meal" or done != ["money", "a meal"]:
        return not_yet(f"nobody cancelled, and it should pay and return 'a meal', but it {_seen(outcome)}.")

    for when, what in (("cooking", "a meal"), ("payment", "money")):
        done.clear()
        source = CancellationTokenSource()
        pay, cook = (service(name, source.cancel if name == what else _nothing) for name in ("money", "a meal"))
        outcome = await outcome_of(serve, pay, cook, source.token)
        if what in done:
            return not_yet(
                f"the customer cancelled early in the {when}, and the {when} went on to its end. It looked at its "
                "token ten times, and that token was never cancelled. Which token was it?"
            )
        if not _was_canceled(outcome):
            return not_yet(f"cancelled during the {when}, it {_seen(outcome)}: its caller cannot tell what happened.")
    return well_done("The order's token reaches both services.")


class _Counter(Protocol):
    def place(self, number: int, serve: Callable[[CancellationToken], Awaitable[None]]) -> object: ...
    def cancel(self, number: int) -> object: ...


async def check_counter(make_counter: Callable[[], _Counter]) -> Verdict:
    """Orders side by side, each with a cancel of its own; and a number that comes again."""
    tokens: dict[str, CancellationToken] = {}
    tasks: set[asyncio.Task[Any]] = set()

    async def place(number: int, name: str) -> None:
        async def serve(token: CancellationToken) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            tokens[name] = token
            await asyncio.sleep(60)

        counter.place(number, serve)
        for _ in range(3):
            await asyncio.sleep(0)
        if name not in tokens:
            raise RuntimeError(f"{name} never began")

    def canceled(name: str) -> bool:
        return tokens[name].is_cancellation_requested

    try:
        counter = make_counter()
        await place(1, "order 1")
        await place(2, "order 2")
        if canceled("order 1") or canceled("order 2"):
            return not_yet("two orders were placed, and one was cancelled before anybody had asked for it.")
        counter.cancel(1)
        if canceled("order 2"):
            return not_yet(
                "customer 1 cancelled, and the order of customer 2 was cancelled"
                + (" with it. Do they share something?" if canceled("order 1") else " instead. Whose source was it?")
            )
        if not canceled("order 1"):
            return not_yet("customer 1 cancelled, and the token of that order does not say so.")
        await place(3, "order 3")
        if canceled("order 3"):
            return not_yet("customer 1 cancelled. Customer 3 came later, and that order was cancelled from the start.")
        await place(1, "the second order of customer 1")
        if canceled("the second order of customer 1"):
            return not_yet("customer 1 cancelled, and orders anew. That order was cancelled from the start.")
        counter.cancel(2)
        if not canceled("order 2") or canceled("order 3"):
            return not_yet("after some more orders, customer 2 cancelled, and it was not (only) that order.")
    except Exception as error:
        return not_yet(f"with orders 1, 2, 3 placed and cancelled in turn, there was {error!r}.")
    finally:
        await _end(tasks)
    return well_done("Each order has a button of its own, and each button belongs to one order.")


async def _end(tasks: set[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=1)


async def check_polish(
    polish: Callable[[list[int], Callable[[int], None], CancellationToken], Awaitable[object]],
) -> Verdict:
    """Glasses whose rubbing blocks a thread for a moment each, while the loop is to be free for others."""
    turns, rubbed, slow_glass = 0, list[int](), 0
    hands_free = threading.Event()
    hands_free.set()

    def rub(glass: int) -> None:
        hands_free.clear()
        rubbed.append(glass)
        time.sleep(0.1 if glass == slow_glass else 0.01)
        hands_free.set()

    async def others(source: CancellationTokenSource) -> None:
        nonlocal turns
        while True:
            turns += 1
            if slow_glass and slow_glass in rubbed:
                source.cancel()
            await asyncio.sleep(0)

    async def beside_others(glasses: int) -> tuple[Outcome, bool]:
        rubbed.clear()
        source = CancellationTokenSource()
        radio = asyncio.ensure_future(others(source))
        outcome = await outcome_of(polish, list(range(1, glasses + 1)), rub, source.token)
        left_alone = not hands_free.is_set()
        hands_free.wait(1)  # the check itself leaves no thread at work
        await _end({radio})
        return outcome, left_alone

    outcome, left_alone = await beside_others(10)
    if outcome.error is not None or outcome.result != "shiny":
        return not_yet(f"nobody cancelled, and it should return 'shiny', but it {_seen(outcome)}.")
    if len(rubbed) != 10 or left_alone:
        return not_yet(f"of ten glasses {len(rubbed) - left_alone} had been rubbed when it came back.")
    if turns < 10:
        return not_yet(
            "it rubbed ten glasses, and in all that time nobody else on the loop had a turn. A click that comes "
            "meanwhile has to wait, whatever the token says and however often one looks at it."
        )
    if turns < 30:
        return not_yet(
            "while it rubbed ten glasses, the others on the loop had hardly more than one turn for each. They are let "
            "in between two glasses; during a glass the loop still stands still."
        )
    slow_glass = 3
    outcome, left_alone = await beside_others(10)
    if left_alone:
        return not_yet(
            "the others have their turns now. But when one of them cancelled, it came back while a glass was still "
            "being rubbed. Nobody can stop that thread: wait for it."
        )
    if len(rubbed) == 10:
        return not_yet(
            "the others have their turns now. But when one of them cancelled, at the third glass, all ten were rubbed."
        )
    if not _was_canceled(outcome):
        return not_yet(f"when cancelled it stopped, but it {_seen(outcome)}: its caller cannot tell.")
    return well_done("The loop is free while it rubs, and a cancel is heard before the next glass.")


async def check_deliver_all(
    deliver_all: Callable[[Step, list[str], CancellationToken], Awaitable[object]],
) -> Verdict:
    """A tour that goes on after a failed delivery, and ends with a cancel."""
    streets = ["Main St", "Mill Lane", "Nowhere", "Park Road", "High St"]

    async def tour(cancel_at: str | None = None) -> Outcome:
        source = CancellationTokenSource()

        async def deliver(street: str, token: CancellationToken = CancellationToken.none) -> None:
            await _ten_turns(token, source.cancel if street == cancel_at else _nothing)
            if street == "Nowhere":
                raise LookupError("no such street")

        return await outcome_of(deliver_all, deliver, list(streets), source.token)

    outcome = await tour()
    if isinstance(outcome.error, LookupError):
        return not_yet("one street of five was not found, and the tour ended there. It is to go on to the next.")
    if outcome.error is not None or outcome.result != ["Nowhere"]:
        return not_yet(
            f"one street of five, 'Nowhere', was not found. It should return ['Nowhere'], but {_seen(outcome)}."
        )
    outcome = await tour("Mill Lane")
    if not _was_canceled(outcome) and isinstance(outcome.result, list) and "Mill Lane" in outcome.result:
        return not_yet(
            f"somebody cancelled at 'Mill Lane', and it returned {outcome.result!r}: streets that could not be found? "
            "What came out of `deliver` there was no failure, and was taken for one."
        )
    if not _was_canceled(outcome):
        return not_yet(
            f"somebody cancelled at 'Mill Lane', and it {_seen(outcome)}: its caller believes that the tour is done."
        )
    outcome = await tour("High St")
    if not _was_canceled(outcome):
        return not_yet(
            f"somebody cancelled at 'High St', the last of five, and it {_seen(outcome)}. Where there is no next "
            "street, nobody looked at the token again: the cancel itself was still lost."
        )
    return well_done("A failure is written down, a cancel ends the tour.")


async def check_serve_in_time(
    serve_in_time: Callable[[Step, Step, CancellationTokenSource, FakeTimeProvider], Awaitable[object]],
) -> Verdict:
    """Thirty minutes for an order, and five of them at most for its payment, on a clock that the check moves."""
    spent = {"pay": 0, "cook": 0}  # minutes
    bank_has_its_own_token = False

    async def order(pay_minutes: int, cook_minutes: int, customer_cancels_in: str = "") -> Outcome:
        clock = FakeTimeProvider()
        source = CancellationTokenSource(time_provider=clock)

        def service(name: str, minutes: int) -> Step:
            async def work(token: CancellationToken = CancellationToken.none) -> None:
                nonlocal bank_has_its_own_token
                if name == "pay":
                    bank_has_its_own_token = token.can_be_canceled and token is not source.token
                for minute in range(minutes):
                    clock.advance(60)
                    spent[name] = minute + 1
                    if minute == 1 and customer_cancels_in == name:
                        source.cancel("changed my mind")
                    token.throw_if_cancellation_requested()
                await asyncio.sleep(0)

            return work

        spent.update(pay=0, cook=0)
        return await outcome_of(
            serve_in_time, service("pay", pay_minutes), service("cook", cook_minutes), source, clock
        )

    outcome = await order(4, 20)
    if outcome.error is not None or outcome.result != "served":
        return not_yet(
            f"4 minutes for the payment and 20 for cooking: it should return 'served', but it {_seen(outcome)}."
        )
    outcome = await order(4, 60)
    total = spent["pay"] + spent["cook"]
    if not _was_canceled(outcome):
        return not_yet(
            f"payment and cooking took {total} minutes together, and nobody stopped them. The order's thirty minutes "
            "were no longer in force: a source has one alarm clock. Who set it last?"
        )
    if total != 30:
        return not_yet(
            f"the order was stopped after {total} minutes, not after 30. An alarm clock that is set anew counts from "
            "that moment."
        )
    outcome = await order(6, 20)
    if not _was_canceled(outcome) or spent["pay"] > 5:
        advice = " Its token is a new one: on which clock does the alarm of that one run?"
        return not_yet(
            f"the payment may take five minutes. It took {spent['pay']}, and nobody stopped it."
            f"{advice if bank_has_its_own_token else ''}"
        )
    for name in ("pay", "cook"):
        outcome = await order(4, 20, name)
        if not _was_canceled(outcome) or spent[name] > 2:
            return not_yet(
                f"both deadlines are right. But when the customer cancelled in minute 2 of `{name}`, it went on: its "
                "token did not hear of it."
            )
    return well_done("Five minutes for the payment, thirty for the order, and the customer is heard in both.")


async def check_pay_patiently(
    pay_patiently: Callable[[Step, CancellationToken], Awaitable[object]],
) -> Verdict:
    """A bank with five seconds a call: what passes there is asked again, what the customer wants is not."""
    calls = 0

    async def pay(slow_calls: int, cancel_at: int = 0, deadline: float | None = None, close_at: int = 0) -> Outcome:
        nonlocal calls
        calls, clock = 0, FakeTimeProvider()
        kitchen = CancellationTokenSource(time_provider=clock)
        if close_at:
            customer = CancellationTokenSource.create_linked_token_source(kitchen.token, time_provider=clock)
        else:
            customer = CancellationTokenSource(deadline, time_provider=clock)

        async def ask_bank(token: CancellationToken = CancellationToken.none) -> str:
            nonlocal calls
            calls += 1
            with CancellationTokenSource.create_linked_token_source(token, time_provider=clock) as call:
                call.cancel_after(5)
                if calls == cancel_at:
                    customer.cancel("changed my mind")
                if calls == close_at:
                    kitchen.cancel("closing time")
                clock.advance(5 if calls <= slow_calls else 1)
                await asyncio.sleep(0)
                call.token.throw_if_cancellation_requested()
            return "paid"

        return await outcome_of(pay_patiently, ask_bank, customer.token)

    for slow_calls, answer in ((0, "paid"), (2, "paid"), (3, "the bank does not answer")):
        outcome = await pay(slow_calls)
        if outcome.error is not None or outcome.result != answer:
            return not_yet(
                f"the bank was too slow {slow_calls} times, and nobody cancelled: it should return {answer!r}, but it "
                f"{_seen(outcome)} after {_times(calls)}."
            )
    outcome = await pay(3, cancel_at=1)
    if not _was_canceled(outcome) or calls > 1:
        return not_yet(
            f"the customer cancelled during the first call. The bank was called {_times(calls)}, and it "
            f"{_seen(outcome)}. The error is the bank's own in each of these cases: what else could tell them apart?"
        )
    outcome = await pay(3, deadline=3)
    if not _was_canceled(outcome) or calls > 1:
        return not_yet(
            f"the order has a deadline of its own, and that one passed during the first call. The bank was called "
            f"{_times(calls)}, and it {_seen(outcome)}. Both deadlines have a TimeoutError as their reason."
        )
    outcome = await pay(3, cancel_at=3)
    if not _was_canceled(outcome):
        return not_yet(f"the customer cancelled during the third call, the last one, and it {_seen(outcome)}.")
    outcome = await pay(3, close_at=1)
    if not _was_canceled(outcome) or calls > 1:
        return not_yet(
            f"the kitchen closed during the first call, and the order's token is linked to the kitchen's. The bank was "
            f"called {_times(calls)}, and it {_seen(outcome)}. The origin is the kitchen's token there. Which "
            "token knows of it in every case?"
        )
    return well_done("A slow bank is asked again; a customer who cancels is let go at once.")


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


async def check_with_music(with_music: Callable[[Step, Step], Awaitable[object]]) -> Verdict:
    """A task beside the work that has ended, its cleanup included, whenever the work has."""
    state = ""
    tasks: set[asyncio.Task[Any]] = set()

    async def play() -> None:
        nonlocal state
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        state = "playing"
        try:
            await asyncio.sleep(60)
        finally:
            state = "being switched off"
            for _ in range(5):
                await asyncio.sleep(0)
            state = "off"

    async def serves() -> str:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return "a meal"

    async def fails() -> str:
        await serves()
        raise LookupError("no such table")

    async def is_canceled() -> str:
        await serves()
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        return await serves()

    async def music_after(serve: Step) -> tuple[Outcome, str]:
        nonlocal state
        state = "off"
        seen = ""

        async def run() -> object:
            nonlocal seen
            try:
                return await with_music(serve, play)
            finally:
                seen = state

        outcome = await outcome_of(run)
        await _end(tasks)
        return outcome, seen

    outcome, music = await music_after(serves)
    if isinstance(outcome.error, asyncio.CancelledError):
        return not_yet(
            "the meal was served, and a CancelledError came out. That is the end of the music, not of the meal."
        )
    if outcome.error is not None or outcome.result != "a meal":
        return not_yet(f"it should return what `serve` returns, 'a meal', but it {_seen(outcome)}.")
    if music != "off":
        return not_yet(
            f"it came back, and the music was still {music}. Who calls `cancel()` on a task has asked for its end, and "
            "no more. The end comes later, in the task's own turns."
        )
    outcome, music = await music_after(fails)
    if music != "off":
        return not_yet(f"`serve` failed, and when the error came out the music was still {music}.")
    if not isinstance(outcome.error, LookupError):
        return not_yet(f"`serve` failed with a LookupError, but it {_seen(outcome)}.")
    outcome, music = await music_after(is_canceled)
    if music != "off":
        return not_yet(f"its own task was cancelled during `serve`, and at its end the music was still {music}.")
    if not isinstance(outcome.error, asyncio.CancelledError):
        return not_yet(
            f"its own task was cancelled during `serve`, but it {_seen(outcome)}: that cancel was swallowed."
        )
    return well_done("However the serving ends, the music has ended before.")


class _Loop(asyncio.SelectorEventLoop):
    """A loop in a thread of its own, where nothing else happens. It notes who touches it from outside."""

    def __enter__(self) -> Self:
        self.touched_from_outside = False
        self.alarms = 0
        self._owner = threading.Thread(target=self.run_forever, daemon=True)
        self._owner.start()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._cancel_the_rest(), self)
        self._owner.join(1)
        if not self.is_running():  # else a student's code still blocks it, in a daemon thread
            self.close()

    async def _cancel_the_rest(self) -> None:
        await _end({task for task in asyncio.all_tasks() if task is not asyncio.current_task()})
        self.stop()

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        if threading.current_thread() is self._owner:
            return super().call_soon(callback, *args, context=context)
        self.touched_from_outside = True  # what the two threads do to each other from here on is a matter of luck
        return self.call_soon_threadsafe(callback, *args, context=context)  # so that it can be tidied up

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        self.alarms += 1
        return super().call_at(when, callback, *args, context=context)

    def has_turns(self, count: int = 5) -> bool:
        for _ in range(count):
            answered = threading.Event()
            self.call_soon_threadsafe(answered.set)
            if not answered.wait(1):
                return False
        return True


def check_night_watch(night_watch: Callable[[CancellationToken], Awaitable[object]]) -> Verdict:
    """A coroutine that a cancel from another thread wakes."""

    async def watch(token: CancellationToken) -> object:
        return await night_watch(token)

    with _Loop() as quiet, CancellationTokenSource() as source:
        watching = asyncio.run_coroutine_threadsafe(watch(source.token), quiet)
        if not quiet.has_turns():
            source.cancel()  # wakes a thread that waits on the token
            return not_yet("while it waits, nothing else on its loop has a turn. A coroutine awaits.")
        if watching.done():
            return not_yet(f"nobody has cancelled, but it {_seen(_outcome(watching))}.")
        alarms = quiet.alarms
        raised: Exception | None = None
        try:
            source.cancel()
        except Exception as error:
            raised = error
        outcome = _outcome(watching)
    if quiet.touched_from_outside:
        return not_yet(
            "the cancel came from another thread. There the callback ran, and it touched asyncio directly: nobody told "
            "the loop, which slept on. It wakes when something else happens on it, at night perhaps never."
        )
    if raised is not None:
        return not_yet(f"the cancel came from another thread, and a callback on the token raised {raised!r}.")
    if alarms:
        return not_yet(
            "it wakes up again and again to look. A watch that sleeps until it is called needs no alarm clock."
        )
    if outcome.error is not None or outcome.result != "lights out":
        return not_yet(f"cancelled from another thread, it should return 'lights out', but it {_seen(outcome)}.")
    with _Loop() as quiet:
        watching = asyncio.run_coroutine_threadsafe(watch(CancellationToken(canceled=True)), quiet)
        outcome = _outcome(watching)
    if outcome.error is not None or outcome.result != "lights out":
        return not_yet(
            f"with a token that is cancelled already, it should return 'lights out', but it {_seen(outcome)}."
        )
    return well_done("From whatever thread the cancel comes, it wakes at once.")


def _outcome(future: Any) -> Outcome:
    try:
        return Outcome(True, future.result(1))
    except TimeoutError:
        return Outcome(future.done(), error=TimeoutError() if future.done() else None)
    except Exception as error:
        return Outcome(True, error=error)


class _Bank:
    def __init__(self) -> None:
        self.log: list[str] = []
        self.asked_to_refund = False

    async def charge(self, token: CancellationToken = CancellationToken.none) -> None:
        await self._write("charge", token)

    async def refund(self, token: CancellationToken = CancellationToken.none) -> None:
        self.asked_to_refund = True
        await self._write("refund", token)

    async def _write(self, entry: str, token: CancellationToken) -> None:
        token.throw_if_cancellation_requested()
        await asyncio.sleep(0)
        token.throw_if_cancellation_requested()
        self.log.append(entry)


async def check_cook_or_refund(
    cook_or_refund: Callable[[_Bank, Step, CancellationToken], Awaitable[object]],
) -> Verdict:
    """A charge that is given back, once, whatever ends the cooking before its time."""

    bank = _Bank()

    async def order(happens: Callable[[CancellationTokenSource], object]) -> tuple[Outcome, list[str]]:
        nonlocal bank
        bank, source = _Bank(), CancellationTokenSource()

        async def cook(token: CancellationToken = CancellationToken.none) -> str:
            await _ten_turns(token, lambda: happens(source))
            return "a meal"

        return await outcome_of(cook_or_refund, bank, cook, source.token), bank.log

    def breaks(_: object) -> None:
        raise RuntimeError("the oven is broken")

    outcome, log = await order(lambda _: None)
    if outcome.error is not None or outcome.result != "a meal":
        return not_yet(f"nobody cancelled, and it should return 'a meal', but it {_seen(outcome)}.")
    if log != ["charge"]:
        return not_yet(f"the meal was cooked and is eaten, and the bank wrote {log}. It should be ['charge'].")
    cases: tuple[tuple[str, Callable[[CancellationTokenSource], object], type[BaseException], str], ...] = (
        (
            "the customer cancelled during the cooking",
            lambda source: source.cancel(),
            OperationCanceledError,
            "",
        ),
        (
            "the oven broke during the cooking",
            breaks,
            RuntimeError,
            "Nobody cancelled here, and there is no meal either.",
        ),
        (
            "the order's whole task was cancelled during the cooking",
            lambda _: _cancel_this_task(),
            asyncio.CancelledError,
            "asyncio's CancelledError is no Exception: the page was closed, say, and the money is gone.",
        ),
    )
    for when, happens, kind, advice in cases:
        outcome, log = await order(happens)
        if log.count("refund") > 1:
            return not_yet(f"{when}, and the bank wrote {log}: the money went back more than once.")
        if log == ["charge"] and bank.asked_to_refund:
            return not_yet(
                f"{when}, and the bank wrote {log}. The customer has paid for nothing. `refund` was called, and never "
                "came to its end. What may have stopped it?"
            )
        if log != ["charge", "refund"]:
            return not_yet(f"{when}, and the bank wrote {log}. The customer has paid for nothing. {advice}".rstrip())
        if not isinstance(outcome.error, kind):
            return not_yet(
                f"{when}. The money went back, but it {_seen(outcome)}: its caller cannot tell what happened."
            )

    bank = _Bank()
    outcome = await outcome_of(cook_or_refund, bank, _ten_turns, CancellationToken(canceled=True))
    if bank.log:
        return not_yet(f"the customer cancelled before the money was taken, and the bank wrote {bank.log}.")
    if not _was_canceled(outcome):
        return not_yet(f"the customer cancelled before the money was taken, and it {_seen(outcome)}.")
    return well_done("No meal, no money: it goes back once, whatever happened in the kitchen.")


class _Courier:
    def __init__(self, log: list[str], happens: Callable[[], object]) -> None:
        self._log = log
        self._happens = happens

    def leave(self) -> None:
        self._log.append("left")

    async def message(self, token: CancellationToken = CancellationToken.none) -> None:
        await _ten_turns(token, self._happens)
        self._log.append("message")


async def check_hand_over(
    hand_over: Callable[[Step, _Courier, Callable[[], None], CancellationToken], Awaitable[object]],
) -> Verdict:
    """Whatever ends an order before the courier leaves gives the money back; a cancel after it is too late."""

    async def order(cancel_in: str = "", pack_meets: Callable[[], object] = _nothing) -> tuple[Outcome, list[str]]:
        log, source = list[str](), CancellationTokenSource()

        async def pack(token: CancellationToken = CancellationToken.none) -> None:
            await _ten_turns(token, source.cancel if cancel_in == "pack" else pack_meets)
            log.append("packed")
            if cancel_in == "the end of pack":
                source.cancel()

        courier = _Courier(log, source.cancel if cancel_in == "message" else _nothing)
        outcome = await outcome_of(hand_over, pack, courier, lambda: log.append("refund"), source.token)
        return outcome, log

    def the_box_tears() -> None:
        raise RuntimeError("the box is torn")

    outcome, log = await order()
    if outcome.error is not None:
        return not_yet(f"nobody cancelled, but it {_seen(outcome)}.")
    if log == ["packed", "message", "left"]:
        return not_yet("nobody cancelled, and the message that the order is on its way went out before it was.")
    if log != ["packed", "left", "message"]:
        return not_yet(f"nobody cancelled, and the log says {log}. It should be ['packed', 'left', 'message'].")

    outcome, log = await order("message")
    if "refund" in log:
        return not_yet(
            f"the customer cancelled while the message was being sent, and the log says {log}: pizza and money are "
            "both with the customer. At which line was it too late?"
        )
    if outcome.error is not None or log != ["packed", "left", "message"]:
        return not_yet(
            f"the customer cancelled after the courier had left, and the log says {log}, and it {_seen(outcome)}. That "
            "pizza will be eaten and paid for: this order is complete, and its caller should hear so."
        )
    for moment, when in (
        ("pack", "while the pizza was being packed"),
        ("the end of pack", "in the last moment of packing, just before the courier left"),
    ):
        outcome, log = await order(moment)
        if "left" in log:
            return not_yet(f"the customer cancelled {when}, and the log says {log}. Nobody looked in time.")
        if log.count("refund") != 1:
            return not_yet(f"the customer cancelled {when}, and the log says {log}. One refund is due.")
        if not _was_canceled(outcome):
            return not_yet(f"the customer cancelled {when}. The money went back, but it {_seen(outcome)}.")
    for meets, kind, what in (
        (the_box_tears, RuntimeError, "the box tore"),
        (_cancel_this_task, asyncio.CancelledError, "the order's whole task was cancelled"),
    ):
        outcome, log = await order(pack_meets=meets)
        if "left" in log:
            return not_yet(f"{what} while the pizza was being packed, and the log says {log}. Nothing was packed.")
        if log.count("refund") != 1:
            return not_yet(
                f"{what} while the pizza was being packed, and the log says {log}. There is no pizza, whosever fault "
                "it is. One refund is due."
            )
        if not isinstance(outcome.error, kind):
            return not_yet(
                f"{what} while the pizza was being packed. The money went back, but it {_seen(outcome)}: its caller "
                "cannot tell what happened."
            )
    return well_done(
        "Until the courier leaves one can cancel, and get the money back. After that it is an order like any."
    )
