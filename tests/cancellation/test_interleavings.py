"""Any two operations, the second in the midst of the first: the end is as if one had come after the other.

The second one comes at each point where a signal handler could come in, and then, on another thread, before each
instruction that looks at an object or changes one, as if there were no GIL. What it needs a lock for that the first
one holds, it does as soon as that lets go.
"""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from interleaving import at_every_point
from token_helpers import PATIENCE, Worker

from cancellation import CancellationToken, CancellationTokenSource, FakeTimeProvider, ObjectDisposedError, tree
from cancellation.tree import Link

link = CancellationTokenSource.create_linked_token_source


class OtherThread:
    """Does its part at once and whole, before the first thread goes on; or up to a lock which that one holds."""

    def __init__(self) -> None:
        self.worker: threading.Thread | None = None
        self.rests = threading.Event()  # it has ended, or waits for a lock

    def do(self, part: Callable[[], object]) -> None:
        def run() -> None:
            self.worker = threading.current_thread()
            try:
                part()
            finally:
                self.rests.set()

        self.rests.clear()
        self.result = Worker(run).result
        assert self.rests.wait(PATIENCE)


class WatchedLock:
    def __init__(self, inner: Any, other: OtherThread) -> None:
        self._inner, self._other = inner, other
        self._depth = 0
        self._awaited = False

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        taken: bool = self._inner.acquire(False)
        if not taken and blocking:
            if threading.current_thread() is self._other.worker:
                self._awaited = True
                self._other.rests.set()
            taken = self._inner.acquire(timeout=PATIENCE if timeout < 0 else timeout)
            assert taken or timeout >= 0, "a deadlock"
            self._awaited = False
        self._depth += taken
        return taken

    def release(self) -> None:
        lets_go_on = self._awaited and self._depth == 1
        if lets_go_on:
            self._other.rests.clear()
        self._depth -= 1
        self._inner.release()
        if lets_go_on:
            assert self._other.rests.wait(PATIENCE)

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class World:
    """A root, a source linked to it, and a child linked to that; with what the operations need."""

    clock: FakeTimeProvider
    root: CancellationTokenSource | None = None
    source: CancellationTokenSource
    child: CancellationTokenSource | None

    def __init__(self, shape: str, names: tuple[str, str]) -> None:
        self.log: list[str] = []
        self.ends: list[Any] = []  # of cancel_async
        self.waits: list[Any] = []
        self.made: list[CancellationTokenSource] = []
        self.clock = FakeTimeProvider()
        if shape == "alone":
            self.source = CancellationTokenSource(time_provider=self.clock)
        else:
            self.root = CancellationTokenSource()
            self.source = link(self.root.token, time_provider=self.clock)
            self.source.cancel_after(10)
        self.token = self.source.token
        self.child = link(self.token)
        self.child_token = weakref.ref(self.child.token)
        self.old = [self.token.register(self.log.append, "old")] if "unregister" in names else []
        self.heard = [self.child.token.register(self.log.append, "child")] if shape == "a busy tree" else []
        if "stop_waiting" in names:
            self.start_waiting()
        if "collect_child" in names:
            cycle: list[Any] = [self.child]
            cycle.append(cycle)

    def cancel(self) -> object:
        return self.source.cancel("by hand")

    def cancel_root(self) -> object:
        assert self.root is not None
        return self.root.cancel("from above")

    def cancel_async(self) -> None:
        self.ends.append(self.source.cancel_async("by hand"))
        self.ends[-1]._awaited = True  # its error is looked at below

    def cancel_after(self) -> object:
        return self.source.cancel_after(100)

    def fire(self) -> None:
        self.clock.advance(20)

    def try_reset(self) -> object:
        return self.source.try_reset()

    def dispose(self) -> object:
        return self.source.dispose()

    def register(self) -> None:
        self.token.register(self.log.append, "new")

    def unregister(self) -> object:
        return self.old.pop().unregister()

    def link(self) -> None:
        self.made.append(link(self.token))

    def dispose_child(self) -> None:
        assert self.child is not None
        self.child.dispose()

    def drop_child(self) -> None:
        self.child = None

    def collect_child(self) -> None:
        self.child = None
        gc.collect(0)

    def listen_on_child(self) -> None:
        assert self.child is not None
        self.child.token.register(self.log.append, "new on child")

    def stop_listening_on_child(self) -> object:
        return self.heard.pop().unregister()

    def start_waiting(self) -> None:
        wait = self.token.wait_async()
        running = asyncio._get_running_loop()
        asyncio._set_running_loop(LOOP)
        try:
            self.waits.append((wait, wait.send(None)))
        except StopIteration:
            self.waits.append((wait, None))
        finally:
            asyncio._set_running_loop(running)

    def stop_waiting(self) -> None:
        wait, _ = self.waits.pop()
        wait.close()

    def live(self) -> list[CancellationToken]:
        sources = [self.root, self.source, self.child, *self.made]
        tokens = [source._token for source in sources if source is not None]
        child = self.child_token()
        return tokens + ([child] if child is not None and child not in tokens else [])

    def check(self) -> None:
        """What holds at any time when nobody is at work."""
        assert len(set(self.log)) == len(self.log), "a callback ran twice"
        assert not tree.ends
        for token in self.live():
            if token._plain or token._canceled or token._disposed:
                continue
            entries = token._callbacks.items()
            assert token._idle == sum(isinstance(e, Link) and held is None for e, held in entries), "a wrong count"
            heard = bool(token._waiters) or any(
                held is not None if isinstance(e, Link) else True for e, held in token._callbacks.items()
            )
            for entry, parent_held in (token._links or {}).items():
                parent = entry.parent()
                if parent is not None and not parent._disposed:
                    assert (parent._callbacks[entry] is token) is heard, "not held, or held for nothing"
                    assert (parent_held is parent) is not heard
            if (deadline := token._deadline) is not None:
                ring = deadline._ring()
                assert ring is not None
                assert (ring.held is token) is heard, "held by its deadline for nothing, or not held"

    def story(self) -> list[object]:
        """All that a user can see, now and when the time and the cancels have come that are still to come."""
        told: list[object] = [self.flags(), sorted(self.log)]
        if self.waits:
            LOOP.run_until_complete(turns())
        told.append([future is None or future.done() for _, future in self.waits])
        told.append([end._end._canceled and type(end._error).__name__ for end in self.ends])
        self.clock.advance(1000)
        told += [self.flags(), sorted(self.log)]
        (self.root or self.source).cancel("last") if self.root or not self.token._disposed else None
        told += [self.flags(), sorted(self.log)]
        for wait, _ in self.waits:
            wait.close()
        return told

    def flags(self) -> object:
        reason = self.token.reason
        return (
            [
                source and source.is_cancellation_requested
                for source in (self.root, self.source, self.child, *self.made)
            ],
            reason if isinstance(reason, str) else type(reason).__name__,
            self.token._disposed,
            self.token._deadline is not None,
            self.child_token() is not None,
        )

    def end(self) -> None:
        """Forget everything: nothing may be left, without the garbage collector."""
        tokens = [weakref.ref(token) for token in self.live()]
        vars(self).clear()
        assert [token() for token in tokens] == [None] * len(tokens), "a cycle, or somebody holds on"


