"""What a type checker must accept here, and what it must refuse: the lines marked `# error`. test_typing.py runs it."""

# ruff: noqa: RUF006 - nothing of this runs

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable
from typing import Any, assert_type

from cancellation import (
    CancellationToken,
    CancellationTokenRegistration,
    CancellationTokenSource,
    OperationCanceledError,
    cancel_scope,
    run_to_end,
    run_until_canceled,
    to_thread,
    until_canceled,
)


def greet(name: str, times: int = 1) -> str:
    return name * times


def nothing() -> None: ...


async def cook(pizza: str) -> bytes:
    return pizza.encode()


async def words() -> AsyncIterator[str]:
    yield "a"


def unknown(callback: Callable[..., Any], other: Callable[[], Any], token: CancellationToken) -> None:
    with token.register(callback), token.unsafe_register(other):
        pass
    registration: CancellationTokenRegistration = token.register(other)
    registration.unregister()


def rub(glasses: int, token: CancellationToken) -> float:
    return glasses / 2


class Kitchen:
    def close(self, why: str) -> bool:
        return bool(why)

    async def clean(self) -> None: ...


def callbacks(token: CancellationToken, log: list[str], kitchen: Kitchen) -> None:
    assert_type(token.register(nothing), CancellationTokenRegistration)
    token.register(greet, "you")
    token.register(greet, "you", 2)
    token.register(log.append, "text")
    token.register(kitchen.close, "night")
    token.register(functools.partial(greet, "you"))
    token.register(lambda: log.append("text"))
    token.register(lambda text: log.append(text), "text")
    token.unsafe_register(greet, "you")
    with token.register(nothing) as registration:
        registration.unregister()

    token.register(nothing, 1)  # error
    token.register(greet)  # error
    token.register(greet, 1)  # error
    token.register(greet, "you", "twice")  # error
    token.register(log.append, 1)  # error
    token.register(kitchen.close)  # error
    token.register("no function")  # error
    token.unsafe_register(greet, 1)  # error


def coroutine_functions(token: CancellationToken, kitchen: Kitchen) -> None:
    with token.register(cook, "pizza"):  # error
        pass
    registration: CancellationTokenRegistration = token.register(kitchen.clean)  # error
    registration = token.unsafe_register(cook, "pizza")  # error
    registration.dispose()
    token.register(cook, "pizza")  # error
    token.unsafe_register(kitchen.clean)  # error


async def waits(token: CancellationToken) -> None:
    assert_type(await run_until_canceled(cook("pizza"), token), bytes)
    assert_type(await run_to_end(cook("pizza"), within=10), bytes)
    assert_type(await to_thread(rub, 4, token=token), float)
    assert_type(await token.wait_async(5), bool)
    async for word in until_canceled(words(), token):
        assert_type(word, str)
    asyncio.create_task(CancellationTokenSource().cancel_async("why"))

    await to_thread(rub, "four", token=token)  # error
    await to_thread(rub, token=token)  # error
    await to_thread(greet, "you", token=token)  # error
    await run_until_canceled(cook, token)  # error
    await run_to_end(7)  # error
    until_canceled(["a"], token)  # error
    OperationCanceledError(token)  # error
    cancel_scope(CancellationTokenSource())  # error
