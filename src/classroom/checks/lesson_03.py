"""Checks of lesson 03, Cooperation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from cancellation import CancellationToken, CancellationTokenSource, OperationCanceledError
from classroom.verdict import Verdict, not_yet, outcome_of, well_done

Scrub = Callable[[str], str]
Post = Callable[[str], None]


def check_wash(wash: Callable[[list[str], Scrub, CancellationToken], object]) -> Verdict:
    """Work that stops with what it has."""
    plates = [f"plate {n}" for n in range(1, 9)]
    for cancel_at, words in (
        (None, "with a token that nobody cancels"),
        (0, "with a token that was cancelled before"),
        (3, "cancelled while the third plate was scrubbed"),
    ):
        source = CancellationTokenSource()
        scrubbed: list[str] = []

        def scrub(plate: str, source: CancellationTokenSource = source, scrubbed: list[str] = scrubbed) -> str:
            scrubbed.append(plate)
            if len(scrubbed) == cancel_at:  # noqa: B023  (called before the next round)
                source.cancel()
            return f"clean {plate}"

        if cancel_at == 0:
            source.cancel()
        number = len(plates) if cancel_at is None else cancel_at
        expected = [f"clean {plate}" for plate in plates[:number]]
        try:
            answer = wash(list(plates), scrub, source.token)
        except OperationCanceledError:
            return not_yet(f"{words}, it raised, and {number} clean plates are lost. Look, and return what there is.")
        except Exception as error:
            return not_yet(f"{words}, it raised {error!r}.")
        if len(scrubbed) > number:
            return not_yet(f"{words}, it scrubbed {len(scrubbed)} plates, not {number}. Look before each plate.")
        if answer != expected:
            return not_yet(f"{words}, it should return {number} clean plates, but returned {answer!r}.")
    return well_done("It stops before the next plate, and nothing clean is lost.")


class _Oven:
    """Tells what was done to it. `cancel_during_bake` or `error` is what happens to the baking."""

    def __init__(self, source: CancellationTokenSource | None = None, error: Exception | None = None) -> None:
        self.done: list[str] = []
        self._source = source
        self._error = error

    def turn_on(self) -> None:
        self.done.append("on")

    def turn_off(self) -> None:
        self.done.append("off")

    def close_door(self) -> None:
        self.done.append("closed")

    async def bake(self, token: CancellationToken) -> str:
        if self._source is not None:
            self._source.cancel()
        token.throw_if_cancellation_requested()
        if self._error is not None:
            raise self._error
        return "pizza"


async def check_use_oven(use_oven: Callable[[_Oven, CancellationToken], Awaitable[object]]) -> Verdict:
    """Cleanup on every way out."""
    source = CancellationTokenSource()
    broken = RuntimeError("the oven broke")
    for oven, token, error, words in (
        (_Oven(), CancellationToken.none, None, "with a token that nobody cancels"),
        (_Oven(source), source.token, OperationCanceledError, "cancelled during the baking"),
        (_Oven(error=broken), CancellationToken.none, RuntimeError, "with an oven that breaks"),
    ):
        outcome = await outcome_of(use_oven, oven, token)
        if sorted(oven.done) != ["closed", "off", "on"] or oven.done[0] != "on":
            return not_yet(
                f"{words}, it did {oven.done}. Afterwards the oven is to be off and its door closed, once each: "
                "what must be done on every way out stands in a `finally`, and no look at the token with it."
            )
        if error is None and outcome.error is not None:
            return not_yet(f"{words}, it raised {outcome.error!r}.")
        if error is None and outcome.result != "pizza":
            return not_yet(f"{words}, it should return 'pizza', but returned {outcome.result!r}.")
        if error is not None and not isinstance(outcome.error, error):
            seen = f"raised {outcome.error!r}" if outcome.error else f"returned {outcome.result!r}"
            return not_yet(f"{words}, the error is to pass to the caller, but it {seen}.")
    return well_done("Done, cancelled or broken: the oven is off, the door is closed, and the caller knows.")


def check_send_flyers(send_flyers: Callable[[list[list[str]], Post, CancellationToken], object]) -> Verdict:
    """The longest stretch between two looks."""
    streets = [[f"{street} {number}" for number in range(1, 6)] for street in ("Main St", "Side Alley")]
    for cancel_at, words in (
        (None, "with a token that nobody cancels"),
        (0, "with a token that was cancelled before"),
        (2, "cancelled while the second flyer was posted"),
        (7, "cancelled while the seventh flyer, in the second street, was posted"),
    ):
        source = CancellationTokenSource()
        posted: list[str] = []

        def post(house: str, source: CancellationTokenSource = source, posted: list[str] = posted) -> None:
            posted.append(house)
            if len(posted) == cancel_at:  # noqa: B023  (called before the next round)
                source.cancel()

        if cancel_at == 0:
            source.cancel()
        raised = False
        try:
            send_flyers([list(street) for street in streets], post, source.token)
        except OperationCanceledError:
            raised = True
        except Exception as error:
            return not_yet(f"{words}, it raised {error!r}.")
        number = 10 if cancel_at is None else cancel_at
        if len(posted) != number:
            hint = "Where is the longest stretch between two looks?" if cancel_at else "Look before you post."
            return not_yet(f"{words}, it posted {len(posted)} of 10 flyers, not {number}. {hint}")
        if raised != (cancel_at is not None):
            seen = "raised" if raised else "raised nothing: its caller takes the flyers for posted"
            return not_yet(f"{words}, it {seen}.")
    return well_done("Not one flyer after the cancel, and the caller knows.")