LOOP: asyncio.AbstractEventLoop


@pytest.fixture(autouse=True, scope="module")
def an_event_loop() -> Iterator[None]:
    global LOOP
    LOOP = asyncio.new_event_loop()
    yield
    LOOP.close()


async def turns() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


@pytest.fixture(autouse=True, scope="module")
def no_garbage_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    gc.freeze()  # `collect_child` looks only at what is new
    yield
    gc.unfreeze()
    gc.enable()


class Here:
    """In place of a thread that runs the callbacks of `cancel_async`: the same, before the next step of anyone."""

    def __init__(self, target: Callable[..., object], args: tuple[object, ...], name: str) -> None:
        self.start = lambda: target(*args)


@pytest.fixture(autouse=True)
def callbacks_run_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cancellation.source.threading", SimpleNamespace(Thread=Here))


OFTEN = ["cancel", "cancel_after", "try_reset", "dispose", "register", "unregister", "link", "dispose_child"]
OFTEN += ["drop_child", "listen_on_child"]
SHAPES = {
    "alone": OFTEN,
    "a quiet tree": [*OFTEN, "cancel_root", "fire", "cancel_async", "collect_child", "start_waiting", "stop_waiting"],
    "a busy tree": [*OFTEN, "fire", "stop_listening_on_child"],
}
ONCE = {"unregister", "stop_waiting", "stop_listening_on_child"}
LETS_CHILD_GO = {"drop_child", "collect_child"}
NEEDS_CHILD = {*LETS_CHILD_GO, "dispose_child", "listen_on_child"}


