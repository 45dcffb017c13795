"""Looking at a token, and what a cancel tells: flags, reason, origin, the error and its text."""

from __future__ import annotations

import asyncio
import copy
import copyreg
import functools
import pickle
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from cancellation import (
    CancellationToken,
    CancellationTokenRegistration,
    CancellationTokenSource,
    FakeTimeProvider,
    ObjectDisposedError,
    OperationCanceledError,
    delay,
)

none = CancellationToken.none
link = CancellationTokenSource.create_linked_token_source


def thrown(token: CancellationToken) -> OperationCanceledError:
    with pytest.raises(OperationCanceledError) as info:
        token.throw_if_cancellation_requested()
    return info.value


def test_cancel_is_true_for_the_call_that_did_it_only() -> None:
    source = CancellationTokenSource()
    assert source.cancel() is True
    assert source.cancel() is False


def test_a_token_is_truthy_whatever_its_state() -> None:
    source = CancellationTokenSource()
    assert source.token
    source.cancel()
    assert source.token
    assert none


def test_tokens_are_equal_by_source_and_work_as_keys() -> None:
    a, b = CancellationTokenSource(), CancellationTokenSource()
    assert a.token == a.token != b.token
    assert len({a.token, a.token, b.token}) == 2
    assert a.token != "a token"
    assert a.token is not None


def test_the_flags_and_the_reason_cannot_be_set_from_outside() -> None:
    source = CancellationTokenSource()
    for target, name in [
        (source.token, "is_cancellation_requested"),
        (source.token, "reason"),
        (source.token, "origin"),
        (source, "token"),
        (source, "is_cancellation_requested"),
    ]:
        with pytest.raises(AttributeError):
            setattr(target, name, True)


def test_an_uncancelled_token_has_neither_reason_nor_origin() -> None:
    token = CancellationTokenSource().token
    assert token.reason is None
    assert token.origin is None
    assert none.origin is None


def test_the_first_reason_wins() -> None:
    source = CancellationTokenSource()
    source.cancel("first")
    source.cancel("second")
    assert source.token.reason == "first"


def test_the_constant_cancelled_token_is_its_own_origin() -> None:
    token = CancellationToken(True)
    assert (token.reason, token.origin) == (None, token)
    assert thrown(token).origin == token


def test_reason_and_origin_are_the_same_objects_through_any_number_of_links() -> None:
    root = CancellationTokenSource()
    leaf = root
    for _ in range(10):
        leaf = link(leaf.token)
    tokens = [root.token, leaf.token]
    reason = object()
    root.cancel(reason)
    for token in tokens:
        assert token.reason is reason
        assert token.origin is root.token
        error = thrown(token)
        assert (error.reason, error.token, error.origin) == (reason, token, root.token)


def test_a_link_to_a_cancelled_token_takes_its_reason_and_the_origin_behind_it() -> None:
    root = CancellationTokenSource()
    child = link(root.token)
    root.cancel("early")
    late = link(child.token)
    assert (late.token.reason, late.token.origin) == ("early", root.token)
    of_constant = link(none, CancellationToken(True))
    assert (of_constant.token.reason, of_constant.token.origin) == (None, CancellationToken(True))


def test_of_several_cancelled_parents_the_first_given_counts() -> None:
    a, b = CancellationTokenSource(), CancellationTokenSource()
    b.cancel("b")
    a.cancel("a")
    assert link(a.token, b.token).token.reason == "a"


def test_each_throw_raises_a_new_error_with_the_token_it_was_called_on() -> None:
    source = CancellationTokenSource()
    source.cancel()
    first, second = thrown(source.token), thrown(source.token)
    assert first is not second
    assert first.token is second.token is source.token


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (None, "The operation was canceled."),
        ("closing time", "The operation was canceled: closing time"),
        (42, "The operation was canceled: 42"),
        (TimeoutError("too late"), "The operation was canceled: too late"),
        (TimeoutError(), "The operation was canceled: TimeoutError()"),
    ],
)
def test_the_text_of_the_error_says_why(reason: object, text: str) -> None:
    source = CancellationTokenSource()
    source.cancel(reason)
    assert str(thrown(source.token)) == text
    assert str(OperationCanceledError("mine", source.token)) == "mine"


def test_a_reason_that_cannot_be_printed_harms_nobody() -> None:
    class Unprintable:
        def __str__(self) -> str:
            raise ValueError

    source = CancellationTokenSource()
    source.cancel(Unprintable())
    assert str(thrown(source.token)) == "The operation was canceled: <Unprintable>"


