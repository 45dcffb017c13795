"""The tree of tokens: cancelling it from any node down, and what keeps what alive.

A parent has one entry a child, a `Link`, among its callbacks, so that "newest first" holds for both. A link is
weak both ways. Beside it stands one strong reference, in one of two places:

    nothing listens on the child   child._links[link] is the parent      a dropped child is collected
    something listens on it        parent._callbacks[link] is the child  a dropped child still hears the cancel

Never both: parent and child would hold each other, and only the garbage collector could free them. A deadline is a
parent of the same kind: its clock holds the token only while something listens on that.
"""

from __future__ import annotations

import os
import weakref
from threading import RLock, get_ident
from typing import TYPE_CHECKING

from cancellation.errors import group
from cancellation.wakeups import MISSING

if TYPE_CHECKING:
    from cancellation.deadline import Deadline
    from cancellation.token import CancellationToken

# Held for marks and links, never around a callback. Re-entrant, as a signal handler may come in at any point.
lock = RLock()

ends: dict[Entry, CancellationToken] = {}  # entries whose end a thread or task waits for, and the token that tells


def _after_fork() -> None:
    global lock  # a thread that the child does not have may hold it
    lock = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Entry:
    """What a token calls when it is cancelled: a registration, or a link to a child."""

    __slots__ = ()

    _todo: object  # None when it is over: has run, or will never

    def _finish(self) -> None:
        self._todo = None  # type: ignore[misc]  # the slot is in the classes below: a base of Link can have none
        if ends:
            ended(self)


def ended(entry: Entry) -> None:
    if (end := ends.pop(entry, None)) is not None:
        end._signal()


class Link(Entry, weakref.ref["CancellationToken"]):
    """A child token, linked to a parent: a weak reference to the child, that leaves the parent when the child dies."""

    __slots__ = ("_todo", "parent")
    __eq__ = object.__eq__  # two links of one child are two
    __hash__ = object.__hash__

    parent: weakref.ref[CancellationToken]

    def child(self) -> CancellationToken | None:
        return self()


def _child_died(entry: Link) -> None:
    if (parent := entry.parent()) is not None:
        take_out(parent, entry)


def link(parent: CancellationToken, child: CancellationToken) -> None:
    """Let a cancel of `parent` reach `child`. The caller looks afterwards whether it was cancelled meanwhile."""
    entry = Link(child, _child_died)
    entry.parent = parent._ref or parent._weak()
    entry._todo = "the child's callbacks"
    child._plain = False
    if child._links is None:
        child._links = {entry: parent}
    else:
        child._links[entry] = parent
    if parent._plain:
        parent._callbacks[entry] = None
        if not parent._plain:  # meanwhile
            recount(parent)
    else:
        with lock:
            parent._callbacks[entry] = None
            parent._idle += 1
    if child._canceled:  # through another parent, maybe before this link was made; nothing on the child is to be called
        unlink(child, entry)


def unlink(child: CancellationToken, entry: Link) -> bool:
    """True if `child` has left that parent; False if the parent's cancel has come to this link before."""
    assert child._links is not None
    child._links.pop(entry, None)
    parent = entry.parent()
    if parent is None:
        return True
    if not take_out(parent, entry):
        return False
    entry._todo = None  # _finish(), without the call: this path is measured
    if ends:
        ended(entry)
    return True


def take_out(parent: CancellationToken, entry: Link) -> bool:
    """Take a link out of its parent. False if the parent's cancel has come to it before."""
    if parent._plain:
        held = parent._callbacks.pop(entry, MISSING)
        if not parent._plain:  # meanwhile
            recount(parent)
    else:
        with lock:
            held = parent._callbacks.pop(entry, MISSING)
            if held is None:
                parent._idle -= 1
        parent._settle()
    return held is not MISSING


def recount(token: CancellationToken) -> None:
    """`token` is no longer plain: count its links to children that nothing listens on, and settle it."""
    with lock:
        token._plain = False
        while True:
            entries = token._callbacks.copy()
            idle = sum(held is None and isinstance(entry, Link) for entry, held in entries.items())
            if entries == token._callbacks:  # else a signal handler came in, or a child died, and we look again
                token._idle = idle
                break
    token._settle()


