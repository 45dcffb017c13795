"""Checks of lesson 10, Cluster. None of them needs one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Barrier
from typing import Any

from cancellation import CancellationToken, CancellationTokenSource
from classroom.verdict import Verdict, not_yet, well_done
from pizzeria import Ledger, Order

RUNNING = 0.5  # seconds that a task of `check_stop_all` takes when nobody stops it


def check_bake_all(bake_all: Callable[..., object]) -> Verdict:
    """Tasks handed in as function and arguments, each with the token, without waiting for one."""
    loaves, client = ["rye", "wheat", "spelt"], _NotingClient()
    token = CancellationTokenSource().token
    called: list[object] = []

    def bake(loaf: object, token: object = None) -> str:
        called.append(loaf)
        return f"{loaf}, baked"

    try:
        futures = bake_all(client, bake, loaves, token)
    except Exception as error:
        return not_yet(f"it raised {error!r}.")
    if called:
        return not_yet(
            f"`bake` was called {len(called)} times here, in this process, and only its result was handed in. Give "
            f"`submit` the function and its arguments, apart: `client.submit(bake, loaf, ...)`."
        )
    if any(future.waited for future in client.futures):
        return not_yet("it waited for the result of a task. Then they run one after the other. Return the futures.")
    handed_in = sum(function is bake for function, _, _ in client.tasks)
    if handed_in != 3 or len(client.tasks) != 3:
        advice = " A lambda around it is another function: give `submit` the function and its arguments."
        return not_yet(
            f"for 3 loaves `bake` itself should be handed in 3 times. Tasks handed in: {len(client.tasks)}; of `bake` "
            f"itself: {handed_in}.{advice if handed_in < len(client.tasks) else ''}"
        )
    given = [[*arguments, *keywords.values()] for _, arguments, keywords in client.tasks]
    if not all(any(value is token for value in values) for values in given):
        return not_yet("the tasks got no token: then nobody can stop them. Pass it as one more argument.")
    if [values[0] for values in given] != loaves:
        return not_yet(f"the tasks got {[values[0] for values in given]!r} to bake, not {loaves!r}.")
    if not isinstance(futures, Sequence) or list(futures) != client.futures:
        return not_yet(f"it returned {futures!r}, not the list of the futures.")
    return well_done("Three tasks on their way, each with its token, and nobody has waited.")


class _NotingFuture:
    def __init__(self) -> None:
        self.waited = False

    def result(self, *_: object) -> str:
        self.waited = True
        return "baked"

    def exception(self, *_: object) -> None:
        self.waited = True


class _NotingClient:
    """Runs nothing, and writes down what it was given."""

    def __init__(self) -> None:
        self.tasks: list[tuple[object, tuple[object, ...], dict[str, object]]] = []
        self.futures: list[_NotingFuture] = []

    def submit(self, function: object, *arguments: object, pure: bool = True, **keywords: object) -> _NotingFuture:
        self.tasks.append((function, arguments, keywords))
        self.futures.append(_NotingFuture())
        return self.futures[-1]

    def map(self, function: object, *iterables: Iterable[object], **keywords: Any) -> list[_NotingFuture]:
        return [self.submit(function, *arguments, **keywords) for arguments in zip(*iterables, strict=False)]

    def gather(self, futures: Iterable[_NotingFuture]) -> list[str]:
        return [future.result() for future in futures]


def check_stop_all(stop_all: Callable[..., object]) -> Verdict:
    """A cancel by the token, waited for, and counted by what came of each task."""
    with CancellationTokenSource() as source, ThreadPoolExecutor(4) as pool:
        futures = _tasks(pool, source.token)
        try:
            stopped = stop_all(source, futures)
        except Exception as error:
            return not_yet(
                f"it raised {error!r}. The futures of this check are not Dask's own. Use `exception()`: it waits and "
                f"returns a task's error, where `result()` raises it."
            )
        waited = all(future.done() for future in futures)
        canceled = source.is_cancellation_requested
    if not canceled:
        return not_yet(
            "nobody cancelled the source, and the 2 tasks that were running ran on to their end. A future's own "
            "`cancel` does not stop them."
        )
    if not waited:
        return not_yet(
            "it came back while tasks were still cleaning up. Ask each future for its `exception()`: that waits."
        )
    if stopped != 2:
        return not_yet(
            f"2 tasks were stopped by the cancel, 1 was done before, and 1 failed; it returned {stopped!r}. Count the "
            f"errors that are an OperationCanceledError."
        )
    return well_done("Stopped by their token, waited for, and counted: 2.")


def _tasks(pool: ThreadPoolExecutor, token: CancellationToken) -> list[Future[str]]:
    """Two that run until they are stopped, one that is done, and one that has failed."""
    both_run = Barrier(3)

    def running(name: str) -> str:
        both_run.wait()
        token.wait(RUNNING)
        time.sleep(0.1)  # cleaning up takes a moment
        token.throw_if_cancellation_requested()
        return name

    def failing() -> str:
        raise ValueError("the oven is broken")

    done, failed = pool.submit(str, "done"), pool.submit(failing)
    done.exception()
    failed.exception()
    futures = [pool.submit(running, "first"), done, failed, pool.submit(running, "second")]
    both_run.wait()  # a task in line would be stopped by its future's `cancel`
    return futures


class _KilledError(BaseException):
    """Nobody's `except Exception` catches the death of a process."""


class _DyingLedger(Ledger):
    """Dies right after a step; the step itself is done."""

    def __init__(self, dies_after: str) -> None:
        super().__init__()
        self.dies_after = dies_after

    def authorize(self, order_id: str, cents: int) -> Any:
        return self._die_if("authorize", super().authorize(order_id, cents))

    def capture(self, order_id: str) -> Any:
        return self._die_if("capture", super().capture(order_id))

    def _die_if(self, step: str, entry: object) -> object:
        if step == self.dies_after:
            self.dies_after = ""
            raise _KilledError
        return entry


def check_charge(charge: Callable[[Ledger, Order], object]) -> Verdict:
    """Called again after its process died, it goes on, and charges once."""
    for dies_after in ("nothing", "authorize", "capture"):
        order = Order("Margherita", "12 Main St", id="a7")
        with _DyingLedger(dies_after) as ledger:
            tries = 2 if dies_after != "nothing" else 1
            where = f"when its worker dies after {dies_after} and it is called again," if tries == 2 else "in one try"
            for _ in range(tries):
                try:
                    charge(ledger, order)
                except _KilledError:
                    continue
                except Exception as error:
                    return not_yet(f"{where} it raised {type(error).__name__}: {error}")
            if len({entry.order_id for entry in ledger.entries()}) > 1:
                return not_yet(f"{where} the customer has two orders in the ledger. Keep to the order's own id.")
            if ledger.charged() != order.cents:
                return not_yet(
                    f"{where} {ledger.charged()} cents were charged, not {order.cents}: somebody forgot a step."
                )
    return well_done("Whenever the worker dies, the next one goes on, and the customer is charged once.")
