"""How a token travels: what is pickled of it, and what becomes of it in the process where it arrives.

A pickled token is its name and whether it is cancelled so far. In each process there is one token a name: all tasks
of a worker share it, and one message cancels it for all of them. It goes with the last task that has it: Dask keeps
a task's arguments until its future is released.
"""

from __future__ import annotations

import copyreg
import logging
import pickle
import threading
import weakref
from collections.abc import Iterable

from cancellation import CancellationToken, CancellationTokenSource

_logger = logging.getLogger(__name__)
_CANCELED = CancellationToken(canceled=True)

_lock = threading.RLock()  # re-entrant: the garbage collector may drop a token anywhere
_names: weakref.WeakKeyDictionary[CancellationToken, tuple[str, str]] = weakref.WeakKeyDictionary()  # and clients
_here: weakref.WeakValueDictionary[str, CancellationToken] = weakref.WeakValueDictionary()  # by name
_arrived: dict[str, tuple[str, CancellationTokenSource]] = {}  # what cancels a token that came from elsewhere
_canceled: dict[str, bytes] = {}  # by name, with packed reason; also where no such token has arrived, or not yet


def enable(token: CancellationToken, name: str, client: str) -> None:
    """Let `token` be pickled from now on, under `name`; `client` is the id of the one who made it."""
    with _lock:
        _names[token] = name, client
        _here.setdefault(name, token)


def cancel(name: str, reason: bytes) -> None:
    """The token of that name is cancelled: what has arrived of it, and what will."""
    with _lock:
        _canceled[name] = reason
        _, source = _arrived.get(name, ("", None))
    if source is not None:
        try:
            source.cancel(unpack(reason))
        except BaseExceptionGroup:  # it comes over the line on which all other messages come: that must not break
            _logger.exception("a callback failed when the token %s was cancelled", name)


def forget(names: Iterable[str]) -> None:
    """Nobody will send these tokens any more."""
    with _lock:
        for name in names:
            _canceled.pop(name, None)


def abandon(client: str, reason: bytes) -> None:
    """Cancel all tokens of a client that has gone."""
    with _lock:
        left_behind = [name for name, (owner, _) in _arrived.items() if owner == client]
    for name in left_behind:
        cancel(name, reason)
    forget(left_behind)


def arrived() -> list[str]:
    """The names of the tokens that came to this process and are still in use; for tests and the curious."""
    return list(_arrived)


def remembered() -> list[str]:
    """The names of cancelled tokens of which more may yet arrive; for tests and the curious."""
    return list(_canceled)


def pack(reason: object) -> bytes:
    """For the wire. A reason that cannot be pickled arrives as its text."""
    try:
        return pickle.dumps(reason)
    except Exception:  # pickle has no common error
        return pickle.dumps(str(reason))


def unpack(reason: bytes) -> object:
    try:
        return pickle.loads(reason)
    except Exception as error:  # of a class that this process does not have
        return f"a reason that cannot be read here ({error})"


def _arrive(name: str, client: str, reason: bytes | None) -> CancellationToken:
    with _lock:
        token = _here.get(name)
        if token is None:
            source = CancellationTokenSource()
            # A child: in use for as long as somebody holds it, or listens on it. Then it goes, and the source with it.
            token = CancellationTokenSource.create_linked_token_source(source.token).token
            _arrived[name] = client, source
            weakref.finalize(token, _leave, name, source).atexit = False
            enable(token, name, client)
        reason = _canceled.get(name, reason)
        source_here = _arrived.get(name)
    if reason is not None and source_here is not None:
        source_here[1].cancel(unpack(reason))  # it has no callbacks yet, or has been cancelled before
    return token


def _leave(name: str, source: CancellationTokenSource) -> None:
    with _lock:
        if name in _arrived and _arrived[name][1] is source:
            del _arrived[name]


def _reduce(token: CancellationToken) -> tuple[object, ...]:
    if token is CancellationToken.none or token is _CANCELED:
        return CancellationToken, (token is _CANCELED,)
    if token not in _names:
        raise TypeError(
            "this CancellationToken cannot be pickled: it would never hear of a cancel in its old process. "
            "Take one from a pizzeria.cluster.ClusterTokenSource"
        )
    name, client = _names[token]
    return _arrive, (name, client, pack(token.reason) if token.is_cancellation_requested else None)


copyreg.pickle(CancellationToken, _reduce)  # type: ignore[arg-type]  # the stub knows no constructor but the class
