"""The rows measured on a real .NET 8, each compared with what our token does.

A check returns what it saw in the notation of `dotnet8-behaviour.txt`; the text after the " = " there must match.
"""

from __future__ import annotations

import asyncio
import gc
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from token_helpers import PATIENCE, Blocker, Worker, in_thread

from cancellation import (
    CancellationToken,
    CancellationTokenRegistration,
    CancellationTokenSource,
    FakeTimeProvider,
    ObjectDisposedError,
    OperationCanceledError,
    delay,
)

TABLE = Path(__file__).with_name("dotnet8-behaviour.txt")
ROWS = dict(re.findall(r"^([A-Z]\d\d) \| .*? = (.*)$", TABLE.read_text(encoding="utf-8"), re.MULTILINE))

LEFT_OUT = {
    "I20": "a disposed source's waiters get ObjectDisposedError instead of waiting for ever (DESIGN 2.3)",
    "N04": "our callbacks are not handed the token; who wants it registers it as an argument (N03)",
}

CHECKS: dict[str, Callable[[], object]] = {}
none = CancellationToken.none
Source = CancellationTokenSource
link = CancellationTokenSource.create_linked_token_source


class FormatError(Exception):
    pass


def row(id: str) -> Callable[[Callable[[], object]], Callable[[], object]]:
    def add(check: Callable[[], object]) -> Callable[[], object]:
        assert id not in CHECKS, f"{id} is checked twice"
        CHECKS[id] = check
        return check

    return add


def says(*values: object) -> str:
    return " ".join(map(str, values))


def name(error: BaseException) -> str:
    """An error of ours under .NET's name."""
    if isinstance(error, BaseExceptionGroup):
        return f"AggregateException[{', '.join(map(name, error.exceptions))}]"
    if isinstance(error, (TypeError, ValueError)):
        kind = "ArgumentNull" if isinstance(error, TypeError) else "ArgumentOutOfRange"
        parameter = {"delay": "millisecondsDelay", "time_provider": "timeProvider"}
        word = str(error).split()[0]
        return f"{kind}Exception(param={parameter.get(word, word)})"
    if isinstance(error, ObjectDisposedError):
        return "ObjectDisposedException(object=)"
    return type(error).__name__.replace("Error", "Exception")


def outcome(call: Callable[[], object]) -> str:
    try:
        call()
    except BaseException as error:
        return f"THROWS {name(error)}"
    return "no exception"


def caught(call: Callable[[], object]) -> Any:
    try:
        call()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def fail(error: BaseException) -> None:
    raise error


def canceled_source() -> CancellationTokenSource:
    source = Source()
    source.cancel()
    return source


def disposed(source: CancellationTokenSource) -> CancellationTokenSource:
    source.dispose()
    return source


def registered(log: list[Any], *names: Any) -> tuple[CancellationTokenSource, list[CancellationTokenRegistration]]:
    source = Source()
    return source, [source.token.register(log.append, n) for n in names]


def order(log: list[Any]) -> str:
    return f"[{' '.join(map(str, log))}]"


# A. token and source basics


@row("A03")
def _() -> object:
    return CancellationToken() == none


@row("A04")
def _() -> object:
    return outcome(none.throw_if_cancellation_requested)


@row("A05")
def _() -> object:
    token = CancellationToken(False)
    return says(token.can_be_canceled, token.is_cancellation_requested)


@row("A06")
def _() -> object:
    token = CancellationToken(True)
    return says(token.can_be_canceled, token.is_cancellation_requested)


@row("A07")
def _() -> object:
    return CancellationToken(False) == none


@row("A08")
def _() -> object:
    return CancellationToken(True) == CancellationToken(True)


@row("A09")
def _() -> object:
    return CancellationToken(True) == none


@row("A13")
def _() -> object:
    source = Source()
    a, b = source.token, source.token
    return says(a == b, hash(a) == hash(b), a.__eq__(b))


@row("A19")
def _() -> object:
    source = Source()
    token = source.token
    source.cancel()
    return token.is_cancellation_requested


