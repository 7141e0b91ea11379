"""What of the user's tests is to be run, read off their source: text that tests nothing must not pass for tests."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from molt_magic.errors import ConfigError

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Definition = _Function | ast.ClassDef
_ASSERT = "Write assert ..., by itself or in a function test_*, e.g. assert median([1, 2]) == 1.5."


@dataclass(frozen=True, slots=True)
class Plan:
    """Source to run, then functions to call, then classes of unittest to run."""

    source: str
    functions: tuple[str, ...] = ()
    cases: tuple[str, ...] = ()


def planned(what: str, source: str, call: str = "") -> Plan:
    """What to run of tests that parse: `call` where it is named, else the functions test_* and the classes of unittest.

    Raises:
        ConfigError: nothing would be tested, or a test would not be run; it begins with `what`.
    """
    body = ast.parse(source).body
    defined = {node.name: node for node in body if isinstance(node, _Definition)}
    used = _used(body, defined, [call] if call else [])
    if not call:
        functions = tuple(name for name in defined if name not in used and _is_test(what, defined[name]))
        cases = _cases(defined)
        _refuse_idle_classes(what, defined, _used(body, defined, [*functions, *cases]))
        if functions or cases:
            return Plan(source, functions, cases)
    if not any(_fails(node) for node in _running(body, defined, used)):
        raise ConfigError(f"{what}: nothing is tested.", fix=_ASSERT)
    return Plan(source, (call,) if call else ())


def _is_test(what: str, node: ast.stmt) -> bool:
    """Whether a function is a test that pytest would call; ConfigError where it cannot be called without more."""
    if not isinstance(node, _Function) or not (node.name == "test" or node.name.startswith("test_")):
        return False
    wanted = node.args.posonlyargs + node.args.args
    missing = len(wanted) - len(node.args.defaults) + sum(default is None for default in node.args.kw_defaults)
    if missing:
        raise ConfigError(f"{what}: {node.name} takes arguments.", fix=f"Write its values into {node.name}, or call it.")
    if isinstance(node, ast.AsyncFunctionDef):
        raise ConfigError(f"{what}: {node.name} is a coroutine.", fix="Write a plain function with asyncio.run in it.")
    return True


def _cases(defined: Mapping[str, _Definition]) -> tuple[str, ...]:
    """The classes with tests that come from unittest's TestCase."""
    known: list[str] = []
    for name, node in defined.items():
        bases = [ast.unparse(base) for base in node.bases] if isinstance(node, ast.ClassDef) else []
        if any(base in known or base.endswith("TestCase") for base in bases):
            known.append(name)
    return tuple(name for name in known if _has_tests(defined[name]))


def _refuse_idle_classes(what: str, defined: Mapping[str, _Definition], running: set[str]) -> None:
    for name, node in defined.items():
        if name.startswith("Test") and name not in running and _has_tests(node):
            raise ConfigError(f"{what}: the class {name} is not run.", fix="Write functions, or derive from unittest.TestCase.")


def _has_tests(node: ast.stmt) -> bool:
    return isinstance(node, ast.ClassDef) and any(isinstance(n, _Function) and n.name.startswith("test") for n in node.body)


def _used(body: Sequence[ast.stmt], defined: Mapping[str, _Definition], roots: Sequence[str]) -> set[str]:
    """The names of definitions that running the source, or the roots, comes to."""
    used = set(roots)
    while True:
        running = _running(body, defined, used)
        more = {node.id for node in running if isinstance(node, ast.Name)} & set(defined)
        if more <= used:
            return used
        used |= more


def _running(body: Sequence[ast.stmt], defined: Mapping[str, _Definition], used: set[str]) -> Iterator[ast.AST]:
    """The nodes that are run: those of definitions only where these are used, none under `if __name__ == ...`."""
    for node in body:
        if isinstance(node, ast.If) and any(isinstance(n, ast.Name) and n.id == "__name__" for n in ast.walk(node.test)):
            continue
        if not isinstance(node, _Definition) or (node.name in used and defined[node.name] is node):
            yield from ast.walk(node)


def _fails(node: ast.AST) -> bool:
    """Whether a node may find something wrong: assert, raise, or a call such as numpy.testing.assert_allclose."""
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        return "assert" in name.lower() or name == "raises"
    return isinstance(node, ast.Assert | ast.Raise)
