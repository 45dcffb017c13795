"""Threads and signal handlers: waiting, races, and no deadlock."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest
from interleaving import at_every_point, interrupted
from token_helpers import PATIENCE, Worker, in_thread

from cancellation import (
    CancellationToken,
    CancellationTokenRegistration,
    CancellationTokenSource,
    FakeTimeProvider,
    ObjectDisposedError,
)

link = CancellationTokenSource.create_linked_token_source


@pytest.fixture
def eager_switching() -> Iterator[None]:
    """Threads take turns as often as Python can let them."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def race(*contenders: Callable[[], object], rounds: int) -> list[Any]:
    """Run each contender `rounds` times in a thread of its own, all starting each round together."""
    start = threading.Barrier(len(contenders), timeout=PATIENCE)

    def run(contender: Callable[[], object]) -> None:
        for _ in range(rounds):
            start.wait()
            contender()

    workers = [Worker(lambda contender=contender: run(contender)) for contender in contenders]
    return [worker.result(5 * PATIENCE) for worker in workers]


# Waiting


def test_wait_is_true_once_cancelled_and_false_when_the_time_is_over() -> None:
    source = CancellationTokenSource()
    assert source.token.wait(0) is False
    assert source.token.wait(0.001) is False
    assert not source.token._waiters
    waiter = Worker(source.token.wait)
    until(lambda: source.token._waiters)
    source.cancel()
    assert waiter.result() is True
    assert source.token.wait() is True


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.0005)


def test_waiters_are_woken_before_callbacks_run() -> None:
    source = CancellationTokenSource()
    waiter = Worker(source.token.wait)
    until(lambda: source.token._waiters)
    source.token.register(waiter.result)  # would wait for ever if the waiter had to wait for the callbacks
    source.cancel()


def test_a_disposed_source_ends_the_wait_of_threads_with_an_error() -> None:
    source = CancellationTokenSource()
    token = source.token
    waiter = Worker(token.wait)
    until(lambda: token._waiters)
    source.dispose()
    with pytest.raises(ObjectDisposedError, match="will never be canceled"):
        waiter.result()
    with pytest.raises(ObjectDisposedError, match="will never be canceled"):
        token.wait(0)


def test_waiting_burns_no_cpu() -> None:
    used: list[float] = []

    def wait() -> None:
        start = time.thread_time()
        CancellationTokenSource().token.wait(1)
        used.append(time.thread_time() - start)

    def wait_async() -> None:
        async def main() -> None:
            source = CancellationTokenSource(1)
            start = time.thread_time()
            await source.token.wait_async()
            used.append(time.thread_time() - start)

        asyncio.run(main())

    for worker in [Worker(wait), Worker(wait_async)]:
        worker.result()
    assert max(used) < 0.01


def test_a_cancel_from_another_thread_wakes_an_idle_loop_in_under_five_milliseconds() -> None:
    async def main() -> float:
        source = CancellationTokenSource()
        canceled: list[float] = []

        def cancel() -> None:
            canceled.append(time.perf_counter())
            source.cancel()

        timer = threading.Timer(0.02, cancel)
        timer.start()
        await source.token.wait_async()
        return time.perf_counter() - canceled[0]

    assert any(asyncio.run(main()) < 0.005 for _ in range(20))


