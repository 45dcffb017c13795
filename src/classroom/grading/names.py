"""The names that a piece of code binds at its top level, and the global names that it mentions, at any depth.

They are read from the syntax tree, by Python's rules of scope, and no code is run. Python's own `symtable` does not
answer alike on all Pythons. Since 3.14 it refuses a top-level `await`, which notebooks are full of. Since 3.12 it lists
the variable of a comprehension among the names of the module, because such comprehensions are compiled in place
(https://docs.python.org/3/whatsnew/3.12.html#pep-709-comprehension-inlining).
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

_Kind = Literal["module", "class", "function", "comprehension"]
_TYPE_ALIAS: Any = getattr(ast, "TypeAlias", ())  # since Python 3.12


@dataclass(frozen=True, slots=True)
class Names:
    binds: frozenset[str]  # at the top level
    uses: frozenset[str]


def names_in(tree: ast.AST) -> Names:
    """The names in a module, or in one of its statements."""
    reader = _Reader()
    reader.read(tree)
    return reader.names()


@dataclass(slots=True)
class _Scope:
    kind: _Kind
    outer: _Scope | None = None
    private: str = ""  # the name of the class around it, without the underscores that it begins with
    binds: set[str] = field(default_factory=set)
    uses: set[str] = field(default_factory=set)
    from_inside: set[str] = field(default_factory=set)  # what the scopes in it use and do not bind
    declared_global: set[str] = field(default_factory=set)
    declared_nonlocal: set[str] = field(default_factory=set)

    def name(self, name: str) -> str:
        """`__h` is `_Oven__h` in a class `Oven`: https://docs.python.org/3/reference/expressions.html#private-name-mangling"""
        is_private = self.private and name.startswith("__") and not name.endswith("__") and "." not in name
        return f"_{self.private}{name}" if is_private else name

    def free(self) -> set[str]:
        """The names that it takes from the scopes around it. A method does not see the names of its class."""
        binds = self.binds - self.declared_nonlocal
        if self.kind == "class":
            return (self.uses - binds) | self.from_inside | self.declared_nonlocal
        return (self.uses | self.from_inside | self.declared_nonlocal) - binds


class _Reader:
    """Walks the tree with a list of what is left to read, not by recursion, because a long sum is a deep tree."""

    def __init__(self) -> None:
        self._module = _Scope("module")
        self._inner: list[_Scope] = []  # each after the one around it
        self._todo: list[tuple[ast.AST, _Scope]] = []

    def read(self, tree: ast.AST) -> None:
        self._todo.append((tree, self._module))
        while self._todo:
            self._read(*self._todo.pop())

    def names(self) -> Names:
        declared: set[str] = set()
        for scope in reversed(self._inner):
            assert scope.outer is not None
            declared |= scope.declared_global
            scope.outer.from_inside |= scope.free() - scope.declared_global
        module = self._module
        return Names(frozenset(module.binds), frozenset(module.uses | module.from_inside | declared))

    def _read(self, node: ast.AST, scope: _Scope) -> None:
        match node:
            case ast.Name(id=name, ctx=context):
                (scope.uses if isinstance(context, ast.Load) else scope.binds).add(scope.name(name))
            case ast.NamedExpr(target=target, value=value):
                self._later([value], scope)
                while scope.kind == "comprehension" and scope.outer is not None:
                    scope = scope.outer  # `:=` in a comprehension binds outside of it
                scope.binds.add(scope.name(target.id))
            case ast.AugAssign(target=ast.Name(id=name)):
                scope.uses.add(scope.name(name))
                self._later(ast.iter_child_nodes(node), scope)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                scope.binds.add(scope.name(node.name))
                self._later(node.decorator_list, scope)
                around = self._with_type_parameters(node, scope)
                self._function(node.args, node.body, around)
                self._later([node.returns] if node.returns else [], around)
            case ast.Lambda(args=arguments, body=body):
                self._function(arguments, [body], scope)
            case ast.ClassDef():
                scope.binds.add(scope.name(node.name))
                self._later(node.decorator_list, scope)
                around = self._with_type_parameters(node, scope)
                self._later([*node.bases, *node.keywords], around)
                self._later(node.body, self._new("class", around, node.name.lstrip("_")))
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                first, *_ = node.generators
                inside = self._new("comprehension", scope)
                self._later([first.iter], scope)  # in `[x for x in x]` the last one is the outer one
                for part in ast.iter_child_nodes(node):
                    is_first = part is first
                    self._later([first.target, *first.ifs] if is_first else [part], inside)
            case ast.Import() | ast.ImportFrom():
                imported = {alias.asname or alias.name.partition(".")[0] for alias in node.names}
                scope.binds |= {scope.name(name) for name in imported - {"*"}}
            case ast.Global():
                scope.declared_global |= set(map(scope.name, node.names))
            case ast.Nonlocal():
                scope.declared_nonlocal |= set(map(scope.name, node.names))
            case _ if isinstance(node, _TYPE_ALIAS):
                around = self._with_type_parameters(node, scope)
                self._later([node.name], scope)
                self._later([node.value], around)
            case _:
                if text := _bound_as_text(node):
                    scope.binds.add(scope.name(text))
                self._later(ast.iter_child_nodes(node), scope)

    def _function(self, arguments: ast.arguments, body: Iterable[ast.AST], around: _Scope) -> None:
        inside = self._new("function", around)
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
        for argument in filter(None, every):
            inside.binds.add(inside.name(argument.arg))
            self._later([argument.annotation] if argument.annotation else [], around)
        self._later([*arguments.defaults, *filter(None, arguments.kw_defaults)], around)
        self._later(body, inside)

    def _with_type_parameters(self, node: ast.AST, scope: _Scope) -> _Scope:
        """`def f[T](…)`: T is seen in its annotations and its body, and nowhere else."""
        parameters: list[ast.AST] = getattr(node, "type_params", [])
        if not parameters:
            return scope
        inside = self._new("function", scope)
        self._later(parameters, inside)
        return inside

    def _new(self, kind: _Kind, outer: _Scope, private: str | None = None) -> _Scope:
        scope = _Scope(kind, outer, outer.private if private is None else private)
        self._inner.append(scope)
        return scope

    def _later(self, nodes: Iterable[ast.AST], scope: _Scope) -> None:
        self._todo += [(node, scope) for node in nodes]


def _bound_as_text(node: ast.AST) -> str | None:
    """The name in `except … as name`, in a pattern of `case`, or of a type parameter: the tree holds it as text."""
    if isinstance(node, ast.MatchMapping):
        return node.rest
    if isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
        return node.name
    is_type_parameter = type(node).__name__ in ("TypeVar", "ParamSpec", "TypeVarTuple")
    name: str | None = getattr(node, "name", None) if is_type_parameter else None
    return name