def test_a_reason_that_is_an_exception_is_the_cause() -> None:
    source = CancellationTokenSource()
    reason = KeyError("oven 3")
    source.cancel(reason)
    assert thrown(source.token).__cause__ is reason
    assert OperationCanceledError("m", source.token).__cause__ is reason


def test_the_error_is_an_ordinary_exception_and_knows_no_token_by_default() -> None:
    error = OperationCanceledError()
    assert isinstance(error, Exception)
    assert not isinstance(error, asyncio.CancelledError)
    assert (error.token, error.reason, error.origin) == (none, None, None)
    assert OperationCanceledError("m", None).token is none


def test_the_error_of_a_live_token_still_carries_it() -> None:
    token = CancellationTokenSource().token
    assert OperationCanceledError("gave up", token).token is token


@pytest.mark.parametrize("bad", [CancellationTokenSource().token, 7, b"text", KeyError("k"), ["a"]])
def test_a_message_that_is_no_text_is_refused_with_the_way_out(bad: Any) -> None:
    with pytest.raises(TypeError, match=r"message must be text or None, not .*OperationCanceledError\(None, token\)"):
        OperationCanceledError(bad)


def test_a_message_may_be_empty_or_of_a_subclass_of_text() -> None:
    class Words(str):
        __slots__ = ()

    assert OperationCanceledError("").args == ("",)
    assert str(OperationCanceledError(Words("enough"))) == "enough"


class OrderCanceled(OperationCanceledError):
    pass


class TableCanceled(OperationCanceledError):
    """With a constructor of its own, as a library's error has."""

    def __init__(self, table: int, token: CancellationToken) -> None:
        super().__init__(f"table {table}", token)
        self.table = table


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_of_an_error_keeps_the_very_token_and_reason(copied: Callable[[Any], Any]) -> None:
    source, reason = CancellationTokenSource(), KeyError("oven 3")
    child = CancellationTokenSource.create_linked_token_source(source.token)
    source.cancel(reason)
    error = TableCanceled(3, child.token)
    again = copied(error)
    assert again is not error
    assert (type(again), str(again), again.table) == (TableCanceled, "table 3", 3)
    assert (again.token, again.origin) == (child.token, source.token)
    assert again.reason is again.__cause__ is reason
    again.table = 4
    assert error.table == 3


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_keeps_a_cause_that_was_given_or_taken_away(copied: Callable[[Any], Any]) -> None:
    for cause in (KeyError("k"), None):
        try:
            raise OperationCanceledError("m") from cause
        except OperationCanceledError as error:
            again = copied(error)
        assert again.__cause__ is cause
        assert again.__suppress_context__


@pytest.mark.parametrize("copied", [lambda e: pickle.loads(pickle.dumps(e)), copy.copy, copy.deepcopy])
def test_a_pickled_error_keeps_type_text_reason_cause_and_notes(copied: Callable[[Any], Any]) -> None:
    source = CancellationTokenSource()
    source.cancel(TimeoutError("deadline"))
    error = OrderCanceled(None, source.token)
    error.add_note("order 7")
    error.order = 7  # type: ignore[attr-defined]
    again = copied(error)
    assert type(again) is OrderCanceled
    assert str(again) == "The operation was canceled: deadline"
    assert type(again.reason) is TimeoutError
    assert again.__cause__ is again.reason
    assert again.__notes__ == ["order 7"]
    assert again.order == 7
    assert again.token == (CancellationToken(True) if copied not in (copy.copy, copy.deepcopy) else source.token)


def test_a_reason_that_cannot_be_pickled_travels_as_its_text() -> None:
    source = CancellationTokenSource()
    source.cancel(lambda: None)
    again = pickle.loads(pickle.dumps(thrown(source.token)))
    assert "<lambda>" in again.reason
    assert again.__cause__ is None


def test_an_error_of_a_live_token_arrives_with_a_live_one() -> None:
    again = pickle.loads(pickle.dumps(OperationCanceledError("m")))
    assert (str(again), again.token, again.reason) == ("m", none, None)


class NeedsMore(Exception):
    """It can be pickled, and not made anew: as many a library's error."""

    def __init__(self, text: str, *, request: str) -> None:
        super().__init__(text)
        self.request = request


