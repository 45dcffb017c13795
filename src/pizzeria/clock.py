"""The pizzeria's time: how long its steps take, and when things happened."""

from __future__ import annotations

import math
from collections.abc import Awaitable
from numbers import Real

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
        if not isinstance(pace, Real) or isinstance(pace, bool):
            raise TypeError(f"pace must be a number, not {pace!r}")
        try:
            number = float(pace)
        except OverflowError:
            number = math.inf
        if not 0 <= number < math.inf:
            raise ValueError(f"pace must be a finite number from 0 up (1.0 is the article's speed), not {pace!r}")
        self._pace = number

    @property
    def now(self) -> float:
        """Seconds since the pizzeria opened."""
        return self._timestamp() - self._opened

    def pause(self, seconds: float, token: CancellationToken) -> Awaitable[None]:
        """Await `seconds` of the article's time; the wait ends at once when `token` is cancelled."""
        return delay(seconds * self._pace, token, time_provider=self._time_provider)
