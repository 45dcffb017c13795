"""Deadlines: cancel_after, the system's clock with its one thread, and the fake clock."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable
from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest
from token_helpers import PATIENCE, HeldClock, Worker, in_loop

from cancellation import (
    CancellationTokenSource,
    FakeTimeProvider,
    OperationCanceledError,
    TimeProvider,
    Timer,
    clock,
    delay,
)

link = CancellationTokenSource.create_linked_token_source
FOREVER = 1000


def test_a_delay_of_nothing_cancels_in_the_constructor() -> None:
    for nothing in (0, 0.0, timedelta(0)):
        source = CancellationTokenSource(nothing)
        assert source.is_cancellation_requested
        assert isinstance(source.token.reason, TimeoutError)
        assert source.token.origin == source.token


def test_cancel_after_nothing_cancels_soon_but_never_before_it_returns() -> None:
    for _ in range(50):
        source = CancellationTokenSource()
        threads: list[int] = []
        source.token.register(lambda threads=threads: threads.append(threading.get_ident()))
        source.cancel_after(0)
        assert source.token.wait(PATIENCE)
        source.token.wait(0)
        source.dispose()
        assert threading.get_ident() not in threads
    fake = FakeTimeProvider()
    source = CancellationTokenSource(time_provider=fake)
    source.cancel_after(0)
    assert not source.is_cancellation_requested
    fake.advance(0)
    assert source.is_cancellation_requested


def test_a_deadline_tells_itself_apart_from_a_click() -> None:
    fake = FakeTimeProvider()
    source = CancellationTokenSource(1.5, time_provider=fake)
    fake.advance(1.5)
    with pytest.raises(
        OperationCanceledError, match=r"^The operation was canceled: deadline of 1\.5 s passed$"
    ) as info:
        source.token.throw_if_cancellation_requested()
    assert type(info.value.__cause__) is TimeoutError


def test_every_kind_of_number_and_timedelta_is_a_time() -> None:
    for time_ in (2, 2.0, timedelta(seconds=2), Fraction(2)):
        fake = FakeTimeProvider()
        source = CancellationTokenSource(time_, time_provider=fake)  # type: ignore[arg-type]
        fake.advance(1.99)
        assert not source.is_cancellation_requested
        fake.advance(timedelta(milliseconds=10))
        assert source.is_cancellation_requested


def test_the_last_cancel_after_wins_be_it_later_sooner_or_never() -> None:
    fake = FakeTimeProvider()
    later, sooner, never = (CancellationTokenSource(5, time_provider=fake) for _ in range(3))
    later.cancel_after(10)
    sooner.cancel_after(1)
    never.cancel_after(None)
    fake.advance(1)
    assert [s.is_cancellation_requested for s in (later, sooner, never)] == [False, True, False]
    fake.advance(8)
    assert not later.is_cancellation_requested
    fake.advance(1)
    assert later.is_cancellation_requested
    fake.advance(1000)
    assert not never.is_cancellation_requested
    assert str(later.token.reason) == "deadline of 10 s passed"


def test_a_cancel_disarms_the_deadline_and_keeps_its_own_reason() -> None:
    fake = FakeTimeProvider()
    source = CancellationTokenSource(5, time_provider=fake)
    source.cancel("click")
    source.cancel_after(1)
    fake.advance(10)
    assert source.token.reason == "click"
    assert source.token._deadline is None


def test_a_parents_cancel_disarms_the_deadline_of_the_child() -> None:
    fake = FakeTimeProvider()
    parent = CancellationTokenSource()
    child = link(parent.token, time_provider=fake)
    child.cancel_after(5)
    parent.cancel("parent")
    assert child.token._deadline is None
    fake.advance(10)
    assert child.token.reason == "parent"


def test_try_reset_and_dispose_disarm_the_deadline() -> None:
    fake = FakeTimeProvider()
    reset, disposed = (CancellationTokenSource(5, time_provider=fake) for _ in range(2))
    token = disposed.token
    assert reset.try_reset()
    disposed.dispose()
    fake.advance(10)
    assert not reset.is_cancellation_requested
    assert not token.is_cancellation_requested
    reset.cancel_after(1)
    fake.advance(1)
    assert reset.is_cancellation_requested


def test_a_source_cancelled_while_its_deadline_is_being_set_does_not_keep_it() -> None:
    class Slow(FakeTimeProvider):
        def create_timer(self, callback: Any, delay: float) -> Any:
            timer = super().create_timer(callback, delay)
            end()
            return timer

    for name in ("cancel", "dispose"):
        source = CancellationTokenSource(time_provider=Slow())
        token = source.token
        end = getattr(source, name)
        source.cancel_after(5)
        assert token._deadline is None


# A deadline that is already firing: the clock has taken it, and not yet called it back


def test_a_deadline_that_is_firing_cancels_nothing_after_try_reset() -> None:
    clock = HeldClock()
    source = CancellationTokenSource(5, time_provider=clock)
    assert source.try_reset()
    heard: list[object] = []
    source.token.register(heard.append, "the next user of a pooled source")
    clock.fired()
    assert not source.is_cancellation_requested
    assert heard == []
    assert source.cancel("click")
    assert heard


@pytest.mark.parametrize("then", [None, 0, 3600])
def test_a_deadline_that_is_firing_cancels_nothing_after_the_next_cancel_after(then: float | None) -> None:
    clock = HeldClock()
    source = CancellationTokenSource(5, time_provider=clock)
    source.cancel_after(then)
    clock.fired()
    assert not source.is_cancellation_requested
    if then is not None:
        clock.fired()
        assert str(source.token.reason) == f"deadline of {then} s passed"


def test_a_deadline_that_has_fired_cannot_be_taken_back() -> None:
    clock = HeldClock()
    source = CancellationTokenSource(5, time_provider=clock)
    heard: list[object] = []
    source.token.register(lambda: heard.append(source.try_reset()))
    clock.fired()
    assert heard == [False]
    assert not source.try_reset()
    source.cancel_after(None)
    assert source.is_cancellation_requested


def test_try_reset_and_a_deadline_on_another_thread_agree() -> None:
    clock = HeldClock()
    for _ in range(300):
        source = CancellationTokenSource(5, time_provider=clock)
        heard: list[object] = []
        source.token.register(heard.append, "deadline")
        firing = Worker(clock.fired)
        reset = source.try_reset()
        firing.result()
        assert source.is_cancellation_requested is not reset
        assert heard == ([] if reset else ["deadline"])


def test_try_reset_puts_a_timer_away_that_takes_the_lock_under_which_its_clock_fires() -> None:
    lock, disposing, firing = threading.Lock(), threading.Event(), threading.Event()

    class Theirs(Timer):
        def dispose(self) -> None:
            disposing.set()
            with lock:
                super().dispose()

    class Clock(TimeProvider):
        def create_timer(self, callback: Callable[[], object], delay: float) -> Timer:
            self.callback = callback
            return Theirs(callback, 0)

        def fire(self) -> None:
            with lock:
                firing.set()
                assert disposing.wait(PATIENCE)
                self.callback()

    clock = Clock()
    source = CancellationTokenSource(5, time_provider=clock)
    worker = Worker(clock.fire)
    assert firing.wait(PATIENCE)
    assert source.try_reset()
    worker.result()
    assert not source.is_cancellation_requested


def test_try_reset_drops_callbacks_whose_end_waits_for_another_cancel() -> None:
    class Callback:
        def __call__(self) -> None: ...

        def __del__(self) -> None:
            ended.append(Worker(CancellationTokenSource().cancel).result())

    ended: list[bool] = []
    source = CancellationTokenSource()
    source.token.register(Callback())
    assert source.try_reset()
    assert ended == [True]


# The fake clock


def test_timers_fire_in_the_order_of_their_time_each_at_its_own_instant() -> None:
    fake = FakeTimeProvider()
    log: list[tuple[str, float]] = []
    for name, due in [("c", 3.0), ("a", 1.0), ("b1", 2.0), ("b2", 2.0)]:
        fake.create_timer(lambda name=name: log.append((name, fake.get_timestamp())), due)
    fake.advance(10)
    assert log == [("a", 1), ("b1", 2), ("b2", 2), ("c", 3)]
    assert fake.get_timestamp() == 10


def test_a_timer_set_by_a_timer_fires_in_the_same_advance_if_it_is_due() -> None:
    fake = FakeTimeProvider()
    log: list[float] = []

    def first() -> None:
        fake.create_timer(lambda: log.append(fake.get_timestamp()), 2)
        fake.create_timer(lambda: log.append(fake.get_timestamp()), 20)

    fake.create_timer(first, 1)
    fake.advance(10)
    assert log == [3]


def test_time_never_goes_back_even_if_a_callback_advances_further() -> None:
    fake = FakeTimeProvider()
    fake.create_timer(lambda: fake.advance(100), 1)
    fake.advance(5)
    assert fake.get_timestamp() == 101


def test_an_error_comes_out_of_advance_when_all_due_timers_have_fired() -> None:
    fake = FakeTimeProvider()
    sources = [CancellationTokenSource(n, time_provider=fake) for n in (1, 2, 3)]
    sources[0].token.register(lambda: 1 / 0)
    with pytest.raises(ExceptionGroup) as info:
        fake.advance(5)
    assert type(info.value.exceptions[0]) is ZeroDivisionError
    assert all(s.is_cancellation_requested for s in sources)
    assert fake.get_timestamp() == 5


def test_several_errors_come_out_of_advance_together() -> None:
    fake = FakeTimeProvider()

    def interrupt() -> None:
        raise KeyboardInterrupt

    fake.create_timer(lambda: 1 / 0, 1)
    fake.create_timer(interrupt, 2)
    with pytest.raises(BaseExceptionGroup) as info:
        fake.advance(2)
    assert [type(e) for e in info.value.exceptions] == [ZeroDivisionError, KeyboardInterrupt]


def test_a_disposed_timer_never_fires_and_dispose_may_be_repeated() -> None:
    fake = FakeTimeProvider()
    timer = fake.create_timer(lambda: 1 / 0, 1)
    timer.dispose()
    timer.dispose()
    fake.advance(2)


# The fake clock and the tasks of a loop


async def sleeper(clock_: FakeTimeProvider, times: int, log: list[float]) -> None:
    for _ in range(times):
        await delay(1, time_provider=clock_)
        log.append(clock_.get_timestamp())


@in_loop
async def test_a_task_that_sleeps_three_times_wakes_three_times_in_one_advance_async() -> None:
    fake, log = FakeTimeProvider(), list[float]()
    task = asyncio.create_task(sleeper(fake, 3, log))  # which has not had its first turn
    await fake.advance_async(timedelta(seconds=3.5))
    assert log == [1, 2, 3]
    assert fake.get_timestamp() == 3.5
    assert task.done()


@in_loop
async def test_what_a_deadline_wakes_has_its_turns_before_the_next_one_and_before_advance_async_returns() -> None:
    fake = FakeTimeProvider()
    log: list[str] = []

    async def waits(name: str, source: CancellationTokenSource) -> None:
        await source.token.wait_async()
        for _ in range(10):
            await asyncio.sleep(0)
        log.append(name)

    sources = [CancellationTokenSource(seconds, time_provider=fake) for seconds in (1, 2)]
    tasks = [asyncio.create_task(waits(name, source)) for name, source in zip(("a", "b"), sources, strict=True)]
    sources[1].token.register(log.append, "second deadline")
    await fake.advance_async(2)
    assert log == ["a", "second deadline", "b"]
    assert all(task.done() for task in tasks)


@in_loop
async def test_errors_come_out_of_advance_async_when_all_due_timers_have_fired() -> None:
    for failing in (1, 2):
        fake, fired = FakeTimeProvider(), list[float]()
        for seconds in range(failing):
            fake.create_timer(lambda: 1 / 0, seconds)
        fake.create_timer(lambda fake=fake, fired=fired: fired.append(fake.get_timestamp()), 3)
        with pytest.raises(ZeroDivisionError if failing == 1 else ExceptionGroup):
            await fake.advance_async(3)
        assert fired == [3]
    with pytest.raises(ValueError, match="seconds must be"):
        await fake.advance_async(-1)


@in_loop
async def test_two_advance_async_at_once_let_a_task_wake_at_each_of_its_instants() -> None:
    for steps in ((5, 5), (2, 5), (5, 2)):
        fake, log = FakeTimeProvider(), list[float]()
        task = asyncio.create_task(sleeper(fake, 5, log))
        await asyncio.gather(*(fake.advance_async(step) for step in steps))
        assert log == [1, 2, 3, 4, 5]
        assert fake.get_timestamp() == 5
        assert task.done()


@in_loop
async def test_a_callback_in_advance_async_advances_from_its_own_instant_on() -> None:
    fake = FakeTimeProvider()
    fake.create_timer(lambda: fake.advance(10), 3)
    await fake.advance_async(5)
    assert fake.get_timestamp() == 13
    await fake.advance_async(1)
    assert fake.get_timestamp() == 14


@in_loop
async def test_a_callback_still_advances_from_its_own_instant_when_a_shorter_advance_async_has_ended() -> None:
    fake = FakeTimeProvider()
    for seconds in (1, 2, 3):  # at which the longer one rests
        fake.create_timer(lambda: None, seconds)
    fake.create_timer(lambda: fake.advance(1), 4)
    await asyncio.gather(fake.advance_async(1), fake.advance_async(10))
    assert fake.get_timestamp() == 10


@in_loop
async def test_the_time_that_a_cancelled_advance_async_had_still_to_go_does_not_count() -> None:
    fake, log = FakeTimeProvider(), list[float]()
    fake.create_timer(lambda: task.cancel(), 2)
    task = asyncio.create_task(fake.advance_async(10))
    await asyncio.wait([task])
    assert task.cancelled()
    assert fake.get_timestamp() == 2
    fake.create_timer(lambda: log.append(fake.get_timestamp()), 1)
    fake.advance(1)
    assert log == [3]
    assert fake.get_timestamp() == 3


# The real clock


def timer_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "cancellation-timers"]


def test_deadlines_fire_in_time_and_in_order_on_one_shared_daemon_thread() -> None:
    log: list[float] = []
    threads: set[threading.Thread] = set()
    sources = []
    for seconds in (0.03, 0.01, 0.02):
        source = CancellationTokenSource(seconds)
        deadline = source.token._deadline
        assert deadline is not None
        timer = deadline.timer
        assert timer is not None
        source.token.register(lambda due=timer.due: (threads.add(threading.current_thread()), log.append(due)))
        sources.append(source)
    deadline = time.monotonic() + PATIENCE
    while len(log) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    assert log == sorted(log)
    [thread] = threads
    assert timer_threads() == [thread]
    assert thread.daemon


def test_a_sooner_deadline_overtakes_one_the_thread_sleeps_for() -> None:
    late = CancellationTokenSource(1000)
    assert CancellationTokenSource(0.01).token.wait(PATIENCE)
    late.dispose()


def test_a_deadline_beyond_what_a_lock_can_wait_for_is_fine() -> None:
    far = CancellationTokenSource(1e12)
    assert CancellationTokenSource(0.01).token.wait(PATIENCE)
    far.dispose()
    assert not CancellationTokenSource().token.wait(timedelta(milliseconds=1))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_error_in_a_deadlines_callback_reaches_the_hook_and_kills_no_other_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lost: list[Any] = []
    reached = threading.Event()

    def hook(args: Any) -> None:
        lost.append(args.exc_value)
        reached.set()
        raise RuntimeError("a hook that fails, too")

    monkeypatch.setattr(threading, "excepthook", hook)
    monkeypatch.setattr("sys.excepthook", lambda *_: None)
    log: list[int] = []
    source = CancellationTokenSource(0.01)
    source.token.register(log.append, 1)
    source.token.register(lambda: 1 / 0)
    later = CancellationTokenSource(0.02)
    assert source.token.wait(PATIENCE)
    assert reached.wait(PATIENCE)
    assert later.token.wait(PATIENCE)
    assert log == [1]
    assert [type(e) for e in lost] == [ExceptionGroup]
    assert CancellationTokenSource(0.01).token.wait(PATIENCE)


def test_forgotten_deadlines_do_not_pile_up() -> None:
    before = len(clock._alarm._heap)
    for _ in range(20_000):
        CancellationTokenSource(1000).dispose()
    assert len(clock._alarm._heap) <= 2 * before + 2000


def test_a_provider_of_ones_own_needs_only_two_methods() -> None:
    class Mine(TimeProvider):
        def create_timer(self, callback: Any, delay: float) -> Any:
            made.append(delay)
            return super().create_timer(callback, 0)

    made: list[float] = []
    assert CancellationTokenSource(1000, time_provider=Mine()).token.wait(PATIENCE)
    assert made == [1000]
    assert TimeProvider.system.get_timestamp() <= TimeProvider.system.get_timestamp()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_deadlines_go_on_in_a_forked_process_even_if_a_lock_was_held() -> None:
    from cancellation import tree

    source = CancellationTokenSource(0.05)
    held, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with clock._alarm._lock, tree.lock:
            held.set()
            let_go.wait(PATIENCE)

    holder = Worker(hold)
    assert held.wait(PATIENCE)
    child = os.fork()
    if child == 0:  # no assert here: the child must end, and say how with its code
        signal.alarm(PATIENCE)  # a child that hangs dies
        good = False
        try:
            good = source.token.wait(PATIENCE) and CancellationTokenSource(0.01).token.wait(PATIENCE)
            good = good and isinstance(link(source.token).token.reason, TimeoutError)
        finally:
            os._exit(0 if good else 1)
    let_go.set()
    holder.result()
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert source.token.wait(PATIENCE)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_deadline_that_is_just_firing_in_a_fork_fires_in_parent_and_child(monkeypatch: pytest.MonkeyPatch) -> None:
    fire, parent = clock.Timer.fire, os.getpid()
    taken, let_go = threading.Event(), threading.Event()

    def hold_and_fire(timer: clock.Timer) -> list[BaseException]:
        if os.getpid() == parent:
            taken.set()
            let_go.wait(PATIENCE)
        return fire(timer)

    monkeypatch.setattr(clock.Timer, "fire", hold_and_fire)
    source, later = CancellationTokenSource(0.001), CancellationTokenSource(0.01)
    heard: list[str] = []
    source.token.register(heard.append, "once")
    assert taken.wait(PATIENCE)  # the clock's thread has taken it, and not yet called it back
    child = os.fork()
    if child == 0:  # no assert here: the child must end, and say how with its code
        signal.alarm(PATIENCE)  # a child that hangs dies
        good = False
        try:
            good = source.token.wait(PATIENCE) and later.token.wait(PATIENCE)
            good = good and CancellationTokenSource(0.01).token.wait(PATIENCE) and heard == ["once"]
        finally:
            os._exit(0 if good else 1)
    let_go.set()
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert later.token.wait(PATIENCE)
    assert source.is_cancellation_requested


def test_a_deadline_wakes_an_idle_loop() -> None:
    async def main() -> None:
        await CancellationTokenSource(0.01).token.wait_async()

    asyncio.run(asyncio.wait_for(main(), PATIENCE))


def test_tenths_of_a_second_add_up_on_a_fake_clock() -> None:
    for step, times, whole in ((0.1, 10, 1), (0.3, 10, 3), (timedelta(milliseconds=100), 10, 1)):
        provider = FakeTimeProvider()
        source = CancellationTokenSource(whole, time_provider=provider)
        for _ in range(times):
            assert not source.is_cancellation_requested
            provider.advance(step)
        assert source.is_cancellation_requested
        assert provider.get_timestamp() == whole


def test_threads_that_advance_a_fake_clock_together_lose_none_of_its_time() -> None:
    def advance() -> None:
        for _ in range(2000):
            provider.advance(1)

    provider, before = FakeTimeProvider(), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for worker in [Worker(advance) for _ in range(3)]:
            worker.result()
    finally:
        sys.setswitchinterval(before)
    assert provider.get_timestamp() == 6000


def test_a_clock_of_ones_own_that_only_tells_another_time_has_the_systems_timers() -> None:
    class SinceMidnight(TimeProvider):
        get_timestamp = staticmethod(lambda: 0.0)

    source = CancellationTokenSource(0.02, time_provider=SinceMidnight())
    assert source.token.wait(PATIENCE)
    assert not CancellationTokenSource(1000, time_provider=SinceMidnight()).token.wait(0.05)


def test_a_thread_that_could_not_be_started_costs_no_later_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_thread(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(clock, "_alarm", clock._Alarm())
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            CancellationTokenSource(0.01)
    assert CancellationTokenSource(0.01).token.wait(PATIENCE)


# Where no thread can be had


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_thread(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(clock, "_alarm", clock._Alarm())
    monkeypatch.setattr(threading.Thread, "start", no_thread)


@pytest.mark.usefixtures("no_threads")
def test_without_threads_a_deadline_fires_on_the_running_loop() -> None:
    async def main() -> None:
        source = CancellationTokenSource(0.01)
        child = link(source.token)
        child.cancel_after(FOREVER)
        with pytest.raises(OperationCanceledError, match=r"deadline of 0\.01 s passed"):
            await delay(FOREVER, child.token)
        assert source.token.origin == source.token
        again = CancellationTokenSource()
        again.cancel_after(0)
        assert not again.is_cancellation_requested  # never before it returns
        assert await again.token.wait_async(PATIENCE)

    asyncio.run(main())


@pytest.mark.usefixtures("no_threads")
def test_without_threads_a_deadline_can_be_taken_back_and_put_off() -> None:
    async def main() -> None:
        taken_back, put_off, disposed = (CancellationTokenSource(0.001) for _ in range(3))
        token = disposed.token
        taken_back.cancel_after(None)
        put_off.cancel_after(0.01)
        disposed.dispose()
        assert await put_off.token.wait_async(PATIENCE)
        assert str(put_off.token.reason) == "deadline of 0.01 s passed"
        assert not taken_back.is_cancellation_requested
        assert not token.is_cancellation_requested

    asyncio.run(main())


@pytest.mark.usefixtures("no_threads")
def test_without_threads_and_without_a_loop_a_deadline_is_an_error_in_words() -> None:
    source = CancellationTokenSource()
    for set_one in (lambda: CancellationTokenSource(5), lambda: source.cancel_after(5)):
        with pytest.raises(
            RuntimeError, match=r"can't start new thread: a deadline needs a thread .* running event loop"
        ):
            set_one()
    assert source.cancel("by hand, it still works")
    fake = FakeTimeProvider()
    source = CancellationTokenSource(5, time_provider=fake)
    fake.advance(5)
    assert source.is_cancellation_requested


@pytest.mark.usefixtures("no_threads")
def test_without_threads_an_error_in_a_deadlines_callback_reaches_the_hook_and_harms_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lost: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", lost.append)

    async def main() -> None:
        failing, other = CancellationTokenSource(0.001), CancellationTokenSource(0.002)
        failing.token.register(lambda: 1 / 0)
        assert await other.token.wait_async(PATIENCE)
        assert failing.is_cancellation_requested

    asyncio.run(main())
    [args] = lost
    assert args.exc_type is ExceptionGroup
    assert isinstance(args.exc_value.exceptions[0], ZeroDivisionError)
    assert args.exc_traceback is args.exc_value.__traceback__


def test_cancel_async_runs_the_callbacks_here_where_there_is_no_thread_to_be_had(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_thread(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    source, log = CancellationTokenSource(), list[str]()
    source.token.register(log.append, "ran")
    monkeypatch.setattr(threading.Thread, "start", no_thread)
    end = source.cancel_async()
    assert log == ["ran"]
    asyncio.run(_wait_for(end))


async def _wait_for(awaitable: Any) -> None:
    await awaitable


def test_a_clock_that_sweeps_forgotten_deadlines_out_keeps_the_others() -> None:
    clock = FakeTimeProvider()
    clock._timers._sweep_at = 3
    sources = [CancellationTokenSource(n, time_provider=clock) for n in (3, 2, 1)]
    sources[1].dispose()
    late = CancellationTokenSource(1.5, time_provider=clock)
    assert sorted(due for due, _, _ in clock._timers._heap) == [1e9, 1.5e9, 3e9]
    clock.advance(3)
    assert [source.is_cancellation_requested for source in (*sources, late)] == [True, False, True, True]


def test_a_deadline_that_is_replaced_before_it_has_its_timer_never_rings() -> None:
    class Slow(FakeTimeProvider):
        def create_timer(self, callback: Callable[[], object], delay: float) -> Timer:
            timer = super().create_timer(callback, delay)
            if delay == 1:
                source.cancel_after(10)
            timers.append(timer)
            return timer

    timers: list[Timer] = []
    clock = Slow()
    source = CancellationTokenSource(time_provider=clock)
    source.cancel_after(1)
    assert [timer.callback is None for timer in timers] == [False, True]
    clock.advance(9)
    assert not source.is_cancellation_requested
    clock.advance(1)
    assert source.is_cancellation_requested


def test_a_clock_that_has_no_timer_leaves_the_deadline_that_was_set_before() -> None:
    class Clock(FakeTimeProvider):
        broken = False

        def create_timer(self, callback: Any, delay: float) -> Timer:
            if self.broken:
                raise RuntimeError("no timer for you")
            return super().create_timer(callback, delay)

    clock = Clock()
    source = CancellationTokenSource(5, time_provider=clock)
    clock.broken = True
    with pytest.raises(RuntimeError, match="no timer"):
        source.cancel_after(1)
    clock.advance(4.9)
    assert not source.is_cancellation_requested
    clock.advance(0.1)
    assert str(source.token.reason) == "deadline of 5 s passed"


def test_no_delay_is_too_long_for_a_fake_clock() -> None:
    clock = FakeTimeProvider()
    source = CancellationTokenSource(1e300, time_provider=clock)
    clock.advance(9e299)
    assert not source.is_cancellation_requested
    clock.advance(1e300)
    assert source.is_cancellation_requested


def test_a_timer_that_keeps_its_callback_keeps_no_token_after_its_deadline_was_disarmed() -> None:
    class Keeps(Timer):
        def dispose(self) -> None: ...

    class Clock(TimeProvider):
        timers: list[Timer] = []  # noqa: RUF012

        def create_timer(self, callback: Any, delay: float) -> Timer:
            self.timers.append(Keeps(callback, 0))
            return self.timers[-1]

    for end in (lambda s: s.cancel(), lambda s: s.cancel_after(None), lambda s: s.dispose(), lambda s: s.try_reset()):
        source = CancellationTokenSource(1000, time_provider=Clock())
        source.token.register(int)
        ref = weakref.ref(source.token)
        end(source)
        del source
        assert ref() is None