def settle(token: CancellationToken) -> None:
    """Let the parents and the deadline of `token` hold it while something listens on it, and else let go of it.

    Call this after each change of the listeners.
    """
    with lock:
        pending = [token]
        while pending:
            child = pending.pop()
            if child._canceled or child._disposed:  # and so its links are the canceler's, or gone
                continue
            if child._deadline is not None:
                child._deadline.hold(child)
            for entry in list(child._links or ()):
                parent = entry.parent()
                while parent is not None:
                    listened_on = child._is_listened_on()
                    # From here to the change stands no call, and then it looks again: a signal handler may have come
                    # in, and listened.
                    if entry not in parent._callbacks or (parent._callbacks[entry] is not None) is listened_on:
                        break
                    assert child._links is not None
                    parent._callbacks[entry] = child if listened_on else None
                    child._links[entry] = None if listened_on else parent
                    parent._idle += -1 if listened_on else 1
                    if parent._links or parent._deadline is not None:
                        pending.append(parent)


def mark(
    root: CancellationToken, reason: object, origin: CancellationToken, by_deadline: bool = False
) -> list[CancellationToken]:
    """Make `root` and all below it say "cancelled". Returns those that did not say so yet.

    They come in the order in which their callbacks will run. Only the caller may run these. `by_deadline`: only if
    `reason` is that of the deadline `root` has now; it may have been taken back while it fired.
    """
    marked: list[CancellationToken] = []
    deadlines: list[Deadline] = []
    with lock:
        pending: list[tuple[CancellationToken, Link | None]] = [(root, None)]
        while pending:
            token, came_by = pending.pop()
            # No call stands between this look and the marks, so that no signal handler can come between them.
            if token._canceled or token._disposed:
                continue
            if by_deadline and token is root and (root._deadline is None or root._deadline.reason is not reason):
                continue
            token._reason = reason
            token._origin = None if token is origin else origin
            token._canceled = True
            token._plain = False
            marked.append(token)
            if token._deadline is not None:
                deadlines.append(token._deadline)
                token._deadline = None
            if token._links:
                for entry in list(token._links):
                    if entry is not came_by:
                        unlink(token, entry)
                    else:  # stays until its turn: it holds the place in the order, and dispose() waits for it
                        token._links[entry] = None
            if token._callbacks:
                for below in list(token._callbacks):
                    if isinstance(below, Link) and (child := below.child()) is not None:
                        pending.append((child, below))
    for deadline in deadlines:
        deadline.dispose()
    return marked


def run_callbacks(marked: list[CancellationToken], throw_on_first_exception: bool = False) -> BaseException | None:
    """Run the callbacks of what `mark` returned, newest first. Returns what to raise: one group a level of links."""
    root, mine, thread = marked[0], set(marked), get_ident()
    root._runner = thread
    path: list[tuple[CancellationToken, Link | None]] = [(root, None)]
    errors: list[list[BaseException]] = [[]]  # of each token on the path
    disposed: dict[CancellationToken, list[Link]] = {}  # before their turn came: only those below them are called
    error: BaseException | None = None
    entry: Entry | None = None
    try:
        while True:
            token, came_by = path[-1]
            error = None
            try:
                entry, child = pop_link(token, disposed[token]) if token in disposed else token._callbacks.popitem()
            except KeyError:  # this token is done: on with its parent
                error = group(errors[-1]) if errors[-1] else None
                errors.pop()
                path.pop()
                if came_by is None:
                    return error
                leave(token, came_by)
            else:
                if isinstance(entry, Link):
                    child = child or entry.child()
                    if child in mine:
                        mine.remove(child)
                        child._runner = thread
                        if child._disposed:
                            disposed[child] = [below for below in list(child._callbacks) if isinstance(below, Link)]
                        path.append((child, entry))
                        errors.append([])
                    else:
                        entry._finish()
                else:
                    error = entry._run()
            if error is not None:
                if throw_on_first_exception and len(path) == 1:
                    return error
                errors[-1].append(error)
    finally:  # after the first exception, or a Ctrl-C right here, no thread may wait for what will never run
        if entry is not None:
            entry._finish()
        for token, came_by in path:
            if came_by is not None:
                leave(token, came_by)
        for token in marked:
            drop_callbacks(token)
        del error, errors  # the callbacks' tracebacks keep this frame, which must not keep the errors


def pop_link(token: CancellationToken, links: list[Link]) -> tuple[Link, CancellationToken | None]:
    """Take the newest of `links` that is still there; `KeyError` if there is none."""
    while links:
        entry = links.pop()
        if (child := token._callbacks.pop(entry, MISSING)) is not MISSING:
            return entry, child
    raise KeyError


def leave(child: CancellationToken, entry: Link) -> None:
    if child._links is not None:
        child._links.pop(entry, None)
    entry._finish()


def drop_callbacks(token: CancellationToken) -> None:
    """Nothing on `token` will run any more. Registrations stay, empty: `unregister` tells that they never ran."""
    for entry in list(token._callbacks):
        if isinstance(entry, Link):
            token._callbacks.pop(entry, None)
        entry._finish()
