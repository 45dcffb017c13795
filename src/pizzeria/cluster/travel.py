"""How a token travels: what is pickled of it, and what becomes of it in the process where it arrives.

A pickled token is its name and whether it is cancelled so far. In each process there is one token a name: all tasks
of a worker share it, and one message cancels it for all of them. It goes with the last task that has it: Dask keeps
a task's arguments until its future is released. Once nobody can cancel it any more, it is put away like any other
token: whoever waits for it gets `ObjectDisposedError`.
"""

from __future__ import annotations

import copyreg
import logging
import pickle
import threading
import weakref
from collections.abc import Iterable

import cloudpickle  # type: ignore[import-untyped]  # Dask's own pickle

from cancellation import CancellationToken, CancellationTokenSource, ObjectDisposedError
from cancellation.errors import in_words

_logger = logging.getLogger(__name__)
_CANCELED = CancellationToken(canceled=True)
with CancellationTokenSource() as _source:
    _PUT_AWAY = _source.token

_lock = threading.RLock()  # re-entrant: the garbage collector may drop a token anywhere
_names: weakref.WeakKeyDictionary[CancellationToken, str] = weakref.WeakKeyDictionary()
_here: weakref.WeakValueDictionary[str, CancellationToken] = weakref.WeakValueDictionary()  # by name
_arrived: dict[str, CancellationTokenSource] = {}  # of the tokens here that came from elsewhere: their parents
_canceled: dict[str, bytes] = {}  # by name, with packed reason; also where no such token has arrived, or not yet


def enable(token: CancellationToken, name: str) -> None:
    """Let `token` be pickled from now on, under `name`."""
    with _lock:
        _names[token] = name
        _here.setdefault(name, token)


def withdraw(token: CancellationToken, name: str) -> None:
    """The source of `token` is put away in this process: what arrives under its name is another's."""
    with _lock:
        if _here.get(name) is token:
            del _here[name]


def cancel(name: str, reason: bytes) -> None:
    """The token of that name is cancelled: what has arrived of it, and what will."""
    with _lock:
        _canceled[name] = reason
        token = _here.get(name) if name in _arrived else None
    if token is not None:
        try:
            _source_of(token).cancel(unpack(reason))
        except BaseExceptionGroup:  # it comes over the line on which all other messages come: that must not break
            _logger.exception("a callback failed when the token %s was cancelled", name)


def forget(names: Iterable[str]) -> None:
    """Nobody will cancel these tokens, or send them, any more: what has arrived of them is put away."""
    for name in names:
        with _lock:
            _canceled.pop(name, None)
            token = _here.pop(name, None) if _arrived.pop(name, None) is not None else None
        if token is not None:
            _source_of(token).dispose()


def arrived() -> list[str]:
    """The names of the tokens that came to this process and are still in use; for tests and the curious."""
    return list(_arrived)


def remembered() -> list[str]:
    """The names of cancelled tokens of which more may yet arrive; for tests and the curious."""
    return list(_canceled)


def pack(reason: object) -> bytes:
    """For the wire. Never fails: a reason that cannot be pickled here, or read there, arrives as its text."""
    try:
        pickled = cloudpickle.dumps(reason)  # it takes the class along where that is a notebook's own
    except Exception:  # pickle has no common error
        pickled = None
    return pickle.dumps((pickled, in_words(reason)))


def unpack(reason: bytes) -> object:
    pickled, text = pickle.loads(reason)
    if pickled is not None:
        try:
            return pickle.loads(pickled)
        except Exception:  # of a class that this process does not have
            pass
    return text


def _arrive(name: str, reason: bytes | None) -> CancellationToken:
    with _lock:
        token = _here.get(name)
        if token is None:
            parent = CancellationTokenSource()
            # A child: in use for as long as somebody holds it, or listens on it. Then it goes, and the parent with it.
            token = CancellationTokenSource.create_linked_token_source(parent.token).token
            _arrived[name] = parent
            weakref.finalize(token, _leave, name, parent).atexit = False
            enable(token, name)
        reason = _canceled.get(name, reason)
        from_elsewhere = name in _arrived
    if reason is not None and from_elsewhere:
        _source_of(token).cancel(unpack(reason))  # it has no callbacks yet, or has been cancelled before
    return token


def _leave(name: str, parent: CancellationTokenSource) -> None:
    with _lock:
        if _arrived.get(name) is parent:
            del _arrived[name]


def _source_of(token: CancellationToken) -> CancellationTokenSource:
    """What cancels it, or puts it away. Made when needed: a source that was kept would keep its token."""
    source = CancellationTokenSource()
    source._token = token
    return source


def _arrive_put_away() -> CancellationToken:
    return _PUT_AWAY


def _reduce(token: CancellationToken) -> tuple[object, ...]:
    if token is CancellationToken.none or token is _CANCELED:
        return CancellationToken, (token is _CANCELED,)
    if token is _PUT_AWAY:
        return _arrive_put_away, ()
    if token not in _names:
        raise TypeError(
            "this CancellationToken cannot be pickled: it would never hear of a cancel in its old process. "
            "Take one from a pizzeria.cluster.ClusterTokenSource"
        )
    try:
        canceled = token.wait(0)
    except ObjectDisposedError:
        return _arrive_put_away, ()
    return _arrive, (_names[token], pack(token.reason) if canceled else None)


copyreg.pickle(CancellationToken, _reduce)  # type: ignore[arg-type]  # the stub knows no constructor but the class
