"""A client that is nothing but a socket: it says what it is told to say, and hangs up when it is told to."""

import asyncio
import json
import threading
from contextlib import asynccontextmanager

import psutil


class Line:
    """One connection to the server at `url`."""

    def __init__(self, reader, writer):
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, url):
        host, port = url.removeprefix("http://").split(":")
        return cls(*await asyncio.open_connection(host, int(port)))

    def send(self, text):
        self._writer.write(text.encode())

    def request(self, method, path, body=None, **headers):
        content = "" if body is None else body if isinstance(body, str) else json.dumps(body)
        lines = [f"{method} {path} HTTP/1.1", "Host: test", f"Content-Length: {len(content.encode())}"]
        lines += ["Content-Type: application/json"] + [f"{name.replace('_', '-')}: {v}" for name, v in headers.items()]
        self.send("\r\n".join(lines) + "\r\n\r\n" + content)

    async def head(self):
        """Of the answer: its status and its headers in lower case."""
        status, *lines = (await self._reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        return int(status.split()[1]), dict(line.lower().split(": ", 1) for line in lines)

    async def body(self, headers):
        if "content-length" in headers:
            return (await self._reader.readexactly(int(headers["content-length"]))).decode()
        content = b""
        while chunk := await self.chunk():
            content += chunk
        return content.decode()

    async def chunk(self):
        length = int(await self._reader.readuntil(b"\r\n"), 16)
        return (await self._reader.readexactly(length + 2))[:-2]

    async def answer(self):
        status, headers = await self.head()
        return status, headers, await self.body(headers)

    async def until_closed(self):
        return await self._reader.read()

    async def hang_up(self):
        self._writer.close()
        await self._writer.wait_closed()


async def ask(url, method, path, body=None, **headers):
    """One request on a connection of its own: status, headers, and the body."""
    line = await Line.open(url)
    try:
        line.request(method, path, body, Connection="close", **headers)
        return await line.answer()
    finally:
        await line.hang_up()


async def until(is_so, seconds=10):
    """Give the loop turns until something is so: what another connection does comes a few turns later."""
    async with asyncio.timeout(seconds):
        while not is_so():  # noqa: ASYNC110  (nobody would set an event)
            await asyncio.sleep(0.005)


@asynccontextmanager
async def nothing_left():
    """No task, socket or thread more than before, once the block has been left."""
    process = psutil.Process()
    tasks, files, threads = asyncio.all_tasks(), process.num_fds(), set(threading.enumerate())
    yield
    await until(lambda: asyncio.all_tasks() == tasks and process.num_fds() <= files)
    new = set(threading.enumerate()) - threads
    assert {thread.name for thread in new} <= {"cancellation-timers"}  # one for the whole process, and it stays
