"""Linked sources: who hears what, who keeps whom alive, and that nothing depends on depth or number."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from token_helpers import PATIENCE, Blocker, Worker

from cancellation import (
    CancellationToken,
    CancellationTokenSource,
    FakeTimeProvider,
    ObjectDisposedError,
    OperationCanceledError,
    TimeProvider,
    cancel_scope,
    delay,
    run_until_canceled,
    tree,
)

link = CancellationTokenSource.create_linked_token_source
DEPTH = 50_000


@pytest.fixture
def no_gc() -> Iterator[None]:
    """Reference counts alone must free everything."""
    gc.disable()
    yield
    gc.enable()


class Thing:
    """Something to watch the death of."""


def count(parent: CancellationTokenSource) -> int:
    return len(parent.token._callbacks)


# Who hears


def test_a_child_never_touches_its_parents() -> None:
    a, b = CancellationTokenSource(), CancellationTokenSource()
    child = link(a.token, b.token)
    child.cancel()
    child.dispose()
    assert not a.is_cancellation_requested
    assert not b.is_cancellation_requested
    assert count(a) == count(b) == 0


def test_links_to_none_make_an_ordinary_source() -> None:
    source = link(CancellationToken.none, CancellationToken())
    assert source.token.can_be_canceled
    assert source.cancel("own")
    assert source.token.origin == source.token


def test_a_diamond_is_cancelled_once_in_order() -> None:
    log: list[str] = []
    top = CancellationTokenSource()
    left, right = link(top.token), link(top.token)
    bottom = link(left.token, right.token)
    for name, source in {"top": top, "left": left, "right": right, "bottom": bottom}.items():
        source.token.register(log.append, name)
    top.cancel()
    assert log == ["top", "right", "bottom", "left"]


def test_order_is_newest_first_across_callbacks_and_links() -> None:
    log: list[str] = []
    root = CancellationTokenSource()
    root.token.register(log.append, "r1")
    a = link(root.token)
    a.token.register(log.append, "a1")
    root.token.register(log.append, "r2")
    b = link(root.token)
    b.token.register(log.append, "b1")
    a.token.register(log.append, "a2")
    root.cancel()
    assert log == ["b1", "r2", "a2", "a1", "r1"]


def test_a_child_disposed_by_a_callback_that_runs_before_it_is_marked_but_not_called() -> None:
    log: list[str] = []
    root = CancellationTokenSource()
    child = link(root.token)
    token = child.token
    dropped = token.register(log.append, "child")
    root.token.register(child.dispose)
    root.cancel()
    assert token.is_cancellation_requested
    assert log == []
    assert dropped.unregister()


def test_a_child_cancelled_by_a_callback_that_runs_before_it_keeps_the_first_reason() -> None:
    root = CancellationTokenSource()
    child = link(root.token)
    root.token.register(lambda: child.cancel("late"))
    root.cancel("first")
    assert child.token.reason == "first"


def test_a_child_linked_by_a_callback_is_cancelled_at_once() -> None:
    root = CancellationTokenSource()
    seen: list[bool] = []
    root.token.register(lambda: seen.append(link(root.token).is_cancellation_requested))
    root.cancel()
    assert seen == [True]


def test_disposing_a_child_waits_for_its_callbacks_that_its_parents_cancel_runs_elsewhere() -> None:
    root = CancellationTokenSource()
    middle = link(root.token)
    child = link(middle.token)
    blocker = Blocker()
    child.token.register(blocker)
    canceler = Worker(root.cancel)
    assert blocker.started.wait(PATIENCE)
    done: list[bool] = []

    def dispose(source: CancellationTokenSource) -> None:
        source.dispose()
        done.append(blocker.done)

    disposers = [Worker(lambda: dispose(child)), Worker(lambda: dispose(middle))]
    for disposer in disposers:
        disposer.join(0.02)
        assert disposer.is_alive()
    blocker.let_go.set()
    for worker in [canceler, *disposers]:
        worker.result()
    assert done == [True, True]


def test_disposing_a_child_inside_its_own_callback_does_not_wait_for_itself() -> None:
    log: list[str] = []
    root = CancellationTokenSource()
    child = link(root.token)
    child.token.register(log.append, "rest")
    child.token.register(child.dispose)
    Worker(root.cancel).result()
    assert log == ["rest"]


def test_disposing_the_root_while_it_cancels_elsewhere_does_not_wait() -> None:
    root = CancellationTokenSource()
    blocker = Blocker()
    root.token.register(blocker)
    canceler = Worker(root.cancel)
    assert blocker.started.wait(PATIENCE)
    Worker(root.dispose).result()
    assert not blocker.done
    blocker.let_go.set()
    canceler.result()


def test_a_linked_source_has_a_deadline_of_its_own_on_its_own_clock() -> None:
    clock = FakeTimeProvider()
    parent = CancellationTokenSource()
    child = link(parent.token, time_provider=clock)
    child.cancel_after(5)
    clock.advance(5)
    assert isinstance(child.token.reason, TimeoutError)
    assert child.token.origin == child.token
    assert not parent.is_cancellation_requested


# Who keeps whom alive


@pytest.mark.usefixtures("no_gc")
def test_a_parent_holds_no_trace_of_finished_children() -> None:
    parent = CancellationTokenSource()
    for n in range(20_000):
        child = link(parent.token)
        if n % 4 == 1:
            child.cancel()
        elif n % 4 == 2:
            child.dispose()
        elif n % 4 == 3:
            child.token.register(print).unregister()
        del child
    assert count(parent) == 0


@pytest.mark.usefixtures("no_gc")
@pytest.mark.parametrize("end", ["cancel", "dispose"])
def test_a_child_that_has_ended_leaves_its_parents_at_once_though_it_lives_on(end: str) -> None:
    a, b = CancellationTokenSource(), CancellationTokenSource()
    child = link(a.token, b.token)
    child.token.register(lambda: None)
    token = child.token
    getattr(child, end)()
    assert count(a) == count(b) == 0
    assert not token._links


def test_a_child_that_was_cancelled_with_its_parent_holds_on_to_it_no_more() -> None:
    root = CancellationTokenSource()
    child = link(root.token)
    registration = child.token.register(lambda: None)
    child.token.register(registration.unregister)  # its last listener leaves in the midst of the cancel
    root.cancel()
    assert not child.token._links
    ref = weakref.ref(root.token)
    del root
    assert child.token.origin is not None  # the child's origin is the root's token, and keeps it
    assert ref() is child.token.origin


def listen_by_register(token: CancellationToken) -> Callable[[], object]:
    return token.register(lambda: None).unregister


def listen_by_child(token: CancellationToken) -> Callable[[], object]:
    child = link(token)
    return child.token.register(lambda: None).unregister  # the child itself is dropped


@pytest.mark.usefixtures("no_gc")
@pytest.mark.parametrize("listen", [listen_by_register, listen_by_child])
@pytest.mark.parametrize("parents", [1, 3])
def test_a_dropped_child_lives_exactly_as_long_as_somebody_listens(listen: Any, parents: int) -> None:
    sources = [CancellationTokenSource() for _ in range(parents)]
    child = link(*(s.token for s in sources))
    alive = weakref.ref(child.token)
    stop = listen(child.token)
    del child
    assert alive() is not None
    stop()
    del stop
    assert alive() is None
    assert [count(s) for s in sources] == [0] * parents


@pytest.mark.usefixtures("no_gc")
def test_a_dropped_middle_still_carries_the_cancel_to_one_who_only_looks() -> None:
    root = CancellationTokenSource()
    leaf = link(link(link(root.token).token).token).token
    root.cancel("r")
    assert leaf.is_cancellation_requested
    assert leaf.reason == "r"


@pytest.mark.usefixtures("no_gc")
def test_a_dropped_middle_still_carries_the_cancel_to_listeners() -> None:
    log: list[int] = []
    root = CancellationTokenSource()
    link(link(link(root.token).token).token).token.register(log.append, 1)
    root.cancel()
    assert log == [1]


@pytest.mark.usefixtures("no_gc")
def test_a_thread_or_task_that_waits_on_a_dropped_child_hears_the_cancel() -> None:
    root = CancellationTokenSource()
    thread = Worker(lambda: link(root.token).token.wait(PATIENCE))
    loop = Worker(lambda: asyncio.run(link(root.token).token.wait_async()))
    deadline = time.monotonic() + PATIENCE
    while count(root) < 2 or None in root.token._callbacks.values():
        assert time.monotonic() < deadline
        time.sleep(0.001)
    root.cancel()
    assert thread.result() is True
    loop.result()


@pytest.mark.usefixtures("no_gc")
def test_a_dropped_root_frees_all_below_whether_listened_on_or_not() -> None:
    root = CancellationTokenSource()
    child = link(root.token)
    leaf = link(child.token)
    thing = Thing()
    leaf.token.register(lambda thing: None, thing)
    refs = [weakref.ref(o) for o in (root, root.token, child, child.token, leaf, leaf.token, thing)]
    del root, child, leaf, thing
    assert [r() for r in refs] == [None] * 7


@pytest.mark.usefixtures("no_gc")
def test_callbacks_and_their_arguments_are_freed_when_run_dropped_reset_or_taken_back() -> None:
    def end_by(end: Callable[[CancellationTokenSource, Any], object]) -> None:
        source = CancellationTokenSource()
        thing, argument = Thing(), Thing()
        refs = [weakref.ref(thing), weakref.ref(argument)]
        registration = source.token.register(lambda *_, thing=thing: None, argument)
        del thing, argument
        end(source, registration)
        assert [r() for r in refs] == [None, None]

    end_by(lambda source, registration: source.cancel())
    end_by(lambda source, registration: source.dispose())
    end_by(lambda source, registration: source.try_reset())
    end_by(lambda source, registration: registration.unregister())

    def abort(source: CancellationTokenSource, registration: Any) -> None:
        source.token.register(lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            source.cancel(throw_on_first_exception=True)

    end_by(abort)


async def throw(token: CancellationToken) -> None:
    if not token.is_cancellation_requested:
        await token.wait_async()
    token.throw_if_cancellation_requested()


async def in_scope(token: CancellationToken) -> None:
    async with cancel_scope(token):
        await asyncio.sleep(1000)


@pytest.mark.usefixtures("no_gc")
@pytest.mark.parametrize(
    "wait",
    [
        throw,
        lambda token: delay(1000, token),
        lambda token: delay(1000, token, time_provider=FakeTimeProvider()),
        lambda token: delay(None, token),
        lambda token: run_until_canceled(asyncio.sleep(1000), token),
        in_scope,
    ],
    ids=["throw", "delay", "delay on a fake clock", "delay None", "run_until_canceled", "cancel_scope"],
)
@pytest.mark.parametrize("before", [True, False])
def test_an_error_and_all_it_knows_is_freed_with_its_last_reference(wait: Any, before: bool) -> None:
    async def main() -> None:
        source = CancellationTokenSource()
        reason = Thing()
        if before:
            source.cancel(reason)
        else:
            asyncio.get_running_loop().call_soon(source.cancel, reason)
        refs = [weakref.ref(reason), weakref.ref(source.token)]
        try:
            await wait(source.token)
        except OperationCanceledError as error:
            refs.append(weakref.ref(error))
        del source, reason
        for _ in range(3):
            await asyncio.sleep(0)
        assert [r() for r in refs] == [None] * 3

    asyncio.run(main())


@pytest.mark.usefixtures("no_gc")
@pytest.mark.parametrize(
    "wait",
    [
        lambda token: token.wait_async(),
        lambda token: delay(1000, token),
        lambda token: delay(1000, token, time_provider=FakeTimeProvider()),
        lambda token: run_until_canceled(asyncio.sleep(1000), token),
        in_scope,
    ],
    ids=["wait_async", "delay", "delay on a fake clock", "run_until_canceled", "cancel_scope"],
)
@pytest.mark.parametrize("end", ["cancel the task", "dispose"])
def test_a_wait_that_others_end_is_freed_with_its_error(wait: Any, end: str) -> None:
    async def victim(token: CancellationToken, refs: list[Any]) -> None:
        try:
            await wait(token)
        except (asyncio.CancelledError, ObjectDisposedError) as error:
            refs.append(weakref.ref(token))
            refs.append(weakref.ref(error) if isinstance(error, ObjectDisposedError) else refs[0])

    async def main() -> None:
        source = CancellationTokenSource()
        refs: list[Any] = []
        task = asyncio.create_task(victim(source.token, refs))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        source.dispose() if end == "dispose" else task.cancel()
        await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.wait([task])
        del source, task
        assert [r() for r in refs] == [None, None]

    asyncio.run(main())


@pytest.mark.usefixtures("no_gc")
def test_an_error_of_the_awaitable_is_freed_with_its_last_reference() -> None:
    class Failure(Exception):
        pass

    async def fail() -> None:
        await asyncio.sleep(0)
        raise Failure

    async def main() -> None:
        refs = []
        try:
            await run_until_canceled(fail(), CancellationTokenSource().token)
        except Failure as error:
            refs.append(weakref.ref(error))
        await asyncio.sleep(0)
        assert refs[0]() is None

    asyncio.run(main())


@pytest.mark.usefixtures("no_gc")
@pytest.mark.parametrize(
    "how",
    ["cancel", "throw_on_first_exception", "cancel_async", "cancel_async without threads", "advance", "advance twice"],
)
def test_the_errors_of_callbacks_are_freed_with_their_last_reference(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failure(Exception):
        pass

    def no_thread(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    def fail() -> None:
        raise Failure

    async def main() -> None:
        clock = FakeTimeProvider()
        source, other = (CancellationTokenSource(time_provider=clock) for _ in range(2))
        for s in (source, other):
            s.token.register(fail)
            link(s.token).token.register(fail)
        refs = []
        try:
            if how == "cancel":
                source.cancel()
            elif how == "throw_on_first_exception":
                source.cancel(throw_on_first_exception=True)
            elif how.startswith("cancel_async"):
                await source.cancel_async()
            else:
                source.cancel_after(1)
                if how == "advance twice":
                    other.cancel_after(1)
                clock.advance(1)
        except ExceptionGroup as error:
            refs = [weakref.ref(error), weakref.ref(error.exceptions[0])]
        assert [r() for r in refs] == [None, None]

    if how == "cancel_async without threads":
        monkeypatch.setattr(threading.Thread, "start", no_thread)
    asyncio.run(main())


@pytest.mark.usefixtures("no_gc")
def test_a_forgotten_fake_clock_frees_what_it_would_have_cancelled() -> None:
    clock = FakeTimeProvider()
    source = CancellationTokenSource(5, time_provider=clock)
    ref = weakref.ref(source.token)
    source.token.register(print)
    del source
    assert ref() is not None
    del clock
    assert ref() is None


@pytest.mark.usefixtures("no_gc")
@pytest.mark.parametrize("make", [CancellationTokenSource, lambda: link(CancellationTokenSource().token)])
@pytest.mark.parametrize("clock", [FakeTimeProvider(), TimeProvider.system])
def test_a_dropped_source_with_a_deadline_is_collected_like_any_other(make: Any, clock: TimeProvider) -> None:
    source = make()
    source._time_provider = clock
    source.cancel_after(1000)
    timer = source.token._deadline.timer
    source.token.register(print).unregister()
    ref = weakref.ref(source.token)
    del source
    assert ref() is None
    assert timer.callback is None


@pytest.mark.usefixtures("no_gc")
def test_a_dropped_source_with_a_deadline_still_cancels_those_who_listened_before_or_after_it_was_set() -> None:
    for when in ("before", "after", "through a link"):
        clock, log = FakeTimeProvider(), list[str]()
        source = CancellationTokenSource(time_provider=clock)
        listened = link(source.token).token if when == "through a link" else source.token
        if when != "after":
            listened.register(log.append, "heard")
        source.cancel_after(5)
        if when == "after":
            listened.register(log.append, "heard")
        ref = weakref.ref(source.token)
        del source, listened
        assert ref() is not None
        clock.advance(5)
        assert log == ["heard"]
        assert ref() is None


@pytest.mark.usefixtures("no_gc")
def test_a_token_alone_is_enough_for_its_deadline_to_fire() -> None:
    clock = FakeTimeProvider()
    token = CancellationTokenSource(5, time_provider=clock).token
    clock.advance(5)
    assert token.is_cancellation_requested


@pytest.mark.usefixtures("no_gc")
def test_a_disarmed_deadline_holds_nothing() -> None:
    for end in (lambda s: s.cancel_after(None), lambda s: s.cancel(), lambda s: s.dispose(), lambda s: s.try_reset()):
        source = CancellationTokenSource(1000)
        ref = weakref.ref(source.token)
        end(source)
        del source
        assert ref() is None


def test_nothing_is_allocated_for_waiting_until_someone_waits() -> None:
    token = CancellationTokenSource().token
    with token.register(print):
        assert not token.is_cancellation_requested
    assert token._waiters is token._links is token._deadline is None


# Depth and number


@pytest.mark.usefixtures("no_gc")
@pytest.mark.parametrize("listened", [False, True])
def test_fifty_thousand_links_cancel_and_die_without_recursion(listened: bool) -> None:
    log: list[int] = []
    sources = [CancellationTokenSource()]
    for n in range(DEPTH):
        sources.append(link(sources[-1].token))
        if listened:
            sources[-1].token.register(log.append, n)
    leaf = sources[-1].token
    assert sys.getrecursionlimit() < DEPTH
    sources[0].cancel("from the top")
    assert leaf.reason == "from the top"
    assert log == (list(range(DEPTH))[::-1] if listened else [])
    del sources, leaf


@pytest.mark.usefixtures("no_gc")
def test_fifty_thousand_links_die_uncancelled() -> None:
    root = CancellationTokenSource()
    source = root
    for _ in range(DEPTH):
        source = link(source.token)
    stop = source.token.register(lambda: None).unregister
    stop()
    dead = weakref.ref(source.token)
    del source, stop
    assert dead() is None
    assert count(root) == 0


def test_an_error_comes_up_through_fifty_thousand_links() -> None:
    source = root = CancellationTokenSource()
    keep = []
    for _ in range(DEPTH):
        source = link(source.token)
        keep.append(source)
    source.token.register(lambda: 1 / 0)
    with pytest.raises(ExceptionGroup) as info:
        root.cancel()
    depth, error = 0, info.value
    while isinstance(error, ExceptionGroup):
        depth, error = depth + 1, error.exceptions[0]
    assert depth == DEPTH + 1


def best_of(repeats: int, measure: Callable[[], float]) -> float:
    return min(measure() for _ in range(repeats))


@pytest.mark.parametrize("kind", ["registrations", "children"])
def test_the_cost_of_one_does_not_grow_with_their_number(kind: str) -> None:
    def cost(number: int) -> float:
        source = CancellationTokenSource()
        start = time.thread_time()
        if kind == "registrations":
            kept: list[Any] = [source.token.register(int) for _ in range(number)]
            for registration in kept[::2]:
                registration.unregister()
        else:
            kept = [link(source.token) for _ in range(number)]
        source.cancel()
        return (time.thread_time() - start) / number

    gc.collect()
    gc.disable()
    try:
        few, many = best_of(5, lambda: cost(1000)), best_of(3, lambda: cost(50_000))
    finally:
        gc.enable()
    assert many < 8 * few  # a cost that grows with the number would be fifty times as much


def test_a_middle_source_that_is_disposed_during_the_cancel_still_passes_it_on_to_those_below() -> None:
    root, log = CancellationTokenSource(), list[str]()
    middle = link(root.token)
    leaf = link(middle.token)
    leaf.token.register(log.append, "leaf")
    own = middle.token.register(log.append, "middle")
    root.token.register(middle.dispose)
    root.cancel()
    assert log == ["leaf"]
    assert own.unregister()  # the disposed one's own callbacks never run


def test_a_with_block_that_a_cancel_on_another_thread_ends_does_not_cut_off_those_below() -> None:
    def work() -> None:
        with middle:
            middle.token.wait()

    root, log = CancellationTokenSource(), list[str]()
    middle = link(root.token)
    leaf = link(middle.token)
    leaf.token.register(log.append, "leaf")
    worker = Worker(work)
    root.token.register(worker.result)  # runs first: the block is left before the cancel comes to the middle
    root.cancel()
    assert log == ["leaf"]
    assert not root.token._callbacks
    assert not leaf.token._links


def test_a_child_on_two_paths_is_reached_though_one_is_disposed_during_the_cancel() -> None:
    root, log = CancellationTokenSource(), list[str]()
    left, right = link(root.token), link(root.token)
    leaf = link(left.token, right.token)
    left.token.register(log.append, "left")
    leaf.token.register(log.append, "leaf")
    root.token.register(right.dispose)
    root.cancel()
    assert sorted(log) == ["leaf", "left"]


def test_a_child_that_is_cancelled_while_it_is_being_linked_leaves_the_parents_that_live_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def link_and_cancel(parent: CancellationToken, child: CancellationToken) -> None:
        link_one(parent, child)
        first.cancel("meanwhile")

    first, second = CancellationTokenSource(), CancellationTokenSource()
    link_one = tree.link
    monkeypatch.setattr(tree, "link", link_and_cancel)
    child = link(first.token, second.token)
    assert child.token.reason == "meanwhile"
    assert not second.token._callbacks
    assert not child.token._links


def test_a_child_that_is_linked_while_its_parent_gets_a_deadline_is_counted() -> None:
    class Meanwhile(dict[Any, Any]):
        def __setitem__(self, entry: Any, held: Any) -> None:
            super().__setitem__(entry, held)
            if parent.token._plain:
                parent.cancel_after(1000)

    parent = CancellationTokenSource()
    parent.token._callbacks = Meanwhile()
    child = link(parent.token)
    assert not parent.token._is_listened_on()
    child.token.register(int)
    assert parent.token._is_listened_on()


def test_a_child_that_is_linked_while_the_others_are_counted_is_counted() -> None:
    class Meanwhile(dict[Any, Any]):
        def copy(self) -> dict[Any, Any]:
            seen = super().copy()
            if len(children) == 1:
                children.append(link(parent.token))
            return seen

    parent = CancellationTokenSource()
    children = [link(parent.token)]
    parent.token._callbacks = Meanwhile(parent.token._callbacks)
    parent.cancel_after(1000)
    assert parent.token._idle == 2
    assert not parent.token._is_listened_on()


def test_disposing_a_parent_of_many_amid_a_cancel_does_not_cost_the_square_of_them() -> None:
    looks = 0

    class Counting(dict[Any, Any]):
        def __iter__(self) -> Iterator[Any]:
            nonlocal looks
            looks += len(self)
            return super().__iter__()

    root = CancellationTokenSource()
    middle = link(root.token)
    log: list[int] = []
    children = [link(middle.token) for _ in range(1000)]
    for n, child in enumerate(children):
        child.token.register(log.append, n)
    root.token.register(middle.dispose)
    middle.token._callbacks = Counting(middle.token._callbacks)
    root.cancel()
    assert log == list(range(1000))[::-1]
    assert looks <= 10_000


def test_a_link_made_while_a_deadline_is_set_and_listened_to_leaves_nobody_holding_the_token() -> None:
    class Meanwhile(dict[Any, Any]):
        """What another thread does right before and after the link is put in."""

        busy = False

        def __setitem__(self, entry: Any, held: Any) -> None:
            if self.busy:
                super().__setitem__(entry, held)
            else:
                self.busy = True
                source.cancel_after(1000)
                super().__setitem__(entry, held)
                source.token.register(int).unregister()

    source = CancellationTokenSource(time_provider=FakeTimeProvider())
    source.token._callbacks = Meanwhile()
    child = link(source.token)
    deadline: Any = source.token._deadline
    assert deadline._ring().held is None
    assert source.token._idle == 1
    child.dispose()
    assert source.token._idle == 0