@row("A20")
def _() -> object:
    source = canceled_source()
    return outcome(source.cancel)


# B. throw_if_cancellation_requested and the error


def thrown(token: CancellationToken) -> Any:
    return caught(token.throw_if_cancellation_requested)


@row("B02")
def _() -> object:
    error = type(thrown(canceled_source().token))
    assert error.__module__.partition(".")[0] == "cancellation"
    return f"System.{name(error())}"


@row("B03")
def _() -> object:
    token = canceled_source().token
    return thrown(token).token == token


@row("B05")
def _() -> object:
    token = canceled_source().token
    return thrown(token) is thrown(token)


@row("B06")
def _() -> object:
    return outcome(CancellationToken(True).throw_if_cancellation_requested)


@row("B07")
def _() -> object:
    return thrown(CancellationToken(True)).token == CancellationToken(True)


@row("B08")
def _() -> object:
    return "CancellationToken.None" if OperationCanceledError().token == none else "another"


@row("B10")
def _() -> object:
    token = Source().token
    error = OperationCanceledError("m", token)
    return says(error, error.token == token)


# C. register


def empty(registration: CancellationTokenRegistration) -> bool:
    return registration == CancellationTokenRegistration()


@row("C01")
def _() -> object:
    return empty(none.register(print))


@row("C02")
def _() -> object:
    return empty(CancellationToken(False).register(print))


@row("C03")
def _() -> object:
    log: list[int] = []
    registration = CancellationToken(True).register(log.append, 1)
    return says(len(log), empty(registration))


@row("C04")
def _() -> object:
    log: list[int] = []
    registration = canceled_source().token.register(log.append, 1)
    return says(len(log), empty(registration))


@row("C05")
def _() -> object:
    log: list[int] = []
    canceled_source().token.register(lambda: log.append(threading.get_ident()))
    return log == [threading.get_ident()]


@row("C07")
def _() -> object:
    return outcome(lambda: Source().token.register(None))  # type: ignore[arg-type]


@row("C09")
def _() -> object:
    return outcome(lambda: Source().token.register(None, "state"))  # type: ignore[arg-type]


@row("C12")
def _() -> object:
    source = Source()
    return source.token.register(print).token == source.token


@row("C13")
def _() -> object:
    return CancellationTokenRegistration().token == none


@row("C14")
def _() -> object:
    return outcome(CancellationTokenRegistration().dispose)


@row("C16")
def _() -> object:
    return CancellationTokenRegistration() == CancellationTokenRegistration()


@row("C17")
def _() -> object:
    token = Source().token
    a, b = token.register(print), token.register(print)
    copy = a
    return says(a == b, copy == a, hash(copy) == hash(a))


@row("C18")
def _() -> object:
    log: list[int] = []
    source, _ = registered(log, 1, 1)
    source.cancel()
    return len(log)


@row("C19")
def _() -> object:
    log: list[int] = []
    source = Source()
    source.token.register(lambda: log.append(threading.get_ident()))
    thread = Worker(source.cancel)
    thread.result()
    return log == [thread.ident]


@row("C20")
def _() -> object:
    log: list[int] = []
    source, _ = registered(log, *range(5))
    source.cancel()
    return len(log)


@row("C21")
def _() -> object:
    log: list[int] = []
    source, _ = registered(log, 1)
    source.cancel()
    source.cancel()
    return len(log) > 1


@row("C30")
def _() -> object:
    log: list[int] = []
    source = Source()
    token = source.token
    source.cancel()
    source.dispose()
    token.register(log.append, 1)
    return len(log)


# D. order of callbacks


@row("D01")
def _() -> object:
    log: list[int] = []
    source, _ = registered(log, 1, 2, 3, 4)
    source.cancel()
    return order(log)


@row("D03")
def _() -> object:
    log: list[int] = []
    source, registrations = registered(log, 1, 2, 3, 4)
    registrations[1].unregister()
    source.cancel()
    return order(log)


