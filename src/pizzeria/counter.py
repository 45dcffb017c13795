"""The counter: order a pizza, watch it, cancel it, in a notebook.

A click may arrive on any thread, and on a thread with another event loop (it depends on the version of
ipykernel). So the counter keeps the loop on which it was made, and does everything there.
"""

from __future__ import annotations

import asyncio
import base64
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from html import escape
from importlib.resources import files

import ipywidgets as widgets

from cancellation import CancellationTokenSource
from pizzeria import fields
from pizzeria.cells import replace_earlier_run
from pizzeria.events import Event, StateChanged
from pizzeria.live_region import LiveRegion
from pizzeria.order import MENU, Order, OrderState
from pizzeria.order_card import OrderCard
from pizzeria.orders import CLOSING_TIME
from pizzeria.receipt import Receipt, euros
from pizzeria.shop import Pizzeria
from pizzeria.timeline import Timeline

_STYLE = f"<style>{files('pizzeria').joinpath('counter.css').read_text(encoding='utf-8')}</style>"


MOST_DRAWN = 6  # orders in the timeline; more would not fit on a page


@dataclass(frozen=True, slots=True)
class _Choices:
    """What stood in the counter's fields at the click on "Place order"."""

    pizza: str
    address: str
    heeds_token: bool
    deadline: float | None  # seconds
    pace: float | None  # None: the shop's own


