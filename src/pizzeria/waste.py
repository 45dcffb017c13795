"""What cancelling saved, over many orders: with services that listen, and with services that do not."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pizzeria.receipt import Receipt, euros

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Waste:
    """The orders that somebody cancelled. Money in cents, oven time in the article's seconds."""

    orders: int
    ignored: int  # cancelled by the customer, and completed all the same
    oven_seconds_wasted: float
    oven_seconds_saved: float
    cents_kept: int
    messages_sent: int

    @classmethod
    def of(cls, receipts: Iterable[Receipt]) -> Waste:
        cancelled = [receipt for receipt in receipts if receipt.cancel_requested and not receipt.cancel_came_too_late]
        return cls(
            orders=len(cancelled),
            ignored=sum(receipt.cancel_was_ignored for receipt in cancelled),
            oven_seconds_wasted=round(sum(receipt.oven_seconds for receipt in cancelled), 1),
            oven_seconds_saved=round(sum(receipt.oven_seconds_saved for receipt in cancelled), 1),
            cents_kept=sum(receipt.kept for receipt in cancelled),
            messages_sent=sum(receipt.message_sent for receipt in cancelled),
        )


_ROWS = (
    "orders cancelled",
    "completed all the same",
    "oven time wasted",
    "oven time saved",
    "money kept",
    "messages sent",
)


class WasteReport:
    """As a notebook's last value it shows the picture; `print` it for the numbers."""

    def __init__(self, orders: Iterable[Receipt]) -> None:
        receipts = list(orders)
        for receipt in receipts:
            if not isinstance(receipt, Receipt):
                raise TypeError(f"orders must be the receipts that `place_order` returns, not {receipt!r}")
        self.listening = Waste.of(receipt for receipt in receipts if receipt.heeds_token)
        self.not_listening = Waste.of(receipt for receipt in receipts if not receipt.heeds_token)

    def __str__(self) -> str:
        rows = [("of the cancelled orders", "somebody listens", "nobody listens")]
        columns = [
            (
                str(waste.orders),
                str(waste.ignored),
                f"{waste.oven_seconds_wasted:.1f} s",
                f"{waste.oven_seconds_saved:.1f} s",
                euros(waste.cents_kept),
                str(waste.messages_sent),
            )
            for waste in (self.listening, self.not_listening)
        ]
        rows += zip(_ROWS, *columns, strict=True)
        return "\n".join(f"{name:<24}{listening:>18}{not_listening:>16}" for name, listening, not_listening in rows)

    __repr__ = __str__

    def draw(self) -> Figure:
        """Oven time of the cancelled orders: wasted (full) and saved (hatched)."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(8, 2.2), layout="constrained")
        axes = figure.subplots()
        wastes = (self.listening, self.not_listening)
        names = [
            f"{name}\n({w.orders} cancelled)"
            for name, w in zip(("somebody listens", "nobody listens"), wastes, strict=True)
        ]
        wasted = [waste.oven_seconds_wasted for waste in wastes]
        saved = [waste.oven_seconds_saved for waste in wastes]
        axes.barh(names, wasted, color="#c0392b", edgecolor="#222222", label="wasted")
        axes.barh(names, saved, left=wasted, color="#ffffff", edgecolor="#222222", hatch="////", label="saved")
        axes.invert_yaxis()
        axes.set_xlabel("oven seconds of cancelled orders")
        figure.legend(loc="outside upper right", ncols=2, frameon=False)
        return figure

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.draw().savefig(buffer, format="png", dpi=110)
        return buffer.getvalue()


def waste(orders: Iterable[Receipt]) -> WasteReport:
    """What the cancels of these receipts' orders saved, and what was wasted where nobody listened."""
    return WasteReport(orders)
