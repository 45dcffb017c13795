"""The order service: one order from the phone call to the courier, and back again where it is cancelled."""

from __future__ import annotations

import asyncio

from cancellation import CancellationToken, OperationCanceledError
from pizzeria.bank import Bank
from pizzeria.clock import Clock
from pizzeria.events import EventStream, Line, Money, StateChanged
from pizzeria.kitchen import Kitchen
from pizzeria.ledger import UNDOING, Entry, LedgerError
from pizzeria.notification import Notification
from pizzeria.order import FINAL, MOVES, Order, OrderState
from pizzeria.payment import Payment

COURIER = 0.3  # seconds until the courier is at the door
CLOSING_TIME = "closing time"  # the reason with which a closing kitchen cancels its orders


class Orders:
    def __init__(
        self,
        payment: Payment,
        kitchen: Kitchen,
        notification: Notification,
        bank: Bank,
        clock: Clock,
        events: EventStream,
    ) -> None:
        self._payment = payment
        self._kitchen = kitchen
        self._notification = notification
        self._bank = bank
        self._clock = clock
        self._events = events

    async def place_order(self, order: Order, token: CancellationToken, *, pace: float | None = None) -> None:
        """Serve the order, or, once `token` is cancelled, undo what was done of it.

        Returns when the order is completed or cancelled. What a service raises comes out after the undoing.
        `pace`: the order's own; None for the pizzeria's, as it is at each step.
        """
        if await self._bank.knows(order.id):
            raise ValueError(f"order {order.id} has been placed before; make a new Order for another pizza")
        clock = self._clock.at(pace)
        progress = _Progress(order, clock, self._events)
        try:
            progress.move_to(OrderState.PAYING)
            await self._payment.process_payment(order, token, pace=pace)
            progress.move_to(OrderState.WAITING)
            async with self._kitchen.oven(order, token, pace=pace):
                progress.move_to(OrderState.COOKING)
                await self._kitchen.prepare_meal(order, token, pace=pace)
            progress.move_to(OrderState.READY)
            await clock.pause(COURIER, token)
            token.throw_if_cancellation_requested()  # the last look: what follows cannot be undone
            progress.settling = True
            await self._bank.settle(order.id)
            await self._hand_over(order, progress, pace)
        except BaseException as error:
            if progress.state in FINAL:  # completed, though its task was cancelled
                raise
            if isinstance(error, LedgerError) and error.refused == "authorize":
                progress.fail(error)  # the money of an order with this id is another call's
                raise
            by_token = isinstance(error, OperationCanceledError) and token.is_cancellation_requested
            try:
                undone, last = await self._undo(order.id)
            except Exception as failure:  # the order stays open in the ledger, which repairs it when opened again
                progress.fail(failure)
                raise
            if progress.settling and last is not None and last.step == "settle":
                await self._hand_over(order, progress, pace)  # the money stays; what came then is too late
                if isinstance(error, Exception):
                    return
                raise
            if by_token or isinstance(error, asyncio.CancelledError):
                reason = token.reason
                progress.end_undone(last, OrderState.CANCELLED, reason, _cancel_line(reason), by_us=undone is not None)
            else:
                progress.fail(error, last, by_us=undone is not None)
            if not by_token:
                raise

    async def _undo(self, order_id: str) -> tuple[Entry | None, Entry | None]:
        """What was undone now, and the order's last entry: the same, unless the ledger had ended the order before."""
        undone = await self._bank.undo(order_id)
        if undone is not None:
            return undone, undone
        entries = await self._bank.entries(order_id)
        return None, entries[-1] if entries else None

    async def _hand_over(self, order: Order, progress: _Progress, pace: float | None) -> None:
        if progress.state is not OrderState.HANDED_OVER:
            progress.hand_over()
        try:
            await self._notification.notify_customer(order, CancellationToken.none, pace=pace)
        except Exception as error:  # the pizza is on its way, with or without the message
            progress.say(f"⚠️ The message could not be sent: {_in_words(error)}")
        finally:
            progress.move_to(OrderState.COMPLETED, "✅ Order completed successfully!")


class _Progress:
    """Where one order is, and the telling of it."""

    __slots__ = ("_clock", "_events", "_order", "settling", "state")

    def __init__(self, order: Order, clock: Clock, events: EventStream) -> None:
        self._order = order
        self._clock = clock
        self._events = events
        self.state = OrderState.RECEIVED
        self.settling = False  # the bank has been asked to settle
        events.publish(StateChanged(order, clock.now, self.state, line="🍽️ Order received...", pace=clock.pace))

    def move_to(self, state: OrderState, line: str = "") -> None:
        self._enter(state)
        self._events.publish(StateChanged(self._order, self._clock.now, state, line=line))

    def end_undone(self, last: Entry | None, state: OrderState, reason: object, line: str, *, by_us: bool) -> None:
        """Cancelled or failed. `last`: the order's in the ledger. `by_us`: not from elsewhere, or by a repair."""
        self._enter(state)
        order, now = self._order, self._clock.now
        end = StateChanged(order, now, state, reason, line=line)
        if last is not None and last.step in UNDOING:
            cleanup = "🧹 Cleaning up before stopping..." if by_us else ""
            self._events.publish(Money(order, now, last.step, last.cents, line=cleanup))
        self._events.publish(end)

    def fail(self, error: BaseException, last: Entry | None = None, *, by_us: bool = False) -> None:
        self.end_undone(last, OrderState.FAILED, error, f"⚠️ Order failed: {_in_words(error)}", by_us=by_us)

    def hand_over(self) -> None:
        self._enter(OrderState.HANDED_OVER)
        order, now = self._order, self._clock.now
        try:
            self._events.publish(Money(order, now, "settle", order.cents))
        finally:  # whatever a reader of the first raises
            self._events.publish(StateChanged(order, now, self.state))

    def say(self, line: str) -> None:
        self._events.publish(Line(self._order, self._clock.now, line=line))

    def _enter(self, state: OrderState) -> None:
        if state not in MOVES[self.state]:
            raise RuntimeError(f"an order that is {self.state} cannot become {state}")
        self.state = state


def _cancel_line(reason: object) -> str:
    if isinstance(reason, TimeoutError):
        return "🚫 Order cancelled by deadline."
    if isinstance(reason, str) and reason == CLOSING_TIME:
        return "🚫 Order cancelled by closing time."
    return "🚫 Order cancelled by user."


def _in_words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
