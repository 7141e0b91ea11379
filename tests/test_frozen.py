"""Records with a quick `__init__`: nobody can tell them from what `dataclass` makes."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Mapping
from dataclasses import FrozenInstanceError, dataclass, field, replace
from typing import Any

import pytest

from molt_magic.frozen import fast_init


@dataclass(frozen=True, slots=True)
class Slow:
    """As `dataclass` makes it."""

    name: str
    size: int = 3
    params: Mapping[str, Any] = field(default_factory=dict)


@fast_init
@dataclass(frozen=True, slots=True)
class Quick:
    """The same, made quickly."""

    name: str
    size: int = 3
    params: Mapping[str, Any] = field(default_factory=dict)


GIVEN: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    (("a",), {}),
    (("a", 4), {}),
    (("a", 4, {"x": 1}), {}),
    (("a",), {"params": {}}),
    ((), {"size": 0, "name": "b"}),
    (("a", None, None), {}),
]


@pytest.mark.parametrize(("values", "named"), GIVEN)
def test_it_holds_what_it_was_given(values: tuple[Any, ...], named: dict[str, Any]) -> None:
    slow, quick = Slow(*values, **named), Quick(*values, **named)
    assert (quick.name, quick.size, quick.params) == (slow.name, slow.size, slow.params)
    assert repr(quick) == repr(slow).replace("Slow", "Quick")
    assert type(quick) is Quick


def test_a_default_factory_makes_a_value_for_each() -> None:
    assert Quick("a").params is not Quick("a").params


@pytest.mark.parametrize(("values", "named"), [((), {}), (("a", 1, {}, 2), {}), (("a",), {"nope": 1}), (("a",), {"name": "b"})])
def test_wrong_arguments_are_refused_in_the_same_words(values: tuple[Any, ...], named: dict[str, Any]) -> None:
    with pytest.raises(TypeError) as slow:
        Slow(*values, **named)
    with pytest.raises(TypeError) as quick:
        Quick(*values, **named)
    assert str(quick.value) == str(slow.value).replace("Slow", "Quick")


def test_it_is_frozen() -> None:
    quick = Quick("a")
    with pytest.raises(FrozenInstanceError):
        quick.name = "b"  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        del quick.size  # type: ignore[misc]
    with pytest.raises((FrozenInstanceError, TypeError)):  # TypeError: of a class with slots, before Python 3.12
        quick.other = 1  # type: ignore[attr-defined]


def test_it_is_copied_pickled_replaced_and_compared() -> None:
    quick = Quick("a", 1, {"x": [1]})
    assert copy.copy(quick) == copy.deepcopy(quick) == pickle.loads(pickle.dumps(quick)) == quick
    assert replace(quick, size=2) == Quick("a", 2, {"x": [1]}) != quick
    assert hash(Quick("a", 1, ())) == hash(Quick("a", 1, ()))  # type: ignore[arg-type]


def test_its_signature_is_that_of_dataclass() -> None:
    found, wanted = inspect.signature(Quick).parameters, inspect.signature(Slow).parameters
    assert list(found) == list(wanted)
    assert [found[name].annotation for name in found] == [wanted[name].annotation for name in wanted]
    assert found["size"].default == 3
    assert found["name"].default is inspect.Parameter.empty
