"""Tab completion, through IPython's own completer."""

from __future__ import annotations

import pytest
from IPython.core.completer import provisionalcompleter

from tests.magics.conftest import MakeNotebook, Notebook


def complete(book: Notebook, text: str) -> list[str]:
    """What Tab offers at the end of a cell."""
    with provisionalcompleter():
        return [c.text for c in book.shell.Completer.completions(text, len(text))]


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("%%route --strat", ["--strategy"]),
        ("%%route -s ", ["rule", "semantic", "arbitrage", "cascade", "direct"]),
        ("%%route -s ca", ["cascade"]),
        ("%%route --strategy ca", ["cascade"]),
        ("%%route -s rule -t si", ["simple_qa"]),
        ("%%route -m b", ["big"]),
        ("%%route -f j", ["json"]),
        ("%%route --conc", ["--concurrency"]),
        ("%%route -v sch", ["schema:"]),
        ("%%route --compare rule,sem", ["rule,semantic"]),
        ("%%route --compare rule,bi", ["rule,big"]),
        ("%route sta", ["status"]),
        ("%route use ca", ["cascade"]),
        ("%route compare rule,bi", ["rule,big"]),
        ("%route use -m sm", ["small"]),
        ("%route cost --by pro", ["provider"]),
        ("%route cache cl", ["clear"]),
        ("%route config cache.ttl", ["cache.ttl_seconds"]),
    ],
)
def test_tab_offers_what_may_follow(notebook: MakeNotebook, text: str, offered: list[str]) -> None:
    book = notebook()
    assert book.orchestrator.catalog  # it is there: its models are the ones offered
    assert complete(book, text) == offered


def test_tab_in_the_prompt_is_ipython_s_own(notebook: MakeNotebook) -> None:
    book = notebook()
    book["my_variable"] = 1
    assert "my_variable" in complete(book, "%%route -s rule\nmy_var")


def test_tab_outside_our_magics_is_ipython_s_own(notebook: MakeNotebook) -> None:
    book = notebook()
    assert "status" not in complete(book, "sta")


def test_tab_makes_no_orchestrator(notebook: MakeNotebook) -> None:
    book = notebook()
    assert "qwen-local" in complete(book, "%%route -m qwen")
    assert book.session.started is None


def test_tab_with_an_unreadable_configuration_offers_nothing_and_does_not_raise(
    notebook: MakeNotebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOLT_QUALITY", "high")
    assert complete(notebook(), "%%route -m qwen") == []
