"""What is installed is what is in the checkout: a wheel, unpacked elsewhere, has all it needs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent

USES_ITS_DATA = """
import json
import molt_magic
from molt_magic import tokens
from molt_magic.catalog import Catalog
from molt_magic.cli import notebooks
from molt_magic.embed import MiniLMEmbedder, StaticEmbedder
from molt_magic.strategies.classifier import TaskClassifier
from molt_magic.views.decisions.table import DecisionTable

guess = TaskClassifier.load_shipped(StaticEmbedder()).guess("Translate into German: good morning")
print(json.dumps({
    "home": molt_magic.__file__,
    "models": len(Catalog.load().models),
    "tokens": tokens.count_text("hello world"),
    "dim": int(MiniLMEmbedder().embed(["hello"]).shape[1]),
    "task": guess.task,
    "table": [len(str(DecisionTable._esm)) > 1000, len(str(DecisionTable._css)) > 1000],
    "notebooks": sorted(path.name for path in notebooks.folder().glob("*.ipynb")),
}))
"""


def test_a_wheel_carries_its_data_files_and_notebooks(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    home = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(home)
    environ = {**os.environ, "PYTHONPATH": str(home)}
    done = subprocess.run([sys.executable, "-c", USES_ITS_DATA], cwd=tmp_path, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert Path(found["home"]).is_relative_to(home)
    assert found["models"] == 11
    assert found["tokens"] == 2
    assert found["dim"] == 384
    assert found["task"] == "translation"
    assert found["table"] == [True, True]
    assert found["notebooks"] == sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))
