"""Any sequence of operations on any tree of sources does what a simple model says."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from cancellation import CancellationTokenRegistration, CancellationTokenSource, FakeTimeProvider, ObjectDisposedError
from cancellation.tree import Link


class Model:
    """What a source should be."""

    def __init__(self, source: CancellationTokenSource, parents: list[Model]) -> None:
        self.source = source
        self.token = source.token
        self.canceled = False
        self.disposed = False
        self.reason: object = None
        self.origin: Model | None = None
        self.entries: list[Any] = []  # keys of callbacks, and links to child models, oldest first
        self.deadline: float | None = None
        for parent in dict.fromkeys(parents):
            if not parent.canceled and not parent.disposed:
                parent.entries.append(self)
        for parent in parents:
            if parent.canceled and not self.canceled:
                self.canceled, self.reason, self.origin = True, parent.reason, parent.origin


class Cancellation(RuleBasedStateMachine):
    sources: Bundle[Model] = Bundle("sources")
    registrations: Bundle[Any] = Bundle("registrations")

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeTimeProvider()
        self.now = 0.0
        self.models: list[Model] = []
        self.log: list[int] = []  # keys of callbacks, as they ran
        self.expected: list[int] = []
        self.keys = 0

    def add(self, source: CancellationTokenSource, parents: list[Model]) -> Model:
        model = Model(source, parents)
        for parent in self.models:  # a child that is cancelled by one parent leaves the others
            if model.canceled and model in parent.entries:
                parent.entries.remove(model)
        self.models.append(model)
        return model

    def expect_cancel(self, root: Model, reason: object) -> None:
        marked: list[Model] = []

        def mark(model: Model, came_from: Model | None) -> None:
            if model.canceled or model.disposed:
                return
            model.canceled, model.reason, model.origin, model.deadline = True, reason, root, None
            marked.append(model)
            for parent in self.models:
                if parent is not came_from and model in parent.entries:
                    parent.entries.remove(model)
            for entry in reversed(list(model.entries)):
                if isinstance(entry, Model):
                    mark(entry, model)

        def run(model: Model) -> None:
            while model.entries:
                entry = model.entries.pop()
                if isinstance(entry, Model):
                    run(entry)
                else:
                    self.expected.append(entry)

        mark(root, None)
        if marked:
            run(root)

    @rule(target=sources)
    def create(self) -> Model:
        return self.add(CancellationTokenSource(time_provider=self.clock), [])

    @rule(target=sources, parents=st.lists(sources, min_size=1, max_size=3))
    def link(self, parents: list[Model]) -> Model:
        tokens = [p.token for p in parents]
        return self.add(CancellationTokenSource.create_linked_token_source(*tokens, time_provider=self.clock), parents)

    @rule(target=registrations, model=sources, unsafe=st.booleans())
    def register(self, model: Model, unsafe: bool) -> Any:
        self.keys += 1
        register = model.token.unsafe_register if unsafe else model.token.register
        registration = register(self.log.append, self.keys)
        if model.canceled:
            self.expected.append(self.keys)
        elif not model.disposed:
            model.entries.append(self.keys)
        assert (registration is CancellationTokenRegistration()) == (model.canceled or model.disposed)
        return model, self.keys, registration

    @rule(registered=registrations, dispose=st.booleans())
    def take_back(self, registered: Any, dispose: bool) -> None:
        model, key, registration = registered
        prevented = key in model.entries
        if dispose:
            registration.dispose()
            assert not registration.unregister()
        else:
            assert registration.unregister() == prevented
        if prevented:
            model.entries.remove(key)

    @rule(model=sources, reason=st.none() | st.integers())
    def cancel(self, model: Model, reason: object) -> None:
        if model.disposed:
            self.refuses(model.source.cancel)
            return
        assert model.source.cancel(reason) is not model.canceled
        self.expect_cancel(model, reason)

    @rule(model=sources, delay=st.none() | st.integers(0, 5))
    def cancel_after(self, model: Model, delay: int | None) -> None:
        if model.disposed:
            self.refuses(lambda: model.source.cancel_after(delay))
            return
        model.source.cancel_after(delay)
        if not model.canceled:
            model.deadline = None if delay is None else self.now + delay

    @rule(seconds=st.integers(0, 4))
    def advance(self, seconds: int) -> None:
        self.now += seconds
        due = [m for m in self.models if m.deadline is not None and m.deadline <= self.now]
        before = len(self.log)
        self.clock.advance(seconds)
        # Which of two equal deadlines came first is not modelled: only that each did its work.
        ran = self.log[before:]
        del self.expected[before:]
        for model in sorted(due, key=lambda m: m.deadline or 0):
            if not model.canceled:
                self.expect_cancel(model, model.token.reason)
                model.origin = next(m for m in self.models if m.token == model.token.origin)
                for other in self.models:
                    if other.canceled and other.reason is model.reason:
                        other.origin = next(m for m in self.models if m.token == other.token.origin)
        assert sorted(ran) == sorted(self.expected[before:])
        self.expected[before:] = ran

    @rule(model=sources)
    def try_reset(self, model: Model) -> None:
        if model.disposed:
            self.refuses(model.source.try_reset)
            return
        assert model.source.try_reset() is not model.canceled
        if not model.canceled:
            model.entries = [e for e in model.entries if isinstance(e, Model)]
            model.deadline = None

    @rule(model=sources)
    def dispose(self, model: Model) -> None:
        model.source.dispose()
        if not model.disposed:
            for parent in self.models:
                if model in parent.entries:
                    parent.entries.remove(model)
            model.entries = [e for e in model.entries if not isinstance(e, Model)]  # dropped, yet prevented
            model.deadline = None
        model.disposed = True

    @staticmethod
    def refuses(call: Any) -> None:
        try:
            call()
        except ObjectDisposedError:
            return
        raise AssertionError("a disposed source did what it was told")

    @invariant()
    def same_as_the_model(self) -> None:
        assert self.log == self.expected
        for model in self.models:
            token = model.token
            assert token.is_cancellation_requested is model.source.is_cancellation_requested is model.canceled
            assert token.reason is model.reason or token.reason == model.reason
            assert token.origin == (model.origin.token if model.origin else None)
            assert model.disposed or model.source.token is token
            children = sum(isinstance(e, Model) for e in model.entries)
            assert sum(isinstance(e, Link) for e in token._callbacks) == children
            if not (token._plain or token.is_cancellation_requested or model.disposed):
                idle = [held for e, held in token._callbacks.items() if isinstance(e, Link) and held is None]
                assert token._idle == len(idle)
                for link, holds_parent in token._links.items() if token._links else ():
                    if (parent := link.parent()) is not None and link in parent._callbacks:
                        assert parent._callbacks[link] is (token if token._is_listened_on() else None)
                        assert (holds_parent is None) is token._is_listened_on()


TestCancellation = Cancellation.TestCase
TestCancellation.settings = settings(
    max_examples=150,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
