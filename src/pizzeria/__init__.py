"""The running example: a pizza delivery whose orders can be cancelled. Start reading in `shop`, then `orders`."""

from typing import TYPE_CHECKING

from pizzeria.ledger import Ledger, LedgerError
from pizzeria.order import MENU, Order, OrderState
from pizzeria.receipt import Receipt
from pizzeria.shop import Pizzeria
from pizzeria.timeline import timeline
from pizzeria.waste import waste

if TYPE_CHECKING:
    from pizzeria.counter import OrderCounter

__all__ = [
    "MENU",
    "Ledger",
    "LedgerError",
    "Order",
    "OrderCounter",
    "OrderState",
    "Pizzeria",
    "Receipt",
    "timeline",
    "waste",
]


def __getattr__(name: str) -> object:
    if name == "OrderCounter":  # ipywidgets loads when it is used: a web or cluster worker has no use for it
        from pizzeria.counter import OrderCounter

        return OrderCounter
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
