"""The pizzeria's time: how long its steps take, and when things happened."""

from __future__ import annotations

import math
from collections.abc import Awaitable
from copy import copy
from numbers import Real
from typing import Self

from cancellation import CancellationToken, TimeProvider, delay
from cancellation.clock import check_time_provider


class Clock:
    """`pace` 1.0 is the article's speed, 0.01 a hundred times faster, 0 as fast as it goes."""

    _pace: float

    def __init__(self, pace: float, time_provider: TimeProvider) -> None:
        check_time_provider(time_provider)
        self.pace = pace
        self._time_provider = time_provider
        self._timestamp = time_provider.get_timestamp
        self._opened = self._timestamp()

    @property
    def pace(self) -> float:
        return self._pace

    @pace.setter
    def pace(self, pace: float) -> None:
        self._pace = check_pace(pace)

    def at(self, pace: float | None) -> Self:
        """This clock for an order with a pace of its own, or this clock itself where `pace` is None."""
        if pace is None:
            return self
        clock = copy(self)
        clock.pace = pace
        return clock

    @property
    def now(self) -> float:
        """Seconds since the pizzeria opened."""
        return self._timestamp() - self._opened

    def pause(self, seconds: float, token: CancellationToken) -> Awaitable[None]:
        """Await `seconds` of the article's time; the wait ends at once when `token` is cancelled."""
        return delay(seconds * self._pace, token, time_provider=self._time_provider)


def check_pace(pace: float) -> float:
    """`pace` as a float. `TypeError` or `ValueError` for what is none."""
    if not isinstance(pace, Real) or isinstance(pace, bool):
        raise TypeError(f"pace must be a number, not {pace!r}")
    try:
        number = float(pace)
    except OverflowError:
        number = math.inf
    if not 0 <= number < math.inf:
        raise ValueError(f"pace must be a finite number from 0 up (1.0 is the article's speed), not {pace!r}")
    return number
