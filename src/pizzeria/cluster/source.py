"""A source whose token can be sent to the workers of a Dask cluster."""

from __future__ import annotations

import weakref
from typing import Self, final
from uuid import uuid4

from distributed import Client

from cancellation import CancellationToken, CancellationTokenSource
from pizzeria.cluster import travel
from pizzeria.cluster.line import Line, line_of, raise_if_closed


@final
class ClusterTokenSource:
    """Makes a token that can be passed to tasks, and cancels it on all workers: the cancel is pushed to them.

    `client`: connected to the cluster. `name`: what the token is called there; by default a new one. A second source
    of that name, made with another client, is another button for the same cancel.

    Pass the token to tasks of that cluster only: in any other process it never hears of the cancel, and cannot know it.
    In a task the token is an ordinary `CancellationToken`, one a worker and name. Callbacks registered on it there
    run on the worker's event loop, so keep them short. Dispose the source when its tasks have ended: a task that
    still waits gets `ObjectDisposedError`. When the client leaves without `dispose`, or loses its connection, its
    tokens are cancelled on the workers, with a `ConnectionError` as the reason; those that another client shares
    stay. What is sent after Dask has connected again can be cancelled as before. Thread-safe.

    .NET has no token that leaves its process; the nearest is a gRPC call's deadline and token:
    https://learn.microsoft.com/aspnet/core/grpc/deadlines-cancellation
    """

    def __init__(self, client: Client, name: str | None = None) -> None:
        """`ValueError` if this client has a source of that name already, `ConnectionError` if it is closed. The first
        source of a client that is not asynchronous waits until the workers can hear of cancels; what prevents that
        comes out."""
        if not isinstance(client, Client):
            raise TypeError(f"client must be a distributed.Client, not {client!r}")
        if name is not None and not isinstance(name, str):
            raise TypeError(f"name must be text, or None for a new one, not {name!r}")
        raise_if_closed(client)
        self._line = line_of(client)
        if not self._line.is_open and not client.asynchronous:
            client.sync(self._line.ready)  # type: ignore[no-untyped-call]
        self.name = uuid4().hex if name is None else name
        self._source = CancellationTokenSource()
        if self._line.sources.setdefault(self.name, self._source) is not self._source:
            raise ValueError(f"this client has a source named {self.name!r} already")
        travel.enable(self._source.token, self.name)
        self._unsaid = [None]  # whoever takes it out tells the cluster
        self._line.send("opened", self.name)
        self._put_away = weakref.finalize(self, _put_away, self._line, self.name, self._source)
        self._put_away.atexit = False

    @property
    def token(self) -> CancellationToken:
        """To pass on, here and in tasks. `ObjectDisposedError` after `dispose`."""
        return self._source.token

    @property
    def is_cancellation_requested(self) -> bool:
        return self._source.is_cancellation_requested

    def cancel(self, reason: object = None) -> bool:
        """Cancel here, and on the workers as soon as the message is there; True if this call did it here.

        Tells the cluster first, then runs the callbacks of this process, whose errors come out as from
        `CancellationTokenSource.cancel`. A reason that cannot be pickled, or not be read there, arrives as its text.
        `ObjectDisposedError` after `dispose`.
        """
        if not self._source.token.is_cancellation_requested:
            try:
                self._unsaid.pop()
            except IndexError:  # another thread is about it, or was before a callback it runs
                return False
            self._line.send("canceled", (self.name, travel.pack(reason)))
        return self._source.cancel(reason)

    def dispose(self) -> None:
        """Put it away: nobody will cancel, or pass the token on, any more. It does not cancel.

        Who waits for the token, here or in a task, gets `ObjectDisposedError`. A source that is dropped is put away.
        """
        self._put_away()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.dispose()

    def __repr__(self) -> str:
        return f"<ClusterTokenSource {self.name!r} of {self._source!r}>"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError(f"{self!r} cannot be sent: it stays with who cancels. Pass its token on: source.token")


def _put_away(line: Line, name: str, source: CancellationTokenSource) -> None:
    line.send("closed", name)
    line.sources.pop(name, None)  # from here on the name can be taken again
    travel.withdraw(source.token, name)
    source.dispose()
