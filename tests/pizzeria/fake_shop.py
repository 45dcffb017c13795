"""A pizzeria on a fake clock, and its recorded events."""

import asyncio

from cancellation import FakeTimeProvider
from pizzeria import Pizzeria


async def turn_loop(times=20):
    """Let every task that can go on do so: no chain of wake-ups in the shop is longer than this."""
    for _ in range(times):
        await asyncio.sleep(0)


class Shop(Pizzeria):
    """A pizzeria in which no real time passes, and that records its events."""

    def __init__(self, **arguments):
        self.clock = FakeTimeProvider()
        super().__init__(time_provider=self.clock, **arguments)
        self.recorded = []
        self.events.subscribe(self.recorded.append)

    def lines(self):
        return [event.line for event in self.recorded if event.line]

    async def run(self, seconds):
        """Let `seconds` pass, in steps fine enough for each pause to begin when the one before has ended."""
        for _ in range(round(seconds * 10)):
            await turn_loop()
            self.clock.advance(0.1 + 1e-9)  # a little more: sums of 0.1 fall short of 0.5
        await turn_loop()
