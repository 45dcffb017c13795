"""An agent: a language model that talks, and asks for tools. Each tool has its time; the user may stop it all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from cancellation import (
    CancellationToken,
    CancellationTokenSource,
    OperationCanceledError,
    TimeProvider,
    until_canceled,
)


@dataclass
class ToolCall:
    tool: str
    argument: str


Model = Callable[[list[str]], AsyncIterator[str | ToolCall]]
Tool = Callable[[str, CancellationToken], Awaitable[str]]


class Agent:
    def __init__(
        self, model: Model, tools: dict[str, Tool], seconds: float, time_provider: TimeProvider = TimeProvider.system
    ) -> None:
        self._model = model
        self._tools = tools
        self._seconds = seconds  # for each use of a tool
        self._time_provider = time_provider

    async def answer(self, question: str, token: CancellationToken, say: Callable[[str], object]) -> None:
        """Let the model talk to `say` until it asks for no more tools. `OperationCanceledError` if it is stopped."""
        messages = [question]
        calls: list[ToolCall] | None = None
        while calls is None or calls:
            calls = []
            async for part in until_canceled(self._model(messages), token):
                if isinstance(part, ToolCall):
                    calls.append(part)
                else:
                    say(part)
                    messages.append(part)
            for call in calls:
                messages.append(await self._use(call, token))

    async def _use(self, call: ToolCall, token: CancellationToken) -> str:
        """What the tool says. One that is out of time ends itself alone: the model hears of it, and goes on."""
        with CancellationTokenSource.create_linked_token_source(token, time_provider=self._time_provider) as source:
            source.cancel_after(self._seconds)
            try:
                return await self._tools[call.tool](call.argument, source.token)
            except OperationCanceledError as error:
                if token.is_cancellation_requested:
                    raise
                return f"{call.tool} failed: {error.reason}"
