"""What the assignments play with: a bank and a courier that write down what they did."""

from __future__ import annotations

import asyncio

from cancellation import CancellationToken, delay

BANK = 0.4  # seconds for each step of the bank
COURIER = 0.3  # seconds for each step of the courier


class Bank:
    """`log` has one word for each step that was done. On one event loop."""

    def __init__(self) -> None:
        self.log: list[str] = []

    @property
    def keeps_money(self) -> bool:
        return self.log.count("charge") > self.log.count("refund")

    async def charge(self, order: str, token: CancellationToken) -> None:
        """Take the money. `OperationCanceledError` if `token` is cancelled before; once begun, it goes through."""
        token.throw_if_cancellation_requested()
        await asyncio.sleep(BANK)
        self.log.append("charge")

    async def refund(self, order: str, token: CancellationToken) -> None:
        """Give the money back. `OperationCanceledError` if `token` is cancelled before it is through."""
        await delay(BANK, token)
        self.log.append("refund")


class Courier:
    """`log` has one word for each step that was done. On one event loop."""

    def __init__(self) -> None:
        self.log: list[str] = []

    async def arrive(self, token: CancellationToken) -> None:
        """Come to the door. `OperationCanceledError` if `token` is cancelled before."""
        await delay(COURIER, token)
        self.log.append("arrive")

    async def hand_over(self, order: str) -> None:
        """Give the pizza away. What has been handed over cannot be taken back."""
        self.log.append("hand over")
        await asyncio.sleep(COURIER)

    async def send_message(self, order: str, token: CancellationToken) -> None:
        """Tell the customer. `OperationCanceledError` if `token` is cancelled before."""
        await delay(COURIER, token)
        self.log.append("message")
