"""Fills `{{name}}`, `{{name.attr}}`, `{{name[0]}}`, `{{name["key"]}}`, `{{In[3]}}` in a prompt: one pass, no code."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Mapping
from typing import Any

from molt_magic.errors import InputError, UnknownName

ROWS = 60  # of a frame or series that are written into a prompt

_NAME = r"[^\W\d]\w*"
_INDEX = r"\[\s*(?:-?\d+|\"[^\"\n]*\"|'[^'\n]*')\s*\]"
_PATH = rf"{_NAME}(?:\s*\.\s*{_NAME}|\s*{_INDEX})*"
_FIELD = re.compile(rf"\{{\{{\s*(?P<path>{_PATH})\s*\}}\}}|\{{\{{(?P<other>[^{{}}\n]*)\}}\}}")
_STEP = re.compile(rf"\.\s*(?P<attribute>{_NAME})|\[\s*(?:(?P<number>-?\d+)|(?P<quote>[\"'])(?P<key>.*?)(?P=quote))\s*\]")


def fill(text: str, namespace: Mapping[str, Any]) -> str:
    """`text` with every field replaced by its value. What is put in is not looked at again.

    Single braces, `$` and `<<` are plain text. A frame or series is written as a table of at most `ROWS` rows, and says so.

    Raises:
        UnknownName: an undefined name, attribute or key; the fix names the nearest.
        InputError: a field that is more than names, attributes and indexes, or a value that is no text.
    """
    return _FIELD.sub(lambda match: _text_of(match, namespace), text)


def used(text: str) -> set[str]:
    """The names that the fields of `text` begin with."""
    return {m.group(0) for field in _FIELD.finditer(text) if field["path"] and (m := re.match(_NAME, field["path"]))}


def whole(text: str) -> set[str]:
    """Those of them that a field names with nothing of theirs behind it."""
    return {field["path"] for field in _FIELD.finditer(text) if field["path"] and re.fullmatch(_NAME, field["path"])}


def lookup(path: str, namespace: Mapping[str, Any]) -> Any:
    """The object that `name.attr[0]["key"]` leads to. Raises UnknownName or InputError."""
    if not re.fullmatch(_PATH, path):
        raise InputError(f"{path!r} is not a name.", fix='Write a name, with .attribute, [0] or ["key"] where needed.')
    head = re.match(_NAME, path)
    assert head is not None  # _PATH begins with a name
    value = _variable(head.group(), namespace)
    walked = head.group()
    for step in _STEP.finditer(path, head.end()):
        value = _attribute(value, step["attribute"], walked) if step["attribute"] else _item(value, step, walked)
        walked += re.sub(r"\s", "", step.group()) if not step["key"] else step.group().strip()
    return value


def _text_of(match: re.Match[str], namespace: Mapping[str, Any]) -> str:
    path = match["path"]
    if path is None:
        raise InputError(
            f"{match.group()} is not a name, attribute or index.",
            fix="Compute it in a cell and name the result; --raw sends braces as they are.",
        )
    return _written(lookup(path, namespace), path)


# names that IPython puts into every notebook; nobody means one of them by a mistyped variable
THE_SHELLS_OWN = frozenset({"exit", "get_ipython", "open", "quit"})


def _variable(name: str, namespace: Mapping[str, Any]) -> Any:
    if name in namespace:
        return namespace[name]
    error = UnknownName("name", name, [n for n in namespace if not n.startswith("_") and n not in THE_SHELLS_OWN])
    if error.fix.startswith("Known:"):  # a notebook has many names: listing them all helps nobody
        error.fix = "Define it in a cell first; --raw sends braces as they are."
    raise error


def _attribute(value: Any, name: str, walked: str) -> Any:
    if name.startswith("__"):
        raise InputError(
            f"{{{{{walked}.{name}}}}} reaches into Python's internals.", fix="Compute it in a cell and name the result."
        )
    try:
        return getattr(value, name)
    except AttributeError:
        known = [n for n in dir(value) if not n.startswith("_")]
        error = UnknownName("attribute", f"{walked}.{name}", ())
        close = UnknownName("attribute", name, known).fix
        error.fix = close if close.startswith("Did") else f"It is a {type(value).__name__}."
        raise error from None
    except Exception as error:  # a property may raise anything
        raise _unusable(f"{walked}.{name}", error) from error


def _item(value: Any, step: re.Match[str], walked: str) -> Any:
    key = int(step["number"]) if step["number"] else step["key"]
    try:
        return value[key]
    except (KeyError, IndexError, TypeError):
        pass
    except Exception as error:
        raise _unusable(f"{walked}[{key!r}]", error) from error
    if isinstance(key, str) and isinstance(value, Mapping):
        raise UnknownName(f"key of {walked}", key, [str(k) for k in list(value)[:50]])
    size = f" with {len(value)} items" if hasattr(value, "__len__") else ""
    raise InputError(f"{{{{{walked}[{key!r}]}}}} does not exist.", fix=f"{walked} is a {type(value).__name__}{size}.")


def _written(value: Any, path: str) -> str:
    """A value as text for a model."""
    if isinstance(value, str):
        return value
    if inspect.isroutine(value) or inspect.isclass(value) or inspect.ismodule(value):
        raise InputError(
            f"{{{{{path}}}}} is a {type(value).__name__}, not a value.", fix="Call it in a cell and name the result."
        )
    result = sys.modules.get("molt_magic.result")
    if result is not None and isinstance(value, result.Result):
        if not value.ok:
            raise InputError(f"{{{{{path}}}}} is a result without a whole answer.", fix="Run its cell again first.")
        return str(value.text)
    pandas = sys.modules.get("pandas")  # a frame exists only where pandas does
    if pandas is not None and isinstance(value, (pandas.DataFrame, pandas.Series)):
        shown = str(value.head(ROWS).to_string())
        return shown if len(value) <= ROWS else f"{shown}\n(the first {ROWS} of {len(value)} rows)"
    try:
        return str(value)
    except Exception as error:
        raise _unusable(path, error) from error


def _unusable(path: str, error: Exception) -> InputError:
    """Of a value that cannot be had, or has no text."""
    said = (str(error).splitlines() or [""])[0]
    story = f"{{{{{path}}}}} cannot be written: {type(error).__name__}{f': {said}' if said else ''}."
    return InputError(story, fix="Make its text in a cell and name that.")