class OrderCounter(widgets.VBox):
    """A widget to place orders in `shop` and to cancel them, while they run, one by one or all at once.

    Make it in a notebook cell (or elsewhere where an event loop runs: `RuntimeError` where none does). Running
    the cell again replaces it, and cancels its orders. From a cell, `counter.place.click()`,
    `counter.cancel.click()` and `await counter.finished()` do what the hand does.
    """

    def __init__(self, shop: Pizzeria) -> None:
        if not isinstance(shop, Pizzeria):
            raise TypeError(f"shop must be a Pizzeria, not {shop!r}")
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            raise RuntimeError(
                "OrderCounter needs a running event loop: make it in a notebook cell, or inside an async function"
            ) from None
        self._shop = shop
        self._cards: dict[str, OrderCard] = {}  # by order id, oldest first
        self._tasks: dict[str, asyncio.Task[Receipt]] = {}  # a task that nobody refers to may vanish
        self._kitchen = CancellationTokenSource()
        self._closed = False
        self._drawing: asyncio.Task[None] | None = None  # of the timeline; None while it is hidden
        self._to_draw = False  # something has happened since

        self.pizza = fields.Dropdown(
            options=[(f"{pizza}  {euros(cents)}", pizza) for pizza, cents in MENU.items()], description="Pizza"
        )
        # Sent when the typing ends, not by the letter: on the way to a far kernel the click would overtake letters.
        self.address = fields.Text(
            value="12 Main St", description="Address", placeholder="street and number", continuous_update=False
        )
        self.place = widgets.Button(description="Place order", icon="cutlery", button_style="primary")
        self.cancel = widgets.Button(
            description="Cancel order", icon="hand-stop-o", tooltip="Cancel the newest order that is not out yet"
        )
        self.close_kitchen = widgets.Button(
            description="Close the kitchen", icon="moon-o", tooltip="Cancel all orders, and take no more"
        )
        self.heeds_token = fields.Checkbox(
            value=shop.heeds_token, description="Payment and kitchen heed the token", indent=False
        )
        self.deadline = fields.Dropdown(
            options=[("none", 0), ("2 s", 2), ("4 s", 4)],
            description="Deadline",
            tooltip="The order cancels itself after this time",
        )
        self.pace = fields.Dropdown(
            options=[
                ("the shop's own", 0),
                ("as in the article", 1.0),
                ("twice as fast", 0.5),
                ("ten times as fast", 0.1),
            ],
            description="Pace",
        )
        self.show_timeline = widgets.Button(
            description="Show timeline", icon="bar-chart", tooltip="What each service did, and where the cancel came"
        )
        self._message = widgets.HTML()
        self._summary = widgets.HTML()
        self._timeline = widgets.HTML()
        self._announcement = LiveRegion()
        self._card_box = widgets.Box()
        for widget, name in (
            (self.pizza, "pizza"),
            (self.address, "address"),
            (self.place, "place"),
            (self.cancel, "cancel"),
            (self.close_kitchen, "close"),
            (self.heeds_token, "heeds"),
            (self.deadline, "deadline"),
            (self.pace, "pace"),
            (self.show_timeline, "show-timeline"),
            (self._message, "message"),
            (self._announcement, "announcement"),
            (self._summary, "summary"),
            (self._card_box, "orders"),
            (self._timeline, "timeline"),
        ):
            widget.add_class(f"pizza-counter-{name}")
        super().__init__(
            [
                widgets.HTML(_STYLE),
                _row(self.pizza, self.address),
                _row(self.deadline, self.pace, self.heeds_token),
                _row(self.place, self.cancel, self.close_kitchen, self.show_timeline),
                self._message,
                self._announcement,
                self._summary,
                self._card_box,
                self._timeline,
            ]
        )
        self.add_class("pizza-counter")
        # Read at the click: by the time the loop has its turn, the fields may say something else.
        self.place.on_click(lambda _: self._on_loop(partial(self._place, self._choices())))
        self._on_click(self.cancel, self._cancel_newest)
        self._on_click(self.close_kitchen, self._close_or_open_kitchen)
        self._on_click(self.show_timeline, self._show_timeline)
        self._end_subscription = shop.events.subscribe(self._read)
        self._say("Choose a pizza and place your order. While it is on its way through the house, you can cancel it.")
        replace_earlier_run(self)

    @property
    def orders(self) -> list[OrderCard]:
        """The cards of all orders placed here, newest first."""
        return list(reversed(self._cards.values()))

    async def finished(self) -> list[Receipt]:
        """Wait until no order is under way. The receipts so far, oldest order first; await it where it was made."""
        while self._tasks:
            await asyncio.wait(self._tasks.values())
            await asyncio.sleep(0)  # the tasks' done callbacks take them out
        return [card.receipt for card in self._cards.values()]

    def stop(self, words: str = "This counter is closed.") -> None:
        """Cancel its orders and answer no more clicks. `words` tell the reader why; those of the first call stay.

        `TypeError` for words that are no text.
        """
        if not isinstance(words, str):
            raise TypeError(f"words must be text, not {words!r}")
        if self._closed:
            return
        self._say(words)
        self._closed = True
        self._kitchen.cancel(words)
        for button in (self.place, self.cancel, self.close_kitchen, self.show_timeline):
            button.disabled = True
        self._leave_if_over()

    def __repr__(self) -> str:  # what a reader without a kernel sees in place of the widget
        return f"<OrderCounter with {_orders(len(self._cards))}: run this cell to use it>"

    def _on_click(self, button: widgets.Button, act: Callable[[], None]) -> None:
        button.on_click(lambda _: self._on_loop(act))

    def _on_loop(self, act: Callable[[], None]) -> None:
        """Do it on the counter's loop; at once if this is it."""
        if asyncio._get_running_loop() is self._loop:
            self._safely(act)
            return
        try:
            self._loop.call_soon_threadsafe(self._safely, act)
        except RuntimeError:
            self._say("The event loop of this counter has ended: run its cell again.", "error")

    def _safely(self, act: Callable[[], None]) -> None:
        if self._closed:  # perhaps since the click, which came on another thread
            return
        try:
            act()
        except Exception as error:  # from a callback it would go where no student looks
            self._say(f"That did not work. {_in_words(error)}", "error")

    def _choices(self) -> _Choices:
        return _Choices(
            self.pizza.value,
            self.address.value,
            self.heeds_token.value,
            self.deadline.value or None,
            self.pace.value or None,
        )

    def _place(self, chosen: _Choices) -> None:
        try:
            order = Order(chosen.pizza, chosen.address)
        except ValueError as error:
            self._say(f"No order was made: {error}", "error")
            return
        if self._kitchen.is_cancellation_requested:
            self._say("No order was made: the kitchen is closed. Open it first.", "error")
            return
        source = CancellationTokenSource.create_linked_token_source(
            self._kitchen.token, time_provider=self._shop.time_provider
        )
        source.cancel_after(chosen.deadline)
        number = len(self._cards) + 1
        card = self._cards[order.id] = OrderCard(number, order, source, heeds_token=chosen.heeds_token)
        self._on_click(card.cancel, lambda: self._cancel(card))
        task = self._tasks[order.id] = self._loop.create_task(self._serve(card, chosen.pace))
        task.add_done_callback(lambda task: self._ended(card, task))
        # At the end: were it put in front, the page would draw all cards anew, under the reader's hand.
        self._card_box.children = (*self._card_box.children, card)
        self._say(f"Order {number} is placed.")

    async def _serve(self, card: OrderCard, pace: float | None) -> Receipt:
        return await self._shop.place_order(
            card.order, card.source.token, heeds_token=card.receipt.heeds_token, pace=pace
        )

    def _cancel_newest(self) -> None:
        if reachable := self._reachable():
            self._cancel(reachable[0])
        elif any(card.can_be_cancelled for card in self.orders):
            self._say("All orders are cancelled already.")
        else:
            self._say("There is no order to cancel. Place one first.")

    def _reachable(self) -> list[OrderCard]:
        """Whom a cancel would still reach, newest first."""
        return [card for card in self.orders if card.can_be_cancelled and not card.source.is_cancellation_requested]

    def _cancel(self, card: OrderCard) -> None:
        if not card.can_be_cancelled:
            self._say(f"Too late: order {card.number} is {card.status.lower()}.")
            return
        card.source.cancel("cancelled by the customer")
        if not card.receipt.heeds_token:
            self._say(f"You cancelled order {card.number}, and its token says so. But nobody looks at it.", "warning")

    def _close_or_open_kitchen(self) -> None:
        if self._kitchen.is_cancellation_requested:
            self._kitchen = CancellationTokenSource()
            self.close_kitchen.description = "Close the kitchen"
            self._say("The kitchen is open again.")
        else:
            self.close_kitchen.description = "Open the kitchen"
            reached = self._reachable()
            said = "The kitchen is closed."
            if reached:
                said += f" One cancel has reached {_orders(len(reached))}, through a link."
            if deaf := sum(not card.receipt.heeds_token for card in reached):
                said += f" But nobody looks at the token of {_orders(deaf)}."
            self._kitchen.cancel(CLOSING_TIME)
            self._say(said, "warning" if deaf else "note")

    def _show_timeline(self) -> None:
        if self._drawing is not None:
            self._drawing.cancel()
            self._timeline.value = ""
            self._drawing = None
            self.show_timeline.description = "Show timeline"
        elif self._cards:
            self._draw()
            newest = f" of the newest {MOST_DRAWN} orders" if len(self._cards) > MOST_DRAWN else ""
            self._say(f"Look below the orders for the timeline{newest}.")
        else:
            self._say("There is nothing to draw yet. Place an order first.")

    def _draw(self) -> None:
        """Draw the timeline; or, where that is being done, once more afterwards, however many orders end meanwhile."""
        self._to_draw = True
        if self._drawing is None or self._drawing.done():
            self._drawing = self._loop.create_task(self._draw_timeline())

    async def _draw_timeline(self) -> None:
        while self._to_draw:
            self._to_draw = False
            cards = self.orders[:MOST_DRAWN][::-1]
            drawn = Timeline([event for card in cards for event in card.events], first_number=cards[0].number)
            try:
                png = await asyncio.to_thread(drawn.png)  # matplotlib takes its time, and orders are running
            except Exception as error:
                self._say(f"The timeline cannot be drawn. {_in_words(error)}", "error")
                self._drawing = None
                return
            self._timeline.value = (
                f'<img alt="Timeline of the orders; the table below says the same" '
                f'src="data:image/png;base64,{base64.b64encode(png).decode()}">'
                f"<details><summary>The same as a table</summary><pre>{escape(str(drawn))}</pre></details>"
            )
            self.show_timeline.description = "Hide timeline"

    def _read(self, event: Event) -> None:
        card = self._cards.get(event.order.id)
        if card is None:  # placed by somebody else
            return
        card.read(event)
        if isinstance(event, StateChanged):
            self._summary.value = f"<p>{escape(_summary([card.receipt for card in self._cards.values()]))}</p>"
            if event.state.is_final and event.reason != CLOSING_TIME:  # what closing did has been said for all
                self._say(f"Order {card.number} is {card.status.lower()}.")
            else:
                self._announcement.say(f"Order {card.number}: {card.status}")

    def _ended(self, card: OrderCard, task: asyncio.Task[Receipt]) -> None:
        del self._tasks[card.order.id]
        card.source.dispose()
        if self._drawing is not None:
            self._draw()  # again, with what has ended
        self._leave_if_over()
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if not card.receipt.status.is_final:  # it ended before the shop had taken it
            self._read(
                StateChanged(card.order, 0.0, OrderState.CANCELLED if task.cancelled() else OrderState.FAILED, error)
            )
        if error is not None and not task.cancelled():
            self._say(f"Order {card.number} failed. {_in_words(error)}", "error")

    def _leave_if_over(self) -> None:
        if self._closed and not self._tasks:  # not earlier: the cards are to show how their orders ended
            self._end_subscription()

    def _say(self, text: str, kind: str = "note") -> None:
        if self._closed:  # why it was closed is to stay in sight
            return
        self._message.value = f'<p class="pizza-counter-{kind}">{escape(text)}</p>'
        self._announcement.say(text)


def _row(*children: widgets.Widget) -> widgets.Box:
    row = widgets.Box(children)
    row.add_class("pizza-counter-row")
    return row


def _summary(receipts: list[Receipt]) -> str:
    count = Counter(receipt.status for receipt in receipts)
    under_way = sum(not receipt.status.is_final for receipt in receipts)
    parts = [
        _orders(len(receipts)),
        *([f"{under_way} under way"] if under_way else []),
        f"{count[OrderState.COMPLETED]} completed",
        f"{count[OrderState.CANCELLED]} cancelled",
        *([f"{count[OrderState.FAILED]} failed"] if count[OrderState.FAILED] else []),
        f"charged {euros(sum(receipt.charged for receipt in receipts))}",
        f"refunded {euros(sum(receipt.refunded for receipt in receipts))}",
        f"oven time saved {sum(r.oven_seconds_saved for r in receipts if r.status.is_final):.1f} s",
    ]
    return " · ".join(parts)


def _orders(number: int) -> str:
    return f"{number} order{'' if number == 1 else 's'}"


def _in_words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
