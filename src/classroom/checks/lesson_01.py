"""Checks of lesson 01, Without a token."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from cancellation import CancellationToken
from classroom.verdict import Outcome, Verdict, not_yet, outcome_of, well_done
from pizzeria import Order, Pizzeria, Receipt
from pizzeria.events import CancelRequested, Event, Line, MessageSent, Money, Step


def check_to_pay_back(to_pay_back: Callable[[list[Receipt]], object]) -> Verdict:
    """What the shop kept of those who had cancelled."""
    order = Order("Margherita", "12 Main St")
    content = Receipt(order, charged=950)
    cancelled = Receipt(order, cancel_requested=True, charged=1150)
    refunded = Receipt(order, cancel_requested=True, charged=850, refunded=850)
    cases: tuple[tuple[list[Receipt], str], ...] = (
        ([cancelled], "of one customer who had cancelled and was charged 1150 cents"),
        ([content], "of one customer who did not cancel, and has a pizza for the money"),
        ([cancelled, refunded], "where one customer is still to get 1150 cents, and another has his money back"),
        ([content, cancelled, refunded, cancelled], "of four customers, of whom two still wait for their money"),
        ([], "of no customers at all"),
    )
    for receipts, words in cases:
        expected = sum(receipt.kept for receipt in receipts if receipt.cancel_requested)
        try:
            answer = to_pay_back(list(receipts))
        except Exception as error:
            return not_yet(f"with the receipts {words}, it raised {error!r}.")
        if answer != expected or isinstance(answer, bool):
            return not_yet(f"with the receipts {words}, it should return {expected}, but returned {answer!r}.")
    return well_done("Each customer who had cancelled gets back what the shop kept, and nobody else anything.")


def check_steps_for_nothing(steps_for_nothing: Callable[[Sequence[Event]], object]) -> Verdict:
    """Steps that came after the cancel."""
    order = Order("Margherita", "12 Main St")

    def steps(first: int, last: int) -> list[Event]:
        return [Step(order, 0.5 * step, "payment", step, 5, 0.5) for step in range(first, last + 1)]

    def cancel_after(step: int) -> Event:
        return CancelRequested(order, 0.5 * step + 0.2, None)

    other: list[Event] = [Money(order, 3.0, "capture", 950), Line(order, 3.0, line="👨‍🍳 Preparing meal...")]
    cases: tuple[tuple[list[Event], int, str], ...] = (
        ([*steps(1, 2), cancel_after(2), *steps(3, 5), *other], 3, "two steps, the cancel, and three more steps"),
        ([*steps(1, 5), *other], 0, "five steps and no cancel"),
        ([*steps(1, 3), cancel_after(3), *other], 0, "three steps and then the cancel"),
        ([cancel_after(0), *steps(1, 4)], 4, "a cancel and then four steps"),
    )
    for events, expected, words in cases:
        try:
            answer = steps_for_nothing(list(events))
        except Exception as error:
            return not_yet(f"with {words}, it raised {error!r}.")
        if answer != expected or isinstance(answer, bool):
            return not_yet(f"with {words}, it should return {expected}, but returned {answer!r}.")
    return well_done("It counts what was begun after the cancel, and nothing else.")


class _SaysThatItListens(Pizzeria):
    """The sign is out, and the token goes nowhere."""

    async def place_order(
        self,
        order: Order,
        token: CancellationToken = CancellationToken.none,
        *,
        heeds_token: bool | None = None,
        pace: float | None = None,
    ) -> Receipt:
        return await super().place_order(order, heeds_token=heeds_token, pace=pace)


async def check_listens(listens: Callable[[Pizzeria], Awaitable[object]]) -> Verdict:
    """A test customer for three shops, all at the same time."""
    shops = (
        (Pizzeria(pace=0.05), True, "a shop that listens"),
        (Pizzeria(pace=0.05, heeds_token=False), False, "a shop that does not listen"),
        (_SaysThatItListens(pace=0.05), False, "a shop whose sign says that it listens, and which does not"),
    )

    async def visit(shop: Pizzeria) -> tuple[Outcome, list[Event]]:
        events: list[Event] = []
        end = shop.events.subscribe(events.append)
        outcome = await outcome_of(listens, shop, limit=10)
        end()
        return outcome, events

    visits = await asyncio.gather(*(visit(shop) for shop, _, _ in shops))
    for (_, expected, words), (outcome, events) in zip(shops, visits, strict=True):
        if not outcome.ended:
            return not_yet(f"with {words}, it had not come back after ten seconds.")
        if outcome.error is not None:
            ordered = "" if events else " It had ordered nothing."
            return not_yet(f"with {words}, it raised {outcome.error!r}.{ordered}")
        if not events:
            return not_yet(
                f"with {words}, it ordered nothing. From outside one cannot see it: order, cancel, and look."
            )
        if outcome.result is not expected:
            kinds = {type(event) for event in events}
            hint = ""
            if expected and CancelRequested not in kinds:
                hint = " Its order was completed before the cancel came: cancel earlier."
            elif not expected and MessageSent not in kinds:
                hint = " Its order was still under way: wait for its end, and then look."
            elif not expected:
                hint = " Its order was charged, cooked and sent all the same: the receipt says so."
            return not_yet(f"with {words}, it should return {expected}, but returned {outcome.result!r}.{hint}")
    return well_done("It believes no sign, and finds out.")
