"""The desk at the client: it alone writes in the ledger. Workers ask it for each step, under the number of a try."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from cancellation import CancellationToken
from pizzeria.cluster import travel
from pizzeria.events import Event, StateChanged
from pizzeria.ledger import Entry, Ledger, LedgerError
from pizzeria.order import Order, OrderState

TAKEN_OVER = "🔁 Its worker was lost. Another one begins anew..."


@dataclass(slots=True)
class _Case:
    order: Order
    token: CancellationToken
    attempt: str | None = None  # the newest worker's; None: none has begun


@dataclass(slots=True)
class Desk:
    """An order is done under one try at a time: the newest. A step done in an earlier try is not done again.

    So an order whose worker died goes on in another's hands, and is charged once; and a worker that was only thought
    dead can no longer touch the money. Use it on the client's loop.
    """

    ledger: Ledger
    answer: Callable[[str, bytes], object]  # called with a worker's address and pickled answers
    publish: Callable[[list[Event]], object]
    say: Callable[[Order, str], Event]
    _cases: dict[str, _Case] = field(default_factory=dict)
    _reserved: set[str] = field(default_factory=set)  # orders whose money was reserved here, and not by another desk

    def expect(self, order: Order, token: CancellationToken) -> None:
        """`token`: with which the order is cancelled."""
        self._cases[order.id] = _Case(order, token)

    def close(self, order_id: str) -> None:
        """From now on no worker can do anything for it."""
        self._cases.pop(order_id, None)

    def has_reserved(self, order_id: str) -> bool:
        """Whether what the ledger has of it is of this desk; also once it is closed, until `forget`."""
        return order_id in self._reserved

    def forget(self, order_id: str) -> None:
        self._reserved.discard(order_id)

    def take_back(self, order_id: str) -> bool:
        """True if no worker had begun it, and now none will."""
        case = self._cases.get(order_id)
        if case is None or case.attempt is not None:
            return False
        self.close(order_id)
        return True

    def hear(self, worker: str, data: bytes) -> None:
        """What one worker said in one turn of its loop."""
        events: list[Event] = []
        answers: list[tuple[int, object]] = []
        for kind, *message in pickle.loads(data):
            if kind == "event":
                events.append(self._read(message[0]))
            else:
                number, *call = message
                answers.append((number, self._try(events, *call)))
        if answers:
            self.answer(worker, pickle.dumps(answers))
        if events:
            self.publish(events)

    def _read(self, event: Event) -> Event:
        if isinstance(event, StateChanged) and event.reason is not None:
            case = self._cases.get(event.order.id)
            if event.state is OrderState.CANCELLED and case is not None:
                event.reason = case.token.reason  # the very object; what came home is a copy
            else:
                event.reason = travel.unpack(cast(bytes, event.reason))
        return event

    def _try(self, events: list[Event], order_id: str, attempt: str, step: str, arguments: tuple[Any, ...]) -> object:
        try:
            return self._do(events, order_id, attempt, step, arguments)
        except LedgerError as error:
            return error
        except Exception as error:  # whatever SQLite says; it may not be one that can be pickled
            return LedgerError(f"{type(error).__name__}: {error}")

    def _do(self, events: list[Event], order_id: str, attempt: str, step: str, arguments: tuple[Any, ...]) -> object:
        case = self._cases.get(order_id)
        if case is not None and step == "begin":
            if case.attempt is not None:
                events.append(self.say(case.order, TAKEN_OVER))
            case.attempt = attempt
            return self.ledger.entries(order_id) if self.has_reserved(order_id) else []
        if case is None or case.attempt != attempt:
            raise LedgerError(f"cannot {step} order {order_id}: it is no longer in the hands of this worker")
        if not self.has_reserved(order_id):
            return self._before_it_is_reserved(order_id, step, *arguments)
        if step in ("undo", "entries"):
            return getattr(self.ledger, step)(order_id)
        done: list[Entry] = [entry for entry in self.ledger.entries(order_id) if entry.step == step]
        return done[0] if done else getattr(self.ledger, step)(order_id, *arguments)

    def _before_it_is_reserved(self, order_id: str, step: str, *arguments: Any) -> object:
        """What the ledger may have of the order is of another pizzeria, whose order has the same id."""
        if step in ("undo", "entries"):
            return None if step == "undo" else []
        if step != "authorize":
            raise LedgerError(f"cannot {step} order {order_id}: nothing was reserved for it here", step)
        self._reserved.add(order_id)  # also where the ledger fails in the middle of it
        try:
            return self.ledger.authorize(order_id, *arguments)
        except LedgerError:
            self.forget(order_id)
            raise