@pytest.fixture
def plain_pickle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dask, where it is loaded, has tblib pickle all errors, each with its cause once more."""
    for kind in list(copyreg.dispatch_table):
        if issubclass(kind, BaseException):
            monkeypatch.delitem(copyreg.dispatch_table, kind)


@pytest.mark.usefixtures("plain_pickle")
def test_a_reason_that_cannot_be_made_anew_arrives_as_its_text() -> None:
    source = CancellationTokenSource()
    source.cancel(NeedsMore("no answer", request="GET /"))
    again = pickle.loads(pickle.dumps(thrown(source.token)))
    assert again.reason == "no answer"
    assert str(again) == "The operation was canceled: no answer"


@pytest.mark.usefixtures("plain_pickle")
def test_a_long_chain_of_errors_as_reasons_is_pickled_without_growing_beyond_measure() -> None:
    error: BaseException = ValueError("the first")
    for _ in range(40):
        source = CancellationTokenSource()
        source.cancel(error)
        error = thrown(source.token)
    again = pickle.loads(pickle.dumps(error))
    for _ in range(40):
        again = again.reason
    assert str(again) == "the first"


def test_a_copied_token_is_the_token_and_a_source_refuses_to_be_pickled() -> None:
    source = CancellationTokenSource()
    assert copy.copy(source.token) is copy.deepcopy(source.token) is source.token
    assert copy.deepcopy(CancellationToken.none) is CancellationToken.none
    for button in (source, CancellationTokenSource()):
        with pytest.raises(TypeError, match="its cancel would reach no token that was given out"):
            pickle.dumps(button)


def test_the_repr_of_a_token_survives_a_reason_without_one() -> None:
    class Mute:
        def __repr__(self) -> str:
            raise RuntimeError

    source = CancellationTokenSource()
    source.cancel(Mute())
    assert repr(source.token) == "<CancellationToken canceled: <Mute>>"


def test_a_callable_that_answers_to_every_attribute_can_be_registered() -> None:
    class FarAway:
        def __getattr__(self, name: str) -> FarAway:
            return FarAway()

        def __call__(self) -> None:
            called.append(True)

    called: list[bool] = []
    source = CancellationTokenSource()
    source.token.register(FarAway().stop)
    source.cancel()
    assert called == [True]


def test_a_token_refuses_to_be_pickled_with_a_reason() -> None:
    with pytest.raises(TypeError, match="would never hear of a cancel"):
        pickle.dumps(CancellationTokenSource().token)


def test_repr_shows_state_and_reason() -> None:
    source = CancellationTokenSource()
    assert repr(source.token) == "<CancellationToken not canceled>"
    assert repr(source) == "<CancellationTokenSource of <CancellationToken not canceled>>"
    token = source.token
    source.cancel("closing time")
    assert repr(token) == "<CancellationToken canceled: 'closing time'>"
    disposed = CancellationTokenSource()
    token = disposed.token
    disposed.dispose()
    assert repr(token) == "<CancellationToken disposed>"
    assert repr(disposed) == "<CancellationTokenSource of <CancellationToken disposed>>"
    assert repr(none) == "<CancellationToken none>"


# What is refused, and in which words


async def coroutine_function() -> None:
    pass


async def async_generator_function() -> Any:
    yield


class WithAsyncCall:
    async def __call__(self) -> None:
        pass


class WithAsyncMethod:
    async def method(self) -> None:
        pass


@pytest.mark.parametrize(
    "callback",
    [
        coroutine_function,
        async_generator_function,
        WithAsyncCall(),
        WithAsyncMethod().method,
        functools.partial(coroutine_function),
        functools.partial(functools.partial(WithAsyncCall())),
    ],
)
@pytest.mark.parametrize("canceled", [False, True])
def test_a_coroutine_function_is_refused_as_a_callback(callback: Any, canceled: bool) -> None:
    source = CancellationTokenSource()
    if canceled:
        source.cancel()
    for token in (source.token, none):
        for register in (token.register, token.unsafe_register):
            with pytest.raises(TypeError, match="callback must not be a coroutine function: nobody would await it"):
                register(callback)


@pytest.mark.parametrize("callback", [None, 5, "print", coroutine_function()])
def test_what_cannot_be_called_is_refused_as_a_callback(callback: Any) -> None:
    with pytest.raises(TypeError, match="callback must be callable, not"):
        CancellationTokenSource().token.register(callback)
    if hasattr(callback, "close"):
        callback.close()


class Callable_:  # noqa: N801
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> None:
        self.calls += 1

    def method(self) -> None:
        self.calls += 1


def test_everything_else_that_can_be_called_is_a_callback() -> None:
    log: list[object] = []
    target = Callable_()
    source = CancellationTokenSource()
    for callback in (target, target.method, functools.partial(target), log.clear, lambda: log.append(1), Callable_):
        source.token.register(callback)
    source.cancel()
    assert target.calls == 3
    assert log == []  # the lambda came before log.clear: newest first


@pytest.mark.parametrize("bad", [-1, -0.001, float("nan"), float("inf"), -float("inf"), timedelta(-1), 10**400])
def test_a_time_that_is_none_is_a_value_error(bad: Any) -> None:
    source = CancellationTokenSource()
    for call in every_call_with_a_time(source):
        with pytest.raises(ValueError, match="must be a finite number of seconds from 0 up, or None for never, not"):
            call(bad)


@pytest.mark.parametrize("bad", [True, "5", [1], 1j])
def test_what_is_no_time_is_a_type_error(bad: Any) -> None:
    source = CancellationTokenSource()
    for call in every_call_with_a_time(source):
        with pytest.raises(TypeError, match="must be a number of seconds, a timedelta, or None for never, not"):
            call(bad)


def every_call_with_a_time(source: CancellationTokenSource) -> list[Callable[[Any], object]]:
    return [
        CancellationTokenSource,
        source.cancel_after,
        source.token.wait,
        FakeTimeProvider().advance,
        lambda seconds: asyncio.run(delay(seconds, source.token)),
    ]


def test_arguments_are_checked_before_dispose_and_cancel() -> None:
    source = CancellationTokenSource()
    source.cancel()
    with pytest.raises(ValueError, match="not -1"):
        source.cancel_after(-1)
    source.dispose()
    with pytest.raises(ValueError, match="not -1"):
        source.cancel_after(-1)
    with pytest.raises(TypeError, match="not 'soon'"):
        source.cancel_after("soon")  # type: ignore[arg-type]


def test_a_time_provider_must_be_one() -> None:
    for bad in (None, 5, FakeTimeProvider):
        with pytest.raises(TypeError, match="time_provider must be a TimeProvider, not"):
            CancellationTokenSource(time_provider=bad)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="time_provider must be a TimeProvider, not"):
            asyncio.run(delay(1, time_provider=bad))  # type: ignore[arg-type]


def test_a_linked_source_wants_tokens() -> None:
    with pytest.raises(ValueError, match="at least one token"):
        link()
    for bad in (None, CancellationTokenSource(), "token"):
        with pytest.raises(TypeError, match="tokens must be CancellationTokens, not"):
            link(none, bad)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "use",
    [
        lambda source: source.token,
        lambda source: source.cancel(),
        lambda source: source.cancel_after(1),
        lambda source: source.cancel_after(None),
        lambda source: source.try_reset(),
    ],
)
@pytest.mark.parametrize("canceled", [False, True])
def test_a_disposed_source_says_what_to_do_instead(use: Any, canceled: bool) -> None:
    source = CancellationTokenSource()
    if canceled:
        source.cancel("before")
    source.dispose()
    source.dispose()
    with pytest.raises(ObjectDisposedError, match=r"has been disposed\. Take its token, and cancel it, before"):
        use(source)
    assert source.is_cancellation_requested is canceled


def test_leaving_a_with_block_disposes_and_does_not_cancel() -> None:
    with CancellationTokenSource() as source:
        token = source.token
    assert not token.is_cancellation_requested
    assert token.can_be_canceled
    with pytest.raises(ObjectDisposedError):
        source.cancel()


def test_a_token_of_a_disposed_source_keeps_what_it_said() -> None:
    with CancellationTokenSource() as source:
        token = source.token
        source.cancel("done")
    assert token.is_cancellation_requested
    assert token.reason == "done"
    assert thrown(token).reason == "done"
    assert token.wait(0)


def test_the_empty_registration_does_nothing_gracefully() -> None:
    registration = CancellationTokenRegistration()
    assert registration is CancellationTokenRegistration()
    assert registration.unregister() is False
    registration.dispose()
    asyncio.run(registration.dispose_async())
    with registration:
        pass
    assert registration.token is none


def test_the_constructor_gives_the_constant_tokens() -> None:
    assert CancellationToken() is CancellationToken(False) is none
    assert CancellationToken(canceled=True) is CancellationToken(True)
    assert not none.can_be_canceled
    assert CancellationToken(True).can_be_canceled


def test_a_token_that_is_none_is_refused_by_the_error_in_words() -> None:
    with pytest.raises(TypeError, match="token must be a CancellationToken, not <CancellationTokenSource"):
        OperationCanceledError("stopped", CancellationTokenSource())  # type: ignore[arg-type]
