"""Of all cells of a notebook, the statements that a test needs: the definitions it names, and all that these name.

What only *does* something (a loop that tries things out, a widget, a `while True`) is left out: it is no part of
the answer, and a grader has no use for it.
"""

from __future__ import annotations

import ast
import symtable
from collections.abc import Iterable
from dataclasses import dataclass

from IPython.core.inputtransformer2 import TransformerManager


@dataclass(frozen=True, slots=True)
class Answer:
    source: str
    unreadable: tuple[str, ...] = ()  # cells that are not Python: what the parser said


def answer_to(test: str, cells: Iterable[str]) -> Answer:
    """The part of `cells`, in their order, that the source text `test` needs to run."""
    statements: list[_Statement] = []
    unreadable = []
    for cell in cells:
        try:
            statements += _statements(cell)
        except SyntaxError as error:
            unreadable.append(f"line {error.lineno}, {(error.text or '').strip()!r}: {error.msg}")
    imported = {name for statement in statements if statement.is_import for name in statement.binds}
    table = symtable.symtable(test, "test", "exec")
    needed = _used(table) - _bound(table)
    chosen: set[int] = set()
    while more := [
        (number, statement)
        for number, statement in enumerate(statements)
        if number not in chosen and statement.matters_to(needed, imported)
    ]:
        for number, statement in more:
            chosen.add(number)
            needed |= statement.uses
    text = "\n\n".join(
        statement.text
        for number, statement in sorted(enumerate(statements), key=lambda item: (not item[1].is_future, item[0]))
        if number in chosen
    )
    return Answer(text, tuple(unreadable))


@dataclass(frozen=True, slots=True)
class _Statement:
    text: str
    binds: frozenset[str]
    uses: frozenset[str]
    changes: frozenset[str]  # `app` in `@app.get(...)`, `app.add_route(...)`, `app.title = ...`
    is_import: bool
    is_future: bool  # an import that must come first
    binds_all: bool  # from … import *

    def matters_to(self, needed: set[str], imported: set[str]) -> bool:
        """Changes of imported things do not: who patches a module patches it for everybody."""
        return self.is_future or self.binds_all or bool((self.binds | (self.changes - imported)) & needed)


def _statements(cell: str) -> list[_Statement]:
    text: str = TransformerManager().transform_cell(cell)  # type: ignore[no-untyped-call]
    return [_read(node, text) for node in ast.parse(text).body]  # magics and shell lines have become calls


def _read(node: ast.stmt, text: str) -> _Statement:
    source = ast.get_source_segment(text, node) or ""
    decorators = getattr(node, "decorator_list", [])
    if decorators:
        source = "\n".join(text.splitlines()[decorators[0].lineno - 1 : node.end_lineno])
    table = symtable.symtable(source, "cell", "exec")
    return _Statement(
        source,
        frozenset(_bound(table)),
        frozenset(_used(table)),
        frozenset(_changed(node, decorators)),
        isinstance(node, ast.Import | ast.ImportFrom),
        isinstance(node, ast.ImportFrom) and node.module == "__future__",
        isinstance(node, ast.ImportFrom) and node.names[0].name == "*",
    )


def _bound(table: symtable.SymbolTable) -> set[str]:
    return {
        symbol.get_name()
        for symbol in table.get_symbols()
        if symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()
    }


def _used(table: symtable.SymbolTable) -> set[str]:
    """The global names that this code mentions, at any depth."""
    names = {
        symbol.get_name()
        for symbol in table.get_symbols()
        if symbol.is_global() and (symbol.is_referenced() or table.get_type() == "function")
    }
    return names.union(*(_used(child) for child in table.get_children()))


def _changed(node: ast.stmt, decorators: list[ast.expr]) -> set[str]:
    if isinstance(node, ast.Assign):
        touched: list[ast.expr] = [t for t in node.targets if not isinstance(t, ast.Name)]
    elif isinstance(node, ast.AugAssign):
        touched = [node.target]
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Attribute):
        touched = [node.value.func]
    else:
        touched = decorators
    return {name for expression in touched if (name := _root(expression)) is not None}


def _root(expression: ast.expr) -> str | None:
    """`app` of `app.routes[0].get(...)`."""
    while isinstance(expression, ast.Attribute | ast.Subscript | ast.Call):
        expression = expression.func if isinstance(expression, ast.Call) else expression.value
    return expression.id if isinstance(expression, ast.Name) else None
