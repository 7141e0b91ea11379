"""What stands in an answer's text: fenced blocks, JSON, Python."""

from __future__ import annotations

import ast
import json
import re
import warnings
from typing import Any

# A fence opens at the start of a line; one that is never closed (a cut-off answer) runs to the end.
_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})[ \t]*([\w+#.-]*)[^\n]*\n(.*?)(?:^[ \t]*\1[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)
PYTHON_NAMES = ("python", "py", "python3")


def blocks(text: str) -> list[tuple[str, str]]:
    """The fenced blocks of a Markdown text as (language in lower case, content)."""
    return [(match[2].lower(), match[3]) for match in _FENCE.finditer(text)]


def json_text(text: str) -> str:
    """The JSON of an answer: the first block fenced as JSON, else the only block that names no language, else all of it."""
    found = blocks(text)
    named = [content for language, content in found if language in ("json", "jsonc")]
    if named:
        return named[0].strip()
    if len(found) == 1 and not found[0][0]:
        return found[0][1].strip()
    return text.strip()


def parse_json(text: str) -> Any:
    """The JSON value of an answer; ValueError says where it breaks. NaN and Infinity are not JSON."""

    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is not JSON")

    return json.loads(json_text(text), parse_constant=refuse)


def python_code(text: str) -> str:
    """The Python of an answer: its Python blocks joined, else its blocks without a language, else all of it.

    Raises:
        ValueError: no code: no block of it, and the text is not a program.
        SyntaxError: it does not parse.
    """
    found = blocks(text)
    code = [content for language, content in found if language in PYTHON_NAMES]
    code = code or [content for language, content in found if not language]
    if not code and found:
        raise ValueError("no Python block")
    source = "\n\n".join(code) if code else text
    tree = _parse(source)
    if not code and not any(_does_something(node) for node in tree.body):
        # a word such as "Yes" parses, and is no program
        raise ValueError("no Python code")
    return source


def _parse(source: str) -> ast.Module:
    with warnings.catch_warnings():
        # the model's invalid escape sequences are no concern of the user's warnings
        warnings.simplefilter("ignore")
        return ast.parse(source)


def _does_something(node: ast.stmt) -> bool:
    if not isinstance(node, ast.Expr):
        return True
    return any(isinstance(inner, (ast.Call, ast.Lambda, ast.ListComp, ast.BinOp, ast.Await)) for inner in ast.walk(node))
