"""One order on the counter: its status, its progress, its receipt, its log, and its own cancel button."""

from __future__ import annotations

from html import escape

import ipywidgets as widgets

from cancellation import CancellationTokenSource
from pizzeria import kitchen, payment
from pizzeria.events import CancelRequested, Event, StateChanged, Step
from pizzeria.order import Order, OrderState
from pizzeria.receipt import Receipt, euros

_IN_WORDS = {  # an icon and a word: no status is told by colour alone
    OrderState.RECEIVED: ("🧾", "Received"),
    OrderState.PAYING: ("💳", "Paying"),
    OrderState.WAITING: ("⏳", "Waiting for an oven"),
    OrderState.COOKING: ("👨‍🍳", "Cooking"),
    OrderState.READY: ("🍕", "Ready"),
    OrderState.HANDED_OVER: ("🛵", "On its way"),
    OrderState.COMPLETED: ("✅", "Completed"),
    OrderState.CANCELLED: ("🚫", "Cancelled"),
    OrderState.FAILED: ("⚠️", "Failed"),
}


class OrderCard(widgets.VBox):
    """A reader of one order's events."""

    def __init__(self, number: int, order: Order, source: CancellationTokenSource, *, heeds_token: bool) -> None:
        self.number = number
        self.order = order
        self.source = source
        self.receipt = Receipt(order, heeds_token)
        self.events: list[Event] = []
        self.cancel = _named(widgets.Button(description=f"Cancel order {number}"), "cancel")
        self._status = _named(widgets.HTML(), "status")
        self._payment = _Bar("Payment", payment.CHECKS, "payment")
        self._kitchen = _Bar("Kitchen", kitchen.CHECKS, "kitchen")
        self._receipt = _named(widgets.HTML(), "receipt")
        self._log = _named(widgets.HTML(), "log")
        title = widgets.HTML(f"<b>Order {number}</b> · {escape(order.pizza)} · {escape(order.address)}")
        super().__init__(
            [
                _named(widgets.HBox([_named(title, "title"), self.cancel]), "head"),
                self._status,
                self._payment,
                self._kitchen,
                self._receipt,
                self._log,
            ],
        )
        _named(self, "")
        self._show_status()

    @property
    def status(self) -> str:
        """In one or a few words, such as "Paying" or "Cancelled"."""
        return _IN_WORDS[self.receipt.status][1]

    @property
    def can_be_cancelled(self) -> bool:
        """False from the handover to the courier on."""
        return self.receipt.status.can_be_cancelled

    def read(self, event: Event) -> None:
        """Show what one event of this order says."""
        self.events.append(event)
        self.receipt.read(event)
        if event.line:
            self._log.value = "".join(f"<div>{escape(line)}</div>" for line in self.receipt.lines)
        match event:
            case Step(service="payment"):
                self._payment.show_step(event.step)
            case Step(service="kitchen"):
                self._kitchen.show_step(event.step)
            case CancelRequested():
                self._show_status()
            case StateChanged():
                self._show_state()

    def _show_state(self) -> None:
        state = self.receipt.status
        if state is OrderState.WAITING:
            self._payment.end("done")
        elif state is OrderState.READY:
            self._kitchen.end("done")
        elif state in (OrderState.CANCELLED, OrderState.FAILED):
            self._payment.stop()
            self._kitchen.stop()
        if not state.can_be_cancelled:
            self.cancel.layout.display = "none"
        if state.is_final:
            self._show_receipt()
        self._show_status()

    def _show_status(self) -> None:
        icon, words = _IN_WORDS[self.receipt.status]
        note = ""
        if self.receipt.cancel_came_too_late:
            note = " – the cancel came too late"
        elif self.receipt.cancel_requested and not self.receipt.status.is_final:
            note = " – stopping" if self.receipt.heeds_token else " – you cancelled, but nobody listens"
        self._status.value = f"<span aria-hidden='true'>{icon}</span> <b>{words}</b>{note}"

    def _show_receipt(self) -> None:
        receipt = self.receipt
        account = _account(receipt, meal_ready=self._kitchen.is_done)
        self._receipt.value = (
            f"<p>{escape(' '.join(account))}</p>"
            "<table>"
            f"<tr><th>Charged</th><td>{euros(receipt.charged)}</td></tr>"
            f"<tr><th>Refunded</th><td>{euros(receipt.refunded)}</td></tr>"
            f"<tr><th>Oven time saved</th><td>{receipt.oven_seconds_saved:.1f} s</td></tr>"
            "</table>"
        )
        if receipt.cancel_was_ignored:
            self._receipt.add_class("pizza-order-ignored")


class _Bar(widgets.HBox):
    """A service's progress, as a bar and, for who cannot see it, in words."""

    def __init__(self, name: str, steps: int, css: str) -> None:
        self._name = name
        self._steps = steps
        self._bar = widgets.IntProgress(value=0, min=0, max=steps)
        self._words = widgets.HTML()
        super().__init__([self._words, self._bar])
        _named(self, css)
        self._say("not started")

    @property
    def is_done(self) -> bool:
        return bool(self._bar.bar_style == "success")

    def show_step(self, step: int) -> None:
        self._bar.value = step
        self._say(f"{step} of {self._steps}")

    def end(self, words: str) -> None:
        self._bar.bar_style = "success"
        self._bar.value = self._steps
        self._say(words)

    def stop(self) -> None:
        if self.is_done:
            return
        self._bar.bar_style = "danger"
        self._say(f"stopped at {self._bar.value} of {self._steps}" if self._bar.value else "never started")

    def _say(self, words: str) -> None:
        self._words.value = f"{self._name} <span>{words}</span>"


def _account(receipt: Receipt, *, meal_ready: bool) -> list[str]:
    """The receipt in sentences."""
    if receipt.status is OrderState.COMPLETED:
        message = "the message sent" if receipt.message_sent else "the message not sent"
        done = f"{euros(receipt.kept)} charged, the meal cooked, {message}."
        if receipt.cancel_came_too_late:
            return ["Your cancel came too late: the courier had left.", done]
        return ["You cancelled, and yet:", done] if receipt.cancel_was_ignored else [done]
    if receipt.kept:
        money = f"{euros(receipt.kept)} were charged, and have not gone back: the ledger must be put right."
    elif receipt.charged:
        money = f"{euros(receipt.charged)} were charged and refunded."
    else:
        money = "Nothing was charged."
    if meal_ready:
        return [money, "The meal was ready, and nobody gets it. The oven is free."]
    if receipt.kitchen_started:
        return [money, "The kitchen stopped, and its oven is free."]
    return [money, "The kitchen never started, and the oven is free."]


def _named(widget: widgets.DOMWidget, part: str) -> widgets.DOMWidget:
    """Give it the CSS class by which style sheet and tests know it."""
    widget.add_class(f"pizza-order-{part}" if part else "pizza-order")
    return widget
