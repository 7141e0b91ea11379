"""The command `molt`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from molt_magic import __version__
from molt_magic.cli import main, notebooks, quickstart
from molt_magic.config import load_settings
from molt_magic.errors import InputError


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    assert capsys.readouterr().out == f"molt-magic {__version__}\n"


def test_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "molt_magic", "version"], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == f"molt-magic {__version__}\n"


@pytest.mark.parametrize(
    "words", [[], ["quickstart"], ["open"], ["doctor"], ["models"], ["models", "pull"], ["evaluate"], ["bench"], ["version"]]
)
def test_every_command_has_help(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*words, "--help"])
    assert ended.value.code == 0
    assert "usage: molt" in capsys.readouterr().out


def test_unknown_command_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["doktor"])
    assert ended.value.code == 2
    assert "doctor" in capsys.readouterr().err


def test_models_lists_the_catalog_and_what_each_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    out = capsys.readouterr().out
    assert "qwen-local-small" in out
    assert "claude-opus" in out
    assert "not ready" in out


def test_pull_of_an_unknown_model_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "pull", "qwen-locl"]) == 1
    assert "Did you mean 'qwen-local'" in capsys.readouterr().err


def test_pull_of_a_hosted_model_says_which_are_local(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "pull", "smollm-local", "claude-opus"]) == 1
    error = capsys.readouterr().err
    assert "nothing to pull" in error
    assert "smollm-local" in error


def test_doctor_says_how_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor"])
    out = capsys.readouterr().out
    for what in (
        "python",
        "packages",
        "xllamacpp",
        "model qwen-local",
        "model claude-opus",
        "log folder",
        "cache folder",
        "jupyterlab",
    ):
        assert what in out


def test_doctor_tells_an_unreadable_configuration_and_fails(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "molt.toml").write_text("[defaults\n")
    monkeypatch.chdir(tmp_path)
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "configuration" in out
    assert "PROBLEM" in out


def test_doctor_tells_a_folder_that_cannot_be_written(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("MOLT_HOME", str(tmp_path / "file"))
    assert main(["doctor"]) == 1
    assert "cannot be written" in capsys.readouterr().out


def test_error_is_told_in_two_lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOLT_QUALITY", "high")
    assert main(["models"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("molt: ")
    assert len(error.splitlines()) <= 2


def notebook(path: Path, *cells: str) -> Path:
    """A notebook file with these code cells."""
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells]), path)
    return path


def test_notebook_runs_with_this_python_its_own_state_and_the_user_s_weights(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    cell = (
        "import json, os, sys\n"
        "seen = {name: os.environ.get(name) for name in ('MOLT_HOME', 'MOLT_MODELS', 'MOLT_CASCADE_LADDER', 'MOLT_MODEL')}\n"
        "open('seen.json', 'w').write(json.dumps({**seen, 'python': sys.executable, 'cwd': os.getcwd()}))"
    )
    settings = load_settings()
    environ = quickstart.environment(settings, work, small=True)
    quickstart.execute(notebook(tmp_path / "n.ipynb", cell), work, environ)
    seen = json.loads((work / "seen.json").read_text())
    assert seen == {
        "MOLT_HOME": str(work / "home"),
        "MOLT_MODELS": str(settings.models_dir),
        "MOLT_CASCADE_LADDER": "smollm-local,qwen-local-small",
        "MOLT_MODEL": "qwen-local-small",
        "python": sys.executable,
        "cwd": str(work),
    }


def test_notebook_that_fails_tells_its_own_error(tmp_path: Path) -> None:
    book = notebook(tmp_path / "n.ipynb", "%load_ext molt_magic", "%%route -s rull\nHello?")
    with pytest.raises(InputError, match="UnknownName: Unknown strategy 'rull'"):
        quickstart.execute(book, tmp_path, quickstart.environment(load_settings(), tmp_path, small=False))


def test_quickstart_hands_no_key_to_the_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "GEMINI_API_KEY", "DEEPSEEK_API_KEY"):
        monkeypatch.setenv(name, "canary")
    environ = quickstart.environment(load_settings(), tmp_path, small=False)
    assert "canary" not in environ.values()


def test_headless_run_has_one_output_and_no_updates(tmp_path: Path) -> None:
    """nbval compares outputs: what comes in pieces never compares equal."""
    program = (
        "from molt_magic.views.live import screen, Silent\n"
        "import molt_magic; session = get_ipython().magics_manager.registry['RouteMagics']\n"
        "assert session.cell_id is None, session.cell_id\n"
        "live = screen(None, setting='auto', quiet=False, shell=get_ipython(), cell_id=session.cell_id)\n"
        "assert type(live) is Silent"
    )
    book = notebook(tmp_path / "n.ipynb", "%load_ext molt_magic", program)
    quickstart.execute(book, tmp_path, quickstart.environment(load_settings(), tmp_path, small=False))


def test_log_without_decisions_is_an_error_not_an_empty_table() -> None:
    with pytest.raises(InputError, match="decided nothing"):
        quickstart.decisions(load_settings())


def test_notebooks_are_copied_once_and_never_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "source"
    source.mkdir()
    notebook(source / notebooks.QUICKSTART, "1 + 1")
    monkeypatch.setattr(notebooks, "folder", lambda: source)
    target = notebooks.writable(tmp_path / "mine")
    (target / notebooks.QUICKSTART).write_text("changed")
    assert notebooks.writable(tmp_path / "mine") == target
    assert (target / notebooks.QUICKSTART).read_text() == "changed"


@pytest.mark.parametrize("words", [["evaluate", "t.csv", "--curve"], ["evaluate", "t.csv", "--plot"], ["bench", "--json"]])
def test_file_that_cannot_be_written_is_refused_before_the_work(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*words, str(tmp_path / "none" / "x")])
    assert ended.value.code == 2
    assert "cannot be written" in capsys.readouterr().err


def test_place_that_cannot_be_written_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["open", "--no-browser", "--to", str(tmp_path / "file" / "x")]) == 1
    assert "Traceback" not in (said := capsys.readouterr().err)
    assert said.startswith("molt: ")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk here")
def test_full_disk_and_a_terminal_without_letters_are_no_traceback() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "molt_magic", "version"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr.startswith("molt: The output:"), "Traceback" in done.stderr) == (1, True, False)
