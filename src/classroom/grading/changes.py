"""What a piece of code may change when it runs, apart from the names that it binds: `app` in `app.title = …`.

It is read from the syntax tree, and no code is run. When in doubt, a method changes its object. These only look: the
words of a `print`, an `assert`, the condition of an `if` or a `while`, and what a `for` goes through. Nothing comes of
a loop that never ends, and nothing of `asyncio.run`, which has no place where a loop runs already.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from classroom.grading.names import names_in

_BUILTINS = frozenset(dir(builtins))
_LOOKS = frozenset({"print", "pprint", "display", "run", "run_until_complete"})
_VIEWS = frozenset({"vars", "getattr"})  # `vars(app)["x"] = 1` changes `app`
_CHANGES_ITS_FIRST = frozenset({
    "setattr", "delattr", "setitem", "delitem", "next", "anext", "shuffle", "insort", "insort_left", "insort_right",
    "heapify", "heappush", "heappop", "heappushpop", "heapreplace",
})  # fmt: skip

Slot = int | str  # a parameter, by position or by keyword


@dataclass(frozen=True, slots=True)
class Call:
    function: str  # `fill` in `fill(table)`, and `.fill` in `app.fill(table)`, whose object is the first argument
    arguments: tuple[tuple[Slot, str], ...]  # those that are names, or parts of what a name stands for


@dataclass(frozen=True, slots=True)
class Function:
    """A function, as its callers see it: what it does to its arguments, and to things that it knows by name."""

    called: str  # as in `Call`; `App` for the `__init__` of a class `App`
    owner: str  # the name at the top level that it belongs to
    slots: Mapping[str, tuple[Slot, ...]]  # by parameter
    changes: Changes
    sets: frozenset[str]  # names at the top level that it binds, or whose things it changes


@dataclass(slots=True)
class Changes:
    things: set[str] = field(default_factory=set)
    makers: set[str] = field(default_factory=set)  # `App` in `app = App.make()`: a class may just have made a thing
    calls: list[Call] = field(default_factory=list)
    functions: list[Function] = field(default_factory=list)  # that it defines


def changes_in(nodes: Iterable[ast.AST]) -> Changes:
    reader = _Reader()
    reader.read(nodes)
    return reader.found


def never_ends(node: ast.AST) -> bool:
    """`while True:` without a way out."""
    if not (isinstance(node, ast.While) and isinstance(node.test, ast.Constant) and node.test.value):
        return False
    return not any(isinstance(part, ast.Break | ast.Return) for part in ast.walk(node))


class _Reader:
    """As in `names`: with a list of what is left to read, not by recursion."""

    def __init__(self) -> None:
        self.found = Changes()
        # Each with the class around it, and whether its value is kept.
        self._todo: list[tuple[ast.AST, str, bool]] = []

    def read(self, nodes: Iterable[ast.AST]) -> None:
        self._later(nodes)
        while self._todo:
            self._read(*self._todo.pop())

    def _read(self, node: ast.AST, around: str, kept: bool) -> None:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self._touch(*node.decorator_list)
                self._later(node.decorator_list, kept=True)
                self.found.functions += _functions(node, around)
            case ast.ClassDef():
                self._touch(*node.decorator_list)
                self._later([*node.decorator_list, *node.bases, *node.keywords], kept=True)
                self._later(node.body, node.name)
            case ast.Lambda() | ast.Assert():
                pass
            case ast.If() | ast.While():
                self._later([] if never_ends(node) else [*node.body, *node.orelse], around)
            case ast.For() | ast.AsyncFor():
                self._later([node.target, *node.body, *node.orelse], around)
            case ast.With() | ast.AsyncWith():
                self._later([item.optional_vars for item in node.items if item.optional_vars], around)
                self._later(node.body, around)
            case ast.Match():
                self._later([statement for case in node.cases for statement in case.body], around)
            case ast.DictComp():
                self._later([node.key, node.value], kept=kept)
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp():
                self._later([node.elt], kept=kept)
            case ast.Assign() | ast.AnnAssign() | ast.NamedExpr() | ast.Return():
                self._later(ast.iter_child_nodes(node), kept=True)
            case ast.AugAssign():
                self._touch(node.target)
                self._later([node.value], kept=True)
            case ast.Call():
                self._call(node, kept)
            case ast.Attribute() | ast.Subscript() if not isinstance(node.ctx, ast.Load):
                self._touch(node)
            case _:
                self._later(ast.iter_child_nodes(node), around, kept)

    def _call(self, node: ast.Call, kept: bool) -> None:
        function, arguments = node.func, node.args
        is_method = isinstance(function, ast.Attribute)
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        self._later([function], kept=True)
        if name in _LOOKS:
            return
        if is_method and not _is_of_a_new_thing(function):
            root = _root(function)
            if root in _BUILTINS:  # list.append(table, 1)
                self._touch(*arguments[:1])
            else:
                self._touch(function, kept=kept)
        is_mapped = name == "map" and arguments and isinstance(arguments[0], ast.Attribute)
        if name in _CHANGES_ITS_FIRST or is_mapped:
            self._touch(*arguments[:1])
        given = [function.value, *arguments] if isinstance(function, ast.Attribute) else arguments
        slots: list[tuple[Slot, ast.expr]] = [*enumerate(given)]
        slots += [(keyword.arg, keyword.value) for keyword in node.keywords if keyword.arg]
        named = tuple(
            (slot, root)
            for slot, value in slots
            if not _is_of_a_new_thing(value) and (root := _root(value)) is not None
        )
        self.found.calls.append(Call(f".{name}" if is_method else name, named))
        self._later([*arguments, *node.keywords], kept=True)

    def _touch(self, *expressions: ast.expr, kept: bool = False) -> None:
        names = self.found.makers if kept else self.found.things
        names.update(name for expression in expressions if (name := _root(expression)) is not None)

    def _later(self, nodes: Iterable[ast.AST], around: str = "", kept: bool = False) -> None:
        self._todo += [(node, around, kept) for node in nodes]


def _functions(node: ast.FunctionDef | ast.AsyncFunctionDef, around: str) -> list[Function]:
    """Two for an `__init__`, which also runs where its class is called."""
    arguments = node.args
    positional = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
    keywords = {argument.arg for argument in (*arguments.args, *arguments.kwonlyargs)}
    if around and any(isinstance(one, ast.Name) and one.id == "staticmethod" for one in node.decorator_list):
        positional.insert(0, "")
    changes = changes_in(node.body)
    declared = {name for part in ast.walk(node) if isinstance(part, ast.Global) for name in part.names}
    sets = frozenset((changes.things & names_in(node).uses) - set(positional) - keywords | declared)

    def called(name: str, positional: list[str]) -> Function:
        slots: dict[str, tuple[Slot, ...]] = {name: (name,) for name in keywords}
        for position, parameter in enumerate(positional):
            slots[parameter] = (position, *slots.get(parameter, ()))
        return Function(name, around or node.name, slots, changes, sets)

    if not around:
        return [called(node.name, positional)]
    own = [called(f".{node.name}", positional)]
    return [*own, called(around, positional[1:])] if node.name == "__init__" else own


def _root(expression: ast.expr) -> str | None:
    """`app` of `app.routes[0].get(...)`."""
    while True:
        match expression:
            case ast.Call(func=ast.Name(id=name), args=[first, *_]) if name in _VIEWS:
                expression = first
            case ast.Call(func=inner) | ast.Attribute(value=inner) | ast.Subscript(value=inner):
                expression = inner
            case ast.Starred(value=inner) | ast.Await(value=inner):
                expression = inner
            case ast.Name(id=name):
                return name
            case _:
                return None


def _is_of_a_new_thing(expression: ast.expr) -> bool:
    """`Signal().cancel` is: what is done to it changes no `Signal`."""
    while isinstance(expression, ast.Attribute | ast.Subscript):
        expression = expression.value
    return isinstance(expression, ast.Call) and getattr(expression.func, "id", "") not in _VIEWS
