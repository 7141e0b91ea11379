"""A disk that is full and a folder that may not be written to: the answer that was paid for is handed over with the error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.stress.kill import ROOT, environment

pytestmark = pytest.mark.skipif(os.name != "posix", reason="limits, mounts and modes are a POSIX matter")

# No file may grow once it is "full": by the process's own limit (EFBIG), or because the file system has no block left (ENOSPC).
_CHILD = """
import json, logging, os, pandas, resource, sqlite3, sys
from pathlib import Path
from molt_magic.errors import StoreError
from tests.stores.kept import an_orchestrator

home, how = Path(os.environ["MOLT_HOME"]), sys.argv[1]
logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

def full():
    if how == "limit":
        resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
    elif how == "disk":
        with open(home / "filler", "wb", buffering=0) as filler:
            for size in (65536, 4096, 512, 1):
                try:
                    while filler.write(b"x" * size): pass
                except OSError: pass
    else:
        for folder in (home, *(p for p in home.rglob("*") if p.is_dir())): folder.chmod(0o500)
        for file in (p for p in home.rglob("*") if p.is_file()): file.chmod(0o400)

def free():
    if how == "limit":
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    elif how == "disk":
        (home / "filler").unlink()
    else:
        for folder in (home, *(p for p in home.rglob("*") if p.is_dir())): folder.chmod(0o700)
        for file in (p for p in home.rglob("*") if p.is_file()): file.chmod(0o600)

def ask(prompt):
    try:
        result = orch.route(prompt, model="small")
        return {"text": result.text, "id": result.decision.decision_id}
    except StoreError as error:
        asked = None if error.result is None else error.result.text
        return {"text": asked, "error": str(error), "fix": error.fix, "logged": error.decision_id}

orch = an_orchestrator(**{"network.retries": 0})
told = {"before": [ask(f"before {n}") for n in range(3)]}
if how == "mode" and os.geteuid() == 0:  # root may write anywhere; imports come first, since another user may not read them
    orch.classifier.guess("x"); orch.close()
    for path in (home, *home.rglob("*")): os.chown(path, 65534, 65534)
    os.setgid(65534); os.setuid(65534)
elif how == "mode":
    orch.close()
full()
told["full"] = [ask(f"full {n}" + "x" * 3000) for n in range(4)]
orch.cache.flush()
try:
    orch.classifier.add([("mine " * 500, "simple_qa")])
except StoreError as error:
    told["example"] = str(error)
told["calls"] = len(orch.providers.calls)
told["spent"] = orch.spent_usd() if how != "mode" else None
free()
told["after"] = [ask(f"after {n}") for n in range(2)]
told["rows"] = sorted(orch.log.to_frame()["decision_id"])
orch.close()
told["sound"] = sqlite3.connect(home / "data" / "decisions.sqlite").execute("PRAGMA integrity_check").fetchone()[0]
print(json.dumps(told))
"""


def run(how: str, home: Path) -> tuple[dict[str, Any], str]:
    """What a kernel was told while its stores could not grow, and what it complained of."""
    command = [sys.executable, "-c", _CHILD, how]
    done = subprocess.run(command, cwd=ROOT, env=environment(home), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own of 2 MB, where that can be had."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("only root may mount, and not everywhere")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.parametrize("how", ["limit", "disk"])
def test_on_a_full_disk_paid_answers_are_handed_over_and_once_there_is_room_it_goes_on(
    how: str, request: pytest.FixtureRequest
) -> None:
    home = request.getfixturevalue("small_disk") if how == "disk" else Path(os.environ["MOLT_HOME"])
    told, complaints = run(how, home)
    unlogged = [each for each in told["full"] if "error" in each]
    assert unlogged, "it never was full"
    for each in unlogged:
        assert each["text"] == "Small says so."
        assert each["fix"]
        assert each["logged"] is None
    if how == "disk":
        assert "Free some space" in unlogged[-1]["fix"]
    acknowledged = [each["id"] for each in (*told["before"], *told["full"], *told["after"]) if "id" in each]
    assert told["rows"] == sorted(acknowledged)
    assert told["calls"] == 7
    assert told["spent"] == pytest.approx(7 * 0.0002), "what is not in the log is counted too"
    assert "examples cannot be written" in told["example"]
    assert told["sound"] == "ok"
    assert complaints.count("WARNING molt_magic.cache") == 1, complaints


def test_in_a_folder_that_may_not_be_written_to_nothing_is_asked_and_the_fix_is_told() -> None:
    with tempfile.TemporaryDirectory() as open_to_all:  # pytest's own folders are closed to the other user
        home = Path(open_to_all)
        home.chmod(0o777)
        told, _ = run("mode", home)
    assert all("MOLT_HOME" in each["fix"] and each["logged"] is None for each in told["full"])
    assert told["calls"] == 3, "a question that could not be logged is not paid for"
    assert "MOLT_HOME" not in str(told["after"])
    assert len(told["rows"]) == 5
