"""Callbacks: once, newest first, on the cancelling thread; their errors; taking them back; reset and dispose."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import threading
from typing import Any

import pytest
from token_helpers import PATIENCE, Blocker, Worker, in_thread

from cancellation import (
    CancellationToken,
    CancellationTokenRegistration,
    CancellationTokenSource,
    ObjectDisposedError,
    OperationCanceledError,
    tree,
)

token_module = sys.modules["cancellation.token"]
link = CancellationTokenSource.create_linked_token_source


def fail(error: BaseException) -> None:
    raise error


def test_callbacks_get_their_arguments() -> None:
    log: list[tuple[int, ...]] = []
    source = CancellationTokenSource()
    source.token.register(lambda *args: log.append(args), 1, 2)
    source.token.unsafe_register(lambda *args: log.append(args), 3)
    source.cancel()
    assert log == [(3,), (1, 2)]


def test_marks_come_first_every_callback_sees_the_whole_tree_cancelled() -> None:
    root = CancellationTokenSource()
    seen: list[bool] = []
    tokens = [root.token]

    def look() -> None:
        seen.append(all(token.is_cancellation_requested for token in tokens))

    sources = [root]
    for n in range(20):  # a binary tree
        source = link(sources[n // 2].token)
        sources.append(source)
        tokens.append(source.token)
        source.token.register(look)
    root.token.register(look)
    root.cancel()
    assert seen == [True] * 21


def test_a_callback_registered_inside_a_callback_runs_at_once() -> None:
    log: list[str] = []
    source = CancellationTokenSource()
    source.token.register(log.append, "old")

    def outer() -> None:
        assert source.token.register(log.append, "inner") is CancellationTokenRegistration()
        log.append("outer")

    source.token.register(outer)
    source.cancel()
    assert log == ["inner", "outer", "old"]


@pytest.mark.parametrize("linked", [False, True])
def test_a_cancel_that_comes_in_the_midst_of_register_loses_no_callback(
    monkeypatch: pytest.MonkeyPatch, linked: bool
) -> None:
    log: list[str] = []
    source = link(CancellationTokenSource().token) if linked else CancellationTokenSource()
    make = token_module._new_registration

    def cancel_and_make() -> CancellationTokenRegistration:
        source.cancel()
        return make()

    monkeypatch.setattr(token_module, "_new_registration", cancel_and_make)
    assert source.token.register(log.append, "late") is CancellationTokenRegistration()
    assert log == ["late"]


def test_a_cancel_that_takes_a_callback_right_after_it_was_put_in_runs_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []
    source = link(CancellationTokenSource().token)
    monkeypatch.setattr(tree, "settle", lambda *_: source.cancel())
    registration = source.token.register(log.append, "taken")
    assert log == ["taken"]
    assert not registration.unregister()
    registration.dispose()


def test_a_dispose_that_comes_in_the_midst_of_register_drops_the_callback(monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []
    source = CancellationTokenSource()
    make = token_module._new_registration

    def dispose_and_make() -> CancellationTokenRegistration:
        source.dispose()
        return make()

    monkeypatch.setattr(token_module, "_new_registration", dispose_and_make)
    source.token.register(log.append, "late")
    assert not source._token._callbacks
    assert log == []


def test_a_callback_that_ends_while_its_disposer_prepares_to_wait_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = CancellationTokenSource()
    blocker = Blocker()
    registration = source.token.register(blocker)
    canceler = Worker(source.cancel)
    assert blocker.started.wait(PATIENCE)
    make = token_module.new_token

    def end_and_make() -> CancellationToken:
        monkeypatch.undo()
        blocker.let_go.set()
        canceler.result()
        return make()

    monkeypatch.setattr(token_module, "new_token", end_and_make)
    Worker(registration.dispose).result()
    assert not tree.ends


def test_the_error_of_an_inline_callback_comes_out_raw() -> None:
    source = CancellationTokenSource()
    source.cancel()
    with pytest.raises(ZeroDivisionError):
        source.token.register(lambda: 1 / 0)


def test_a_callback_can_take_back_one_that_has_not_run() -> None:
    log: list[object] = []
    source = CancellationTokenSource()
    older = source.token.register(log.append, "older")
    source.token.register(lambda: log.append(older.unregister()))
    source.cancel()
    assert log == [True]


def test_callbacks_may_do_anything_to_their_source() -> None:
    log: list[str] = []
    source = CancellationTokenSource()
    token = source.token
    source.token.register(log.append, "first")

    def everything() -> None:
        assert not source.cancel("again")
        source.cancel_after(5)
        assert not source.try_reset()
        child = link(token)
        assert child.is_cancellation_requested
        source.dispose()
        with pytest.raises(ObjectDisposedError):
            source.cancel()
        log.append("everything")

    source.token.register(everything)
    assert source.cancel()
    assert log == ["everything", "first"]  # disposing oneself does not stop one's own cancel


def test_one_error_also_comes_as_a_group_and_all_callbacks_run() -> None:
    log: list[int] = []
    source = CancellationTokenSource()
    source.token.register(log.append, 1)
    source.token.register(fail, KeyError("k"))
    source.token.register(log.append, 2)
    with pytest.raises(ExceptionGroup) as info:
        source.cancel()
    assert [type(e) for e in info.value.exceptions] == [KeyError]
    assert info.value.message == "One or more errors occurred. ('k')"
    assert log == [2, 1]


def test_groups_nest_once_a_link() -> None:
    root = CancellationTokenSource()
    child = link(root.token)
    grandchild = link(child.token)
    grandchild.token.register(fail, KeyError("deep"))
    child.token.register(fail, ValueError("middle"))
    with pytest.raises(ExceptionGroup) as info:
        root.cancel()
    [of_child] = info.value.exceptions
    assert isinstance(of_child, ExceptionGroup)
    middle, of_grandchild = of_child.exceptions
    assert isinstance(middle, ValueError)
    assert isinstance(of_grandchild, ExceptionGroup)
    assert info.value.message.endswith("(middle) (One or more errors occurred. ('deep')))")


def test_the_text_of_a_group_stays_a_line_whatever_the_errors() -> None:
    source = CancellationTokenSource()
    for _ in range(1000):
        source.token.register(fail, ValueError("x" * 1000))
    with pytest.raises(ExceptionGroup) as info:
        source.cancel()
    assert len(info.value.exceptions) == 1000
    assert len(info.value.message) <= 400


@pytest.mark.parametrize("error", [asyncio.CancelledError(), SystemExit(3), KeyboardInterrupt()])
def test_an_error_that_is_no_exception_comes_in_a_base_group_and_the_others_run(error: BaseException) -> None:
    log: list[int] = []
    source = CancellationTokenSource()
    source.token.register(log.append, 1)
    source.token.register(fail, error)
    with pytest.raises(BaseExceptionGroup) as info:
        source.cancel()
    assert not isinstance(info.value, Exception)
    assert info.value.exceptions == (error,)
    assert log == [1]


def test_throw_on_first_exception_raises_it_bare_and_runs_no_more() -> None:
    log: list[int] = []
    source = CancellationTokenSource()
    child = link(source.token)
    child.token.register(log.append, 0)
    left = source.token.register(log.append, 1)
    error = KeyError("first")
    source.token.register(fail, error)
    source.token.register(log.append, 2)
    with pytest.raises(KeyError) as info:
        source.cancel(throw_on_first_exception=True)
    assert info.value is error
    assert log == [2]
    assert child.is_cancellation_requested
    assert not source.cancel()
    assert log == [2]
    assert left.unregister()  # it never ran
    assert not left.unregister()
    left.dispose()


def test_a_disposer_does_not_wait_for_what_an_aborted_cancel_left_over() -> None:
    source = CancellationTokenSource()
    child = link(source.token)
    left = child.token.register(print)
    source.token.register(fail, KeyError())
    with pytest.raises(KeyError):
        source.cancel(throw_on_first_exception=True)
    Worker(left.dispose).result()
    Worker(child.dispose).result()


def test_throw_on_first_exception_inside_a_child_gives_the_childs_group() -> None:
    log: list[int] = []
    root = CancellationTokenSource()
    root.token.register(log.append, 1)
    child = link(root.token)
    child.token.register(log.append, 2)
    child.token.register(fail, KeyError())
    with pytest.raises(ExceptionGroup):
        root.cancel(throw_on_first_exception=True)
    assert log == [2]  # the child runs all of its own, as in .NET


def test_a_ctrl_c_in_the_midst_of_cancel_leaves_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    source = CancellationTokenSource()
    child = link(source.token)
    registration = child.token.register(print)

    def interrupt(entry: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(CancellationTokenRegistration, "_run", interrupt)
        with pytest.raises(KeyboardInterrupt):
            source.cancel()
    assert source.is_cancellation_requested
    Worker(child.dispose).result()
    Worker(registration.dispose).result()


# Context variables

who: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")


def test_register_keeps_the_context_of_its_call_and_unsafe_register_takes_the_cancelers() -> None:
    log: list[tuple[str, str]] = []
    source = CancellationTokenSource()

    def register() -> None:
        who.set("registrar")
        source.token.register(lambda: log.append(("register", who.get())))
        source.token.unsafe_register(lambda: log.append(("unsafe", who.get())))

    def cancel() -> None:
        who.set("canceler")
        source.cancel()
        assert who.get() == "canceler"

    contextvars.copy_context().run(register)
    contextvars.copy_context().run(cancel)
    assert log == [("unsafe", "canceler"), ("register", "registrar")]


def test_cancel_async_runs_unsafe_callbacks_in_the_context_of_its_call() -> None:
    log: list[str] = []
    source = CancellationTokenSource()
    source.token.unsafe_register(lambda: log.append(who.get()))

    async def main() -> None:
        who.set("canceler")
        await source.cancel_async()

    asyncio.run(main())
    assert log == ["canceler"]


# Taking a callback back


def test_unregister_says_whether_it_prevented_the_callback() -> None:
    source = CancellationTokenSource()
    a, b = source.token.register(print), source.token.register(lambda: None)
    assert a.unregister() is True
    assert a.unregister() is False
    source.cancel()
    assert b.unregister() is False


def test_leaving_a_with_block_unregisters() -> None:
    log: list[int] = []
    source = CancellationTokenSource()
    with source.token.register(log.append, 1) as registration:
        assert registration.token == source.token
    source.cancel()
    assert log == []


def test_unregister_is_true_once_when_the_whole_source_is_gone() -> None:
    registration = CancellationTokenSource().token.register(print)
    assert registration.token == CancellationToken.none
    registration.dispose()
    assert registration.unregister() is False
    registration = CancellationTokenSource().token.register(print)
    assert registration.unregister() is True
    assert registration.unregister() is False


def test_unregister_of_a_dropped_callback_is_true_once() -> None:
    source = CancellationTokenSource()
    registration = source.token.register(print)
    source.dispose()
    assert registration.unregister() is True
    assert registration.unregister() is False
    registration.dispose()


def test_unregister_does_not_wait_for_a_running_callback_and_dispose_does() -> None:
    source = CancellationTokenSource()
    blocker = Blocker()
    registration = source.token.register(blocker)
    canceler = Worker(source.cancel)
    assert blocker.started.wait(PATIENCE)
    assert in_thread(registration.unregister) is False
    done: list[bool] = []

    def dispose() -> None:
        registration.dispose()
        done.append(blocker.done)

    disposers = [Worker(dispose) for _ in range(3)]
    for disposer in disposers:
        disposer.join(0.02)
        assert disposer.is_alive()
    blocker.let_go.set()
    for worker in [canceler, *disposers]:
        worker.result()
    assert done == [True] * 3


def test_dispose_waits_for_no_other_callback() -> None:
    source = CancellationTokenSource()
    waiting = source.token.register(print)
    blocker = Blocker()
    source.token.register(blocker)
    ran = source.token.register(lambda: None)
    canceler = Worker(source.cancel)
    assert blocker.started.wait(PATIENCE)
    in_thread(ran.dispose)
    in_thread(waiting.dispose)
    assert not blocker.done
    blocker.let_go.set()
    canceler.result()


def test_dispose_async_waits_for_a_running_callback_without_blocking_its_loop() -> None:
    async def main() -> None:
        source = CancellationTokenSource()
        blocker = Blocker()
        registration = source.token.register(blocker)
        canceler = Worker(source.cancel)
        assert await asyncio.to_thread(blocker.started.wait, PATIENCE)
        disposal = asyncio.create_task(registration.dispose_async())
        await asyncio.sleep(0)  # the loop turns
        assert not disposal.done()
        blocker.let_go.set()
        await disposal
        assert blocker.done
        canceler.result()
        await registration.dispose_async()

    asyncio.run(main())


def test_a_callback_that_disposes_its_own_registration_does_not_wait_for_itself() -> None:
    source = CancellationTokenSource()
    own: list[CancellationTokenRegistration] = []

    async def dispose_async() -> None:
        await own[0].dispose_async()

    def callback() -> None:
        own[0].dispose()
        assert not own[0].unregister()
        coroutine = dispose_async()
        with pytest.raises(StopIteration):
            coroutine.send(None)

    own.append(source.token.register(callback))
    Worker(source.cancel).result()


def test_of_two_equal_callbacks_each_registration_takes_back_its_own() -> None:
    log: list[int] = []
    source = CancellationTokenSource()
    a = source.token.register(log.append, 1)
    source.token.register(log.append, 1)
    a.unregister()
    source.cancel()
    assert log == [1]


# dispose and try_reset


def test_after_dispose_callbacks_are_dropped_and_register_takes_none() -> None:
    log: list[int] = []
    source = CancellationTokenSource()
    token = source.token
    token.register(log.append, 1)
    source.dispose()
    assert token.register(log.append, 2) is CancellationTokenRegistration()
    assert log == []


def test_a_disposed_parent_cancels_nobody() -> None:
    parent = CancellationTokenSource()
    token = parent.token
    child = link(token)
    parent.dispose()
    assert not child.is_cancellation_requested
    late = link(token)
    assert late.cancel("own")
    assert child.cancel("own")


def test_try_reset_drops_callbacks_for_good_and_keeps_the_token() -> None:
    log: list[int] = []
    source = CancellationTokenSource()
    token = source.token
    old = token.register(log.append, 1)
    assert source.try_reset()
    assert source.token is token
    assert old.unregister() is False
    token.register(log.append, 2)
    source.cancel()
    assert log == [2]
    assert source.try_reset() is False


def test_try_reset_keeps_the_links_both_ways() -> None:
    log: list[str] = []
    root = CancellationTokenSource()
    middle = link(root.token)
    leaf = link(middle.token)
    leaf.token.register(log.append, "leaf")
    middle.token.register(log.append, "middle")
    assert middle.try_reset()
    root.cancel()
    assert middle.is_cancellation_requested
    assert log == ["leaf"]


# cancel_async


def test_cancel_async_marks_at_once_where_no_loop_runs_and_runs_callbacks_elsewhere() -> None:
    threads: list[int] = []
    ran = threading.Event()
    source = CancellationTokenSource()
    source.token.register(ran.set)
    source.token.register(lambda: threads.append(threading.get_ident()))
    end = source.cancel_async("reason")
    assert source.is_cancellation_requested
    assert source.token.reason == "reason"
    assert ran.wait(PATIENCE)
    assert threads != [threading.get_ident()]

    async def wait() -> None:
        await end
        await end  # as often as you like

    asyncio.run(wait())


def test_cancel_async_does_not_block_its_loop_while_callbacks_run() -> None:
    async def main() -> None:
        source = CancellationTokenSource()
        blocker = Blocker()
        source.token.register(blocker)
        end = asyncio.ensure_future(source.cancel_async())
        assert await asyncio.to_thread(blocker.started.wait, PATIENCE)
        assert not end.done()
        blocker.let_go.set()
        await end
        assert blocker.done

    asyncio.run(main())


def test_awaiting_cancel_async_gives_the_errors_of_the_callbacks() -> None:
    async def main() -> None:
        source = CancellationTokenSource()
        source.token.register(fail, KeyError("k"))
        with pytest.raises(ExceptionGroup) as info:
            await source.cancel_async()
        assert isinstance(info.value.exceptions[0], KeyError)

    asyncio.run(main())


def test_cancel_async_after_dispose_fails_when_awaited() -> None:
    async def main() -> None:
        source = CancellationTokenSource()
        source.dispose()
        end = source.cancel_async()
        assert not source.is_cancellation_requested
        with pytest.raises(ObjectDisposedError):
            await end

    asyncio.run(main())


def test_a_second_cancel_async_ends_at_once_and_changes_nothing() -> None:
    async def main() -> None:
        source = CancellationTokenSource()
        await source.cancel_async("first")
        await source.cancel_async("second")
        assert source.token.reason == "first"

    asyncio.run(main())


def failing_end() -> Any:
    source = CancellationTokenSource()
    source.token.register(lambda: 1 / 0)
    return source.cancel_async()


def test_create_task_a_task_group_and_wait_for_take_what_cancel_async_returns() -> None:
    async def main() -> None:
        log: list[str] = []
        source = CancellationTokenSource()
        source.token.register(log.append, "callback")
        async with asyncio.TaskGroup() as group:
            task = group.create_task(source.cancel_async())
            assert source.is_cancellation_requested  # at once, not at the task's first step
            assert "CallbacksEnd" in repr(task)
        assert log == ["callback"]
        await asyncio.wait_for(CancellationTokenSource().cancel_async(), PATIENCE)
        with pytest.raises(ExceptionGroup):
            await asyncio.create_task(failing_end())

    asyncio.run(main(), debug=True)


@pytest.mark.parametrize("wrap", [lambda end: end, asyncio.ensure_future, lambda end: asyncio.wait_for(end, PATIENCE)])
def test_each_await_of_cancel_async_gives_the_errors_anew(wrap: Any) -> None:
    async def main() -> None:
        end = failing_end()
        errors = []
        for _ in range(3):
            with pytest.raises(ExceptionGroup, match="division by zero") as info:
                await wrap(end)
            errors.append(info.value)
        assert len({id(error) for error in errors}) == 3
        assert len({error.exceptions for error in errors}) == 1

        disposed = CancellationTokenSource()
        disposed.dispose()
        end = disposed.cancel_async()
        for _ in range(2):
            with pytest.raises(ObjectDisposedError):
                await wrap(end)

    asyncio.run(main())


def test_several_tasks_may_await_one_cancel_async_while_its_callbacks_run() -> None:
    async def main() -> None:
        blocker = Blocker()
        source = CancellationTokenSource()
        source.token.register(blocker)
        source.token.register(lambda: 1 / 0)
        end = source.cancel_async()

        async def wait() -> None:
            await end

        tasks = [asyncio.create_task(wait()) for _ in range(3)]
        await asyncio.sleep(0)
        tasks[0].cancel()  # which ends its own wait alone
        await asyncio.wait(tasks[:1])
        blocker.let_go.set()
        await asyncio.wait(tasks)
        assert tasks[0].cancelled()
        assert [type(task.exception()) for task in tasks[1:]] == [ExceptionGroup] * 2

    asyncio.run(main())


def test_a_task_of_a_cancel_async_that_is_cancelled_leaves_the_errors_to_the_next_await() -> None:
    async def main() -> None:
        for turns in (0, 1):
            blocker = Blocker()
            source = CancellationTokenSource()
            source.token.register(lambda: 1 / 0)
            source.token.register(blocker)
            end = source.cancel_async()
            task = asyncio.create_task(end)
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            blocker.let_go.set()
            with pytest.raises(ExceptionGroup):
                await asyncio.create_task(end)

    asyncio.run(main())


def test_a_cancel_async_that_is_closed_unawaited_reports_its_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    lost: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: lost.append(type(args.exc_value)))
    end = failing_end()
    assert end._end.wait(PATIENCE)
    end.close()
    for thread in threading.enumerate():
        if thread.name == "cancellation-callbacks":
            thread.join(PATIENCE)  # it holds the result, too
    del end
    assert lost == [ExceptionGroup]


def test_an_error_of_a_callback_that_cancel_async_ran_here_has_no_false_context(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_thread(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_thread)

    async def main() -> None:
        with pytest.raises(ExceptionGroup) as info:
            await failing_end()
        assert info.value.exceptions[0].__context__ is None

    asyncio.run(main())


def test_errors_of_a_cancel_async_that_nobody_awaits_are_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    lost: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: lost.append(args.exc_value))
    source = CancellationTokenSource()
    source.token.register(fail, KeyError("k"))
    threads = set(threading.enumerate())
    source.cancel_async()
    for thread in set(threading.enumerate()) - threads:
        thread.join(PATIENCE)
    gc.collect()
    assert [type(e) for e in lost] == [ExceptionGroup]


@pytest.mark.parametrize("cancel", ["cancel", "cancel_async"])
def test_a_cancel_that_meets_a_dispose_between_its_look_and_its_mark_says_so(
    monkeypatch: pytest.MonkeyPatch, cancel: str
) -> None:
    source = CancellationTokenSource()
    token = source.token
    mark = tree.mark

    def dispose_and_mark(*args: Any) -> list[CancellationToken]:
        source.dispose()
        return mark(*args)

    async def main() -> None:
        with pytest.raises(ObjectDisposedError, match="has been disposed"):
            await source.cancel_async() if cancel == "cancel_async" else source.cancel()

    monkeypatch.setattr(tree, "mark", dispose_and_mark)
    asyncio.run(main())
    assert not token.is_cancellation_requested


def test_a_cancel_that_meets_another_cancel_between_its_look_and_its_mark_is_false(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = CancellationTokenSource()
    mark = tree.mark

    def cancel_and_mark(*args: Any) -> list[CancellationToken]:
        monkeypatch.setattr(tree, "mark", mark)
        assert source.cancel("first")
        return mark(*args)

    monkeypatch.setattr(tree, "mark", cancel_and_mark)
    assert source.cancel("second") is False
    assert source.token.reason == "first"


def test_the_repr_of_a_registration_tells_its_callback_until_it_is_over() -> None:
    class Alarm:
        def __call__(self) -> None:
            log.append(repr(registration))

        def __repr__(self) -> str:
            return "the alarm"

    log: list[str] = []
    source = CancellationTokenSource()
    registration = source.token.register(Alarm())
    assert repr(registration) == "<CancellationTokenRegistration of the alarm>"
    source.cancel()
    assert log == ["<CancellationTokenRegistration of the alarm>"]
    assert repr(registration) == repr(CancellationTokenRegistration()) == "<CancellationTokenRegistration over>"


def test_a_callback_that_raises_operation_canceled_is_an_error_like_any_other() -> None:
    source = CancellationTokenSource()
    source.token.register(source.token.throw_if_cancellation_requested)
    with pytest.raises(ExceptionGroup) as info:
        source.cancel()
    assert isinstance(info.value.exceptions[0], OperationCanceledError)
