"""A deadline: what cancels a token when its time is over, unless it has been taken back."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from weakref import ref

from cancellation.clock import TimeProvider, Timer

if TYPE_CHECKING:
    from cancellation.token import CancellationToken


class Deadline:
    """A token's time limit. Only the one that the token has now can cancel it.

    It is a parent of the token, and holds it as a parent does (tree.py): strongly only while something listens. The
    clock has the strong reference, so that a clock that is dropped lets go of the token.
    """

    __slots__ = ("_ring", "_seconds", "reason", "timer")

    def __init__(self, seconds: float) -> None:
        self.reason = time_is_over(seconds)
        self._seconds = seconds
        self.timer: Timer | None = None
        self._ring: ref[_Ring] | None = None

    def start(self, token: CancellationToken, provider: TimeProvider, cancel: Callable[..., object]) -> None:
        """Have `provider` call `cancel` when the time is over."""
        ring = _Ring(token, self.reason, cancel)
        self._ring = ref(ring)
        self.timer = provider.create_timer(ring, self._seconds)
        self.hold(token)

    def hold(self, token: CancellationToken) -> None:
        """Let the clock hold `token`, or let go of it."""
        ring = self._ring() if self._ring is not None else None
        while ring is not None and (ring.held is not None) is not (listened_on := token._is_listened_on()):
            ring.held = token if listened_on else None  # and look again: a signal handler may have come in

    def dispose(self) -> None:
        if self._ring is not None and (ring := self._ring()) is not None:
            ring.held = None  # a timer of another's making may keep what it was to call
        timer, self.timer = self.timer, None
        if timer is not None:
            timer.dispose()

    def __del__(self) -> None:  # also of one that was taken back before it had its timer
        self.dispose()


class _Ring:
    """What the clock calls."""

    __slots__ = ("__weakref__", "_cancel", "_reason", "_token", "held")

    def __init__(self, token: CancellationToken, reason: TimeoutError, cancel: Callable[..., object]) -> None:
        self._cancel = cancel
        self.held: CancellationToken | None = None
        self._token = token._weak()
        self._reason = reason

    def __call__(self) -> None:
        token = self._token()
        if token is not None:
            self._cancel(token, self._reason, False, True)


def time_is_over(seconds: float) -> TimeoutError:
    return TimeoutError(f"deadline of {seconds:g} s passed")
