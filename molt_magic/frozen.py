"""Frozen dataclasses that are made as quickly as others."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any, TypeVar

T = TypeVar("T")

_UNSET: Any = object()


def fast_init(cls: type[T]) -> type[T]:
    """Give a frozen dataclass with slots an `__init__` that takes a quarter of the time, and is the same to who calls it.

    That of `dataclass` calls `object.__setattr__` for every field. This one turns the new object into one of a class with the
    same slots that is not frozen, assigns, and turns it back. It knows no `__post_init__`, no fields that are for the keyword
    only or not for `__init__`, and no subclasses.
    """
    known: Any = fields(cls)  # type: ignore[arg-type]  # `dataclass` has decorated it before
    made = {field.name: field.default_factory for field in known if field.default_factory is not MISSING}
    lines = [
        f"def __init__(self, {', '.join(field.name for field in known)}):",
        "    _set(self, '__class__', _open)",
        *(f"    if {name} is _unset: {name} = _make_{name}()" for name in made),
        *(f"    self.{field.name} = {field.name}" for field in known),
        "    self.__class__ = _frozen",
    ]
    scope = {
        "_set": object.__setattr__,
        "_open": type(cls.__name__, (), {"__slots__": tuple([field.name for field in known])}),
        "_frozen": cls,
        "_unset": _UNSET,
        **{f"_make_{name}": factory for name, factory in made.items()},
    }
    exec("\n".join(lines), scope)  # noqa: S102  # of the names of fields, as `dataclass` does
    init: Any = scope["__init__"]
    usual: Any = cls.__init__
    defaults = [_UNSET if field.name in made else field.default for field in known]
    init.__defaults__ = tuple([default for default in defaults if default is not MISSING])
    init.__annotations__, init.__qualname__, init.__module__ = usual.__annotations__, usual.__qualname__, cls.__module__
    cls.__init__ = init  # type: ignore[method-assign]
    return cls