def seconds_for(shape: str, first: str) -> list[str]:
    """What can come in the midst of `first`."""
    without = {first} & ONCE | (NEEDS_CHILD if first in LETS_CHILD_GO else set())
    return [name for name in SHAPES[shape] if name not in without | (LETS_CHILD_GO if first in NEEDS_CHILD else set())]


FIRSTS = [
    pytest.param(shape, first, id=f"amid {first} in {shape}")
    for shape, names in SHAPES.items()
    for first in names
    if (shape, first) != ("a busy tree", "drop_child")  # it is held: nothing happens
]
IN_THREADS = [first for first in FIRSTS if first.values[0] != "a busy tree"]


def outcome(act: Callable[[], object]) -> object:
    try:
        return act()
    except ObjectDisposedError as error:
        return type(error).__name__


def one_after_the_other(shape: str, first: str, second: str, order: tuple[int, int]) -> list[object]:
    world = World(shape, (first, second))
    told: list[object] = [None, None]
    for n in order:
        told[n] = outcome(getattr(world, (first, second)[n]))
    world.check()
    told += world.story()
    world.end()
    return told


def interleave(shape: str, first: str, second: str, other: OtherThread | None) -> int:
    allowed = [one_after_the_other(shape, first, second, order) for order in [(0, 1), (1, 0)]]

    def make() -> Any:
        world = World(shape, (first, second))
        if other is not None:
            world.clock._timers._lock = WatchedLock(threading.RLock(), other)  # type: ignore[assignment]
        told: list[object] = [None, None]

        def act(n: int) -> None:
            told[n] = outcome(getattr(world, (first, second)[n]))

        def check() -> None:
            if other is not None:
                other.result()
            else:
                assert not tree.lock._is_owned()  # type: ignore[attr-defined]
            world.check()
            told.extend(world.story())
            if second.startswith("dispose"):  # the cancel has come, and yet none of its callbacks: each by itself
                assert all(part in parts for part, *parts in zip(told, *allowed, strict=True))
            else:
                assert told in allowed
            world.end()

        meanwhile = (lambda: act(1)) if other is None else (lambda: other.do(lambda: act(1)))
        return lambda: act(0), meanwhile, check

    try:
        return at_every_point(make, anywhere=other is not None)
    except BaseException as error:
        error.add_note(f"({second} amid {first} in {shape})")
        raise


@pytest.mark.parametrize(("shape", "first"), FIRSTS)
def test_in_a_signal_handler(shape: str, first: str) -> None:
    assert sum(interleave(shape, first, second, None) for second in seconds_for(shape, first)) > 10


@pytest.mark.parametrize(("shape", "first"), IN_THREADS)
def test_on_another_thread(shape: str, first: str, monkeypatch: pytest.MonkeyPatch) -> None:
    other = OtherThread()
    lock = WatchedLock(threading.RLock(), other)
    monkeypatch.setattr(tree, "lock", lock)
    monkeypatch.setattr("cancellation.token.Lock", lambda: WatchedLock(threading.Lock(), other))
    assert sum(interleave(shape, first, second, other) for second in seconds_for(shape, first)) > 10
    assert lock._depth == 0


@pytest.mark.parametrize("anywhere", [False, True])
def test_a_cancel_amid_a_link_to_two_parents_leaves_nothing_on_the_other(anywhere: bool) -> None:
    def make() -> Any:
        def check() -> None:
            assert made[0].is_cancellation_requested
            assert not made[0].token._links
            assert [list(source.token._callbacks) for source in parents] == [[], []]

        parents = [CancellationTokenSource(), CancellationTokenSource()]
        made: list[CancellationTokenSource] = []
        tokens = [source.token for source in parents]
        return lambda: made.append(link(*tokens)), parents[0].cancel, check

    assert at_every_point(make, anywhere) > 10
