"""The tree of tokens: cancelling it from any node down, and who keeps whom alive.

A parent has one entry a child, a `Link`, among its callbacks, so that "newest first" holds for both. A link is
weak both ways. Beside it stands one strong reference, in one of two places:

    nobody listens on the child    child._links[link] is the parent      a dropped child is collected
    somebody listens on it         parent._callbacks[link] is the child  a dropped child still hears the cancel

Never both: parent and child would hold each other, and only the garbage collector could free them.
"""

from __future__ import annotations

import os
import weakref
from threading import RLock, get_ident
from typing import TYPE_CHECKING, Literal

from cancellation.errors import group
from cancellation.wakeups import MISSING, wake_all

if TYPE_CHECKING:
    from cancellation.source import Deadline
    from cancellation.token import CancellationToken

# Held for marks and links, never around a callback. Re-entrant, as a signal handler may come in at any point.
lock = RLock()

ends: dict[Entry, CancellationToken] = {}  # entries whose end somebody waits for, and the token that then tells


def _after_fork() -> None:
    global lock  # whoever held it stayed behind
    lock = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Entry:
    """What a token calls when it is cancelled: a registration, or a link to a child."""

    __slots__ = ("todo",)

    todo: object  # None when it is over: has run, or will never

    def finish(self) -> None:
        self.todo = None
        if ends:
            ended(self)


def ended(entry: Entry) -> None:
    if (end := ends.pop(entry, None)) is not None:
        end._signal()


class Link(Entry):
    """A child token, linked to a parent."""

    __slots__ = ("child", "parent")

    def __init__(self, parent: CancellationToken, child: CancellationToken) -> None:
        self.todo = "the child's callbacks"
        self.parent = weakref.ref(parent)
        self.child = weakref.ref(child, self._child_died)

    def _child_died(self, _: object) -> None:
        if (parent := self.parent()) is not None:
            parent._callbacks.pop(self, None)


def link(parent: CancellationToken, child: CancellationToken) -> None:
    """Let a cancel of `parent` reach `child`. The caller looks afterwards whether it was cancelled meanwhile."""
    entry = Link(parent, child)
    child._plain = False
    child._links[entry] = parent
    parent._callbacks[entry] = None


def unlink(child: CancellationToken, entry: Link) -> bool:
    """True if `child` has left that parent; False if the parent's cancel has come to this link before."""
    parent = entry.parent()
    child._links.pop(entry, None)
    if parent is None:
        return True
    held = parent._callbacks.pop(entry, MISSING)
    if held is MISSING:
        return False
    entry.finish()
    if held is not None and parent._links:
        listen(parent, -1)
    return True


def listen(token: CancellationToken, step: Literal[1, -1] = 1) -> None:
    """Somebody new listens on `token`; or, with -1, has stopped to. With the first one its parents begin to hold it,
    with the last one they let go, and `token` holds them instead."""
    with lock:
        pending = [token]
        while pending:
            child = pending.pop()
            listeners = child._listeners = child._listeners + step
            if listeners == (1 if step > 0 else 0):
                for entry in list(child._links):
                    parent = entry.parent()
                    if parent is not None and entry in parent._callbacks:
                        # By their number now: a signal handler may have come in, and listened, since the line above.
                        heard = child._listeners > 0
                        parent._callbacks[entry] = child if heard else None
                        child._links[entry] = None if heard else parent
                        if parent._links:
                            pending.append(parent)


def mark(
    root: CancellationToken, reason: object, origin: CancellationToken, deadline: Deadline | None = None
) -> list[CancellationToken]:
    """Make `root` and all below it say "cancelled", then wake their waiters. Returns those that did not say so yet.

    They come in the order in which their callbacks will run. Only the caller may run these. A `deadline` marks
    only while it is the one of `root`: `try_reset` or `cancel_after` may have taken it back while it was firing.
    """
    marked: list[CancellationToken] = []
    with lock:
        if deadline is not None and root._deadline is not deadline:
            return marked
        pending: list[tuple[CancellationToken, Link | None]] = [(root, None)]
        while pending:
            token, came_by = pending.pop()
            # No call stands between this look and the marks, so that no signal handler can come between them.
            if token._canceled or token._disposed:
                continue
            token._reason = reason
            token._origin = None if token is origin else origin
            token._canceled = True
            token._plain = False
            marked.append(token)
            for entry in list(token._links):
                if entry is not came_by:
                    unlink(token, entry)
                else:  # stays until its turn: it holds the place in the order, and dispose() waits for it
                    token._links[entry] = None
            for below in list(token._callbacks):
                if isinstance(below, Link) and (child := below.child()) is not None:
                    pending.append((child, below))
    wake_all(marked)
    for token in marked:
        if (armed := token._deadline) is not None:
            armed.dispose()
            token._deadline = None
    return marked


def run_callbacks(marked: list[CancellationToken], throw_on_first_exception: bool = False) -> BaseException | None:
    """Run the callbacks of what `mark` returned, newest first. Returns what to raise: one group a level of links."""
    root, mine, thread = marked[0], set(marked), get_ident()
    root._runner = thread
    path: list[tuple[CancellationToken, Link | None]] = [(root, None)]
    errors: list[list[BaseException]] = [[]]  # of each token on the path
    disposed: set[CancellationToken] = set()  # before their turn came: only those below them are called
    error: BaseException | None = None
    entry: Entry | None = None
    try:
        while True:
            token, came_by = path[-1]
            error = None
            try:
                entry, child = pop_link(token) if token in disposed else token._callbacks.popitem()
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
                            disposed.add(child)
                        path.append((child, entry))
                        errors.append([])
                    else:
                        entry.finish()
                else:
                    error = entry.run()
            if error is not None:
                if throw_on_first_exception and len(path) == 1:
                    return error
                errors[-1].append(error)
    finally:  # after the first exception, or a Ctrl-C right here, nobody may wait for what will never run
        if entry is not None:
            entry.finish()
        for token, came_by in path:
            if came_by is not None:
                leave(token, came_by)
        for token in marked:
            drop_callbacks(token)
        del error, errors  # the callbacks' tracebacks keep this frame, which must not keep the errors


def pop_link(token: CancellationToken) -> tuple[Link, CancellationToken | None]:
    """Take the newest link to a child; `KeyError` if there is none."""
    for entry in reversed(list(token._callbacks)):
        if isinstance(entry, Link) and (child := token._callbacks.pop(entry, MISSING)) is not MISSING:
            return entry, child
    raise KeyError


def leave_live_parents(child: CancellationToken) -> None:
    for entry in list(child._links):
        parent = entry.parent()
        if parent is not None and not parent._canceled:
            unlink(child, entry)


def leave(child: CancellationToken, entry: Link) -> None:
    child._links.pop(entry, None)
    entry.finish()


def drop_callbacks(token: CancellationToken) -> None:
    """Nothing on `token` will run any more. Registrations stay, empty: `unregister` tells that they never ran."""
    for entry in list(token._callbacks):
        if isinstance(entry, Link):
            token._callbacks.pop(entry, None)
        entry.finish()
