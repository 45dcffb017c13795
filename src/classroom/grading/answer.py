"""Of all cells of a notebook, the statements that a test needs: the definitions it names, and all that these name.

What may change a thing that the answer uses belongs to it, too; see `changes`. What only *does* something (a loop that
tries things out, a widget, a `while True`) is left out: it is no part of the answer, and a grader has no use for it.
"""

from __future__ import annotations

import ast
import builtins
import re
import threading
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from IPython.core.inputtransformer2 import TransformerManager

from classroom.grading import tools
from classroom.grading.changes import Changes, Slot, changes_in, never_ends
from classroom.grading.names import names_in

LONGEST = 100_000  # characters of a cell: more is no answer, but would take the grader's own time
_LONGEST_WITH_MAGICS = 20_000  # IPython reads the cell anew for each of its magics
_MAGICS = 50  # of a cell
_BUILTINS = frozenset(dir(builtins))
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
_reading = threading.Lock()  # tests on other threads want the same cells: who waits finds them read


@dataclass(frozen=True, slots=True)
class Answer:
    source: str
    unreadable: tuple[str, ...] = ()  # cells that are not Python: what the parser said


def answer_to(test: str, cells: Iterable[str]) -> Answer:
    """The part of `cells`, in their order, that the source text `test` needs to run."""
    with _reading:
        read = [_read_cell(cell) for cell in cells]
    statements = [statement for cell in read if isinstance(cell, tuple) for statement in cell]
    unreadable = tuple(cell for cell in read if isinstance(cell, str))
    names = names_in(ast.parse(test))
    # A test's `list` is Python's, and its `seen` the grader's, whatever a try-out of that name holds.
    chosen = _Choice(statements).for_names(names.uses - names.binds - _BUILTINS - set(tools.__all__))
    text = "\n\n".join(
        statement.text
        for number, statement in sorted(enumerate(statements), key=lambda item: (not item[1].is_future, item[0]))
        if number in chosen
    )
    return Answer(text, unreadable)


@dataclass(frozen=True, slots=True)
class _Statement:
    text: str
    binds: frozenset[str]
    uses: frozenset[str]
    changes: Changes  # `app` in `@app.get(...)`, `app.add_route(...)`, `app.title = ...`
    is_class: bool
    is_import: bool
    is_future: bool  # an import that must come first
    binds_all: bool  # from … import *

    @property
    def is_always_wanted(self) -> bool:
        return self.is_future or self.binds_all


class _Choice:
    """The statements that certain names need: those that bind them, those that change their things, and so on."""

    def __init__(self, statements: list[_Statement]) -> None:
        self._statements = statements
        self._chosen: set[int] = set()
        self._needed: set[str] = set()
        self._by_name = defaultdict[str, list[int]](list)
        imported = {name for statement in statements if statement.is_import for name in statement.binds}
        classes = {name for statement in statements if statement.is_class for name in statement.binds}
        changed = self._changed_slots()
        for number, statement in enumerate(statements):
            changes = statement.changes
            given = {
                name for call in changes.calls for slot, name in call.arguments if (call.function, slot) in changed
            }
            # Not the names of imported things: who patches a module does it for everybody.
            touched = changes.things | (changes.makers - classes) | given
            for name in statement.binds | (touched - imported - _BUILTINS):
                self._by_name[name].append(number)

    def for_names(self, names: Iterable[str]) -> set[int]:
        self._take(n for n, statement in enumerate(self._statements) if statement.is_always_wanted)
        self._need(names)
        self._add_calls_that_set()
        return self._chosen

    def _need(self, names: Iterable[str]) -> None:
        new = [name for name in names if name not in self._needed]
        self._needed.update(new)
        self._take(number for name in new for number in self._by_name.get(name, ()))

    def _take(self, numbers: Iterable[int]) -> None:
        wanted = [*numbers]
        while wanted:
            number = wanted.pop()
            if number not in self._chosen:
                self._chosen.add(number)
                new = self._statements[number].uses - self._needed
                self._needed |= new
                wanted += [more for name in new for more in self._by_name.get(name, ())]

    def _add_calls_that_set(self) -> None:
        """`fill()` after `def fill(): TABLE.append(1)`, unless the answer itself uses `fill`: then it is a try-out.

        A `TABLE` in which the answer counts its calls must not have counted that one.
        """
        setting = defaultdict[str, set[str]](set)  # by name, the functions that set it
        for statement in self._statements:
            for function in statement.changes.functions:
                if function.owner not in self._needed:
                    for name in function.sets:
                        setting[name].add(function.called)
        calling = defaultdict[str, list[int]](list)
        for number, statement in enumerate(self._statements):
            for called in {call.function for call in statement.changes.calls}:
                calling[called].append(number)
        looked_at: set[str] = set()
        while names := self._needed - looked_at:
            looked_at |= names
            for name in names:
                for called in setting.pop(name, set()):
                    self._take(calling.pop(called, []))

    def _changed_slots(self) -> set[tuple[str, Slot]]:
        """The parameters through which a function changes what it is given, by itself or by another function."""
        passed_on = defaultdict[tuple[str, Slot], list[tuple[str, Slot]]](list)
        wanted: list[tuple[str, Slot]] = []
        for function in [one for statement in self._statements for one in statement.changes.functions]:
            slots = {name: [(function.called, slot) for slot in slots] for name, slots in function.slots.items()}
            touched = function.changes.things | function.changes.makers
            wanted += [slot for name in touched & slots.keys() for slot in slots[name]]
            for call in function.changes.calls:
                for slot, name in call.arguments:
                    passed_on[call.function, slot] += slots.get(name, ())
        changed: set[tuple[str, Slot]] = set()
        while wanted:
            found = wanted.pop()
            if found not in changed:
                changed.add(found)
                wanted += passed_on.pop(found, [])
        return changed


