"""An order, and the states it goes through."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from uuid import uuid4

MENU = {  # prices in cents
    "Margherita": 950,
    "Marinara": 850,
    "Funghi": 1050,
    "Diavola": 1150,
    "Quattro Formaggi": 1250,
}
LONGEST_ADDRESS = 200  # characters


@dataclass(frozen=True, slots=True)
class Order:
    """One pizza to one address. `ValueError` or `TypeError`, with the value, for what cannot be delivered."""

    pizza: str
    address: str
    id: str = field(default_factory=lambda: uuid4().hex)

    def __post_init__(self) -> None:
        if not isinstance(self.pizza, str) or self.pizza not in MENU:
            raise ValueError(f"pizza must be one of {', '.join(MENU)}, not {self.pizza!r}")
        if not isinstance(self.address, str):
            raise TypeError(f"address must be text, not {self.address!r}")
        if not self.address.strip():
            raise ValueError(f"address must not be empty, but is {self.address!r}: where should the pizza go?")
        if len(self.address) > LONGEST_ADDRESS:
            raise ValueError(
                f"address must be at most {LONGEST_ADDRESS} characters long, "
                f"not {len(self.address)}: {self.address[:40]!r}…"
            )
        try:
            self.address.encode()
        except UnicodeEncodeError as error:  # half of a character, as JSON can have it
            raise ValueError(f"address must be text that can be written as UTF-8, not {self.address!r}") from error
        if not isinstance(self.id, str):
            raise TypeError(f"id must be text, not {self.id!r}")
        if not self.id.isprintable() or not self.id:
            raise ValueError(f"id must be printable text, not {self.id!r}")

    @property
    def cents(self) -> int:
        """The price."""
        return MENU[self.pizza]


class OrderState(StrEnum):
    RECEIVED = "received"
    PAYING = "paying"
    WAITING = "waiting for an oven"
    COOKING = "cooking"
    READY = "ready"
    HANDED_OVER = "handed over"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"

    __hash__ = str.__hash__  # states are looked up for every event of thousands of orders; Enum's own hash is slow

    @property
    def can_be_cancelled(self) -> bool:
        """False from the handover to the courier on: the point of no return."""
        return OrderState.CANCELLED in MOVES[self]

    @property
    def is_final(self) -> bool:
        return self in FINAL


_UNDONE = {OrderState.CANCELLED, OrderState.FAILED}

# Every legal move; there is no other way from one state to another.
MOVES: dict[OrderState, set[OrderState]] = {
    OrderState.RECEIVED: {OrderState.PAYING, *_UNDONE},
    OrderState.PAYING: {OrderState.WAITING, *_UNDONE},
    OrderState.WAITING: {OrderState.COOKING, *_UNDONE},
    OrderState.COOKING: {OrderState.READY, *_UNDONE},
    OrderState.READY: {OrderState.HANDED_OVER, *_UNDONE},
    OrderState.HANDED_OVER: {OrderState.COMPLETED},
    OrderState.COMPLETED: set(),
    OrderState.CANCELLED: set(),
    OrderState.FAILED: set(),
}
FINAL = {state for state, moves in MOVES.items() if not moves}