@row("D04")
def _() -> object:
    log: list[int] = []
    source, registrations = registered(log, 1, 2, 3)
    registrations[1].unregister()
    source.token.register(log.append, 4)
    source.token.register(log.append, 5)
    source.cancel()
    return order(log)


@row("D08")
def _() -> object:
    log: list[bool] = []
    source = Source()
    late: list[CancellationTokenRegistration] = []
    source.token.register(lambda: log.append(late[0].unregister()))
    late.append(source.token.register(lambda: None))
    source.cancel()
    return log[0]


@row("D10")
def _() -> object:
    log: list[str] = []

    async def waiter(token: CancellationToken) -> None:
        try:
            await delay(None, token)
        except OperationCanceledError:
            log.append("awaiter")

    async def main() -> str:
        source = Source()
        source.token.register(log.append, "p")
        task = asyncio.create_task(waiter(source.token))
        await asyncio.sleep(0)
        source.token.register(log.append, "q")
        source.cancel()
        so_far = order(log)
        await task
        return so_far

    return asyncio.run(main())


# E. errors from callbacks


@row("E02")
def _() -> object:
    log: list[int] = []
    source = Source()
    token = source.token

    def callback(number: int, error: BaseException | None) -> None:
        log.append(number)
        if error is not None:
            raise error

    token.register(callback, 1, ArithmeticError())
    token.register(callback, 2, None)
    token.register(callback, 3, FormatError())
    return f"{name(caught(source.cancel))} {order(log)}"


@row("E03")
def _() -> object:
    source = Source()
    source.token.register(fail, FormatError())
    return outcome(lambda: source.cancel(throw_on_first_exception=False))


def aborted(log: list[int]) -> CancellationTokenSource:
    source = Source()
    source.token.register(log.append, 1)
    source.token.register(fail, FormatError())
    assert type(caught(lambda: source.cancel(throw_on_first_exception=True))) is FormatError
    return source


@row("E05")
def _() -> object:
    log: list[int] = []
    source = aborted(log)
    source.cancel()
    return says(source.is_cancellation_requested, bool(log))


@row("E07")
def _() -> object:
    log: list[int] = []
    aborted([]).token.register(log.append, 1)
    return len(log)


@row("E10")
def _() -> object:
    one, two = Source(), Source()
    one.token.register(fail, FormatError("one"))
    two.token.register(fail, FormatError("one"))
    two.token.register(fail, FormatError("two"))
    return f"{caught(one.cancel).message} || {caught(two.cancel).message}"


@row("E11")
def _() -> object:
    source = Source()
    source.token.register(lambda: source.token.throw_if_cancellation_requested())
    return outcome(source.cancel)


# F. cancel from inside callbacks and from other threads


@row("F01")
def _() -> object:
    log: list[str] = []
    source, _ = registered(log, "a")

    def b() -> None:
        log.append("b")
        source.cancel()
        log.append("b-after-cancel")

    source.token.register(b)
    source.cancel()
    return order(log)


@row("F02")
def _() -> object:
    log: list[str] = []
    other, _ = registered(log, "d")
    source = Source()

    def c() -> None:
        log.append("c1")
        other.cancel()
        log.append("c2")

    source.token.register(c)
    source.cancel()
    return order(log)