@lru_cache(maxsize=128)
def _read_cell(cell: str) -> tuple[_Statement, ...] | str:
    """Its statements; or in words, why it cannot be read."""
    try:
        return _statements(cell)
    except SyntaxError as error:
        return f"line {error.lineno}, {(error.text or '').strip()[:200]!r}: {error.msg}"
    except Exception as error:  # too deep for the parser, too many magics, characters that are none
        return f"the one that begins with {cell.strip()[:60]!r}: {str(error) or type(error).__name__}"


def _statements(cell: str) -> tuple[_Statement, ...]:
    if len(cell) > LONGEST:
        raise ValueError(f"it has more than {LONGEST:,} characters")
    text = re.sub("\r\n?", "\n", cell)  # as Python does; no other character ends a line
    try:
        module = ast.parse(text)
    except SyntaxError:
        if len(text) > _LONGEST_WITH_MAGICS:
            raise
        text = _Transformer().transform_cell(text)  # type: ignore[no-untyped-call]
        module = ast.parse(text)  # magics and shell lines have become calls
    lines = text.encode().split(b"\n")  # bytes: so Python counts columns
    return tuple(_read(node, lines) for node in module.body)


def _read(node: ast.stmt, lines: list[bytes]) -> _Statement:
    names = names_in(node)
    # `list = [1, 2]` is a try-out; who writes a `def round(…)` means it.
    binds = names.binds if isinstance(node, _DEFINITIONS) else names.binds - _BUILTINS
    return _Statement(
        _text_of(node, lines),
        frozenset() if never_ends(node) else binds,
        names.uses,
        changes_in([node]),
        isinstance(node, ast.ClassDef),
        isinstance(node, ast.Import | ast.ImportFrom),
        isinstance(node, ast.ImportFrom) and node.module == "__future__",
        isinstance(node, ast.ImportFrom) and node.names[0].name == "*",
    )


class _Transformer(TransformerManager):
    def do_token_transforms(self, lines: list[str]) -> list[str]:
        """IPython's own goes on to 500, at up to a fifth of a second each."""
        for _ in range(_MAGICS + 1):
            changed, lines = self.do_one_token_transform(lines)  # type: ignore[no-untyped-call]
            if not changed:
                return lines
        raise ValueError(f"it has more than {_MAGICS} magics and shell lines")


def _text_of(node: ast.stmt, lines: list[bytes]) -> str:
    """`ast.get_source_segment` looks through the whole cell for each statement."""
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    assert node.end_lineno is not None
    first, begin = (decorators[0].lineno, 0) if decorators else (node.lineno, node.col_offset)
    cut = lines[first - 1 : node.end_lineno]
    cut[-1] = cut[-1][: node.end_col_offset]
    cut[0] = cut[0][begin:]
    return b"\n".join(cut).decode()
