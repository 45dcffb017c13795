"""The pizzeria: its services, its events, and the one door through which orders come in."""

from __future__ import annotations

from collections.abc import Awaitable

from cancellation import CancellationToken, TimeProvider
from pizzeria.bank import Bank, LedgerHere
from pizzeria.cancel_watch import CancelWatch
from pizzeria.clock import Clock, check_pace
from pizzeria.events import CancelRequested, Event, EventStream, Money
from pizzeria.kitchen import Kitchen
from pizzeria.ledger import Ledger
from pizzeria.notification import Notification
from pizzeria.order import Order
from pizzeria.orders import Orders
from pizzeria.payment import Payment
from pizzeria.receipt import Receipt


class Pizzeria:
    """Takes orders, any number at once, on one event loop.

    `ledger`: where the money is written down; by default in memory. `ovens`: how many meals cook at a time.
    `pace`: 1.0 is the article's speed, 0.01 a hundred times faster; may be changed at any time.
    `heeds_token`: whether the services look at the token that they are given; may be changed for later orders.
    Both hold for orders that do not choose for themselves; see `place_order`.
    `time_provider`: a fake clock, for tests. `ValueError` or `TypeError` for what makes no pizzeria.
    """

    def __init__(
        self,
        ledger: Ledger | None = None,
        ovens: int = 3,
        pace: float = 1.0,
        heeds_token: bool = True,
        *,
        time_provider: TimeProvider = TimeProvider.system,
    ) -> None:
        if ledger is not None and not isinstance(ledger, Ledger):
            raise TypeError(f"ledger must be a Ledger, not {ledger!r}")
        self.events = EventStream()
        self.heeds_token = heeds_token
        self.time_provider = time_provider
        self._clock = Clock(pace, time_provider)
        self._kitchen = self._open_kitchen(ovens)
        self.ledger = Ledger() if ledger is None else ledger
        bank = self._open_bank()
        self._orders = Orders(
            self._open_payment(bank),
            self._kitchen,
            Notification(self._clock, self.events),
            bank,
            self._clock,
            self.events,
        )
        self._receipts: dict[str, Receipt] = {}  # of the orders under way
        self._cancel_watch = CancelWatch(self._clock, self.events)
        self.events.subscribe(self._read)  # the first of all readers

    @property
    def heeds_token(self) -> bool:
        return self._heeds_token

    @heeds_token.setter
    def heeds_token(self, heeds_token: bool) -> None:
        self._heeds_token = _check_heeds_token(heeds_token)

    @property
    def pace(self) -> float:
        return self._clock.pace

    @pace.setter
    def pace(self, pace: float) -> None:
        self._clock.pace = pace

    @property
    def ovens(self) -> int:
        return self._kitchen.ovens

    @property
    def ovens_in_use(self) -> int:
        return self._kitchen.ovens_in_use

    async def place_order(
        self,
        order: Order,
        token: CancellationToken = CancellationToken.none,
        *,
        heeds_token: bool | None = None,
        pace: float | None = None,
    ) -> Receipt:
        """Serve `order`; its receipt when it is completed, or cancelled by `token` and undone.

        `heeds_token` and `pace` are this order's own, to its end, whatever the pizzeria's are or become. None, the
        default, means the pizzeria's.

        What a service raises comes out, after the order has been undone. A cancel after the handover to the
        courier is too late: the order completes. Cancel from any thread; call this on the event loop.
        """
        if not isinstance(order, Order):
            raise TypeError(f"order must be an Order, not {order!r}")
        if not isinstance(token, CancellationToken):
            raise TypeError(f"token must be a CancellationToken, not {token!r}")
        if order.id in self._receipts:
            raise ValueError(f"order {order.id} is under way; make a new Order for another pizza")
        heeds_token = self.heeds_token if heeds_token is None else _check_heeds_token(heeds_token)
        pace = None if pace is None else check_pace(pace)
        receipt = self._receipts[order.id] = Receipt(order, heeds_token)
        self._cancel_watch.begin(receipt, token)
        try:
            await self._serve(order, token if heeds_token else CancellationToken.none, pace)
            return receipt
        finally:
            self._cancel_watch.end(receipt)
            del self._receipts[order.id]

    def _serve(self, order: Order, token: CancellationToken, pace: float | None = None) -> Awaitable[None]:
        """Have it done; on a cluster, elsewhere."""
        return self._orders.place_order(order, token, pace=pace)

    def _open_bank(self) -> Bank:
        """Where the services ask for the money. On a worker the ledger is elsewhere."""
        return LedgerHere(self.ledger)

    def _open_payment(self, bank: Bank) -> Payment:
        return Payment(bank, self._clock, self.events)

    def _open_kitchen(self, ovens: int) -> Kitchen:
        return Kitchen(ovens, self._clock, self.events)

    def _read(self, event: Event) -> None:
        receipt = self._receipts.get(event.order.id)
        if receipt is None:
            return
        if not receipt.cancel_requested and type(event) is not CancelRequested:
            # An order may hear of a cancel on another thread before the watch does. What it tells then comes after it.
            self._cancel_watch.look(receipt)
        if type(event) is Money and event.step == "refund" and not receipt.charged:
            # The bank took the money, and its answer was lost. Readers hear of the charge before they hear that it is
            # taken back.
            self.events.publish(Money(event.order, event.at, "capture", event.cents))
        receipt.read(event)


def _check_heeds_token(heeds_token: bool) -> bool:
    if not isinstance(heeds_token, bool):
        raise TypeError(f"heeds_token must be True or False, not {heeds_token!r}")
    return heeds_token
