"""Loading leaves what it must, unloading leaves nothing."""

from __future__ import annotations

from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from molt_magic.errors import ConfigError
from tests.magics.conftest import MakeNotebook


def traces(shell: InteractiveShell) -> dict[str, Any]:
    """Everything of ours that a shell can hold."""
    formatter: Any = shell.display_formatter
    return {
        "line": "route" in shell.magics_manager.magics["line"],
        "cell": "route" in shell.magics_manager.magics["cell"],
        "registry": "RouteMagics" in shell.magics_manager.registry,
        "configurables": sum(type(c).__name__ == "RouteMagics" for c in shell.configurables),
        "matchers": len(shell.Completer.custom_matchers),
        "callbacks": {name: len(found) for name, found in shell.events.callbacks.items()},
        "transformers": len(shell.input_transformers_cleanup),
        "printers": len(formatter.ipython_display_formatter.type_printers),
    }


def run(shell: InteractiveShell, line: str) -> str:
    with capture_output() as captured:
        shell.run_cell(line)
    return str(captured.stdout + captured.stderr)


def test_unload_leaves_nothing_behind(shell: InteractiveShell) -> None:
    before = traces(shell)
    run(shell, "%load_ext molt_magic")
    assert traces(shell) != before
    assert traces(shell)["line"]
    assert traces(shell)["cell"]
    run(shell, "%unload_ext molt_magic")
    assert traces(shell) == before


def test_unload_after_a_cell_leaves_nothing_behind(shell: InteractiveShell, notebook: MakeNotebook) -> None:
    before = traces(shell)
    book = notebook()
    book.run("%%route -m small\nHello?")
    orch = book.orchestrator
    run(shell, "import molt_magic; molt_magic.unload_ipython_extension(get_ipython())")
    assert traces(shell) == before
    assert book.session.started is None
    assert orch._loop._shared is None  # it was closed


def test_reload_registers_everything_once(shell: InteractiveShell) -> None:
    run(shell, "%load_ext molt_magic")
    once = traces(shell)
    run(shell, "%reload_ext molt_magic")
    assert traces(shell) == once
    run(shell, "%unload_ext molt_magic")


def test_loading_twice_is_loading_once(shell: InteractiveShell) -> None:
    import molt_magic

    molt_magic.load_ipython_extension(shell)
    once = traces(shell)
    molt_magic.load_ipython_extension(shell)
    assert traces(shell) == once


def test_unloading_what_is_not_loaded_does_nothing(shell: InteractiveShell) -> None:
    import molt_magic

    before = traces(shell)
    molt_magic.unload_ipython_extension(shell)
    assert traces(shell) == before


def test_magic_is_unknown_after_unload(shell: InteractiveShell) -> None:
    run(shell, "%load_ext molt_magic")
    run(shell, "%unload_ext molt_magic")
    assert "not found" in run(shell, "%route version")


def test_loading_makes_no_orchestrator(shell: InteractiveShell) -> None:
    run(shell, "%load_ext molt_magic")
    session = shell.magics_manager.registry["RouteMagics"]
    assert session.started is None
    run(shell, "%unload_ext molt_magic")


def test_what_config_set_goes_with_the_extension(shell: InteractiveShell) -> None:
    run(shell, "%load_ext molt_magic")
    run(shell, "%config RouteMagics.strategy = 'cascade'")
    run(shell, "%config RouteMagics.quality = 7")  # refused, but IPython remembers it
    run(shell, "%reload_ext molt_magic")
    session = shell.magics_manager.registry["RouteMagics"]
    assert session.overrides == {}
    run(shell, "%unload_ext molt_magic")


def test_ipython_s_own_configuration_survives_a_reload(shell: InteractiveShell) -> None:
    shell.config.RouteMagics.strategy = "cascade"
    try:
        run(shell, "%load_ext molt_magic")
        run(shell, "%config RouteMagics.strategy = 'rule'")
        run(shell, "%reload_ext molt_magic")
        assert shell.magics_manager.registry["RouteMagics"].strategy == "cascade"
        run(shell, "%unload_ext molt_magic")
    finally:
        del shell.config["RouteMagics"]


def test_wrong_ipython_configuration_is_told_shortly(shell: InteractiveShell) -> None:
    import molt_magic

    shell.config.RouteMagics.quality = 7.0
    try:
        with pytest.raises(ConfigError, match="ipython_config"):
            molt_magic.load_ipython_extension(shell)
    finally:
        del shell.config["RouteMagics"]


def test_other_cells_are_left_alone(notebook: MakeNotebook) -> None:
    book = notebook()
    assert book.run("1 + 1").value == 2
    assert book.run("%%timeit -n1 -r1\npass").error is None


def test_wrong_stream_variable_says_what_it_may_be(shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch) -> None:
    import molt_magic

    monkeypatch.setenv("MOLT_STREAM", "offf")
    with pytest.raises(ConfigError, match="auto, on or off"):
        molt_magic.load_ipython_extension(shell)
