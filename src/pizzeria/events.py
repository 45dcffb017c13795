"""What happens in the pizzeria, told once to whoever wants to know.

Services publish; readers (log, counter, timeline, receipt) subscribe. Neither knows the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from inspect import iscoroutinefunction

from pizzeria.order import Order, OrderState


@dataclass(slots=True)
class Event:
    """`at`: seconds since the pizzeria opened. `line`: what the log says of it, if anything."""

    order: Order
    at: float
    line: str = field(default="", kw_only=True)


@dataclass(slots=True)
class StateChanged(Event):
    state: OrderState
    reason: object = None  # of a cancel: what `cancel(reason)` said; of a failure: the exception
    pace: float | None = field(default=None, kw_only=True)  # of an order that was received: the pace it begins at


@dataclass(slots=True)
class Line(Event):
    """Nothing but a line for the log."""


@dataclass(slots=True)
class Step(Event):
    """A service begins step `step` of `of`, from 1; each is to take `seconds`, at the order's pace."""

    service: str
    step: int
    of: int
    seconds: float


@dataclass(slots=True)
class Money(Event):
    """The ledger has done `step` (authorize, capture, void, refund, settle) for so many cents."""

    step: str
    cents: int


@dataclass(slots=True)
class CancelRequested(Event):
    """The order's token was cancelled. Whether anybody listens is another matter."""

    reason: object


@dataclass(slots=True)
class MessageSent(Event):
    """The customer was told that the order is on its way."""


Reader = Callable[[Event], object]


class EventStream:
    """Calls every reader with every event, in the order of subscribing. Use it on the event loop's thread."""

    def __init__(self) -> None:
        self._subscriptions: dict[object, Reader] = {}
        self._readers: list[Reader] = []  # a new list at each change: who is being told an event may make one

    def subscribe(self, reader: Reader) -> Callable[[], None]:
        """Returns what ends the subscription; calling that twice is harmless. `TypeError` for what is no function."""
        if not callable(reader) or iscoroutinefunction(reader):
            raise TypeError(f"reader must be an ordinary function: nobody would await another; got {reader!r}")
        subscription = object()
        self._subscriptions[subscription] = reader
        self._readers = list(self._subscriptions.values())

        def unsubscribe() -> None:
            self._subscriptions.pop(subscription, None)
            self._readers = list(self._subscriptions.values())

        return unsubscribe

    def publish(self, event: Event) -> None:
        for reader in self._readers:
            try:
                reader(event)
            except Exception as error:  # a broken reader must not stop an order that has nothing to do with it
                asyncio.get_running_loop().call_exception_handler(
                    {"message": f"{reader!r} failed on {event!r}", "exception": error}
                )
