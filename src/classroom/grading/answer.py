"""Of all cells of a notebook, the statements that a test needs: the definitions it names, and all that these name.

What only *does* something (a loop that tries things out, a widget, a `while True`) is left out: it is no part of
the answer, and a grader has no use for it.
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
    imported = {name for statement in statements if statement.is_import for name in statement.binds}
    names = names_in(ast.parse(test))
    # A test's `list` is Python's, and its `seen` the grader's, whatever a try-out of that name holds.
    needed = names.uses - names.binds - _BUILTINS - set(tools.__all__)
    by_name = defaultdict[str, list[int]](list)
    for number, statement in enumerate(statements):
        for name in statement.matters_to(imported):
            by_name[name].append(number)
    wanted = [number for number, statement in enumerate(statements) if statement.is_always_wanted]
    wanted += [number for name in needed for number in by_name.pop(name, [])]
    chosen: set[int] = set()
    while wanted:
        number = wanted.pop()
        if number not in chosen:
            chosen.add(number)
            wanted += [more for name in statements[number].uses for more in by_name.pop(name, [])]
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
    changes: frozenset[str]  # `app` in `@app.get(...)`, `app.add_route(...)`, `app.title = ...`
    is_import: bool
    is_future: bool  # an import that must come first
    binds_all: bool  # from … import *

    def matters_to(self, imported: set[str]) -> frozenset[str]:
        """The names whose users need it; not those of imported things: who patches a module does it for everybody."""
        return self.binds | (self.changes - imported)

    @property
    def is_always_wanted(self) -> bool:
        return self.is_future or self.binds_all


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
    decorators = getattr(node, "decorator_list", [])
    source = _text_of(node, decorators, lines)
    names = names_in(node)
    # `list = [1, 2]` is a try-out; who writes a `def round(…)` means it.
    binds = names.binds if isinstance(node, _DEFINITIONS) else names.binds - _BUILTINS
    return _Statement(
        source,
        binds,
        names.uses,
        frozenset(_changed(node, decorators) - _BUILTINS),
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


def _text_of(node: ast.stmt, decorators: list[ast.expr], lines: list[bytes]) -> str:
    """`ast.get_source_segment` looks through the whole cell for each statement."""
    assert node.end_lineno is not None
    first, begin = (decorators[0].lineno, 0) if decorators else (node.lineno, node.col_offset)
    cut = lines[first - 1 : node.end_lineno]
    cut[-1] = cut[-1][: node.end_col_offset]
    cut[0] = cut[0][begin:]
    return b"\n".join(cut).decode()


def _changed(node: ast.stmt, decorators: list[ast.expr]) -> set[str]:
    if isinstance(node, ast.Assign):
        touched: list[ast.expr] = [t for t in node.targets if not isinstance(t, ast.Name)]
    elif isinstance(node, ast.AugAssign):
        touched = [node.target]
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Attribute):
        touched = [] if _is_of_a_new_thing(node.value.func) else [node.value.func]
    else:
        touched = decorators
    return {name for expression in touched if (name := _root(expression)) is not None}


def _root(expression: ast.expr) -> str | None:
    """`app` of `app.routes[0].get(...)`."""
    while isinstance(expression, ast.Attribute | ast.Subscript | ast.Call):
        expression = expression.func if isinstance(expression, ast.Call) else expression.value
    return expression.id if isinstance(expression, ast.Name) else None


def _is_of_a_new_thing(expression: ast.expr) -> bool:
    """`Signal().cancel` is: what is done to it changes no `Signal`."""
    while isinstance(expression, ast.Attribute | ast.Subscript):
        expression = expression.value
    return isinstance(expression, ast.Call)
