"""The receipt: what an order cost in the end, and what its cancel saved."""

from __future__ import annotations

from dataclasses import dataclass, field

from pizzeria import kitchen
from pizzeria.events import CancelRequested, Event, MessageSent, Money, StateChanged, Step
from pizzeria.order import Order, OrderState


@dataclass(slots=True)
class Receipt:
    """Read from the order's events. Amounts are cents; seconds are the article's, whatever the pace."""

    order: Order
    heeds_token: bool = True  # whether the services looked at the token
    cancel_requested: bool = False
    status: OrderState = OrderState.RECEIVED
    reason: object = None  # of the cancel or the failure
    charged: int = 0
    refunded: int = 0
    kitchen_steps: int = 0  # begun
    message_sent: bool = False
    lines: list[str] = field(default_factory=list)

    @property
    def kept(self) -> int:
        return self.charged - self.refunded

    @property
    def cancel_came_too_late(self) -> bool:
        """After the handover, though somebody would have listened."""
        out = self.status in (OrderState.HANDED_OVER, OrderState.COMPLETED)
        return out and self.cancel_requested and self.heeds_token

    @property
    def cancel_was_ignored(self) -> bool:
        """Nobody listened, and the order is completed."""
        return self.cancel_requested and not self.heeds_token and self.status is OrderState.COMPLETED

    @property
    def kitchen_started(self) -> bool:
        return self.kitchen_steps > 0

    @property
    def oven_seconds(self) -> float:
        return round(self.kitchen_steps * kitchen.PAUSE, 1)

    @property
    def oven_seconds_saved(self) -> float:
        return round(kitchen.OVEN_SECONDS - self.oven_seconds, 1)

    def read(self, event: Event) -> None:
        """Take one event of this order into account."""
        if event.line:
            self.lines.append(event.line)
        # By exact type, and the usual ones first: thousands of orders may be cancelled in one turn of the loop.
        if type(event) is StateChanged:
            self.status, self.reason = event.state, event.reason
        elif type(event) is Money:
            if event.step == "capture":
                self.charged = event.cents
            elif event.step == "refund":
                self.refunded = event.cents
        elif type(event) is Step:
            if event.service == "kitchen":
                self.kitchen_steps = event.step
        elif type(event) is CancelRequested:
            self.cancel_requested = True
        elif type(event) is MessageSent:
            self.message_sent = True

    def __str__(self) -> str:
        return (
            f"{self.order.pizza}: {self.status}. Charged {euros(self.charged)}, refunded {euros(self.refunded)}, "
            f"oven {self.oven_seconds:.1f} s, saved {self.oven_seconds_saved:.1f} s, "
            f"message {'sent' if self.message_sent else 'not sent'}."
        )


def euros(cents: int) -> str:
    return f"€{cents / 100:.2f}"
