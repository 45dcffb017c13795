"""A download manager: a few downloads at a time, one or all of them cancelled. No partial file is left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

from cancellation import CancellationToken, CancellationTokenSource, run_until_canceled, until_canceled


class Downloads:
    def __init__(self, folder: Path, token: CancellationToken, limit: int = 3) -> None:
        self._folder = folder
        self._token = token  # cancels them all
        self._slots = asyncio.Semaphore(limit)
        self._sources: dict[str, CancellationTokenSource] = {}

    def cancel(self, url: str) -> None:
        """Cancel one that waits for its turn, or runs. The others go on."""
        self._sources[url].cancel(f"{url} is not wanted any more")

    async def download(self, url: str) -> Path:
        """Fetch `url` into the folder. `OperationCanceledError` if this one, or all, are cancelled."""
        with CancellationTokenSource.create_linked_token_source(self._token) as source:
            self._sources[url] = source
            try:
                async with AsyncExitStack() as stack:
                    await run_until_canceled(stack.enter_async_context(self._slots), source.token)
                    return await self._save(url, source.token)
            finally:
                del self._sources[url]

    async def _save(self, url: str, token: CancellationToken) -> Path:
        path = self._folder / url.rpartition("/")[2]
        part = path.with_suffix(".part")
        try:
            with part.open("wb") as file:
                async for chunk in until_canceled(fetch(url), token):
                    file.write(chunk)
            return part.rename(path)
        finally:
            part.unlink(missing_ok=True)


async def fetch(url: str) -> AsyncIterator[bytes]:
    """The body of an HTTP answer, piece by piece."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        writer.write(f"GET {parts.path} HTTP/1.0\r\nHost: {parts.netloc}\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        while chunk := await reader.read(1024):
            yield chunk
    finally:
        writer.close()
