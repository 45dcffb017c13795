"""The timeline: what each service did for an order, where the cancel came, and what it saved.

A picture (matplotlib, loaded when it is drawn) and the same as a text table.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pizzeria import kitchen, payment
from pizzeria.events import CancelRequested, Event, StateChanged, Step
from pizzeria.order import Order, OrderState

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LANE = {  # which service works while an order is in a state
    OrderState.PAYING: "payment",
    OrderState.WAITING: "kitchen",
    OrderState.COOKING: "kitchen",
    OrderState.READY: "courier",
    OrderState.HANDED_OVER: "message",
}
_SERVICES = {"payment": payment, "kitchen": kitchen}
LANES = ("payment", "kitchen", "courier", "message")
_LOOKS = {"work": ("#4c78a8", ""), "wait": ("#ffffff", "..."), "saved": ("#ffffff", "////")}
_NOTES = {"work": "", "wait": "waiting for an oven", "saved": "saved: never done"}


@dataclass(frozen=True, slots=True)
class Span:
    """`what`: "work", "wait" (for an oven), or "saved": the work that was not done. Seconds since the opening."""

    lane: str
    what: str
    begin: float
    end: float


@dataclass(slots=True)
class History:
    """One order, read from its events."""

    order: Order
    pace: float  # as its events told it last
    spans: list[Span] = field(default_factory=list)
    cancelled_at: float | None = None
    outcome: OrderState = OrderState.RECEIVED
    _since: float = 0.0
    _begun: dict[str, int] = field(default_factory=dict)  # steps, by service

    def read(self, event: Event) -> None:
        match event:
            case CancelRequested():
                self.cancelled_at = event.at
            case Step():
                self._begun[event.service] = event.step
                self.pace = _pace(event)
            case StateChanged():
                if event.pace is not None:
                    self.pace = event.pace
                if (lane := _LANE.get(self.outcome)) is not None:
                    what = "wait" if self.outcome is OrderState.WAITING else "work"
                    if event.at > self._since + 0.001:  # with a free oven there is no waiting to speak of
                        self.spans.append(Span(lane, what, self._since, event.at))
                self.outcome, self._since = event.state, event.at
                if event.state in (OrderState.CANCELLED, OrderState.FAILED):
                    self._add_saved()

    def _add_saved(self) -> None:
        begin = self._since
        for lane, service in _SERVICES.items():
            seconds = (service.CHECKS - self._begun.get(lane, 0)) * service.PAUSE * self.pace
            if seconds > 0:
                self.spans.append(Span(lane, "saved", begin, begin + seconds))
                begin += seconds


def _pace(step: Step) -> float:
    """The order's, when that step began."""
    pause: float = _SERVICES[step.service].PAUSE
    return step.seconds / pause


class Timeline:
    """As a notebook's last value it shows the picture; `print` it for the table. Times are in seconds."""

    def __init__(self, events: Iterable[Event], *, first_number: int = 1) -> None:
        self._first_number = first_number
        histories: dict[str, History] = {}
        events = list(events)
        # For an order whose own events do not tell, such as one cancelled before a shop elsewhere received it.
        usual_pace = next((_pace(event) for event in events if isinstance(event, Step)), 1.0)
        for event in events:
            if not isinstance(event, Event):
                raise TypeError(f"events must be those that a pizzeria's `events` tell, not {event!r}")
            histories.setdefault(event.order.id, History(event.order, usual_pace)).read(event)
        self.histories = list(histories.values())

    def __str__(self) -> str:
        ends = [span.end for history in self.histories for span in history.spans]
        digits = 1 if max(ends, default=1.0) >= 1 else 3  # a shop at a hundred times the pace tells milliseconds

        def told(seconds: float) -> str:
            return f"{seconds:.{digits}f}"

        rows: list[tuple[str, ...]] = [("order", "what", "from", "to", "seconds", "")]
        for number, history in enumerate(self.histories, self._first_number):
            name = f"{number} {history.order.pizza}"
            lines = [
                (span.begin, span.lane, told(span.end), told(span.end - span.begin), _NOTES[span.what])
                for span in history.spans
            ]
            if history.cancelled_at is not None:
                lines.append((history.cancelled_at, "cancel", "", "", "requested"))
            rows += [(name, what, told(at), *rest) for at, what, *rest in sorted(lines)]
            rows.append((name, str(history.outcome), "", "", "", ""))
        widths = [max(len(row[column]) for row in rows) for column in range(6)]
        return "\n".join(
            "  ".join(
                cell.rjust(w) if 2 <= i <= 4 else cell.ljust(w)
                for i, (cell, w) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        )

    __repr__ = __str__

    def draw(self) -> Figure:
        """A lane a service; the cancel as a marked line; saved work hatched. Readable without colour."""
        from matplotlib.figure import Figure
        from matplotlib.patches import Patch

        orders = list(enumerate(self.histories, self._first_number))
        rows = {  # above each order one is left free: it parts the orders, and has room for the word "cancel"
            (number, lane): place * (len(LANES) + 1) + row
            for place, (number, _) in enumerate(orders)
            for row, lane in enumerate(LANES, 1)
        }
        figure = Figure(figsize=(9, 1.4 + 0.32 * (len(rows) + len(orders))), layout="constrained")
        axes = figure.subplots()
        for number, history in orders:
            for span in history.spans:
                colour, hatch = _LOOKS[span.what]
                seconds = span.end - span.begin
                axes.barh(
                    rows[number, span.lane], seconds, left=span.begin, color=colour, hatch=hatch, edgecolor="#222222"
                )
            if (at := history.cancelled_at) is not None:
                top, bottom = rows[number, LANES[0]] - 0.5, rows[number, LANES[-1]] + 0.5
                axes.vlines(at, top, bottom, "#c0392b", "dashed", linewidth=2, clip_on=False)
                axes.annotate("cancel", (at, top), ha="center", va="bottom", color="#c0392b")
        axes.set_yticks(list(rows.values()), [f"{number} {lane}" for number, lane in rows])
        axes.set_ylim(max(rows.values(), default=0) + 0.8, -0.8)
        axes.set_xlabel("seconds")
        begins = [span.begin for history in self.histories for span in history.spans]
        cancels = [history.cancelled_at for history in self.histories if history.cancelled_at is not None]
        axes.set_xlim(left=min(begins + cancels, default=0))
        names = {"work": "work", "wait": "waiting for an oven", "saved": "saved: never done"}
        used = {span.what for history in self.histories for span in history.spans}
        figure.legend(
            handles=[
                Patch(facecolor=_LOOKS[what][0], hatch=_LOOKS[what][1], edgecolor="#222222", label=name)
                for what, name in names.items()
                if what in used
            ],
            loc="outside upper right",
            ncols=3,
            frameon=False,
        )
        return figure

    def png(self) -> bytes:
        """The picture as a PNG file."""
        buffer = io.BytesIO()
        self.draw().savefig(buffer, format="png", dpi=110)
        return buffer.getvalue()

    _repr_png_ = png


def timeline(events: Iterable[Event]) -> Timeline:
    """What the events tell of one order or a few: a picture in a notebook, a table in print."""
    return Timeline(events)
