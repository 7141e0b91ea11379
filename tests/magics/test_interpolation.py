"""`{{}}`: one pass, access only, no code."""

from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from molt_magic.errors import InputError, UnknownName
from molt_magic.magics.interpolation import ROWS, fill
from tests.views.samples import result

NAMES = {
    "name": "Ada",
    "n": 3,
    "d": {"k": "v", 1: "one"},
    "items": ["a", "b"],
    "obj": SimpleNamespace(attr=SimpleNamespace(deep=["x", "y"])),
    "In": ["", "1 + 1"],
    "Out": {1: 2},
    "tricky": "{{name}}",
    "f": len,
}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("Hi {{name}}!", "Hi Ada!"),
        ("{{ name }} {{n}}", "Ada 3"),
        ("{{obj.attr.deep[1]}}", "y"),
        ("{{items[-1]}}", "b"),
        ("{{d['k']}} {{d[\"k\"]}} {{d[1]}}", "v v one"),
        ("{{In[1]}} = {{Out[1]}}", "1 + 1 = 2"),
        ("{name} ${name} $name << {", "{name} ${name} $name << {"),
        ("{{{name}}}", "{Ada}"),
        ("{{tricky}}", "{{name}}"),
        ('{"a": {"b": 1}}', '{"a": {"b": 1}}'),
        ("a {{\nname}} b", "a Ada b"),
    ],
)
def test_fields_are_replaced_and_everything_else_stays(text: str, filled: str) -> None:
    assert fill(text, NAMES) == filled


@given(st.text(alphabet=st.characters(blacklist_characters="{")))
def test_text_without_an_opening_brace_is_untouched(text: str) -> None:
    assert fill(text, {}) == text


@given(st.text())
def test_value_is_put_in_as_it_is_and_never_looked_at_again(value: str) -> None:
    assert fill("<{{x}}>", {"x": value}) == f"<{value}>"


@pytest.mark.parametrize(
    "field",
    ["{{a + b}}", "{{f(name)}}", "{{name!r}}", "{{d[name]}}", "{{items[0:1]}}", "{{}}", "{{ 1 }}", "{{__import__('os')}}"],
)
def test_code_is_refused_and_named(field: str) -> None:
    with pytest.raises(InputError) as caught:
        fill(f"x {field} y", NAMES)
    assert field in caught.value.message


@pytest.mark.parametrize("field", ["{{name.__class__}}", "{{obj.__dict__}}", "{{f.__globals__}}"])
def test_python_s_internals_are_out_of_reach(field: str) -> None:
    with pytest.raises(InputError, match="internals"):
        fill(field, NAMES)


@pytest.mark.parametrize(
    ("field", "says"),
    [
        ("{{naem}}", "Did you mean 'name'?"),
        ("{{zzzzzzzz}}", "Define it in a cell first"),
        ("{{obj.atr}}", "Did you mean 'attr'?"),
        ("{{d['kk']}}", "Did you mean 'k'?"),
    ],
)
def test_unknown_names_say_the_nearest_or_what_to_do(field: str, says: str) -> None:
    with pytest.raises(UnknownName) as caught:
        fill(field, NAMES)
    assert says in caught.value.fix


def test_the_shells_own_names_are_not_proposed() -> None:
    with pytest.raises(UnknownName) as caught:
        fill("{{nope}}", {"open": open, "quit": None})
    assert "open" not in caught.value.fix


@pytest.mark.parametrize(
    ("field", "says"),
    [("{{items[9]}}", "items is a list with 2 items"), ("{{n[0]}}", "n is a int"), ("{{Out[7]}}", "Out is a dict")],
)
def test_missing_item_says_what_there_is(field: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        fill(field, NAMES)
    assert says in caught.value.fix


def test_function_is_no_value() -> None:
    with pytest.raises(InputError, match="Call it in a cell"):
        fill("{{f}}", NAMES)


class Odd:
    def __str__(self) -> str:
        raise KeyError("none")

    def __getitem__(self, key: object) -> object:
        raise RuntimeError("none")

    @property
    def broken(self) -> object:
        raise OSError("none")


@pytest.mark.parametrize("field", ["{{odd}}", "{{odd.broken}}", "{{odd[0]}}", "{{huge}}"])
def test_value_that_cannot_be_had_is_named(field: str) -> None:
    with pytest.raises(InputError, match="cannot be written") as caught:
        fill(f"x {field} y", {"odd": Odd(), "huge": 10**5000})
    assert field in caught.value.message


def test_result_is_its_answer() -> None:
    assert fill("{{r}}", {"r": result("Four.")}) == "Four."


def test_failed_result_is_refused() -> None:
    with pytest.raises(InputError, match="without a whole answer"):
        fill("{{r}}", {"r": result("")})


def test_frame_is_a_table() -> None:
    text = fill("{{df}}", {"df": pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})})
    assert text.splitlines() == ["   a  b", "0  1  x", "1  2  y"]


def test_long_frame_is_cut_and_says_so() -> None:
    text = fill("{{s}}", {"s": pd.Series(range(ROWS + 5))})
    assert text.endswith(f"(the first {ROWS} of {ROWS + 5} rows)")
    assert f"\n{ROWS - 1} " in text
    assert f"\n{ROWS} " not in text


def test_wide_frame_and_long_text_are_not_elided() -> None:
    frame = pd.DataFrame({f"column{i}": ["y" * 200] for i in range(40)})
    assert "..." not in fill("{{df}}", {"df": frame})