class Running:
    """A source whose cancel runs, on another thread, a callback that does not return yet."""

    def __init__(self) -> None:
        self.source = Source()
        self.log: list[str] = []
        self.last = self.source.token.register(self.log.append, "last")
        self.callback = Blocker()
        self.registration = self.source.token.register(self.callback)

    def __enter__(self) -> Running:
        self.canceler = Worker(self.source.cancel)
        assert self.callback.started.wait(PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        self.callback.let_go.set()
        self.canceler.result()


@row("F03")
def _() -> object:
    with Running() as running:
        in_thread(running.source.cancel)
        return not running.callback.done


@row("F04")
def _() -> object:
    log: list[int] = []
    with Running() as running:
        running.source.token.register(lambda: log.append(threading.get_ident()))
        return log == [threading.get_ident()]


@row("F05")
def _() -> object:
    source = Source()
    source.token.register(source.cancel_after, 0.01)
    return outcome(source.cancel)


@row("F07")
def _() -> object:
    with Running() as running:
        running.source.cancel()
        meanwhile = len(running.log)
    return f"{meanwhile} (at the end: {len(running.log)})"


@row("F08")
def _() -> object:
    with Running() as running:
        return in_thread(lambda: running.source.is_cancellation_requested)


@row("F10")
def _() -> object:
    start = threading.Barrier(2)
    log: list[int] = []
    sources = [registered(log, n)[0] for n in range(2000)]

    def cancel_all() -> None:
        for source in sources:
            if source is sources[0]:
                start.wait(PATIENCE)
            source.cancel()

    racers = [Worker(cancel_all), Worker(cancel_all)]
    for racer in racers:
        racer.result()
    return sorted(log) == list(range(2000))


# G. unregister and dispose of registrations


@row("G05")
def _() -> object:
    registration = Source().token.register(print)
    copy = registration
    return says(copy.unregister(), registration.unregister())


@row("G06")
def _() -> object:
    log: list[int] = []
    source, [old] = registered(log, 1)
    old.unregister()
    source.token.register(log.append, 2)
    again = old.unregister()
    source.cancel()
    return f"{again} n={len(log)}"


@row("G08")
def _() -> object:
    source = Source()
    token = source.token
    registration = token.register(print)
    source.dispose()
    return registration.token == token


@row("G09")
def _() -> object:
    source = Source()
    registration = source.token.register(print)
    source.dispose()
    return registration.unregister()


@row("G12")
def _() -> object:
    log: list[bool] = []
    source = Source()
    own: list[CancellationTokenRegistration] = []

    def callback() -> None:
        own[0].dispose()
        log.append(True)

    own.append(source.token.register(callback))
    Worker(source.cancel).result()
    return log[0]


@row("G13")
def _() -> object:
    with Running() as running:
        disposer = Worker(running.registration.dispose)
        disposer.join(0.05)
        blocked = disposer.is_alive()
    disposer.result()
    return blocked


@row("G17")
def _() -> object:
    source = Source()
    blocker = Blocker()
    source.token.register(blocker)
    ran_before = source.token.register(lambda: None)
    canceler = Worker(source.cancel)
    assert blocker.started.wait(PATIENCE)
    ran_before.dispose()
    waited = blocker.done
    blocker.let_go.set()
    canceler.result()
    return waited


@row("G18")
def _() -> object:
    log: list[bool] = []
    source = Source()
    ran_before: list[CancellationTokenRegistration] = []

    def callback() -> None:
        ran_before[0].dispose()
        log.append(True)

    source.token.register(callback)
    ran_before.append(source.token.register(lambda: None))
    Worker(source.cancel).result()
    return log[0]


@row("G19")
def _() -> object:
    async def main() -> str:
        with Running() as running:
            disposal = asyncio.create_task(running.registration.dispose_async())
            for _ in range(3):
                await asyncio.sleep(0)
            at_once = disposal.done()
            running.callback.let_go.set()
            await disposal
            return says(at_once, running.callback.done)

    return asyncio.run(main())


@row("G21")
def _() -> object:
    async def main() -> str:
        log: list[int] = []
        source, [registration] = registered(log, 1)
        disposal = registration.dispose_async()
        with pytest.raises(StopIteration):  # done without one suspension
            disposal.send(None)
        source.cancel()
        return f"True ran={len(log)}"

    return asyncio.run(main())


@row("G23")
def _() -> object:
    rounds = 3000
    ran = [0] * rounds
    prevented = [False] * rounds

    def callback(n: int) -> None:
        ran[n] += 1

    pairs = [(s := Source(), s.token.register(callback, n)) for n in range(rounds)]
    start = threading.Barrier(2)

    def cancel_all() -> None:
        start.wait(PATIENCE)
        for source, _ in pairs:
            source.cancel()

    def unregister_all() -> None:
        start.wait(PATIENCE)
        for n, (_, registration) in enumerate(pairs):
            prevented[n] = registration.unregister()

    for racer in [Worker(cancel_all), Worker(unregister_all)]:
        racer.result()
    return all(ran[n] + prevented[n] == 1 for n in range(rounds))


# H. cancel_after and timed constructors. .NET's -1 ("infinite") is None here.


@row("H04")
def _() -> object:
    return outcome(lambda: Source(-0.002))


@row("H08")
def _() -> object:
    return outcome(lambda: disposed(Source(2_147_483.647)))


@row("H10")
def _() -> object:
    start = time.monotonic()
    source = Source(0.05)
    canceled = source.token.wait(PATIENCE)
    return says(canceled, 0.049 <= time.monotonic() - start < PATIENCE / 2)  # 500 ms, with patience for busy machines


@row("H13")
def _() -> object:
    return outcome(lambda: Source().cancel_after(None))


@row("H15")
def _() -> object:
    return outcome(lambda: Source().cancel_after(-2_147_483.648))


def timed(*steps: Any) -> list[bool]:
    """`cancel_after(delay)` for each tuple, `advance` for each number; the flag after each `advance`."""
    clock = FakeTimeProvider()
    source = Source(time_provider=clock)
    flags = []
    for step in steps:
        if isinstance(step, tuple):
            source.cancel_after(*step)
        else:
            clock.advance(step)
            flags.append(source.is_cancellation_requested)
    return flags


@row("H21")
def _() -> object:
    return says(*timed((0.04,), (0.4,), 0.2, 0.5))


@row("H23")
def _() -> object:
    return says(*timed((0.05,), (None,), 0.2))


@row("H24")
def _() -> object:
    clock = FakeTimeProvider()
    source = Source(0.05, time_provider=clock)
    source.cancel_after(None)
    clock.advance(0.2)
    return source.is_cancellation_requested


@row("H25")
def _() -> object:
    return says(*timed((None,), (0.03,), 1))


@row("H26")
def _() -> object:
    clock = FakeTimeProvider()
    source = Source(time_provider=clock)
    log: list[int] = []
    source.token.register(log.append, 1)
    source.cancel_after(0.05)
    source.cancel()
    clock.advance(0.2)
    return len(log)


@row("H27")
def _() -> object:
    source = canceled_source()
    return outcome(lambda: source.cancel_after(0.01))


@row("H28")
def _() -> object:
    source = canceled_source()
    return outcome(lambda: source.cancel_after(-0.002))


@row("H29")
def _() -> object:
    source = disposed(Source())
    return outcome(lambda: source.cancel_after(0.01))


@row("H34")
def _() -> object:
    clock = FakeTimeProvider()
    source = Source(time_provider=clock)
    token = source.token
    source.cancel_after(0.05)
    source.dispose()
    clock.advance(0.2)
    return token.is_cancellation_requested


@row("H35")
def _() -> object:
    log: list[int] = []
    Source(0).token.register(log.append, 1)
    return len(log)


@row("H36")
def _() -> object:
    ran = threading.Event()

    def forget() -> None:
        source = Source()
        source.token.register(ran.set)
        source.cancel_after(0.03)

    forget()
    gc.collect()
    return ran.wait(PATIENCE)


@row("H37")
def _() -> object:
    log: list[int] = []
    parent = Source()
    link(parent.token).token.register(log.append, 1)
    gc.collect()
    parent.cancel()
    return bool(log)


# I. dispose of the source


@row("I01")
def _() -> object:
    source = disposed(Source())
    return outcome(source.dispose)


@row("I03")
def _() -> object:
    source = disposed(Source())
    return outcome(lambda: source.cancel(throw_on_first_exception=True))


@row("I04")
def _() -> object:
    source = disposed(Source())
    return outcome(lambda: source.token)


@row("I05")
def _() -> object:
    return disposed(Source()).is_cancellation_requested


@row("I08")
def _() -> object:
    source = disposed(canceled_source())
    return outcome(lambda: source.token)


def token_before(source: CancellationTokenSource) -> CancellationToken:
    """Its token, taken before the dispose that then follows."""
    token = source.token
    source.dispose()
    return token


@row("I10")
def _() -> object:
    token = token_before(Source())
    return says(token.is_cancellation_requested, token.can_be_canceled)


@row("I11")
def _() -> object:
    return outcome(token_before(Source()).throw_if_cancellation_requested)


@row("I12")
def _() -> object:
    return outcome(token_before(canceled_source()).throw_if_cancellation_requested)


@row("I14")
def _() -> object:
    return outcome(token_before(Source()).wait)


@row("I16")
def _() -> object:
    log: list[int] = []
    source, _ = registered(log, 1)
    source.dispose()
    return len(log)


@row("I17")
def _() -> object:
    token = token_before(Source())
    return outcome(lambda: asyncio.run(delay(0.001, token))).replace("no exception", "completed")


@row("I19")
def _() -> object:
    return link(token_before(canceled_source())).is_cancellation_requested


@row("I21")
def _() -> object:
    with Source() as source:
        token = source.token
    return token.is_cancellation_requested


# J. linked sources


@row("J03")
def _() -> object:
    return outcome(lambda: link(None))  # type: ignore[arg-type]


@row("J04")
def _() -> object:
    source = link(none, none)
    before = source.token.can_be_canceled, source.is_cancellation_requested
    source.cancel()
    return says(*before, source.is_cancellation_requested)


@row("J07")
def _() -> object:
    a, b = Source(), Source()
    linked = link(a.token, b.token)
    b.cancel()
    return linked.is_cancellation_requested


@row("J08")
def _() -> object:
    sources = [Source() for _ in range(5)]
    linked = link(*(s.token for s in sources))
    sources[2].cancel()
    return linked.is_cancellation_requested


@row("J10")
def _() -> object:
    return link(canceled_source().token).is_cancellation_requested


@row("J11")
def _() -> object:
    return link(CancellationToken(True)).is_cancellation_requested


@row("J12")
def _() -> object:
    live = Source()
    log: list[int] = []
    linked = link(live.token, canceled_source().token)
    linked.token.register(log.append, 1)
    live.cancel()
    return len(log) == 1 and linked.is_cancellation_requested


@row("J13")
def _() -> object:
    parent = Source()
    return link(parent.token).token == parent.token


@row("J14")
def _() -> object:
    parent = Source()
    linked = link(parent.token)
    parent.cancel()
    error = thrown(linked.token)
    return says(error.token == linked.token, error.token == parent.token)


@row("J15")
def _() -> object:
    clock = FakeTimeProvider()
    parent = Source()
    linked = link(parent.token, time_provider=clock)
    linked.cancel_after(1)
    clock.advance(1)
    assert linked.is_cancellation_requested
    return parent.is_cancellation_requested


@row("J16")
def _() -> object:
    root = Source()
    child = link(root.token)
    grandchild = link(child.token)
    root.cancel()
    return grandchild.is_cancellation_requested


@row("J17")
def _() -> object:
    parent = Source()
    linked = link(parent.token)
    token = linked.token
    linked.dispose()
    parent.cancel()
    return token.is_cancellation_requested


@row("J19")
def _() -> object:
    parent = Source()
    linked = link(parent.token)
    parent.dispose()
    return outcome(linked.dispose)


@row("J20")
def _() -> object:
    a, b = Source(), Source()
    linked = link(a.token, b.token)
    a.dispose()
    b.cancel()
    return linked.is_cancellation_requested


@row("J21")
def _() -> object:
    parent = Source()
    link(parent.token).token.register(fail, FormatError())
    return outcome(parent.cancel)


@row("J22")
def _() -> object:
    parent = Source()
    link(parent.token).token.register(fail, FormatError())
    return outcome(lambda: parent.cancel(throw_on_first_exception=True))


@row("J24")
def _() -> object:
    parent = Source()
    link(parent.token).token.register(fail, FormatError())
    parent.token.register(fail, ArithmeticError())
    return outcome(parent.cancel)


@row("J25")
def _() -> object:
    log: list[int] = []
    parent = Source()
    link(parent.token, parent.token).token.register(log.append, 1)
    parent.cancel()
    return len(log)


@row("J26")
def _() -> object:
    log: list[str] = []
    parent, _ = registered(log, "p1")
    child = link(parent.token)
    child.token.register(log.append, "c1")
    child.token.register(log.append, "c2")
    parent.token.register(log.append, "p2")
    parent.cancel()
    return order(log)


# K. the wait handle: wait()


@row("K03")
def _() -> object:
    return canceled_source().token.wait(0)


@row("K04")
def _() -> object:
    return says(none.wait(0), CancellationToken(True).wait(0))


@row("K08")
def _() -> object:
    return Source().token.wait(0.03)


# N. newer members


@row("N03")
def _() -> object:
    log: list[Any] = []
    source = Source()
    token = source.token
    token.unsafe_register(lambda state, token: log.append(token), "state", token)
    source.cancel()
    return log[0] == token


@row("N07")
def _() -> object:
    return Source().try_reset()


@row("N09")
def _() -> object:
    source = Source(5)
    return source.try_reset()


@row("N11")
def _() -> object:
    clock = FakeTimeProvider()
    source = Source(1, time_provider=clock)
    clock.advance(1)
    return source.try_reset()


@row("N12")
def _() -> object:
    log: list[int] = []
    source, _ = registered(log, 1)
    source.try_reset()
    source.cancel()
    return len(log)


@row("N15")
def _() -> object:
    clock = FakeTimeProvider()
    source = Source(time_provider=clock)
    source.try_reset()
    source.cancel_after(0.03)
    clock.advance(0.03)
    return source.is_cancellation_requested


@row("N17")
def _() -> object:
    parent = Source()
    linked = link(parent.token)
    linked.try_reset()
    parent.cancel()
    return linked.is_cancellation_requested


@row("N23")
def _() -> object:
    async def main() -> int:
        log: list[int] = []
        source, _ = registered(log, 1, 2, 3)
        await source.cancel_async()
        return len(log)

    return asyncio.run(main())


@row("N26")
def _() -> object:
    async def main() -> bool:
        with Running() as running:
            await running.source.cancel_async()
            return not running.callback.done

    return asyncio.run(main())


@row("N27")
def _() -> object:
    source = disposed(Source())
    task = source.cancel_async()

    async def main() -> str:
        try:
            await task
        except ObjectDisposedError:
            return (
                "Faulted AggregateException[ObjectDisposedException(object=System.Threading.CancellationTokenSource)]"
            )
        return "completed"

    return says(asyncio.run(main()), source.is_cancellation_requested)


@row("N30")
def _() -> object:
    source = Source()
    source.cancel_async()
    return source.token.wait(0)


@row("N31")
def _() -> object:
    async def main() -> str:
        log: list[int] = []
        source, _ = registered(log, 1, 2, 3, 4)
        await source.cancel_async()
        return order(log)

    return asyncio.run(main())


@row("N39")
def _() -> object:
    return outcome(lambda: Source(1, time_provider=None))  # type: ignore[arg-type]


# the table


def test_every_row_is_checked_or_left_out_for_a_reason() -> None:
    assert len(ROWS) > 130
    assert ROWS.keys() == CHECKS.keys() | LEFT_OUT.keys()
    assert not CHECKS.keys() & LEFT_OUT.keys()
    assert all(LEFT_OUT.values())


@pytest.mark.parametrize("id", sorted(CHECKS))
def test_same_as_dotnet(id: str) -> None:
    assert str(CHECKS[id]()) == ROWS[id]


@pytest.fixture(autouse=True)
def no_thread_is_left_over() -> Iterator[None]:
    yield
    for thread in threading.enumerate():
        if thread.name == "cancellation-callbacks":
            thread.join(PATIENCE)