def test_a_hundred_threads_cancel_a_tree_of_a_hundred_linked_sources() -> None:
    for _ in range(3):
        sources = [CancellationTokenSource()]
        ran: list[int] = []
        for n in range(1, 100):
            sources.append(link(sources[n // 3].token))
        for n, source in enumerate(sources):
            source.token.register(ran.append, n)
        start = threading.Barrier(100, timeout=PATIENCE)
        did: list[bool] = []

        def cancel(source: CancellationTokenSource) -> None:
            start.wait()  # noqa: B023
            did.append(source.cancel())  # noqa: B023

        for worker in [Worker(lambda source=source: cancel(source)) for source in sources]:
            worker.result()
        assert sorted(ran) == list(range(100))
        assert any(did)
        assert all(source.is_cancellation_requested for source in sources)


# Races


@pytest.mark.usefixtures("eager_switching")
def test_cancel_races_register_no_callback_is_lost_or_doubled() -> None:
    current: list[CancellationTokenSource] = [CancellationTokenSource()]
    ran: list[int] = []
    registered = [0]

    def register() -> None:
        for _ in range(20):
            registered[0] += 1
            current[0].token.register(ran.append, registered[0])

    def cancel() -> None:
        current[0].cancel()

    for _ in range(400):
        current[0] = CancellationTokenSource()
        race(register, cancel, rounds=1)
    assert sorted(ran) == list(range(1, registered[0] + 1))


@pytest.mark.usefixtures("eager_switching")
def test_cancel_races_unregister_and_dispose_ran_or_prevented_and_over_when_disposed() -> None:
    bad: list[str] = []

    def play(n: int) -> None:
        source = CancellationTokenSource()
        state = {"running": False, "ran": 0}

        def callback() -> None:
            state["running"] = True
            state["ran"] += 1
            for _ in range(3):
                pass
            state["running"] = False

        registration = source.token.register(callback)
        prevented: list[bool] = []

        def take_back() -> None:
            if n % 2:
                prevented.append(registration.unregister())
            else:
                registration.dispose()
                if state["running"]:
                    bad.append("dispose returned while the callback ran")
                ran = state["ran"]
                prevented.append(not ran)
                time.sleep(0)
                if state["ran"] != ran:
                    bad.append("the callback ran after dispose")

        race(source.cancel, take_back, rounds=1)
        if state["ran"] + prevented[0] != 1:
            bad.append(f"ran {state['ran']} times, prevented {prevented}")

    for n in range(400):
        play(n)
    assert bad == []


@pytest.mark.usefixtures("eager_switching")
def test_disposing_a_child_races_the_parents_cancel_nothing_runs_afterwards() -> None:
    bad: list[str] = []
    for _ in range(300):
        parent = CancellationTokenSource()
        child = link(parent.token)
        log: list[str] = []
        for n in range(3):
            child.token.register(log.append, str(n))

        def dispose() -> None:
            child.dispose()  # noqa: B023
            done = len(log)  # noqa: B023
            time.sleep(0)
            if len(log) != done or 0 < done < 3:  # noqa: B023
                bad.append(f"{done} callbacks at the end of dispose, {len(log)} later")  # noqa: B023

        race(parent.cancel, dispose, rounds=1)
    assert bad == []


@pytest.mark.usefixtures("eager_switching")
def test_linking_races_the_parents_cancel_no_child_is_missed() -> None:
    for _ in range(300):
        parent = CancellationTokenSource()
        children: list[CancellationTokenSource] = []

        def make() -> None:
            for _ in range(5):
                children.append(link(parent.token))  # noqa: B023

        race(parent.cancel, make, rounds=1)
        assert all(child.is_cancellation_requested for child in children)


@pytest.mark.usefixtures("eager_switching")
def test_listening_races_on_one_linked_token_keep_the_count_right() -> None:
    parent = CancellationTokenSource()
    child = link(parent.token)

    def register() -> None:
        for _ in range(10):
            child.token.register(int).unregister()

    race(register, register, register, rounds=30)
    assert not child.token._is_listened_on()
    assert list(parent.token._callbacks.values()) == [None]


@pytest.mark.usefixtures("eager_switching")
def test_everything_at_once_ends_and_every_wait_ends() -> None:
    for n in range(60):
        root = CancellationTokenSource()
        child = link(root.token)
        token = child.token
        ran: list[int] = []
        ends: list[str] = []

        def wait() -> None:
            try:
                ends.append(str(token.wait(PATIENCE)))  # noqa: B023
            except ObjectDisposedError:
                ends.append("disposed")  # noqa: B023

        def register() -> None:
            for _ in range(5):
                with token.register(ran.append, 1):  # noqa: B023
                    pass

        def set_deadlines() -> None:
            try:
                child.cancel_after(1000)  # noqa: B023
                child.try_reset()  # noqa: B023
                child.cancel_after(0)  # noqa: B023
            except ObjectDisposedError:
                pass

        race(wait, register, set_deadlines, root.cancel, child.dispose if n % 2 else register, rounds=1)
        assert ends
        assert ends[0] in ("True", "disposed")
        assert token._deadline is None or token._deadline.timer is None


# Signal handlers


@pytest.fixture
def on_signal() -> Iterator[Callable[[Callable[[], object]], None]]:
    def install(action: Callable[[], object]) -> None:
        def handler(signum: int, frame: FrameType | None) -> None:
            action()

        signal.signal(signal.SIGALRM, handler)

    before = signal.getsignal(signal.SIGALRM)
    yield install
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_a_signal_handler_that_cancels_at_any_point_of_linking_and_registering() -> None:
    def work() -> None:
        child = link(source.token)
        child.token.register(log.append, "ran")
        child.cancel_after(1000)
        child.token.register(log.append, "taken back").unregister()
        seen.append(not root.is_cancellation_requested or child.is_cancellation_requested)
        child.dispose()

    at = 0
    while True:
        root = CancellationTokenSource()
        source = link(root.token)
        seen: list[bool] = []
        log: list[str] = []
        at += 1
        if not interrupted(work, lambda: root.cancel("signal"), at):  # noqa: B023  (it is called before the next turn)
            break
        assert root.token.reason == source.token.reason == "signal"
        assert seen == [True], f"at point {at}"
        assert log.count("ran") <= 1
    assert at > 50


def test_a_signal_handler_that_cancels_at_any_point_of_a_cancel() -> None:
    at = 0
    while True:
        root = leaf = CancellationTokenSource()
        log: list[int] = []
        for n in range(5):
            leaf = link(leaf.token)
            leaf.token.register(log.append, n)
        at += 1
        first: list[bool] = []
        if not interrupted(lambda: root.cancel("main"), lambda: first.append(leaf.cancel("signal")), at):  # noqa: B023
            break
        assert sorted(log) == list(range(5)), f"at point {at}"
        assert leaf.token.reason == ("signal" if first == [True] else "main"), f"at point {at}"
    assert at > 50


def test_a_signal_handler_that_cancels_while_the_token_is_made_is_heard() -> None:
    def make() -> Any:
        def check() -> None:
            assert source.token.is_cancellation_requested
            assert not tokens or tokens[0] is source.token

        source = CancellationTokenSource()
        tokens: list[CancellationToken] = []
        return lambda: tokens.append(source.token), source.cancel, check

    assert at_every_point(make) >= 1


def test_the_deadline_that_a_signal_handler_sets_amid_another_is_not_lost_and_can_be_disarmed() -> None:
    def make() -> Any:
        def check() -> None:
            armed = [timer for _, _, timer in clock._timers._heap if timer.callback is not None]
            assert armed == [source.token._deadline.timer]
            source.cancel_after(None)
            clock.advance(1000)
            assert not source.is_cancellation_requested

        clock = FakeTimeProvider()
        source = CancellationTokenSource(1, time_provider=clock)
        return lambda: source.cancel_after(100), lambda: source.cancel_after(5), check

    assert at_every_point(make) > 5


def test_a_deadline_that_a_signal_handler_sets_while_old_ones_are_swept_out_is_kept() -> None:
    def make() -> Any:
        def check() -> None:
            clock.advance(1)
            assert source.is_cancellation_requested

        clock = FakeTimeProvider()
        clock._timers._sweep_at = 3
        others = [CancellationTokenSource(100, time_provider=clock) for _ in range(3)]
        others[0].dispose()
        source = CancellationTokenSource(time_provider=clock)
        return lambda: others[1].cancel_after(200), lambda: source.cancel_after(1), check

    assert at_every_point(make) > 5


def test_a_callback_that_a_signal_handler_registers_while_the_last_one_is_taken_back_keeps_the_child() -> None:
    def make() -> Any:
        def check() -> None:
            log.clear()
            children.clear()
            gc.collect()  # the tracing has kept frames
            root.cancel()
            assert log == ["heard"]

        root, log = CancellationTokenSource(), list[str]()
        children = [link(root.token)]
        registration = children[0].token.register(log.append, "taken back")
        return registration.unregister, lambda: children[0].token.register(log.append, "heard"), check

    assert at_every_point(make) > 3


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there are no interval timers here")
def test_a_signal_handler_wakes_the_main_thread_out_of_wait(on_signal: Any) -> None:
    source = CancellationTokenSource()
    on_signal(source.cancel)
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    assert source.token.wait(PATIENCE)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there are no interval timers here")
def test_a_signal_handler_wakes_an_idle_loop(on_signal: Any) -> None:
    async def main() -> None:
        source = CancellationTokenSource()
        on_signal(source.cancel)
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        async with asyncio.timeout(PATIENCE):
            await source.token.wait_async()

    start = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - start < PATIENCE / 2


def test_a_registration_made_on_one_thread_is_taken_back_on_another() -> None:
    source = CancellationTokenSource()
    registration = in_thread(lambda: source.token.register(print))
    assert isinstance(registration, CancellationTokenRegistration)
    assert in_thread(registration.unregister)
    assert not CancellationToken.none.is_cancellation_requested
